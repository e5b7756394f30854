//! Following a run that another process drives.

use std::sync::Arc;
use std::time::Duration;

use super::exit::{Exit, Failure};
use super::find::Found;
use super::notify::Bells;
use super::surface::Surface;
use super::view::View;
use super::{drive, owner};
use crate::domain::run::event::RequestKind;
use crate::domain::run::event::{Event, Outcome, Record};
use crate::domain::run::state::State;
use crate::engine::{Audience, Ending, request};
use crate::port::store::{Holder, Store};

/// Shows a run's new records until its traffic is back; `None` where the process that had it in hand is gone before that.
pub async fn to_the_end(surface: &dyn Surface, store: &Arc<dyn Store>, found: &Found) -> Result<Option<Exit>, Failure> {
    let mut listener = surface.audience(&found.plan);
    if let Some(first) = found.records.first() {
        // Names come from the first record; people have seen it long ago.
        listener.record(first);
    }
    let mut seen = found.records.len();
    loop {
        let gone = store.holder(&found.run.id).await.is_none();
        let records = store.read(&found.run.id).await.map_err(|e| Failure::new(Exit::Stuck, e))?;
        let fresh = records.get(seen..).unwrap_or_default();
        for record in fresh {
            listener.record(record);
        }
        if let Some(ending) = fresh.iter().find_map(back) {
            let now = State::fold(&records)
                .ok()
                .flatten()
                .map(|state| View::of(&found.plan, &state, None, &[], jiff::Timestamp::now()));
            let exit = now.map_or_else(|| drive::exit(&ending), |view| drive::said(surface, &ending, &view, &[]));
            return Ok(Some(exit.done_if_back()));
        }
        if let Some(why) = fresh.iter().find_map(not_done) {
            return Err(Failure::new(Exit::Usage, why));
        }
        seen = records.len();
        if gone {
            surface.say("the process that had the run in hand is gone; this one goes on");
            return Ok(None);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// An ending with the traffic back. One that came before the request was heard is none.
fn back(record: &Record) -> Option<Ending> {
    match &record.event {
        Event::Finished { outcome: Outcome::Completed, .. } => None,
        Event::Finished { outcome, remarks, left } => {
            Some(Ending::Finished { outcome: *outcome, remarks: remarks.clone(), left: left.clone(), tags: Vec::new() })
        }
        _ => None,
    }
}

/// Why what was asked for is not done, where the process that heard it says so.
fn not_done(record: &Record) -> Option<String> {
    match &record.event {
        // Somebody else's request may be refused meanwhile.
        Event::Notice { message, refused: Some(RequestKind::Abort | RequestKind::Rollback), request: Some(_) } => {
            Some(message.clone())
        }
        _ => None,
    }
}

/// How long a live process may take to hear a request: it looks every second.
const HEARD: Duration = Duration::from_secs(5);

/// Waits until the process that has the run in hand has heard what was just asked of it, and shows what it made of that.
pub async fn heard(
    surface: &dyn Surface,
    store: &Arc<dyn Store>,
    found: &Found,
    holder: &Holder,
) -> Result<Exit, Failure> {
    let who = format!("{} (process {}), who has the run {} in hand", holder.owner, holder.pid, found.run.id);
    let wrong = |e| Failure::new(Exit::Stuck, e);
    let begun = tokio::time::Instant::now();
    while !store.requests(&found.run.id).await.map_err(wrong)?.is_empty() {
        if begun.elapsed() > HEARD {
            surface.say(&format!("asked {who}; no answer yet. See: cutover status {}", found.run.id));
            return Ok(Exit::Done);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let records = store.read(&found.run.id).await.map_err(wrong)?;
    let mut listener = surface.audience(&found.plan);
    let answers = |e: &Event| {
        matches!(
            e,
            Event::Paused { .. }
                | Event::Resumed { .. }
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
    surface.say(&format!("heard by {who}"));
    Ok(Exit::Done)
}

/// Journals the requests of a run that nobody has in hand, under its lock.
pub async fn journal_requests(surface: &dyn Surface, store: &Arc<dyn Store>, found: &Found) -> Result<(), Failure> {
    let (owner, host) = owner::owner();
    let now = jiff::Timestamp::now();
    let holder = Holder { owner, host, pid: std::process::id(), since: now, run: found.run.id.clone() };
    let held = store
        .lock(&found.run.load_balancers, &holder)
        .await
        .map_err(|e| drive::unheld(e.into(), &format!("cutover rollback {} --take-over", found.run.id)))?;
    let mut bells = Bells::of(&found.plan, surface.words());
    bells.learn(&found.records);
    let noted = journal_held(surface, found, store, now, &mut bells).await;
    held.release().await;
    bells.finish().await;
    noted
}

async fn journal_held(
    surface: &dyn Surface,
    found: &Found,
    store: &Arc<dyn Store>,
    now: jiff::Timestamp,
    bells: &mut Bells,
) -> Result<(), Failure> {
    let mut state = found.state()?;
    let wrong = |e| Failure::new(Exit::Internal, e);
    for (name, asked) in store.requests(&found.run.id).await.map_err(wrong)? {
        if state.heard.contains(&name) {
            store.drop_request(&found.run.id, &name).await.map_err(wrong)?;
            continue;
        }
        let event = request::event(&found.plan, &state, &asked, Some(&name));
        let record = store.append(&found.run.id, now, &event).await.map_err(wrong)?;
        state.take(&record).map_err(|e| Failure::new(Exit::Internal, e))?;
        bells.record(&record);
        store.drop_request(&found.run.id, &name).await.map_err(wrong)?;
        if let Event::Notice { message, .. } = &event {
            return Err(Failure::new(Exit::Usage, message.clone()));
        }
    }
    surface.say(&format!(
        "noted; nobody has the run in hand, so nothing happens until the next `cutover step`, or: cutover resume {}",
        found.run.id
    ));
    Ok(())
}
