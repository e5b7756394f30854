//! Represents the ids of routes.

use std::fmt;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Identifies a route (the default action of a listener, or a rule) by the id that the vendor assigned, which is an ARN
/// at AWS.
///
/// Route ids are sorted by the vendor's id. In JSON a route id is one string, `default:ID` or `rule:ID`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteId {
    id: String,
    kind: RouteKind,
}

/// The kind of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RouteKind {
    /// A default action, which handles the requests that match no rule.
    Default,
    /// A rule, which handles the requests that match its conditions.
    Rule,
}

impl RouteId {
    /// Returns the id of the default action of the listener `id`.
    pub fn default_route(id: impl Into<String>) -> Self {
        Self { id: id.into(), kind: RouteKind::Default }
    }

    /// Returns the id of the rule `id`.
    pub fn rule(id: impl Into<String>) -> Self {
        Self { id: id.into(), kind: RouteKind::Rule }
    }

    /// Returns the kind of the route.
    pub fn kind(&self) -> RouteKind {
        self.kind
    }

    /// Returns the id that the vendor assigned.
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl RouteKind {
    fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Rule => "rule",
        }
    }
}

impl fmt::Display for RouteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.id)
    }
}

impl Serialize for RouteId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}:{}", self.kind.name(), self.id))
    }
}

impl<'de> Deserialize<'de> for RouteId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.split_once(':') {
            Some(("default", id)) => Ok(Self::default_route(id)),
            Some(("rule", id)) => Ok(Self::rule(id)),
            _ => Err(D::Error::custom(format!("`{text}` is not a valid route: `default:ID` or `rule:ID` is expected"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn route_id_is_one_string_in_json() {
        for route in [RouteId::default_route("a:b/c"), RouteId::rule("a:b/c/d")] {
            let json = serde_json::to_string(&route).unwrap();
            assert_eq!(serde_json::from_str::<RouteId>(&json).unwrap(), route, "{json}");
            assert_eq!(route.to_string(), route.id());
        }
        assert!(serde_json::from_str::<RouteId>("\"arn:aws:x\"").is_err());
    }
}
