//! Plans the header rules of a load balancer: the rules that send requests with certain headers to the new cluster.
//!
//! Above each route of the plan stands a rule with the conditions of the route and the headers. A default action gets a
//! rule with the headers only. The rule has every other action and transform of its route. It forwards to one target
//! group, so it has no group stickiness: a cookie of this rule would keep its client on the new cluster.
//!
//! Do not read or write rules here, and do not decide when rules are made or removed.

mod disjoint;
mod place;
mod spread;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use self::place::{Existing, Wanted};
pub use self::spread::MAX_VALUES;
use super::balancer::{Listener, LiveRoute};
use super::rule::{Condition, Transform, same_conditions};
use crate::domain::traffic::{Member, RouteContent, RouteId, Split, VendorConfig};
use crate::plan::model::HeaderMatch;

/// The name of the quota of rules of a load balancer, in `DescribeAccountLimits`.
pub const RULE_QUOTA: &str = "rules-per-application-load-balancer";

/// The name in `VendorConfig` that identifies a [`RuleSpec`].
const VENDOR: &str = "elbv2-rule";
/// The version of the format of [`RuleSpec`].
const VERSION: u32 = 1;

/// Which requests a header rule matches, and its place among the other rules of its listener.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleSpec {
    /// The priority, 1–50000.
    pub priority: u32,
    /// The conditions: those of the route, or a part of their values, and the headers.
    pub conditions: Vec<Condition>,
    /// The transforms of the route.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub transforms: Vec<Transform>,
}

impl RuleSpec {
    /// Returns the specification in the form in which the journal has it.
    pub fn to_config(&self) -> VendorConfig {
        let value = serde_json::to_value(self).unwrap_or_default();
        VendorConfig { vendor: VENDOR.to_owned(), v: VERSION, value }
    }

    /// Reads a specification from the journal. The error says why this build cannot read it.
    pub fn from_config(config: &VendorConfig) -> Result<Self, String> {
        if (config.vendor.as_str(), config.v) != (VENDOR, VERSION) {
            return Err(format!("the recorded rule has the unknown format {} version {}", config.vendor, config.v));
        }
        serde_json::from_value(config.value.clone()).map_err(|why| format!("the recorded rule is not valid: {why}"))
    }

    /// Whether this is the specification of an existing rule.
    pub fn is_of(&self, live: &LiveRoute) -> bool {
        live.priority == Some(self.priority) && same_conditions(&self.conditions, &live.rule.conditions)
    }
}

/// A header rule to make.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedRule {
    /// The route above which the rule stands.
    pub route: RouteId,
    /// The ARN of the listener.
    pub listener: String,
    /// The name in messages.
    pub label: String,
    /// What the rule does.
    pub content: RouteContent,
    /// Which requests the rule matches, and its place.
    pub spec: RuleSpec,
}

/// The header rules of a load balancer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HeaderRoutePlan {
    /// The rules to make, by listener and priority.
    pub rules: Vec<PlannedRule>,
    /// The routes that get no header rule, each as label and reason.
    pub left_out: Vec<(String, String)>,
    /// The routes whose header rule does not fit, each as label and reason.
    pub misfits: Vec<(String, String)>,
}

/// Plans the header rules above the routes of a load balancer. `group` returns the target group of the new cluster for a
/// route of the plan, and `None` for every other route. Existing rules are never changed.
pub fn plan<'a>(
    listeners: &[(Listener, Vec<LiveRoute>)],
    group: impl Fn(&RouteId) -> Option<&'a str>,
    headers: &[HeaderMatch],
) -> HeaderRoutePlan {
    let mut all = HeaderRoutePlan::default();
    for (_, routes) in listeners {
        plan_listener(routes, &group, headers, &mut all);
    }
    all
}

fn plan_listener<'a>(
    routes: &[LiveRoute],
    group: &impl Fn(&RouteId) -> Option<&'a str>,
    headers: &[HeaderMatch],
    all: &mut HeaderRoutePlan,
) {
    let (mut wanted, mut parts) = (Vec::new(), Vec::new());
    for live in routes {
        let Some(group) = group(&live.id) else { continue };
        if let Some(why) = why_left_out(live) {
            all.left_out.push((live.label(), why));
            continue;
        }
        match spread::spread(&live.rule.conditions, headers.len()) {
            Some(lists) => {
                wanted.push(Wanted { live, rules: lists.len() });
                parts.push((live, group, lists));
            }
            None => all.misfits.push((live.label(), too_many_values(live, headers))),
        }
    }
    let existing: Vec<_> = routes.iter().filter_map(Existing::of).collect();
    let places = place::place(&existing, &wanted);
    for ((live, group, lists), place) in parts.into_iter().zip(places) {
        match place {
            Err(why) => all.misfits.push((live.label(), why)),
            Ok(priorities) => {
                let rules = lists.into_iter().zip(priorities);
                all.rules.extend(rules.map(|(list, priority)| rule(live, group, list, priority, headers)));
            }
        }
    }
}

fn rule(
    live: &LiveRoute,
    group: &str,
    mut conditions: Vec<Condition>,
    priority: u32,
    headers: &[HeaderMatch],
) -> PlannedRule {
    conditions.extend(headers.iter().map(|header| Condition::header(&header.name, &header.value)));
    let split = Split { members: vec![Member::new(group.to_owned(), Some(1))] };
    PlannedRule {
        route: live.id.clone(),
        listener: live.listener.clone(),
        label: format!("{} rule {priority} (header route, for {})", live.port, live.label()),
        content: RouteContent { split, stickiness: None, ..live.content.clone() },
        spec: RuleSpec { priority, conditions, transforms: live.rule.transforms.clone() },
    }
}

/// Returns why a route cannot have a header rule at all.
fn why_left_out(live: &LiveRoute) -> Option<String> {
    if super::kinds(&live.content).contains(&"authenticate-oidc") {
        let why = "its action `authenticate-oidc` needs the client secret, which cutover never reads";
        return Some(why.to_owned());
    }
    live.rule.unknown.as_ref().map(|element| format!("this build does not know {element}, and cannot copy the rule"))
}

fn too_many_values(live: &LiveRoute, headers: &[HeaderMatch]) -> String {
    format!(
        "the rule has {} conditions and the step {} headers, but a rule has room for {MAX_VALUES} values",
        live.rule.conditions.len(),
        headers.len()
    )
}
