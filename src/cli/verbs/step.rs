//! `cutover step`: does what is due now, then exits. For schedulers: it can be called at any time, from any machine,
//! and several times at once.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;

use crate::app::due::{self, Due};
use crate::app::exit::{Exit, Failure};
use crate::app::find::StoredRun;
use crate::app::finished_waves::{exit_after, guard_while};
use crate::app::prepare::prepare;
use crate::app::start::{StartOptions, start_run};
use crate::app::steer::DriveOptions;
use crate::app::waves::{WaveDue, WaveRuns, WaveToBegin};
use crate::app::{break_glass, connect, drive, find, state_store, waves};
use crate::base::time::later;
use crate::cli::args::{Global, MetricOptions, ReadOptions, help_text, value};
use crate::cli::reading::shown;
use crate::cli::verbs::run_question::RunQuestion;
use crate::cli::{ask, term};
use crate::domain::run::event::ResumeMode;
use crate::plan::model::Plan;
use crate::port::store::{RunSummary, Store, is_run_of};

/// The arguments of `cutover step`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = help_text("Starts the plan's run, or continues the unfinished run, or does nothing if the
run is finished or another process drives it. The command does not exit while a
write, a settle, a failing guard, a raise gate or a rollback is in progress.

Examples:
  cutover step plan.yaml --yes                 from cron, a CI job or a CronJob
  cutover step plan.yaml --yes --max-wait 4m   every five minutes, guarding
                                               in between", &Exit::ALL))]
pub struct Step {
    /// Plan file, `-` for stdin; or a run id, to continue only that run
    #[arg(value_name = "PLAN|RUN")]
    pub plan: String,
    /// Do nothing for another wave of the plan than this one
    #[arg(long, value_name = "NAME")]
    pub wave: Option<String>,
    /// Do not ask; needed without a terminal
    #[arg(long, short)]
    pub yes: bool,
    /// Before the question, list every route with its weights, not only their number
    #[arg(long, short)]
    pub verbose: bool,
    /// Time to stay and guard while the run only waits, such as 4m
    #[arg(long, value_parser = value::duration_or_zero, default_value = "0s", value_name = "TIME")]
    pub max_wait: Duration,
    /// Describe calls a second for observations; fewer calls mean fewer observations [default: 10]
    #[arg(long, value_parser = value::speed, value_name = "N")]
    pub api_budget: Option<f64>,
    /// Options for reads.
    #[command(flatten)]
    pub reads: ReadOptions,
    /// Options for metrics.
    #[command(flatten)]
    pub metrics: MetricOptions,
}

/// Runs `cutover step`.
pub async fn run(global: &Global, args: &Step) -> Result<Exit, Failure> {
    if is_run(&args.plan) && !Path::new(&args.plan).exists() {
        return continue_named_run(global, args).await;
    }
    let color = term::style_err(global.color).color;
    let file = find::plan_file(&args.plan, color)?;
    let store = state_store::open_for_plan(&global.state_options(), &file).await?;
    if !file.waves.is_empty() {
        return Box::pin(step_of_waves(global, args, &file, store)).await;
    }
    waves::check_name(&file, args.wave.as_deref())?;
    match due::due(&*store, &file).await? {
        Due::Start(known) => {
            let plan = find::lint_file(&file, color)?;
            if let Some(last) = known.first() {
                term::print_error(&format!(
                    "{} has changed since its last run {}, which is finished: starting a new run",
                    plan.source, last.id
                ));
            }
            start(global, args, &plan, store, (&known, None)).await
        }
        Due::Continue(found) => continue_run(global, args, &found, store).await,
        Due::Finished(run, exit) => {
            term::print_error(&format!("the run {run} of this plan is finished: {}; nothing to do", exit.meaning()));
            term::print_error(
                "to run the plan again: cutover run PLAN; `cutover step` starts a new run only after a change of the plan's text",
            );
            Ok(exit)
        }
    }
}

/// Does what is due of the next wave of a plan. The call that ends a wave does not begin the next one.
async fn step_of_waves(global: &Global, args: &Step, file: &Plan, store: Arc<dyn Store>) -> Result<Exit, Failure> {
    let runs = WaveRuns::read(&*store, file).await?;
    let exit = match waves::due(&store, file, &runs, args.wave.as_deref()).await? {
        WaveDue::Begin(wave) => {
            // The plan of an unfinished run need not satisfy the rules, but a new run does.
            let folder = find::lint_file(file, term::style_err(global.color).color)?.folder;
            let WaveToBegin { plan, migration, .. } = *wave;
            let plan = Plan { folder, ..plan };
            let work = start(global, args, &plan, Arc::clone(&store), (&runs.known, migration));
            let (exit, rolled_back) = Box::pin(guard_while(global, &store, file, work)).await?;
            exit_after(global, exit?, &rolled_back)
        }
        WaveDue::Continue(found) => {
            let work = continue_run(global, args, &found, Arc::clone(&store));
            let (exit, rolled_back) = Box::pin(guard_while(global, &store, file, work)).await?;
            exit_after(global, exit?, &rolled_back)
        }
        WaveDue::Nothing(text, exit) => {
            term::print_error(&text);
            return Ok(exit);
        }
    };
    let (exit, text) = waves::after_wave(&*store, file, exit).await?;
    if let Some(text) = text {
        term::print_error(&text);
    }
    Ok(exit)
}

/// Continues the named run. This never starts a new run.
async fn continue_named_run(global: &Global, args: &Step) -> Result<Exit, Failure> {
    let store = state_store::open_for_target(&global.state_options(), Some(&args.plan)).await?;
    let found = find::run(&*store, Some(&args.plan), term::style_err(global.color).color).await?;
    let Some(exit) = due::exit_of_finished(&found.records) else {
        return continue_run(global, args, &found, store).await;
    };
    term::print_error(&format!("the run {} is finished: {}; nothing to do", found.run.id, exit.meaning()));
    Ok(exit)
}

/// Returns whether a text is a run id and not a file name.
fn is_run(text: &str) -> bool {
    let plan = text.rsplitn(4, '-').nth(3);
    plan.is_some_and(|plan| is_run_of(text, plan))
}

/// Starts the plan's run, or the run of a wave in a migration, and does what is due. `known` are the runs of the plan.
async fn start(
    global: &Global,
    args: &Step,
    plan: &Plan,
    store: Arc<dyn Store>,
    (known, migration): (&[RunSummary], Option<String>),
) -> Result<Exit, Failure> {
    let options = drive_options(args);
    let ports = connect::ports(plan, store).await;
    let prepared = shown(prepare(plan, &ports, 1)).await;
    if let Some(other) = due::started_by_other(&ports, plan, &prepared, known).await {
        term::print_error(&format!("another process has just started a run of this plan: {other}"));
        return Ok(Exit::Waiting);
    }
    let question = ask::StartQuestion { command: "step", verbose: args.verbose, yes: args.yes };
    ask::confirm_start(global, &ports, &prepared, question).await?;
    due::warn_about_pauses(global, plan, args.max_wait);
    let start_options = StartOptions { from_step: 1, start: None, known, migration };
    match start_run(global, plan, &ports, &prepared, start_options, options).await {
        Ok(started) => drive::Drive::new(plan, ports, started.settings, started.ownership).run(global).await,
        Err(error) => due::lost_race(global, plan, error),
    }
}

/// Continues the unfinished run and does what is due.
async fn continue_run(global: &Global, args: &Step, found: &StoredRun, store: Arc<dyn Store>) -> Result<Exit, Failure> {
    if let Some(holder) = store.lock_owner(&found.run.id).await {
        return Ok(due::report_driver(global, &holder));
    }
    if let Some(warning) = break_glass::warning(&found.run).await {
        term::print_error(&warning);
    }
    if !args.yes {
        let state = found.state()?;
        let question = RunQuestion::read(found, &state).await;
        question.warn_if_put_back();
        ask::confirm(false, &question.resume(ResumeMode::PLAIN, "", &state), "nothing was changed")?;
    }
    due::continue_run(global, found, store, drive_options(args)).await
}

fn drive_options(args: &Step) -> DriveOptions {
    DriveOptions {
        leave: Some(later(Timestamp::now(), args.max_wait)),
        api_budget: args.api_budget,
        ..DriveOptions::default()
    }
}
