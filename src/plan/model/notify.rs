//! Represents notifications in the checked plan.

use std::time::Duration;

use super::metric::Header;

/// An entry of `spec.notifications`: a notification target, and the events to send.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    /// The target of the notification.
    pub to: NotificationTarget,
    /// The events to send, in the order of [`Kind::ALL`].
    pub on: Vec<Kind>,
    /// The text of the message with placeholders `{{…}}`; `None` means [`DEFAULT_TEMPLATE`].
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
        /// The URL of the webhook, which is a secret.
        url: SecretLocation,
    },
    /// A POST request with JSON.
    Webhook {
        /// The URL of the request.
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
    /// A URL that is not a secret, as written in the plan.
    Plain(String),
    /// A secret URL, which is stored outside of the plan.
    Secret(SecretLocation),
}

/// The location of a secret. The secret is never written to the journal or to logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretLocation {
    /// The environment variable with this name.
    Env(String),
    /// The file with this path, which is read again for each notification.
    File(String),
}

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $kind:ident $word:literal $default:literal;)+) => {
        /// The event of a notification.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        pub enum Kind { $($(#[doc = $doc])+ $kind,)+ }

        impl Kind {
            /// All events, in the order of the declaration.
            pub const ALL: &[Self] = &[$(Self::$kind,)+];
            /// The names of all events in the plan, in the order of [`Kind::ALL`].
            pub const WORDS: &[&str] = &[$($word,)+];

            /// Returns the event's name in the plan.
            pub fn word(self) -> &'static str {
                match self { $(Self::$kind => $word,)+ }
            }

            /// Whether the event is sent if the plan does not list events.
            pub fn is_default(self) -> bool {
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
    /// The run was frozen: no share is raised until the reason ends.
    Frozen "frozen" true;
    /// Another writer changed a route, or created a rule that the plan does not move.
    Drifted "drifted" true;
    /// A gate failed.
    GateFailed "gateFailed" true;
    /// A rollback started.
    RollbackStarted "rollbackStarted" true;
    /// The run has ended.
    Finished "finished" true;
    /// A process stopped driving the run before the end of the run, except to wait.
    Stopped "stopped" true;
    /// Another message for operators.
    Notice "notice" false;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_serializes_to_its_name_in_the_plan() {
        for kind in Kind::ALL {
            assert_eq!(serde_json::to_value(kind).expect("an event must serialize to JSON"), kind.word());
        }
        assert!(
            super::super::super::template::placeholder_names(DEFAULT_TEMPLATE).all(|name| PLACEHOLDERS.contains(&name))
        );
    }
}
