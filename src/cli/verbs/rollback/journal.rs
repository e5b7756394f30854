//! A rollback that uses the journal of a run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::args::Rollback;
use super::ask::{RollbackPreview, ask};
use super::evacuation;
use crate::app::exit::{Exit, Failure};
use crate::app::find::StoredRun;
use crate::app::names::{Names, balancer};
use crate::app::{connect, follow, owner, steer};
use crate::base::arn::short;
use crate::base::number::count;
use crate::cli::args::Global;
use crate::cli::moves::{Moves, RouteMove};
use crate::cli::term;
use crate::domain::decide::{desired_split, drift_text};
use crate::domain::health::Target;
use crate::domain::health::gate::Sample;
use crate::domain::run::observation::Marker;
use crate::domain::run::state::{Route, State};
use crate::domain::traffic::{RouteId, Split, Unreadable};
use crate::engine::marker;
use crate::engine::request::NO_ROLLBACK;
use crate::plan::model::{Plan, RollbackStickiness};
use crate::port::store::{LockOwner, Request, Store};

/// Rolls back the run, after the operator has confirmed.
pub async fn run(global: &Global, args: &Rollback, store: Arc<dyn Store>, found: StoredRun) -> Result<Exit, Failure> {
    let state = found.state()?;
    if state.retirement.is_some() {
        return Err(retired_failure(&found));
    }
    if state.finished.is_some() && state.started.is_evacuation() {
        return Box::pin(evacuation::give_back(global, args, store, &found, &state)).await;
    }
    if let Some(unknown) = args.assume_stopped.iter().find(|item| state.items.get(item).is_none()) {
        let items: Vec<_> = state.items.iter().map(|(item, _)| item.to_string()).collect();
        let known = if items.is_empty() { "no item".to_owned() } else { items.join(", ") };
        let message = format!("the run {} has not handed over {unknown}; it has handed over {known}", found.run.id);
        return Err(Failure::new(Exit::Usage, message));
    }
    let holder = store.lock_owner(&found.run.id).await.filter(|_| !args.take_over);
    // With `--yes` there is no question, so the preview need not be read first.
    let live = if args.yes { LivePreview::default() } else { LivePreview::read(&*store, &found, &state).await };
    let mut preview = build_preview(&found, &state, &live, holder.as_ref());
    let (detaches, remark) = sticky_clients(&found.plan, &state, args.break_stickiness());
    preview.detaches = detaches;
    preview.remarks.extend(remark);
    if args.yes {
        preview.source += "; with --yes, the shares before the rollback are those of the journal, and may not be live";
    }
    let take_over = ask(args, &preview)?;
    drop(preview);
    let (by, _) = owner::owner();
    let (force, break_stickiness) = (args.force, args.break_stickiness());
    for item in &args.assume_stopped {
        let assumed = Request::AssumeStopped { by: by.clone(), item: item.clone() };
        store.put_request(&found.run.id, &assumed).await.map_err(|e| Failure::new(Exit::Internal, e))?;
    }
    let request = match args.ramp() {
        Some(ramp) => Request::Ramp { by, force, break_stickiness, ramp },
        None => Request::Rollback { by, force, break_stickiness },
    };
    if let Some(holder) = holder.filter(|_| !take_over) {
        let sent = store.put_request(&found.run.id, &request).await;
        sent.map_err(|e| {
            Failure::new(Exit::Internal, e).next("to roll back with this command instead: add --take-over")
        })?;
        term::print_error(&format!("sent to {} (process {}), which is driving the run", holder.owner, holder.pid));
        if let Some(exit) = follow::follow_rollback(global, &store, &found).await? {
            return Ok(exit);
        }
    }
    steer::roll_back_here(global, store, &found, take_over, &request).await
}

/// Returns the sentence of the rollback of a run, with the shares of its journal.
pub fn sentence(found: &StoredRun) -> Result<String, Failure> {
    let state = found.state()?;
    let moves = build_preview(found, &state, &LivePreview::default(), None).moves;
    Ok(moves.back().unwrap_or_else(|| {
        format!("Verify {} of {} (no change needed) and end the run", moves.count(), moves.load_balancers)
    }))
}

/// The live routes and the marker, if they could be read.
#[derive(Default)]
struct LivePreview {
    routes: BTreeMap<RouteId, Split>,
    /// The marker of another owner, whose process may still run.
    other: Option<String>,
    /// The healthy targets of the groups that get the traffic, one line each.
    way_back: Vec<String>,
    /// Messages about the parts that could not be read.
    skipped: Vec<String>,
}

/// The maximum time to read the health for the preview. A rollback does not need it.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(3);

impl LivePreview {
    async fn read(store: &dyn Store, found: &StoredRun, state: &State) -> Self {
        let balancer = connect::balancer_of(&found.plan).await;
        let ids: Vec<_> = existing(state).map(|(id, _)| id.clone()).collect();
        let mark = marker::read(&*balancer.tags, &found.run.load_balancers, &found.run.id);
        let groups: Vec<_> = state.all_return_groups().iter().cloned().collect();
        let health = tokio::time::timeout(HEALTH_TIMEOUT, balancer.traffic.health(&groups));
        let read = async { futures::join!(balancer.traffic.routes(&ids), mark, health) };
        let (read, mark, health) = connect::reads().read(0, read).await;
        let mut live = Self { way_back: way_back(&groups, &health.unwrap_or_default()), ..Self::default() };
        let failed = read.values().find_map(|r| r.as_ref().err().cloned());
        live.skipped
            .extend(failed.map(|why| format!("some routes cannot be read; their last known shares are shown: {why}")));
        let forwards = read.into_iter().filter_map(|(id, route)| Some((id, route.ok()?.forward_split()?.clone())));
        live.routes = forwards.collect();
        match mark {
            Ok(Marker::Other(value)) if !marker::has_no_driver(store, &value).await => live.other = Some(value),
            Ok(_) => {}
            Err(why) => live.skipped.push(format!("it is unknown whether another run owns the load balancer: {why}")),
        }
        live
    }
}

/// Returns a line for each group that gets the traffic.
fn way_back(groups: &[String], health: &BTreeMap<String, Result<Vec<Target>, Unreadable>>) -> Vec<String> {
    let line = |arn: &String| match health.get(arn) {
        Some(Ok(targets)) => {
            let healthy = Sample::of(Timestamp::now(), targets).counts.healthy;
            format!("way back: {} has {healthy} healthy targets", short(arn))
        }
        Some(Err(_)) | None => format!("way back: the health of {} is unknown", short(arn)),
    };
    groups.iter().map(line).collect()
}

fn build_preview<'a>(
    found: &StoredRun,
    state: &State,
    live: &'a LivePreview,
    holder: Option<&LockOwner>,
) -> RollbackPreview<'a> {
    let names = Names::of(&state.started);
    let row = |(id, route): (&RouteId, &Route)| {
        let now = desired_split::shares_of(route, live.routes.get(id).unwrap_or(route.split()));
        let then = desired_split::restored_shares(state, route);
        RouteMove::of(names.route(id), &route.start, &state.started.groups, &now, &then)
    };
    // In the order of the listeners and priorities, as the run found them.
    let order = |id: &RouteId| state.started.routes.iter().position(|start| start.id == *id);
    let mut routes: Vec<_> = existing(state).collect();
    routes.sort_by_key(|(id, _)| order(id));
    let deleted = state.routes.values().filter(|route| route.is_deleted());
    let deleted =
        deleted.map(|route| format!("{}: {}", route.start.label, drift_text::describe_deletion(state, route, &[])));
    let driving = holder.map(|h| format!("{} (process {}) is driving the run and will do this", h.owner, h.pid));
    RollbackPreview {
        source: format!("run {}, {}", found.run.id, count(existing(state).count(), "route")),
        moves: Moves {
            routes: routes.into_iter().map(row).collect(),
            load_balancers: found.run.load_balancers.iter().map(|arn| balancer(arn)).collect::<Vec<_>>().join(", "),
        },
        remarks: driving
            .into_iter()
            .chain(deleted)
            .chain(live.way_back.iter().cloned())
            .chain(live.skipped.iter().cloned())
            .collect(),
        detaches: None,
        ends_run: true,
        leaves: false,
        other: live.other.as_deref(),
        against: None,
    }
}

/// Returns what is detached because of clients whose cookies lead to the new cluster, and a line about these clients;
/// nothing without such clients.
fn sticky_clients(plan: &Plan, state: &State, asked: Option<bool>) -> (Option<String>, Option<String>) {
    let sticky = existing(state).filter(|(_, route)| desired_split::sticky_clients(plan, state, route)).count();
    if sticky == 0 {
        return (None, None);
    }
    let (routes, from, to) = (count(sticky, "route"), &plan.strategy.from, &plan.strategy.to);
    if asked.unwrap_or(plan.strategy.rollback_stickiness == RollbackStickiness::Break) {
        let remark = format!(
            "sticky clients go to {from}, too, and a session that only {to} knows is lost; to keep them on {to}: \
             --stickiness keep"
        );
        return (Some(format!("the target groups of {to} from {routes}")), Some(remark));
    }
    let remark = format!("clients of {routes} with a cookie stay on {to}; to move them, too: --stickiness break");
    (None, Some(remark))
}

/// Returns the routes whose rules were not deleted.
fn existing(state: &State) -> impl Iterator<Item = (&RouteId, &Route)> {
    state.routes.iter().filter(|(_, route)| !route.is_deleted())
}

/// Returns the failure for a run whose old cluster is retired or is being retired.
fn retired_failure(found: &StoredRun) -> Failure {
    let (from, to) = (&found.plan.strategy.from, &found.plan.strategy.to);
    let failure = Failure::new(
        Exit::Refused,
        format!("the run {} cannot be rolled back: {NO_ROLLBACK}; nothing was changed", found.run.id),
    );
    failure.next(format!(
        "to move traffic to {from} again: run a plan with `from: {to}`, `to: {from}` and `bind: {{}}` as its first step"
    ))
}
