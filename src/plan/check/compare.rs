//! Checks the compare gate of the plan, and converts it to the model.

use std::time::Duration;

use super::{Diagnostic, accept, note};
use crate::base::finding::{Code, Source};
use crate::plan::file::{CompareGate, Spec, Strategy};
use crate::plan::model;

/// The shortest time between two comparisons. Each reads every list of both clusters.
const SHORTEST: Duration = Duration::from_mins(1);

/// Returns the compare gate; `None` if the plan has none.
pub(super) fn gate(strategy: &Strategy, out: &mut Vec<Diagnostic>) -> Option<model::CompareGate> {
    let CompareGate { every, ignore } = &strategy.gates.as_ref()?.value.compare.as_ref()?.value;
    let every = every.as_ref()?;
    if every.value.0 < SHORTEST {
        note(out, Code::CUT014, every.place, "`every` of the compare gate is shorter than 1m")
            .help("a comparison reads all objects of both clusters: write `1m` or more, such as `10m`");
    }
    for entry in ignore.iter().flat_map(|all| &all.value) {
        let Some(code) = &entry.value.code else { continue };
        let known = Code::ALL.iter().find(|known| known.name() == code.value.0);
        if let Some(known) = known.filter(|known| known.source() == Source::Preflight) {
            let message = format!("{} ({}) is not a finding of `compare`", known.name(), known.title());
            note(out, Code::CUT026, code.place, message)
                .help("`ignore` takes the codes of `cutover compare`; findings of `check` belong in `accept`");
        }
    }
    let ignore = accept(ignore.iter().flat_map(|all| &all.value), out);
    Some(model::CompareGate { every: every.value.0, ignore })
}

/// Notes a compare gate that has nothing to compare, because no workload has a Service in both clusters.
pub(super) fn check_services(
    spec: &Spec,
    workloads: &[model::Workload],
    strategy: &model::Strategy,
    out: &mut Vec<Diagnostic>,
) {
    let gates = spec.strategy.as_ref().and_then(|strategy| strategy.value.gates.as_ref());
    let Some(gate) = gates.and_then(|gates| gates.value.compare.as_ref()) else { return };
    let (from, to) = (&strategy.from, &strategy.to);
    let complete = spec.workloads.as_ref().is_some_and(|all| all.complete);
    if complete && !workloads.iter().any(|w| w.service(from).is_some() && w.service(to).is_some()) {
        let message =
            format!("the compare gate has nothing to compare: no workload has a Service in {from} and in {to}");
        note(out, Code::CUT004, gate.head, message)
            .help("add `service` to the workloads that run in both clusters, or remove `compare`");
    }
}
