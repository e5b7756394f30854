//! Represents an object of a Kubernetes API as JSON, with accessors for optional fields.

use serde_json::Value;

/// An object of a Kubernetes API.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// The namespace; empty for an object of the whole cluster.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The fields of the object that a rule may use.
    pub body: Value,
}

impl Object {
    /// Returns the object in a response of the API; `None` if it has no name.
    pub fn new(body: Value) -> Option<Self> {
        let text = |path| body.pointer(path).and_then(Value::as_str).map(str::to_owned);
        let name = text("/metadata/name")?;
        Some(Self { namespace: text("/metadata/namespace").unwrap_or_default(), name, body })
    }

    /// Returns `NAMESPACE/NAME`, or the name of an object without a namespace.
    pub fn full_name(&self) -> String {
        if self.namespace.is_empty() { self.name.clone() } else { format!("{}/{}", self.namespace, self.name) }
    }

    /// Returns the value at a JSON pointer; null if it does not exist.
    pub fn at(&self, path: &str) -> &Value {
        at(&self.body, path)
    }

    /// Returns the text at a JSON pointer.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.at(path).as_str()
    }

    /// Returns the number at a JSON pointer.
    pub fn number(&self, path: &str) -> Option<i64> {
        self.at(path).as_i64()
    }

    /// Returns the elements of the list at a JSON pointer; empty if it does not exist.
    pub fn list(&self, path: &str) -> &[Value] {
        list(&self.body, path)
    }

    /// Returns the value of a label.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.at("/metadata/labels").get(key)?.as_str()
    }

    /// Returns the value of an annotation.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.at("/metadata/annotations").get(key)?.as_str()
    }

    /// Returns the time of the last change of anything but the status, as the API reports it.
    pub fn changed_at(&self) -> Option<&str> {
        let fields = self.list("/metadata/managedFields").iter();
        fields.filter(|field| field.get("subresource").is_none()).filter_map(|field| field.get("time")?.as_str()).max()
    }
}

/// Returns the value at a JSON pointer; null if it does not exist.
pub fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
    value.pointer(path).unwrap_or(&Value::Null)
}

/// Returns the elements of the list at a JSON pointer; empty if it does not exist.
pub fn list<'a>(value: &'a Value, path: &str) -> &'a [Value] {
    value.pointer(path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Returns the text at a JSON pointer.
pub fn text<'a>(value: &'a Value, path: &str) -> Option<&'a str> {
    value.pointer(path)?.as_str()
}

/// Returns whether labels fulfil a label selector with `matchLabels` and `matchExpressions`. A missing selector matches
/// nothing, an empty selector matches everything.
pub fn selects(selector: &Value, labels: &Value) -> bool {
    if selector.is_null() {
        return false;
    }
    let label = |key: &str| labels.get(key).and_then(Value::as_str);
    let equal = |(key, value): (&String, &Value)| label(key).is_some() && label(key) == value.as_str();
    let pairs = selector.get("matchLabels").and_then(Value::as_object);
    pairs.is_none_or(|pairs| pairs.iter().all(equal))
        && list(selector, "/matchExpressions").iter().all(|expression| matches_expression(expression, &label))
}

/// Returns whether labels fulfil an expression of a label selector or of a node selector term.
pub fn matches_expression<'a>(expression: &Value, label: &impl Fn(&str) -> Option<&'a str>) -> bool {
    let found = text(expression, "/key").and_then(label);
    let values = || list(expression, "/values").iter().filter_map(Value::as_str);
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<i64>().ok());
    match text(expression, "/operator") {
        Some("In") => values().any(|value| Some(value) == found),
        Some("NotIn") => values().all(|value| Some(value) != found),
        Some("Exists") => found.is_some(),
        Some("DoesNotExist") => found.is_none(),
        Some("Gt") => number(found) > number(values().next()),
        Some("Lt") => found.is_some() && number(found) < number(values().next()),
        _ => false,
    }
}
