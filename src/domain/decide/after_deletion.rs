//! Determines where the requests of a deleted rule go: to a later rule of its listener that may match them, else to the
//! default action. Conditions are compared as text. A condition that this build cannot compare counts as a possible
//! match.

use super::desired_split::shares_text;
use crate::base::text::list;
use crate::domain::run::event::RouteStart;
use crate::domain::run::state::{Route, State};
use crate::domain::traffic::{FoundRoute, RouteContent};

/// Another live route of the listener.
struct Other<'a> {
    label: &'a str,
    conditions: &'a str,
    content: &'a RouteContent,
}

/// Returns where the requests of a deleted rule go now, with its conditions. `live` is the last list of all routes; if it
/// is empty, the routes in the journal are used.
pub fn requests_go_to(state: &State, deleted: &Route, live: &[FoundRoute]) -> String {
    let start = &deleted.start;
    let others = others(state, start, live);
    let text = |other: &Other<'_>| match other.content.forward_split() {
        Some(split) => format!("{} ({})", other.label, shares_text(start, split)),
        None => format!("{}, which does not forward", other.label),
    };
    let default = others.iter().find(|other| other.conditions.is_empty() && priority(other.label).is_none());
    let default = default.map_or_else(|| "the default action of the listener".to_owned(), text);
    let own = priority(&start.label);
    let mut later: Vec<_> = others.iter().filter(|other| priority(other.label) > own).collect();
    later.retain(|other| may_match_both(&deleted.conditions, other.conditions));
    later.sort_by_key(|other| priority(other.label));
    let to = match later.as_slice() {
        [] => default,
        [one] => format!("{} where it matches, else to {default}", text(one)),
        many => {
            let labels: Vec<_> = many.iter().map(|other| other.label).collect();
            format!("the first of {} that matches, else to {default}", list(&labels))
        }
    };
    format!("its requests ({}) go to {to} now", deleted.conditions)
}

fn others<'a>(state: &'a State, deleted: &RouteStart, live: &'a [FoundRoute]) -> Vec<Other<'a>> {
    if live.is_empty() {
        let run = state.routes.values().filter(|route| !route.is_deleted());
        let run = run.map(|route| (&route.start, route.drifted_content().unwrap_or(&route.confirmed)));
        let all = run.chain(state.newcomers.values().map(|rule| (rule, &rule.content)));
        let same = all.filter(|(start, _)| start.listener == deleted.listener);
        return same
            .map(|(start, content)| Other { label: &start.label, conditions: &start.conditions, content })
            .collect();
    }
    let same = live.iter().filter(|route| route.listener == deleted.listener && route.id != deleted.id);
    same.map(|route| Other { label: &route.label, conditions: &route.conditions, content: &route.content }).collect()
}

/// Returns the priority in a label such as `443 rule 15`; `None` for a default action.
fn priority(label: &str) -> Option<u32> {
    label.rsplit_once("rule ")?.1.parse().ok()
}

/// Whether a request may match both conditions.
fn may_match_both(one: &str, other: &str) -> bool {
    let excluded = |one: &str| other.split(" and ").any(|other| excludes(one, other));
    !one.split(" and ").any(excluded)
}

/// Whether no request matches both of these single conditions, such as `path /login* /logout*`.
fn excludes(one: &str, other: &str) -> bool {
    let (Some((subject, ours)), Some((same, theirs))) = (one.split_once(' '), other.split_once(' ')) else {
        return false;
    };
    let is_pattern = |values: &str| !values.contains('~');
    subject == same
        && ["path", "host", "method"].contains(&subject)
        && is_pattern(ours)
        && is_pattern(theirs)
        && !ours.split(' ').any(|a| theirs.split(' ').any(|b| intersect(a.as_bytes(), b.as_bytes())))
}

/// Whether a text matches both patterns with `*` and `?`.
fn intersect(one: &[u8], other: &[u8]) -> bool {
    match (one, other) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => intersect(rest, other) || other.split_first().is_some_and(|(_, t)| intersect(one, t)),
        (_, [b'*', ..]) => intersect(other, one),
        ([a, rest @ ..], [b, others @ ..]) => (a == b || *a == b'?' || *b == b'?') && intersect(rest, others),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixture;
    use crate::domain::run::state::Drift;

    #[test]
    fn patterns_that_share_a_text_intersect() {
        let both = |one: &str, other: &str| may_match_both(one, other);
        assert!(both("path /login* /logout*", "path /log*") && both("path /*", "path /login*"));
        assert!(both("path /a*z", "path /a?z") && both("path /a*", "host shop.example.com"));
        assert!(both("path ~^/x", "path /y") && both("host a.example and path /x", "path /x"));
        assert!(!both("path /login*", "path /api*") && !both("host a.example and path /x", "host b.example"));
        assert!(!both("path /aa", "path /a") && !both("method GET", "method POST"));
    }

    /// Regression test: no screen said what a deleted rule matched, and where its requests go.
    #[test]
    fn the_requests_of_a_deleted_rule_go_to_a_later_rule_or_to_the_default_action() {
        let content = fixture::forward(&[("webapp-a", 95), ("webapp-b", 5)]);
        let start = |priority, conditions: &str| RouteStart {
            conditions: conditions.to_owned(),
            ..fixture::route_start(fixture::route(80, priority, content.clone()))
        };
        let routes = vec![
            start(Some(3), "path /login* /logout*"),
            start(Some(2), "path /log*"),
            start(Some(15), "path /api*"),
            start(Some(20), "path /logout*"),
            start(None, ""),
        ];
        let mut state = fixture::state(crate::domain::run::event::Started { routes, ..fixture::started(4) });
        let says = |state: &State, label: &str| {
            let route = state.routes.values().find(|route| route.start.label == label).expect("the route");
            requests_go_to(state, route, &[])
        };
        assert_eq!(
            says(&state, "80 rule 3"),
            "its requests (path /login* /logout*) go to 80 rule 20 (a 95 %, b 5 %) where it matches, \
             else to 80 default (a 95 %, b 5 %) now"
        );
        assert_eq!(says(&state, "80 rule 20"), "its requests (path /logout*) go to 80 default (a 95 %, b 5 %) now");
        for route in state.routes.values_mut().filter(|route| route.start.label != "80 rule 3") {
            route.drift = Some(Drift::Gone);
        }
        let alone = says(&state, "80 rule 3");
        assert!(alone.ends_with("go to the default action of the listener now"), "{alone}");
    }
}
