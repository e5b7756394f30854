//! Holding a run: its locks, its marker, its journal. Nothing is written to a route without it.

use std::sync::Arc;

use jiff::Timestamp;

use super::marker::{self, MarkerError};
use super::{Ports, Settings};
use crate::adapter::Balancer;
use crate::adapter::patient::Patient;
use crate::adapter::store::{Held, Holder, LockError, Store, StoreError};
use crate::domain::emergency::script::script;
use crate::domain::event::{Event, Started};
use crate::plan::model::Marker;

/// The right to write: locks held, marker put.
#[derive(Debug)]
pub struct Hold {
    pub(super) run: String,
    pub(super) held: Held,
    /// Taken to restore.
    pub(super) restores: bool,
    /// How the break-glass script of a new run is run.
    script: Option<String>,
}

impl Hold {
    /// The run's id.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// The command that runs the break-glass script that was written with a new run.
    pub fn script(&self) -> Option<&str> {
        self.script.as_deref()
    }
}

/// Why a run could not be held.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    /// Someone else has the lock.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Someone else's marker is there, or ours could not be put.
    #[error(transparent)]
    Marker(#[from] MarkerError),
    /// The journal could not be begun.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Begins a new run: locks, an empty run, marker, its first record. Without a record it is no run yet, so a refused one leaves none behind; but
/// whoever finds the marker of one that died in between can tell that nobody has it.
pub async fn begin(ports: &Ports, settings: &Settings, policy: Marker, run: &str, started: Started) -> Result<Hold, HoldError> {
    let load_balancers = started.load_balancers.clone();
    let held = lock(ports, settings, run, &load_balancers, false).await?;
    if let Err(error) = ports.store.create(run).await {
        held.release().await;
        return Err(error.into());
    }
    let mut hold = marked(ports, settings, policy, run, &load_balancers, held, false).await?;
    let script = script(run, &started, ports.clock.now());
    match ports.store.append(run, ports.clock.now(), &Event::Started(Box::new(started))).await {
        Ok(_) => {
            // It only helps; a run does not depend on it.
            hold.script = ports.store.put_script(run, &script).await.unwrap_or_else(|error| {
                tracing::warn!("no break-glass script could be written: {error}");
                None
            });
            Ok(hold)
        }
        Err(error) => {
            marker::remove(&*ports.balancer, &*ports.clock, &load_balancers, run).await;
            hold.held.release().await;
            Err(error.into())
        }
    }
}

/// Takes an existing run in hand. `take_over`: from whoever has it.
pub async fn take(
    ports: &Ports,
    settings: &Settings,
    policy: Marker,
    run: &str,
    load_balancers: &[String],
    take_over: bool,
) -> Result<Hold, HoldError> {
    let held = lock(ports, settings, run, load_balancers, take_over).await?;
    marked(ports, settings, policy, run, load_balancers, held, take_over).await
}

async fn lock(ports: &Ports, settings: &Settings, run: &str, load_balancers: &[String], take_over: bool) -> Result<Held, LockError> {
    let since = ports.clock.now();
    let holder = Holder { owner: settings.owner.clone(), host: settings.host.clone(), pid: settings.pid, since, run: run.into() };
    if take_over { ports.store.take_over(load_balancers, &holder).await } else { ports.store.lock(load_balancers, &holder).await }
}

/// Puts the marker, or gives the locks back.
async fn marked(
    ports: &Ports,
    settings: &Settings,
    policy: Marker,
    run: &str,
    load_balancers: &[String],
    held: Held,
    take_over: bool,
) -> Result<Hold, HoldError> {
    if policy == Marker::Tag {
        // Who is in no hurry asks again what AWS did not answer.
        let patient = Patient::new(Arc::clone(&ports.balancer), Arc::clone(&ports.clock));
        if let Err(error) = mark(&patient, &*ports.store, settings, run, load_balancers, ports.clock.now(), take_over).await {
            held.release().await;
            return Err(error.into());
        }
    }
    Ok(Hold { run: run.into(), held, restores: false, script: None })
}

/// For a restoring process a marker that cannot be put is no reason to leave the traffic where it is: only another owner's is.
pub async fn take_to_restore(
    ports: &Ports,
    settings: &Settings,
    policy: Marker,
    run: &str,
    load_balancers: &[String],
    take_over: bool,
) -> Result<Hold, HoldError> {
    let held = match take(ports, settings, Marker::None, run, load_balancers, take_over).await {
        Ok(hold) => hold.held,
        // A lock file that cannot be made names no other owner.
        Err(HoldError::Lock(LockError::Io(error))) => {
            tracing::warn!("no lock: {error}; the rollback goes on");
            Held::nothing()
        }
        Err(error) => return Err(error),
    };
    let hold = Hold { run: run.into(), held, restores: true, script: None };
    if policy == Marker::Tag {
        match mark(&*ports.balancer, &*ports.store, settings, run, load_balancers, ports.clock.now(), take_over).await {
            Err(other @ MarkerError::Other(_)) => {
                hold.held.release().await;
                return Err(other.into());
            }
            Err(error) => tracing::warn!("{error}; the rollback goes on"),
            Ok(()) => {}
        }
    }
    Ok(hold)
}

/// The locks are held: where a marker's run was never begun in this store, or is over, whoever put it is gone.
async fn mark(
    balancer: &dyn Balancer,
    store: &dyn Store,
    settings: &Settings,
    run: &str,
    load_balancers: &[String],
    since: Timestamp,
    take_over: bool,
) -> Result<(), MarkerError> {
    let value = marker::value(run, &settings.owner, since);
    match marker::put(balancer, load_balancers, run, &value, take_over).await {
        Err(MarkerError::Other(other)) if !take_over && marker::abandoned(store, &other).await => {
            tracing::warn!("the marker of a run that died before it began, or at its very end, is replaced: {other}");
            marker::put(balancer, load_balancers, run, &value, true).await
        }
        put => put,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::store::memory::Memory;
    use crate::engine::fake::Fake;

    #[tokio::test]
    async fn the_marker_of_a_run_that_died_before_it_began_is_replaced() {
        let settings = Settings::new("alice@mac".into(), "mac".into(), 1);
        let store = Memory::default();
        let fake = Fake::default().tagged("lb", marker::KEY, "a-1 alice@mac before");
        let put = async || mark(&fake, &store, &settings, "a-2", &["lb".into()], Timestamp::UNIX_EPOCH, false).await;
        assert!(matches!(put().await, Err(MarkerError::Other(_))), "a run that this store does not know");
        store.create("a-1").await.expect("an empty run");
        put().await.expect("it is replaced");
        assert!(fake.tag_of("lb", marker::KEY).is_some_and(|value| value.starts_with("a-2 ")));
    }
}
