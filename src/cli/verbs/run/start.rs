//! Starts a run that was prepared and confirmed.

use super::args::Run;
use crate::app::drive;
use crate::app::exit::{Exit, Failure};
use crate::app::prepare::Preparation;
use crate::app::start::{StartOptions, start_run};
use crate::app::steer::DriveOptions;
use crate::cli::args::{Global, OnFreeze};
use crate::cli::term;
use crate::cli::verbs::handover::Handover;
use crate::engine::Ports;
use crate::plan::model::Plan;

/// Starts the run of a plan, and drives it or hands it over.
pub async fn start_and_drive(
    global: &Global,
    args: &Run,
    (plan, ports, prepared): (&Plan, Ports, Preparation),
    start: StartOptions<'_>,
    until: Option<usize>,
    handover: Option<Handover<'_>>,
) -> Result<Exit, Failure> {
    let exit_when_frozen = OnFreeze::exits(args.on_freeze, term::stderr());
    let options = DriveOptions { until, leave: None, api_budget: args.api_budget, exit_when_frozen, take_over: false };
    let started = start_run(global, plan, &ports, &prepared, start, options).await?;
    // The facts of a large plan take much memory, and the run reads its own.
    drop(prepared);
    match handover {
        Some(handover) => handover.hand_over(global, started.ownership).await,
        None => drive::Drive::new(plan, ports, started.settings, started.ownership).run(global).await,
    }
}
