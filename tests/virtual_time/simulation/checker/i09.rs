//! Live state that differs from what we last saw freezes the raises; it is never silently overwritten. So nothing that
//! moves on is written that was not read shortly before, nor while something foreign was seen that nobody gave up.

use jiff::SignedDuration;

use super::facts::Facts;
use super::{Found, ensure};
use crate::simulation::history::{Entry, What};

/// How long before a write its route was read.
const RECENT: SignedDuration = SignedDuration::from_secs(10);

pub fn holds(facts: &Facts, entry: &Entry) -> Found {
    let What::Set { route, .. } = &entry.what else { return Ok(()) };
    match &facts.rollback {
        None => {
            let seen = facts.seen.get(route).filter(|_| !facts.written.contains(route));
            let seen = seen.ok_or_else(|| format!("{route} is written without having been read"))?;
            ensure(entry.at.duration_since(seen.asked) <= RECENT, || {
                format!("{route} is written at {}, and was read at {}", entry.at, seen.asked)
            })?;
            // The old cluster's groups are taken out of each action that is as it was left.
            let mut strange = facts.strange().filter(|other| !facts.detaching || *other == route);
            strange.next().map_or(Ok(()), |other| {
                Err(format!("{route} is written although {other} was seen to be someone else's"))
            })
        }
        Some((trigger, _)) => {
            let Some(live) = facts.stranger(route) else { return Ok(()) };
            ensure(!trigger.is_automatic(), || {
                format!("an automatic rollback overwrites what someone else put on {route}: {:?}", live.split)
            })?;
            let told = facts.notices.iter().any(|n| n.contains("overwrites"));
            ensure(told, || format!("a rollback overwrites what someone else put on {route}, and does not say so"))
        }
    }
}
