//! Finds the run or plan that the operator names: by a plan file, a plan's name, a run's id, or without an argument.

use std::io::Read;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;

use super::exit::{Exit, Failure, store_failure};
use super::names::outcome_text;
use crate::adapter::haproxy::addresses;
use crate::base::duration::format_elapsed;
use crate::base::finding::Source;
use crate::base::time::signed;
use crate::domain::run::event::{Event, Record, Wait, WaitReason};
use crate::domain::run::frozen_plan;
use crate::domain::run::state::State;
use crate::plan;
use crate::plan::instance_names::with_addresses;
use crate::plan::model::skeleton::Skeleton;
use crate::plan::model::{Plan, StepKind};
use crate::plan::suggest::near_name;
use crate::port::store::{RunSummary, Store};

/// A run from the store, with its records and its plan.
#[derive(Debug)]
pub struct StoredRun {
    /// The summary of the run.
    pub run: RunSummary,
    /// The records of the run's journal.
    pub records: Arc<Vec<Record>>,
    /// The plan from the run's journal.
    pub plan: Plan,
}

/// The store has no run with this name.
#[derive(Debug, thiserror::Error)]
#[error("no run matches `{target}` in {location}")]
pub struct UnknownRun {
    target: String,
    location: String,
}

impl StoredRun {
    /// Returns the state after all records.
    ///
    /// # Errors
    /// Fails if the records contradict each other, or if there are none (exit 5).
    pub fn state(&self) -> Result<State, Failure> {
        let folded = State::fold(&self.records).map_err(|e| Failure::new(Exit::Stuck, e))?;
        folded.ok_or_else(|| Failure::new(Exit::Stuck, format!("the journal of the run {} is empty", self.run.id)))
    }

    /// Returns what the run waits for, as its last process recorded it. Waits from before the last progress are over. A
    /// bake without a process that observes has no end: only observed time counts.
    pub fn waits(&self, state: &State, now: Timestamp) -> Vec<Wait> {
        let waits = self.records.iter().rev().find_map(|r| match &r.event {
            Event::Waiting { waits } => Some(waits.clone()),
            Event::Settled { .. } | Event::StepStarted { .. } | Event::StepDone { .. } | Event::Finished { .. } => {
                Some(Vec::new())
            }
            _ => None,
        });
        let step = self.plan.strategy.steps.get(state.step.saturating_sub(1)).map(|step| &step.kind);
        let left = match step {
            Some(StepKind::Bake(length)) => length.checked_sub(state.baked.observed).filter(|left| !left.is_zero()),
            _ => None,
        };
        let current = |wait: Wait| match left {
            Some(left)
                if wait.reason == WaitReason::Bake
                    && (state.stopped.is_some() || wait.until.is_some_and(|until| until <= now)) =>
            {
                let left = format_elapsed(signed(left));
                Wait { message: format!("{}: {left} left, observed time only", wait.message), until: None, ..wait }
            }
            // The process that recorded this wait has not gone on since.
            _ if wait.until.is_some_and(|until| until <= now) => Wait { until: None, ..wait },
            _ => wait,
        };
        waits.unwrap_or_default().into_iter().map(current).collect()
    }
}

/// Reads and lints a plan file, to start a run with it. The path `-` is standard input.
pub fn linted_plan(path: &str, color: bool) -> Result<Plan, Failure> {
    lint_bytes(path, &read_plan_file(path)?, color)
}

/// Reads the file of a plan that may already have a run, for the plan's name, its text and the location of its runs.
/// Errors in the plan count only if the plan has no readable name.
pub fn plan_file(path: &str, color: bool) -> Result<Plan, Failure> {
    let bytes = read_plan_file(path)?;
    let plan = plan::read(path, &bytes, Skeleton::default().plan());
    if plan.name.is_empty() { lint_bytes(path, &bytes, color) } else { Ok(plan) }
}

/// Lints a plan that was already read, to start a run with it.
pub fn lint_file(file: &Plan, color: bool) -> Result<Plan, Failure> {
    lint_bytes(&file.source, file.text.as_bytes(), color)
}

/// Lints a plan whose names of instances are resolved now. The plan keeps the hash of the file.
fn lint_bytes(path: &str, bytes: &[u8], color: bool) -> Result<Plan, Failure> {
    let resolved = std::str::from_utf8(bytes).map(|text| with_addresses(text, resolve));
    let resolved = resolved.map_or_else(|_| Ok(bytes.to_vec()), |text| text.map(String::into_bytes))?;
    plan::lint(path, &resolved)
        .map(|plan| Plan { folder: folder(path), hash: plan::hash(bytes), ..plan })
        .map_err(|wrong| Failure::new(Source::Lint.into(), plan::render(&wrong, color).trim_end().to_owned()))
}

/// Returns the addresses of the instances that have this name, with the port.
fn resolve(name: &str) -> Result<Vec<String>, Failure> {
    addresses(name).map_err(|why| {
        let failure = Failure::new(Exit::Refused, format!("nothing was changed: dns://{name} has no address: {why}"));
        failure.next("list each instance as tcp://HOST:PORT, or run cutover where the name can be resolved".to_owned())
    })
}

/// Returns the absolute path of a plan file's folder; for standard input, the working folder of this process.
fn folder(path: &str) -> Option<String> {
    let file = if path == "-" { Path::new("x") } else { Path::new(path) };
    let absolute = std::path::absolute(file).ok()?;
    absolute.parent()?.to_str().map(str::to_owned)
}

fn read_plan_file(path: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    // One byte more than the limit is read, so that a longer file is recognized without reading all of it.
    let limit = plan::MAX_BYTES as u64 + 1;
    let read = if path == "-" {
        read_standard_input(limit).map(|text| bytes.extend(text)).map(|()| 0)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes))
    };
    read.map_err(|e| {
        let failure = Failure::new(Exit::Usage, format!("{path}: {e}"));
        match e.kind() {
            std::io::ErrorKind::NotFound => failure.next("this command needs the file of a plan, such as plan.yaml"),
            _ => failure,
        }
    })?;
    Ok(bytes)
}

/// Reads standard input once and caches it. Both the search for the plan's runs and the plan itself need the text.
fn read_standard_input(limit: u64) -> std::io::Result<&'static [u8]> {
    static STANDARD_INPUT: OnceLock<Vec<u8>> = OnceLock::new();
    if let Some(read) = STANDARD_INPUT.get() {
        return Ok(read);
    }
    let mut bytes = Vec::new();
    std::io::stdin().lock().take(limit).read_to_end(&mut bytes)?;
    Ok(STANDARD_INPUT.get_or_init(|| bytes))
}

/// Finds the run that `target` names: a run's id, a plan's name, or a plan file. A plan file names the newest run of
/// that plan, and must not have changed since the run started. Without a target, finds the only unfinished run.
pub async fn run(store: &dyn Store, target: Option<&str>, color: bool) -> Result<StoredRun, Failure> {
    match target {
        None => only_unfinished(store).await,
        Some(target) => run_and_file(store, target, color).await.and_then(|(found, file)| match file {
            Some(file) if file.hash != found.plan.hash => Err(changed_plan(&found.plan, &file)),
            _ => Ok(found),
        }),
    }
}

/// Finds the run that `target` names, to show it. Unlike in [`run`], the failure for an unknown run does not advise a
/// rollback. Without a target and without an unfinished run, finds the newest run.
pub async fn run_to_show(store: &dyn Store, target: Option<&str>, color: bool) -> Result<StoredRun, Failure> {
    if target.is_none() {
        let mut runs = store.runs().await.map_err(store_failure)?;
        if !runs.is_empty() && runs.iter().all(|run| run.finished.is_some()) {
            return open(store, runs.remove(0)).await;
        }
    }
    let found = run(store, target, color).await;
    found.map_err(|failure| Failure { next: without_rollback_hint(failure.next), ..failure })
}

/// Finds the run that `target` names, for a rollback. The plan file may have changed, because the original shares are
/// in the journal.
pub async fn run_to_roll_back(store: &dyn Store, target: Option<&str>, color: bool) -> Result<StoredRun, Failure> {
    match target {
        None => only_unfinished(store).await,
        Some(target) => run_and_file(store, target, color).await.map(|(found, _)| found),
    }
}

/// Finds the run, and reads the plan file if `target` names one.
async fn run_and_file(store: &dyn Store, target: &str, color: bool) -> Result<(StoredRun, Option<Plan>), Failure> {
    let mut runs = store.find(target).await.map_err(store_failure)?;
    let mut file = None;
    if runs.is_empty() && (target == "-" || Path::new(target).exists()) {
        let plan = plan_file(target, color)?;
        runs = store.find(&plan.name).await.map_err(store_failure)?;
        file = Some(plan);
    }
    let unfinished = runs.iter().position(|r| r.finished.is_none());
    let Some(run) = (if runs.is_empty() { None } else { Some(runs.swap_remove(unfinished.unwrap_or(0))) }) else {
        return Err(with_rollback_hint(unknown_run(store, target).await));
    };
    Ok((open(store, run).await?, file))
}

/// Lists all runs, the runs of a plan, or the run with this id, newest first.
pub async fn runs_of(store: &dyn Store, target: Option<&str>, color: bool) -> Result<Vec<RunSummary>, Failure> {
    let Some(target) = target else { return store.runs().await.map_err(store_failure) };
    let runs = store.find(target).await.map_err(store_failure)?;
    let file = runs.is_empty() && (target == "-" || Path::new(target).exists());
    let runs = if file { store.find(&plan_file(target, color)?.name).await.map_err(store_failure)? } else { runs };
    // These runs are only shown.
    if runs.is_empty() { Err(unknown_run(store, target).await) } else { Ok(runs) }
}

async fn only_unfinished(store: &dyn Store) -> Result<StoredRun, Failure> {
    let runs = store.runs().await.map_err(store_failure)?;
    let mut unfinished: Vec<_> = runs.into_iter().filter(|r| r.finished.is_none()).collect();
    match unfinished.len() {
        1 => open(store, unfinished.remove(0)).await,
        0 => {
            let failure = Failure::new(Exit::Usage, format!("no unfinished run in {}", store.location()));
            Err(with_rollback_hint(with_run_list(store, failure).await))
        }
        n => {
            let message = format!("{n} unfinished runs in {}: name one of them", store.location());
            Err(with_rollback_hint(with_run_list(store, Failure::new(Exit::Usage, message)).await))
        }
    }
}

/// Why the store has no rehearsals.
pub const NO_REHEARSALS: &str = "a rehearsal has no journal; `cutover rehearse --report FILE` writes its report";

/// Returns the failure for a name that no run has.
async fn unknown_run(store: &dyn Store, target: &str) -> Failure {
    let failure = Failure::new(Exit::Usage, UnknownRun { target: target.to_owned(), location: store.location() });
    let failure = with_run_list(store, failure).await;
    let runs = store.runs().await.unwrap_or_default();
    let names = runs.iter().flat_map(|run| [run.plan.as_str(), run.id.as_str()]);
    let failure = match near_name(target, names) {
        Some(near) => failure.next(format!("did you mean `{near}`?")),
        None => failure,
    };
    let is_file = [".yaml", ".yml"].iter().any(|end| target.ends_with(end)) || target.contains('/');
    if is_run_id(target) {
        failure.next(NO_REHEARSALS)
    } else if is_file && !Path::new(target).exists() {
        failure.next(format!("there is no file {target}, either"))
    } else {
        failure
    }
}

/// Whether a name has the form of a run's id: `PLAN-YYYYMMDD-HHMMSS-xxxx`.
fn is_run_id(name: &str) -> bool {
    let mut parts = name.rsplit('-');
    let digits = |part: Option<&str>, n| part.is_some_and(|p| p.len() == n && p.bytes().all(|b| b.is_ascii_digit()));
    parts.next().is_some_and(|end| end.len() == 4) && digits(parts.next(), 6) && digits(parts.next(), 8)
}

/// Adds to a failure the newest runs of the store.
async fn with_run_list(store: &dyn Store, failure: Failure) -> Failure {
    let runs = store.runs().await.unwrap_or_default();
    let lines = runs.iter().take(10).map(|r| format!("  {}  {}", r.id, outcome_text(r.finished)));
    lines.fold(failure, Failure::next)
}

/// The commands that roll back without a run of this store.
const ROLLBACK_HINT: [&str; 2] = [
    "to roll back with the tags of a run on its load balancer: cutover rollback --load-balancer LB",
    "to roll back without a journal and without tags: \
     cutover rollback --load-balancer LB --back-to GROUPS --away-from GROUPS",
];

/// Adds the commands to a failure that roll back when this store does not have the run.
fn with_rollback_hint(failure: Failure) -> Failure {
    ROLLBACK_HINT.into_iter().fold(failure, Failure::next)
}

fn without_rollback_hint(mut next: Vec<String>) -> Vec<String> {
    next.retain(|line| !ROLLBACK_HINT.contains(&line.as_str()));
    next
}

/// Opens a run: reads the records and the plan in them.
pub async fn open(store: &dyn Store, run: RunSummary) -> Result<StoredRun, Failure> {
    let records = store.read(&run.id).await.map_err(|e| Failure::new(Exit::Stuck, e))?;
    let Some(Event::Started(started)) = records.first().map(|r| &r.event) else {
        let message = format!("the journal of the run {} does not start with the event `started`", run.id);
        let failure = Failure::new(Exit::Stuck, message);
        return Err(failure.next(
            "to roll back without the journal: cutover rollback --load-balancer LB --back-to GROUPS --away-from GROUPS",
        ));
    };
    let plan = frozen_plan::plan(started);
    Ok(StoredRun { run, records, plan })
}

/// Returns the lines in which a plan file differs from the plan with which a run started.
pub fn plan_diff(plan_at_start: &Plan, now: &Plan) -> String {
    let diff = similar::TextDiff::from_lines(&plan_at_start.text, &now.text);
    diff.unified_diff().context_radius(2).header("when the run started", &now.source).to_string()
}

/// Builds the failure of a plan file that differs from the plan with which its run started.
pub fn changed_plan(plan_at_start: &Plan, now: &Plan) -> Failure {
    let diff = plan_diff(plan_at_start, now);
    Failure::new(Exit::Usage, format!("{} has changed since its run started:\n{diff}", now.source))
        .next("Undo the change, or name the run by its id to continue with its own plan, or roll the run back first.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::store::memory::MemoryStore;

    #[tokio::test]
    async fn only_a_command_that_acts_names_the_rollback_of_an_unknown_run() {
        let store = MemoryStore::new();
        let rehearsed = "alpha-webapp-20260105-080000-xtj4";
        let acts = run(&store, Some(rehearsed), false).await.expect_err("no run").next.join("\n");
        assert!(acts.contains("cutover rollback") && acts.contains("a rehearsal has no journal"), "{acts}");
        let shown = run_to_show(&store, Some(rehearsed), false).await.expect_err("no run").next.join("\n");
        let listed = runs_of(&store, Some(rehearsed), false).await.expect_err("no run").next.join("\n");
        for hints in [shown, listed] {
            assert!(!hints.contains("cutover rollback") && hints.contains("a rehearsal has no journal"), "{hints}");
        }
        let other = run_to_show(&store, Some("nosuch"), false).await.expect_err("no run").next;
        assert_eq!(other, Vec::<String>::new());
    }

    /// Regression test: after ^C, `status` waited for the end of the bake at a time in the past.
    #[test]
    fn a_bake_that_nobody_observes_has_time_left_and_no_end() {
        use crate::domain::fixture;
        use crate::domain::run::event::StopReason;
        let time = |seconds| Timestamp::from_second(seconds).expect("a time");
        let wait = Wait { reason: WaitReason::Bake, message: "baking for 10m".into(), until: Some(time(600)) };
        let records = vec![Record::new(1, time(0), "alpha-1", Event::Waiting { waits: vec![wait.clone()] })];
        let run = RunSummary::of("alpha-1", &[]);
        let found = StoredRun { run, records: records.into(), plan: fixture::plan() };
        let mut state = fixture::state(fixture::started(4));
        state.step = 3;
        state.baked.observed = std::time::Duration::from_secs(48);
        assert_eq!(found.waits(&state, time(60)), [wait], "a process observes");
        let left = "baking for 10m: 9m12s left, observed time only";
        let shown = |state: &State, now| {
            let waits = found.waits(state, now);
            (waits[0].message.clone(), waits[0].until)
        };
        assert_eq!(shown(&state, time(700)), (left.to_owned(), None), "the process died");
        state.stopped = Some(StopReason::Interrupted);
        assert_eq!(shown(&state, time(60)), (left.to_owned(), None));
        state.step = 2;
        assert_eq!(shown(&state, time(700)), ("baking for 10m".to_owned(), None), "a time in the past");
    }
}
