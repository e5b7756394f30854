//! The history of a run, from its journal: steps, traffic and health over time, and results of writes.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::domain::decide::goal;
use crate::domain::decide::label;
use crate::domain::health::Counts;
use crate::domain::metric::verdict::judge::Call;
use crate::domain::run::event::{Event, Record, Wait, WaitReason, WriteResult};
use crate::domain::run::state::{Drift, Illegal, Phase, Route, State};
use crate::domain::traffic::RouteId;
use crate::plan::model::{ClusterName, Plan};

/// The history of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// The state after the last record.
    pub state: State,
    /// The times of the first and the last record.
    pub time: (Timestamp, Timestamp),
    /// Clusters with a current or planned share: `from`, `to`, the others.
    pub clusters: Vec<ClusterName>,
    /// Every step of the plan.
    pub steps: Vec<Step>,
    /// The shares each time that they changed; the first entry is the start.
    pub traffic: Vec<Traffic>,
    /// Target counts each time that they changed.
    pub health: Vec<Health>,
    /// The verdicts of metric gates, by name.
    pub gates: BTreeMap<String, Gate>,
    /// Counts of writes by result.
    pub writes: Writes,
    /// The step at which the rollback started, if one did.
    pub turned: Option<usize>,
}

/// One step of the history.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// From 1.
    pub number: usize,
    /// Its name or action.
    pub label: String,
    /// When it began and when it was done, if it was.
    pub time: (Option<Timestamp>, Option<Timestamp>),
    /// Wait reasons with their messages and total durations; equal messages are added up.
    pub waited: Vec<(WaitReason, String, SignedDuration)>,
    /// Operator actions during the step, such as `approved by alice@mac`.
    pub people: Vec<String>,
}

/// Shares in percent of the managed traffic.
#[derive(Debug, Clone, PartialEq)]
pub struct Traffic {
    /// Since when.
    pub at: Timestamp,
    /// Lowest and highest share of a cluster on any route; absent if it has none anywhere.
    pub shares: BTreeMap<ClusterName, (f64, f64)>,
    /// Mean share of a cluster over all routes.
    pub mean: BTreeMap<ClusterName, f64>,
}

/// Targets of the clusters' groups.
#[derive(Debug, Clone, PartialEq)]
pub struct Health {
    /// Since when.
    pub at: Timestamp,
    /// By cluster: healthy targets, and registered targets except draining ones.
    pub targets: BTreeMap<ClusterName, (u32, u32)>,
}

/// The history of a metric gate.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Gate {
    /// Number of measurements.
    pub looks: usize,
    /// Verdicts, each time that the verdict changed: time, verdict, and reason.
    pub verdicts: Vec<(Timestamp, Call, String)>,
    /// Whether it is a dry run.
    pub dry_run: bool,
}

/// Counts of writes by result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Writes {
    /// Journaled before they were sent.
    pub intended: usize,
    /// Sent, and read back.
    pub applied: usize,
    /// The split was there already.
    pub already: usize,
    /// Without an answer, or not read back in time.
    pub unknown: usize,
    /// Rejected, never sent, or the route deleted or unreadable.
    pub failed: usize,
}

impl History {
    /// Builds the history from a run's records; `None` if there are none.
    ///
    /// # Errors
    /// A record is not legal after the ones before it.
    pub fn of(plan: &Plan, records: &[Record]) -> Result<Option<Self>, Illegal> {
        let Some(first) = records.first() else { return Ok(None) };
        let Some(state) = State::fold(&records[..1])? else { return Ok(None) };
        let mut teller = Teller::new(plan, state, first.time);
        for record in &records[1..] {
            teller.take(record)?;
        }
        Ok(Some(teller.told))
    }

    /// The time from the first to the last record.
    pub fn length(&self) -> SignedDuration {
        self.time.1.duration_since(self.time.0)
    }
}

struct Teller {
    told: History,
    /// Shares of each route, in percent of its managed traffic.
    shares: BTreeMap<RouteId, BTreeMap<ClusterName, f64>>,
    /// The current waits, since when, and at which step.
    waits: (Vec<Wait>, Timestamp, usize),
}

impl Teller {
    fn new(plan: &Plan, state: State, at: Timestamp) -> Self {
        let step = |s: &crate::plan::model::Step| Step {
            number: s.number,
            label: label(s),
            time: (None, None),
            waited: Vec::new(),
            people: Vec::new(),
        };
        let told = History {
            time: (at, at),
            clusters: clusters(plan, &state),
            steps: plan.strategy.steps.iter().map(step).collect(),
            traffic: Vec::new(),
            health: Vec::new(),
            gates: BTreeMap::new(),
            writes: Writes::default(),
            turned: None,
            state,
        };
        let mut teller = Self { told, shares: BTreeMap::new(), waits: (Vec::new(), at, 0) };
        teller.all_routes(at);
        teller
    }

    fn take(&mut self, record: &Record) -> Result<(), Illegal> {
        let (at, was) = (record.time, self.told.state.step);
        self.told.state.take(record)?;
        self.told.time.1 = at;
        match &record.event {
            Event::StepStarted { step, .. } => {
                // After a resume, an interrupted step starts again.
                self.step(*step, |s| s.time.0 = s.time.0.or(Some(at)));
                self.waiting(&[], at);
            }
            Event::StepDone { step } => {
                self.waiting(&[], at);
                self.step(*step, |s| s.time.1 = Some(at));
            }
            Event::Approved { step, by, .. } => self.step(*step, |s| s.people.push(format!("approved by {by}"))),
            Event::Promoted { step, by, .. } => self.step(*step, |s| s.people.push(format!("ended early by {by}"))),
            Event::Waiting { waits } => self.waiting(waits, at),
            Event::Intended { writes, .. } => self.told.writes.intended += writes.len(),
            Event::Outcome { route, result, .. } => {
                self.wrote(*result);
                self.one_route(route, at);
            }
            Event::Drifted { route, .. } => self.one_route(route, at),
            Event::Resumed { .. } | Event::Appeared { .. } => self.all_routes(at),
            Event::Health { groups } => self.health(groups, at),
            Event::Sampled { gate, .. } => self.told.gates.entry(gate.clone()).or_default().looks += 1,
            Event::Judged { gate, call, why, dry_run } => {
                let gate = self.told.gates.entry(gate.clone()).or_default();
                gate.verdicts.push((at, *call, why.clone()));
                gate.dry_run = *dry_run;
            }
            Event::TimedOut { step, .. } => self.step(*step, |s| s.people.push("nobody approved in time".into())),
            Event::RollbackStarted { .. } | Event::RampStarted { .. } => {
                self.waiting(&[], at);
                self.told.turned = self.told.turned.or(Some(was));
            }
            Event::Finished { .. } | Event::Stopped { .. } => self.waiting(&[], at),
            _ => {}
        }
        Ok(())
    }

    fn step(&mut self, number: usize, change: impl FnOnce(&mut Step)) {
        if let Some(step) = self.told.steps.iter_mut().find(|s| s.number == number) {
            change(step);
        }
    }

    /// Adds the time until now to the waits so far.
    fn waiting(&mut self, waits: &[Wait], at: Timestamp) {
        // Waits of a rollback belong to no step.
        let step = if self.told.state.phase == Phase::RollingBack { 0 } else { self.told.state.step };
        let (before, since, number) = std::mem::replace(&mut self.waits, (waits.to_vec(), at, step));
        let time = at.duration_since(since);
        for wait in before {
            self.step(number, |s| match s.waited.iter_mut().find(|(_, message, _)| *message == wait.message) {
                Some((.., sum)) => *sum += time,
                None => s.waited.push((wait.reason, wait.message, time)),
            });
        }
    }

    fn wrote(&mut self, result: WriteResult) {
        let writes = &mut self.told.writes;
        match result {
            WriteResult::Applied => writes.applied += 1,
            WriteResult::Already => writes.already += 1,
            WriteResult::Unknown => writes.unknown += 1,
            WriteResult::Failed | WriteResult::Unread | WriteResult::Gone => writes.failed += 1,
        }
    }

    fn all_routes(&mut self, at: Timestamp) {
        self.shares = self.told.state.routes.iter().map(|(id, route)| (id.clone(), carried(route))).collect();
        self.carry(at);
    }

    fn one_route(&mut self, id: &RouteId, at: Timestamp) {
        if let Some(route) = self.told.state.routes.get(id) {
            self.shares.insert(id.clone(), carried(route));
        }
        self.carry(at);
    }

    fn carry(&mut self, at: Timestamp) {
        let of = |cluster: &ClusterName| {
            self.shares.values().map(|s| s.get(cluster).copied().unwrap_or(0.0)).collect::<Vec<_>>()
        };
        let all = || self.told.clusters.iter().map(|c| (c.clone(), of(c)));
        let ends =
            |all: &[f64]| (all.iter().copied().fold(f64::INFINITY, f64::min), all.iter().copied().fold(0.0, f64::max));
        #[allow(clippy::cast_precision_loss)] // a few hundred routes
        let mean = |all: &[f64]| all.iter().sum::<f64>() / all.len().max(1) as f64;
        let traffic = Traffic {
            at,
            shares: all().map(|(c, s)| (c, ends(&s))).collect(),
            mean: all().map(|(c, s)| (c, mean(&s))).collect(),
        };
        if self.told.traffic.last().is_none_or(|last| last.shares != traffic.shares || last.mean != traffic.mean) {
            self.told.traffic.push(traffic);
        }
    }

    fn health(&mut self, groups: &BTreeMap<String, Counts>, at: Timestamp) {
        let mut targets: BTreeMap<ClusterName, (u32, u32)> = BTreeMap::new();
        for (arn, counts) in groups {
            let Some(start) = self.told.state.started.groups.get(arn) else { continue };
            let (healthy, all) = targets.entry(start.cluster.clone()).or_default();
            *healthy += counts.healthy;
            *all += counts.healthy + counts.initial + counts.unhealthy + counts.unused + counts.unavailable;
        }
        self.told.health.push(Health { at, targets });
    }
}

fn clusters(plan: &Plan, state: &State) -> Vec<ClusterName> {
    let sides = [&plan.strategy.from, &plan.strategy.to];
    let used: BTreeSet<_> = state.started.groups.values().map(|g| &g.cluster).collect();
    let others = plan.clusters.iter().map(|c| &c.name).filter(|c| !sides.contains(c) && used.contains(c));
    sides.into_iter().filter(|c| !c.is_empty()).chain(others).cloned().collect()
}

/// The shares of a route: those of observed drift, otherwise those that were last confirmed.
fn carried(route: &Route) -> BTreeMap<ClusterName, f64> {
    let split = match &route.drift {
        Some(Drift::Changed(live)) => live.forwards(),
        Some(Drift::Gone) => None,
        None => Some(route.split()),
    };
    split.map(|split| goal::shares_of(route, split)).unwrap_or_default()
}
