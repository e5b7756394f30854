//! The share of a group never rises while its raise gate does not pass on a fresh reading. Restoring writes are exempt:
//! they raise only groups that carried the traffic at the start, and in a rollback in stages at most to the share of
//! the stage. The hooks before a step must have succeeded before its writes.

use cutover::domain::health::HealthCounts;
use cutover::domain::run::event::RouteStart;
use cutover::domain::run::hook::HookPoint;
use jiff::{SignedDuration, Timestamp};

use super::compare::share_of;
use super::facts::{Facts, RampedRollback};
use super::{Found, ensure};
use crate::simulation::history::{Entry, EntryContent};
use crate::simulation::route_actions::{self, RouteActions};

/// The maximum age of a reading before a write that raises.
const FRESH: SignedDuration = SignedDuration::from_secs(10);
/// The maximum age of the reading before a write of a rollback stage.
const STAGE_FRESH: SignedDuration = SignedDuration::from_secs(2);
/// The longest time between two readings during which a gate counts as passing: three polls.
const GAP: SignedDuration = SignedDuration::from_millis(15_500);

pub fn holds(facts: &Facts, entry: &Entry) -> Found {
    let EntryContent::Set { route, content } = &entry.what else { return Ok(()) };
    let (Some(start), Some(Some(live))) = (facts.route(route), facts.world.get(route)) else { return Ok(()) };
    let next = route_actions::from_content(content);
    if let Some(way) = facts.unfinished_stage() {
        // The route was read right before the write, but no reading has shown the change by someone else.
        let read =
            facts.seen.get(route).is_some_and(|reading| entry.at.duration_since(reading.requested_at) <= STAGE_FRESH);
        if read && facts.has_unseen_change(route) {
            return Ok(());
        }
        return check_stage(facts, way, start, live, &next);
    }
    if let Some((_, to_step)) = &facts.rollback {
        let wrong = facts.not_original(start, Some(&next)).filter(|_| to_step.is_none());
        return wrong.map_or(Ok(()), |why| Err(format!("a restoring write does not restore: {why}")));
    }
    // With `resume --reassert`, the write may repeat an earlier step.
    let missing = facts.hooks.known.missing(&facts.plan, facts.step, &[HookPoint::BeforeShift]);
    if let Some(why) = missing.filter(|_| facts.shares(facts.step).is_some() && !facts.agreed(route)) {
        return Err(format!("{route} is raised, but a hook is missing: {why}"));
    }
    // A write that detaches the old group raises nothing compared with the last reading.
    if facts.detaching && facts.has_unseen_change(route) {
        return Ok(());
    }
    for (cluster, group) in &start.groups {
        if share_of(start, cluster, &next) > share_of(start, cluster, live) + 1e-9 {
            check_gate(facts, start, cluster, group, entry.at)?;
        }
    }
    Ok(())
}

/// Checks a write of a rollback stage: no share moves away from its original value, and no share moves further back
/// than this stage allows.
fn check_stage(
    facts: &Facts,
    way: &RampedRollback,
    route: &RouteStart,
    live: &RouteActions,
    next: &RouteActions,
) -> Found {
    let before = &facts.original[&route.id];
    let wrong = |what: &str| {
        format!(
            "{} in the rollback stage of {} %: {:?} {what}; before the write: {:?}",
            route.label, way.percent, next.weights, live.weights
        )
    };
    let shares = |actions: &RouteActions| {
        route.groups.keys().map(|cluster| share_of(route, cluster, actions)).collect::<Vec<_>>()
    };
    let (home, there, goal) = (shares(before), shares(live), shares(next));
    let between = home
        .iter()
        .zip(&there)
        .zip(&goal)
        .all(|((home, there), goal)| (home.min(*there) - 1.0..=home.max(*there) + 1.0).contains(goal));
    ensure(between, || wrong("moves away from the original shares"))?;
    let near = |shares: &[f64]| shares.iter().zip(&goal).all(|(share, goal)| (share - goal).abs() <= 1.0);
    let of = |actions: &RouteActions| -> bool {
        let from = shares(actions);
        let whole = from.iter().zip(&home).all(|(from, home)| (from - home).abs() < 0.5);
        let at: Vec<_> = from
            .iter()
            .zip(&home)
            .map(|(from, home)| (home - from).mul_add(f64::from(way.percent) / 100.0, *from))
            .collect();
        if whole { facts.not_original(route, Some(next)).is_none() } else { near(&at) }
    };
    let matches = way.from.get(&route.id).is_some_and(|from| from.iter().flatten().any(of));
    ensure(matches || near(&there), || wrong("does not have the shares of the stage"))
}

fn check_gate(facts: &Facts, route: &RouteStart, cluster: &str, group: &str, now: Timestamp) -> Found {
    let rises = || format!("{}: {group} rises", route.label);
    let gate = &facts.plan.strategy.gates.raise;
    let share = facts.shares_at(facts.step).and_then(|s| s.get(cluster)).copied().unwrap_or(0);
    let need = f64::from(gate.min_healthy).max(
        (gate.capacity * f64::from(share) / 100.0 * f64::from(healthy_targets_needed(facts, route)) - 1e-9).ceil(),
    );
    let good = |c: &HealthCounts| {
        let registered = c.healthy + c.initial + c.unhealthy + c.unused + c.unavailable;
        f64::from(c.healthy) >= need && f64::from(c.healthy) * 100.0 >= gate.min_healthy_percent * f64::from(registered)
    };
    let all = facts.health.get(group).map_or(&[][..], Vec::as_slice);
    let (requested_at, counts) = all.last().ok_or_else(|| format!("{} without a reading", rises()))?;
    let counts = counts.ok_or_else(|| format!("{}, but the last reading of it failed", rises()))?;
    ensure(now.duration_since(*requested_at) <= FRESH, || {
        format!("{} at {now}, last read at {requested_at}", rises())
    })?;
    ensure(good(&counts), || format!("{} with {counts:?}, needs {need} healthy", rises()))?;
    // Go back to the last reading that was not good enough, or to a gap between readings.
    let (mut since, mut samples) = (*requested_at, 0);
    for (at, counts) in all.iter().rev().filter_map(|(at, counts)| Some((at, counts.as_ref()?))) {
        if !good(counts) || since.duration_since(*at) > GAP {
            break;
        }
        (since, samples) = (*at, samples + 1);
    }
    let interval = facts.started().and_then(|s| s.groups.get(group)).map_or(10, |g| g.interval);
    let wanted = gate.stable_for.unwrap_or(std::time::Duration::from_secs(interval.into()) * 3);
    let wanted = SignedDuration::try_from(wanted).unwrap_or_default();
    ensure(samples >= 2 && now.duration_since(since) >= wanted, || {
        format!("{} at {now} after {samples} good readings since {since}; the gate must pass for {wanted:?}", rises())
    })
}

/// Returns the number of healthy targets that the whole traffic of a route needs: the larger of the baseline and the
/// last count.
fn healthy_targets_needed(facts: &Facts, route: &RouteStart) -> u32 {
    let carriers = || facts.original_groups(route);
    let baseline = carriers().filter_map(|g| facts.started()?.groups.get(g)).map(|g| g.healthy).sum::<u32>();
    let last = |g: &String| facts.health.get(g)?.iter().rev().find_map(|(_, c)| c.as_ref()).map(|c| c.healthy);
    baseline.max(carriers().filter_map(last).sum())
}
