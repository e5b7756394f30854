//! `cutover step`: does what is due now, then exits. For schedulers: safe to call at any time, from anywhere, also
//! twice at once.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;

use crate::app::begin::{Beginning, begin};
use crate::app::due::{self, Due};
use crate::app::exit::{Exit, Failure};
use crate::app::find::Found;
use crate::app::prepare::prepare;
use crate::app::steer::Going;
use crate::app::{drive, find, place, world};
use crate::base::time::later;
use crate::cli::args::{Global, Metrics, help, value};
use crate::cli::{ask, term};
use crate::engine::Ports;
use crate::plan::model::Plan;
use crate::port::store::{RunSummary, Store, is_of};

/// `step`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = help("Starts the plan's run, or continues its unfinished run, or does nothing if the
run is finished or another process drives it. It does not exit while a write,
a settling step, a failing guard, a raise gate or a rollback is under way.

Examples:
  cutover step plan.yaml --yes                 from cron, a CI job or a CronJob
  cutover step plan.yaml --yes --max-wait 4m   every five minutes, guarding
                                               in between", &Exit::ALL))]
pub struct Step {
    /// Plan file, `-` for stdin; or a run id, to continue only that run
    #[arg(value_name = "PLAN|RUN")]
    pub plan: String,
    /// Do not ask; needed without a terminal
    #[arg(long, short)]
    pub yes: bool,
    /// Guard for this time while only waiting is left, such as 4m
    #[arg(long, value_parser = value::span, default_value = "0s", value_name = "TIME")]
    pub max_wait: Duration,
    /// Describe calls a second for observations; fewer calls mean fewer observations [default: 10]
    #[arg(long, value_parser = value::speed, value_name = "N")]
    pub api_budget: Option<f64>,
    /// Options for metrics.
    #[command(flatten)]
    pub metrics: Metrics,
}

/// Runs the command.
pub async fn run(global: &Global, args: &Step) -> Result<Exit, Failure> {
    if is_run(&args.plan) && !Path::new(&args.plan).exists() {
        return of_run(global, args).await;
    }
    let color = term::style_err(global.color).color;
    let file = find::file(&args.plan, color)?;
    let store = place::of(&global.kept(), &file).await?;
    match due::due(&*store, &file).await? {
        Due::Begin(known) => {
            let plan = find::begun(&file, color)?;
            if let Some(last) = known.first() {
                term::complain(&format!(
                    "{} has changed since its last run {}, which is finished: starting a new run",
                    plan.source, last.id
                ));
            }
            let ports = world::ports(&plan, store).await;
            first(global, args, &plan, ports, &known).await
        }
        Due::GoOn(found) => go_on(global, args, &found, store).await,
        Due::Over(run, exit) => {
            term::complain(&format!("the run {run} of this plan is finished: {}; nothing to do", exit.meaning()));
            term::complain("to run the plan again: cutover run, or change the text of the plan file");
            Ok(exit)
        }
    }
}

/// Continues the named run; never starts one.
async fn of_run(global: &Global, args: &Step) -> Result<Exit, Failure> {
    let store = place::named(&global.kept(), Some(&args.plan)).await?;
    let found = find::run(&*store, Some(&args.plan), term::style_err(global.color).color).await?;
    let Some(exit) = due::over(&found.records) else { return go_on(global, args, &found, store).await };
    term::complain(&format!("the run {} is finished: {}; nothing to do", found.run.id, exit.meaning()));
    Ok(exit)
}

/// Whether a text is a run's id and not a file name.
fn is_run(text: &str) -> bool {
    let plan = text.rsplitn(4, '-').nth(3);
    plan.is_some_and(|plan| is_of(text, plan))
}

/// Starts the plan's run and does what is due.
async fn first(global: &Global, args: &Step, plan: &Plan, ports: Ports, known: &[RunSummary]) -> Result<Exit, Failure> {
    let going = going(args);
    let prepared = prepare(plan, &ports, 1).await;
    if let Some(other) = due::just_begun(&ports, plan, &prepared, known).await {
        term::complain(&format!("another process has just started a run of this plan: {other}"));
        return Ok(Exit::Waiting);
    }
    ask::may_begin(global, &ports, &prepared, args.yes).await?;
    due::hint(global, plan, args.max_wait);
    let beginning = Beginning { from_step: 1, start: None, known };
    match begin(global, plan, &ports, &prepared, beginning, going).await {
        Ok(begun) => drive::Drive::new(plan, ports, begun.settings, begun.hold).run(global).await,
        Err(error) => due::beaten(global, plan, error),
    }
}

/// Continues the unfinished run and does what is due.
async fn go_on(global: &Global, args: &Step, found: &Found, store: Arc<dyn Store>) -> Result<Exit, Failure> {
    if let Some(holder) = store.holder(&found.run.id).await {
        return Ok(due::in_hand(global, &holder));
    }
    ask::confirm(args.yes, &format!("Continue the run {}?", found.run.id), "nothing was changed")?;
    due::go_on(global, found, store, going(args)).await
}

fn going(args: &Step) -> Going {
    Going { leave: Some(later(Timestamp::now(), args.max_wait)), api_budget: args.api_budget, ..Going::default() }
}
