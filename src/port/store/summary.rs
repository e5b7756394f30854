//! A short summary of a run's journal, for lists, for finding a run by its plan's name, and for the emergency command.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::base::arn;
use crate::domain::run::event::{Event, Record, RunOutcome, Started, StopReason};
use crate::domain::waves::WaveOfRun;

/// The summary of a run's journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunSummary {
    /// The id of the run.
    pub id: String,
    /// The plan's name; empty if a damaged journal does not contain it.
    pub plan: String,
    /// When the run started; `None` if a damaged journal does not contain it.
    pub started: Option<Timestamp>,
    /// When the last record was written.
    pub last: Option<Timestamp>,
    /// The outcome of the run; `None` if the run is unfinished. A rollback or `finalize --detach` makes a finished run
    /// unfinished until it ends.
    pub finished: Option<RunOutcome>,
    /// Whether all steps were done, also if the run was rolled back later.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub completed: bool,
    /// The number of the step to whose shares an operator aborted the run (`abort --to-step`): the new cluster keeps
    /// traffic. `None` if the last rollback restored the original shares, or if there was no rollback.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub aborted_to: Option<usize>,
    /// Why the last process stopped driving the run; `None` if a process is driving the run, or died.
    pub stopped: Option<StopReason>,
    /// The wave that the run moves; `None` if its plan has no waves.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub wave: Option<WaveOfRun>,
    /// The ARNs of the run's load balancers.
    pub load_balancers: Vec<String>,
    /// Why the journal is damaged; the other fields then contain the values of its intact part.
    pub damaged: Option<String>,
}

impl RunSummary {
    /// Builds the summary of a journal's records.
    pub fn of(id: &str, records: &[Record]) -> Self {
        let mut run = Self {
            id: id.to_owned(),
            plan: String::new(),
            started: records.first().map(|r| r.time),
            last: records.last().map(|r| r.time),
            finished: None,
            completed: false,
            aborted_to: None,
            stopped: None,
            wave: None,
            load_balancers: vec![],
            damaged: None,
        };
        for record in records {
            run.apply(&record.event);
        }
        run
    }

    /// Adds the record that follows the records already added.
    pub fn add(&mut self, record: &Record) {
        self.started = self.started.or(Some(record.time));
        self.last = Some(record.time);
        self.apply(&record.event);
    }

    fn apply(&mut self, event: &Event) {
        match event {
            Event::Started(started) => {
                self.plan.clone_from(&started.plan);
                self.wave = WaveOfRun::of(started);
                self.load_balancers.clone_from(&started.load_balancers);
            }
            Event::ProcessStarted { .. } => self.stopped = None,
            Event::RollbackStarted { to_step, .. } => {
                self.finished = None;
                self.aborted_to = *to_step;
            }
            Event::RampStarted { .. } => {
                self.finished = None;
                self.aborted_to = None;
            }
            Event::RetireStarted { .. } => {
                self.finished = None;
                self.wave.iter_mut().for_each(|wave| wave.retired = true);
            }
            Event::Finished { outcome, .. } => {
                self.finished = Some(*outcome);
                self.completed |= *outcome == RunOutcome::Completed;
            }
            Event::Stopped { reason, .. } => self.stopped = Some(*reason),
            _ => {}
        }
    }
}

/// Returns the command that rolls back without a journal, with the names in the records.
///
/// The text has one command per load balancer, one on each line, and joins several groups with commas. It contains
/// placeholders if the records lack the names.
pub fn emergency_command(records: &[Record]) -> String {
    let started = records.iter().find_map(|r| match &r.event {
        Event::Started(started) => Some(started.as_ref()),
        _ => None,
    });
    let emergency_commands = started.map(emergency_commands).unwrap_or_default();
    if emergency_commands.is_empty() {
        "cutover rollback --load-balancer LB --back-to GROUPS --away-from GROUPS".into()
    } else {
        emergency_commands.join("\n  ")
    }
}

/// Builds one emergency command for each load balancer. Returns nothing if the event `started` does not say which
/// groups had the traffic, or if different groups had the traffic on the routes of one load balancer.
fn emergency_commands(started: &Started) -> Vec<String> {
    let mut groups: BTreeMap<&str, [BTreeSet<&str>; 2]> = BTreeMap::new();
    for route in &started.routes {
        let sides = groups.entry(&route.load_balancer).or_default();
        for (cluster, arn) in &route.groups {
            let name = started.groups.get(arn).map_or(arn.as_str(), |g| &g.name);
            let carried = match &started.start {
                Some(start) => start.get(cluster).is_some_and(|share| *share > 0),
                None => route.content.split.carries(arn),
            };
            sides[usize::from(!carried)].insert(name);
        }
    }
    if groups.values().any(|[from, to]| from.is_empty() || to.is_empty() || !from.is_disjoint(to)) {
        return vec![];
    }
    let join = |names: &BTreeSet<&str>| names.iter().copied().collect::<Vec<_>>().join(",");
    groups
        .into_iter()
        .map(|(lb, [from, to])| {
            format!(
                "cutover rollback --load-balancer {} --back-to {} --away-from {}",
                arn::name(lb),
                join(&from),
                join(&to)
            )
        })
        .collect()
}
