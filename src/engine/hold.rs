//! Holding a run: its locks, its marker, its journal. Nothing is written to a route without it.

use std::sync::Arc;

use futures::future::BoxFuture;
use jiff::Timestamp;

use super::keep;
use super::marker::{self, MarkerError};
use super::retry::patient;
use super::untag;
use super::{Ports, Settings};
use crate::domain::emergency::script::script;
use crate::domain::run::event::{Event, Started};
use crate::domain::run::watch::Marker as There;
use crate::plan::model::Marker;
use crate::port::Marks;
use crate::port::store::{Held, Holder, LockError, RunSummary, Store, StoreError};

/// The right to write: locks held, marker put.
pub struct Hold {
    pub(super) run: String,
    pub(super) held: Held,
    /// Taken to restore.
    pub(super) restores: bool,
    /// The run whose marker is taken over.
    pub(super) replaced: Option<String>,
    /// The marker that is being put meanwhile.
    pub(super) marking: Option<BoxFuture<'static, Result<(), MarkerError>>>,
    /// How the break-glass script of a new run is run.
    script: Option<String>,
}

impl Hold {
    /// The run's id.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// Gives the locks back, and leaves the run to whoever takes it next.
    pub async fn leave(self) {
        self.held.release().await;
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
    /// Somebody began a run of this plan in the meantime: its id.
    #[error("the run {0} of this plan was begun by somebody else a moment ago; nothing was touched")]
    Begun(String),
}

/// Begins a new run: locks, an empty run, marker, its first record. Without a record it is no run yet, so a refused one leaves none behind; but
/// whoever finds the marker of one that died in between can tell that nobody has it.
pub async fn begin(
    ports: &Ports,
    settings: &Settings,
    policy: Marker,
    run: &str,
    started: Started,
) -> Result<Hold, HoldError> {
    begin_where(ports, settings, policy, run, started, None).await
}

/// The same for whoever looked before which runs of this plan there are (`known`): one more, found under the lock, is refused. Two who begin at
/// the same time would otherwise do the plan twice, one after the other.
pub async fn begin_where(
    ports: &Ports,
    settings: &Settings,
    policy: Marker,
    run: &str,
    started: Started,
    known: Option<&[RunSummary]>,
) -> Result<Hold, HoldError> {
    let load_balancers = started.load_balancers.clone();
    let held = lock(ports, settings, run, &load_balancers, false).await?;
    if let Some(known) = known
        && let Err(error) = none_since(&*ports.store, &started.plan, known).await
    {
        held.release().await;
        return Err(error);
    }
    if let Err(error) = ports.store.create(run).await {
        held.release().await;
        return Err(error.into());
    }
    let mut hold = marked(ports, settings, policy, run, &load_balancers, held, false).await?;
    match ports.store.append(run, ports.clock.now(), &Event::Started(Box::new(started.clone()))).await {
        Ok(_) => {
            hold.script = leave_ways_back(ports, policy, run, &started).await;
            Ok(hold)
        }
        Err(error) => {
            untag::remove(&*ports.balancer.marks, &*ports.clock, &started.load_balancers, &[], &[run]).await;
            hold.held.release().await;
            Err(error.into())
        }
    }
}

/// Whether every run of this plan is one of those that were known, and none of them has been taken up again.
async fn none_since(store: &dyn Store, plan: &str, known: &[RunSummary]) -> Result<(), HoldError> {
    let same = |now: &RunSummary| known.iter().any(|before| before.id == now.id && before.finished == now.finished);
    match store.find(plan).await?.into_iter().find(|run| !same(run)) {
        Some(other) => Err(HoldError::Begun(other.id)),
        None => Ok(()),
    }
}

/// Ways back that need no journal: the script, and the weights in tags. They only help; a run does not depend on them. The script's path.
async fn leave_ways_back(ports: &Ports, policy: Marker, run: &str, started: &Started) -> Option<String> {
    if policy == Marker::Tag {
        let kept = keep::put(&*ports.balancer.marks, &*ports.clock, run, started).await;
        if let Err(error) = ports.store.append(run, ports.clock.now(), &kept).await {
            tracing::warn!("{error}");
        }
    }
    break_glass(&*ports.store, run, started, ports.clock.now()).await
}

/// What the break-glass script of a run says once the old cluster is let go.
const LET_GO: &str = "#!/bin/sh\necho 'The old cluster was let go with cutover finalize: this script leads nowhere any more, and has done nothing.' >&2\nexit 3\n";

/// Takes the break-glass script's way back away, too: nothing is to lead to a cluster that is let go.
pub async fn let_go(store: &dyn Store, run: &str) {
    if let Err(error) = store.put_script(run, LET_GO).await {
        tracing::warn!("the break-glass script of {run} still leads to the old cluster: {error}");
    }
}

/// Writes the run's break-glass script: the command that runs it.
pub(super) async fn break_glass(store: &dyn Store, run: &str, started: &Started, began: Timestamp) -> Option<String> {
    store.put_script(run, &script(run, started, began)).await.unwrap_or_else(|error| {
        tracing::warn!("no break-glass script could be written: {error}");
        None
    })
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

async fn lock(
    ports: &Ports,
    settings: &Settings,
    run: &str,
    load_balancers: &[String],
    take_over: bool,
) -> Result<Held, LockError> {
    let since = ports.clock.now();
    let holder = Holder {
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
        let marks = patient(&ports.balancer, &ports.clock).marks;
        if let Err(error) =
            mark(&*marks, &*ports.store, settings, run, load_balancers, ports.clock.now(), take_over).await
        {
            held.release().await;
            return Err(error.into());
        }
    }
    Ok(Hold { run: run.into(), held, restores: false, replaced: None, marking: None, script: None })
}

/// For a restoring process a marker that cannot be put is no reason to leave the traffic where it is: only another owner's is. `there`: whose
/// marker is there, where that was seen less than a minute ago. It is put while the traffic goes back already.
pub async fn take_to_restore(
    ports: &Ports,
    settings: &Settings,
    policy: Marker,
    run: &str,
    load_balancers: &[String],
    take_over: bool,
    there: Option<There>,
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
    let mut hold = Hold { run: run.into(), held, restores: true, replaced: None, marking: None, script: None };
    if policy == Marker::None {
        return Ok(hold);
    }
    let there = match there {
        Some(there) => Ok(there),
        // Whoever takes it over need not know from whom.
        None if take_over => Ok(There::Missing),
        None => marker::read(&*ports.balancer.marks, load_balancers, run).await,
    };
    let over = match &there {
        // The locks are held: whoever put it for a run of this store is gone.
        Ok(There::Other(other)) => take_over || marker::deserted(&*ports.store, other).await,
        _ => take_over,
    };
    match there {
        Ok(There::Ours) => {}
        Ok(There::Other(other)) if !over => {
            hold.held.release().await;
            return Err(MarkerError::Other(other).into());
        }
        Ok(there) => {
            if let There::Other(other) = &there {
                hold.replaced = Some(marker::run_of(other).to_owned());
            }
            let (marks, load_balancers, run) =
                (Arc::clone(&ports.balancer.marks), load_balancers.to_vec(), run.to_owned());
            let value = marker::value(&run, &settings.owner, ports.clock.now());
            let put = async move { marker::put(&*marks, &load_balancers, &run, &value, over).await };
            hold.marking = Some(Box::pin(put));
        }
        Err(why) => tracing::warn!("the marker tag could not be read: {why}; the rollback goes on"),
    }
    Ok(hold)
}

/// The locks are held: where a marker's run was never begun in this store, or is over, whoever put it is gone.
async fn mark(
    marks: &dyn Marks,
    store: &dyn Store,
    settings: &Settings,
    run: &str,
    load_balancers: &[String],
    since: Timestamp,
    take_over: bool,
) -> Result<(), MarkerError> {
    let value = marker::value(run, &settings.owner, since);
    match marker::put(marks, load_balancers, run, &value, take_over).await {
        Err(MarkerError::Other(other)) if !take_over && marker::abandoned(store, &other).await => {
            tracing::warn!("the marker of a run that died before it began, or at its very end, is replaced: {other}");
            marker::put(marks, load_balancers, run, &value, true).await
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
