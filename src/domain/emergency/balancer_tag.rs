//! Writes and reads a tag on a load balancer that replaces the tags of all routes of a run, if these tags are equal.
//! With this tag, a rollback from tags does not read the tags of a hundred rules before its first write.
//!
//! Format: `1 RUN ID=WEIGHT … all@ROUTES SUM`. The part before `all@` is the value of each route's tag. ROUTES is a
//! checksum over the ARNs of the routes. If the live routes are not exactly these routes, the tags of the routes are
//! used instead. If the tags of the routes differ, the value is `1 RUN`.

use std::collections::BTreeSet;

use super::route_tag::{self, RouteTag, checksum};
use crate::domain::elb::balancer::{Listener, LiveRoute};
use crate::domain::run::event::Started;

/// The text before ROUTES in the value of the tag.
const ALL: &str = " all@";

/// The parsed value of a load balancer's tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BalancerTag {
    /// The parsed value of the tag of each route.
    pub route_tag: RouteTag,
    /// The unparsed value of the tag of each route.
    text: String,
    /// The checksum over the ARNs of the routes.
    routes: String,
}

/// Returns the tag's value; `None` if the routes of this load balancer do not all have the same tag.
pub fn value(run: &str, started: &Started, load_balancer: &str) -> Option<String> {
    let routes: Vec<_> = started.routes.iter().filter(|r| r.load_balancer == load_balancer).collect();
    let values: BTreeSet<_> = routes.iter().map(|r| route_tag::value(run, started, r)).collect();
    let mut values = values.into_iter();
    let first = values.next()??;
    let (text, _) = first.rsplit_once(' ').filter(|_| values.next().is_none())?;
    let text = format!("{text}{ALL}{}", routes_checksum(routes.iter().map(|r| r.id.id())));
    let value = format!("{text} {}", checksum(&text));
    (value.len() <= route_tag::MAX_TAG_LENGTH).then_some(value)
}

/// Returns the tag's value for routes with different tags: the value names only the run.
pub fn run_only_value(run: &str) -> String {
    format!("1 {run}")
}

/// Returns the run that wrote a load balancer's tag.
pub fn run_of(value: &str) -> &str {
    value.split(' ').nth(1).unwrap_or_default()
}

/// Parses a tag's value; `None` if it is incomplete, damaged, or not written by this tool.
pub fn read(value: &str) -> Option<BalancerTag> {
    let (text, sum) = value.rsplit_once(' ')?;
    let (each, routes) = text.rsplit_once(ALL).filter(|_| checksum(text) == sum)?;
    let text = format!("{each} {}", checksum(each));
    Some(BalancerTag { route_tag: route_tag::read(&text)?, text, routes: routes.to_owned() })
}

fn routes_checksum<'a>(ids: impl Iterator<Item = &'a str>) -> String {
    let ids: BTreeSet<_> = ids.collect();
    checksum(&ids.into_iter().collect::<Vec<_>>().join(" "))
}

impl BalancerTag {
    /// Whether the plan of the run that wrote the tag manages this group.
    pub fn manages(&self, arn: &str) -> bool {
        self.route_tag.groups.iter().any(|p| p.managed && p.id == route_tag::id(arn))
    }

    /// Adds the tag of each route to the routes that this tag describes, if exactly these routes forward to the managed
    /// groups now. Returns whether it added the tags. If a rule was created, deleted or redirected since the tag was
    /// written, the tags of the routes must be read instead.
    pub fn add_route_tags(&self, listeners: &mut [(Listener, Vec<LiveRoute>)]) -> bool {
        if listeners.iter().any(|(l, _)| !l.unread.is_empty()) {
            return false;
        }
        let is_managed = |r: &LiveRoute| r.forwards().is_some_and(|split| split.ids().any(|id| self.manages(id)));
        let all = || listeners.iter().flat_map(|(_, routes)| routes).filter(|r| is_managed(r));
        if routes_checksum(all().map(|r| r.id.id())) != self.routes {
            return false;
        }
        for route in listeners.iter_mut().flat_map(|(_, routes)| routes).filter(|r| is_managed(r)) {
            route.tags.insert(route_tag::KEY.to_owned(), self.text.clone());
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixture::{self, live_resources};
    use crate::domain::traffic::{RouteId, Split};

    const RUN: &str = "alpha-webapp-20260105-080000-xtj4";

    /// Returns a run with every forwarding route, and the listeners of the live load balancer.
    fn run() -> (Started, Vec<(Listener, Vec<LiveRoute>)>) {
        let mut listeners = live_resources().listeners.remove(fixture::LB).and_then(Result::ok).unwrap();
        for route in listeners.iter_mut().flat_map(|(_, routes)| routes) {
            if let Some(first) = route.forwards().map(|split| split.members[0].id.clone()) {
                let arn = first.rsplit_once('/').unwrap().0.to_owned();
                let groups = ["aa", "bb"].map(|id| (format!("{arn}/00000000000000{id}"), 50));
                route.content.split = Split::of(groups);
            }
        }
        let mut started = fixture::started(4);
        let template = started.routes.remove(0);
        started.start = None;
        let start = |r: &LiveRoute| {
            let groups: Vec<_> = r.forwards()?.ids().cloned().collect();
            let content = r.content.with_split(&Split::of([(groups[0].clone(), 100), (groups[1].clone(), 0)]));
            let groups = [("a".to_owned(), groups[0].clone()), ("b".to_owned(), groups[1].clone())].into();
            Some(crate::domain::run::event::RouteStart { id: r.id.clone(), groups, content, ..template.clone() })
        };
        started.routes = listeners.iter().flat_map(|(_, routes)| routes).filter_map(start).collect();
        (started, listeners)
    }

    #[test]
    fn every_route_gets_its_tag_from_the_load_balancer_tag() {
        let (started, mut listeners) = run();
        let value = value(RUN, &started, fixture::LB).unwrap();
        assert!(value.starts_with(&format!("1 {RUN} ")) && value.len() <= 256 && value.contains(ALL), "{value}");
        assert_eq!(route_tag::read(&value), None, "the value must not be valid as the tag of a route");
        let tag = read(&value).unwrap();
        assert!(tag.add_route_tags(&mut listeners));
        for route in &started.routes {
            let live = listeners.iter().flat_map(|(_, routes)| routes).find(|r| r.id == route.id).unwrap();
            assert_eq!(
                live.tags.get(route_tag::KEY),
                route_tag::value(RUN, &started, route).as_ref(),
                "{}",
                route.label
            );
        }
        for at in 0..value.len() {
            let mut bytes = value.clone().into_bytes();
            bytes[at] ^= 1;
            assert_eq!(
                String::from_utf8(bytes).ok().and_then(|t| read(&t)),
                None,
                "a changed bit at byte {at} must be detected"
            );
        }
    }

    #[test]
    fn changed_routes_get_no_tag() {
        let (started, listeners) = run();
        let tag = read(&value(RUN, &started, fixture::LB).unwrap()).unwrap();
        let mut with_deleted_rule = listeners.clone();
        with_deleted_rule[0].1.retain(|r| r.forwards().is_none() || r.priority.is_none());
        let mut with_new_rule = listeners.clone();
        let new_rule = LiveRoute {
            id: RouteId::rule("a new rule"),
            ..with_new_rule[0].1.iter().find(|r| r.forwards().is_some()).unwrap().clone()
        };
        with_new_rule[0].1.push(new_rule);
        let mut without_forward = listeners;
        without_forward[0].1.iter_mut().for_each(|r| r.content.split.members.clear());
        for mut live in [with_deleted_rule, with_new_rule, without_forward] {
            assert!(!tag.add_route_tags(&mut live));
            assert!(live.iter().flat_map(|(_, routes)| routes).all(|r| !r.tags.contains_key(route_tag::KEY)));
        }
    }

    #[test]
    fn routes_with_different_tags_have_no_common_tag() {
        let (mut started, _) = run();
        started.routes[0].content.split.members[0].weight = Some(70);
        assert_eq!(value(RUN, &started, fixture::LB), None);
        assert_eq!((read(&run_only_value(RUN)), run_of(&run_only_value(RUN))), (None, RUN));
    }
}
