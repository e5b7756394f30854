//! Converts actions to a comparable form, the same for actions of the simulated AWS and of the engine.

use std::collections::BTreeMap;

use cutover::domain::elb;
use cutover::domain::haproxy::{self, is_haproxy};
use cutover::domain::traffic::RouteContent;
use serde_json::{Value, json};

pub use crate::engine::route_actions::RouteActions;

/// Converts actions as the simulated AWS stores them.
pub fn from_aws(actions: &[Value]) -> RouteActions {
    RouteActions::of(&actions.iter().cloned().map(text).collect::<Vec<_>>())
}

/// Converts a route's content as the engine has it.
pub fn from_content(content: &RouteContent) -> RouteActions {
    if content.split.members.first().is_some_and(|member| is_haproxy(&member.id)) {
        return from_servers(content);
    }
    let actions = elb::actions(content).expect("the content should be one of ELBv2");
    from_aws(
        &actions.iter().map(|a| serde_json::to_value(a).expect("an action should convert to JSON")).collect::<Vec<_>>(),
    )
}

/// Converts the content of a backend or a map of HAProxy. The weight of a group is that of all its servers.
fn from_servers(content: &RouteContent) -> RouteActions {
    let servers = haproxy::servers_of(content).unwrap_or_default();
    let weight = |id: &str, weight: u32| {
        let set = servers.sets.iter().find(|(glob, _)| id.ends_with(&format!("/{glob}"))).map(|(_, set)| set);
        let uneven: Vec<u32> =
            set.into_iter().flatten().filter_map(|(name, _)| servers.uneven.get(name).copied()).collect();
        if uneven.is_empty() { weight } else { uneven.iter().sum() }
    };
    let weights: BTreeMap<_, _> = content
        .split
        .members
        .iter()
        .map(|member| (member.id.clone(), weight(&member.id, u32::from(member.weight.unwrap_or(0)) * member.size)))
        .collect();
    RouteActions { weights, rest: vec![json!({"Type": "forward"})] }
}

/// Converts every scalar to text, as the API sends them, and leaves out null and default values.
fn text(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let says = |k: &str| !matches!(k, "UseExistingClientSecret" | "Order");
            Value::Object(map.into_iter().filter(|(k, v)| says(k) && !v.is_null()).map(|(k, v)| (k, text(v))).collect())
        }
        Value::Array(all) => Value::Array(all.into_iter().map(text).collect()),
        Value::Number(n) => Value::String(n.to_string()),
        Value::Bool(b) => Value::String(b.to_string()),
        other => other,
    }
}
