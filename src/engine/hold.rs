//! Holding a run: its locks, its marker, its journal. Nothing is written to a route without it.

use std::sync::Arc;

use jiff::Timestamp;

use super::marker::{self, MarkerError};
use super::{Ports, Settings};
use crate::adapter::Balancer;
use crate::adapter::patient::Patient;
use crate::adapter::store::{Held, Holder, LockError, StoreError};
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

/// Begins a new run: locks, marker, journal; in that order, so that a refused one leaves no run behind.
pub async fn begin(ports: &Ports, settings: &Settings, policy: Marker, run: &str, started: Started) -> Result<Hold, HoldError> {
    let mut hold = take(ports, settings, policy, run, &started.load_balancers, false).await?;
    let script = script(run, &started, ports.clock.now());
    let load_balancers = started.load_balancers.clone();
    let journal = async {
        ports.store.create(run).await?;
        ports.store.append(run, ports.clock.now(), &Event::Started(Box::new(started))).await
    };
    match journal.await {
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
    let since = ports.clock.now();
    let holder = Holder { owner: settings.owner.clone(), host: settings.host.clone(), pid: settings.pid, since, run: run.into() };
    let held =
        if take_over { ports.store.take_over(load_balancers, &holder).await? } else { ports.store.lock(load_balancers, &holder).await? };
    if policy == Marker::Tag {
        // Who is in no hurry asks again what AWS did not answer.
        let patient = Patient::new(Arc::clone(&ports.balancer), Arc::clone(&ports.clock));
        if let Err(error) = mark(&patient, settings, run, load_balancers, since, take_over).await {
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
        match mark(&*ports.balancer, settings, run, load_balancers, ports.clock.now(), take_over).await {
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

async fn mark(
    balancer: &dyn Balancer,
    settings: &Settings,
    run: &str,
    load_balancers: &[String],
    since: Timestamp,
    take_over: bool,
) -> Result<(), MarkerError> {
    let value = marker::value(run, &settings.owner, since);
    marker::put(balancer, load_balancers, run, &value, take_over).await
}
