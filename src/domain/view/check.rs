//! Represents the result of `check` as values: the steps, the weights of every route after each step, the skipped
//! routes, and the findings. Text, JSON and Markdown are rendered in `cli`.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::base::duration;
use crate::base::finding::{Finding, Severity};
use crate::base::hours;
use crate::domain::elb;
use crate::domain::elb::select::{SelectedRoute, Selection, SkippedRoute};
use crate::domain::preflight::facts::Facts;
use crate::domain::traffic::{Split, shares};
use crate::domain::view::gates::{self, GateLine};
use crate::domain::view::hours::in_words;
use crate::plan::model::hook::Hook;
use crate::plan::model::notify::Notification;
use crate::plan::model::{Plan, Shares, Step, StepKind};
use crate::plan::schedule;

/// The result of `check`.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckReport {
    /// The plan's name.
    pub plan: String,
    /// The wave that the report is about; `None` if the plan has no waves.
    pub wave: Option<String>,
    /// The source of the plan's text, such as a file name.
    pub source: String,
    /// The names of the clusters `from` and `to`.
    pub clusters: (String, String),
    /// The AWS account and region.
    pub aws: (String, String),
    /// The steps of the plan.
    pub steps: Vec<StepLine>,
    /// The hooks of the plan.
    pub hooks: Vec<HookLine>,
    /// The metric gates of the plan.
    pub gates: Vec<GateLine>,
    /// The notifications of the plan.
    pub notifications: Vec<NotificationLine>,
    /// The hours of the plan and their effect, as text.
    pub hours: Vec<String>,
    /// The minimum duration of the run.
    pub estimate: Duration,
    /// The earliest end of a run that starts at the time of the check, if known.
    pub ends: Option<Timestamp>,
    /// The time of the check; `None` for an offline check, which has no `routes` and no `skipped`.
    pub at: Option<Timestamp>,
    /// The number of Describe calls per full observation, and the time between observations; `None` for an offline
    /// check.
    pub observation_cost: Option<(usize, Duration)>,
    /// The routes that the plan moves.
    pub routes: Vec<RouteLine>,
    /// The routes that the plan does not change.
    pub skipped: Vec<SkippedRoute>,
    /// All findings, most severe first.
    pub findings: Vec<Finding>,
}

/// A step of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepLine {
    /// The number of the step, from 1.
    pub number: usize,
    /// The name of the step, if any.
    pub name: Option<String>,
    /// The action of the step, as text.
    pub action: String,
    /// The action in a few words, such as `b 5 %`, for a list of all steps in a line or two.
    pub short: String,
    /// The earliest start without waits for windows, as the time after the start of the run.
    pub begins: Duration,
    /// The earliest start with waits for windows, of a run that starts at the time of the check; `None` if it is
    /// unknown, or if the step can never start.
    pub earliest: Option<Timestamp>,
    /// The value of `earliest` as text in the time zone of the windows, if the plan has windows or blackouts.
    pub clock: Option<String>,
}

/// A hook of the plan.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HookLine {
    /// The occasion of the hook, such as `before shift`.
    pub when: String,
    /// The name of the hook, if any.
    pub name: Option<String>,
    /// The command line, or the address without possible secrets.
    pub action: String,
    /// Whether a failure of the hook has the effect of a failed guard.
    pub required: bool,
}

impl HookLine {
    /// Returns the hook's name with its occasion, such as `scale-up (before shift)`. A hook without a name is named by
    /// its command.
    pub fn title(&self) -> String {
        format!("{} ({})", self.name.as_ref().unwrap_or(&self.action), self.when)
    }
}

/// A notification target of the plan.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NotificationLine {
    /// `slack`, `webhook` or `exec`.
    pub to: String,
    /// The events.
    pub on: Vec<&'static str>,
    /// Why it cannot be delivered from this machine, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// A route with the weights after each step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteLine {
    /// The load balancer's name.
    pub load_balancer: String,
    /// The name of the workload.
    pub workload: String,
    /// The ARN of the listener or rule.
    pub id: String,
    /// The label of the route, such as `443 rule 15`.
    pub label: String,
    /// The conditions of the route as text.
    pub conditions: String,
    /// The current weights, followed by the weights after each step that writes.
    pub weights: Vec<Weights>,
    /// The clusters of the route's groups, by the name of the group.
    pub clusters: BTreeMap<String, String>,
}

/// The weights of a route's groups.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Weights {
    /// The number of the step after which the route has these weights; 0 for the current weights.
    pub step: usize,
    /// The names and weights of the groups in the order of the route, or why weights cannot express the shares.
    pub groups: Result<Vec<(String, u16)>, String>,
}

impl RouteLine {
    /// Returns the weights with the names of the clusters instead of the groups; `others` for the other groups.
    pub fn cluster_weights(&self) -> Vec<Weights> {
        let by_cluster = |groups: &Vec<(String, u16)>| {
            let mut sums: Vec<(String, u16)> = Vec::new();
            for (group, weight) in groups {
                let cluster = self.clusters.get(group).map_or("others", String::as_str);
                match sums.iter_mut().find(|(name, _)| name == cluster) {
                    Some((_, sum)) => *sum = sum.saturating_add(*weight),
                    None => sums.push((cluster.to_owned(), *weight)),
                }
            }
            sums
        };
        let named = |weights: &Weights| Weights {
            step: weights.step,
            groups: weights.groups.as_ref().map(by_cluster).map_err(Clone::clone),
        };
        self.weights.iter().map(named).collect()
    }
}

impl CheckReport {
    /// Returns the plan's name, with the wave.
    pub fn title(&self) -> String {
        self.wave.as_ref().map_or_else(|| self.plan.clone(), |wave| format!("{}, wave {wave}", self.plan))
    }

    /// Returns the result of an offline check, without facts from AWS.
    pub fn offline(plan: &Plan, findings: Vec<Finding>) -> Self {
        Self::for_routes(plan, findings, schedule::expected_routes(&plan.workloads))
    }

    fn for_routes(plan: &Plan, findings: Vec<Finding>, routes: usize) -> Self {
        let from_to = (plan.strategy.from.clone(), plan.strategy.to.clone());
        Self {
            plan: plan.name.clone(),
            wave: plan.wave_name().map(str::to_owned),
            source: plan.source.clone(),
            clusters: from_to,
            aws: (plan.account_id.clone(), plan.region.clone()),
            steps: steps(plan, routes),
            hooks: plan.strategy.hooks.iter().map(hook).collect(),
            gates: gates::lines(plan, |_| None),
            notifications: notifications(plan, &BTreeMap::new()),
            hours: in_words(plan),
            estimate: schedule::min_duration(plan, routes),
            ends: None,
            at: None,
            observation_cost: None,
            routes: Vec::new(),
            skipped: Vec::new(),
            findings,
        }
    }

    /// Returns the result of a check with facts that were read at `now`.
    pub fn new(plan: &Plan, facts: &Facts, findings: Vec<Finding>, now: Timestamp) -> Self {
        let selection = &facts.selection;
        let routes: Vec<_> = selection.routes.iter().map(|r| route(plan, selection, r)).collect();
        let report = Self::for_routes(plan, findings, routes.len());
        let gates = gates::lines(plan, |gate| facts.gate_answers.get(gate));
        let notifications = notifications(plan, &facts.machine.notifications);
        Self { at: Some(now), gates, notifications, routes, skipped: selection.skipped.clone(), ..report }
            .with_start(plan, now)
    }

    /// Sets the times of a run that starts at `now`.
    #[must_use]
    pub fn with_start(mut self, plan: &Plan, now: Timestamp) -> Self {
        let declared = schedule::expected_routes(&plan.workloads);
        let routes = if self.routes.is_empty() { declared } else { self.routes.len() };
        let first = self.steps.first().map_or(1, |step| step.number);
        let times = schedule::earliest_starts_from(plan, first, now, routes);
        let hours = &plan.strategy.hours;
        for (line, at) in self.steps.iter_mut().zip(&times) {
            line.earliest = Some(*at);
            line.clock = (!hours.is_empty()).then(|| hours::format_in_zone(hours, *at));
        }
        self.ends = times.get(self.steps.len()).copied();
        self
    }

    /// Limits the report to a run that begins with the step `first`, counted from 1: its steps, shares and duration.
    #[must_use]
    pub fn beginning_with(mut self, plan: &Plan, first: usize) -> Self {
        if first <= 1 {
            return self;
        }
        self.steps.retain(|step| step.number >= first);
        let skipped = self.steps.first().map_or(self.estimate, |step| step.begins);
        self.steps.iter_mut().for_each(|step| step.begins -= skipped);
        self.estimate -= skipped;
        for route in &mut self.routes {
            route.weights.retain(|weights| weights.step == 0 || weights.step >= first);
        }
        match self.at {
            Some(now) => self.with_start(plan, now),
            None => self,
        }
    }

    /// Whether a run would be refused.
    pub fn is_refused(&self) -> bool {
        self.findings.iter().any(Finding::refuses)
    }

    /// Returns the number of findings of this severity that the plan does not accept.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|f| f.severity == severity && f.accepted.is_none()).count()
    }

    /// Groups the routes by load balancer, workload and weights, in the order of the first route of each group.
    pub fn grouped(&self) -> Vec<Vec<&RouteLine>> {
        let mut order: Vec<Vec<&RouteLine>> = Vec::new();
        let mut places: BTreeMap<(&str, &str, &[Weights]), usize> = BTreeMap::new();
        for line in &self.routes {
            let place = *places.entry((&line.load_balancer, &line.workload, &line.weights)).or_insert(order.len());
            if place == order.len() {
                order.push(Vec::new());
            }
            order[place].push(line);
        }
        order
    }

    /// Groups the routes by the weights of the clusters, in the order of the first route of each group: the routes of
    /// all workloads whose shares are equal.
    pub fn grouped_by_shares(&self) -> Vec<Vec<&RouteLine>> {
        let mut order: Vec<Vec<&RouteLine>> = Vec::new();
        let mut places: BTreeMap<Vec<Weights>, usize> = BTreeMap::new();
        for line in &self.routes {
            let place = *places.entry(line.cluster_weights()).or_insert(order.len());
            if place == order.len() {
                order.push(Vec::new());
            }
            order[place].push(line);
        }
        order
    }

    /// Returns a short title of a step, such as `1 bind`, `2 first-traffic` or `4 a 50 %, b 50 %`; `now` for 0.
    pub fn step_title(&self, number: usize) -> String {
        let step = self.steps.iter().find(|s| s.number == number);
        step.map_or_else(
            || "now".to_owned(),
            |s| {
                let action = s.action.split(':').next().unwrap_or_default();
                format!("{number} {}", s.name.as_deref().unwrap_or(action))
            },
        )
    }
}

fn steps(plan: &Plan, routes: usize) -> Vec<StepLine> {
    let mut begins = Duration::ZERO;
    let mut lines = Vec::new();
    for step in &plan.strategy.steps {
        let (name, action, short) = (step.name.clone(), step_action(plan, step), short_action(plan, step));
        lines.push(StepLine { number: step.number, name, action, short, begins, earliest: None, clock: None });
        begins += schedule::min_step_duration(&plan.strategy, step, routes);
    }
    lines
}

fn hook(hook: &Hook) -> HookLine {
    let (when, action) = (crate::domain::decide::occasion_text(hook), crate::domain::decide::action_line(&hook.action));
    HookLine { when: when.to_owned(), name: hook.name.clone(), action, required: hook.fails_run }
}

/// Returns the notifications, each with its known problem. `problems` is by the position of the notification in the
/// plan.
fn notifications(plan: &Plan, problems: &BTreeMap<usize, String>) -> Vec<NotificationLine> {
    let line = |(place, notification): (usize, &Notification)| NotificationLine {
        to: notification.to.kind().to_owned(),
        on: notification.on.iter().map(|kind| kind.word()).collect(),
        problem: problems.get(&place).cloned(),
    };
    plan.notifications.iter().enumerate().map(line).collect()
}

/// Describes the action of a step.
pub fn step_action(plan: &Plan, step: &Step) -> String {
    match &step.kind {
        StepKind::Bind => {
            format!(
                "bind: attach {}'s groups at weight 0, create or verify bindings, wait for healthy targets",
                plan.strategy.to
            )
        }
        StepKind::Shares(shares) => format_shares(shares),
        StepKind::Bake(time) => format!("pause {}", duration::format_exact(*time)),
        StepKind::Exec(exec) => {
            let undo = exec
                .undo
                .as_ref()
                .map(|undo| format!("; a rollback undoes it with {}", crate::domain::decide::command_line(undo)));
            format!("run {}{}", crate::domain::decide::command_line(&exec.command), undo.unwrap_or_default())
        }
        StepKind::HandOver(hand_over) => format!(
            "hand over {}: stop in {}, wait until nothing of it runs, start in {}",
            crate::domain::decide::hand_over_text(hand_over),
            plan.strategy.from,
            plan.strategy.to
        ),
        StepKind::Approval(text) => {
            let text = text.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
            let limit = step
                .approval_timeout
                .map(|l| format!(" for {}, then {}", duration::format_exact(l.after), l.then.word()));
            format!("wait for approval{}{text}", limit.unwrap_or_default())
        }
        StepKind::HeaderRoute(_) | StepKind::Unknown => crate::domain::decide::label(step),
    }
}

/// Describes the action of a step in a few words. If two clusters have shares, names only the share of the new cluster.
fn short_action(plan: &Plan, step: &Step) -> String {
    let (from, to) = (&plan.strategy.from, &plan.strategy.to);
    match &step.kind {
        StepKind::Bind => "bind".to_owned(),
        StepKind::Shares(shares) => match shares.get(to) {
            Some(share) if shares.keys().all(|cluster| cluster == from || cluster == to) => format!("{to} {share} %"),
            _ => format_shares(shares),
        },
        StepKind::Bake(time) => format!("pause {}", duration::format_exact(*time)),
        StepKind::Exec(_) => format!("command of step {}", step.number),
        StepKind::HandOver(_) => format!("hand-over of step {}", step.number),
        StepKind::Approval(_) => "approval".to_owned(),
        StepKind::HeaderRoute(_) => format!("header route of step {}", step.number),
        StepKind::Unknown => crate::domain::decide::label(step),
    }
}

/// Formats shares, such as `a 95 %, b 5 %`.
fn format_shares(shares: &Shares) -> String {
    shares.iter().map(|(cluster, share)| format!("{cluster} {share} %")).collect::<Vec<_>>().join(", ")
}

fn route(plan: &Plan, selection: &Selection, selected: &SelectedRoute) -> RouteLine {
    let load_balancer = selection.load_balancers.get(&selected.load_balancer).map(|lb| lb.name.clone());
    let live = &selected.route;
    let mut weights = Vec::new();
    if let Some(original) = live.forwards() {
        weights.push(Weights { step: 0, groups: Ok(named_weights(selection, original)) });
        let mut current = original.clone();
        for step in &plan.strategy.steps {
            let next = match &step.kind {
                StepKind::Bind => Ok(current.attach(&used_groups(plan, selected))),
                StepKind::Shares(wanted) => shares::split_for(original, &selected.managed(), wanted, elb::LIMITS),
                StepKind::Bake(_)
                | StepKind::Approval(_)
                | StepKind::Exec(_)
                | StepKind::HeaderRoute(_)
                | StepKind::HandOver(_)
                | StepKind::Unknown => continue,
            };
            let groups = next.as_ref().map(|split| named_weights(selection, split)).map_err(ToString::to_string);
            current = next.unwrap_or(current);
            weights.push(Weights { step: step.number, groups });
        }
    }
    RouteLine {
        load_balancer: load_balancer.unwrap_or_else(|| elb::select::short_name(&selected.load_balancer).to_owned()),
        workload: selected.workload.clone(),
        id: live.id.id().to_owned(),
        label: live.label(),
        conditions: live.conditions.clone(),
        weights,
        clusters: selected
            .groups
            .iter()
            .map(|(cluster, arn)| (selection.group_name(arn).to_owned(), cluster.clone()))
            .collect(),
    }
}

/// Returns the ARNs of the groups that ever get a share.
fn used_groups<'a>(plan: &Plan, selected: &'a SelectedRoute) -> Vec<&'a str> {
    selected.groups.iter().filter(|(cluster, _)| plan.strategy.peak(cluster) > 0).map(|(_, arn)| arn.as_str()).collect()
}

fn named_weights(selection: &Selection, split: &Split) -> Vec<(String, u16)> {
    split.ids().map(|id| (selection.group_name(id).to_owned(), split.weight(id).unwrap_or(0))).collect()
}
