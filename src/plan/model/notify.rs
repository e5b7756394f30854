//! Notifications in the checked plan.

use std::time::Duration;

use super::metric::Header;

/// `spec.notifications[]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    /// The target.
    pub to: NotificationTarget,
    /// The events, in the order of [`Kind::ALL`].
    pub on: Vec<Kind>,
    /// The text with placeholders `{{…}}`; `None`: [`DEFAULT_TEMPLATE`].
    pub template: Option<String>,
}

/// The text of a notification if the plan has none.
pub const DEFAULT_TEMPLATE: &str = "cutover {{plan}}: {{message}}";

/// The placeholders of a template.
pub const PLACEHOLDERS: [&str; 9] = ["plan", "run", "event", "message", "time", "step", "steps", "label", "owner"];

/// A notification target.
#[derive(Debug, Clone, PartialEq)]
pub enum NotificationTarget {
    /// An incoming webhook of Slack, or of a service that takes the same JSON.
    Slack {
        /// Its URL, which is a secret.
        url: SecretLocation,
    },
    /// A POST request with JSON.
    Webhook {
        /// The URL.
        url: WebhookUrl,
        /// Headers of the request.
        headers: Vec<Header>,
    },
    /// A command that reads the JSON from standard input.
    Exec {
        /// Program and arguments.
        command: Vec<String>,
        /// The command is killed after this time.
        timeout: Duration,
    },
}

impl NotificationTarget {
    /// Returns the target's key in the plan.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Slack { .. } => "slack",
            Self::Webhook { .. } => "webhook",
            Self::Exec { .. } => "exec",
        }
    }
}

/// A webhook's URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebhookUrl {
    /// In the plan: it is not a secret.
    Plain(String),
    /// A secret.
    Secret(SecretLocation),
}

/// The location of a secret. The secret is never journalled or logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretLocation {
    /// In an environment variable.
    Env(String),
    /// In a file, read again for each notification.
    File(String),
}

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $kind:ident $word:literal $default:literal;)+) => {
        /// The event of a notification.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        pub enum Kind { $($(#[doc = $doc])+ $kind,)+ }

        impl Kind {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$kind,)+];
            /// The events' names in the plan.
            pub const WORDS: &[&str] = &[$($word,)+];

            /// Returns the event's name in the plan.
            pub fn word(self) -> &'static str {
                match self { $(Self::$kind => $word,)+ }
            }

            /// Whether it is notified if the plan does not list events.
            pub fn usual(self) -> bool {
                match self { $(Self::$kind => $default,)+ }
            }
        }
    };
}

kinds! {
    /// A run begins.
    Started "started" true;
    /// A step begins.
    StepStarted "stepStarted" false;
    /// A step is done.
    StepDone "stepDone" false;
    /// An approval is needed, or was not given in time.
    ApprovalNeeded "approvalNeeded" true;
    /// An operator approved a step, or ended a pause early.
    Approved "approved" false;
    /// An operator paused the run.
    Paused "paused" true;
    /// The run continues after a pause or a freeze.
    Resumed "resumed" true;
    /// No share rises any more.
    Frozen "frozen" true;
    /// Another writer changed a route, or created a rule that the plan does not move.
    Drifted "drifted" true;
    /// A gate failed.
    GateFailed "gateFailed" true;
    /// The traffic is being restored.
    RollbackStarted "rollbackStarted" true;
    /// The run has ended.
    Finished "finished" true;
    /// A process stopped driving the run before its end, other than to wait.
    Stopped "stopped" true;
    /// Another message for operators.
    Notice "notice" false;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_written_as_the_plan_spells_it() {
        for kind in Kind::ALL {
            assert_eq!(serde_json::to_value(kind).expect("JSON"), kind.word());
        }
        assert!(
            super::super::super::template::placeholder_names(DEFAULT_TEMPLATE).all(|name| PLACEHOLDERS.contains(&name))
        );
    }
}
