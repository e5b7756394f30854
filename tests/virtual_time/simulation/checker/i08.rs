//! `resume`, `rollback` and each write are idempotent: existing content is not written again, and nothing is written
//! after the end of the run. No command or hook that has ended runs again, and no command is undone that did not start.

use cutover::domain::run::hook::{HookId, HookPoint};
use jiff::SignedDuration;

use super::facts::Facts;
use super::{Found, ensure};
use crate::simulation::history::{Entry, EntryContent};
use crate::simulation::route_actions;

/// How long after a change a reading may still show the earlier content.
const LATE: SignedDuration = SignedDuration::from_secs(30);

pub fn holds(facts: &Facts, entry: &Entry) -> Found {
    if let EntryContent::HookBegins(hook) = &entry.what {
        return check_runs_once(facts, *hook);
    }
    let EntryContent::Set { route, content } = &entry.what else { return Ok(()) };
    ensure(facts.finished.is_none(), || format!("{route} is written after the end"))?;
    let there = facts.seen.get(route).and_then(|s| s.live.as_ref()).filter(|_| !facts.written.contains(route));
    // Soon after a change by someone else, a reading may show the earlier content.
    let late = facts.replaced.get(route).is_some_and(|all| {
        let actions = route_actions::from_content(content);
        all.iter().any(|past| past.actions == actions && entry.at.duration_since(past.at) < LATE)
    });
    let again = !late && there.is_some_and(|live| live.equivalent(content));
    ensure(!again, || format!("{route} is written, but the last reading already has this content"))
}

fn check_runs_once(facts: &Facts, hook: HookId) -> Found {
    let known = &facts.hooks.known;
    ensure(!known.over.contains_key(&hook), || {
        format!("{hook:?} starts again, but ended before with {:?}", known.over.get(&hook))
    })?;
    let begun = hook.at != HookPoint::Undo || known.missing_requests.contains(&hook.step);
    ensure(begun, || format!("the command of step {} is undone, but it did not start", hook.step))
}
