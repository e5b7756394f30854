//! After a crash anywhere and then `resume` or `rollback`, the final state has exactly the planned shares or exactly
//! the original shares. For this, the intent of a write or command is on disk before its effect, and a rollback also
//! undoes the commands.

use cutover::domain::run::event::RunOutcome;
use cutover::domain::traffic::RouteId;

use super::facts::Facts;
use super::{Found, ensure};
use crate::simulation::history::{Entry, EntryContent, Verb};

pub fn holds(facts: &Facts, entry: &Entry) -> Found {
    match &entry.what {
        EntryContent::Set { route, content } => {
            let intent = facts.intents.get(route).ok_or_else(|| format!("a write to {route} without an intent"))?;
            ensure(content.forward_split().is_some_and(|split| split.equivalent(&intent.write.set)), || {
                format!("{route} is written with other weights than its intent has")
            })?;
            ensure(intent.durable || intent.restore, || format!("a write to {route} whose intent is not on disk"))
        }
        EntryContent::HookBegins(hook) => {
            let durable = facts
                .hooks
                .announced
                .get(hook)
                .ok_or_else(|| format!("{hook:?} starts without a HookStarted record"))?;
            // Hooks of a rollback do not wait for the disk.
            ensure(*durable || hook.at.is_rollback(), || {
                format!("{hook:?} starts, and its HookStarted record is not on disk")
            })
        }
        EntryContent::FinalState(routes) => {
            let outcome = facts.finished.ok_or("no record shows the outcome of the run")?;
            let missing_requests: Vec<_> = facts.hooks.known.not_undone(&facts.plan).collect();
            ensure(outcome == RunOutcome::Completed || missing_requests.is_empty(), || {
                format!("{outcome:?}, but the commands of steps {missing_requests:?} are not undone")
            })?;
            let header_rule = |id: &&RouteId| !facts.existed(id);
            if let Some(left) = routes.keys().find(header_rule) {
                return Err(format!("{outcome:?}, but the header rule {left} is still there"));
            }
            for route in facts.routes().iter().filter(|r| !facts.has_unseen_change(&r.id)) {
                let wrong = match outcome {
                    _ if facts.verb == Verb::Finalize && facts.foreign.contains(&route.id) => None,
                    RunOutcome::Completed if facts.detaching && facts.attached(route, routes.get(&route.id)) => {
                        Some(format!("{} still has the old group after `finalize --detach`", route.label))
                    }
                    RunOutcome::Completed => facts.not_goal(route, routes.get(&route.id)),
                    RunOutcome::RolledBack | RunOutcome::Aborted => facts.not_original(route, routes.get(&route.id)),
                };
                if let Some(why) = wrong {
                    return Err(format!("{outcome:?}, but the final state differs: {why}"));
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}
