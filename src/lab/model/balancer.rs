//! Load balancers, listeners and routes as the API stores them. Actions and conditions are JSON trees, so that no field
//! that a client wrote is lost.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::condition::Condition;
use super::routing::EffectiveAction;

/// Tags or attributes.
pub(crate) type Pairs = BTreeMap<String, String>;

/// A load balancer.
#[derive(Debug, Clone)]
pub(crate) struct Balancer {
    pub arn: Arc<str>,
    pub name: String,
    pub dns_name: String,
    pub scheme: String,
    pub vpc: String,
    pub zones: Vec<String>,
    pub created: Timestamp,
    pub attributes: Pairs,
    pub tags: Pairs,
    /// Requests of the managed routes that each group is owed: keeps the sum over all routes exact.
    pub owed: BTreeMap<usize, f64>,
}

/// A listener.
#[derive(Debug, Clone)]
pub(crate) struct Listener {
    pub arn: Arc<str>,
    pub balancer: usize,
    pub port: u16,
    pub protocol: String,
    pub ssl_policy: Option<String>,
    pub certificates: Vec<String>,
    pub tags: Pairs,
    /// Index of its default action.
    pub default: usize,
    /// Indices of its rules, by priority.
    pub rules: Vec<usize>,
}

/// A listener's default action, or a rule.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    /// The rule's ARN; for a default action the listener's ARN.
    pub arn: Arc<str>,
    /// The ARN that DescribeRules returns.
    pub rule_arn: String,
    pub listener: usize,
    /// `None`: the default action.
    pub priority: Option<u32>,
    /// As written by the client.
    pub conditions: Vec<Value>,
    /// As the data plane evaluates them.
    pub matcher: Vec<Condition>,
    /// As written by the client, with the API's field names.
    pub actions: Vec<Value>,
    /// Further fields of the rule, such as `Transforms`.
    pub other_fields: Vec<(String, Value)>,
    /// Earlier actions, each with the time until which it was current.
    pub earlier_actions: Vec<(Timestamp, Vec<Value>)>,
    /// The action that the data plane uses now.
    pub effective: EffectiveAction,
    /// Time of the last scheduled change of the data plane: changes never overtake each other.
    pub propagated_until: Timestamp,
    pub tags: Pairs,
    /// Whether the plan moves it.
    pub managed: bool,
    pub deleted: bool,
}

impl Route {
    /// Returns the actions that were current at a time.
    pub fn actions_at(&self, time: Timestamp) -> &[Value] {
        self.earlier_actions.iter().find(|(until, _)| *until > time).map_or(&self.actions, |(_, actions)| actions)
    }
}

/// Returns the groups of the forward action with their weights. A single group has weight 1.
pub(crate) fn weights(actions: &[Value]) -> Vec<(&str, u32)> {
    let Some(forward) = actions.iter().find(|a| a["Type"] == "forward") else { return Vec::new() };
    match forward["ForwardConfig"]["TargetGroups"].as_array() {
        Some(groups) if groups.len() == 1 => {
            groups.iter().filter_map(|g| Some((g["TargetGroupArn"].as_str()?, 1))).collect()
        }
        Some(groups) => groups
            .iter()
            .filter_map(|g| Some((g["TargetGroupArn"].as_str()?, number(&g["Weight"]).unwrap_or(0))))
            .collect(),
        None => forward["TargetGroupArn"].as_str().map(|arn| (arn, 1)).into_iter().collect(),
    }
}

/// Reads a number, which may be written as text.
pub(crate) fn number(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|n| u32::try_from(n).ok()).or_else(|| value.as_str()?.parse().ok())
}
