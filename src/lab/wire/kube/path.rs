//! Parses the path and the query of a request.

use std::collections::BTreeMap;

use crate::lab::objects::{Resource, resources};
use crate::lab::wire::query::decode;

/// The query parameters of a request.
#[derive(Debug, Clone, Default)]
pub struct Query(BTreeMap<String, String>);

impl Query {
    /// Parses the text after `?`.
    pub fn parse(text: &str) -> Self {
        let pair = |p: &str| p.split_once('=').map_or((decode(p), String::new()), |(k, v)| (decode(k), decode(v)));
        Self(text.split('&').filter(|p| !p.is_empty()).map(pair).collect())
    }

    /// Returns a parameter; empty if the request does not have it.
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// Returns whether a boolean parameter is true.
    pub fn is(&self, name: &str) -> bool {
        matches!(self.get(name), "true" | "1")
    }

    /// Returns whether the request is a dry run (`dryRun=All`).
    pub fn dry_run(&self) -> bool {
        self.get("dryRun") == "All"
    }
}

/// The resource that a path names: a collection, an object, or a subresource.
#[derive(Debug, Clone)]
pub struct ResourcePath {
    /// The API resource of the objects.
    pub resource: &'static Resource,
    /// The namespace; `None` for all namespaces and for a cluster-scoped kind.
    pub namespace: Option<String>,
    /// The name of the object; `None` for the collection.
    pub name: Option<String>,
    /// The subresource, `status` or `scale`.
    pub subresource: Option<String>,
}

impl ResourcePath {
    /// Returns the namespace for calls of `Objects`; empty for a cluster-scoped kind.
    pub fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or_default()
    }
}

/// Returns whether a path names an API group that is not served. Such a request gets the 404 of the web server and not
/// an API error.
pub fn unknown_group(path: &str, auto_mode: bool) -> bool {
    let mut parts = path.split('/').filter(|p| !p.is_empty());
    let group = (parts.next() == Some("apis")).then(|| parts.next()).flatten();
    group.is_some_and(|group| resources(auto_mode).all(|r| r.group != group))
}

/// Parses a path; `None` if the path is not served.
pub fn parse_path(path: &str, auto_mode: bool) -> Option<ResourcePath> {
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
        Some("status") if resource.has_status => (),
        Some("scale") if resource.has_scale => (),
        Some(_) => return None,
    }
    Some(ResourcePath { resource, namespace, name: rest.first().map(|n| decode(n)), subresource })
}
