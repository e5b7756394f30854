//! `rollback` works whatever is broken. One route that fails never holds up the others. Exit 0 (and 4) only if every route reads back right; a
//! route that is not back is named.

use super::facts::Facts;
use super::{Found, ensure};
use crate::history::{Entry, Verb, What};

pub fn holds(facts: &Facts, entry: &Entry) -> Found {
    let What::Ends(code, words) = &entry.what else { return Ok(()) };
    if facts.rollback.as_ref().is_none_or(|(_, to_step)| to_step.is_some()) && !matches!(facts.verb, Verb::Rollback | Verb::Ramp) {
        return Ok(());
    }
    let away = facts
        .routes()
        .iter()
        .filter(|r| !facts.unseen(&r.id))
        .filter_map(|r| Some((r, facts.not_original(r, facts.world.get(&r.id)?.as_ref())?)));
    let mut unnamed = away.filter(|(r, _)| *code != 5 || !words.contains(&r.label));
    match code {
        0 | 4 | 5 => unnamed.next().map_or(Ok(()), |(_, why)| Err(format!("exit {code}, but {why}"))),
        // A way back in parts waits for who is to take them, for as long as a person lets it.
        8 if facts.part().is_some() => Ok(()),
        _ => ensure(*code == 6, || format!("the emergency command ends with {code}: {words}")),
    }
}
