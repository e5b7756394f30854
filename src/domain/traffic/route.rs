//! Identifies routes.

use std::fmt;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Identifies a route, the unit that is written, by the id that its vendor assigned.
///
/// Route ids are ordered by that id. In JSON a route id is one string, `default:ID` or `rule:ID`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteId {
    id: String,
    kind: RouteKind,
}

/// Which requests a route handles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RouteKind {
    /// Requests that no other route handles.
    Default,
    /// Requests that fulfil its conditions.
    Rule,
}

impl RouteId {
    /// Returns the route for requests that no other route handles.
    pub fn default_route(id: impl Into<String>) -> Self {
        Self { id: id.into(), kind: RouteKind::Default }
    }

    /// Returns a route with conditions.
    pub fn rule(id: impl Into<String>) -> Self {
        Self { id: id.into(), kind: RouteKind::Rule }
    }

    /// Returns which requests it handles.
    pub fn kind(&self) -> RouteKind {
        self.kind
    }

    /// Returns the vendor's id.
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
    fn a_route_is_one_string_in_json() {
        for route in [RouteId::default_route("a:b/c"), RouteId::rule("a:b/c/d")] {
            let json = serde_json::to_string(&route).unwrap();
            assert_eq!(serde_json::from_str::<RouteId>(&json).unwrap(), route, "{json}");
            assert_eq!(route.to_string(), route.id());
        }
        assert!(serde_json::from_str::<RouteId>("\"arn:aws:x\"").is_err());
    }
}
