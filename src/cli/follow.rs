//! Following a run that another process drives.

use std::sync::Arc;
use std::time::Duration;

use super::args::Global;
use super::audience::audience;
use super::exit::{Exit, Failure};
use super::find::Found;
use super::term;
use super::verbs::steer::{done_if_back, state};
use crate::adapter::store::Store;
use crate::domain::event::{Event, Outcome, Record};
use crate::engine::{Ending, request};

/// Shows a run's new records until its traffic is back; `None` where the process that had it in hand is gone before that.
pub async fn to_the_end(global: &Global, store: &Arc<dyn Store>, found: &Found) -> Result<Option<Exit>, Failure> {
    let mut listener = audience(global, &found.plan);
    if let Some(first) = found.records.first() {
        // Names come from the first record; people have seen it long ago.
        listener.record(first);
    }
    let mut seen = found.records.len();
    loop {
        let gone = store.holder(&found.run.id).is_none();
        let records = store.read(&found.run.id).map_err(|e| Failure::new(Exit::Stuck, e))?;
        let fresh = records.get(seen..).unwrap_or_default();
        for record in fresh {
            listener.record(record);
        }
        if let Some(ending) = fresh.iter().find_map(back) {
            return Ok(Some(done_if_back(super::drive::said(&found.run.id, &ending))));
        }
        seen = records.len();
        if gone {
            term::complain("the process that had the run in hand is gone; this one goes on");
            return Ok(None);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// An ending with the traffic back. One that came before the request was heard is none.
fn back(record: &Record) -> Option<Ending> {
    match &record.event {
        Event::Finished { outcome: Outcome::Completed, .. } => None,
        Event::Finished { outcome, remarks } => Some(Ending::Finished(*outcome, remarks.clone())),
        _ => None,
    }
}

/// Journals the requests of a run that nobody has in hand, under its lock.
pub fn journal_requests(found: &Found, store: &Arc<dyn Store>) -> Result<(), Failure> {
    let (owner, host) = super::owner::owner();
    let now = jiff::Timestamp::now();
    let holder = crate::adapter::store::Holder { owner, host, pid: std::process::id(), since: now, run: found.run.id.clone() };
    let _held = store.lock(&found.run.load_balancers, &holder).map_err(|e| Failure::new(Exit::Locked, e))?;
    let mut state = state(found)?;
    let wrong = |e| Failure::new(Exit::Internal, e);
    for (name, asked) in store.requests(&found.run.id).map_err(wrong)? {
        let event = request::event(&state, &asked);
        let record = store.append(&found.run.id, now, &event).map_err(wrong)?;
        state.apply(record.time, &record.event).map_err(|e| Failure::new(Exit::Internal, e))?;
        store.drop_request(&found.run.id, &name).map_err(wrong)?;
        if let Event::Notice { message } = &event {
            return Err(Failure::new(Exit::Usage, message.clone()));
        }
    }
    term::complain(&format!("noted; nobody has the run in hand. Go on: cutover resume {}", found.run.id));
    Ok(())
}
