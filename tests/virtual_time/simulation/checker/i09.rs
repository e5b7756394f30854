//! Live content that differs from the last known content freezes the raises and is never overwritten without a notice.
//! So a raise needs a recent reading of its route, and no route may have foreign content that the operator has not
//! decided about.

use jiff::SignedDuration;

use super::facts::Facts;
use super::{Found, ensure};
use crate::simulation::history::{Entry, EntryContent};

/// The maximum time between the reading of a route and a write to this route.
const RECENT: SignedDuration = SignedDuration::from_secs(10);

pub fn holds(facts: &Facts, entry: &Entry) -> Found {
    let EntryContent::Set { route, .. } = &entry.what else { return Ok(()) };
    match &facts.rollback {
        None => {
            let seen = facts.seen.get(route).filter(|_| !facts.written.contains(route));
            let seen = seen.ok_or_else(|| format!("{route} is written without having been read"))?;
            ensure(entry.at.duration_since(seen.requested_at) <= RECENT, || {
                format!("{route} is written at {}, and was read at {}", entry.at, seen.requested_at)
            })?;
            // `finalize --detach` writes each route that nobody has changed.
            let mut strange = facts.foreign_routes().filter(|other| !facts.detaching || *other == route);
            strange.next().map_or(Ok(()), |other| Err(format!("{route} is written, but {other} has foreign content")))
        }
        Some((trigger, _)) => {
            let Some(live) = facts.foreign_content(route) else { return Ok(()) };
            ensure(!trigger.is_automatic(), || {
                format!("an automatic rollback overwrites foreign content of {route}: {:?}", live.split)
            })?;
            let noticed = facts.notices.iter().any(|n| n.contains("overwrites"));
            ensure(noticed, || format!("a rollback overwrites foreign content of {route} without a notice"))
        }
    }
}
