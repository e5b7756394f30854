//! `cutover run`: the staged cutover, in the foreground.

use crate::app::begin::{Beginning, baseline, begin, none_unfinished};
use crate::app::exit::{Exit, Failure, unusable};
use crate::app::prepare::prepare;
use crate::app::steer::Going;
use crate::app::{drive, find, place, world};
use crate::cli::args::{Global, OnFreeze, Run, number};
use crate::cli::verbs::detach::taker;
use crate::cli::{ask, term};

/// Runs the verb.
pub async fn run(global: &Global, args: &Run) -> Result<Exit, Failure> {
    let style = term::style_err(global.color);
    let file = find::file(&args.plan, style.color)?;
    let store = place::of(&global.kept(), &file).await?;
    let known = store.find(&file.name).await.map_err(unusable)?;
    none_unfinished(&*store, &known).await?;
    let plan = find::begun(&file, style.color)?;
    let from_step = number(&plan, args.from_step.as_ref())?.unwrap_or(1);
    let until = number(&plan, args.until.as_ref())?;
    let taker = taker(global, args, &plan).await?;
    let ports = world::ports(&plan, store).await;
    let prepared = prepare(&plan, &ports, from_step).await;
    ask::may_begin(global, &ports, &prepared, args.yes).await?;
    let start = baseline(&plan, from_step, args.baseline.clone())?;
    let leave_when_frozen = OnFreeze::leaves(args.on_freeze, term::stderr());
    let going = Going { until, leave: None, api_budget: args.api_budget, leave_when_frozen };
    let begun = begin(global, &plan, &ports, &prepared, Beginning { from_step, start, known: &known }, going).await?;
    match taker {
        Some(taker) => taker.take(global, begun.hold).await,
        None => drive::drive(global, &plan, ports, begun.settings, begun.hold).await,
    }
}
