//! `rollback` works with any fault. A route that fails never blocks the others. Exit codes 0 and 4 mean that every
//! route reads back as restored; exit code 5 names the routes that are not restored, or says that no route is restored.
//! Traffic is restored first: the first write is before any hook of the rollback, and all writes are before a command
//! is undone. No hook and no disk delays a write.

use cutover::domain::run::event::{Event, Record, WaitReason};
use cutover::domain::run::hook::{HookId, HookPoint};
use jiff::{SignedDuration, Timestamp};

use super::facts::Facts;
use super::{Found, ensure};
use crate::simulation::history::{Entry, EntryContent, Verb};

/// The time after which a rollback must have written every route, even if a hook still runs: one observation plus an
/// API fault.
const RESTORE_TIME: SignedDuration = SignedDuration::from_secs(15);

pub fn holds(facts: &Facts, entry: &Entry) -> Found {
    match &entry.what {
        EntryContent::Ends(code, words) => check_exit(facts, *code, words),
        EntryContent::HookBegins(hook) if hook.at.is_rollback() => check_traffic_first(facts, *hook),
        EntryContent::Published(Record { event: Event::Waiting { waits }, .. }) if facts.rollback.is_some() => {
            ensure(waits.iter().all(|wait| wait.reason != WaitReason::Journal), || {
                "a rollback waits for the disk".into()
            })
        }
        EntryContent::HookEnds(hook) if hook.at == HookPoint::BeforeRollback => {
            check_not_delayed(facts, *hook, entry.at)
        }
        _ => Ok(()),
    }
}

fn check_traffic_first(facts: &Facts, hook: HookId) -> Found {
    let Some((_, why)) = facts.unrestored_route() else { return Ok(()) };
    let allowed = hook.at == HookPoint::BeforeRollback && !facts.restored.is_empty();
    ensure(allowed, || format!("{hook:?} starts before traffic is restored: {why}"))
}

fn check_not_delayed(facts: &Facts, hook: HookId, now: Timestamp) -> Found {
    let long = facts.hooks.under_way.get(&hook).is_some_and(|since| now.duration_since(*since) > RESTORE_TIME);
    let Some((route, why)) = facts.unrestored_route().filter(|_| long) else { return Ok(()) };
    ensure(facts.restored.contains(&route.id), || format!("{hook:?} delayed the restoring writes: {why}"))
}

fn check_exit(facts: &Facts, code: u8, words: &str) -> Found {
    if facts.rollback.as_ref().is_none_or(|(_, to_step)| to_step.is_some())
        && !matches!(facts.verb, Verb::Rollback | Verb::Ramp)
    {
        return Ok(());
    }
    let away = facts
        .routes()
        .iter()
        .filter(|r| !facts.has_unseen_change(&r.id))
        .filter_map(|r| Some((r, facts.not_original(r, facts.world.get(&r.id)?.as_ref())?)));
    let named = |label: &str| words.contains(label) || words.contains("no route was restored: ");
    let mut unnamed = away.filter(|(r, _)| code != 5 || !named(&r.label));
    match code {
        0 | 4 | 5 => unnamed.next().map_or(Ok(()), |(_, why)| Err(format!("exit {code}, but {why}"))),
        // A rollback in stages waits for healthy targets in the old groups, as long as the operator allows.
        8 if facts.unfinished_stage().is_some() => Ok(()),
        _ => ensure(code == 6, || format!("the emergency command ends with exit code {code}: {words}")),
    }
}
