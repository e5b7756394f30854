//! The current state of a load balancer, for `status --load-balancer`. Needs no plan and writes nothing.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::domain::elb;
use crate::domain::elb::balancer::{Listener, LiveRoute, LoadBalancer, TargetGroup};
use crate::domain::elb::select::short_name;
use crate::domain::health::Counts;
use crate::domain::health::Target;
use crate::domain::health::gate::Sample;
use crate::domain::traffic::{Tags, Unread, Unreadable};

/// Prefix of the tags of this tool.
const OURS: &str = "cutover";

/// A load balancer, its routes and its target groups.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Live {
    /// When it was read.
    pub at: Timestamp,
    /// Name.
    pub name: String,
    /// ARN.
    pub arn: String,
    /// DNS name.
    pub dns_name: String,
    /// `active`, …
    pub state: String,
    /// The tags of this tool, which hold the marker of a run if there is one.
    pub marker: Tags,
    /// Owner tags of the load balancer (controllers, infrastructure as code).
    pub owners: Vec<String>,
    /// Every default action and rule.
    pub routes: Vec<Line>,
    /// Every attached target group.
    pub groups: Vec<Group>,
}

/// A default action or rule.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// ARN.
    pub id: String,
    /// `443 rule 15`.
    pub route: String,
    /// As text; empty for a default action.
    pub conditions: String,
    /// Its actions other than forwarding, such as `authenticates (OIDC)` or `redirects`.
    pub does: Vec<&'static str>,
    /// The groups that it forwards to, in the action's order.
    pub shares: Vec<Part>,
    /// Group stickiness in seconds; absent where it is off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stickiness_seconds: Option<u32>,
    /// Owner tags of the route.
    pub owners: Vec<String>,
    /// Why it cannot be read; then nothing else is known about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
}

/// A target group of a route.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// The group's name.
    pub group: String,
    /// Weight, 0–999.
    pub weight: u16,
    /// Percent of the route's total weight.
    pub share: f64,
}

/// A target group.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    /// Name.
    pub name: String,
    /// ARN.
    pub arn: String,
    /// Targets by state; absent if they could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub targets: Option<Counts>,
    /// Why they could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
    /// Why targets are not healthy: reason codes with counts.
    pub reasons: BTreeMap<String, u32>,
    /// Whether target stickiness is on.
    pub sticky: bool,
}

impl Live {
    /// Builds the view from what was read at `at`.
    pub fn new(
        at: Timestamp,
        load_balancer: &LoadBalancer,
        listeners: &[(Listener, Vec<LiveRoute>)],
        groups: &[TargetGroup],
        health: &BTreeMap<String, Result<Vec<Target>, Unreadable>>,
    ) -> Self {
        let marker = load_balancer.tags.iter().filter(|(k, _)| k.starts_with(OURS));
        Self {
            at,
            name: load_balancer.name.clone(),
            arn: load_balancer.arn.clone(),
            dns_name: load_balancer.dns_name.clone(),
            state: load_balancer.state.clone(),
            marker: marker.map(|(k, v)| (k.clone(), v.clone())).collect(),
            owners: tags_of_owners(&load_balancer.tags),
            routes: listeners
                .iter()
                .flat_map(|(l, routes)| routes.iter().map(|r| line(r, groups)).chain(l.unread.iter().map(unread)))
                .collect(),
            groups: groups.iter().map(|g| group(g, health.get(&g.arn), at)).collect(),
        }
    }
}

fn line(route: &LiveRoute, groups: &[TargetGroup]) -> Line {
    let sticky = route.forwards().and_then(|_| route.content.sticky());
    let split = &route.content.split;
    let weights: Vec<(&str, u16)> = split.ids().map(|id| (id.as_str(), split.weight(id).unwrap_or(0))).collect();
    let total: u32 = weights.iter().map(|(_, w)| u32::from(*w)).sum();
    let part = |(arn, weight): &(&str, u16)| Part {
        group: groups.iter().find(|g| g.arn == *arn).map_or_else(|| short_name(arn), |g| &g.name).to_owned(),
        weight: *weight,
        share: if total == 0 { 0.0 } else { f64::from(*weight) * 100.0 / f64::from(total) },
    };
    Line {
        id: route.id.id().to_owned(),
        route: route.label(),
        conditions: route.conditions.clone(),
        does: elb::kinds(&route.content).into_iter().filter_map(besides).collect(),
        shares: weights.iter().map(part).collect(),
        stickiness_seconds: sticky.map(|s| s.seconds.unwrap_or(0)),
        owners: tags_of_owners(&route.tags),
        unreadable: None,
    }
}

fn unread(route: &Unread) -> Line {
    Line {
        id: route.id.id().to_owned(),
        route: route.label.clone(),
        conditions: String::new(),
        does: Vec::new(),
        shares: Vec::new(),
        stickiness_seconds: None,
        owners: Vec::new(),
        unreadable: Some(route.why.to_string()),
    }
}

fn besides(kind: &str) -> Option<&'static str> {
    match kind {
        "redirect" => Some("redirects"),
        "fixed-response" => Some("answers with a fixed response"),
        "authenticate-oidc" => Some("authenticates (OIDC)"),
        "authenticate-cognito" => Some("authenticates (Cognito)"),
        "jwt-validation" => Some("validates a JWT"),
        _ => None,
    }
}

fn group(group: &TargetGroup, health: Option<&Result<Vec<Target>, Unreadable>>, at: Timestamp) -> Group {
    let targets = health.and_then(|h| h.as_ref().ok());
    let mut reasons = BTreeMap::new();
    for reason in targets.into_iter().flatten().filter_map(|t| t.reason.as_ref()) {
        *reasons.entry(reason.clone()).or_default() += 1;
    }
    Group {
        name: group.name.clone(),
        arn: group.arn.clone(),
        targets: targets.map(|t| Sample::of(at, t).counts),
        unreadable: health.and_then(|h| h.as_ref().err()).map(ToString::to_string),
        reasons,
        sticky: group.attributes.get("stickiness.enabled").is_some_and(|v| v == "true"),
    }
}

fn tags_of_owners(tags: &Tags) -> Vec<String> {
    elb::owners(tags).into_iter().map(|owner| owner.tag).collect()
}
