//! The facts about commands and hooks that a history has shown so far.

use std::collections::{BTreeMap, BTreeSet};

use cutover::domain::run::event::Event;
use cutover::domain::run::hook::{HookId, HookPoint, HookResult};
use cutover::plan::model::hook::{self, Hook};
use cutover::plan::model::{Plan, StepKind};
use jiff::Timestamp;

use crate::simulation::history::{Entry, What};

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Deeds {
    /// Announced by this process, and not begun since: whether that is on disk.
    pub announced: BTreeMap<HookId, bool>,
    /// Under way in this process, since when.
    pub under_way: BTreeMap<HookId, Timestamp>,
    /// The commands and hooks that this process knows.
    pub told: Account,
    /// The commands and hooks that the next process will know.
    kept: Account,
}

/// The results.
#[derive(Debug, Clone, Default)]
pub struct Account {
    /// Those that came to their end, and are not to be tried again.
    pub over: BTreeMap<HookId, HookResult>,
    /// The steps whose commands were begun, and are not taken back.
    pub owed: BTreeSet<usize>,
    /// The traffic goes back.
    back: bool,
}

impl Deeds {
    pub fn fold(&mut self, entry: &Entry) {
        match &entry.what {
            What::Begins(_) => *self = Self { told: self.kept.clone(), kept: self.kept.clone(), ..Self::default() },
            What::Does(hook) => {
                self.announced.remove(hook);
                self.under_way.insert(*hook, entry.at);
            }
            What::Did(hook) => drop(self.under_way.remove(hook)),
            What::Told(record) => {
                self.announce(&record.event, false);
                self.told.take(&record.event);
            }
            What::Journalled(record) => {
                self.announce(&record.event, true);
                self.kept.take(&record.event);
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

impl Account {
    fn take(&mut self, event: &Event) {
        match event {
            Event::HookStarted { hook, .. } if hook.at == HookPoint::Command => {
                self.owed.insert(hook.step);
            }
            Event::HookEnded { hook, result, .. } => {
                if *result != HookResult::Interrupted {
                    self.over.insert(*hook, *result);
                }
                if (hook.at, *result) == (HookPoint::Undo, HookResult::Succeeded) {
                    self.owed.remove(&hook.step);
                }
            }
            // A person wants what failed to be tried again.
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

    /// Why something is missing that has to be over by now, if it is: on these occasions of a step, each hook of the
    /// plan, well where it must be.
    pub fn missing(&self, plan: &Plan, step: usize, occasions: &[HookPoint]) -> Option<String> {
        let all = occasions.iter().flat_map(|at| ids(plan, *at, step));
        let mut missing = all.filter(|(id, must)| match self.over.get(id) {
            Some(result) => *must && *result != HookResult::Succeeded,
            None => true,
        });
        missing.next().map(|(id, _)| format!("{} of step {step} came to {:?}", id.at.name(), self.over.get(&id)))
    }

    /// Whether something failed that the run cannot do without.
    pub fn failed(&self) -> bool {
        let must = [HookPoint::Command, HookPoint::BeforeShift, HookPoint::BeforeFinish];
        self.over.iter().any(|(hook, result)| must.contains(&hook.at) && *result == HookResult::Failed)
    }

    /// The steps whose commands have to be taken back.
    pub fn not_undone<'a>(&'a self, plan: &'a Plan) -> impl Iterator<Item = usize> {
        let undo = |step: &usize| {
            let found = plan.strategy.steps.iter().find(|s| s.number == *step).map(|s| &s.kind);
            matches!(found, Some(StepKind::Exec(exec)) if exec.undo.is_some())
        };
        self.owed.iter().copied().filter(undo)
    }
}

/// The plan's hooks of an occasion, and whether each must go well; or a step's own command.
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
