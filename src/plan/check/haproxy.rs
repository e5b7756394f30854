//! Checks routes on HAProxy, and converts each instance to an entry of the model.

use super::routes::UsedGroups;
use super::{Diagnostic, Placed, PlanContext, UniqueValues, note};
use crate::base::finding::Code;
use crate::base::haproxy::Backend;
use crate::plan::decode::Table;
use crate::plan::diagnostic::Place;
use crate::plan::file::Haproxy;
use crate::plan::model::{RouteEntry, Selector};
use crate::plan::scalar::OnReload;

/// The name of each cluster's group, with its place.
type Names = Vec<(String, (String, Place))>;

/// Returns one entry for each instance; `None` if a field could not be decoded.
pub(super) fn entries(
    at: &Placed<Haproxy>,
    scope: &PlanContext,
    groups: &mut UsedGroups,
    out: &mut Vec<Diagnostic>,
) -> Option<Vec<RouteEntry>> {
    let Haproxy { instances, backend, servers, map, reload } = &at.value;
    let reasserts = reload.as_ref()?.value == OnReload::Reassert;
    let mut addresses = UniqueValues::new("instances are", Code::CUT019);
    for address in instances.iter().flat_map(|all| &all.value) {
        addresses.check_value(&address.value.0, address.place, out);
    }
    if let Some(none) = instances.as_ref().filter(|all| all.value.is_empty()) {
        note(out, Code::CUT004, none.head, "`instances` names no instance").help(
            "add the address of each instance's runtime API: `tcp://HOST:PORT`, `unix:PATH` or `dns://NAME:PORT`",
        );
    }
    if let (None, Some(backend)) = (servers, backend.as_ref().filter(|_| at.complete)) {
        note(out, Code::CUT004, backend.head, "`haproxy` has no `servers`")
            .help("add `servers: {CLUSTER: GLOB, …}`: the names of the servers of each cluster")
            .unknown();
    }
    if let (Some(servers), Some(_)) = (servers, map) {
        note(out, Code::CUT004, servers.head, "`servers` needs `backend`, but this entry has `map`")
            .help("remove `servers`: `map.backends` names the backend of each cluster");
        return None;
    }
    let names = match (servers, map) {
        (Some(table), None) => names(table, ("servers", "*"), |glob| glob.0.clone(), scope, out),
        (None, Some(map)) => names(map.value.backends.as_ref()?, ("backends", ""), |name| name.0.clone(), scope, out),
        _ => return None,
    };
    let mut checked = Vec::new();
    for address in &instances.as_ref()?.value {
        let address = address.value.0.clone();
        let route = match (backend, map) {
            (Some(backend), _) => Backend { address, name: backend.value.0.clone() },
            (None, Some(map)) => Backend::of_map(&address, &map.value.file.as_ref()?.value.0),
            (None, None) => return None,
        };
        for (cluster, (name, place)) in &names {
            check_use(&route, cluster, name, *place, groups, out);
        }
        let selectors = names.iter().map(|(cluster, (name, _))| (cluster.clone(), Selector::Arn(route.group(name))));
        checked.push(RouteEntry { reasserts, ..RouteEntry::of_arns(&route.id(), selectors.collect()) });
    }
    Some(checked)
}

/// Adds an error if another cluster or entry has these servers already.
fn check_use(
    route: &Backend,
    cluster: &str,
    name: &str,
    place: Place,
    groups: &mut UsedGroups,
    out: &mut Vec<Diagnostic>,
) {
    let Some((owner, first)) = groups.first_use(&route.group(name), cluster, place) else { return };
    let label = route.label();
    let message = format!("`{name}` of {label} already belongs to cluster `{owner}` on line {}", first.line);
    note(out, Code::CUT018, place, message)
        .help("each cluster has servers of its own, and a backend belongs to one route entry");
}

/// Returns one name per cluster, in the order of the clusters.
fn names<T>(
    table: &Placed<Table<T>>,
    (field, suffix): (&str, &str),
    text: impl Fn(&T) -> String,
    scope: &PlanContext,
    out: &mut Vec<Diagnostic>,
) -> Names {
    for (cluster, _) in &table.value.0 {
        scope.check_cluster(&cluster.value, cluster.place, out);
    }
    let of = |cluster: &String| table.value.0.iter().find(|(name, _)| name.value == *cluster);
    for cluster in scope.clusters.iter().filter(|c| of(c).is_none()) {
        note(out, Code::CUT017, table.head, format!("no {field} for cluster `{cluster}`"))
            .help(format!("add `{cluster}: \"webapp-{cluster}{suffix}\"` to `{field}`"));
    }
    let named = |cluster: &String| {
        let name = of(cluster)?.1.as_ref()?;
        Some((cluster.clone(), (text(&name.value), name.place)))
    };
    scope.clusters.iter().filter_map(named).collect()
}
