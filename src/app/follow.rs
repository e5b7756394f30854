//! Follows a run that another process drives, and journals requests for a run that no process drives.

use std::sync::Arc;
use std::time::Duration;

use super::exit::{Exit, Failure};
use super::find::StoredRun;
use super::notify::Notifier;
use super::surface::Surface;
use super::view::RunView;
use super::{drive, owner};
use crate::domain::decide::NO_WAY_BACK;
use crate::domain::run::event::RequestKind;
use crate::domain::run::event::{Event, Record, RunOutcome};
use crate::domain::run::state::State;
use crate::engine::{Ending, Subscriber, request};
use crate::port::store::{LockOwner, Store};

/// Shows the new records of a run until the run is rolled back. Returns `None` if the process that drives the run exits
/// before that.
pub async fn follow_rollback(
    surface: &dyn Surface,
    store: &Arc<dyn Store>,
    found: &StoredRun,
) -> Result<Option<Exit>, Failure> {
    let mut listener = surface.subscriber(&found.plan, &found.records);
    if let Some(first) = found.records.first() {
        // The first record contains the names of routes and groups.
        listener.record(first);
    }
    let mut seen = found.records.len();
    loop {
        let gone = store.lock_owner(&found.run.id).await.is_none();
        let records = store.read(&found.run.id).await.map_err(|e| Failure::new(Exit::Stuck, e))?;
        let fresh = records.get(seen..).unwrap_or_default();
        for record in fresh {
            listener.record(record);
        }
        if let Some(ending) = fresh.iter().find_map(rolled_back) {
            let now = State::fold(&records)
                .ok()
                .flatten()
                .map(|state| RunView::of(&found.plan, &state, None, &[], jiff::Timestamp::now()));
            let exit =
                now.map_or_else(|| drive::exit_of(&ending), |view| drive::report_ending(surface, &ending, &view, &[]));
            await_exit(surface, &**store, found).await;
            return Ok(Some(exit.done_if_rolled_back()));
        }
        if let Some(why) = fresh.iter().find_map(refused_request) {
            // Nothing was written, but the traffic is not where the operator wants it.
            let exit = if why.contains(NO_WAY_BACK) { Exit::Stuck } else { Exit::Usage };
            return Err(Failure::new(exit, why));
        }
        seen = records.len();
        if gone {
            surface.show("the process that drove the run has exited; this process continues the rollback");
            return Ok(None);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// How long the driving process may take to remove the tags of an ended run.
const CLEANUP_TIMEOUT: Duration = Duration::from_secs(30);

/// Waits until the process that drove the run has exited: until then it removes the tags of the run, which would stop
/// the next run.
async fn await_exit(surface: &dyn Surface, store: &dyn Store, found: &StoredRun) {
    let ended_at = tokio::time::Instant::now();
    while let Some(holder) = store.lock_owner(&found.run.id).await {
        if ended_at.elapsed() > CLEANUP_TIMEOUT {
            surface.show(&format!(
                "the traffic is back, but {} (process {}) is still removing the tags of the run; wait for it before the \
                 next run",
                holder.owner, holder.pid
            ));
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Returns the ending in a record if the record ends a rolled-back run. If the run completed, it ended before it
/// received the request.
fn rolled_back(record: &Record) -> Option<Ending> {
    match &record.event {
        Event::Finished { outcome: RunOutcome::Completed, .. } => None,
        Event::Finished { outcome, remarks, unresolved: left, accepted, notes: _ } => Some(Ending::Finished {
            outcome: *outcome,
            remarks: remarks.clone(),
            left: left.clone(),
            accepted: accepted.clone(),
            tags: Vec::new(),
        }),
        _ => None,
    }
}

/// Returns why the driving process refused the request, if this record says so.
fn refused_request(record: &Record) -> Option<String> {
    match &record.event {
        // A refusal of another kind of request does not end the rollback.
        Event::Notice { message, refused: Some(RequestKind::Abort | RequestKind::Rollback), request: Some(_) } => {
            Some(message.clone())
        }
        _ => None,
    }
}

/// How long the driving process may take to receive a request. It checks for requests every second.
const RECEIPT_TIMEOUT: Duration = Duration::from_secs(5);

/// Waits until the driving process has received the request, then shows the result.
pub async fn await_receipt(
    surface: &dyn Surface,
    store: &Arc<dyn Store>,
    found: &StoredRun,
    holder: &LockOwner,
) -> Result<Exit, Failure> {
    let who = format!("{} (process {}), which is driving the run {}", holder.owner, holder.pid, found.run.id);
    let wrong = |e| Failure::new(Exit::Stuck, e);
    let sent_at = tokio::time::Instant::now();
    while !store.requests(&found.run.id).await.map_err(wrong)?.is_empty() {
        if sent_at.elapsed() > RECEIPT_TIMEOUT {
            surface.show(&format!(
                "request sent to {who}; no response yet. To see the result: cutover status {}",
                found.run.id
            ));
            return Ok(Exit::Done);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let records = store.read(&found.run.id).await.map_err(wrong)?;
    let mut listener = surface.subscriber(&found.plan, &records);
    let answers = |e: &Event| {
        matches!(
            e,
            Event::Paused { .. }
                | Event::Resumed { .. }
                | Event::LeftOut { .. }
                | Event::Approved { .. }
                | Event::Promoted { .. }
                | Event::Notice { .. }
        )
    };
    for record in records.iter().skip(found.records.len()).filter(|r| answers(&r.event)) {
        if let Event::Notice { message, .. } = &record.event {
            return Err(Failure::new(Exit::Usage, message.clone()));
        }
        listener.record(record);
    }
    surface.show(&format!("the request was received by {who}"));
    Ok(Exit::Done)
}

/// Journals the requests for a run that no process drives. Holds the lock of the run meanwhile.
pub async fn journal_requests(surface: &dyn Surface, store: &Arc<dyn Store>, found: &StoredRun) -> Result<(), Failure> {
    let (owner, host) = owner::owner();
    let now = jiff::Timestamp::now();
    let holder = LockOwner { owner, host, pid: std::process::id(), since: now, run: found.run.id.clone() };
    let held = store
        .lock(&found.run.load_balancers, &holder)
        .await
        .map_err(|e| drive::ownership_failure(e.into(), &format!("cutover rollback {} --take-over", found.run.id)))?;
    let mut notifier = Notifier::for_plan(&found.plan, surface.record_text());
    notifier.skip(&found.records);
    let result = journal_under_lock(surface, found, store, now, &mut notifier).await;
    held.release().await;
    notifier.finish().await;
    result
}

async fn journal_under_lock(
    surface: &dyn Surface,
    found: &StoredRun,
    store: &Arc<dyn Store>,
    now: jiff::Timestamp,
    notifier: &mut Notifier,
) -> Result<(), Failure> {
    let mut state = found.state()?;
    let wrong = |e| Failure::new(Exit::Internal, e);
    for (name, asked) in store.requests(&found.run.id).await.map_err(wrong)? {
        if state.answered_requests.contains(&name) {
            store.drop_request(&found.run.id, &name).await.map_err(wrong)?;
            continue;
        }
        let event = request::to_event(&found.plan, &state, &asked, Some(&name));
        let record = store.append(&found.run.id, now, &event).await.map_err(wrong)?;
        state.apply_record(&record).map_err(|e| Failure::new(Exit::Internal, e))?;
        notifier.record(&record);
        store.drop_request(&found.run.id, &name).await.map_err(wrong)?;
        if let Event::Notice { message, .. } = &event {
            return Err(Failure::new(Exit::Usage, message.clone()));
        }
    }
    surface.show(&format!(
        "request recorded, but no process is driving the run; to continue: cutover resume {}, or call `cutover step`",
        found.run.id
    ));
    Ok(())
}
