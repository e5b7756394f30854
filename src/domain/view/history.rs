//! Computes the history of a run from its journal: steps, traffic, health, gates, and results of writes.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::domain::decide::desired_split;
use crate::domain::decide::label;
use crate::domain::health::HealthCounts;
use crate::domain::metric::verdict::judge::GateResult;
use crate::domain::run::event::{Event, Record, Wait, WaitReason, WriteResult};
use crate::domain::run::state::{Drift, IllegalEvent, Phase, Route, State};
use crate::domain::traffic::RouteId;
use crate::domain::view::{comparison, gates};
use crate::plan::model::{ClusterName, Plan};

/// The history of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// The state after the last record.
    pub state: State,
    /// The times of the first and the last record.
    pub time: (Timestamp, Timestamp),
    /// The clusters with a current or planned share: first `from` and `to`, then the others.
    pub clusters: Vec<ClusterName>,
    /// All steps of the plan.
    pub steps: Vec<StepHistory>,
    /// The shares after each change, and as the first entry the shares at the start.
    pub traffic: Vec<TrafficShares>,
    /// The numbers of targets after each change.
    pub health: Vec<ClusterTargets>,
    /// The verdicts of the metric gates, by the name of the gate.
    pub gates: BTreeMap<String, GateVerdicts>,
    /// The number of writes by result.
    pub writes: WriteCounts,
    /// The number of the step at which the first rollback started, if any.
    pub rolled_back_at: Option<usize>,
}

/// One step of the history.
#[derive(Debug, Clone, PartialEq)]
pub struct StepHistory {
    /// The number of the step, from 1.
    pub number: usize,
    /// The name or the action of the step.
    pub label: String,
    /// The times at which the step began and at which it was complete, if it was.
    pub time: (Option<Timestamp>, Option<Timestamp>),
    /// The wait reasons with messages and total durations. The durations of equal messages are added.
    pub waits: Vec<(WaitReason, String, SignedDuration)>,
    /// The actions of operators during the step, such as `approved by alice@mac`.
    pub operator_actions: Vec<String>,
}

/// The shares of the clusters at a time, in percent of the managed part.
#[derive(Debug, Clone, PartialEq)]
pub struct TrafficShares {
    /// The time since which these values apply.
    pub at: Timestamp,
    /// The lowest and the highest share of each cluster on any route.
    pub shares: BTreeMap<ClusterName, (f64, f64)>,
    /// The mean share of each cluster over all routes.
    pub mean: BTreeMap<ClusterName, f64>,
}

/// The numbers of targets of the clusters at a time.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterTargets {
    /// The time since which these values apply.
    pub at: Timestamp,
    /// The number of targets in each state, by cluster.
    pub targets: BTreeMap<ClusterName, HealthCounts>,
}

/// The history of a metric gate.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GateVerdicts {
    /// The number of measurements.
    pub measurements: usize,
    /// The verdict after each change, as time, verdict and reason.
    pub verdicts: Vec<(Timestamp, GateResult, String)>,
    /// Whether the gate's verdicts have no effect (`dryRun`).
    pub dry_run: bool,
    /// The time of the last measurement.
    pub measured_at: Option<Timestamp>,
    /// The verdict after the last measurement, with the reason and its numbers.
    pub last: Option<(Timestamp, GateResult, String)>,
}

/// The number of writes by result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WriteCounts {
    /// The number of writes that were journalled before they were sent.
    pub intended: usize,
    /// The number of writes that were sent and read back.
    pub applied: usize,
    /// The number of writes whose route already had the split.
    pub already: usize,
    /// The number of writes without a response, or not read back in time.
    pub unknown: usize,
    /// Rejected because AWS throttles, and sent again.
    pub throttled: usize,
    /// The number of writes that were rejected or never sent, or whose route was deleted or unreadable.
    pub failed: usize,
}

impl WriteCounts {
    /// As text: `199 sent, 180 read back as written, 19 throttled by AWS and sent again`.
    pub fn text(&self) -> String {
        let counts = [
            (self.already, "needed no write"),
            (self.unknown, "not confirmed at once"),
            (self.throttled, "throttled by AWS and sent again"),
            (self.failed, "failed"),
        ];
        let more = counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!(", {n} {what}"));
        format!("{} sent, {} read back as written{}", self.intended, self.applied, more.collect::<String>())
    }
}

impl History {
    /// Builds the history from a run's records; `None` if there are no records.
    ///
    /// # Errors
    /// A record is not legal after the previous records.
    pub fn of(plan: &Plan, records: &[Record]) -> Result<Option<Self>, IllegalEvent> {
        let Some(first) = records.first() else { return Ok(None) };
        let Some(state) = State::fold(&records[..1])? else { return Ok(None) };
        let mut builder = HistoryBuilder::new(plan, state, first.time);
        for record in &records[1..] {
            // These events end the measurements that a verdict is about.
            if matches!(record.event, Event::Settled { .. } | Event::Finished { .. } | Event::RollbackStarted { .. }) {
                builder.judge_gates(plan);
            }
            builder.add(record)?;
        }
        builder.judge_gates(plan);
        Ok(Some(builder.history))
    }

    /// Returns the time from the first to the last record.
    pub fn length(&self) -> SignedDuration {
        self.time.1.duration_since(self.time.0)
    }
}

struct HistoryBuilder {
    history: History,
    /// The shares of each route, in percent of the managed part.
    shares: BTreeMap<RouteId, BTreeMap<ClusterName, f64>>,
    /// The current waits, the time at which they began, and the number of the step.
    waits: (Vec<Wait>, Timestamp, usize),
    /// The last counts of each group. A record may have only the groups whose counts changed.
    health: BTreeMap<String, HealthCounts>,
}

impl HistoryBuilder {
    fn new(plan: &Plan, state: State, at: Timestamp) -> Self {
        let step = |s: &crate::plan::model::Step| StepHistory {
            number: s.number,
            label: label(s),
            time: (None, None),
            waits: Vec::new(),
            operator_actions: Vec::new(),
        };
        let history = History {
            time: (at, at),
            clusters: clusters(plan, &state),
            steps: plan.strategy.steps.iter().map(step).collect(),
            traffic: Vec::new(),
            health: Vec::new(),
            gates: BTreeMap::new(),
            writes: WriteCounts::default(),
            rolled_back_at: None,
            state,
        };
        let (shares, health) = (BTreeMap::new(), BTreeMap::new());
        let mut builder = Self { history, shares, waits: (Vec::new(), at, 0), health };
        builder.update_all_routes(at);
        builder
    }

    fn add(&mut self, record: &Record) -> Result<(), IllegalEvent> {
        let (at, was) = (record.time, self.history.state.step);
        self.history.state.apply_record(record)?;
        self.history.time.1 = at;
        match &record.event {
            Event::StepStarted { step, .. } => {
                // An interrupted step starts again after a resume. The first start is kept.
                self.step(*step, |s| s.time.0 = s.time.0.or(Some(at)));
                self.replace_waits(&[], at);
            }
            Event::StepDone { step } => {
                self.replace_waits(&[], at);
                self.step(*step, |s| s.time.1 = Some(at));
            }
            Event::Approved { step, by, .. } => {
                self.step(*step, |s| s.operator_actions.push(format!("approved by {by}")));
            }
            Event::Promoted { step, by, .. } => {
                self.step(*step, |s| s.operator_actions.push(format!("ended early by {by}")));
            }
            Event::Waiting { waits } => self.replace_waits(waits, at),
            Event::Intended { writes, .. } => self.history.writes.intended += writes.len(),
            Event::Outcome { route, result, detail, .. } => {
                self.count_write(*result, detail.as_deref());
                self.update_route(route, at);
            }
            Event::Drifted { route, .. } => self.update_route(route, at),
            Event::Resumed { .. } | Event::ConditionsChanged { .. } | Event::RuleCreated { .. } => {
                self.update_all_routes(at);
            }
            Event::Health { groups } => self.record_health(groups, at),
            Event::GateMeasured { gate, .. } => {
                let gate = self.history.gates.entry(gate.clone()).or_default();
                gate.measurements += 1;
                gate.measured_at = Some(at);
            }
            Event::VerdictChanged { gate, verdict: call, why, dry_run } => {
                let gate = self.history.gates.entry(gate.clone()).or_default();
                gate.verdicts.push((at, *call, why.clone()));
                gate.dry_run = *dry_run;
            }
            Event::Compared(verdict) => {
                let gate = self.history.gates.entry(comparison::NAME.to_owned()).or_default();
                gate.verdicts.push((at, comparison::result(verdict), comparison::text(verdict)));
            }
            Event::TimedOut { step, .. } => {
                self.step(*step, |s| s.operator_actions.push("not approved in time".into()));
            }
            Event::RollbackStarted { .. } | Event::RampStarted { .. } => {
                self.replace_waits(&[], at);
                self.history.rolled_back_at = self.history.rolled_back_at.or(Some(was));
            }
            Event::Finished { .. } | Event::Stopped { .. } => self.replace_waits(&[], at),
            _ => {}
        }
        Ok(())
    }

    /// Judges the gates by their measurements so far, because a verdict is journalled only when it changes.
    fn judge_gates(&mut self, plan: &Plan) {
        for view in gates::of_run(plan, &self.history.state, None, self.history.time.1) {
            let (Some(result), Some(gate)) = (view.verdict, self.history.gates.get_mut(&view.gate)) else { continue };
            let known = gate.last.as_ref().map(|(at, ..)| *at);
            if let Some(at) = gate.measured_at.filter(|at| Some(*at) != known) {
                gate.last = Some((at, result, view.why));
            }
        }
    }

    fn step(&mut self, number: usize, change: impl FnOnce(&mut StepHistory)) {
        if let Some(step) = self.history.steps.iter_mut().find(|s| s.number == number) {
            change(step);
        }
    }

    /// Replaces the current waits, after it added the time until now to the previous waits.
    fn replace_waits(&mut self, waits: &[Wait], at: Timestamp) {
        // Waits of a rollback do not belong to a step.
        let step = if self.history.state.phase == Phase::RollingBack { 0 } else { self.history.state.step };
        let (before, since, number) = std::mem::replace(&mut self.waits, (waits.to_vec(), at, step));
        let time = at.duration_since(since);
        for wait in before {
            self.step(number, |s| match s.waits.iter_mut().find(|(_, message, _)| *message == wait.message) {
                Some((.., sum)) => *sum += time,
                None => s.waits.push((wait.reason, wait.message, time)),
            });
        }
    }

    fn count_write(&mut self, result: WriteResult, detail: Option<&str>) {
        let writes = &mut self.history.writes;
        match result {
            WriteResult::Failed if detail == Some("throttled") => writes.throttled += 1,
            WriteResult::Applied => writes.applied += 1,
            WriteResult::Already => writes.already += 1,
            WriteResult::Unknown => writes.unknown += 1,
            WriteResult::Failed | WriteResult::Unreadable | WriteResult::Deleted => writes.failed += 1,
        }
    }

    fn update_all_routes(&mut self, at: Timestamp) {
        self.shares = self.history.state.routes.iter().map(|(id, route)| (id.clone(), route_shares(route))).collect();
        self.record_traffic(at);
    }

    fn update_route(&mut self, id: &RouteId, at: Timestamp) {
        if let Some(route) = self.history.state.routes.get(id) {
            self.shares.insert(id.clone(), route_shares(route));
        }
        self.record_traffic(at);
    }

    fn record_traffic(&mut self, at: Timestamp) {
        let of = |cluster: &ClusterName| {
            self.shares.values().map(|s| s.get(cluster).copied().unwrap_or(0.0)).collect::<Vec<_>>()
        };
        let all = || self.history.clusters.iter().map(|c| (c.clone(), of(c)));
        let ends =
            |all: &[f64]| (all.iter().copied().fold(f64::INFINITY, f64::min), all.iter().copied().fold(0.0, f64::max));
        #[allow(clippy::cast_precision_loss)] // a few hundred routes
        let mean = |all: &[f64]| all.iter().sum::<f64>() / all.len().max(1) as f64;
        let traffic = TrafficShares {
            at,
            shares: all().map(|(c, s)| (c, ends(&s))).collect(),
            mean: all().map(|(c, s)| (c, mean(&s))).collect(),
        };
        if self.history.traffic.last().is_none_or(|last| last.shares != traffic.shares || last.mean != traffic.mean) {
            self.history.traffic.push(traffic);
        }
    }

    fn record_health(&mut self, groups: &BTreeMap<String, HealthCounts>, at: Timestamp) {
        self.health.extend(groups.iter().map(|(arn, counts)| (arn.clone(), *counts)));
        let mut targets: BTreeMap<ClusterName, HealthCounts> = BTreeMap::new();
        for (arn, counts) in &self.health {
            let Some(start) = self.history.state.started.groups.get(arn) else { continue };
            let sum = targets.entry(start.cluster.clone()).or_default();
            *sum = sum.plus(*counts);
        }
        self.history.health.push(ClusterTargets { at, targets });
    }
}

fn clusters(plan: &Plan, state: &State) -> Vec<ClusterName> {
    let sides = [&plan.strategy.from, &plan.strategy.to];
    let used: BTreeSet<_> = state.started.groups.values().map(|g| &g.cluster).collect();
    let others = plan.clusters.iter().map(|c| &c.name).filter(|c| !sides.contains(c) && used.contains(c));
    sides.into_iter().filter(|c| !c.is_empty()).chain(others).cloned().collect()
}

/// Returns the live shares of a route: the drifted shares if another actor changed the route, otherwise the last
/// confirmed shares.
fn route_shares(route: &Route) -> BTreeMap<ClusterName, f64> {
    let split = match &route.drift {
        Some(Drift::Changed(live)) => live.forward_split(),
        Some(Drift::Gone) => None,
        None => Some(route.split()),
    };
    split.map(|split| desired_split::shares_of(route, split)).unwrap_or_default()
}
