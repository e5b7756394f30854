//! Finding what a person means: a plan file, a plan's name, a run's id, or nothing at all.

use std::io::Read;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use super::exit::{Exit, Failure, unusable};
use crate::base::finding::Source;
use crate::domain::run::event::{Event, Record};
use crate::domain::run::frozen;
use crate::domain::run::state::State;
use crate::plan::model::skeleton::Skeleton;
use crate::plan::{self, model::Plan};
use crate::port::store::{RunSummary, Store};

/// A run of the store, with the plan that its journal froze.
#[derive(Debug)]
pub struct Found {
    /// The run at a glance.
    pub run: RunSummary,
    /// Its records.
    pub records: Arc<Vec<Record>>,
    /// Its plan.
    pub plan: Plan,
}

impl Found {
    /// The state that its records fold to.
    ///
    /// # Errors
    /// Records that contradict each other, or none (exit 5).
    pub fn state(&self) -> Result<State, Failure> {
        let folded = State::fold(&self.records).map_err(|e| Failure::new(Exit::Stuck, e))?;
        folded.ok_or_else(|| Failure::new(Exit::Stuck, format!("the run {} has no records", self.run.id)))
    }
}

/// Reads a plan file, to begin a run with it; `-` is standard input.
pub fn plan(path: &str, color: bool) -> Result<Plan, Failure> {
    linted(path, &bytes(path)?, color)
}

/// Reads the file of a plan whose run may have begun: for its name, its text and where its runs are kept. What is wrong with it counts where that is
/// all that can be said about it.
pub fn file(path: &str, color: bool) -> Result<Plan, Failure> {
    let bytes = bytes(path)?;
    let plan = plan::read(path, &bytes, Skeleton::default().plan());
    if plan.name.is_empty() { linted(path, &bytes, color) } else { Ok(plan) }
}

/// The plan of a file that was read, to begin a run with it.
pub fn begun(file: &Plan, color: bool) -> Result<Plan, Failure> {
    linted(&file.source, file.text.as_bytes(), color)
}

fn linted(path: &str, bytes: &[u8], color: bool) -> Result<Plan, Failure> {
    plan::lint(path, bytes)
        .map_err(|wrong| Failure::new(Source::Lint.into(), plan::render(&wrong, color).trim_end().to_owned()))
}

fn bytes(path: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    // One byte more than a plan may have, so that a longer one is recognised without being read whole.
    let limit = plan::MAX_BYTES as u64 + 1;
    let read = if path == "-" {
        standard_input(limit).map(|text| bytes.extend(text)).map(|()| 0)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes))
    };
    read.map_err(|e| Failure::new(Exit::Usage, format!("{path}: {e}")))?;
    Ok(bytes)
}

/// Standard input, which can be read once, and may be asked for twice: for where its runs are kept, and for the plan.
fn standard_input(limit: u64) -> std::io::Result<&'static [u8]> {
    static READ: OnceLock<Vec<u8>> = OnceLock::new();
    if let Some(read) = READ.get() {
        return Ok(read);
    }
    let mut bytes = Vec::new();
    std::io::stdin().lock().take(limit).read_to_end(&mut bytes)?;
    Ok(READ.get_or_init(|| bytes))
}

/// The run that `target` means: a run's id, a plan's name, or a plan file (the newest run of that plan, which must not have changed since).
/// With nothing, the only unfinished run.
pub async fn run(store: &dyn Store, target: Option<&str>, color: bool) -> Result<Found, Failure> {
    match target {
        None => only(store).await,
        Some(target) => of(store, target, color).await.and_then(|(found, file)| match file {
            Some(file) if file.hash != found.plan.hash => Err(changed(&found.plan, &file)),
            _ => Ok(found),
        }),
    }
}

/// The same for a rollback: what it puts back is in the journal, and a plan file that has changed since does not matter.
pub async fn to_go_back(store: &dyn Store, target: Option<&str>, color: bool) -> Result<Found, Failure> {
    match target {
        None => only(store).await,
        Some(target) => of(store, target, color).await.map(|(found, _)| found),
    }
}

/// The run, and the plan file where `target` names one.
async fn of(store: &dyn Store, target: &str, color: bool) -> Result<(Found, Option<Plan>), Failure> {
    let mut runs = store.find(target).await.map_err(unusable)?;
    let mut file = None;
    if runs.is_empty() && (target == "-" || Path::new(target).exists()) {
        let plan = self::file(target, color)?;
        runs = store.find(&plan.name).await.map_err(unusable)?;
        file = Some(plan);
    }
    let unfinished = runs.iter().position(|r| r.finished.is_none());
    let Some(run) = (if runs.is_empty() { None } else { Some(runs.swap_remove(unfinished.unwrap_or(0))) }) else {
        let failure = Failure::new(Exit::Usage, format!("no run of `{target}` in {}", store.place()));
        return Err(listed(store, failure).await);
    };
    Ok((open(store, run).await?, file))
}

/// Runs of the past and the present, newest first: all of them, those of a plan, or the one with this id.
pub async fn past(store: &dyn Store, target: Option<&str>, color: bool) -> Result<Vec<RunSummary>, Failure> {
    let Some(target) = target else { return store.runs().await.map_err(unusable) };
    let runs = store.find(target).await.map_err(unusable)?;
    let file = runs.is_empty() && (target == "-" || Path::new(target).exists());
    let runs = if file { store.find(&self::file(target, color)?.name).await.map_err(unusable)? } else { runs };
    if runs.is_empty() {
        let failure = Failure::new(Exit::Usage, format!("no run of `{target}` in {}", store.place()));
        return Err(listed(store, failure).await);
    }
    Ok(runs)
}

async fn only(store: &dyn Store) -> Result<Found, Failure> {
    let runs = store.runs().await.map_err(unusable)?;
    let mut unfinished: Vec<_> = runs.into_iter().filter(|r| r.finished.is_none()).collect();
    match unfinished.len() {
        1 => open(store, unfinished.remove(0)).await,
        0 => Err(listed(store, Failure::new(Exit::Usage, format!("no unfinished run in {}", store.place()))).await),
        n => Err(listed(
            store,
            Failure::new(Exit::Usage, format!("{n} unfinished runs in {}: say which", store.place())),
        )
        .await),
    }
}

/// What there is, newest first, and what works without any of it.
async fn listed(store: &dyn Store, failure: Failure) -> Failure {
    let runs = store.runs().await.unwrap_or_default();
    let lines = runs.iter().take(10).map(|r| {
        let how = r.finished.map_or_else(|| "unfinished".to_owned(), |o| format!("{o:?}").to_lowercase());
        format!("  {}  {how}", r.id)
    });
    let failure = lines.fold(failure, Failure::next);
    failure.next("without a journal: cutover rollback --load-balancer LB --back-to GROUPS --away-from GROUPS")
}

/// Opens a run: its records, and the plan that they froze.
pub async fn open(store: &dyn Store, run: RunSummary) -> Result<Found, Failure> {
    let records = store.read(&run.id).await.map_err(|e| Failure::new(Exit::Stuck, e))?;
    let Some(Event::Started(started)) = records.first().map(|r| &r.event) else {
        return Err(Failure::new(Exit::Stuck, format!("the run {} has no beginning", run.id)));
    };
    let plan = frozen::plan(started);
    Ok(Found { run, records, plan })
}

/// A plan file that is not the one that its run began with.
pub fn changed(began: &Plan, now: &Plan) -> Failure {
    let diff = similar::TextDiff::from_lines(&began.text, &now.text);
    let diff = diff.unified_diff().context_radius(2).header("as the run began", &now.source).to_string();
    Failure::new(Exit::Usage, format!("{} has changed since its run began:\n{diff}", now.source))
        .next("Put it back, name the run by its id to go on as it began, or roll it back first.")
}
