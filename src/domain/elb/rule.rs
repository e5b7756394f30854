//! Represents the conditions and transforms of a rule. A write of a route does not change them; only a new rule that
//! copies them needs them.

use serde::{Deserialize, Serialize};

/// The parts of a rule beside its actions and its priority.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleConfig {
    /// The conditions, all of which a request must meet; empty for a default action.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub conditions: Vec<Condition>,
    /// The transforms of the requests that match.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub transforms: Vec<Transform>,
    /// The element that this build does not know, so that the rule cannot be copied.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unknown: Option<String>,
}

impl RuleConfig {
    /// Whether this is the configuration of a default action.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A condition of a rule. A request must meet one of the values.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// The field, such as `path-pattern`.
    pub field: String,
    /// The name of the header; only with the field `http-header`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub header_name: Option<String>,
    /// The type of IP addresses; only with the field `source-ip`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ip_address_type: Option<String>,
    /// The values.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub values: Vec<ConditionValue>,
}

/// A value of a condition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ConditionValue {
    /// A text, in which `*` and `?` may be wildcards.
    Plain(String),
    /// A regular expression.
    Regex(String),
    /// A pair of a query string: the key, if the condition has one, and the value.
    Pair(Option<String>, String),
}

impl ConditionValue {
    /// Returns the text; `None` for a regular expression or a pair.
    fn text(&self) -> Option<&str> {
        if let Self::Plain(text) = self { Some(text) } else { None }
    }
}

/// A transform of the requests that match a rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Transform {
    /// The type, such as `url-rewrite`.
    pub kind: String,
    /// The regular expressions, each with its replacement.
    pub rewrites: Vec<(String, String)>,
}

impl Condition {
    /// Returns the condition that a header has this value.
    pub fn header(name: &str, value: &str) -> Self {
        Self {
            field: "http-header".to_owned(),
            header_name: Some(name.to_owned()),
            ip_address_type: None,
            values: vec![ConditionValue::Plain(value.to_owned())],
        }
    }

    /// Returns the condition with other values.
    #[must_use]
    pub fn with_values(&self, values: &[ConditionValue]) -> Self {
        Self { values: values.to_vec(), ..self.clone() }
    }

    /// Returns the texts of the values; `None` if a value is a regular expression or a pair.
    pub fn texts(&self) -> Option<Vec<&str>> {
        self.values.iter().map(ConditionValue::text).collect()
    }
}

/// Whether two lists of conditions match the same requests. AWS does not guarantee an order of conditions and values.
pub fn same_conditions(one: &[Condition], other: &[Condition]) -> bool {
    let sorted = |all: &[Condition]| {
        let mut all: Vec<_> = all
            .iter()
            .map(|c| {
                let mut values = c.values.clone();
                values.sort_unstable();
                (c.field.clone(), c.header_name.as_deref().map(str::to_ascii_lowercase), values)
            })
            .collect();
        all.sort_unstable();
        all
    };
    sorted(one) == sorted(other)
}
