//! Reads the items of a plan's hand-overs, for the preflight. Do not judge or change anything here.

use std::collections::BTreeSet;

use crate::domain::decide::hand_over::steps;
use crate::domain::hand_over::{ItemId, ItemKind, ItemPlace, ItemStart, missed};
use crate::domain::preflight::facts::ItemFacts;
use crate::domain::traffic::Unreadable;
use crate::engine::items::{ItemPorts, read};
use crate::plan::model::{ItemSelector, Plan};
use crate::port::Clock;

/// Reads every item of a plan in both clusters. A selector is read in the old cluster.
pub async fn gather_items(plan: &Plan, ports: &ItemPorts, clock: &dyn Clock) -> ItemFacts {
    let (from, to) = (&plan.strategy.from, &plan.strategy.to);
    let mut facts = ItemFacts::default();
    for (step, hand_over) in steps(plan) {
        for reference in &hand_over.items {
            let kind = ItemKind::from(reference.kind);
            let names = match (&reference.select, ports.get(from)) {
                (ItemSelector::Name(name), _) => Ok(vec![name.clone()]),
                (ItemSelector::Labels(labels), Some(port)) => port.select(kind, &reference.namespace, labels).await,
                (ItemSelector::Labels(_), None) => {
                    Err(Unreadable::Setup(format!("the plan gives no access to cluster {from}")))
                }
            };
            match names {
                Ok(names) if !names.is_empty() => {
                    let namespace = &reference.namespace;
                    let item = |name| ItemId { kind, namespace: namespace.clone(), name };
                    facts.starts.extend(names.into_iter().map(|name| ItemStart { step, item: item(name) }));
                }
                Ok(_) => facts.unselected.push((reference.clone(), None)),
                Err(why) => facts.unselected.push((reference.clone(), Some(why))),
            }
        }
    }
    let both = |start: &ItemStart| [from, to].map(|cluster| (cluster.clone(), start.item.clone()));
    let places: Vec<ItemPlace> = facts.starts.iter().flat_map(both).collect();
    facts.readings = read(ports, clock, &places).await;
    facts.fixed_schedules = fixed_schedules(plan, ports, clock, &facts).await;
    facts
}

/// Returns the CronJobs that would start a missed schedule when they are resumed now, and whose `lastScheduleTime` the
/// caller may not set.
async fn fixed_schedules(plan: &Plan, ports: &ItemPorts, clock: &dyn Clock, facts: &ItemFacts) -> BTreeSet<ItemPlace> {
    let mut fixed = BTreeSet::new();
    for (place, reading) in &facts.readings {
        let times = reading.value.as_ref().ok().and_then(|reading| reading.timetable.as_ref());
        let starts = times.is_some_and(|times| place.0 == plan.strategy.to && missed(times, clock.now()).is_some());
        if let Some(port) = ports.get(&place.0).filter(|_| starts)
            && port.may_set_last_schedule(&place.1).await == Ok(false)
        {
            fixed.insert(place.clone());
        }
    }
    fixed
}
