//! What a run's people call things: labels for routes, names for target groups, shares by cluster instead of weights.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::number::percent;
use crate::domain::elb::action::{self, Action, Forward};
use crate::domain::elb::shares;
use crate::domain::run::event::{Record, RouteStart, Started};
use crate::domain::run::watch::short;
use crate::plan::model::ClusterName;

/// A record in words, as a surface says it; `None`: nothing that people need to read.
pub type Words = fn(&Record, &Names) -> Option<String>;

/// The names of a run's routes and groups.
#[derive(Debug, Clone, Default)]
pub struct Names {
    routes: BTreeMap<String, RouteName>,
    groups: BTreeMap<String, (String, ClusterName)>,
}

#[derive(Debug, Clone)]
struct RouteName {
    label: String,
    managed: Vec<(ClusterName, String)>,
}

impl Names {
    /// Takes them from the start of a run. Where it has several load balancers, a route's label names its own.
    pub fn of(started: &Started) -> Self {
        let balancers: BTreeSet<_> = started.routes.iter().map(|r| &r.load_balancer).collect();
        let routes = started.routes.iter().map(|route| {
            let label =
                if balancers.len() > 1 { format!("{} {}", balancer(&route.load_balancer), route.label) } else { route.label.clone() };
            let managed = route.groups.iter().map(|(c, arn)| (c.clone(), arn.clone())).collect();
            (route.id.clone(), RouteName { label, managed })
        });
        let groups = started.groups.iter().map(|(arn, g)| (arn.clone(), (g.name.clone(), g.cluster.clone())));
        Self { routes: routes.collect(), groups: groups.collect() }
    }

    /// A rule that was made since the start.
    pub fn learn(&mut self, route: &RouteStart) {
        let managed = route.groups.iter().map(|(c, arn)| (c.clone(), arn.clone())).collect();
        self.routes.insert(route.id.clone(), RouteName { label: route.label.clone(), managed });
    }

    /// How many routes there are.
    pub fn routes(&self) -> usize {
        self.routes.len()
    }

    /// `443 rule 15`; the readable part of the ARN where the run does not know it.
    pub fn route(&self, id: &str) -> String {
        self.routes.get(id).map_or_else(|| short(id).to_owned(), |r| r.label.clone())
    }

    /// `alpha-webapp-b (b)`; the name in the ARN where it is not the run's.
    pub fn group(&self, arn: &str) -> String {
        self.groups.get(arn).map_or_else(|| short(arn).to_owned(), |(name, cluster)| format!("{name} ({cluster})"))
    }

    /// The cluster of a group, if it is the run's.
    pub fn cluster(&self, arn: &str) -> Option<&str> {
        self.groups.get(arn).map(|(_, cluster)| cluster.as_str())
    }

    /// `a 95 %, b 5 %`: a route's managed part.
    pub fn shares(&self, route: &str, forward: &Forward) -> String {
        let managed = self.routes.get(route).map_or(&[][..], |r| &r.managed);
        match shares::read(forward, managed) {
            Some(read) => shares(&read),
            None => "nothing to the plan's groups".into(),
        }
    }

    /// What changed from one state of a route to another, both in words; `None` where they mean the same.
    pub fn change(&self, route: &str, from: &[Action], to: &[Action]) -> Option<String> {
        if action::same(from, to) {
            return None;
        }
        let mut parts = Vec::new();
        match (action::forward(from), action::forward(to)) {
            (Some(a), Some(b)) => parts.extend(self.forwards(route, a, b)),
            (Some(_), None) => parts.push("it does not forward any more".into()),
            (None, Some(b)) => parts.push(format!("it forwards now: {}", self.shares(route, b))),
            (None, None) => {}
        }
        if parts.is_empty() || rest(from) != rest(to) {
            parts.push(format!("its actions from {} to {}", kinds(from), kinds(to)));
        }
        Some(parts.join("; "))
    }

    fn forwards(&self, route: &str, a: &Forward, b: &Forward) -> Vec<String> {
        let ours: BTreeSet<_> = self.routes.get(route).into_iter().flat_map(|r| &r.managed).map(|(_, arn)| arn.as_str()).collect();
        let arns: BTreeSet<_> = a.target_groups.iter().chain(&b.target_groups).map(|t| t.target_group_arn.as_str()).collect();
        let changed: Vec<_> = arns.into_iter().filter(|arn| a.weight(arn) != b.weight(arn)).collect();
        let mut parts = Vec::new();
        let (before, after) = (self.shares(route, a), self.shares(route, b));
        if before != after {
            parts.push(format!("from {before} to {after}"));
        }
        // Where shares do not tell it: groups of others, or a group that was attached or dropped at 0.
        for arn in changed.iter().filter(|arn| before == after || !ours.contains(*arn)) {
            let weight = |f: &Forward| f.weight(arn).map_or_else(|| "not attached".into(), |w| w.to_string());
            parts.push(format!("weight of {} from {} to {}", self.group(arn), weight(a), weight(b)));
        }
        if a.sticky() != b.sticky() || (a.sticky() && a.target_group_stickiness_config != b.target_group_stickiness_config) {
            parts.push(format!("stickiness from {} to {}", sticky(a), sticky(b)));
        }
        parts
    }
}

/// `a 95 %, b 5 %`.
pub fn shares(read: &BTreeMap<ClusterName, f64>) -> String {
    read.iter().map(|(cluster, share)| format!("{cluster} {} %", percent(*share))).collect::<Vec<_>>().join(", ")
}

/// A load balancer's name, from its ARN.
pub fn balancer(arn: &str) -> &str {
    arn.split('/').nth(2).unwrap_or(arn)
}

fn sticky(forward: &Forward) -> String {
    match forward.target_group_stickiness_config.as_ref().filter(|s| s.enabled) {
        Some(s) => s.duration_seconds.map_or_else(|| "on".into(), |d| format!("{d}s")),
        None => "off".into(),
    }
}

fn rest(actions: &[Action]) -> Vec<&Action> {
    actions.iter().filter(|a| a.forward().is_none()).collect()
}

fn kinds(actions: &[Action]) -> String {
    let kind = |a: &Action| match a {
        Action::Forward { .. } => "forward",
        Action::Redirect { .. } => "redirect",
        Action::FixedResponse { .. } => "fixed-response",
        Action::AuthenticateOidc { .. } => "authenticate-oidc",
        Action::AuthenticateCognito { .. } => "authenticate-cognito",
        Action::JwtValidation { .. } => "jwt-validation",
    };
    let kinds: Vec<_> = actions.iter().map(kind).collect();
    if kinds.is_empty() { "none".into() } else { kinds.join(" + ") }
}
