//! The facts about commands and hooks that a history has shown so far.

use std::collections::{BTreeMap, BTreeSet};

use cutover::domain::run::event::Event;
use cutover::domain::run::hook::{HookId, HookPoint, HookResult};
use cutover::plan::model::hook::{self, Hook};
use cutover::plan::model::{Plan, StepKind};
use jiff::Timestamp;

use crate::simulation::history::{Entry, EntryContent};

/// The commands and hooks of a run, as the entries so far show them.
#[derive(Debug, Clone, Default)]
pub struct HookFacts {
    /// Commands and hooks that this process announced and has not started. The value says whether the announcement is
    /// on disk.
    pub announced: BTreeMap<HookId, bool>,
    /// Running commands and hooks of this process, and when each started.
    pub under_way: BTreeMap<HookId, Timestamp>,
    /// Results of the commands and hooks that this process knows.
    pub known: HookResults,
    /// Results of the commands and hooks that are on disk, so that the next process knows them.
    stored: HookResults,
}

/// The results of commands and hooks.
#[derive(Debug, Clone, Default)]
pub struct HookResults {
    /// Commands and hooks that ended and must not run again.
    pub over: BTreeMap<HookId, HookResult>,
    /// The steps whose commands started and are not undone.
    pub missing_requests: BTreeSet<usize>,
    /// Whether a rollback is in progress.
    back: bool,
}

impl HookFacts {
    pub fn fold(&mut self, entry: &Entry) {
        match &entry.what {
            EntryContent::Begins(_) => {
                *self = Self { known: self.stored.clone(), stored: self.stored.clone(), ..Self::default() }
            }
            EntryContent::HookBegins(hook) => {
                self.announced.remove(hook);
                self.under_way.insert(*hook, entry.at);
            }
            EntryContent::HookEnds(hook) => drop(self.under_way.remove(hook)),
            EntryContent::Published(record) => {
                self.announce(&record.event, false);
                self.known.take(&record.event);
            }
            EntryContent::Journalled(record) => {
                self.announce(&record.event, true);
                self.stored.take(&record.event);
            }
            _ => {}
        }
    }

    fn announce(&mut self, event: &Event, durable: bool) {
        if let Event::HookStarted { hook, .. } = event {
            *self.announced.entry(*hook).or_default() |= durable;
        }
    }
}

impl HookResults {
    fn take(&mut self, event: &Event) {
        match event {
            Event::HookStarted { hook, .. } if hook.at == HookPoint::Command => {
                self.missing_requests.insert(hook.step);
            }
            Event::HookEnded { hook, result, .. } => {
                if *result != HookResult::Interrupted {
                    self.over.insert(*hook, *result);
                }
                if (hook.at, *result) == (HookPoint::Undo, HookResult::Succeeded) {
                    self.missing_requests.remove(&hook.step);
                }
            }
            // An operator who resumes the run wants failed hooks to run again.
            Event::Resumed { .. } => self.over.retain(|_, result| *result == HookResult::Succeeded),
            Event::RollbackStarted { .. } | Event::RampStarted { .. } => {
                let again = self.back;
                self.over.retain(|hook, result| !hook.at.is_rollback() || (again && *result == HookResult::Succeeded));
                self.back = true;
            }
            Event::Finished { .. } => self.back = false,
            _ => {}
        }
    }

    /// Returns why a hook of a step at one of these points did not end as required; `None` if all of them did. A hook
    /// that can fail the run must have succeeded.
    pub fn missing(&self, plan: &Plan, step: usize, occasions: &[HookPoint]) -> Option<String> {
        let all = occasions.iter().flat_map(|at| ids(plan, *at, step));
        let mut missing = all.filter(|(id, must)| match self.over.get(id) {
            Some(result) => *must && *result != HookResult::Succeeded,
            None => true,
        });
        missing.next().map(|(id, _)| format!("{} of step {step} has the result {:?}", id.at.name(), self.over.get(&id)))
    }

    /// Whether a command or hook failed that must succeed before the run can continue.
    pub fn failed(&self) -> bool {
        let must = [HookPoint::Command, HookPoint::BeforeShift, HookPoint::BeforeFinish];
        self.over.iter().any(|(hook, result)| must.contains(&hook.at) && *result == HookResult::Failed)
    }

    /// Returns the steps whose commands must be undone.
    pub fn not_undone<'a>(&'a self, plan: &'a Plan) -> impl Iterator<Item = usize> {
        let undo = |step: &usize| {
            let found = plan.strategy.steps.iter().find(|s| s.number == *step).map(|s| &s.kind);
            matches!(found, Some(StepKind::Exec(exec)) if exec.undo.is_some())
        };
        self.missing_requests.iter().copied().filter(undo)
    }
}

/// Returns the command of a step, or the plan's hooks at a point, and whether each of them must succeed.
fn ids(plan: &Plan, at: HookPoint, step: usize) -> Vec<(HookId, bool)> {
    if at == HookPoint::Command {
        return vec![(HookId { at, step, number: 0 }, true)];
    }
    let fits = |hook: &Hook| match at {
        HookPoint::BeforeShift | HookPoint::AfterShift => {
            hook.occasion == hook::HookEvent::Shift && hook.before == (at == HookPoint::BeforeShift)
        }
        _ => hook.occasion == hook::HookEvent::Finish && hook.before == (at == HookPoint::BeforeFinish),
    };
    let hooks = (1..).zip(&plan.strategy.hooks).filter(|(_, hook)| fits(hook));
    hooks.map(|(number, hook)| (HookId { at, step, number }, hook.fails_run)).collect()
}
