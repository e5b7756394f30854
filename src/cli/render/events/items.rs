//! Renders the events of hand-overs.

use super::{EventText, Tone};
use crate::domain::hand_over::{ItemDrained, ItemIntent, ItemKind, ItemOutcome, ItemResult};

/// Renders an intent, such as `stopping CronJob/shop/nightly in a`.
pub fn intended(intent: &ItemIntent) -> EventText {
    let ItemIntent { item, cluster, set, .. } = intent;
    let verb = if *set == 0 { "stopping" } else { "starting" };
    EventText::new(Tone::Faint, "·", format!("{verb} {item} in {cluster}"))
}

/// Renders an outcome, such as `Deployment/shop/mailer in b: 3 replicas`.
pub fn outcome(outcome: &ItemOutcome) -> EventText {
    let ItemOutcome { item, cluster, result, detail, .. } = outcome;
    let detail = detail.as_deref().unwrap_or_default();
    match result {
        ItemResult::Applied => EventText::new(Tone::Good, "✓", format!("{item} in {cluster}: {}", value(outcome))),
        ItemResult::Already | ItemResult::Verified => EventText::new(Tone::Good, "✓", format!("{item}: {detail}")),
        ItemResult::Unknown => EventText::new(Tone::Warn, "!", format!("{item} in {cluster}: {detail}")),
        ItemResult::Failed => EventText::new(Tone::Bad, "✗", format!("{item} in {cluster}: {detail}")),
    }
}

fn value(outcome: &ItemOutcome) -> String {
    let ItemOutcome { item, value, last_schedule, .. } = outcome;
    let missed = last_schedule.map(|at| format!(", no schedule until {} is made up for", at.strftime("%F %T UTC")));
    let missed = missed.unwrap_or_default();
    match (item.kind, *value) {
        (ItemKind::CronJob, 0) => "suspended".into(),
        (ItemKind::CronJob, _) => format!("resumed{missed}"),
        (ItemKind::ScaledObject | ItemKind::ScaledJob, 0) => "paused".into(),
        (ItemKind::ScaledObject | ItemKind::ScaledJob, _) => "no longer paused".into(),
        (ItemKind::Deployment | ItemKind::StatefulSet, 0) => "scaled to 0".into(),
        (ItemKind::Deployment | ItemKind::StatefulSet, 1) => "1 replica".into(),
        (ItemKind::Deployment | ItemKind::StatefulSet, count) => format!("{count} replicas"),
    }
}

/// Renders that nothing of an item runs any more.
pub fn drained(drained: &ItemDrained) -> EventText {
    let ItemDrained { item, cluster, assumed_by, .. } = drained;
    match assumed_by {
        None => EventText::new(Tone::Faint, "·", format!("nothing of {item} runs in {cluster} any more")),
        Some(by) => {
            let what = format!("{by} says that nothing of {item} runs in {cluster}; this was not read");
            EventText::new(Tone::Warn, "!", what)
        }
    }
}
