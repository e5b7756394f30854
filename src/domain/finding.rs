//! Findings: what the plan's checks and the preflight say, with stable codes. This table is the only one; documentation is made from it.

use serde::Serialize;

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Shown; the run goes on.
    Warning,
    /// Refuses: exit 2 for the plan's own checks, exit 3 for the preflight.
    Error,
}

macro_rules! codes {
    ($($code:ident $severity:ident $title:literal;)*) => {
        /// A finding's stable code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        pub enum Code { $(#[doc = $title] $code,)* }

        impl Code {
            /// Every code, in order.
            pub const ALL: &[Self] = &[$(Self::$code,)*];

            /// `CUT001`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$code => stringify!($code),)* }
            }

            /// What it is about, in a few words.
            pub fn title(self) -> &'static str {
                match self { $(Self::$code => $title,)* }
            }

            /// Its severity.
            pub fn severity(self) -> Severity {
                match self { $(Self::$code => Severity::$severity,)* }
            }
        }
    };
}

// CUT001–CUT039: the plan's text (errors are exit 2). CUT040–CUT099: the preflight (errors are exit 3). A code is never reused.
codes! {
    CUT001 Error "the plan is not readable: size, encoding or YAML syntax";
    CUT042 Warning "group stickiness keeps clients where they are after weights change";
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Its code.
    pub code: Code,
    /// Its severity (the code's own, unless the rule lowered it).
    pub severity: Severity,
    /// What is wrong, with the names and numbers.
    pub message: String,
    /// What to do; may span lines (a snippet to paste).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// What it is about: a route's label, a group's name, a cluster; empty for the whole plan.
    pub subject: String,
    /// The reason with which the plan accepts it, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accepted: Option<String>,
}
