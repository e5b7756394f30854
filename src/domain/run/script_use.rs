//! Reads the tag that the break-glass script puts on each load balancer, with the run and the time. The tag shows on
//! every machine that the script restored the traffic, although no journal records this. The end of the next run
//! removes the tag.
//!
//! Do not use the tag for decisions: it only informs people. Decisions use the weights of the routes.

use jiff::Timestamp;

use crate::domain::traffic::Tags;

/// The key of the tag.
pub const KEY: &str = "cutover.dev/break-glass";

/// One use of a break-glass script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptUse {
    /// The run whose script was used.
    pub run: String,
    /// When every route was written.
    pub at: Timestamp,
}

impl ScriptUse {
    /// Reads the use of a script from the tags of a load balancer; `None` if the script did not write the tag, or if
    /// the tag is missing.
    pub fn of(tags: &Tags) -> Option<Self> {
        let (run, at) = tags.get(KEY)?.split_once(' ')?;
        Some(Self { run: run.to_owned(), at: at.parse().ok()? })
    }

    /// Returns what happened, as one sentence without a full stop.
    pub fn text(&self) -> String {
        format!("the break-glass script of run {} put the traffic back at {}", self.run, self.at.strftime("%F %T UTC"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trace_names_the_run_and_the_time() {
        let of = |value: &str| ScriptUse::of(&[(KEY.to_owned(), value.to_owned())].into());
        let text = of("alpha-1 2026-03-01T14:02:09Z").map(|used| used.text());
        assert_eq!(
            text.as_deref(),
            Some("the break-glass script of run alpha-1 put the traffic back at 2026-03-01 14:02:09 UTC")
        );
        assert_eq!(of("alpha-1"), None);
        assert_eq!(of("alpha-1 yesterday"), None);
        assert_eq!(ScriptUse::of(&Tags::new()), None);
    }
}
