//! Prepares a rollback from names that an operator gives: groups that get the traffic, and groups that lose the traffic.
//! Names of target groups are matched against the ARNs in the actions; sets of servers are named by their ids.

use std::collections::{BTreeMap, BTreeSet};

use wildmatch::WildMatch;

use super::header_rules::is_header_rule;
use super::{EmergencyError, LoadBalancerReading, PreparedRollback, clusters, other_type};
use super::{prepared_rollback, route_start};
use crate::base::arn::short;
use crate::domain::traffic::{Limits, Split, shares};
use crate::plan::suggest::near_name;

/// The ARNs of a group that gets traffic and of the group that loses this traffic, in this order.
type Pair<'a> = (&'a str, &'a str);

/// Prepares a rollback that moves the traffic of each group that matches `away_from` to a group that matches `back_to`.
/// If both lists have the same length, the globs at the same position form a pair. Otherwise each glob of one list
/// forms a pair with each glob of the other list. The text that `*` matches must be equal in both names of a pair.
///
/// # Errors
/// [`EmergencyError`] if no group of this load balancer matches the names, if the destination of the traffic is not
/// clear, or if cutover does not move the traffic of a load balancer of this type.
pub fn prepare(
    seen: &LoadBalancerReading,
    back_to: &[String],
    away_from: &[String],
) -> Result<PreparedRollback, EmergencyError> {
    let all = std::slice::from_ref(seen);
    match other_type::refuse(all) {
        Some(refusal) => Err(refusal),
        None => rollback(all, &pairs(seen, back_to, away_from)?),
    }
}

/// Prepares a rollback that moves the traffic between groups that are named by their ids: for each pair, from the second
/// to the first.
///
/// # Errors
/// [`EmergencyError`] if no route forwards to the groups, or if the destination of the traffic is not clear.
pub fn prepare_by_ids(
    seen: &[LoadBalancerReading],
    pairs: &[(String, String)],
) -> Result<PreparedRollback, EmergencyError> {
    rollback(seen, &pairs.iter().map(|(back, away)| (back.as_str(), away.as_str())).collect())
}

fn rollback(seen: &[LoadBalancerReading], pairs: &BTreeSet<Pair<'_>>) -> Result<PreparedRollback, EmergencyError> {
    if let Some((both, _)) = pairs.iter().find(|(back, _)| pairs.iter().any(|(_, away)| away == back)) {
        return Err(EmergencyError::Both(short(both).to_owned()));
    }
    let (mut routes, mut unclear) = (Vec::new(), Vec::new());
    for (reading, live) in seen.iter().flat_map(|reading| reading.routes().map(move |live| (reading, live))) {
        let Some(now) = live.forwards().filter(|_| !is_header_rule(live)) else { continue };
        match destination(now, pairs, live.limits) {
            RouteDestination::Nothing => {}
            RouteDestination::Route(groups, split) => routes.push(route_start(reading, live, &split, groups)),
            RouteDestination::Unclear(why) => unclear.push(format!("{}: {why}", live.label())),
        }
    }
    if routes.is_empty() {
        let names: BTreeSet<_> = pairs.iter().map(|(_, away)| short(away)).collect();
        let none = EmergencyError::NoRoute(names.into_iter().collect::<Vec<_>>().join(", "));
        return Err(unclear.into_iter().next().map_or(none, EmergencyError::Unclear));
    }
    Ok(prepared_rollback(seen, routes, unclear))
}

/// Combines the names at the same position of two lists of the same length; otherwise each name of one list with each
/// name of the other list.
pub fn combined<'a>(back_to: &'a [String], away_from: &'a [String]) -> Vec<(&'a String, &'a String)> {
    if back_to.len() == away_from.len() {
        return back_to.iter().zip(away_from).collect();
    }
    back_to.iter().flat_map(|back| away_from.iter().map(move |away| (back, away))).collect()
}

fn pairs<'a>(
    seen: &'a LoadBalancerReading,
    back_to: &[String],
    away_from: &[String],
) -> Result<BTreeSet<Pair<'a>>, EmergencyError> {
    let names = seen.names();
    let mut all = BTreeSet::new();
    for (back_glob, away_glob) in combined(back_to, away_from) {
        for (away, name) in &names {
            let Some(meant) = star_match(away_glob, name) else { continue };
            let partners =
                names.iter().filter(|(arn, name)| *arn != away && star_match(back_glob, name) == Some(meant));
            all.extend(partners.map(|(back, _)| (*back, *away)));
        }
    }
    if all.is_empty() {
        let there = names.values().copied().collect::<Vec<_>>().join(", ");
        let why = why_no_pair(&names, back_to, away_from);
        return Err(EmergencyError::NoPair { back_to: back_to.join(","), away_from: away_from.join(","), why, there });
    }
    Ok(all)
}

/// Returns the first glob that matches no group, with the nearest name; otherwise the rule about `*`.
fn why_no_pair(names: &BTreeMap<&str, &str>, back_to: &[String], away_from: &[String]) -> String {
    let matches = |glob: &&String| names.values().any(|name| star_match(glob, name).is_some());
    let Some(glob) = back_to.iter().chain(away_from).find(|glob| !matches(glob)) else {
        return "the text that `*` matches must be equal in both names".to_owned();
    };
    let near = near_name(glob, names.values().copied());
    let near = near.map_or_else(String::new, |near| format!(" (did you mean {near}?)"));
    format!("no target group is named {glob}{near}")
}

/// Returns the text that the only `*` of a glob matches in a name; `None` if the name does not match. The text is empty
/// for a glob with no `*` or with several, so that such globs pair with each other.
fn star_match<'n>(glob: &str, name: &'n str) -> Option<&'n str> {
    if !WildMatch::new(glob).matches(name) {
        return None;
    }
    match glob.split_once('*') {
        Some((head, tail)) if !tail.contains('*') => name.strip_prefix(head).and_then(|rest| rest.strip_suffix(tail)),
        _ => Some(""),
    }
}

/// The destination of a route's traffic.
enum RouteDestination {
    /// The route does not use the named groups.
    Nothing,
    /// The groups of the route by cluster, and the split to write.
    Route(BTreeMap<String, String>, Split),
    /// The route uses the named groups, but the destination is not clear for this reason.
    Unclear(String),
}

fn destination(now: &Split, pairs: &BTreeSet<Pair<'_>>, limits: Limits) -> RouteDestination {
    let attached = |arn: &str| now.weight(arn).is_some();
    let has_weight = |arn: &str| now.carries(arn);
    let attached_away: BTreeSet<_> = pairs.iter().map(|(_, away)| *away).filter(|away| attached(away)).collect();
    let groups_with_traffic: Vec<_> = attached_away.iter().copied().filter(|away| has_weight(away)).collect();
    let partners = |attached_only: bool| -> BTreeSet<&str> {
        let of = |away: &str| {
            if groups_with_traffic.is_empty() {
                attached_away.contains(away)
            } else {
                groups_with_traffic.contains(&away)
            }
        };
        pairs
            .iter()
            .filter(|(back, away)| of(away) && (!attached_only || attached(back)))
            .map(|(back, _)| *back)
            .collect()
    };
    let known = partners(true);
    let any = if known.is_empty() && !groups_with_traffic.is_empty() { partners(false) } else { known };
    let (Some(back), 1) = (any.first().copied(), any.len()) else {
        return match any.len() {
            0 => RouteDestination::Nothing,
            _ => RouteDestination::Unclear(format!(
                "the traffic of this route could go to {}",
                any.into_iter().map(short).collect::<Vec<_>>().join(" or ")
            )),
        };
    };
    if groups_with_traffic.is_empty() && !has_weight(back) {
        return RouteDestination::Nothing;
    }
    let groups = clusters(
        &std::iter::once((back.to_owned(), true))
            .chain(attached_away.iter().map(|a| ((*a).to_owned(), false)))
            .collect::<Vec<_>>(),
    );
    let managed: Vec<_> = groups.iter().map(|(c, arn)| (c.clone(), arn.clone())).collect();
    let wanted = groups.iter().map(|(c, arn)| (c.clone(), if arn == back { 100 } else { 0 })).collect();
    match shares::split_for(now, &managed, &wanted, limits) {
        Ok(split) => RouteDestination::Route(groups, split),
        Err(why) => RouteDestination::Unclear(why.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixture::{self, live_resources};
    use crate::domain::run::header_rule::TAG_KEY;
    use crate::domain::traffic::Member;

    fn arn(name: &str) -> String {
        format!("arn:aws:elasticloadbalancing:ap-northeast-2:123456789012:targetgroup/{name}/00000000000000aa")
    }

    /// Returns the fixture's load balancer, where every forwarding route uses these groups, and AWS lists no group.
    fn seen(weights: &[(&str, Option<u16>)]) -> LoadBalancerReading {
        let mut listeners = live_resources().listeners.remove(fixture::LB).and_then(Result::ok).unwrap();
        let split = Split { members: weights.iter().map(|(name, weight)| Member::new(arn(name), *weight)).collect() };
        for route in listeners.iter_mut().flat_map(|(_, routes)| routes) {
            if route.forwards().is_some() {
                route.content.split = split.clone();
            }
        }
        let load_balancer = fixture::load_balancer();
        LoadBalancerReading {
            at: jiff::Timestamp::UNIX_EPOCH,
            load_balancer,
            listeners,
            groups: Vec::new(),
            health: BTreeMap::new(),
            skipped: Vec::new(),
        }
    }

    fn globs(text: &str) -> Vec<String> {
        text.split(',').map(str::to_owned).collect()
    }

    /// Returns the weights that the rollback sets on every route.
    fn weights_after_rollback(
        seen: &LoadBalancerReading,
        back_to: &str,
        away_from: &str,
    ) -> Result<Vec<(String, Option<u16>)>, EmergencyError> {
        let prepared = prepare(seen, &globs(back_to), &globs(away_from))?;
        assert_eq!(prepared.started.routes.len(), seen.routes().filter(|r| r.forwards().is_some()).count());
        let all: BTreeSet<_> = prepared
            .started
            .routes
            .iter()
            .map(|r| {
                let member = |m: &Member| (short(&m.id).to_owned(), m.weight);
                r.content.split.members.iter().map(member).collect::<Vec<_>>()
            })
            .collect();
        assert_eq!(all.len(), 1, "{all:?}");
        Ok(all.into_iter().next().unwrap())
    }

    fn of(weights: &[(&str, u16)]) -> Vec<(String, Option<u16>)> {
        weights.iter().map(|(name, weight)| ((*name).to_owned(), Some(*weight))).collect()
    }

    #[test]
    fn a_name_that_no_group_has_is_said_with_the_nearest_one() {
        let half = seen(&[("shop-old", Some(50)), ("shop-new", Some(50))]);
        let why = |back_to: &str, away_from: &str| {
            prepare(&half, &globs(back_to), &globs(away_from)).expect_err("no pair").to_string()
        };
        let misspelt = why("shop-odl", "shop-new");
        assert!(misspelt.contains(": no target group is named shop-odl (did you mean shop-old?). The"), "{misspelt}");
        let paired = why("*-old", "sho*-new");
        assert!(paired.contains("the text that `*` matches must be equal in both names"), "{paired}");
    }

    #[test]
    fn group_that_only_an_action_names_is_found() {
        let half = seen(&[("shop-old", Some(0)), ("shop-new", Some(100)), ("other", Some(50))]);
        assert_eq!(
            weights_after_rollback(&half, "shop-old", "shop-new"),
            Ok(of(&[("shop-old", 100), ("shop-new", 0), ("other", 50)]))
        );
        assert_eq!(
            weights_after_rollback(&half, "*-old", "*-new"),
            Ok(of(&[("shop-old", 100), ("shop-new", 0), ("other", 50)]))
        );
        let prepared = prepare(&half, &globs("shop-old"), &globs("shop-new")).unwrap();
        assert_eq!(
            prepared.started.groups.values().map(|g| g.name.as_str()).collect::<BTreeSet<_>>(),
            ["shop-new", "shop-old"].into()
        );
    }

    /// Regression test: with lists of different lengths, groups without a group at the same position of the other list
    /// kept their traffic.
    #[test]
    fn every_named_group_loses_its_traffic() {
        let three = seen(&[("a", Some(10)), ("b", Some(60)), ("c", Some(30))]);
        assert_eq!(weights_after_rollback(&three, "a", "b,c"), Ok(of(&[("a", 100), ("b", 0), ("c", 0)])));
    }

    #[test]
    fn names_without_a_clear_direction_are_refused() {
        let half = seen(&[("shop-old", Some(50)), ("shop-new", Some(50))]);
        assert_eq!(
            weights_after_rollback(&half, "shop-old,shop-new", "shop-new,shop-old"),
            Err(EmergencyError::Both("shop-new".into()))
        );
        assert!(
            matches!(weights_after_rollback(&half, "shop-old", "*-b"), Err(EmergencyError::NoPair { there, .. }) if there == "shop-new, shop-old")
        );
        let three = seen(&[("a", Some(0)), ("b", Some(0)), ("c", Some(30))]);
        assert!(
            matches!(weights_after_rollback(&three, "a,b", "c"), Err(EmergencyError::Unclear(why)) if why.contains("could go to a or b"))
        );
    }

    #[test]
    fn route_without_changes_is_part_of_the_rollback() {
        assert_eq!(
            weights_after_rollback(&seen(&[("a", Some(7)), ("b", Some(0))]), "a", "b"),
            Ok(of(&[("a", 7), ("b", 0)]))
        );
        assert!(matches!(
            weights_after_rollback(&seen(&[("a", Some(0)), ("b", Some(0)), ("c", Some(1))]), "a", "b"),
            Err(EmergencyError::NoRoute(_))
        ));
    }

    #[test]
    fn tagged_header_rule_is_removed_and_is_no_route() {
        let started_with = |tagged: bool| {
            let mut header = fixture::route(443, Some(14), fixture::forward(&[("webapp-b", 100)]));
            if tagged {
                header.tags.insert(TAG_KEY.to_owned(), "alpha-20260301-140200-k3f9 1".to_owned());
            }
            let half = fixture::forward(&[("webapp-a", 50), ("webapp-b", 50)]);
            let routes = vec![fixture::route(443, None, half), header];
            let reading = LoadBalancerReading::of(vec![(fixture::listener(443), routes)]);
            let names = |name: &str| vec![name.to_owned()];
            prepare(&reading, &names("webapp-a"), &names("webapp-b")).unwrap().started
        };
        let (found, without_tags) = (started_with(true), started_with(false));
        assert_eq!((found.routes.len(), found.header_rules.len()), (1, 1));
        assert_eq!((without_tags.routes.len(), without_tags.header_rules.len()), (2, 0));
    }
}
