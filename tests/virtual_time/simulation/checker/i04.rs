//! At most one plan step separates any two routes of a run, even after a crash, except in a rollback.

use super::compare::share_of;
use super::facts::Facts;
use super::{Found, ensure};
use crate::simulation::history::{By, Entry, EntryContent};
use cutover::domain::haproxy::is_haproxy;
use cutover::plan::model::StepKind;

pub fn holds(facts: &Facts, entry: &Entry) -> Found {
    let EntryContent::Applied { by: By::Us, route: written, after, .. } = &entry.what else { return Ok(()) };
    let strategy = &facts.plan.strategy;
    let (None, Some(start)) = (&facts.rollback, &strategy.start) else { return Ok(()) };
    let shares =
        strategy.steps.iter().filter_map(|s| if let StepKind::Shares(shares) = &s.kind { Some(shares) } else { None });
    let mut steps: Vec<_> =
        [start].into_iter().chain(shares).map(|s| f64::from(s.get(&strategy.to).copied().unwrap_or(0))).collect();
    steps.dedup();
    let places = facts.routes().iter().filter(|r| !facts.foreign.contains(&r.id)).filter_map(|route| {
        let actions = if route.id == *written { after.as_ref() } else { facts.world.get(&route.id)?.as_ref() };
        let share = share_of(route, &strategy.to, actions?);
        let ranks: Vec<_> = (0..steps.len()).filter(|i| (steps[*i] - share).abs() <= 0.5).collect();
        Some((route.label.clone(), share, ranks, is_haproxy(route.id.id())))
    });
    let places: Vec<_> = places.collect();
    // The commands of a write to HAProxy take effect one by one.
    let under_way = |i: usize, share: f64| {
        let next = steps.get(i + 1).copied().unwrap_or(steps[i]);
        (steps[i].min(next)..=steps[i].max(next)).contains(&share)
    };
    let near = (0..steps.len()).any(|i| {
        places.iter().all(|(_, share, ranks, by_servers)| {
            ranks.iter().any(|r| *r == i || *r == i + 1) || (*by_servers && under_way(i, *share))
        })
    });
    ensure(near, || format!("routes are more than a step apart: {places:?}"))
}
