//! `cutover run`: starts a run of a plan and drives it in the foreground.

mod args;
mod start;
mod waves;

pub use self::args::Run;
use self::start::start_and_drive;
use crate::app::done::explain_completed_run;
use crate::app::exit::{Exit, Failure, store_failure};
use crate::app::prepare::prepare;
use crate::app::start::{StartOptions, baseline, refuse_unfinished};
use crate::app::waves::check_name;
use crate::app::{break_glass, connect, find, state_store};
use crate::cli::args::{Global, step_number};
use crate::cli::reading::shown;
use crate::cli::verbs::check;
use crate::cli::verbs::handover::prepare_handover;
use crate::cli::{ask, term};

/// Runs `cutover run`.
pub async fn run(global: &Global, args: &Run) -> Result<Exit, Failure> {
    if args.dry_run {
        let steps = (args.from_step.as_ref(), args.until.as_ref());
        return Box::pin(check::dry_run(global, &args.plan, args.wave.as_deref(), steps, args.verbose)).await;
    }
    let style = term::style_err(global.color);
    let file = find::plan_file(&args.plan, style.color)?;
    let store = state_store::open_for_plan(&global.state_options(), &file).await?;
    let known = store.find(&file.name).await.map_err(store_failure)?;
    if let Err(failure) = refuse_unfinished(&*store, &known).await {
        return Err(break_glass::add_to(failure, &known).await);
    }
    let plan = find::lint_file(&file, style.color)?;
    if !plan.waves.is_empty() {
        return Box::pin(waves::run(global, args, &plan, store, known)).await;
    }
    check_name(&plan, args.wave.as_deref())?;
    let from_step = step_number(&plan, args.from_step.as_ref())?.unwrap_or(1);
    let until = step_number(&plan, args.until.as_ref())?;
    let handover = prepare_handover(global, &args.detach, args.api_budget, &plan).await?;
    let ports = connect::ports(&plan, store).await;
    let mut prepared = shown(prepare(&plan, &ports, from_step)).await;
    explain_completed_run(&mut prepared.report, &known);
    let question = ask::StartQuestion { command: "run", verbose: args.verbose, yes: args.yes };
    ask::confirm_start(global, &ports, &prepared, question).await?;
    let start = baseline(&plan, from_step, args.baseline.clone())?;
    let start = StartOptions { from_step, start, known: &known, migration: None };
    start_and_drive(global, args, (&plan, ports, prepared), start, until, handover).await
}
