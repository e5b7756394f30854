//! Steers a run: sends a request to the process that drives it. If there is no such process, this process acquires the
//! lock and acts itself.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::exit::{Exit, Failure};
use super::find::StoredRun;
use super::surface::Surface;
use super::{connect, drive, follow, identity, owner};
use crate::base::haproxy::Backend;
use crate::base::text::list;
use crate::domain::decide::ProcessOptions;
use crate::domain::run::event::ResumeMode;
use crate::domain::run::observation::Marker;
use crate::domain::run::state::{Phase, State};
use crate::domain::traffic::RouteId;
use crate::engine::{Ports, Settings, WatchList, last_seen_intact, ownership, request};
use crate::port::store::{Request, Store};

/// How this process continues a run.
#[derive(Debug, Clone, Copy, Default)]
pub struct DriveOptions {
    /// The step after which the process stops, counted from 1.
    pub until: Option<usize>,
    /// The time after which the process stops as soon as the run only waits.
    pub leave: Option<Timestamp>,
    /// The budget for observations, in describe calls a second.
    pub api_budget: Option<f64>,
    /// Whether to stop instead of guarding a frozen run.
    pub exit_when_frozen: bool,
    /// Whether to take the run over from the process that drives it.
    pub take_over: bool,
}

impl DriveOptions {
    /// Applies these options to the settings of a run whose observation takes `calls` calls.
    pub fn settings(self, settings: Settings, calls: usize) -> Settings {
        let orders = ProcessOptions { until_step: self.until, exit_after: self.leave };
        Settings { orders, exit_when_frozen: self.exit_when_frozen, ..settings.with_api_budget(self.api_budget, calls) }
    }
}

/// Connects the ports and builds the settings of a process that continues an unfinished run. Refuses credentials of
/// another account.
pub async fn connect_to_run(
    found: &StoredRun,
    state: &State,
    store: Arc<dyn Store>,
    options: DriveOptions,
) -> Result<(Ports, Settings), Failure> {
    let ports = connect::ports(&found.plan, store).await;
    identity::check_account(&found.plan, &ports).await?;
    let settings = options.settings(drive::settings(&found.plan, state), WatchList::of(&found.plan, state).calls());
    Ok((ports, settings))
}

/// Sends a request and waits for the result. If no process drives the run, this process journals the request and does
/// not continue the run.
pub async fn send_request(
    surface: &dyn Surface,
    store: &Arc<dyn Store>,
    found: &StoredRun,
    request: &Request,
) -> Result<Exit, Failure> {
    store.put_request(&found.run.id, request).await.map_err(|e| Failure::new(Exit::Internal, e))?;
    match store.lock_owner(&found.run.id).await {
        Some(holder) => follow::await_receipt(surface, store, found, &holder).await,
        None => follow::journal_requests(surface, store, found).await.map(|()| Exit::Done),
    }
}

/// Continues a run. If a process drives the run, sends a request to that process; otherwise continues the run in this
/// process.
pub async fn resume(
    surface: &dyn Surface,
    store: Arc<dyn Store>,
    found: &StoredRun,
    mode: ResumeMode,
    ignore_hours: Option<String>,
    options: DriveOptions,
) -> Result<Exit, Failure> {
    let state = found.state()?;
    let (by, _) = owner::owner();
    let asks = mode != ResumeMode::PLAIN || ignore_hours.is_some();
    if state.phase != Phase::RollingBack && (state.raises_stopped() || asks) {
        store
            .put_request(&found.run.id, &Request::Resume { by, mode, ignore_hours })
            .await
            .map_err(|e| Failure::new(Exit::Internal, e))?;
    }
    let holder = store.lock_owner(&found.run.id).await;
    if let Some(holder) = holder.as_ref().filter(|_| !options.take_over) {
        return follow::await_receipt(surface, &store, found, holder).await;
    }
    let (ports, settings) = connect_to_run(found, &state, store, options).await?;
    surface.show(&drive::observation_text(&settings, WatchList::of(&found.plan, &state).calls()));
    let (run, marker) = (&found.run, found.plan.marker);
    let ownership = match holder {
        Some(_) => ownership::take_over_run(&ports, &settings, marker, &run.id, &run.load_balancers).await,
        None => ownership::acquire(&ports, &settings, marker, &run.id, &run.load_balancers, false).await,
    };
    let ownership = ownership.map_err(|e| drive::resume_failure(e, &state))?;
    drive::Drive::new(&found.plan, ports, settings, ownership).run(surface).await
}

/// Returns the routes at these instances of HAProxy, which are lost.
pub fn routes_at(state: &State, addresses: &[String]) -> Result<Vec<RouteId>, Failure> {
    let address = |id: &RouteId| Backend::parse(id.id()).map(|backend| backend.address);
    let known: BTreeSet<_> = state.routes.keys().filter_map(address).collect();
    if let Some(unknown) = addresses.iter().find(|given| !known.contains(*given)) {
        let known: Vec<_> = known.iter().map(String::as_str).collect();
        let instances = if known.is_empty() { "it has none".to_owned() } else { format!("it has {}", list(&known)) };
        let why = format!("nothing was changed: the run moves no instance of HAProxy {unknown}; {instances}");
        return Err(Failure::new(Exit::Usage, why));
    }
    let lost = |id: &&RouteId| address(id).is_some_and(|address| addresses.contains(&address));
    Ok(state.routes.keys().filter(lost).cloned().collect())
}

/// Asks the run to go on without these routes, if there are any.
pub async fn leave_out(store: &dyn Store, found: &StoredRun, routes: Vec<RouteId>) -> Result<(), Failure> {
    if routes.is_empty() {
        return Ok(());
    }
    let (by, _) = owner::owner();
    let request = Request::LeaveOut { by, routes };
    if let Some(why) = request::refusal(&found.plan, &found.state()?, &request) {
        return Err(Failure::new(Exit::Usage, format!("nothing was changed: {why}")));
    }
    store.put_request(&found.run.id, &request).await.map_err(|e| Failure::new(Exit::Internal, e))
}

/// Rolls a run back. If a process drives the run, sends a request and follows that process to the end; otherwise rolls
/// back in this process.
pub async fn roll_back(
    surface: &dyn Surface,
    store: Arc<dyn Store>,
    found: &StoredRun,
    request: &Request,
) -> Result<Exit, Failure> {
    if store.lock_owner(&found.run.id).await.is_some() {
        store.put_request(&found.run.id, request).await.map_err(|e| Failure::new(Exit::Internal, e))?;
        if let Some(exit) = follow::follow_rollback(surface, &store, found).await? {
            return Ok(exit);
        }
    }
    roll_back_here(surface, store, found, false, request).await
}

/// Rolls a run back in this process, as an emergency. Only another owner can stop this. A completed rollback exits 0.
pub async fn roll_back_here(
    surface: &dyn Surface,
    store: Arc<dyn Store>,
    found: &StoredRun,
    take_over: bool,
    request: &Request,
) -> Result<Exit, Failure> {
    let state = found.state()?;
    // If the routes were read less than a minute ago, the first write needs no check of account and region: the ARN in
    // the write names both.
    let seen = last_seen_intact(&*store, &found.records, &state, Timestamp::now()).await.is_some();
    let ports = connect::rollback_ports(&found.plan, store).await;
    if !seen {
        identity::check_account(&found.plan, &ports).await?;
    }
    let settings = drive::settings(&found.plan, &state);
    let marker = seen.then_some(Marker::Ours);
    let ownership = ownership::acquire_to_restore(
        &ports,
        &settings,
        found.plan.marker,
        &found.run.id,
        &found.run.load_balancers,
        take_over,
        marker,
    );
    let ownership = ownership.await.map_err(|e| drive::resume_failure(e, &state))?;
    let ports_for_check = ports.clone();
    let exit = drive::Drive { request: Some(request), ..drive::Drive::new(&found.plan, ports, settings, ownership) }
        .run(surface)
        .await
        .map(Exit::done_if_rolled_back)?;
    if exit != Exit::Done && seen {
        identity::check_account(&found.plan, &ports_for_check).await?;
    }
    Ok(exit)
}
