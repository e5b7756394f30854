//! Finds what is next in a plan with waves: reads the runs of the plan from the store, and asks
//! [`domain::waves`](crate::domain::waves). Do not decide here which wave is next.

use std::sync::Arc;

use super::exit::{Exit, Failure, store_failure};
use super::find::{self, StoredRun};
use super::names::plan_argument;
use crate::base::finding::{Code, Finding};
use crate::base::number::count;
use crate::domain::waves::{Migration, NextWave, PlanRun, WaveState, WaveStatus};
use crate::plan::model::Plan;
use crate::port::store::{RunSummary, Store};

/// The runs of a plan with waves, as the store had them at one moment.
pub struct WaveRuns {
    /// The summaries of the runs, newest first.
    pub known: Vec<RunSummary>,
    runs: Vec<PlanRun>,
}

impl WaveRuns {
    /// Reads the runs of a plan.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub async fn read(store: &dyn Store, plan: &Plan) -> Result<Self, Failure> {
        Ok(Self::of(store.find(&plan.name).await.map_err(store_failure)?))
    }

    /// Uses summaries that were already read, newest first.
    pub fn of(known: Vec<RunSummary>) -> Self {
        let runs = known.iter().map(plan_run).collect();
        Self { known, runs }
    }

    /// Returns the current migration of the plan; with `new`, a migration that begins now.
    pub fn migration<'a>(&'a self, plan: &'a Plan, new: bool) -> Migration<'a> {
        Migration::of(plan, &self.runs, new)
    }

    /// Returns the summary of a run.
    pub fn summary(&self, run: &str) -> Option<&RunSummary> {
        self.known.iter().find(|known| known.id == run)
    }

    /// Returns the runs that a rollback of the whole migration rolls back, the newest first.
    pub fn to_roll_back(&self) -> impl Iterator<Item = &RunSummary> {
        crate::domain::waves::to_roll_back(&self.runs).filter_map(|run| self.summary(&run.id))
    }
}

fn plan_run(run: &RunSummary) -> PlanRun {
    PlanRun {
        id: run.id.clone(),
        outcome: run.finished,
        keeps_share: run.finished.is_some() && run.aborted_to.is_some(),
        wave: run.wave.clone(),
    }
}

/// A wave that can begin.
pub struct WaveToBegin {
    /// The plan, narrowed to the wave.
    pub plan: Plan,
    /// The migration to which the run will belong; `None` if the run begins a migration.
    pub migration: Option<String>,
    /// The run of the wave that was rolled back before.
    pub rolled_back: Option<String>,
}

impl WaveToBegin {
    /// Returns the name of the wave.
    pub fn name(&self) -> &str {
        self.plan.wave_name().unwrap_or_default()
    }
}

/// Returns the waves that are not done, in order, as plans.
pub fn to_begin(plan: &Plan, migration: &Migration<'_>) -> Vec<WaveToBegin> {
    let begin = |wave: &WaveState<'_>| {
        Some(WaveToBegin {
            plan: plan.narrowed(wave.name)?,
            migration: migration.id.map(str::to_owned),
            rolled_back: wave.run.map(|run| run.id.clone()),
        })
    };
    migration.open().filter_map(begin).collect()
}

/// Checks that a plan has a wave that the command line names.
///
/// # Errors
/// Fails if the plan has no waves, or no wave with this name (exit 2).
pub fn check_name(plan: &Plan, wave: Option<&str>) -> Result<(), Failure> {
    let Some(wave) = wave else { return Ok(()) };
    if plan.waves.iter().any(|known| known.name == wave) {
        return Ok(());
    }
    let known = plan.waves.iter().map(|wave| wave.name.as_str()).collect::<Vec<_>>().join(", ");
    let known = if known.is_empty() { "the plan has no waves".to_owned() } else { format!("its waves are {known}") };
    let why = format!("the plan {} has no wave {wave}; {known}; nothing was changed", plan.name);
    Err(Failure::new(Exit::Usage, why))
}

/// Refuses options that are about the run of one wave, for a command that names no wave.
///
/// # Errors
/// Fails if one of the options is given (exit 2).
pub fn check_one_wave(plan: &Plan, options: &[(&str, bool)]) -> Result<(), Failure> {
    let Some((option, _)) = options.iter().find(|(_, given)| *given) else { return Ok(()) };
    let names = plan.waves.iter().map(|wave| wave.name.as_str()).collect::<Vec<_>>().join(", ");
    let why = format!("{option} needs --wave, because each wave of the plan is a run of its own; nothing was changed");
    Err(Failure::new(Exit::Usage, why).next(format!("add --wave NAME; the waves are {names}")))
}

/// Returns a finding for each wave that is done, and whose workloads have changed in the plan since.
pub fn changed(plan: &Plan, migration: &Migration<'_>) -> Vec<Finding> {
    let changed = |wave: &WaveState<'_>| {
        let moved = &wave.run?.wave.as_ref()?.workloads;
        let now = &plan.waves.iter().find(|planned| planned.name == wave.name)?.workloads;
        let new: Vec<&str> = now.iter().filter(|name| !moved.contains(name)).map(String::as_str).collect();
        let removed: Vec<&str> = moved.iter().filter(|name| !now.contains(name)).map(String::as_str).collect();
        let parts = [("has also", new), ("no longer has", removed)].into_iter().filter(|(_, names)| !names.is_empty());
        let parts: Vec<_> = parts.map(|(has, names)| format!("{has} {}", names.join(", "))).collect();
        let message = format!("the wave {} is done, but the plan's wave {}", wave.name, parts.join(" and "));
        let help = "a wave that is done does not run again: what it did not move stays on the old cluster; give such a \
            workload a wave of its own";
        (!parts.is_empty()).then(|| Finding::new(Code::CUT313, wave.name, message).help(help))
    };
    migration.waves.iter().filter(|wave| wave.status == WaveStatus::Done).filter_map(changed).collect()
}

/// Returns a finding if the plan has changed since the newest run of the migration, which has ended: what changed. Only
/// waves that begin after a change follow it.
///
/// # Errors
/// Fails if the run cannot be read.
pub async fn edited(store: &dyn Store, plan: &Plan, runs: &WaveRuns) -> Result<Option<Finding>, Failure> {
    let migration = runs.migration(plan, false);
    let of_migration =
        |run: &&RunSummary| run.wave.as_ref().is_some_and(|wave| Some(wave.migration.as_str()) == migration.id);
    let newest = runs.known.iter().find(of_migration).filter(|run| run.finished.is_some());
    let (Some(run), Some(next)) = (newest, migration.open().next()) else { return Ok(None) };
    let found = find::open(store, run.clone()).await?;
    if found.plan.hash == plan.hash {
        return Ok(None);
    }
    let wave = found.plan.wave_name().unwrap_or_default();
    let ended = super::names::outcome_text(run.finished);
    let message = format!(
        "the plan has changed since the newest run, {} of the wave {wave} ({ended}); the wave {} is the next to begin",
        run.id, next.name
    );
    let help = "waves that are done keep the gates with which they ran; waves that begin now have these of the file";
    let diff = find::plan_diff(&found.plan, plan);
    Ok(Some(Finding::new(Code::CUT316, "plan", message).help(format!("{help}:\n{}", diff.trim_end()))))
}

/// The action of one call of `cutover step` for a plan with waves.
pub enum WaveDue {
    /// Begin a run of this wave.
    Begin(Box<WaveToBegin>),
    /// Continue the unfinished run.
    Continue(Box<StoredRun>),
    /// Do nothing, for the reason in the text, and exit with this code.
    Nothing(String, Exit),
}

/// Determines what is due for a plan with waves. With `only`, nothing is done for another wave.
///
/// # Errors
/// Fails if the store cannot be read, or if the plan has changed since its unfinished run started.
pub async fn due(store: &Arc<dyn Store>, plan: &Plan, runs: &WaveRuns, only: Option<&str>) -> Result<WaveDue, Failure> {
    check_name(plan, only)?;
    let migration = runs.migration(plan, false);
    let state = only.and_then(|only| migration.waves.iter().find(|wave| wave.name == only));
    if let Some(WaveState { name, status: WaveStatus::Done, run: Some(run) }) = state {
        return Ok(WaveDue::Nothing(
            format!("the wave {name} is done, with the run {}; nothing to do", run.id),
            Exit::Done,
        ));
    }
    let other = |wave: &str| only.filter(|only| *only != wave);
    match migration.next() {
        NextWave::Continue { run } => {
            let Some(summary) = runs.summary(&run) else { return Err(Failure::new(Exit::Internal, run)) };
            if let (Some(only), Some(wave)) =
                (only, summary.wave.as_ref().and_then(|wave| other(&wave.name).and(Some(&wave.name))))
            {
                let text = format!("the wave {only} waits for the wave {wave}, whose run {run} is unfinished");
                return Ok(WaveDue::Nothing(text, Exit::Waiting));
            }
            let found = find::open(&**store, summary.clone()).await?;
            if found.plan.hash == plan.hash {
                Ok(WaveDue::Continue(Box::new(found)))
            } else {
                Err(find::changed_plan(&found.plan, plan))
            }
        }
        NextWave::Begin { wave } | NextWave::Failed { wave, .. } if other(&wave).is_some() => {
            let text = format!("the wave {} waits for the wave {wave}, which is not done", only.unwrap_or_default());
            Ok(WaveDue::Nothing(text, Exit::Waiting))
        }
        NextWave::Begin { .. } => {
            let first = to_begin(plan, &migration).into_iter().next();
            let first = first.ok_or_else(|| Failure::new(Exit::Internal, "the plan has no wave to begin"))?;
            Ok(WaveDue::Begin(Box::new(first)))
        }
        NextWave::Failed { wave, run } => Ok(WaveDue::Nothing(
            format!(
                "the wave {wave} was rolled back (run {run}), so no later wave begins; `step` does not repeat a wave; to \
                 repeat it: cutover run {}",
                plan_argument(plan)
            ),
            Exit::RolledBack,
        )),
        NextWave::Done => {
            let text = format!("every wave of the plan {} is done; nothing to do", plan.name);
            Ok(WaveDue::Nothing(text, Exit::Done))
        }
    }
}

/// Returns the exit code of a call that has ended a wave: 8 if a later wave is not done, with a text that says so.
///
/// # Errors
/// Fails if the store cannot be read.
pub async fn after_wave(store: &dyn Store, plan: &Plan, exit: Exit) -> Result<(Exit, Option<String>), Failure> {
    if exit != Exit::Done {
        return Ok((exit, None));
    }
    let runs = WaveRuns::read(store, plan).await?;
    let migration = runs.migration(plan, false);
    let open: Vec<&str> = migration.open().map(|wave| wave.name).collect();
    Ok(match open.first() {
        None => (Exit::Done, Some(format!("every wave of the plan {} is done", plan.name))),
        Some(next) => {
            let left = count(open.len(), "wave");
            let text =
                format!("the wave is done; {left} left, and the next one is {next}: cutover run or cutover step");
            (Exit::Waiting, Some(text))
        }
    })
}
