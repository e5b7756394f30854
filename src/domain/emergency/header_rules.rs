//! Recognizes header rules of runs, for a rollback without a journal: by their tag. Without tags, a header rule cannot be
//! told from any other rule, and so it is a route.

use crate::domain::elb::balancer::LiveRoute;
use crate::domain::elb::header_route::RuleSpec;
use crate::domain::run::event::RouteStart;
use crate::domain::run::header_rule::{HeaderRule, LiveHeaderRule, TAG_KEY, parse_tag};

/// Whether the tags say that a run made this rule for requests with certain headers.
pub fn is_header_rule(live: &LiveRoute) -> bool {
    live.tags.get(TAG_KEY).is_some_and(|value| parse_tag(value).is_some())
}

/// Whether a rule could be a header rule: it has a condition on a header, and forwards to one target group.
pub fn may_be_header_rule(live: &LiveRoute) -> bool {
    live.rule.conditions.iter().any(|condition| condition.field == "http-header")
        && live.forwards().is_some_and(|split| split.members.len() == 1)
}

/// Returns those of these live rules, each with the ARN of its load balancer, that are header rules and send requests to
/// a group which loses its traffic in a rollback of these routes.
pub(super) fn of_routes<'a>(
    live: impl Iterator<Item = (&'a str, &'a LiveRoute)>,
    routes: &[RouteStart],
) -> Vec<LiveHeaderRule> {
    let loses = |group: &String| {
        let moved = |route: &&RouteStart| route.groups.values().any(|own| own == group);
        routes.iter().filter(moved).any(|route| !route.content.split.carries(group))
    };
    let found = live.filter(|(_, live)| is_header_rule(live) && live.content.split.ids().any(loses));
    found.map(|(balancer, live)| live_rule(balancer, live)).collect()
}

fn live_rule(balancer: &str, live: &LiveRoute) -> LiveHeaderRule {
    let spec = RuleSpec {
        priority: live.priority.unwrap_or_default(),
        conditions: live.rule.conditions.clone(),
        transforms: live.rule.transforms.clone(),
    };
    let rule = HeaderRule {
        number: live.tags.get(TAG_KEY).and_then(|value| parse_tag(value)).map_or(0, |(_, number)| number),
        route: live.id.clone(),
        load_balancer: balancer.to_owned(),
        listener: live.listener.clone(),
        label: format!("{} (header route)", live.label()),
        content: live.content.clone(),
        rule: spec.to_config(),
    };
    LiveHeaderRule { id: live.id.id().to_owned(), rule }
}
