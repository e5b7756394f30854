//! Actions taken apart, in one spelling whether they come from the world or from the engine.

use cutover::domain::elb;
use cutover::domain::traffic::RouteContent;
use serde_json::Value;

pub use crate::engine::face::Face;

/// Actions as the world keeps them.
pub fn live(actions: &[Value]) -> Face {
    Face::of(&actions.iter().cloned().map(text).collect::<Vec<_>>())
}

/// A content as the engine knows it.
pub fn typed(content: &RouteContent) -> Face {
    let actions = elb::actions(content).expect("a content of ELBv2");
    live(&actions.iter().map(|a| serde_json::to_value(a).expect("an action")).collect::<Vec<_>>())
}

/// Every scalar as text, as the wire has them; what says nothing left out.
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
