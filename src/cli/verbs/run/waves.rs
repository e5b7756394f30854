//! `cutover run` for a plan with waves: runs the waves one after the other, each as a run of its own. Which wave is next
//! follows from the plan and its runs: [`crate::domain::waves`].

use std::sync::Arc;

use super::args::Run;
use super::start::start_and_drive;
use crate::app::exit::{Exit, Failure};
use crate::app::finished_waves::{exit_after, guard_while};
use crate::app::names::plan_argument;
use crate::app::prepare::{Preparation, prepare};
use crate::app::start::{StartOptions, baseline};
use crate::app::waves::{WaveRuns, WaveToBegin, check_name, check_one_wave, to_begin};
use crate::app::{break_glass, connect, start};
use crate::cli::args::{Global, step_number};
use crate::cli::ask::{self, StartQuestion, WaveStart};
use crate::cli::reading::shown;
use crate::cli::term;
use crate::cli::verbs::handover::prepare_handover;
use crate::engine::Ports;
use crate::plan::model::Plan;
use crate::port::store::{RunSummary, Store};

/// Runs the waves that are not done, after one question about all of them. Stops at the first wave that does not
/// complete. `known` are the runs of the plan, none of which is unfinished.
pub async fn run(
    global: &Global,
    args: &Run,
    plan: &Plan,
    store: Arc<dyn Store>,
    known: Vec<RunSummary>,
) -> Result<Exit, Failure> {
    check_options(args, plan)?;
    let mut runs = WaveRuns::of(known);
    let mut waves = chosen(args, plan, &runs)?;
    if waves.is_empty() {
        return Ok(nothing_to_do(args, plan));
    }
    let mut prepared = confirm(global, args, &waves, &store).await?;
    let confirmed: Vec<_> = waves.iter().map(|wave| (wave.name().to_owned(), wave.rolled_back.clone())).collect();
    for (number, wave) in (1..).zip(&confirmed) {
        if number > 1 {
            runs = WaveRuns::read(&*store, plan).await?;
            waves = still_next(&*store, plan, &runs, wave).await?;
        }
        let wave = waves.remove(0);
        // What was read for the question is too old for a later wave.
        let (ports, preparation) = match prepared.take() {
            Some(first) => first,
            None => prepare_later(global, &wave.plan, &store).await?,
        };
        term::print_error(&format!("wave {} ({number} of {})", wave.name(), confirmed.len()));
        let begun = begin(global, args, &wave, ports, preparation, &runs);
        let (exit, rolled_back) = Box::pin(guard_while(global, &store, plan, begun)).await?;
        let exit = exit_after(global, exit?, &rolled_back);
        if exit != Exit::Done {
            return Ok(exit);
        }
    }
    Ok(Exit::Done)
}

/// Returns the waves that are not done. The next of them must be the wave that the operator has confirmed, given by its
/// name and its run that was rolled back before.
///
/// # Errors
/// Fails if another command has run or rolled back a wave of the plan meanwhile.
async fn still_next(
    store: &dyn Store,
    plan: &Plan,
    runs: &WaveRuns,
    (name, rolled_back): &(String, Option<String>),
) -> Result<Vec<WaveToBegin>, Failure> {
    if let Err(failure) = start::refuse_unfinished(store, &runs.known).await {
        return Err(break_glass::add_to(failure, &runs.known).await);
    }
    let waves = to_begin(plan, &runs.migration(plan, false));
    let (exit, what) = match waves.first() {
        Some(next) if next.name() == name && next.rolled_back == *rolled_back => return Ok(waves),
        Some(next) if next.name() == name => (Exit::RolledBack, format!("the wave {name} was rolled back meanwhile")),
        Some(next) => {
            (Exit::Waiting, format!("another command changed the waves meanwhile: the next one is {}", next.name()))
        }
        None => (Exit::Waiting, "another command has run the other waves meanwhile".to_owned()),
    };
    let why = format!("{what}; the wave {name} does not begin");
    Err(Failure::new(exit, why).next(format!("to see the waves: cutover status {}", plan_argument(plan))))
}

/// Refuses options that need one wave.
fn check_options(args: &Run, plan: &Plan) -> Result<(), Failure> {
    check_name(plan, args.wave.as_deref())?;
    let options = [
        ("--until", args.until.is_some()),
        ("--from-step", args.from_step.is_some()),
        ("--detach", args.detach.detach),
    ];
    if args.wave.is_some() { Ok(()) } else { check_one_wave(plan, &options) }
}

/// Returns the waves that this command runs.
///
/// # Errors
/// Fails if the wave of `--wave` must wait for another wave (exit 2).
fn chosen(args: &Run, plan: &Plan, runs: &WaveRuns) -> Result<Vec<WaveToBegin>, Failure> {
    let mut waves = to_begin(plan, &runs.migration(plan, args.new));
    let Some(wanted) = &args.wave else { return Ok(waves) };
    let Some(place) = waves.iter().position(|wave| wave.name() == wanted) else {
        return Ok(Vec::new());
    };
    if place > 0 {
        let first = waves[0].name();
        let why = format!("the wave {wanted} waits for the wave {first}, which is not done; nothing was changed");
        return Err(Failure::new(Exit::Usage, why)
            .next(format!("to run that wave first: cutover run {} --wave {first}", plan_argument(plan)))
            .next("to move the wave before it: change `after` in the plan"));
    }
    waves.truncate(1);
    Ok(waves)
}

fn nothing_to_do(args: &Run, plan: &Plan) -> Exit {
    let (what, plan) = (args.wave.as_ref().map(|wave| format!("the wave {wave}")), plan_argument(plan));
    let what = what.unwrap_or_else(|| "every wave of the plan".to_owned());
    term::print_error(&format!("{what} is done; nothing to do"));
    term::print_error(&format!("to take the traffic back: cutover rollback {plan}"));
    term::print_error(&format!("to begin again with the first wave: cutover run {plan} --new"));
    Exit::Done
}

/// Prepares all waves, shows them, and asks once. Returns what was prepared for the first wave.
async fn confirm(
    global: &Global,
    args: &Run,
    waves: &[WaveToBegin],
    store: &Arc<dyn Store>,
) -> Result<Option<(Ports, Preparation)>, Failure> {
    let mut all = Vec::new();
    for wave in waves {
        let ports = connect::ports(&wave.plan, Arc::clone(store)).await;
        let first = step_number(&wave.plan, args.from_step.as_ref())?.unwrap_or(1);
        let preparation = shown(prepare(&wave.plan, &ports, first)).await;
        all.push(WaveStart { name: wave.name().to_owned(), rolled_back: wave.rolled_back.clone(), ports, preparation });
    }
    let question = StartQuestion { command: "run", verbose: args.verbose, yes: args.yes };
    ask::confirm_waves(global, &all, question).await?;
    Ok(all.into_iter().next().map(|first| (first.ports, first.preparation)))
}

/// Prepares a wave after the waves before it.
async fn prepare_later(global: &Global, plan: &Plan, store: &Arc<dyn Store>) -> Result<(Ports, Preparation), Failure> {
    let ports = connect::ports(plan, Arc::clone(store)).await;
    let preparation = shown(prepare(plan, &ports, 1)).await;
    let question = StartQuestion { command: "run", verbose: false, yes: true };
    ask::confirm_start(global, &ports, &preparation, question).await.map_err(|failure| {
        let wave = plan.wave_name().unwrap_or_default();
        failure
            .next(format!("the waves before {wave} are done, and nobody guards them now"))
            .next(format!("to continue with {wave}: cutover run {}", plan_argument(plan)))
            .next(format!("to take the traffic of the waves back: cutover rollback {} --all", plan_argument(plan)))
    })?;
    Ok((ports, preparation))
}

/// Starts the run of a wave, and drives it to its end.
async fn begin(
    global: &Global,
    args: &Run,
    wave: &WaveToBegin,
    ports: Ports,
    preparation: Preparation,
    runs: &WaveRuns,
) -> Result<Exit, Failure> {
    let plan = &wave.plan;
    let from_step = step_number(plan, args.from_step.as_ref())?.unwrap_or(1);
    let until = step_number(plan, args.until.as_ref())?;
    let handover = prepare_handover(global, &args.detach, args.api_budget, plan).await?;
    let start = baseline(plan, from_step, args.baseline.clone())?;
    let start = StartOptions { from_step, start, known: &runs.known, migration: wave.migration.clone() };
    start_and_drive(global, args, (plan, ports, preparation), start, until, handover).await
}
