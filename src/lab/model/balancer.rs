//! Load balancers, listeners and routes as the API keeps them. Actions and conditions are trees, so that nothing a client wrote is ever dropped.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::condition::Condition;
use super::routing::Effective;

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
    /// How many requests of the managed routes each group is owed: keeps the sum over all routes exact.
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
    /// Its default action.
    pub default: usize,
    /// Its rules, by priority.
    pub rules: Vec<usize>,
}

/// A listener's default action, or a rule.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    /// The rule's ARN; for a default action that of the listener.
    pub arn: Arc<str>,
    /// The ARN under which DescribeRules shows it.
    pub rule_arn: String,
    pub listener: usize,
    /// `None`: the default action.
    pub priority: Option<u32>,
    /// As they were written.
    pub conditions: Vec<Value>,
    /// As the data plane reads them.
    pub matcher: Vec<Condition>,
    /// As they were written, by the API's field names.
    pub actions: Vec<Value>,
    /// Further fields of the rule, such as `Transforms`.
    pub extra: Vec<(String, Value)>,
    /// Earlier actions, with the time until which they were true.
    pub before: Vec<(Timestamp, Vec<Value>)>,
    /// What the data plane does.
    pub effective: Effective,
    /// The last time for which a change of the data plane is planned: changes never overtake each other.
    pub propagates: Timestamp,
    pub tags: Pairs,
    /// Whether the plan moves it.
    pub managed: bool,
    pub deleted: bool,
}

impl Route {
    /// The actions as they were at a time.
    pub fn actions_at(&self, time: Timestamp) -> &[Value] {
        self.before.iter().find(|(until, _)| *until > time).map_or(&self.actions, |(_, actions)| actions)
    }
}

/// The groups of an action tree, with weights; a lone group has the weight 1.
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

/// A number that may be spelled as text.
pub(crate) fn number(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|n| u32::try_from(n).ok()).or_else(|| value.as_str()?.parse().ok())
}
