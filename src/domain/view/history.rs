//! A run as its journal tells it, for whoever was not there: its steps, the traffic and the health over time, what became of its writes.

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

/// A run, told.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// As it stands after the last record.
    pub state: State,
    /// Of the first record and the last.
    pub time: (Timestamp, Timestamp),
    /// Clusters that had a share or were to have one: `from`, `to`, the others.
    pub clusters: Vec<ClusterName>,
    /// Every step of the plan.
    pub steps: Vec<Step>,
    /// What the routes carried, each time that it changed; the first is the start.
    pub traffic: Vec<Traffic>,
    /// Targets, each time that their counts changed.
    pub health: Vec<Health>,
    /// What the metric gates said, by name.
    pub gates: BTreeMap<String, Gate>,
    /// What became of the writes.
    pub writes: Writes,
    /// At which step the traffic began to go back.
    pub turned: Option<usize>,
}

/// A step as it went.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// From 1.
    pub number: usize,
    /// Its name, or what it does.
    pub label: String,
    /// When it began and when it was done, as far as it was.
    pub time: (Option<Timestamp>, Option<Timestamp>),
    /// What it waited for, in words, each for how long; the times of one wording are added up.
    pub waited: Vec<(WaitReason, String, SignedDuration)>,
    /// What people did at it: `approved by alice@mac`.
    pub people: Vec<String>,
}

/// Shares in percent of the managed part: by cluster the least and the most that a route has of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Traffic {
    /// From when on.
    pub at: Timestamp,
    /// By cluster; absent: nothing anywhere.
    pub shares: BTreeMap<ClusterName, (f64, f64)>,
    /// By cluster, over all routes.
    pub mean: BTreeMap<ClusterName, f64>,
}

/// Targets of a cluster's groups, added up.
#[derive(Debug, Clone, PartialEq)]
pub struct Health {
    /// From when on.
    pub at: Timestamp,
    /// By cluster: healthy ones, and all that are registered and not on their way out.
    pub targets: BTreeMap<ClusterName, (u32, u32)>,
}

/// A metric gate.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Gate {
    /// How often it was measured.
    pub looks: usize,
    /// What it said, each time that it said something else: when, the call, and why in words.
    pub verdicts: Vec<(Timestamp, Call, String)>,
    /// It was only watched.
    pub dry_run: bool,
}

/// Counts of writes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Writes {
    /// Put into the journal before they were sent.
    pub intended: usize,
    /// Sent, and read back equal.
    pub applied: usize,
    /// What was to be written was there already.
    pub already: usize,
    /// Without an answer, or not read back in time.
    pub unknown: usize,
    /// Refused, never sent, or the route gone or unreadable.
    pub failed: usize,
}

impl History {
    /// Tells a run from its records, which begin with its start; `None` without any.
    ///
    /// # Errors
    /// The records do not follow from one another.
    pub fn of(plan: &Plan, records: &[Record]) -> Result<Option<Self>, Illegal> {
        let Some(first) = records.first() else { return Ok(None) };
        let Some(state) = State::fold(&records[..1])? else { return Ok(None) };
        let mut teller = Teller::new(plan, state, first.time);
        for record in &records[1..] {
            teller.take(record)?;
        }
        Ok(Some(teller.told))
    }

    /// How long it took so far.
    pub fn length(&self) -> SignedDuration {
        self.time.1.duration_since(self.time.0)
    }
}

struct Teller {
    told: History,
    /// Of each route, in percent of its managed part.
    shares: BTreeMap<RouteId, BTreeMap<ClusterName, f64>>,
    /// What is waited for, since when, and at which step.
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
                // A step that was left is begun again by whoever resumes the run.
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

    /// Adds the time until now to what was waited for until now.
    fn waiting(&mut self, waits: &[Wait], at: Timestamp) {
        // What a rollback waits for is no step's.
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

/// What a route carries: what someone else put there, where that was seen, else what was confirmed last.
fn carried(route: &Route) -> BTreeMap<ClusterName, f64> {
    let split = match &route.drift {
        Some(Drift::Changed(live)) => live.forwards(),
        Some(Drift::Gone) => None,
        None => Some(route.split()),
    };
    split.map(|split| goal::shares_of(route, split)).unwrap_or_default()
}
