//! Pairs the groups of `from` with the groups of `to`: the text that `*` matches must be equal in both names.

use std::collections::{BTreeMap, BTreeSet};

use wildmatch::WildMatch;

use super::model::{GroupPair, InitError, InitFacts, InitRequest, plan_name, routes, routes_by_group};
use crate::domain::elb::balancer::TargetGroup;

pub(super) fn find(request: &InitRequest, seen: &InitFacts) -> Result<Vec<GroupPair>, InitError> {
    let attached: Vec<&TargetGroup> =
        seen.groups.iter().filter(|g| g.load_balancers.contains(&seen.load_balancer.arn)).collect();
    let free: Vec<&TargetGroup> = seen.groups.iter().filter(|g| g.load_balancers.is_empty()).collect();
    let old = matching(&request.from, &attached);
    let new = matching(&request.to, &[attached.as_slice(), free.as_slice()].concat());
    for (globs, found) in [(&request.from, &old), (&request.to, &new)] {
        if found.is_empty() {
            return Err(InitError::NoGroup { globs: globs.clone(), there: names(&attached) });
        }
    }
    let carried = routes_by_group(seen);
    let carries = |g: &TargetGroup| carried.contains_key(g.arn.as_str());
    if !old.iter().any(|m| carries(m.group)) {
        return Err(InitError::CarriesNothing {
            from: old.iter().map(|m| m.group.name.clone()).collect(),
            load_balancer: seen.load_balancer.name.clone(),
            swapped: new.iter().any(|m| carries(m.group)),
        });
    }
    let mut pairs = Vec::new();
    for matched in old.iter().filter(|m| carries(m.group)) {
        if let Some(partner) = partner(request, matched, &old, &new) {
            pairs.push(GroupPair {
                workload: String::new(),
                from: matched.group.clone(),
                to: partner.clone(),
                actions: carried.get(matched.group.arn.as_str()).map_or(0, Vec::len),
            });
        }
    }
    if pairs.is_empty() {
        let from = old.iter().map(|m| m.group.name.clone()).collect();
        let there = new.iter().map(|m| m.group.name.clone()).collect();
        return Err(InitError::NoPair { from, globs: request.to.clone(), there });
    }
    name_workloads(request, &mut pairs);
    check_routes(seen, &pairs)?;
    Ok(pairs)
}

/// A group that a glob matches, and the part of the group's name that `*` matches.
struct Matched<'a> {
    group: &'a TargetGroup,
    glob: usize,
    star: Option<String>,
}

fn matching<'a>(globs: &[String], groups: &[&'a TargetGroup]) -> Vec<Matched<'a>> {
    let mut found: Vec<Matched<'a>> = Vec::new();
    for (glob, text) in globs.iter().enumerate() {
        let pattern = WildMatch::new(text);
        for group in groups.iter().filter(|g| pattern.matches(&g.name)) {
            if !found.iter().any(|m| m.group.arn == group.arn) {
                found.push(Matched { group, glob, star: star_text(text, &group.name) });
            }
        }
    }
    found.sort_by(|a, b| a.group.name.cmp(&b.group.name));
    found
}

/// Returns the part of a name that the only `*` of a glob matches; `None` for a glob without `*` or with several
/// wildcards.
pub(super) fn star_text(glob: &str, name: &str) -> Option<String> {
    let (prefix, suffix) = glob.split_once('*').filter(|(p, s)| !p.contains('?') && !s.contains(['*', '?']))?;
    Some(name.strip_prefix(prefix)?.strip_suffix(suffix)?.to_owned())
}

/// Returns the group of `to` that pairs with a group of `from`. If both have equally many globs, the globs pair in
/// order. Without `*`, a single group pairs with a single group.
fn partner<'a>(
    request: &InitRequest,
    matched: &Matched<'_>,
    old: &[Matched<'_>],
    new: &[Matched<'a>],
) -> Option<&'a TargetGroup> {
    let in_order = request.from.len() == request.to.len();
    let side = |m: &&Matched<'_>| !in_order || m.glob == matched.glob;
    let of: Vec<&Matched<'a>> = new.iter().filter(side).filter(|m| m.group.arn != matched.group.arn).collect();
    if matched.star.is_some() && of.iter().any(|m| m.star.is_some()) {
        return of.iter().find(|m| m.star == matched.star).map(|m| m.group);
    }
    match (of.as_slice(), old.iter().filter(side).count()) {
        ([one], 1) => Some(one.group),
        _ => None,
    }
}

/// Names each workload after the part of the group's name that `*` matches, or after the group.
fn name_workloads(request: &InitRequest, pairs: &mut [GroupPair]) {
    let mut used = BTreeSet::new();
    for pair in pairs {
        let starred = request.from.iter().find_map(|glob| star_text(glob, &pair.from.name));
        let base = plan_name(starred.as_deref().unwrap_or(&pair.from.name), "workload");
        let mut name = base.clone();
        let mut number = 2;
        while !used.insert(name.clone()) {
            name = format!("{base}-{number}");
            number += 1;
        }
        pair.workload = name;
    }
}

/// Checks that no route forwards to both groups of a pair or to groups of two pairs.
fn check_routes(seen: &InitFacts, pairs: &[GroupPair]) -> Result<(), InitError> {
    let by_from: BTreeMap<&str, &GroupPair> = pairs.iter().map(|p| (p.from.arn.as_str(), p)).collect();
    let mut split = Vec::new();
    for route in routes(seen) {
        let live = &route.content.split;
        let here: Vec<&&GroupPair> =
            live.ids().filter(|id| live.carries(id)).filter_map(|id| by_from.get(id.as_str())).collect();
        if here.len() > 1 {
            let groups = here.iter().map(|p| p.from.name.clone()).collect();
            return Err(InitError::Shared { route: route.label(), groups });
        }
        if here.iter().any(|p| live.carries(&p.to.arn)) {
            split.push(route.label());
        }
    }
    if split.is_empty() { Ok(()) } else { Err(InitError::Split { routes: split }) }
}

fn names(groups: &[&TargetGroup]) -> Vec<String> {
    groups.iter().map(|g| g.name.clone()).collect()
}
