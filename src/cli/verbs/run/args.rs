//! The options of `cutover run`.

use clap::Args;

use crate::app::exit::Exit;
use crate::cli::args::{MetricOptions, OnFreeze, ReadOptions, StepRef, help_text, value};
use crate::cli::verbs::handover::HandoverOptions;
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
    /// Run only this wave of a plan with waves (`cutover help waves`)
    #[arg(long, value_name = "NAME")]
    pub wave: Option<String>,
    /// Begin again with the first wave, although waves of the plan are done
    #[arg(long)]
    pub new: bool,
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
