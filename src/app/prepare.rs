//! Prepares a run before the first write: reads the facts, runs the preflight, and builds the event `started`.

use super::comparison;
use super::exit::{Exit, Failure};
use crate::adapter::notify::known_failure;
use crate::base::finding::{Code, Finding, Severity};
use crate::domain::decide::desired_split;
use crate::domain::preflight;
use crate::domain::preflight::facts::{Facts, MachineFacts, UnusableCommand};
use crate::domain::preflight::machine::{PlanCommand, commands};
use crate::domain::preflight::start::{StartInput, started_event};
use crate::domain::run::event::Started;
use crate::domain::view::check::CheckReport;
use crate::engine::inventory::clusters_with_retries;
use crate::engine::inventory::facts::{expected_calls, gate_answers, gather_at};
use crate::engine::inventory::items::gather_items;
use crate::engine::marker::{self, KEY};
use crate::engine::{OBSERVE_BUDGET, Ports, poll_interval};
use crate::plan::model::{Plan, Shares};
use crate::port::Hooks;
use crate::port::store::{RunSummary, Store};

/// The facts before a run, and the report of the preflight.
pub struct Preparation {
    /// The facts that were read from AWS and the clusters.
    pub facts: Facts,
    /// The preflight's findings, as `cutover check` shows them.
    pub report: CheckReport,
}

/// Reads the facts and runs the preflight. `from_step` is the first step of the run, counted from 1.
pub async fn prepare(plan: &Plan, ports: &Ports, from_step: usize) -> Preparation {
    let live =
        desired_split::share_step_at(plan, from_step - 1).map(|(_, shares)| shares).or(plan.strategy.start.as_ref());
    let clusters = clusters_with_retries(&ports.clusters, &ports.clock);
    let facts = gather_at(plan, live, &*ports.balancer.inventory, &*ports.balancer.traffic, &clusters);
    let facts = ports.reads.read(expected_calls(plan), facts);
    let (mut facts, comparison) = futures::join!(facts, comparison::before_run(plan, ports));
    facts.reading_ended = ports.reads.ended_early();
    let now = ports.clock.now();
    facts.gate_answers = gate_answers(plan, &facts.selection, &*ports.metrics, now).await;
    facts.items = gather_items(plan, &ports.items, &*ports.clock).await;
    facts.machine = machine_facts(plan, &*ports.hooks);
    let findings = preflight::check(plan, &facts, now);
    let selection = &facts.selection;
    let calls = describe_calls(selection.groups.len(), selection.routes.len(), selection.load_balancers.len());
    let observation_cost = Some((calls, poll_interval(calls, plan.api_budget.unwrap_or(OBSERVE_BUDGET))));
    let report = CheckReport::new(plan, &facts, findings, now).beginning_with(plan, from_step);
    let mut report = CheckReport { observation_cost, ..report };
    comparison.add_to(&mut report);
    Preparation { facts, report }
}

/// Returns the facts about this machine: whether the plan's commands can be executed, and whether the secrets of its
/// notifications can be read.
pub fn machine_facts(plan: &Plan, hooks: &dyn Hooks) -> MachineFacts {
    let unusable = |command: &PlanCommand<'_>| {
        let problem = hooks.locate(command.program).err()?;
        let program = command.program.to_owned();
        Some(UnusableCommand { place: command.place(), program, problem, required: command.required })
    };
    let problems = plan.notifications.iter().enumerate();
    MachineFacts {
        unusable_commands: commands(plan).iter().filter_map(unusable).collect(),
        notifications: problems.filter_map(|(place, n)| Some((place, known_failure(&n.to)?))).collect(),
    }
}

/// Returns the number of describe calls of one observation: one per group, one per twenty routes, and one for the tags
/// of twenty load balancers.
pub fn describe_calls(groups: usize, routes: usize, load_balancers: usize) -> usize {
    groups + routes.div_ceil(20) + load_balancers.div_ceil(20)
}

impl Preparation {
    /// Returns a finding if a load balancer has the marker of a run that is not in `known`: a new run would be refused.
    pub async fn other_owner(&self, store: Option<&dyn Store>, known: &[RunSummary]) -> Option<Finding> {
        for load_balancer in self.facts.selection.load_balancers.values() {
            let Some(value) = load_balancer.tags.get(KEY) else { continue };
            let is_over = match store {
                Some(store) => marker::is_unstarted_or_finished(store, value).await,
                None => false,
            };
            if is_over || known.iter().any(|run| run.id == marker::run_of(value)) {
                continue;
            }
            let name = &load_balancer.name;
            let message = format!("another run owns this load balancer (run, owner, since): {value}");
            let help = format!(
                "wait until that run has ended, or put its traffic back and remove its marker: cutover rollback \
                 --load-balancer {name}\nwhat is live: cutover status --load-balancer {name}"
            );
            return Some(Finding::new(Code::CUT315, name, message).help(help));
        }
        None
    }

    /// Combines the findings that refuse a start into one failure; `None` if there is no such finding.
    pub fn refusal(&self) -> Option<Failure> {
        let refusing: Vec<_> =
            self.report.findings.iter().filter(|f| f.severity == Severity::Error && f.accepted.is_none()).collect();
        let exit = Exit::from(refusing.first()?.code.source());
        let text = refusing
            .iter()
            .map(|f| format!("{} {}: {}", f.code.name(), f.subject, f.message))
            .collect::<Vec<_>>()
            .join("\n");
        let failure = Failure::new(exit, format!("the preflight refuses to start; nothing was changed\n{text}"));
        Some(failure.next(format!("to show all findings and what to do: cutover check {}", self.report.source)))
    }

    /// Returns the marker of another run on one of the load balancers; `None` if no load balancer has one.
    pub fn other_marker(&self) -> Option<&str> {
        self.marked_balancer().map(|(_, marker)| marker)
    }

    /// Returns a load balancer with the marker of another run, and this marker; `None` if no load balancer has one.
    pub fn marked_balancer(&self) -> Option<(&String, &str)> {
        self.facts.selection.load_balancers.values().find_map(|lb| Some((&lb.arn, lb.tags.get(KEY)?.as_str())))
    }

    /// Builds the `started` event of a run from these facts.
    pub fn started_event(
        &self,
        plan: &Plan,
        owner: &str,
        from_step: usize,
        start: Option<Shares>,
    ) -> Result<Started, Failure> {
        let health =
            self.facts.health.iter().filter_map(|(arn, targets)| Some((arn.clone(), targets.as_ref().ok()?.clone())));
        let identities = self
            .facts
            .clusters
            .iter()
            .filter_map(|(name, c)| Some((name.clone(), c.identity.as_ref().ok()?.uid.clone())));
        let start = StartInput {
            health: health.collect(),
            clusters: identities.collect(),
            items: self.facts.items.starts.iter().filter(|start| start.step >= from_step).cloned().collect(),
            owner: owner.into(),
            from_step,
            start,
        };
        started_event(plan, &self.facts.selection, start)
            .map_err(|why| Failure::new(Exit::Refused, format!("the run did not start; nothing was changed: {why}")))
    }
}
