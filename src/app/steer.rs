//! Steers a run: sends a request to the process that drives it, or acquires the lock and acts itself if there is none.

use std::sync::Arc;

use jiff::Timestamp;

use super::exit::{Exit, Failure};
use super::find::StoredRun;
use super::surface::Surface;
use super::{connect, drive, follow, identity, owner};
use crate::domain::decide::ProcessOptions;
use crate::domain::run::event::ResumeMode;
use crate::domain::run::observation::Marker;
use crate::domain::run::state::{Phase, State};
use crate::engine::{Ports, Settings, WatchList, last_seen_intact, ownership};
use crate::port::store::{Request, Store};

/// How this process continues a run.
#[derive(Debug, Clone, Copy, Default)]
pub struct DriveOptions {
    /// The step after which it stops, counted from 1.
    pub until: Option<usize>,
    /// From this time on it stops as soon as only waiting is left.
    pub leave: Option<Timestamp>,
    /// The budget for observations, in describe calls a second.
    pub api_budget: Option<f64>,
    /// Whether to stop instead of guarding a frozen run.
    pub leave_when_frozen: bool,
}

impl DriveOptions {
    /// Applies this to the settings of a run whose observation takes `things` calls.
    pub fn settings(self, settings: Settings, things: usize) -> Settings {
        let orders = ProcessOptions { until_step: self.until, exit_after: self.leave };
        Settings {
            orders,
            leave_when_frozen: self.leave_when_frozen,
            ..settings.with_api_budget(self.api_budget, things)
        }
    }
}

/// The ports and settings of a process that continues an unfinished run. Refuses credentials of another account.
pub async fn connect_to_run(
    found: &StoredRun,
    state: &State,
    store: Arc<dyn Store>,
    going: DriveOptions,
) -> Result<(Ports, Settings), Failure> {
    let ports = connect::ports(&found.plan, store).await;
    identity::check_account(&found.plan, &ports).await?;
    let settings = going.settings(drive::settings(&found.plan, state), WatchList::of(&found.plan, state).calls());
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

/// Continues a run: through the process that drives it, or in this process if there is none.
pub async fn resume(
    surface: &dyn Surface,
    store: Arc<dyn Store>,
    found: &StoredRun,
    mode: ResumeMode,
    going: DriveOptions,
) -> Result<Exit, Failure> {
    let state = found.state()?;
    let (by, _) = owner::owner();
    if state.phase != Phase::RollingBack && (state.raises_stopped() || mode != ResumeMode::PLAIN) {
        store
            .put_request(&found.run.id, &Request::Resume { by, mode })
            .await
            .map_err(|e| Failure::new(Exit::Internal, e))?;
    }
    if let Some(holder) = store.lock_owner(&found.run.id).await {
        return follow::await_receipt(surface, &store, found, &holder).await;
    }
    let (ports, settings) = connect_to_run(found, &state, store, going).await?;
    surface.show(&drive::observation_text(&settings, WatchList::of(&found.plan, &state).calls()));
    let ownership =
        ownership::acquire(&ports, &settings, found.plan.marker, &found.run.id, &found.run.load_balancers, false).await;
    let ownership = ownership.map_err(|e| drive::resume_failure(e, &state))?;
    drive::Drive::new(&found.plan, ports, settings, ownership).run(surface).await
}

/// Rolls a run back: through the process that drives it, which is followed to the end, or in this process if there is
/// none.
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

/// Rolls a run back in this process, as an emergency: only another owner stops it. A completed rollback exits 0.
pub async fn roll_back_here(
    surface: &dyn Surface,
    store: Arc<dyn Store>,
    found: &StoredRun,
    take_over: bool,
    request: &Request,
) -> Result<Exit, Failure> {
    let state = found.state()?;
    // If the routes were read less than a minute ago, the first write needs no other call: its ARN names account and
    // region.
    let seen = last_seen_intact(&*store, &found.records, &state, Timestamp::now()).await.is_some();
    let ports = connect::rollback_ports(&found.plan, store).await;
    if !seen {
        identity::check_account(&found.plan, &ports).await?;
    }
    let settings = drive::settings(&found.plan, &state);
    let there = seen.then_some(Marker::Ours);
    let ownership = ownership::acquire_to_restore(
        &ports,
        &settings,
        found.plan.marker,
        &found.run.id,
        &found.run.load_balancers,
        take_over,
        there,
    );
    let ownership = ownership.await.map_err(|e| drive::resume_failure(e, &state))?;
    let asked = ports.clone();
    let exit = drive::Drive { request: Some(request), ..drive::Drive::new(&found.plan, ports, settings, ownership) }
        .run(surface)
        .await
        .map(Exit::done_if_rolled_back)?;
    if exit != Exit::Done && seen {
        identity::check_account(&found.plan, &asked).await?;
    }
    Ok(exit)
}
