//! Crash anywhere, then `resume` or `rollback`: the final state is exactly the goal, or exactly the original shares. And what makes that
//! possible: an intent is on disk before its effect.

use cutover::domain::action::forward;
use cutover::domain::event::Outcome;

use super::facts::Facts;
use super::{Found, ensure};
use crate::history::{Entry, What};

pub fn holds(facts: &Facts, entry: &Entry) -> Found {
    match &entry.what {
        What::Set { route, actions } => {
            let intent = facts.intents.get(route).ok_or_else(|| format!("a write to {route} that nothing announces"))?;
            ensure(forward(actions).is_some_and(|f| f.same(&intent.write.set)), || format!("{route} is set to what was not announced"))?;
            ensure(intent.durable || intent.restore, || format!("a write to {route} whose intent is not on disk"))
        }
        What::Rests(routes) => {
            let outcome = facts.finished.ok_or("nothing says how it ended")?;
            for route in facts.routes().iter().filter(|r| !facts.unseen(&r.id)) {
                let wrong = match outcome {
                    Outcome::Completed => facts.not_goal(route, routes.get(&route.id)),
                    Outcome::RolledBack | Outcome::Aborted => facts.not_original(route, routes.get(&route.id)),
                };
                if let Some(why) = wrong {
                    return Err(format!("{outcome:?}, but in the end: {why}"));
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}
