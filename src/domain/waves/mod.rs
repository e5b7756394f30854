//! Determines from a plan and the summaries of its runs which wave is next. There is no other state of a migration.
//!
//! Do not decide here what a run does: [`decide`](crate::domain::decide) knows nothing of waves.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::domain::run::event::{RunOutcome, Started};
use crate::plan::model::Plan;

/// The wave that a run moves, as its journal describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WaveOfRun {
    /// The migration to which the run belongs: the id of its first run.
    pub migration: String,
    /// The name of the wave.
    pub name: String,
    /// The names of the workloads of the wave at the start of the run.
    pub workloads: Vec<String>,
    /// The old cluster.
    pub from: String,
    /// The new cluster.
    pub to: String,
    /// Whether `finalize --detach` has retired the old cluster, or has begun to.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub retired: bool,
}

impl WaveOfRun {
    /// Returns the wave of a new run; `None` if its plan has no waves.
    pub fn of(started: &Started) -> Option<Self> {
        let wave = started.wave.as_ref()?;
        Some(Self {
            migration: wave.migration.clone(),
            name: wave.name.clone(),
            workloads: wave.workloads.clone(),
            from: started.from.clone(),
            to: started.to.clone(),
            retired: false,
        })
    }
}

/// The summary of a run of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanRun {
    /// The id of the run.
    pub id: String,
    /// How the run ended; `None` if the run is unfinished, also if it is being rolled back after its end.
    pub outcome: Option<RunOutcome>,
    /// Whether an abort left the new cluster the shares of an earlier step (`abort --to-step`).
    pub keeps_share: bool,
    /// The wave of the run; `None` if the run moves all workloads of its plan.
    pub wave: Option<WaveOfRun>,
}

/// What is next in the migration of a plan with waves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextWave {
    /// A run of the plan is unfinished: continue with this run, or wait for the process that drives it.
    Continue {
        /// The id of the run.
        run: String,
    },
    /// Begin this wave.
    Begin {
        /// The name of the wave.
        wave: String,
    },
    /// The newest run of this wave was rolled back. Only an operator may begin the wave again.
    Failed {
        /// The name of the wave.
        wave: String,
        /// The id of the run.
        run: String,
    },
    /// Every wave of the plan is done.
    Done,
}

/// The state of a wave in the current migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum WaveStatus {
    /// No run of the wave has begun.
    Waiting,
    /// A run of the wave is unfinished.
    Running,
    /// A run of the wave has completed and was not taken back.
    Done,
    /// The newest run of the wave was rolled back.
    RolledBack,
}

/// A wave of the plan with its run in the current migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaveState<'a> {
    /// The name of the wave.
    pub name: &'a str,
    /// The state of the wave.
    pub status: WaveStatus,
    /// The run that determines the state; `None` before the first run.
    pub run: Option<&'a PlanRun>,
}

/// A wave of the plan, for people and for JSON output.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WaveView {
    /// The name of the wave.
    pub wave: String,
    /// The state of the wave.
    pub status: WaveStatus,
    /// The run that determines the state; `None` before the first run.
    pub run: Option<String>,
    /// Whether the old cluster of the wave is retired: the wave needs no guard, and cannot be rolled back.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub retired: bool,
}

/// The current migration of a plan: its waves, in the order in which they run, and what their runs have reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration<'a> {
    /// The id of the migration: that of its first run; `None` before the first run.
    pub id: Option<&'a str>,
    /// The waves of the plan.
    pub waves: Vec<WaveState<'a>>,
    /// The newest unfinished run of the plan, also of a wave that the plan no longer has.
    unfinished: Option<&'a str>,
}

impl<'a> Migration<'a> {
    /// Returns the current migration of a plan. `runs` are the runs of the plan, newest first. With `new`, a new
    /// migration begins, unless a run is unfinished.
    ///
    /// Runs count by the names of their wave and clusters only: a wave that is done stays done, whatever else changes
    /// in the plan.
    pub fn of(plan: &'a Plan, runs: &'a [PlanRun], new: bool) -> Self {
        let (from, to) = (&plan.strategy.from, &plan.strategy.to);
        let same_direction = |wave: &WaveOfRun| wave.from == *from && wave.to == *to;
        let waves_of = |run: &'a PlanRun| run.wave.as_ref().filter(|wave| same_direction(wave));
        let id = runs.iter().find_map(waves_of).map(|wave| wave.migration.as_str()).filter(|_| !new);
        let in_wave = |run: &PlanRun, name: &str| {
            run.wave.as_ref().is_some_and(|w| same_direction(w) && Some(w.migration.as_str()) == id && w.name == name)
        };
        let state = |name: &'a str| {
            let of_wave = || runs.iter().filter(|run| in_wave(run, name));
            // A wave whose old cluster is being retired is done, although its run is unfinished.
            let retired = |run: &PlanRun| run.wave.as_ref().is_some_and(|wave| wave.retired);
            let is_done = |run: &PlanRun| run.outcome == Some(RunOutcome::Completed) || retired(run);
            let unfinished = of_wave().find(|run| run.outcome.is_none() && !retired(run));
            let done = of_wave().find(|run| is_done(run));
            let (status, run) = match (unfinished, done, of_wave().next()) {
                (Some(run), ..) => (WaveStatus::Running, Some(run)),
                (None, Some(run), _) => (WaveStatus::Done, Some(run)),
                (None, None, run) => (run.map_or(WaveStatus::Waiting, |_| WaveStatus::RolledBack), run),
            };
            WaveState { name, status, run }
        };
        let unfinished = runs.iter().find(|run| run.outcome.is_none()).map(|run| run.id.as_str());
        Self { id, waves: plan.waves.iter().map(|wave| state(&wave.name)).collect(), unfinished }
    }

    /// Returns what is next.
    pub fn next(&self) -> NextWave {
        if let Some(run) = self.unfinished {
            return NextWave::Continue { run: run.to_owned() };
        }
        let Some(open) = self.open().next() else { return NextWave::Done };
        let wave = open.name.to_owned();
        match open.run {
            Some(run) => NextWave::Failed { wave, run: run.id.clone() },
            None => NextWave::Begin { wave },
        }
    }

    /// Returns the waves for people and for JSON output, in order.
    pub fn views(&self) -> Vec<WaveView> {
        let is_retired = |run: &PlanRun| run.outcome.is_some() && run.wave.as_ref().is_some_and(|wave| wave.retired);
        let view = |wave: &WaveState<'_>| WaveView {
            wave: wave.name.to_owned(),
            status: wave.status,
            run: wave.run.map(|run| run.id.clone()),
            retired: wave.run.is_some_and(is_retired),
        };
        self.waves.iter().map(view).collect()
    }

    /// Returns the waves that are not done, in order.
    pub fn open(&self) -> impl Iterator<Item = &WaveState<'a>> {
        self.waves.iter().filter(|wave| wave.status != WaveStatus::Done)
    }
}

/// Returns the runs that a rollback of the newest migration rolls back: the runs of its waves that have, or may have,
/// traffic on the new cluster, the newest first. This needs no plan. Retired runs cannot be rolled back.
pub fn to_roll_back(runs: &[PlanRun]) -> impl Iterator<Item = &PlanRun> {
    let newest = runs.iter().find_map(|run| run.wave.as_ref()).map(|wave| wave.migration.as_str());
    let moved = |run: &PlanRun| run.keeps_share || matches!(run.outcome, None | Some(RunOutcome::Completed));
    let in_migration = move |wave: &WaveOfRun| Some(wave.migration.as_str()) == newest && !wave.retired;
    runs.iter().filter(move |run| moved(run) && run.wave.as_ref().is_some_and(in_migration))
}

impl WaveStatus {
    /// Returns the state as text for people.
    pub fn text(self) -> &'static str {
        match self {
            Self::Waiting => "has not begun",
            Self::Running => "unfinished",
            Self::Done => "done",
            Self::RolledBack => "rolled back",
        }
    }
}
