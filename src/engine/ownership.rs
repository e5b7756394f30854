//! Acquires the ownership of a run: acquires the locks, puts the marker, and starts the journal. No route is written
//! without the ownership.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::marker::{self, MarkerError, MarkerWrite};
use super::retry::retry;
use super::untag;
use super::weight_tags;
use super::{Ports, Settings};
use crate::base::rate::WRITE_RATE;
use crate::base::retry::TAG_WEIGHTS;
use crate::domain::emergency::script::script;
use crate::domain::run::event::{Event, Started};
use crate::domain::run::observation::Marker;
use crate::plan::model::MarkerMode;
use crate::port::store::{LockError, LockGuard, LockOwner, RunSummary, Store, StoreError};
use crate::port::{TagStore, WriteError};

/// The right to drive a run. The locks of the run are acquired and its marker is put.
pub struct Ownership {
    pub(super) run: String,
    pub(super) locks: LockGuard,
    /// Whether the ownership was acquired to restore the original shares.
    pub(super) restores: bool,
    /// The run whose marker is taken over.
    pub(super) replaced_run: Option<String>,
    /// The write of the marker while it is in progress.
    pub(super) marker_write: Option<MarkerWrite>,
    /// The command that runs the break-glass script of a new run.
    script: Option<String>,
}

impl Ownership {
    /// Returns the ownership of a run whose load balancers this process owns through another run, to restore the
    /// original shares of a wave that is done.
    pub fn through_other_run(run: &str) -> Self {
        Self {
            run: run.into(),
            locks: LockGuard::unlocked(),
            restores: true,
            replaced_run: None,
            marker_write: None,
            script: None,
        }
    }

    /// Returns the id of the run.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// Releases the locks, so that another process can drive the run.
    pub async fn release(self) {
        self.locks.release().await;
    }

    /// Returns the command that runs the break-glass script that was written with a new run.
    pub fn script(&self) -> Option<&str> {
        self.script.as_deref()
    }
}

/// The reason why the ownership of a run could not be acquired.
#[derive(Debug, thiserror::Error)]
pub enum OwnershipError {
    /// Another process has the lock.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Another run's marker is on a load balancer, or this run's marker could not be put.
    #[error(transparent)]
    Marker(#[from] MarkerError),
    /// The journal could not be started.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another process has just started a run of this plan. Contains the id of that run.
    #[error("someone else has just started the run {0} of this plan; this command changed nothing")]
    AlreadyStarted(String),
}

/// Returns the least time for which the tags with the original weights delay the start of a new run.
pub fn tagging_time(tag_store: &dyn TagStore, policy: MarkerMode, run: &str, started: &Started) -> Duration {
    if policy == MarkerMode::None {
        return Duration::ZERO;
    }
    WRITE_RATE.min_duration(weight_tags::call_count(tag_store, run, started))
}

/// Starts a new run, in this order: locks, an empty run in the store, marker, first record. A run without a record does
/// not count as a run, so a refused start leaves no run behind. If the process dies in between, the empty run in the
/// store shows that no process drives the run of that marker.
pub async fn own_new_run(
    ports: &Ports,
    settings: &Settings,
    policy: MarkerMode,
    run: &str,
    started: Started,
) -> Result<Ownership, OwnershipError> {
    own_new_run_checked(ports, settings, policy, run, started, None).await
}

/// Starts a new run if the store still contains only the runs of this plan that the caller read before (`known`). This
/// is checked under the lock. Otherwise two processes that start at the same time would run the plan twice, one after
/// the other.
pub async fn own_new_run_checked(
    ports: &Ports,
    settings: &Settings,
    policy: MarkerMode,
    run: &str,
    started: Started,
    known: Option<&[RunSummary]>,
) -> Result<Ownership, OwnershipError> {
    let load_balancers = started.load_balancers.clone();
    let held = acquire_locks(ports, settings, run, &load_balancers, false).await?;
    if let Some(known) = known
        && let Err(error) = check_no_new_run(&*ports.store, &started.plan, known).await
    {
        held.release().await;
        return Err(error);
    }
    if let Err(error) = ports.store.create(run).await {
        held.release().await;
        return Err(error.into());
    }
    let mut ownership = with_marker(ports, settings, policy, run, &load_balancers, held, false).await?;
    match ports.store.append(run, ports.clock.now(), &Event::Started(Box::new(started.clone()))).await {
        Ok(_) => {
            ownership.script = leave_rollback_aids(ports, policy, run, &started).await;
            Ok(ownership)
        }
        Err(error) => {
            untag::remove(&*ports.balancer.tags, &*ports.clock, &started.load_balancers, &[], &[run], false).await;
            ownership.locks.release().await;
            Err(error.into())
        }
    }
}

/// Checks that the store contains only the known runs of this plan, and that no process continued one of them.
async fn check_no_new_run(store: &dyn Store, plan: &str, known: &[RunSummary]) -> Result<(), OwnershipError> {
    let same = |now: &RunSummary| known.iter().any(|before| before.id == now.id && before.finished == now.finished);
    match store.find(plan).await?.into_iter().find(|run| !same(run)) {
        Some(other) => Err(OwnershipError::AlreadyStarted(other.id)),
        None => Ok(()),
    }
}

/// Writes two aids for a rollback without a journal: the break-glass script, and the original weights in tags. A run
/// does not depend on these aids. Returns the command that runs the script.
async fn leave_rollback_aids(ports: &Ports, policy: MarkerMode, run: &str, started: &Started) -> Option<String> {
    let tagged = started.routes.iter().any(|route| ports.balancer.tags.has_tags(route.id.id()));
    if policy == MarkerMode::Tag && tagged {
        let weight_event = weight_tags::put(&*ports.balancer.tags, &*ports.clock, run, started).await;
        if let Err(error) = ports.store.append(run, ports.clock.now(), &weight_event).await {
            tracing::warn!("{error}");
        }
    }
    write_script(&*ports.store, run, started, policy, ports.clock.now()).await
}

/// The break-glass script of a run whose old cluster is retired.
const RETIRED_SCRIPT: &str = "#!/bin/sh\n\
    echo 'cutover finalize has retired the old cluster: nothing to restore, nothing was changed.' >&2\n\
    exit 3\n";

/// Replaces the break-glass script with a script that only refuses, because a retired cluster must not get traffic
/// again.
pub async fn disarm_script(store: &dyn Store, run: &str) {
    if let Err(error) = store.put_script(run, RETIRED_SCRIPT).await {
        tracing::warn!(
            "the break-glass script of {run} still restores the old cluster, which is retired; do not run the script: \
             {error}"
        );
    }
}

/// Writes the run's break-glass script. Returns the command that runs it.
pub(super) async fn write_script(
    store: &dyn Store,
    run: &str,
    started: &Started,
    policy: MarkerMode,
    started_at: Timestamp,
) -> Option<String> {
    store.put_script(run, &script(run, started, policy, started_at)).await.unwrap_or_else(|error| {
        tracing::warn!("the break-glass script cannot be written: {error}; the run continues without the script");
        None
    })
}

/// Acquires the ownership of an existing run. With `take_over`, also if another process owns the run.
pub async fn acquire(
    ports: &Ports,
    settings: &Settings,
    policy: MarkerMode,
    run: &str,
    load_balancers: &[String],
    take_over: bool,
) -> Result<Ownership, OwnershipError> {
    let held = acquire_locks(ports, settings, run, load_balancers, take_over).await?;
    with_marker(ports, settings, policy, run, load_balancers, held, take_over).await
}

/// Takes the ownership of a run over from the process that drives the run. The marker of another run is not replaced.
pub async fn take_over_run(
    ports: &Ports,
    settings: &Settings,
    policy: MarkerMode,
    run: &str,
    load_balancers: &[String],
) -> Result<Ownership, OwnershipError> {
    let held = acquire_locks(ports, settings, run, load_balancers, true).await?;
    with_marker(ports, settings, policy, run, load_balancers, held, false).await
}

async fn acquire_locks(
    ports: &Ports,
    settings: &Settings,
    run: &str,
    load_balancers: &[String],
    take_over: bool,
) -> Result<LockGuard, LockError> {
    let since = ports.clock.now();
    let holder = LockOwner {
        owner: settings.owner.clone(),
        host: settings.host.clone(),
        pid: settings.pid,
        since,
        run: run.into(),
    };
    if take_over {
        ports.store.take_over(load_balancers, &holder).await
    } else {
        ports.store.lock(load_balancers, &holder).await
    }
}

/// Puts the marker. Releases the locks if the marker cannot be put.
async fn with_marker(
    ports: &Ports,
    settings: &Settings,
    policy: MarkerMode,
    run: &str,
    load_balancers: &[String],
    held: LockGuard,
    take_over: bool,
) -> Result<Ownership, OwnershipError> {
    if policy == MarkerMode::Tag {
        let (tags, store, clock) = (&*ports.balancer.tags, &*ports.store, &*ports.clock);
        let marker = retry(TAG_WEIGHTS, clock, is_throttled, || {
            put_marker(tags, store, settings, run, load_balancers, clock.now(), take_over)
        });
        // The start of a run is not urgent, so failed reads and throttled writes are repeated.
        if let Err(error) = ports.reads.read(0, marker).await {
            held.release().await;
            return Err(error.into());
        }
    }
    Ok(Ownership {
        run: run.into(),
        locks: held,
        restores: false,
        replaced_run: None,
        marker_write: None,
        script: None,
    })
}

/// Acquires the ownership to restore the original shares. A marker that cannot be put does not stop a rollback; only
/// another owner's marker stops it. `marker_before` is the marker on the load balancers, if it was read less than a
/// minute ago. The marker is put while the first routes are already being restored.
pub async fn acquire_to_restore(
    ports: &Ports,
    settings: &Settings,
    policy: MarkerMode,
    run: &str,
    load_balancers: &[String],
    take_over: bool,
    marker_before: Option<Marker>,
) -> Result<Ownership, OwnershipError> {
    let held = match acquire(ports, settings, MarkerMode::None, run, load_balancers, take_over).await {
        Ok(ownership) => ownership.locks,
        // An error of the lock file does not show that another owner exists.
        Err(OwnershipError::Lock(LockError::Io(error))) => {
            tracing::warn!("the lock cannot be acquired: {error}; the rollback continues without the lock");
            LockGuard::unlocked()
        }
        Err(error) => return Err(error),
    };
    let mut ownership = Ownership {
        run: run.into(),
        locks: held,
        restores: true,
        replaced_run: None,
        marker_write: None,
        script: None,
    };
    if policy == MarkerMode::None {
        return Ok(ownership);
    }
    let marker_before = match marker_before {
        Some(marker_before) => Ok(marker_before),
        // A takeover does not depend on the previous owner.
        None if take_over => Ok(Marker::Missing),
        None => marker::read(&*ports.balancer.tags, load_balancers, run).await,
    };
    let replace = match &marker_before {
        // This process owns the locks, so a process of this store that put the marker no longer exists.
        Ok(Marker::Other(other)) => take_over || marker::has_no_driver(&*ports.store, other).await,
        _ => take_over,
    };
    match marker_before {
        Ok(Marker::Ours) => {}
        Ok(Marker::Other(other)) if !replace => {
            ownership.locks.release().await;
            return Err(MarkerError::Other(other).into());
        }
        Ok(marker_before) => {
            if let Marker::Other(other) = &marker_before {
                ownership.replaced_run = Some(marker::run_of(other).to_owned());
            }
            let (tag_store, clock) = (Arc::clone(&ports.balancer.tags), Arc::clone(&ports.clock));
            let value = marker::value(run, &settings.owner, settings.wave.as_deref(), ports.clock.now());
            let write = MarkerWrite::new(tag_store, clock, load_balancers.to_vec(), run.to_owned(), value, replace);
            ownership.marker_write = Some(write);
        }
        Err(why) => tracing::warn!("the marker tag cannot be read: {why}; the rollback continues"),
    }
    Ok(ownership)
}

/// Returns whether AWS throttled the write of the marker. If so, nothing was changed.
fn is_throttled(error: &MarkerError) -> bool {
    matches!(error, MarkerError::Write(WriteError::Throttled))
}

/// Puts the marker while this process owns the locks. With the locks, a marker whose run is finished or was never
/// started in this store has no owner, and is replaced.
pub(super) async fn put_marker(
    tag_store: &dyn TagStore,
    store: &dyn Store,
    settings: &Settings,
    run: &str,
    load_balancers: &[String],
    since: Timestamp,
    take_over: bool,
) -> Result<(), MarkerError> {
    let value = marker::value(run, &settings.owner, settings.wave.as_deref(), since);
    match marker::put(tag_store, load_balancers, run, &value, take_over).await {
        Err(MarkerError::Other(other)) if !take_over && marker::is_unstarted_or_finished(store, &other).await => {
            tracing::warn!("replacing the marker of a run that never started or is finished: {other}");
            marker::put(tag_store, load_balancers, run, &value, true).await
        }
        put => put,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::store::memory::MemoryStore;
    use crate::engine::fake::FakeTags;

    #[tokio::test]
    async fn marker_of_a_run_without_records_is_replaced() {
        let settings = Settings::new("alice@mac".into(), "mac".into(), 1);
        let store = MemoryStore::default();
        let fake = FakeTags::default().tagged("lb", marker::KEY, "a-1 alice@mac before");
        let put =
            async || put_marker(&fake, &store, &settings, "a-2", &["lb".into()], Timestamp::UNIX_EPOCH, false).await;
        assert!(matches!(put().await, Err(MarkerError::Other(_))), "the marker of an unknown run must be refused");
        store.create("a-1").await.expect("the store must create an empty run");
        put().await.expect("the marker of an empty run must be replaced");
        assert!(fake.tag_of("lb", marker::KEY).is_some_and(|value| value.starts_with("a-2 ")));
    }
}
