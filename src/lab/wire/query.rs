//! Requests of the awsQuery protocol: a form whose keys are paths into a tree, such as
//! `Actions.member.1.ForwardConfig.TargetGroups.member.2.Weight`.

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

/// A call: the name of the operation, and its parameters as a tree. Lists are arrays, scalars are strings.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Query {
    /// Name of the operation, such as `ModifyRule`.
    pub action: String,
    /// Version of the API, such as `2015-12-01`.
    pub version: String,
    /// Parameters of the call, as a tree.
    pub input: Value,
}

impl Query {
    /// Parses a form, from a body or a query string.
    pub fn read(form: &str) -> Self {
        let mut root = Map::new();
        for pair in form.split('&').filter(|p| !p.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            insert(&mut root, &decode(key), decode(value));
        }
        let mut take = |key: &str| root.remove(key).and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default();
        let (action, version) = (take("Action"), take("Version"));
        Self { action, version, input: convert_lists(Value::Object(root)) }
    }

    /// Returns a string parameter.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.input[name].as_str()
    }

    /// Returns a parameter that is a list of strings.
    pub fn texts(&self, name: &str) -> Vec<&str> {
        self.list(name).iter().filter_map(Value::as_str).collect()
    }

    /// Returns a parameter that is a list.
    pub fn list(&self, name: &str) -> &[Value] {
        self.input[name].as_array().map_or(&[], Vec::as_slice)
    }
}

fn insert(root: &mut Map<String, Value>, path: &str, value: String) {
    let mut parts = path.split('.').peekable();
    let mut node = root;
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            node.insert(part.to_owned(), Value::String(value));
            return;
        }
        let child = node.entry(part).or_insert_with(|| Value::Object(Map::new()));
        if !child.is_object() {
            *child = Value::Object(Map::new());
        }
        let Value::Object(next) = child else { return };
        node = next;
    }
}

/// Converts `{member: {1: …, 2: …}}` to arrays, at every depth, and `{entry: {1: …}}` (a map) to `{entry: […]}`.
/// Clients send an empty list as an empty string.
fn convert_lists(value: Value) -> Value {
    let Value::Object(mut map) = value else { return value };
    if let Some(items) = take_numbered(&mut map, "member") {
        return Value::Array(items);
    }
    if let Some(mut entries) = take_numbered(&mut map, "entry") {
        // Clients send the entries of a map in any order.
        entries.sort_by(|a, b| a["key"].as_str().cmp(&b["key"].as_str()));
        return Value::Object(Map::from_iter([("entry".to_owned(), Value::Array(entries))]));
    }
    Value::Object(map.into_iter().map(|(k, v)| (k, convert_lists(v))).collect())
}

/// Removes and returns the numbered children of `name`, in order, if `name` is the only key.
fn take_numbered(map: &mut Map<String, Value>, name: &str) -> Option<Vec<Value>> {
    let alone = map.len() == 1;
    let members = map.get_mut(name)?.as_object_mut().filter(|m| alone && m.keys().all(|k| k.parse::<u32>().is_ok()))?;
    let mut items: Vec<(u32, Value)> =
        std::mem::take(members).into_iter().map(|(k, v)| (k.parse().unwrap_or(u32::MAX), convert_lists(v))).collect();
    items.sort_by_key(|(index, _)| *index);
    Some(items.into_iter().map(|(_, v)| v).collect())
}

/// Decodes percent-encoding and plus signs.
pub(crate) fn decode(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn parameter_paths_become_a_tree_with_items_in_numeric_order() {
        let query = Query::read(
            "Action=ModifyRule&Version=2015-12-01&RuleArn=arn%3Aaws&Actions.member.1.Type=forward\
             &Actions.member.1.ForwardConfig.TargetGroups.\
             member.10.Weight=7\
             &Actions.member.1.ForwardConfig.TargetGroups.member.2.Weight=5\
             &Actions.member.1.ForwardConfig.TargetGroups.member.2.TargetGroupArn=x+y",
        );
        assert_eq!(query.action, "ModifyRule");
        let groups = json!([{"Weight": "5", "TargetGroupArn": "x y"}, {"Weight": "7"}]);
        assert_eq!(
            query.input,
            json!({"RuleArn": "arn:aws", "Actions": [{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}]})
        );
    }

    #[test]
    fn a_map_is_parsed_into_its_entries() {
        let query = Query::read("P.entry.1.key=b&P.entry.1.value=2&P.entry.2.key=a&P.entry.2.value=1");
        assert_eq!(query.input, json!({"P": {"entry": [{"key": "a", "value": "1"}, {"key": "b", "value": "2"}]}}));
    }
}
