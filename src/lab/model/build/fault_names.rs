//! Checks that the plan has what the faults of a scenario name. Names that only the run determines are not checked
//! here.

use super::settings::Settings;
use crate::lab::scenario::ScenarioError;
use crate::lab::scenario::fault::Fault;
use crate::plan::model::StepKind;

impl Settings<'_> {
    /// Checks the names of clusters, workloads, gates, hooks and commands. Returns all errors.
    pub(super) fn check_faults(&self) -> Vec<ScenarioError> {
        let mut errors = Vec::new();
        for (index, fault) in self.scenario.spec.faults.iter().enumerate() {
            let path = |field: &str| format!("spec.faults[{index}].{field}");
            errors.extend(fault.clusters().filter_map(|(field, name)| self.check_cluster(&path(field), name).err()));
            errors.extend(fault.workloads().filter_map(|(field, name)| self.check_workload(&path(field), name).err()));
            errors.extend(self.check_gate_and_hook(&path, fault));
        }
        errors
    }

    /// Checks that the plan has the steps that the faults name. Returns all errors.
    pub(super) fn check_steps(&self) -> Vec<ScenarioError> {
        let faults = self.scenario.spec.faults.iter().enumerate();
        faults
            .filter_map(|(index, fault)| self.check_step(&format!("spec.faults[{index}].at.step"), fault).err())
            .collect()
    }

    fn check_step(&self, path: &str, fault: &Fault) -> Result<(), ScenarioError> {
        let Some(wanted) = &fault.at.step else { return Ok(()) };
        let runs = self.plan.runs();
        let steps: Vec<_> = runs.iter().flat_map(|run| &run.strategy.steps).collect();
        if steps.iter().any(|s| s.name.as_ref() == Some(wanted) || wanted.parse() == Ok(s.number)) {
            return Ok(());
        }
        let names: Vec<&str> = steps.iter().filter_map(|s| s.name.as_deref()).collect();
        let last = steps.iter().map(|s| s.number).max().unwrap_or_default();
        let valid = [names.join(", "), format!("\"1\" to \"{last}\"")];
        let valid = valid.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ");
        Err(self.unknown(path, "step", wanted, names, &valid))
    }

    /// Checks the names of a gate, a command and a hook. If a plan has no gates or no commands at all, their names are
    /// not checked, because a scenario may be for many plans. The fault then never happens, and the rehearsal says so.
    fn check_gate_and_hook(&self, path: &impl Fn(&str) -> String, fault: &Fault) -> Option<ScenarioError> {
        let gates: Vec<&str> = self.plan.strategy.metrics.iter().map(|gate| gate.name.as_str()).collect();
        let hooks = self.hook_names();
        let named = [
            ("gate.name", "metric gate", fault.gate.as_ref().map(|gate| &gate.name), gates),
            ("hook.name", "command or hook", fault.hook.as_ref().map(|hook| &hook.name), hooks),
        ];
        named.into_iter().find_map(|(field, kind, name, names)| {
            let name = name.filter(|name| !names.is_empty() && !names.contains(&name.as_str()))?;
            let valid = names.join(", ");
            Some(self.unknown(&path(field), kind, name, names, &valid))
        })
    }

    fn hook_names(&self) -> Vec<&str> {
        let strategy = &self.plan.strategy;
        let commands = strategy.steps.iter().filter(|s| matches!(s.kind, StepKind::Exec(_)));
        let commands = commands.filter_map(|s| s.name.as_deref());
        commands.chain(strategy.hooks.iter().filter_map(|hook| hook.name.as_deref())).collect()
    }
}
