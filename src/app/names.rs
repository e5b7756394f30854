//! Builds the texts for people: labels for routes, names for target groups, and shares by cluster instead of weights.

use std::collections::{BTreeMap, BTreeSet};

pub use crate::base::arn::name as balancer;
use crate::base::arn::{self, short};
use crate::base::number::percent;
use crate::base::text::shell_word;
use crate::domain::elb::kinds;
use crate::domain::run::event::{Event, Record, ResumeMode, RunOutcome, Started, WriteResult};
use crate::domain::run::frozen_plan::FROM_JOURNAL;
use crate::domain::run::header_rule::{HeaderRuleEnd, HeaderRuleEvent};
use crate::domain::run::hook::{HookId, HookPoint};
use crate::domain::traffic::{ClusterName, RouteContent, RouteId, Split, shares};
use crate::plan::model::Plan;

/// Returns a plan as the argument of a command: its file, or its name if it came from standard input. The journal of a
/// run does not contain the path of the plan's file, so that the argument is then `PLAN`.
pub fn plan_argument(plan: &Plan) -> String {
    if plan.source.ends_with(FROM_JOURNAL) {
        return "PLAN".to_owned();
    }
    shell_word(if plan.source == "-" || plan.source.is_empty() { &plan.name } else { &plan.source })
}

/// A function that returns the text of a record for people; `None` if people do not need to see the record.
pub type RecordText = fn(&Record, &Names) -> Option<String>;

/// The names of a run's routes and target groups.
#[derive(Debug, Clone, Default)]
pub struct Names {
    routes: BTreeMap<RouteId, RouteName>,
    /// The routes that the run does not write: rules that appeared later and were not included, and deleted routes.
    not_written: BTreeSet<RouteId>,
    groups: BTreeMap<String, (String, ClusterName)>,
    /// The names of the hooks and commands that have started.
    hooks: BTreeMap<HookId, String>,
    /// The header rules that are planned or exist, by number: the name, and whether the rule exists.
    header_rules: BTreeMap<u32, (String, bool)>,
    /// Whether the run has no plan. Then target groups are named, because the clusters have no names.
    without_plan: bool,
    evacuation: bool,
}

#[derive(Debug, Clone)]
struct RouteName {
    label: String,
    managed: Vec<(ClusterName, String)>,
    deleted: bool,
}

impl Names {
    /// Collects the names in the event `started`. With several load balancers, the label of a route starts with the
    /// name of its load balancer.
    pub fn of(started: &Started) -> Self {
        let without_plan = started.has_no_plan();
        let balancers: BTreeSet<_> = started.routes.iter().map(|r| &r.load_balancer).collect();
        let routes = started.routes.iter().map(|route| {
            let label = if balancers.len() > 1 {
                balancer_label(&route.load_balancer, &route.label)
            } else {
                route.label.clone()
            };
            let name = |(c, arn): (&ClusterName, &String)| {
                (if without_plan { short(arn).to_owned() } else { c.clone() }, arn.clone())
            };
            let managed = route.groups.iter().map(name).collect();
            (route.id.clone(), RouteName { label, managed, deleted: false })
        });
        let groups = started.groups.iter().map(|(arn, g)| (arn.clone(), (g.name.clone(), g.cluster.clone())));
        let (routes, groups) = (routes.collect(), groups.collect());
        Self {
            routes,
            not_written: BTreeSet::new(),
            groups,
            hooks: BTreeMap::new(),
            header_rules: (1..)
                .zip(&started.header_rules)
                .map(|(number, live)| (number, (live.rule.label.clone(), true)))
                .collect(),
            without_plan,
            evacuation: started.is_evacuation(),
        }
    }

    /// Whether the run is an evacuation.
    pub fn is_evacuation(&self) -> bool {
        self.evacuation
    }

    /// Updates the names by an event: rules that appear and join the run, and rules that are deleted.
    pub fn update(&mut self, event: &Event) {
        match event {
            Event::Started(started) if self.routes.is_empty() => *self = Self::of(started),
            Event::RuleCreated { route, .. } => {
                let managed = route.groups.iter().map(|(c, arn)| (c.clone(), arn.clone())).collect();
                self.routes.insert(route.id.clone(), RouteName { label: route.label.clone(), managed, deleted: false });
                self.not_written.insert(route.id.clone());
            }
            Event::Resumed { mode: ResumeMode { include_new: true, .. }, .. } => {
                self.not_written.retain(|id| self.routes.get(id).is_some_and(|route| route.deleted));
            }
            Event::HookStarted { hook, action } => {
                // The description begins with the name, such as `hook scale-up (before shift): ./scale-up.sh`.
                let name = action.split_once(": ").map_or(action.as_str(), |(name, _)| name);
                self.hooks.insert(*hook, name.to_owned());
            }
            Event::HeaderRules(change) => self.update_header_rules(change),
            Event::Drifted { route, live, .. } => self.set_deleted(route, live.is_none()),
            Event::Outcome { route, result: WriteResult::Deleted, .. } => self.set_deleted(route, true),
            _ => {}
        }
    }

    fn update_header_rules(&mut self, change: &HeaderRuleEvent) {
        match change {
            HeaderRuleEvent::Planned { rules, .. } => {
                self.header_rules.retain(|_, (_, made)| *made);
                self.header_rules.extend(rules.iter().map(|rule| (rule.number, (rule.label.clone(), false))));
            }
            HeaderRuleEvent::Made { rule, .. } => {
                self.header_rules.entry(*rule).and_modify(|(_, made)| *made = true);
            }
            HeaderRuleEvent::Ended { rule, result: HeaderRuleEnd::Removed, .. } => {
                self.header_rules.remove(rule);
            }
            HeaderRuleEvent::Sent { .. } | HeaderRuleEvent::Ended { .. } => {}
        }
    }

    /// Returns the name of a header rule.
    pub fn header_rule(&self, number: u32) -> String {
        self.header_rules.get(&number).map_or_else(|| format!("header rule {number}"), |(label, _)| label.clone())
    }

    /// Returns the number of header rules that exist.
    pub fn header_rule_count(&self) -> usize {
        self.header_rules.values().filter(|(_, made)| *made).count()
    }

    /// Whether every planned header rule exists.
    pub fn header_rules_are_made(&self) -> bool {
        self.header_rules.values().all(|(_, made)| *made)
    }

    fn set_deleted(&mut self, id: &RouteId, deleted: bool) {
        let Some(route) = self.routes.get_mut(id) else { return };
        route.deleted = deleted;
        if deleted {
            self.not_written.insert(id.clone());
        } else {
            self.not_written.remove(id);
        }
    }

    /// Returns the number of routes that the run writes.
    pub fn routes(&self) -> usize {
        self.routes.len() - self.not_written.len()
    }

    /// Returns the label of a route, such as `443 rule 15`. For an unknown route, returns the readable end of its ARN.
    pub fn route(&self, id: &RouteId) -> String {
        self.routes.get(id).map_or_else(|| short(id.id()).to_owned(), |r| r.label.clone())
    }

    /// Returns the name of a hook or command that has started, such as `hook scale-up (before shift)`.
    pub fn hook(&self, hook: HookId) -> String {
        let number = || match hook.at {
            HookPoint::Command => format!("step {}  command", hook.step),
            HookPoint::Undo => format!("step {}  undo", hook.step),
            at => format!("hook {} ({})", hook.number, at.name()),
        };
        self.hooks.get(&hook).cloned().unwrap_or_else(number)
    }

    /// Returns the name of a group, such as `alpha-webapp-b (b)`. For an unknown group, returns the name in its ARN.
    pub fn group(&self, arn: &str) -> String {
        match self.groups.get(arn) {
            Some((name, cluster)) if !self.without_plan => format!("{name} ({cluster})"),
            _ => short(arn).to_owned(),
        }
    }

    /// Returns the name of a cluster's part of a route: the cluster, or its target group in a run without a plan.
    pub fn member(&self, route: &RouteId, cluster: ClusterName) -> String {
        let group = self.groups.iter().filter(|_| self.without_plan).find(|(arn, (_, of))| {
            *of == cluster && self.routes.get(route).is_some_and(|r| r.managed.iter().any(|(_, own)| own == *arn))
        });
        group.map_or(cluster, |(_, (name, _))| name.clone())
    }

    /// Returns the cluster of a group; `None` for a group that the run does not have.
    pub fn cluster(&self, arn: &str) -> Option<&str> {
        self.groups.get(arn).map(|(_, cluster)| cluster.as_str())
    }

    /// Returns the shares of a route's managed part as text, such as `a 95 %, b 5 %`.
    pub fn shares(&self, route: &RouteId, split: &Split) -> String {
        let managed = self.routes.get(route).map_or(&[][..], |r| &r.managed);
        match shares::live_shares(split, managed) {
            Some(read) => shares(&read),
            None => "no traffic to the plan's groups".into(),
        }
    }

    /// Describes the change from one content of a route to another; `None` if both are equal.
    pub fn change(&self, route: &RouteId, from: &RouteContent, to: &RouteContent) -> Option<String> {
        if from.equivalent(to) {
            return None;
        }
        if from.kept_as(to) {
            return Some("reloaded, and has kept its weights".to_owned());
        }
        let mut parts = Vec::new();
        if from.restarted_as(to) {
            let process = |content: &RouteContent| content.process.clone().unwrap_or_default();
            parts.push(format!("reloaded ({}, before: {})", process(to), process(from)));
        }
        match (from.forward_split(), to.forward_split()) {
            (Some(a), Some(b)) => {
                parts.extend(self.split_changes(route, a, b));
                if from.sticky() != to.sticky() {
                    parts.push(format!("stickiness from {} to {}", stickiness_text(from), stickiness_text(to)));
                }
            }
            (Some(_), None) => parts.push("the route no longer forwards".into()),
            (None, Some(b)) => parts.push(format!("the route now forwards: {}", self.shares(route, b))),
            (None, None) => {}
        }
        if parts.is_empty() || from.vendor_config != to.vendor_config {
            parts.push(format!("actions from {} to {}", actions_text(from), actions_text(to)));
        }
        Some(parts.join("; "))
    }

    fn split_changes(&self, route: &RouteId, a: &Split, b: &Split) -> Vec<String> {
        let ours: BTreeSet<_> =
            self.routes.get(route).into_iter().flat_map(|r| &r.managed).map(|(_, arn)| arn.as_str()).collect();
        let arns: BTreeSet<_> = a.ids().chain(b.ids()).map(String::as_str).collect();
        let changed: Vec<_> = arns.into_iter().filter(|arn| a.weight(arn) != b.weight(arn)).collect();
        let mut parts = Vec::new();
        let (before, after) = (self.shares(route, a), self.shares(route, b));
        if before != after {
            parts.push(format!("from {before} to {after}"));
        }
        // Adds changes that the shares do not show: changes of groups outside the plan, and groups that were attached
        // or detached at weight 0.
        for arn in changed.iter().filter(|arn| before == after || !ours.contains(*arn)) {
            let weight = |split: &Split| split.weight(arn).map_or_else(|| "not attached".into(), |w| w.to_string());
            parts.push(format!("weight of {} from {} to {}", self.group(arn), weight(a), weight(b)));
        }
        parts
    }
}

/// Returns a label with the name of its load balancer. A label that names its load balancer already stays as it is.
fn balancer_label(load_balancer: &str, label: &str) -> String {
    if arn::begins(load_balancer) { format!("{} {label}", balancer(load_balancer)) } else { label.to_owned() }
}

/// Returns the outcome of a run for people, such as `rolled back`.
pub fn outcome_text(outcome: Option<RunOutcome>) -> &'static str {
    match outcome {
        Some(RunOutcome::Completed) => "completed",
        Some(RunOutcome::RolledBack) => "rolled back",
        Some(RunOutcome::Aborted) => "rolled back on request",
        None => "unfinished",
    }
}

/// Formats shares by cluster, such as `a 95 %, b 5 %`.
pub fn shares(read: &BTreeMap<ClusterName, f64>) -> String {
    read.iter().map(|(cluster, share)| format!("{cluster} {} %", percent(*share))).collect::<Vec<_>>().join(", ")
}

fn stickiness_text(content: &RouteContent) -> String {
    match content.sticky() {
        Some(sticky) => sticky.seconds.map_or_else(|| "on".into(), |s| format!("{s}s")),
        None => "off".into(),
    }
}

fn actions_text(content: &RouteContent) -> String {
    let kinds = kinds(content);
    if kinds.is_empty() { "none".into() } else { kinds.join(" + ") }
}
