//! `cutover run`: starts a run of a plan and drives it in the foreground.

use clap::Args;

use crate::app::begin::{Beginning, baseline, begin, none_unfinished};
use crate::app::exit::{Exit, Failure, unusable};
use crate::app::prepare::prepare;
use crate::app::steer::Going;
use crate::app::{drive, find, place, world};
use crate::cli::args::{Global, Metrics, OnFreeze, StepRef, help, number, value};
use crate::cli::verbs::detach::{Detach, taker};
use crate::cli::{ask, term};
use crate::plan::model::Shares;

/// `run`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = help("Examples:
  cutover run plan.yaml
  cutover run plan.yaml --yes --until first-traffic  unattended, up to that step", &Exit::ALL))]
pub struct Run {
    /// Plan file, `-` for stdin
    pub plan: String,
    /// Do not ask; needed without a terminal
    #[arg(long, short)]
    pub yes: bool,
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
    /// If frozen by drift (exit 7) or a failure (exit 5): exit, or stay and guard [default: wait on a terminal]
    #[arg(long, value_enum, hide_possible_values = true, value_name = "exit|wait", conflicts_with = "detach")]
    pub on_freeze: Option<OnFreeze>,
    /// Options for a run that a Job continues.
    #[command(flatten)]
    pub detach: Detach,
    /// Options for metrics.
    #[command(flatten)]
    pub metrics: Metrics,
}

/// Runs the command.
pub async fn run(global: &Global, args: &Run) -> Result<Exit, Failure> {
    let style = term::style_err(global.color);
    let file = find::file(&args.plan, style.color)?;
    let store = place::of(&global.kept(), &file).await?;
    let known = store.find(&file.name).await.map_err(unusable)?;
    none_unfinished(&*store, &known).await?;
    let plan = find::begun(&file, style.color)?;
    let from_step = number(&plan, args.from_step.as_ref())?.unwrap_or(1);
    let until = number(&plan, args.until.as_ref())?;
    let taker = taker(global, &args.detach, args.api_budget, &plan).await?;
    let ports = world::ports(&plan, store).await;
    let prepared = prepare(&plan, &ports, from_step).await;
    ask::may_begin(global, &ports, &prepared, args.yes).await?;
    let start = baseline(&plan, from_step, args.baseline.clone())?;
    let leave_when_frozen = OnFreeze::leaves(args.on_freeze, term::stderr());
    let going = Going { until, leave: None, api_budget: args.api_budget, leave_when_frozen };
    let begun = begin(global, &plan, &ports, &prepared, Beginning { from_step, start, known: &known }, going).await?;
    match taker {
        Some(taker) => taker.take(global, begun.hold).await,
        None => drive::Drive::new(&plan, ports, begun.settings, begun.hold).run(global).await,
    }
}
