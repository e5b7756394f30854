//! `resume`, `rollback` and each write are idempotent: what is there is not written again, and nothing is written after
//! the end. No command and no hook that has come to its end is carried out again, and nothing is taken back that was
//! not begun.

use cutover::domain::run::hook::{HookId, HookPoint};
use jiff::SignedDuration;

use super::facts::Facts;
use super::{Found, ensure};
use crate::simulation::face;
use crate::simulation::history::{Entry, What};

/// How long a reading may be of an earlier time.
const LATE: SignedDuration = SignedDuration::from_secs(30);

pub fn holds(facts: &Facts, entry: &Entry) -> Found {
    if let What::Does(hook) = &entry.what {
        return once(facts, *hook);
    }
    let What::Set { route, content } = &entry.what else { return Ok(()) };
    ensure(facts.finished.is_none(), || format!("{route} is written after the end"))?;
    let there = facts.seen.get(route).and_then(|s| s.live.as_ref()).filter(|_| !facts.written.contains(route));
    // Soon after it was replaced by something else, a reading may be of the time before.
    let late = facts.replaced.get(route).is_some_and(|all| {
        let face = face::typed(content);
        all.iter().any(|past| past.face == face && entry.at.duration_since(past.at) < LATE)
    });
    let again = !late && there.is_some_and(|live| live.equivalent(content));
    ensure(!again, || format!("{route} is written although it was just read as it is to be"))
}

fn once(facts: &Facts, hook: HookId) -> Found {
    let known = &facts.deeds.told;
    ensure(!known.over.contains_key(&hook), || {
        format!("{hook:?} is begun again, and came to {:?}", known.over.get(&hook))
    })?;
    let begun = hook.at != HookPoint::Undo || known.owed.contains(&hook.step);
    ensure(begun, || format!("the command of step {} is taken back, and there is nothing to take back", hook.step))
}
