//! Label selectors and field selectors.

use serde_json::Value;

use super::failure::Failure;
use super::path::Query;
use crate::lab::objects::{Kind, meta_text};

/// The objects that a request selects.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Selection {
    labels: Vec<Label>,
    fields: Vec<(String, bool, String)>,
}

#[derive(Debug, Clone, PartialEq)]
enum Label {
    Exists(String, bool),
    In(String, bool, Vec<String>),
}

impl Selection {
    /// Parses `labelSelector` and `fieldSelector`.
    pub fn parse(query: &Query) -> Result<Self, Failure> {
        let labels = split(query.get("labelSelector")).iter().map(|s| label(s)).collect::<Result<_, _>>()?;
        let fields = split(query.get("fieldSelector")).iter().map(|s| field(s)).collect::<Result<_, _>>()?;
        Ok(Self { labels, fields })
    }

    /// Returns a label and the value that every selected object has; `None` if no label must have one certain value.
    pub fn required_label(&self) -> Option<(&str, &str)> {
        self.labels.iter().find_map(|label| match label {
            Label::In(key, true, values) => {
                values.first().filter(|_| values.len() == 1).map(|v| (key.as_str(), v.as_str()))
            }
            _ => None,
        })
    }

    /// Restricts the selection to the object with this name.
    pub fn name(&mut self, name: &str) {
        self.fields.push(("metadata.name".to_owned(), true, name.to_owned()));
    }

    /// Returns whether an object matches the selection.
    pub fn matches(&self, kind: Kind, object: &Value) -> Result<bool, Failure> {
        for (path, equal, wanted) in &self.fields {
            if (value_of(kind, object, path)? == *wanted) != *equal {
                return Ok(false);
            }
        }
        let labels = &object["metadata"]["labels"];
        Ok(self.labels.iter().all(|l| match l {
            Label::Exists(key, yes) => labels[key].is_string() == *yes,
            Label::In(key, yes, values) => labels[key].as_str().is_some_and(|v| values.iter().any(|w| w == v)) == *yes,
        }))
    }
}

fn value_of(kind: Kind, object: &Value, path: &str) -> Result<String, Failure> {
    let pointer = match (kind, path) {
        (_, "metadata.name") => return Ok(meta_text(object, "name").to_owned()),
        (_, "metadata.namespace") => return Ok(meta_text(object, "namespace").to_owned()),
        (Kind::Pod, "spec.nodeName" | "status.phase" | "status.podIP" | "spec.restartPolicy")
        | (
            Kind::Event,
            "reason"
            | "type"
            | "involvedObject.kind"
            | "involvedObject.name"
            | "involvedObject.namespace"
            | "involvedObject.uid",
        )
        | (Kind::Secret, "type")
        | (Kind::Namespace, "status.phase") => format!("/{}", path.replace('.', "/")),
        _ => return Err(Failure::bad_request(format!("field label not supported: {path}"))),
    };
    Ok(object.pointer(&pointer).and_then(Value::as_str).unwrap_or_default().to_owned())
}

/// Splits a selector at the commas outside parentheses.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => (),
        }
    }
    parts.push(&text[start..]);
    parts.into_iter().map(str::trim).filter(|p| !p.is_empty()).collect()
}

fn label(text: &str) -> Result<Label, Failure> {
    let parts: Vec<&str> = text.splitn(3, ' ').collect();
    if let [key, operator @ ("in" | "notin"), values] = parts.as_slice() {
        let values =
            values.trim().strip_prefix('(').and_then(|v| v.strip_suffix(')')).ok_or_else(|| unparsable(text))?;
        return Ok(Label::In(
            (*key).to_owned(),
            *operator == "in",
            values.split(',').map(|v| v.trim().to_owned()).collect(),
        ));
    }
    for (sign, yes) in [("!=", false), ("==", true), ("=", true)] {
        if let Some((key, value)) = text.split_once(sign) {
            return Ok(Label::In(key.trim().to_owned(), yes, vec![value.trim().to_owned()]));
        }
    }
    match text.strip_prefix('!') {
        Some(key) => Ok(Label::Exists(key.trim().to_owned(), false)),
        None if text.contains(' ') => Err(unparsable(text)),
        None => Ok(Label::Exists(text.to_owned(), true)),
    }
}

fn field(text: &str) -> Result<(String, bool, String), Failure> {
    for (sign, yes) in [("!=", false), ("==", true), ("=", true)] {
        if let Some((path, value)) = text.split_once(sign) {
            return Ok((path.trim().to_owned(), yes, value.trim().to_owned()));
        }
    }
    Err(unparsable(text))
}

fn unparsable(text: &str) -> Failure {
    Failure::bad_request(format!("unable to parse requirement: {text}"))
}
