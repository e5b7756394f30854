//! Load balancers, listeners and routes as the API stores them. Actions and conditions are JSON trees, so that every
//! field that a client wrote is kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::condition::Condition;
use super::haproxy::Frontend;
use super::routing::EffectiveAction;

/// Tags or attributes, by key.
pub(crate) type Pairs = BTreeMap<String, String>;

/// A simulated load balancer.
#[derive(Debug, Clone)]
pub(crate) struct Balancer {
    pub arn: Arc<str>,
    /// Whether this is a Network Load Balancer.
    pub network: bool,
    pub name: String,
    pub dns_name: String,
    pub scheme: String,
    pub vpc: String,
    pub zones: Vec<String>,
    pub created: Timestamp,
    pub attributes: Pairs,
    pub tags: Pairs,
    /// For each group, how many more requests of the managed routes it should have received so far. This keeps the sum
    /// over all routes exact.
    pub missing_requests: BTreeMap<usize, f64>,
    /// The backend or map of HAProxy, if it is one; otherwise it is a load balancer of AWS.
    pub haproxy: Option<Frontend>,
}

/// A listener of a load balancer.
#[derive(Debug, Clone)]
pub(crate) struct Listener {
    pub arn: Arc<str>,
    pub balancer: usize,
    pub port: u16,
    pub protocol: String,
    pub ssl_policy: Option<String>,
    pub certificates: Vec<String>,
    pub tags: Pairs,
    /// Index of the route that is the listener's default action.
    pub default: usize,
    /// Indices of the listener's rules, by priority.
    pub rules: Vec<usize>,
}

/// A route: the default action of a listener, or a rule.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    /// ARN of the rule; for a default action, ARN of the listener.
    pub arn: Arc<str>,
    /// The ARN that DescribeRules returns.
    pub rule_arn: String,
    pub listener: usize,
    /// Priority of the rule; `None` for the default action.
    pub priority: Option<u32>,
    /// The conditions as the client wrote them.
    pub conditions: Vec<Value>,
    /// The conditions as the data plane evaluates them.
    pub matcher: Vec<Condition>,
    /// The actions as the client wrote them, with the field names of the API.
    pub actions: Vec<Value>,
    /// Further fields of the rule, such as `Transforms`.
    pub other_fields: Vec<(String, Value)>,
    /// Earlier actions, each with the time until which it was current.
    pub earlier_actions: Vec<(Timestamp, Vec<Value>)>,
    /// The action that the data plane uses now.
    pub effective: EffectiveAction,
    /// Time of the last scheduled change of the data plane. Later changes are never applied before this time.
    pub propagated_until: Timestamp,
    pub tags: Pairs,
    /// Whether the plan manages the route.
    pub managed: bool,
    pub deleted: bool,
}

impl Route {
    /// Returns the actions that were current at this time.
    pub fn actions_at(&self, time: Timestamp) -> &[Value] {
        self.earlier_actions.iter().find(|(until, _)| *until > time).map_or(&self.actions, |(_, actions)| actions)
    }
}

/// Returns the groups of the forward action with their weights. A single group has the weight 1.
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

/// Reads a number that may be written as a string.
pub(crate) fn number(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|n| u32::try_from(n).ok()).or_else(|| value.as_str()?.parse().ok())
}
