//! The result of `check`, as values: the steps, the weights of every route after each step, what is skipped, and the
//! findings. Text, JSON and Markdown are rendered in `cli`.

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
use crate::plan::model::hook::Hook;
use crate::plan::model::{Plan, Shares, Step, StepKind};
use crate::plan::schedule;

/// Everything that `check` prints.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckReport {
    /// The plan's name.
    pub plan: String,
    /// The source of its text, such as a file name.
    pub source: String,
    /// `from` and `to`.
    pub clusters: (String, String),
    /// Its steps.
    pub steps: Vec<StepLine>,
    /// Its hooks.
    pub hooks: Vec<HookLine>,
    /// Minimum duration.
    pub estimate: Duration,
    /// Earliest end, if the run starts at the time of the check.
    pub ends: Option<Timestamp>,
    /// Time of the check; `None` for an offline check, where `routes` and `skipped` are empty.
    pub at: Option<Timestamp>,
    /// Describe calls per full observation, and the time between observations; `None` offline.
    pub observation_cost: Option<(usize, Duration)>,
    /// The routes that it moves.
    pub routes: Vec<RouteLine>,
    /// The routes that it does not touch.
    pub skipped: Vec<SkippedRoute>,
    /// All findings, most severe first.
    pub findings: Vec<Finding>,
}

/// A step of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepLine {
    /// From 1.
    pub number: usize,
    /// Its name, if any.
    pub name: Option<String>,
    /// Its action, as text.
    pub action: String,
    /// Earliest start, as time after the start of the run, without waits for windows.
    pub begins: Duration,
    /// Earliest start with windows, if the run starts at the time of the check; `None`: unknown, or never.
    pub earliest: Option<Timestamp>,
    /// `earliest` as text, if the plan has hours.
    pub clock: Option<String>,
}

/// A hook of the plan.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HookLine {
    /// `before shift`.
    pub when: String,
    /// Its name, if any.
    pub name: Option<String>,
    /// The command line, or the address without possible secrets.
    pub action: String,
    /// Whether its failure fails the run.
    pub required: bool,
}

/// A route with its weights after each step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteLine {
    /// The load balancer's name.
    pub load_balancer: String,
    /// The workload.
    pub workload: String,
    /// ARN.
    pub id: String,
    /// `443 rule 15`.
    pub label: String,
    /// Its conditions as text.
    pub conditions: String,
    /// The current weights, then those after each step that writes.
    pub weights: Vec<Weights>,
}

/// The weights of a route's groups.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Weights {
    /// After this step; 0: now.
    pub step: usize,
    /// Group names and weights in the order of the route, or why weights cannot express the shares.
    pub groups: Result<Vec<(String, u16)>, String>,
}

impl CheckReport {
    /// Returns the result for a plan alone, without AWS.
    pub fn offline(plan: &Plan, findings: Vec<Finding>) -> Self {
        Self::for_routes(plan, findings, schedule::expected_routes(&plan.workloads))
    }

    fn for_routes(plan: &Plan, findings: Vec<Finding>, routes: usize) -> Self {
        let from_to = (plan.strategy.from.clone(), plan.strategy.to.clone());
        Self {
            plan: plan.name.clone(),
            source: plan.source.clone(),
            clusters: from_to,
            steps: steps(plan, routes),
            hooks: plan.strategy.hooks.iter().map(hook).collect(),
            estimate: schedule::min_duration(plan, routes),
            ends: None,
            at: None,
            observation_cost: None,
            routes: Vec::new(),
            skipped: Vec::new(),
            findings,
        }
    }

    /// Returns the result for a plan with facts that were read at `now`.
    pub fn new(plan: &Plan, facts: &Facts, findings: Vec<Finding>, now: Timestamp) -> Self {
        let selection = &facts.selection;
        let routes: Vec<_> = selection.routes.iter().map(|r| route(plan, selection, r)).collect();
        let report = Self::for_routes(plan, findings, routes.len());
        Self { at: Some(now), routes, skipped: selection.skipped.clone(), ..report }.with_start(plan, now)
    }

    /// Fills in the times of a run that starts at `now`.
    #[must_use]
    pub fn with_start(mut self, plan: &Plan, now: Timestamp) -> Self {
        let declared = schedule::expected_routes(&plan.workloads);
        let routes = if self.routes.is_empty() { declared } else { self.routes.len() };
        let times = schedule::earliest_starts(plan, now, routes);
        let hours = &plan.strategy.hours;
        for (line, at) in self.steps.iter_mut().zip(&times) {
            line.earliest = Some(*at);
            line.clock = (!hours.is_empty()).then(|| hours::format_in_zone(hours, *at));
        }
        self.ends = times.get(plan.strategy.steps.len()).copied();
        self
    }

    /// Whether a run would be refused.
    pub fn is_refused(&self) -> bool {
        self.findings.iter().any(Finding::refuses)
    }

    /// Returns the number of findings of this severity that the plan does not accept.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|f| f.severity == severity && f.accepted.is_none()).count()
    }

    /// Routes with equal load balancer, workload and weights, in the order of their first route.
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

    /// Short title of a step; `now` for 0: `1 bind`, `2 first-traffic`, `4 a 50 %, b 50 %`.
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
        let (name, action) = (step.name.clone(), step_action(plan, step));
        lines.push(StepLine { number: step.number, name, action, begins, earliest: None, clock: None });
        begins += schedule::min_step_duration(&plan.strategy, step, routes);
    }
    lines
}

fn hook(hook: &Hook) -> HookLine {
    let (when, action) = (crate::domain::decide::hook_when(hook), crate::domain::decide::errand_line(&hook.action));
    HookLine { when: when.to_owned(), name: hook.name.clone(), action, required: hook.fails_run }
}

/// Returns the action of a step, as text.
pub fn step_action(plan: &Plan, step: &Step) -> String {
    match &step.kind {
        StepKind::Bind => {
            format!(
                "bind: attach {}'s groups at weight 0, create or verify bindings, wait for healthy targets",
                plan.strategy.to
            )
        }
        StepKind::Shares(shares) => shares_in_words(shares),
        StepKind::Bake(time) => format!("bake {}", duration::format_exact(*time)),
        StepKind::Exec(exec) => {
            let undo = exec
                .undo
                .as_ref()
                .map(|undo| format!("; a rollback undoes it with {}", crate::domain::decide::command_line(undo)));
            format!("run {}{}", crate::domain::decide::command_line(&exec.command), undo.unwrap_or_default())
        }
        StepKind::Approval(text) => {
            let text = text.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
            let limit = step
                .approval_timeout
                .map(|l| format!(" for {}, then {}", duration::format_exact(l.after), l.then.word()));
            format!("wait for approval{}{text}", limit.unwrap_or_default())
        }
        StepKind::Unknown => crate::domain::decide::label(step),
    }
}

/// `a 95 %, b 5 %`.
fn shares_in_words(shares: &Shares) -> String {
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
                StepKind::Bake(_) | StepKind::Approval(_) | StepKind::Exec(_) | StepKind::Unknown => continue,
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
    }
}

/// ARNs of the groups that ever get a share.
fn used_groups<'a>(plan: &Plan, selected: &'a SelectedRoute) -> Vec<&'a str> {
    selected.groups.iter().filter(|(cluster, _)| plan.strategy.peak(cluster) > 0).map(|(_, arn)| arn.as_str()).collect()
}

fn named_weights(selection: &Selection, split: &Split) -> Vec<(String, u16)> {
    split.ids().map(|id| (selection.group_name(id).to_owned(), split.weight(id).unwrap_or(0))).collect()
}
