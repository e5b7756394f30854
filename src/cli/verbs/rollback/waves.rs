//! A rollback of a plan with several waves on the new cluster: asks which of them, and rolls back one or all. Only the
//! journals are needed, not the plan.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::LocalBoxFuture;
use futures::stream::FuturesUnordered;

use super::args::Rollback;
use super::journal;
use crate::app::exit::{Exit, Failure};
use crate::app::find::{self, StoredRun};
use crate::app::state_store;
use crate::app::waves::WaveRuns;
use crate::base::text::shell_word;
use crate::cli::args::Global;
use crate::cli::term;
use crate::port::store::{RunSummary, Store};

/// How long the rollback of a wave may delay the rollback of the wave before it, if they share no load balancer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Rolls back one wave or all waves of the plan that the command line names. Returns `None` if the plan has at most one
/// wave on the new cluster: then the rollback is that of its run.
///
/// # Errors
/// Returns a failure if it is not clear which waves to roll back (exit 2), or if a rollback fails.
pub async fn run(global: &Global, args: &Rollback) -> Result<Option<Exit>, Failure> {
    let Some((store, runs)) = runs_of(global, args).await else { return Ok(None) };
    let mut waves: Vec<RunSummary> = runs.to_roll_back().cloned().collect();
    if let Some(wanted) = &args.wave {
        let known = waves.iter().map(|run| wave_of(run).to_owned()).collect::<Vec<_>>().join(", ");
        waves.retain(|run| wave_of(run) == wanted);
        if waves.is_empty() {
            let others = if known.is_empty() { String::new() } else { format!(" (these have: {known})") };
            let why = format!("the wave {wanted} has no traffic on the new cluster{others}; nothing was written");
            return Err(Failure::new(Exit::Usage, why));
        }
    }
    let mut found = Vec::new();
    for wave in &waves {
        match find::open(&*store, wave.clone()).await {
            Ok(run) => found.push(run),
            // A damaged journal of one wave does not delay the others.
            Err(failure) => term::print_error(&format!("{failure}\nthe wave {} is left out", wave_of(wave))),
        }
    }
    match found.len() {
        0 => Ok(None),
        // Without other waves, the rollback of the plan is the rollback of this run.
        1 => Box::pin(journal::run(global, args, store, found.remove(0))).await.map(Some),
        _ if args.all => roll_back_all(global, args, &store, found).await.map(Some),
        _ => {
            let choice = choose(args, &found)?;
            match found.iter().position(|run| Some(wave_of(&run.run)) == choice.as_deref()) {
                Some(place) => Box::pin(journal::run(global, args, store, found.remove(place))).await.map(Some),
                None => roll_back_all(global, args, &store, found).await.map(Some),
            }
        }
    }
}

/// Reads the runs of the plan that the command line names; `None` if it names no plan, or if the store has no runs of
/// waves of the plan. Then the rollback uses another source.
async fn runs_of(global: &Global, args: &Rollback) -> Option<(Arc<dyn Store>, WaveRuns)> {
    let target = args.target.as_deref()?;
    let store = state_store::open_for_target(&global.state_options(), Some(target)).await.ok()?;
    let mut known = store.find(target).await.ok()?;
    if known.is_empty() && (target == "-" || Path::new(target).exists()) {
        known = store.find(&find::plan_file(target, false).ok()?.name).await.ok()?;
    }
    let named_by_id = known.iter().any(|run| run.id == target);
    (!named_by_id && known.iter().any(|run| run.wave.is_some())).then(|| (store, WaveRuns::of(known)))
}

fn wave_of(run: &RunSummary) -> &str {
    run.wave.as_ref().map_or("", |wave| wave.name.as_str())
}

/// Returns a line for each wave: what its rollback would move.
fn sentences(waves: &[StoredRun]) -> Result<Vec<String>, Failure> {
    waves.iter().map(|run| Ok(format!("wave {}: {}", wave_of(&run.run), journal::sentence(run)?))).collect()
}

/// Asks which waves to roll back. Returns the name of a wave, or `None` for all of them.
fn choose(args: &Rollback, waves: &[StoredRun]) -> Result<Option<String>, Failure> {
    let (lines, target) = (sentences(waves)?, shell_word(args.target.as_deref().unwrap_or("PLAN")));
    let count = waves.len();
    let ambiguous = || {
        let yes = if args.yes { " --yes" } else { "" };
        let why = format!("{count} waves of {target} are on the new cluster: say which; nothing was written");
        let one = waves
            .iter()
            .zip(&lines)
            .map(|(run, line)| format!("cutover rollback {target} --wave {}{yes}    # {line}", wave_of(&run.run)));
        let all = format!("cutover rollback {target} --all{yes}    # all {count} waves, the last one first");
        one.chain([all]).fold(Failure::new(Exit::Usage, why), Failure::next)
    };
    if args.yes {
        return Err(ambiguous());
    }
    term::print_error(&lines.join("\n"));
    let names = waves.iter().map(|run| wave_of(&run.run)).collect::<Vec<_>>().join(", ");
    let answer = term::answer(&format!("Roll back which wave? Type {names}, or all; Enter changes nothing."));
    let answer = answer.map_err(|_| ambiguous())?;
    match answer.as_str() {
        "all" => Ok(None),
        name if waves.iter().any(|run| wave_of(&run.run) == name) => Ok(Some(name.to_owned())),
        _ => Err(Failure::declined("nothing was written")),
    }
}

/// Rolls back all waves, the last one first, after one question. A wave whose rollback does not end does not delay waves on
/// other load balancers.
async fn roll_back_all(
    global: &Global,
    args: &Rollback,
    store: &Arc<dyn Store>,
    waves: Vec<StoredRun>,
) -> Result<Exit, Failure> {
    term::print_error(&sentences(&waves)?.join("\n"));
    if !args.yes {
        let names = waves.iter().map(|run| wave_of(&run.run)).collect::<Vec<_>>().join(", then ");
        let question = format!("Roll back all {} waves: {names}?", waves.len());
        let confirmed = term::confirm(&question).map_err(|_| {
            Failure::new(Exit::Usage, "nothing was written, because there is no terminal for the question")
                .next("to do what is shown above, add --yes")
        })?;
        if !confirmed {
            return Err(Failure::declined("nothing was written"));
        }
    }
    let args = &Rollback { yes: true, ..args.clone() };
    let mut waiting: VecDeque<StoredRun> = waves.into();
    let mut running: FuturesUnordered<LocalBoxFuture<'_, (RunSummary, Result<Exit, Failure>)>> =
        FuturesUnordered::new();
    let mut held: Vec<RunSummary> = Vec::new();
    let mut ended: Vec<(RunSummary, Result<Exit, Failure>)> = Vec::new();
    loop {
        let is_free = |run: &StoredRun| {
            let shares = |other: &RunSummary| other.load_balancers.iter().any(|lb| run.run.load_balancers.contains(lb));
            !held.iter().any(shares)
        };
        if let Some(place) = waiting.iter().position(is_free)
            && let Some(run) = waiting.remove(place)
        {
            let (summary, store) = (run.run.clone(), Arc::clone(store));
            held.push(summary.clone());
            running.push(Box::pin(async move { (summary, Box::pin(journal::run(global, args, store, run)).await) }));
        }
        let patience = tokio::time::sleep(PATIENCE);
        tokio::select! {
            end = running.next() => match end {
                Some(end) => {
                    held.retain(|run| run.id != end.0.id);
                    ended.push(end);
                }
                None => break,
            },
            () = patience, if !waiting.is_empty() => {}
        }
    }
    report(args, ended)
}

/// Reports the waves whose rollback failed. Returns the exit code of the whole.
fn report(args: &Rollback, ended: Vec<(RunSummary, Result<Exit, Failure>)>) -> Result<Exit, Failure> {
    let (mut worst, count) = (Exit::Done, ended.len());
    let mut failed = Vec::new();
    for (run, result) in ended {
        let wave = wave_of(&run).to_owned();
        let exit = match result {
            Ok(exit) => exit,
            Err(failure) => {
                term::print_error(&format!("wave {wave}: {failure}"));
                failure.exit
            }
        };
        if exit != Exit::Done {
            failed.push(wave);
            worst = if worst == Exit::Stuck || exit == Exit::Stuck { Exit::Stuck } else { exit };
        }
    }
    if failed.is_empty() {
        term::print_error(&format!("all {count} waves are rolled back"));
        return Ok(worst);
    }
    let why = format!("NOT rolled back: {}; the other waves are rolled back", failed.join(", "));
    let target = shell_word(args.target.as_deref().unwrap_or("PLAN"));
    Err(Failure::new(worst, why).next(format!("to try again: cutover rollback {target} --all")))
}
