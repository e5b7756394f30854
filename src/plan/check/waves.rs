//! Checks the waves, determines their order, and builds the strategy of each wave.

use std::collections::BTreeMap;

use super::steps::{WaveParts, of_wave};
use super::{Diagnostic, Place, Placed, PlanContext, UniqueValues, note};
use crate::base::finding::Code;
use crate::plan::decode::{clip, list};
use crate::plan::file::{Pause, Spec, Strategy, Wave};
use crate::plan::model;
use crate::plan::model::metric::MetricGate;
use crate::plan::scalar::Name;
use crate::plan::suggest::closest;

/// Returns the waves in the order in which they run. `gates` has the metric gates of each wave's own steps, in the order
/// of the file.
pub(super) fn all(
    spec: &Spec,
    scope: &PlanContext,
    strategy: Option<&model::Strategy>,
    workloads: &[model::Workload],
    gates: &[Vec<MetricGate>],
    out: &mut Vec<Diagnostic>,
) -> Vec<model::Wave> {
    let file = spec.strategy.as_ref().map(|s| &s.value);
    let between = between(file);
    let Some(waves) = &spec.waves else {
        if let Some(waves) = file.and_then(|file| file.waves.as_ref()) {
            note(out, Code::CUT212, waves.head, "`strategy.waves` has no effect, because the plan has no `waves`")
                .help("add `spec.waves`, or remove `strategy.waves`");
        }
        return Vec::new();
    };
    if waves.value.is_empty() && waves.complete {
        note(out, Code::CUT210, waves.head, "`waves` has no wave")
            .help("add a wave: `- {name: …, workloads: […]}`; or remove `waves`, so that all workloads move together");
    }
    let mut names = UniqueValues::new("waves are called", Code::CUT008);
    for name in waves.value.iter().filter_map(|wave| wave.value.name.as_ref()) {
        names.check_value(&name.value.0, name.place, out);
    }
    check_workloads(spec, &waves.value, out);
    let order = order(&waves.value, waves.complete, out);
    let (Some(file), Some(strategy)) = (file, strategy) else { return Vec::new() };
    let mut checked = Vec::new();
    for (place, index) in order.iter().enumerate() {
        let Wave { name, workloads: moved, after: _, steps } = &waves.value[*index].value;
        let Some(name) = name else { continue };
        let moved: Vec<String> = names_in(moved.as_ref()).map(|(name, _)| name.to_owned()).collect();
        let parts = WaveParts {
            workloads: workloads.iter().filter(|w| moved.contains(&w.name)).cloned().collect(),
            steps: steps.as_ref(),
            gates: gates.get(*index).map_or(&[], Vec::as_slice),
            between: between.filter(|_| place + 1 < order.len()),
        };
        let strategy = of_wave((file, strategy), scope, &parts, out);
        checked.push(model::Wave { name: name.value.0.clone(), workloads: moved, strategy });
    }
    checked
}

fn between(strategy: Option<&Strategy>) -> Option<&Placed<Pause>> {
    strategy?.waves.as_ref()?.value.between.as_ref()
}

fn names_in(names: Option<&Placed<Vec<Placed<Name>>>>) -> impl Iterator<Item = (&str, Place)> {
    names.into_iter().flat_map(|names| &names.value).map(|name| (name.value.0.as_str(), name.place))
}

/// Adds an error for each workload that is in no wave or in two, and for each name that is not a workload.
fn check_workloads(spec: &Spec, waves: &[Placed<Wave>], out: &mut Vec<Diagnostic>) {
    let entries = || spec.workloads.iter().flat_map(|all| &all.value).filter_map(|w| w.value.name.as_ref());
    let known: Vec<&str> = entries().map(|name| name.value.0.as_str()).collect();
    let mut waves_of: BTreeMap<&str, &str> = BTreeMap::new();
    for Wave { name, workloads, .. } in waves.iter().map(|wave| &wave.value) {
        let wave = name.as_ref().map_or("", |name| name.value.0.as_str());
        if let Some(empty) = workloads.as_ref().filter(|all| all.value.is_empty() && all.complete) {
            note(out, Code::CUT210, empty.head, format!("wave `{wave}` has no workload"))
                .help("name the workloads that move in this wave, or remove the wave");
        }
        for (workload, place) in names_in(workloads.as_ref()) {
            if !known.contains(&workload) {
                let noted = note(out, Code::CUT210, place, format!("no workload is called `{}`", clip(workload)));
                match closest(workload, known.iter().copied()) {
                    Some(meant) => noted.help(format!("did you mean `{meant}`?")),
                    None => noted.help(format!("the plan's workloads are {}", list(&known))),
                };
            } else if let Some(other) = waves_of.insert(workload, wave) {
                let message = format!("workload `{workload}` is in wave `{other}` and again in wave `{wave}`");
                note(out, Code::CUT210, place, message).help("keep the workload in one wave: a workload moves once");
            }
        }
    }
    let complete = waves.iter().all(|wave| wave.complete);
    for name in entries().filter(|name| complete && !waves_of.contains_key(name.value.0.as_str())) {
        let message = format!("workload `{}` is in no wave, so it would never move", name.value.0);
        note(out, Code::CUT210, name.place, message).help("add the workload to a wave, or remove it from the plan");
    }
}

/// Returns the indices of the waves in the order in which they run: each wave as early in the file's order as its
/// `after` allows.
fn order(waves: &[Placed<Wave>], complete: bool, out: &mut Vec<Diagnostic>) -> Vec<usize> {
    let name = |index: usize| waves[index].value.name.as_ref().map_or("", |name| name.value.0.as_str());
    let find = |wanted: &str| (0..waves.len()).find(|index| name(*index) == wanted);
    let known: Vec<&str> = (0..waves.len()).map(name).filter(|name| !name.is_empty()).collect();
    let mut waits: Vec<Vec<usize>> = Vec::new();
    for (index, wave) in waves.iter().enumerate() {
        let Some(after) = &wave.value.after else {
            waits.push(index.checked_sub(1).into_iter().collect());
            continue;
        };
        let mut others = Vec::new();
        for (wanted, place) in names_in(Some(after)) {
            match find(wanted) {
                Some(other) => others.push(other),
                None if complete => {
                    let noted = note(out, Code::CUT211, place, format!("no wave is called `{}`", clip(wanted)));
                    match closest(wanted, known.iter().copied()) {
                        Some(meant) => noted.help(format!("did you mean `{meant}`?")),
                        None => noted.help(format!("the plan's waves are {}", list(&known))),
                    };
                }
                None => {}
            }
        }
        waits.push(others);
    }
    let mut order: Vec<usize> = Vec::new();
    let is_next = |order: &[usize], index: usize| {
        !order.contains(&index) && waits[index].iter().all(|other| order.contains(other))
    };
    while let Some(next) = (0..waves.len()).find(|index| is_next(&order, *index)) {
        order.push(next);
    }
    let stuck: Vec<usize> = (0..waves.len()).filter(|index| !order.contains(index)).collect();
    if let Some(first) = stuck.iter().find(|index| waves[**index].value.after.is_some()) {
        let place = waves[*first].value.after.as_ref().map_or(waves[*first].head, |after| after.head);
        let names: Vec<&str> = stuck.iter().map(|index| name(*index)).collect();
        note(
            out,
            Code::CUT211,
            place,
            format!("waves wait for each other, so none of them can begin: {}", list(&names)),
        )
        .help("remove a name from `after`; a wave without `after` waits for the wave before it");
    }
    order.extend(stuck);
    order
}
