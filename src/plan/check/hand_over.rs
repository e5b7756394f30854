//! Checks `handOver` steps, and converts them to the model.

use super::{Diagnostic, Placed, note};
use crate::base::finding::Code;
use crate::plan::decode::clip;
use crate::plan::file::Step;
use crate::plan::hand_over_fields::{HandOverMode, HandOverStep, WorkerKind};
use crate::plan::model::{HandOver, ItemKind, ItemRef, ItemSelector};
use crate::plan::scalar::{Line, Name};

/// Converts a `handOver` step to the model.
pub(super) fn step(at: &Placed<HandOverStep>, out: &mut Vec<Diagnostic>) -> Option<HandOver> {
    let HandOverStep { cron_jobs, workers, mode, drain, overlap } = &at.value;
    let (cron_jobs, workers) = (cron_jobs.as_ref()?, workers.as_ref()?);
    let (verify, overlaps) = (mode.as_ref()?.value == HandOverMode::Verify, overlap.as_ref()?.value.0);
    if cron_jobs.value.is_empty() && workers.value.is_empty() {
        note(out, Code::CUT241, at.head, "the step hands nothing over").help("name `cronJobs` or `workers`");
    }
    if let Some(overlap) = overlap.as_ref().filter(|_| verify && overlaps) {
        note(out, Code::CUT241, overlap.head, "`overlap` has no effect with `mode: verify`")
            .help("remove `overlap`: the tool that moves the items decides the order");
    }
    let jobs = cron_jobs.value.iter().filter_map(|job| {
        let job = &job.value;
        item(ItemKind::CronJob, job.namespace.as_ref(), job.name.as_ref(), job.selector.as_ref(), out)
    });
    let mut items: Vec<ItemRef> = jobs.collect();
    items.extend(workers.value.iter().filter_map(|worker| {
        let worker = &worker.value;
        let kind = match worker.kind.as_ref()?.value {
            WorkerKind::Deployment => ItemKind::Deployment,
            WorkerKind::StatefulSet => ItemKind::StatefulSet,
            WorkerKind::ScaledObject => ItemKind::ScaledObject,
            WorkerKind::ScaledJob => ItemKind::ScaledJob,
        };
        item(kind, worker.namespace.as_ref(), worker.name.as_ref(), worker.selector.as_ref(), out)
    }));
    Some(HandOver { items, verify, drain: drain.as_ref()?.value.0, overlap: overlaps })
}

fn item(
    kind: ItemKind,
    namespace: Option<&Placed<Name>>,
    name: Option<&Placed<Line>>,
    selector: Option<&Placed<Line>>,
    out: &mut Vec<Diagnostic>,
) -> Option<ItemRef> {
    let select = match (name, selector) {
        (Some(name), _) => {
            if !is_object_name(&name.value.0) {
                let message = format!("`{}` is not the name of an object", clip(&name.value.0));
                note(out, Code::CUT007, name.place, message)
                    .help("a name has lower-case letters, digits, hyphens and dots");
            }
            ItemSelector::Name(name.value.0.clone())
        }
        (None, selector) => ItemSelector::Labels(selector?.value.0.clone()),
    };
    Some(ItemRef { kind, namespace: namespace?.value.0.clone(), select })
}

fn is_object_name(text: &str) -> bool {
    let inside = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
    text.len() <= 253 && text.bytes().all(inside) && !text.starts_with(['-', '.']) && !text.ends_with(['-', '.'])
}

/// Adds an error for each item that is handed over twice.
pub(super) fn check_once(steps: &[Placed<Step>], out: &mut Vec<Diagnostic>) {
    let mut seen: Vec<ItemRef> = Vec::new();
    for at in steps.iter().filter_map(|step| step.value.hand_over.as_ref()) {
        // The errors of the step have already been added.
        let Some(found) = step(at, &mut Vec::new()) else { continue };
        for item in found.items {
            if seen.contains(&item) {
                let (ItemSelector::Name(name) | ItemSelector::Labels(name)) = &item.select;
                let message = format!("{:?} {}/{name} is handed over twice", item.kind, item.namespace);
                note(out, Code::CUT241, at.head, message).help("keep it in one step: it moves once");
            }
            seen.push(item);
        }
    }
}
