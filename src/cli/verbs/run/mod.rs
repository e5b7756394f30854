//! `cutover run`: starts a run of a plan and drives it in the foreground.

use clap::Args;

use crate::app::done::explain_completed_run;
use crate::app::exit::{Exit, Failure, store_failure};
use crate::app::prepare::prepare;
use crate::app::start::{StartOptions, baseline, refuse_unfinished, start_run};
use crate::app::steer::DriveOptions;
use crate::app::{break_glass, connect, drive, find, state_store};
use crate::cli::args::{Global, MetricOptions, OnFreeze, ReadOptions, StepRef, help_text, step_number, value};
use crate::cli::reading::shown;
use crate::cli::verbs::check;
use crate::cli::verbs::handover::{HandoverOptions, prepare_handover};
use crate::cli::{ask, term};
use crate::plan::model::Shares;

/// The arguments of `cutover run`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = help_text("Examples:
  cutover run plan.yaml
  cutover run plan.yaml --yes --until first-traffic  unattended, up to that step", &Exit::ALL))]
pub struct Run {
    /// Plan file, `-` for stdin
    pub plan: String,
    /// Do not ask; needed without a terminal
    #[arg(long, short)]
    pub yes: bool,
    /// Before the question, list every route with its weights, not only their number
    #[arg(long, short)]
    pub verbose: bool,
    /// Show what a run would write, and write nothing: `cutover check`
    #[arg(long, conflicts_with_all = ["on_freeze", "detach"])]
    pub dry_run: bool,
    /// Stop after this step (number or name); the run can be resumed
    #[arg(long, value_name = "STEP")]
    pub until: Option<StepRef>,
    /// Start with this step (number or name), if the live shares match
    #[arg(long, value_name = "STEP")]
    pub from_step: Option<StepRef>,
    /// Shares that a rollback restores, such as `a=100` [default: all on `from`]
    #[arg(long, value_parser = value::shares, value_name = "SHARES", requires = "from_step")]
    pub baseline: Option<Shares>,
    /// Describe calls a second for observations; fewer calls mean fewer observations [default: 10]
    #[arg(long, value_parser = value::speed, value_name = "N")]
    pub api_budget: Option<f64>,
    /// If frozen by drift (exit 7), a failure (exit 5) or a gate time-out (exit 8): exit, or stay and guard
    /// [default: wait on a terminal]
    #[arg(long, value_enum, hide_possible_values = true, value_name = "exit|wait", conflicts_with = "detach")]
    pub on_freeze: Option<OnFreeze>,
    /// Options for reads.
    #[command(flatten)]
    pub reads: ReadOptions,
    /// Options for a run that a Job continues.
    #[command(flatten)]
    pub detach: HandoverOptions,
    /// Options for metrics.
    #[command(flatten)]
    pub metrics: MetricOptions,
}

/// Runs `cutover run`.
pub async fn run(global: &Global, args: &Run) -> Result<Exit, Failure> {
    if args.dry_run {
        let (first, last) = (args.from_step.as_ref(), args.until.as_ref());
        return Box::pin(check::dry_run(global, &args.plan, first, last, args.verbose)).await;
    }
    let style = term::style_err(global.color);
    let file = find::plan_file(&args.plan, style.color)?;
    let store = state_store::open_for_plan(&global.state_options(), &file).await?;
    let known = store.find(&file.name).await.map_err(store_failure)?;
    if let Err(failure) = refuse_unfinished(&*store, &known).await {
        return Err(break_glass::add_to(failure, &known).await);
    }
    let plan = find::lint_file(&file, style.color)?;
    let from_step = step_number(&plan, args.from_step.as_ref())?.unwrap_or(1);
    let until = step_number(&plan, args.until.as_ref())?;
    let handover = prepare_handover(global, &args.detach, args.api_budget, &plan).await?;
    let ports = connect::ports(&plan, store).await;
    let mut prepared = shown(prepare(&plan, &ports, from_step)).await;
    explain_completed_run(&mut prepared.report, &known);
    let question = ask::StartQuestion { command: "run", verbose: args.verbose, yes: args.yes };
    ask::confirm_start(global, &ports, &prepared, question).await?;
    let start = baseline(&plan, from_step, args.baseline.clone())?;
    let leave_when_frozen = OnFreeze::exits(args.on_freeze, term::stderr());
    let options = DriveOptions { until, leave: None, api_budget: args.api_budget, leave_when_frozen };
    let started =
        start_run(global, &plan, &ports, &prepared, StartOptions { from_step, start, known: &known }, options).await?;
    match handover {
        Some(handover) => handover.hand_over(global, started.ownership).await,
        None => drive::Drive::new(&plan, ports, started.settings, started.ownership).run(global).await,
    }
}
