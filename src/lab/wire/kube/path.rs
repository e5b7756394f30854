//! What a request asks for: its path and query, taken apart.

use std::collections::BTreeMap;

use crate::lab::objects::{Resource, resources};
use crate::lab::wire::query::decode;

/// A request's query.
#[derive(Debug, Clone, Default)]
pub struct Query(BTreeMap<String, String>);

impl Query {
    /// Takes the text after `?` apart.
    pub fn parse(text: &str) -> Self {
        let pair = |p: &str| p.split_once('=').map_or((decode(p), String::new()), |(k, v)| (decode(k), decode(v)));
        Self(text.split('&').filter(|p| !p.is_empty()).map(pair).collect())
    }

    /// A parameter; empty where it is missing.
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// A parameter that is on or off.
    pub fn is(&self, name: &str) -> bool {
        matches!(self.get(name), "true" | "1")
    }

    /// `dryRun=All`.
    pub fn dry_run(&self) -> bool {
        self.get("dryRun") == "All"
    }
}

/// Objects that a path names: a collection, an object, or a part of one.
#[derive(Debug, Clone)]
pub struct Place {
    /// The kind.
    pub resource: &'static Resource,
    /// The namespace; `None`: all of them, or the kind lives in none.
    pub namespace: Option<String>,
    /// The object; `None`: the collection.
    pub name: Option<String>,
    /// `status`, `scale`.
    pub subresource: Option<String>,
}

impl Place {
    /// The namespace as the store wants it: empty where the kind lives in none.
    pub fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or_default()
    }
}

/// Whether a path leads to an API group that is not served at all: that is no API's answer, but the web server's.
pub fn unknown_group(path: &str, auto_mode: bool) -> bool {
    let mut parts = path.split('/').filter(|p| !p.is_empty());
    let group = (parts.next() == Some("apis")).then(|| parts.next()).flatten();
    group.is_some_and(|group| resources(auto_mode).all(|r| r.group != group))
}

/// Finds what a path names; `None`: nothing that is served.
pub fn place(path: &str, auto_mode: bool) -> Option<Place> {
    let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
    let (group, version, rest) = match parts.as_slice() {
        ["api", version, rest @ ..] => ("", *version, rest),
        ["apis", group, version, rest @ ..] => (*group, *version, rest),
        _ => return None,
    };
    let (namespace, plural, rest) = match rest {
        ["namespaces", namespace, plural, rest @ ..] if !matches!(*plural, "status" | "finalize") => {
            (Some(decode(namespace)), *plural, rest)
        }
        [plural, rest @ ..] => (None, *plural, rest),
        [] => return None,
    };
    let resource = resources(auto_mode).find(|r| r.group == group && r.version == version && r.plural == plural)?;
    let named = !rest.is_empty();
    if rest.len() > 2
        || (namespace.is_some() && !resource.namespaced)
        || (resource.namespaced && named && namespace.is_none())
    {
        return None;
    }
    let subresource = rest.get(1).map(|s| (*s).to_owned());
    match subresource.as_deref() {
        None => (),
        Some("status") if resource.status => (),
        Some("scale") if resource.scale => (),
        Some(_) => return None,
    }
    Some(Place { resource, namespace, name: rest.first().map(|n| decode(n)), subresource })
}
