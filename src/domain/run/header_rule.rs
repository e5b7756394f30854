//! Represents what a run and its journal know of a header rule: a rule that the run makes above a route, and that sends
//! the requests with certain headers to the new cluster. Which rules a route needs is a question of the vendor.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::base::text::word;
use crate::domain::traffic::{RouteContent, RouteId, VendorConfig};

/// The key of the tag on a header rule. The value is the id of the run and the number of the rule.
pub const TAG_KEY: &str = "cutover.dev/header-route";

/// A header rule, as planned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeaderRule {
    /// The number of the rule in its run, from 1.
    pub number: u32,
    /// The route above which the rule stands.
    pub route: RouteId,
    /// The ARN of the load balancer.
    pub load_balancer: String,
    /// The ARN of the listener.
    pub listener: String,
    /// The name in messages, such as `443 rule 14 (headers, above 443 rule 15)`.
    pub label: String,
    /// What the rule does: that of its route, but all requests go to the new cluster's target group.
    pub content: RouteContent,
    /// Which requests the rule matches, and its place among the other rules, in the format of the vendor.
    pub rule: VendorConfig,
}

impl HeaderRule {
    /// Returns the ARN of the target group that gets the requests.
    pub fn group(&self) -> Option<&str> {
        self.content.split.ids().next().map(String::as_str)
    }

    /// Returns the value of the rule's tag.
    pub fn tag_value(&self, run: &str) -> String {
        format!("{run} {}", self.number)
    }
}

/// A header rule that exists.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveHeaderRule {
    /// The ARN of the rule.
    pub id: String,
    /// The rule, as read.
    pub rule: HeaderRule,
}

/// Parses the value of a header rule's tag: the run and the number of the rule.
pub fn parse_tag(value: &str) -> Option<(&str, u32)> {
    let (run, number) = value.rsplit_once(' ')?;
    Some((run, number.parse().ok()?)).filter(|(run, _)| !run.is_empty())
}

/// How a header rule ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HeaderRuleEnd {
    /// The rule does not exist any more.
    Removed,
    /// The rule was not made, and the call that should make it cannot take effect any more.
    NotMade,
    /// The load balancer refused to make the rule.
    Refused,
    /// The load balancer refused to remove the rule, so it still exists.
    Kept,
}

impl HeaderRuleEnd {
    /// Returns the name in the journal.
    pub fn name(self) -> String {
        word(&self)
    }
}

/// A change of the header rules of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum HeaderRuleEvent {
    /// The header rules of a step were planned.
    Planned {
        /// The number of the step, from 1.
        step: usize,
        /// The rules to make, in the order of their places.
        rules: Vec<HeaderRule>,
        /// The routes without a header rule, each with the reason.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        left_out: Vec<String>,
        /// Why a rule has no place. No rule is made then.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        refused: Option<String>,
    },
    /// These rules are about to be made.
    Sent {
        /// The numbers of the rules.
        rules: Vec<u32>,
        /// A call without a response can take effect until this time, but not later.
        deadline: Timestamp,
    },
    /// A rule exists, and was read back.
    Made {
        /// The number of the rule.
        rule: u32,
        /// The ARN of the rule.
        id: String,
    },
    /// A rule ended, or could not be made or removed.
    Ended {
        /// The number of the rule.
        rule: u32,
        /// How the rule ended.
        result: HeaderRuleEnd,
        /// The reason, if the load balancer refused a call.
        #[serde(skip_serializing_if = "String::is_empty", default)]
        detail: String,
    },
}

/// The progress of a header rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderRuleProgress {
    /// The rule was not sent yet, or it certainly does not exist.
    Planned,
    /// The rule was sent, and it is not known whether it exists. The call cannot take effect after this time.
    Sent(Timestamp),
    /// The rule with this ARN exists since this time, or longer.
    Made(String, Timestamp),
    /// The rule with this ARN exists, and the load balancer refused to remove it, for this reason.
    Kept(String, String),
}

/// A header rule of a run, with its progress.
#[derive(Debug, Clone, PartialEq)]
pub struct HeaderRuleState {
    /// The rule, as planned.
    pub rule: HeaderRule,
    /// The number of the step that planned the rule.
    pub step: usize,
    /// The progress of the rule.
    pub progress: HeaderRuleProgress,
}

/// The header rules of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HeaderRules {
    /// The rules that may exist or must be made, by number.
    pub rules: std::collections::BTreeMap<u32, HeaderRuleState>,
    /// The step whose rules are planned; `None` if no step's rules are planned.
    pub planned_for: Option<usize>,
    /// The routes without a header rule, each with the reason.
    pub left_out: Vec<String>,
    /// Why the load balancer refused a rule of the step, or why a rule has no place.
    pub refused: Option<String>,
    /// The number of the next rule, less one.
    pub last_number: u32,
    /// The time of the last event about header rules.
    pub changed_at: Option<Timestamp>,
}

impl HeaderRules {
    /// Returns the rules that may have an effect on requests, with their ARN if it is known.
    pub fn live(&self) -> impl Iterator<Item = (&HeaderRuleState, Option<&str>)> {
        self.rules.values().filter_map(|rule| match &rule.progress {
            HeaderRuleProgress::Planned => None,
            HeaderRuleProgress::Sent(_) => Some((rule, None)),
            HeaderRuleProgress::Made(id, _) | HeaderRuleProgress::Kept(id, _) => Some((rule, Some(id.as_str()))),
        })
    }

    /// Returns the numbers of the rules that exist, and that the load balancer has not refused to remove.
    pub fn removable(&self) -> Vec<u32> {
        self.numbers(|rule| matches!(rule.progress, HeaderRuleProgress::Made(..)))
    }

    /// Returns the numbers of the rules that meet a condition.
    pub fn numbers(&self, condition: impl Fn(&HeaderRuleState) -> bool) -> Vec<u32> {
        self.rules.iter().filter(|(_, rule)| condition(rule)).map(|(number, _)| *number).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tag_names_the_run_and_the_rule() {
        assert_eq!(parse_tag("shop-20260301-140000-abcd 12"), Some(("shop-20260301-140000-abcd", 12)));
        assert_eq!((parse_tag("12"), parse_tag(" 12"), parse_tag("shop x")), (None, None, None));
    }
}
