//! `rollback` works whatever is broken. One route that fails never holds up the others. Exit 0 (and 4) only if every
//! route reads back right; a route that is not back is named. And the traffic goes first: its first write before any
//! hook of the rollback, all of it before a command is taken back; no hook and no disk holds up a write.

use cutover::domain::run::event::{Event, Record, WaitReason};
use cutover::domain::run::hook::{HookId, HookPoint};
use jiff::{SignedDuration, Timestamp};

use super::facts::Facts;
use super::{Found, ensure};
use crate::simulation::history::{Entry, Verb, What};

/// Beside a hook that takes longer, everything has been written: a look and a fault of the API are over by then.
const LONG: SignedDuration = SignedDuration::from_secs(15);

pub fn holds(facts: &Facts, entry: &Entry) -> Found {
    match &entry.what {
        What::Ends(code, words) => ends(facts, *code, words),
        What::Does(hook) if hook.at.is_rollback() => traffic_first(facts, *hook),
        What::Told(Record { event: Event::Waiting { waits }, .. }) if facts.rollback.is_some() => {
            ensure(waits.iter().all(|wait| wait.reason != WaitReason::Journal), || {
                "a rollback waits for the disk".into()
            })
        }
        What::Did(hook) if hook.at == HookPoint::BeforeRollback => not_held_up(facts, *hook, entry.at),
        _ => Ok(()),
    }
}

fn traffic_first(facts: &Facts, hook: HookId) -> Found {
    let Some((_, why)) = facts.away() else { return Ok(()) };
    let beside = hook.at == HookPoint::BeforeRollback && !facts.restored.is_empty();
    ensure(beside, || format!("{hook:?} is begun, and {why}"))
}

fn not_held_up(facts: &Facts, hook: HookId, now: Timestamp) -> Found {
    let long = facts.deeds.under_way.get(&hook).is_some_and(|since| now.duration_since(*since) > LONG);
    let Some((route, why)) = facts.away().filter(|_| long) else { return Ok(()) };
    ensure(facts.restored.contains(&route.id), || format!("{hook:?} has taken its time, and nobody has written: {why}"))
}

fn ends(facts: &Facts, code: u8, words: &str) -> Found {
    if facts.rollback.as_ref().is_none_or(|(_, to_step)| to_step.is_some())
        && !matches!(facts.verb, Verb::Rollback | Verb::Ramp)
    {
        return Ok(());
    }
    let away = facts
        .routes()
        .iter()
        .filter(|r| !facts.unseen(&r.id))
        .filter_map(|r| Some((r, facts.not_original(r, facts.world.get(&r.id)?.as_ref())?)));
    let mut unnamed = away.filter(|(r, _)| code != 5 || !words.contains(&r.label));
    match code {
        0 | 4 | 5 => unnamed.next().map_or(Ok(()), |(_, why)| Err(format!("exit {code}, but {why}"))),
        // A way back in parts waits for who is to take them, for as long as a person lets it.
        8 if facts.part().is_some() => Ok(()),
        _ => ensure(code == 6, || format!("the emergency command ends with {code}: {words}")),
    }
}
