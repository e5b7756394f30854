//! Crash anywhere, then `resume` or `rollback`: the final state is exactly the goal, or exactly the original shares.
//! And what makes that possible: an intent is on disk before its effect, a write's or a command's. What a run has done
//! outside is taken back with the traffic.

use cutover::domain::run::event::RunOutcome;

use super::facts::Facts;
use super::{Found, ensure};
use crate::simulation::history::{Entry, Verb, What};

pub fn holds(facts: &Facts, entry: &Entry) -> Found {
    match &entry.what {
        What::Set { route, content } => {
            let intent =
                facts.intents.get(route).ok_or_else(|| format!("a write to {route} that nothing announces"))?;
            ensure(content.forward_split().is_some_and(|split| split.equivalent(&intent.write.set)), || {
                format!("{route} is set to what was not announced")
            })?;
            ensure(intent.durable || intent.restore, || format!("a write to {route} whose intent is not on disk"))
        }
        What::Does(hook) => {
            let durable = facts
                .deeds
                .announced
                .get(hook)
                .ok_or_else(|| format!("{hook:?} is begun, and nothing announces it"))?;
            // What goes back waits for no disk.
            ensure(*durable || hook.at.is_rollback(), || format!("{hook:?} is begun, and that is not on disk"))
        }
        What::Rests(routes) => {
            let outcome = facts.finished.ok_or("nothing says how it ended")?;
            let owed: Vec<_> = facts.deeds.told.not_undone(&facts.plan).collect();
            ensure(outcome == RunOutcome::Completed || owed.is_empty(), || {
                format!("{outcome:?}, but the commands of {owed:?} are not taken back")
            })?;
            for route in facts.routes().iter().filter(|r| !facts.unseen(&r.id)) {
                let wrong = match outcome {
                    _ if facts.verb == Verb::Finalize && facts.foreign.contains(&route.id) => None,
                    RunOutcome::Completed if facts.detaching && facts.attached(route, routes.get(&route.id)) => {
                        Some(format!("{} still has the group that was let go", route.label))
                    }
                    RunOutcome::Completed => facts.not_goal(route, routes.get(&route.id)),
                    RunOutcome::RolledBack | RunOutcome::Aborted => facts.not_original(route, routes.get(&route.id)),
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
