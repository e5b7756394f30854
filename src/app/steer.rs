//! Steers a run: sends a request to the process that drives it, or acquires the lock and acts itself if there is none.

use std::sync::Arc;

use jiff::Timestamp;

use super::exit::{Exit, Failure};
use super::find::Found;
use super::surface::Surface;
use super::{drive, follow, identity, owner, world};
use crate::domain::decide::Orders;
use crate::domain::run::event::ResumeMode;
use crate::domain::run::state::{Phase, State};
use crate::domain::run::watch::Marker;
use crate::engine::{Ports, Settings, Subject, hold, seen};
use crate::port::store::{Request, Store};

/// How this process continues a run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Going {
    /// The step after which it stops, counted from 1.
    pub until: Option<usize>,
    /// From this time on it stops as soon as only waiting is left.
    pub leave: Option<Timestamp>,
    /// The budget for observations, in describe calls a second.
    pub api_budget: Option<f64>,
    /// Whether to stop instead of guarding a frozen run.
    pub leave_when_frozen: bool,
}

impl Going {
    /// Applies this to the settings of a run whose observation takes `things` calls.
    pub fn settings(self, settings: Settings, things: usize) -> Settings {
        let orders = Orders { until: self.until, leave: self.leave };
        Settings { orders, leave_when_frozen: self.leave_when_frozen, ..settings.spending(self.api_budget, things) }
    }
}

/// The ports and settings of a process that continues an unfinished run. Refuses credentials of another account.
pub async fn taking(
    found: &Found,
    state: &State,
    store: Arc<dyn Store>,
    going: Going,
) -> Result<(Ports, Settings), Failure> {
    let ports = world::ports(&found.plan, store).await;
    identity::account(&found.plan, &ports).await?;
    let settings = going.settings(drive::settings(&found.plan, state), Subject::of(&found.plan, state).size());
    Ok((ports, settings))
}

/// Sends a request and waits for the result. If no process drives the run, this process journals the request and does
/// not continue the run.
pub async fn ask(
    surface: &dyn Surface,
    store: &Arc<dyn Store>,
    found: &Found,
    request: &Request,
) -> Result<Exit, Failure> {
    store.put_request(&found.run.id, request).await.map_err(|e| Failure::new(Exit::Internal, e))?;
    match store.holder(&found.run.id).await {
        Some(holder) => follow::heard(surface, store, found, &holder).await,
        None => follow::journal_requests(surface, store, found).await.map(|()| Exit::Done),
    }
}

/// Continues a run: through the process that drives it, or in this process if there is none.
pub async fn resume(
    surface: &dyn Surface,
    store: Arc<dyn Store>,
    found: &Found,
    mode: ResumeMode,
    going: Going,
) -> Result<Exit, Failure> {
    let state = found.state()?;
    let (by, _) = owner::owner();
    if state.phase != Phase::RollingBack && (state.held() || mode != ResumeMode::Plain) {
        store
            .put_request(&found.run.id, &Request::Resume { by, mode })
            .await
            .map_err(|e| Failure::new(Exit::Internal, e))?;
    }
    if let Some(holder) = store.holder(&found.run.id).await {
        return follow::heard(surface, &store, found, &holder).await;
    }
    let (ports, settings) = taking(found, &state, store, going).await?;
    surface.say(&drive::often(&settings, Subject::of(&found.plan, &state).size()));
    let hold = hold::take(&ports, &settings, found.plan.marker, &found.run.id, &found.run.load_balancers, false).await;
    let hold = hold.map_err(|e| drive::held_again(e, &state))?;
    drive::Drive::new(&found.plan, ports, settings, hold).run(surface).await
}

/// Rolls a run back: through the process that drives it, which is followed to the end, or in this process if there is
/// none.
pub async fn restore(
    surface: &dyn Surface,
    store: Arc<dyn Store>,
    found: &Found,
    request: &Request,
) -> Result<Exit, Failure> {
    if store.holder(&found.run.id).await.is_some() {
        store.put_request(&found.run.id, request).await.map_err(|e| Failure::new(Exit::Internal, e))?;
        if let Some(exit) = follow::to_the_end(surface, &store, found).await? {
            return Ok(exit);
        }
    }
    restoring(surface, store, found, false, request).await
}

/// Rolls a run back in this process, as an emergency: only another owner stops it. A completed rollback exits 0.
pub async fn restoring(
    surface: &dyn Surface,
    store: Arc<dyn Store>,
    found: &Found,
    take_over: bool,
    request: &Request,
) -> Result<Exit, Failure> {
    let state = found.state()?;
    // If the routes were read less than a minute ago, the first write needs no other call: its ARN names account and
    // region.
    let seen = seen(&*store, &found.records, &state, Timestamp::now()).await.is_some();
    let ports = world::balancer_of(&found.plan, store).await;
    if !seen {
        identity::account(&found.plan, &ports).await?;
    }
    let settings = drive::settings(&found.plan, &state);
    let there = seen.then_some(Marker::Ours);
    let hold = hold::take_to_restore(
        &ports,
        &settings,
        found.plan.marker,
        &found.run.id,
        &found.run.load_balancers,
        take_over,
        there,
    );
    let hold = hold.await.map_err(|e| drive::held_again(e, &state))?;
    let asked = ports.clone();
    let exit = drive::Drive { request: Some(request), ..drive::Drive::new(&found.plan, ports, settings, hold) }
        .run(surface)
        .await
        .map(Exit::done_if_back)?;
    if exit != Exit::Done && seen {
        identity::account(&found.plan, &asked).await?;
    }
    Ok(exit)
}
