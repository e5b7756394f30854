//! `resume`, `rollback` and each write are idempotent: what is there is not written again, and nothing is written after the end.

use cutover::domain::action::{forward, same};

use jiff::SignedDuration;

use super::facts::Facts;
use super::{Found, ensure};
use crate::history::{Entry, What};

/// How long a reading may be of an earlier time.
const LATE: SignedDuration = SignedDuration::from_secs(30);

pub fn holds(facts: &Facts, entry: &Entry) -> Found {
    let What::Set { route, actions } = &entry.what else { return Ok(()) };
    ensure(facts.finished.is_none(), || format!("{route} is written after the end"))?;
    let there = facts.seen.get(route).and_then(|s| s.live.as_ref()).filter(|_| !facts.written.contains(route));
    // Soon after something else was written, a reading may be of the time before.
    let late = facts.applied.get(route).is_some_and(|at| entry.at.duration_since(*at) < LATE)
        && facts.set.get(route).is_some_and(|last| forward(actions).is_some_and(|f| !f.same(last)));
    let again = !late && there.is_some_and(|live| same(live, actions));
    ensure(!again, || format!("{route} is written although it was just read as it is to be"))
}
