//! Notifications, as the rest of the crate sees them.

use std::time::Duration;

use super::metric::Header;

/// `spec.notifications[]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    /// Where it goes.
    pub to: Destination,
    /// What is told, in the order of [`Kind::ALL`].
    pub on: Vec<Kind>,
    /// The text, with `{{…}}`; `None`: [`TEXT`].
    pub template: Option<String>,
}

/// The text of a notification where the plan has none.
pub const TEXT: &str = "cutover {{plan}}: {{message}}";

/// What may stand in a template.
pub const PLACEHOLDERS: [&str; 9] = ["plan", "run", "event", "message", "time", "step", "steps", "label", "owner"];

/// Where a notification goes.
#[derive(Debug, Clone, PartialEq)]
pub enum Destination {
    /// An incoming webhook of Slack, or of what takes the same JSON.
    Slack {
        /// Its URL, which is the secret.
        url: Secret,
    },
    /// A POST of JSON.
    Webhook {
        /// Where.
        url: Address,
        /// With these headers.
        headers: Vec<Header>,
    },
    /// A command, with the JSON as its standard input.
    Exec {
        /// Program and arguments.
        command: Vec<String>,
        /// Killed after this.
        timeout: Duration,
    },
}

impl Destination {
    /// Its key in the plan.
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
pub enum Address {
    /// In the plan: not a secret.
    Plain(String),
    /// A secret.
    Secret(Secret),
}

/// Where a secret is. It never enters a journal or a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secret {
    /// In an environment variable.
    Env(String),
    /// In a file, read anew each time.
    File(String),
}

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $kind:ident $word:literal $default:literal;)+) => {
        /// What a notification may be about.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        pub enum Kind { $($(#[doc = $doc])+ $kind,)+ }

        impl Kind {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$kind,)+];
            /// Their words in the plan.
            pub const WORDS: &[&str] = &[$($word,)+];

            /// Its word in the plan.
            pub fn word(self) -> &'static str {
                match self { $(Self::$kind => $word,)+ }
            }

            /// Whether it is told where the plan does not say what is.
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
    /// A person must approve, or nobody did in time.
    ApprovalNeeded "approvalNeeded" true;
    /// Somebody approved a step, or ended a pause early.
    Approved "approved" false;
    /// Somebody paused the run.
    Paused "paused" true;
    /// It goes on after a pause or a freeze.
    Resumed "resumed" true;
    /// Nothing is raised any more, for a reason of its own.
    Frozen "frozen" true;
    /// Somebody else changed a route, or made a rule that the plan does not move.
    Drifted "drifted" true;
    /// A gate failed.
    GateFailed "gateFailed" true;
    /// The traffic goes back.
    RollbackStarted "rollbackStarted" true;
    /// The run is over.
    Finished "finished" true;
    /// A process left the run unfinished, and not because there is only waiting left.
    Stopped "stopped" true;
    /// Something else that a person should read.
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
        assert!(super::super::super::template::names(TEXT).all(|name| PLACEHOLDERS.contains(&name)));
    }
}
