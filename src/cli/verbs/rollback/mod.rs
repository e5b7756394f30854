//! `cutover rollback`: the emergency command. By a run, by a plan, with nothing at all, or from what is live.

pub mod live;

use std::sync::Arc;
use std::time::Duration;

use crate::adapter::store::memory::Memory;
use crate::cli::args::{Global, Rollback};
use crate::cli::exit::{Exit, Failure};
use crate::cli::find::Found;
use crate::cli::verbs::steer;
use crate::cli::{find, follow, owner, place, term};
use crate::domain::run::event::Ramp;
use crate::engine::request::DETACHED;
use crate::port::store::{Request, Store};

/// Between two parts of a way back, where nothing else is said.
const EVERY: Duration = Duration::from_mins(2);

/// Runs the verb.
pub async fn run(global: &Global, args: &Rollback) -> Result<Exit, Failure> {
    if args.from.is_some() || args.to.is_some() {
        return Err(ambiguous(args));
    }
    if let Some(load_balancer) = &args.load_balancer {
        return Box::pin(live::run(global, args, load_balancer)).await;
    }
    let store = match place::named(global, args.target.as_deref()).await {
        Ok(store) => store,
        // Where the runs are kept cannot be reached; what the load balancer's tags say can.
        Err(failure) => return Box::pin(live::without(global, args, &Memory::new(), failure)).await,
    };
    match find::to_go_back(&*store, args.target.as_deref(), term::style_err(global.color).color).await {
        Ok(found) => by_journal(global, args, store, found).await,
        Err(failure) => Box::pin(live::without(global, args, &*store, failure)).await,
    }
}

/// `rollback --from X --to Y` reads as "move from X to Y", and once meant the opposite.
fn ambiguous(args: &Rollback) -> Failure {
    let why = "`rollback` has no --from and --to, because people read them in both directions; nothing was changed";
    let load_balancer = args.load_balancer.as_deref().unwrap_or("LB");
    Failure::new(Exit::Usage, why)
        .next("--back-to names the target groups that get the traffic, --away-from those that lose it:")
        .next(format!("cutover rollback --load-balancer {load_balancer} --back-to GROUPS --away-from GROUPS"))
}

/// With the journal at hand.
pub async fn by_journal(global: &Global, args: &Rollback, store: Arc<dyn Store>, found: Found) -> Result<Exit, Failure> {
    if steer::state(&found)?.detach.is_some() {
        return Err(detached(&found));
    }
    term::complain(&what(&found)?);
    let taking = store.holder(&found.run.id).await.filter(|_| !args.take_over);
    if !args.yes && !term::confirm("Put the traffic back?").map_err(|e| Failure::new(Exit::Usage, e))? {
        return Err(Failure::new(Exit::Usage, "not rolled back; nothing was touched"));
    }
    let (by, _) = owner::owner();
    let request = match ramp(args) {
        Some(ramp) => Request::Ramp { by, force: args.force, ramp },
        None => Request::Rollback { by, force: args.force },
    };
    if let Some(holder) = taking {
        let asked = store.put_request(&found.run.id, &request).await;
        asked.map_err(|e| Failure::new(Exit::Internal, e).next("--take-over takes the run from that process"))?;
        term::complain(&format!("asked {} (process {}), who has the run in hand", holder.owner, holder.pid));
        if let Some(exit) = follow::to_the_end(global, &store, &found).await? {
            return Ok(exit);
        }
    }
    steer::restoring(global, store, &found, args.take_over, &request).await
}

/// What has been let go is not half put back.
fn detached(found: &Found) -> Failure {
    let (from, to) = (&found.plan.strategy.from, &found.plan.strategy.to);
    let failure = Failure::new(Exit::Refused, format!("the run {} cannot be taken back: {DETACHED}; nothing was touched", found.run.id));
    failure.next(format!("to move traffic to {from} again: a plan with `from: {to}`, `to: {from}` and `bind: {{}}` as its first step"))
}

/// The parts that were asked for.
pub fn ramp(args: &Rollback) -> Option<Ramp> {
    let percents = args.ramp.as_ref()?.0.clone();
    Some(Ramp { percents, every: args.every.unwrap_or(EVERY).as_secs() })
}

/// What would be put back.
fn what(found: &Found) -> Result<String, Failure> {
    let state = steer::state(found)?;
    let lines = state.routes.values().take(3).map(|r| {
        let shares = |f| super::super::render::names::shares(&crate::domain::decide::goal::shares_of(r, f));
        format!("  {}: {} → {}", r.start.label, shares(r.forward()), shares(r.original()))
    });
    let more = state.routes.len().saturating_sub(3);
    let more = if more > 0 { format!("\n  and {more} more") } else { String::new() };
    Ok(format!("run {}, {} routes:\n{}{more}", found.run.id, state.routes.len(), lines.collect::<Vec<_>>().join("\n")))
}
