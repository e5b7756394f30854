//! Represents the current state of a load balancer for `status --load-balancer`, without a plan. Do not add writes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::domain::elb;
use crate::domain::elb::balancer::{Listener, LiveRoute, LoadBalancer, TargetGroup};
use crate::domain::elb::other_type::other_type;
use crate::domain::elb::select::short_name;
use crate::domain::health::HealthCounts;
use crate::domain::health::Target;
use crate::domain::health::gate::Sample;
use crate::domain::traffic::{Tags, UnreadRoute, Unreadable};

/// The prefix of the keys of this tool's tags.
const TAG_PREFIX: &str = "cutover";

/// A load balancer with its routes and target groups.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadBalancerView {
    /// The time at which the load balancer was read.
    pub at: Timestamp,
    /// The name of the load balancer.
    pub name: String,
    /// The ARN of the load balancer.
    pub arn: String,
    /// The DNS name of the load balancer.
    pub dns_name: String,
    /// The state of the load balancer, such as `active`.
    pub state: String,
    /// The type of the load balancer if cutover does not move its traffic, such as `gateway`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other_type: Option<String>,
    /// The tags of this tool, which include the marker of a run, if any.
    pub marker: Tags,
    /// The tags of the load balancer that name owners (controllers, infrastructure as code).
    pub owners: Vec<String>,
    /// All default actions and rules.
    pub routes: Vec<RouteView>,
    /// All attached target groups.
    pub groups: Vec<GroupView>,
}

/// A default action or rule.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteView {
    /// The ARN of the listener or rule.
    pub id: String,
    /// The label of the route, such as `443 rule 15`.
    pub route: String,
    /// The conditions as text; empty for a default action.
    pub conditions: String,
    /// The actions other than forwarding, such as `authenticates (OIDC)` or `redirects`.
    pub other_actions: Vec<&'static str>,
    /// The groups that the route forwards to, in the order of the action.
    pub shares: Vec<MemberView>,
    /// The duration of group stickiness in seconds, 0 for stickiness without a duration; absent if it is off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stickiness_seconds: Option<u32>,
    /// The tags of the route that name owners.
    pub owners: Vec<String>,
    /// Why the route cannot be read. If set, the other fields are empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
}

/// A target group of a route.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberView {
    /// The name of the group.
    pub group: String,
    /// The weight, 0–999.
    pub weight: u16,
    /// The weight in percent of the route's total weight.
    pub share: f64,
}

/// A target group.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupView {
    /// The name of the group.
    pub name: String,
    /// The ARN of the group.
    pub arn: String,
    /// The number of targets in each state; absent if the targets could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub targets: Option<HealthCounts>,
    /// Why the targets could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
    /// The reason codes of targets that are not healthy, each with the number of targets.
    pub reasons: BTreeMap<String, u32>,
    /// Whether target stickiness is on.
    pub sticky: bool,
}

impl LoadBalancerView {
    /// Builds the view from resources that were read at `at`.
    pub fn new(
        at: Timestamp,
        load_balancer: &LoadBalancer,
        listeners: &[(Listener, Vec<LiveRoute>)],
        groups: &[TargetGroup],
        health: &BTreeMap<String, Result<Vec<Target>, Unreadable>>,
    ) -> Self {
        let marker = load_balancer.tags.iter().filter(|(k, _)| k.starts_with(TAG_PREFIX));
        Self {
            at,
            name: load_balancer.name.clone(),
            arn: load_balancer.arn.clone(),
            dns_name: load_balancer.dns_name.clone(),
            state: load_balancer.state.clone(),
            other_type: other_type(load_balancer).map(str::to_owned),
            marker: marker.map(|(k, v)| (k.clone(), v.clone())).collect(),
            owners: owner_tags(&load_balancer.tags),
            routes: listeners
                .iter()
                .flat_map(|(l, routes)| {
                    routes.iter().map(|r| route_view(r, groups)).chain(l.unread.iter().map(unreadable_route))
                })
                .collect(),
            groups: groups.iter().map(|g| group_view(g, health.get(&g.arn), at)).collect(),
        }
    }
}

fn route_view(route: &LiveRoute, groups: &[TargetGroup]) -> RouteView {
    let sticky = route.forwards().and_then(|_| route.content.sticky());
    let split = &route.content.split;
    let weights: Vec<(&str, u16)> = split.ids().map(|id| (id.as_str(), split.weight(id).unwrap_or(0))).collect();
    let total: u32 = weights.iter().map(|(_, w)| u32::from(*w)).sum();
    let part = |(arn, weight): &(&str, u16)| MemberView {
        group: groups.iter().find(|g| g.arn == *arn).map_or_else(|| short_name(arn), |g| &g.name).to_owned(),
        weight: *weight,
        share: if total == 0 { 0.0 } else { f64::from(*weight) * 100.0 / f64::from(total) },
    };
    RouteView {
        id: route.id.id().to_owned(),
        route: route.label(),
        conditions: route.conditions.clone(),
        other_actions: elb::kinds(&route.content).into_iter().filter_map(other_action).collect(),
        shares: weights.iter().map(part).collect(),
        stickiness_seconds: sticky.map(|s| s.seconds.unwrap_or(0)),
        owners: owner_tags(&route.tags),
        unreadable: None,
    }
}

fn unreadable_route(route: &UnreadRoute) -> RouteView {
    RouteView {
        id: route.id.id().to_owned(),
        route: route.label.clone(),
        conditions: String::new(),
        other_actions: Vec::new(),
        shares: Vec::new(),
        stickiness_seconds: None,
        owners: Vec::new(),
        unreadable: Some(route.why.to_string()),
    }
}

fn other_action(kind: &str) -> Option<&'static str> {
    match kind {
        "redirect" => Some("redirects"),
        "fixed-response" => Some("answers with a fixed response"),
        "authenticate-oidc" => Some("authenticates (OIDC)"),
        "authenticate-cognito" => Some("authenticates (Cognito)"),
        "jwt-validation" => Some("validates a JWT"),
        _ => None,
    }
}

fn group_view(group: &TargetGroup, health: Option<&Result<Vec<Target>, Unreadable>>, at: Timestamp) -> GroupView {
    let targets = health.and_then(|h| h.as_ref().ok());
    let mut reasons = BTreeMap::new();
    for reason in targets.into_iter().flatten().filter_map(|t| t.reason.as_ref()) {
        *reasons.entry(reason.clone()).or_default() += 1;
    }
    GroupView {
        name: group.name.clone(),
        arn: group.arn.clone(),
        targets: targets.map(|t| Sample::of(at, t).counts),
        unreadable: health.and_then(|h| h.as_ref().err()).map(ToString::to_string),
        reasons,
        sticky: group.attributes.get("stickiness.enabled").is_some_and(|v| v == "true"),
    }
}

fn owner_tags(tags: &Tags) -> Vec<String> {
    elb::owners_from_tags(tags).into_iter().map(|owner| owner.tag).collect()
}
