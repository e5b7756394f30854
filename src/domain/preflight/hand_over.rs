//! Checks the items of hand-overs: each must be in both clusters and run in one of them, and nothing may change it back.

use super::context::Context;
use crate::base::finding::{Code, Finding};
use crate::base::number::count;
use crate::domain::hand_over::{ItemId, ItemKind, ItemReading};
use crate::domain::traffic::Reading;
use crate::plan::model::{ItemRef, ItemSelector, StepKind};

pub(super) fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let facts = &context.facts.items;
    for (reference, why) in &facts.unselected {
        let what = described(reference);
        let message = match why {
            None => format!("{} selects nothing in {}", what, context.plan.strategy.from),
            Some(why) => format!("{what} cannot be read in {}: {why}", context.plan.strategy.from),
        };
        let help = "correct the selector, or remove it: the step would hand nothing over";
        findings.push(Finding::new(Code::CUT361, what, message).help(help));
    }
    for start in &facts.starts {
        check_item(context, start.step, &start.item, findings);
    }
    let mut items: Vec<_> = facts.starts.iter().map(|start| &start.item).collect();
    items.sort();
    for twice in items.windows(2).filter(|pair| pair[0] == pair[1]) {
        let message = format!("{} is handed over twice", twice[0]);
        findings.push(Finding::new(Code::CUT361, twice[0].to_string(), message).help("let one selector match it"));
    }
}

fn check_item(context: &Context<'_>, step: usize, item: &ItemId, findings: &mut Vec<Finding>) {
    let strategy = &context.plan.strategy;
    let (from, to) = (&strategy.from, &strategy.to);
    let mut seen = Vec::new();
    for cluster in [from, to] {
        match context.facts.items.readings.get(&(cluster.clone(), item.clone())) {
            Some(Reading { value: Ok(reading), .. }) => seen.push(reading),
            Some(Reading { value: Err(why), .. }) => {
                let message = format!("{item} cannot be read in {cluster}: {why}");
                let help = "an item has the same kind, namespace and name in both clusters; create it there, stopped";
                findings.push(Finding::new(Code::CUT361, item.to_string(), message).help(help));
            }
            None => {}
        }
    }
    let [old, new] = seen[..] else { return };
    let verify = matches!(
        strategy.steps.get(step - 1).map(|step| &step.kind),
        Some(StepKind::HandOver(hand_over)) if hand_over.verify
    );
    let state = format!("{item}: {} in {from}, {} in {to}", state(item, old), state(item, new));
    findings.push(Finding::new(Code::CUT364, item.to_string(), state));
    if old.wanted > 0 && new.wanted > 0 {
        let message = format!("{item} is active in {from} and in {to}: its work is done twice");
        let help = format!("stop it in {to} first; it is started there when it is handed over");
        findings.push(Finding::new(Code::CUT360, item.to_string(), message).help(help));
    }
    for (cluster, reading) in [(from, old), (to, new)] {
        if let Some(owner) = reading.owner.as_ref().filter(|_| !verify) {
            let message = format!("{owner} manages {item} in {cluster}, and may undo what the hand-over changes");
            let help = "write `mode: verify`: its owner stops and starts it, and the step waits for that; or let its \
                        owner ignore the changed field, and accept this finding";
            findings.push(Finding::new(Code::CUT362, item.to_string(), message).help(help));
        }
    }
    if context.facts.items.fixed_schedules.contains(&(to.clone(), item.clone())) && !verify {
        let message = format!(
            "{item} has missed a schedule in {to}, and would start it as soon as it is resumed; cutover may not set its \
             status.lastScheduleTime"
        );
        let help = "allow `patch` on `cronjobs/status` (`cutover permissions PLAN`)";
        findings.push(Finding::new(Code::CUT363, item.to_string(), message).help(help));
    }
}

/// Describes what is on and what runs, such as `suspended, 1 Job runs`.
fn state(item: &ItemId, reading: &ItemReading) -> String {
    let on = match (item.kind, reading.wanted) {
        (ItemKind::CronJob, 0) => "suspended".to_owned(),
        (ItemKind::ScaledObject | ItemKind::ScaledJob, 0) => "paused".to_owned(),
        (ItemKind::CronJob | ItemKind::ScaledObject | ItemKind::ScaledJob, _) => "active".to_owned(),
        (ItemKind::Deployment | ItemKind::StatefulSet, replicas) => count(replicas as usize, "replica"),
    };
    match reading.running {
        0 => on,
        1 => format!("{on} (1 {} runs)", item.kind.runs()),
        running => format!("{on} ({running} {}s run)", item.kind.runs()),
    }
}

fn described(reference: &ItemRef) -> String {
    let (ItemSelector::Name(which) | ItemSelector::Labels(which)) = &reference.select;
    format!("{} {}/{which}", ItemKind::from(reference.kind).name(), reference.namespace)
}
