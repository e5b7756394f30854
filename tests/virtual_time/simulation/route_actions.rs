//! Converts actions to a comparable form, the same for actions of the simulated AWS and of the engine.

use cutover::domain::elb;
use cutover::domain::traffic::RouteContent;
use serde_json::Value;

pub use crate::engine::route_actions::RouteActions;

/// Converts actions as the simulated AWS stores them.
pub fn from_aws(actions: &[Value]) -> RouteActions {
    RouteActions::of(&actions.iter().cloned().map(text).collect::<Vec<_>>())
}

/// Converts a route's content as the engine has it.
pub fn from_content(content: &RouteContent) -> RouteActions {
    let actions = elb::actions(content).expect("the content should be one of ELBv2");
    from_aws(
        &actions.iter().map(|a| serde_json::to_value(a).expect("an action should convert to JSON")).collect::<Vec<_>>(),
    )
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
