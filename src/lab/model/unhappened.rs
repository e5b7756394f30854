//! Finds the faults of the scenario that have not happened, and the reasons, because a rehearsal without its fault
//! proves nothing.

use super::World;
use crate::base::duration::format_exact;
use crate::lab::scenario::fault::{Fault, GateResult, Trigger};
use crate::plan::model::{StepKind, Strategy};

/// Whether a fault has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    /// The condition of the fault has not been met, or its delay is not over.
    NotBegun,
    /// The lab has nothing that the fault could change; the text says what is missing.
    NoTarget(String),
    /// The fault is active, but the run has not measured the gate, or has not started the command or hook.
    NotAsked,
    /// The fault has changed something.
    Happened,
}

impl World {
    /// Returns a sentence for each fault that has not happened, such as `fault 1 (line 7) never happened: …`.
    pub fn faults_that_never_happened(&self) -> Vec<String> {
        let faults = &self.faults;
        let sentence = |(index, (fault, effect)): (usize, (&Fault, &Effect))| {
            let reason = match effect {
                Effect::Happened => return None,
                Effect::NoTarget(missing) => missing.clone(),
                Effect::NotAsked => self.why_not_asked(fault),
                Effect::NotBegun => why_not_begun(&fault.at, faults.triggered[index]),
            };
            let line = faults.places.line_of_fault(index).map_or_else(String::new, |line| format!(" (line {line})"));
            Some(format!("fault {}{line} never happened: {reason}", index + 1))
        };
        faults.list.iter().zip(&faults.effects).enumerate().filter_map(sentence).collect()
    }

    fn why_not_asked(&self, fault: &Fault) -> String {
        let strategy = &self.plan.strategy;
        match (&fault.gate, &fault.hook) {
            (Some(_), _) if strategy.metrics.is_empty() => "the plan has no metric gates".into(),
            (Some(gate), _) => format!("the run did not ask the gate {} after the fault began", gate.name),
            (_, Some(_)) if strategy.hooks.is_empty() && !has_commands(strategy) => {
                "the plan has no commands and no hooks".into()
            }
            (_, Some(hook)) => format!("the lab was not asked to run {} after the fault began", hook.name),
            _ => "nothing asked for it".into(),
        }
    }

    /// Returns the result that the scenario sets for a gate, and records that the run measured the gate; `None` if the
    /// scenario sets no result.
    pub(crate) fn ask_gate(&mut self, gate: &str) -> Option<GateResult> {
        let (result, fault) = *self.faults.gates.get(gate)?;
        self.faults.effects[fault] = Effect::Happened;
        Some(result)
    }

    /// Returns whether the scenario makes a command or hook (or its undo command) fail, and records that it was run.
    pub(crate) fn hook_fails(&mut self, name: &str, undo: bool) -> bool {
        let Some(fault) = self.faults.hooks.get(&(name.to_owned(), undo)).copied() else { return false };
        self.faults.effects[fault] = Effect::Happened;
        true
    }

    /// Returns what is missing if the cluster has no pods of the workload that the fault names.
    pub(super) fn missing_workload(&self, fault: &Fault) -> Option<String> {
        let (_, cluster) = fault.clusters().find(|(field, _)| {
            !field.starts_with("at.") && !field.starts_with("partition.") && !field.starts_with("repair.")
        })?;
        let workload = fault.workloads().next().map(|(_, workload)| workload);
        let named = workload.map_or_else(String::new, |workload| format!(" of workload {workload}"));
        self.deployments(cluster, workload)
            .is_empty()
            .then(|| format!("cluster {cluster} has no Deployment{named} in the lab"))
    }
}

fn has_commands(strategy: &Strategy) -> bool {
    strategy.steps.iter().any(|step| matches!(step.kind, StepKind::Exec(_)))
}

fn why_not_begun(at: &Trigger, triggered: bool) -> String {
    if triggered && !at.after.0.is_zero() {
        return format!("the rehearsal ended before its `after` of {} was over", format_exact(at.after.0));
    }
    match (&at.time, &at.step, &at.share) {
        (Some(time), ..) => {
            format!("the rehearsal ended before {} of lab time", format_exact(time.0 + at.after.0))
        }
        (_, Some(step), _) => format!("the run did not begin step {step}"),
        (_, _, Some(share)) => match (share.at_least, share.at_most) {
            (Some(least), _) => format!("cluster {} never had {least} % of every route", share.cluster),
            (_, most) => {
                format!("cluster {} never had at most {} % of every route", share.cluster, most.unwrap_or_default())
            }
        },
        _ => "it has no condition".into(),
    }
}
