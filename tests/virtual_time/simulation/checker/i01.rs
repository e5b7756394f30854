//! The share of a group never rises while its raise gate does not hold on a fresh reading. Restoring writes are exempt,
//! and raise nothing but what carried the traffic at the start; those of a way back in parts no further than the part.
//! What comes before a step went well before it.

use cutover::domain::health::HealthCounts;
use cutover::domain::run::event::RouteStart;
use cutover::domain::run::hook::HookPoint;
use jiff::{SignedDuration, Timestamp};

use super::facts::{Facts, Way};
use super::parts::part;
use super::{Found, ensure};
use crate::simulation::face::{self, Face};
use crate::simulation::history::{Entry, What};

/// How old a reading may be.
const FRESH: SignedDuration = SignedDuration::from_secs(10);
/// How old the reading may be on which a part of the way back is written.
const JUST: SignedDuration = SignedDuration::from_secs(2);
/// How far apart two readings may be for a gate to have held between them: three polls.
const GAP: SignedDuration = SignedDuration::from_millis(15_500);

pub fn holds(facts: &Facts, entry: &Entry) -> Found {
    let What::Set { route, content } = &entry.what else { return Ok(()) };
    let (Some(start), Some(Some(live))) = (facts.route(route), facts.world.get(route)) else { return Ok(()) };
    let next = face::typed(content);
    if let Some(way) = facts.part() {
        // It was read right before; what someone else changed since, nobody could know.
        let read = facts.seen.get(route).is_some_and(|sight| entry.at.duration_since(sight.asked) <= JUST);
        if read && facts.unseen(route) {
            return Ok(());
        }
        return part_of(facts, way, start, live, &next);
    }
    if let Some((_, to_step)) = &facts.rollback {
        let wrong = facts.not_original(start, Some(&next)).filter(|_| to_step.is_none());
        return wrong.map_or(Ok(()), |why| Err(format!("a restoring write does not restore: {why}")));
    }
    // What a person wants written again may be an earlier step's.
    let missing = facts.deeds.told.missing(&facts.plan, facts.step, &[HookPoint::BeforeShift]);
    if let Some(why) = missing.filter(|_| facts.shares(facts.step).is_some() && !facts.agreed(route)) {
        return Err(format!("{route} is raised, but {why}"));
    }
    // What takes the old group out raises nothing of what was read.
    if facts.detaching && facts.unseen(route) {
        return Ok(());
    }
    for (cluster, group) in &start.groups {
        if part(start, cluster, &next) > part(start, cluster, live) + 1e-9 {
            gate(facts, start, cluster, group, entry.at)?;
        }
    }
    Ok(())
}

/// A part of the way back: nothing goes away from where it is to be in the end, and no more comes back than this
/// part's.
fn part_of(facts: &Facts, way: &Way, route: &RouteStart, live: &Face, next: &Face) -> Found {
    let before = &facts.original[&route.id];
    let wrong = |what: &str| {
        format!(
            "{} at {} % of the way back: {:?} {what}; it has {:?}",
            route.label, way.percent, next.weights, live.weights
        )
    };
    let shares = |face: &Face| route.groups.keys().map(|cluster| part(route, cluster, face)).collect::<Vec<_>>();
    let (home, there, goal) = (shares(before), shares(live), shares(next));
    let between = home
        .iter()
        .zip(&there)
        .zip(&goal)
        .all(|((home, there), goal)| (home.min(*there) - 1.0..=home.max(*there) + 1.0).contains(goal));
    ensure(between, || wrong("leads away"))?;
    let near = |shares: &[f64]| shares.iter().zip(&goal).all(|(share, goal)| (share - goal).abs() <= 1.0);
    let of = |face: &Face| -> bool {
        let from = shares(face);
        let whole = from.iter().zip(&home).all(|(from, home)| (from - home).abs() < 0.5);
        let at: Vec<_> = from
            .iter()
            .zip(&home)
            .map(|(from, home)| (home - from).mul_add(f64::from(way.percent) / 100.0, *from))
            .collect();
        if whole { facts.not_original(route, Some(next)).is_none() } else { near(&at) }
    };
    let spelled = way.from.get(&route.id).is_some_and(|from| from.iter().flatten().any(of));
    ensure(spelled || near(&there), || wrong("is no part of it"))
}

fn gate(facts: &Facts, route: &RouteStart, cluster: &str, group: &str, now: Timestamp) -> Found {
    let rises = || format!("{}: {group} rises", route.label);
    let gate = &facts.plan.strategy.gates.raise;
    let share = facts.ruling(facts.step).and_then(|s| s.get(cluster)).copied().unwrap_or(0);
    let need = f64::from(gate.min_healthy)
        .max((gate.capacity * f64::from(share) / 100.0 * f64::from(total(facts, route)) - 1e-9).ceil());
    let good = |c: &HealthCounts| {
        let registered = c.healthy + c.initial + c.unhealthy + c.unused + c.unavailable;
        f64::from(c.healthy) >= need && f64::from(c.healthy) * 100.0 >= gate.min_healthy_percent * f64::from(registered)
    };
    let all = facts.health.get(group).map_or(&[][..], Vec::as_slice);
    let (asked, counts) = all.last().ok_or_else(|| format!("{} without a reading", rises()))?;
    let counts = counts.ok_or_else(|| format!("{}, but the last reading of it failed", rises()))?;
    ensure(now.duration_since(*asked) <= FRESH, || format!("{} at {now}, last read at {asked}", rises()))?;
    ensure(good(&counts), || format!("{} with {counts:?}, needs {need} healthy", rises()))?;
    // Back to where it was last not good enough, or not read for too long.
    let (mut since, mut samples) = (*asked, 0);
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
        format!("{} at {now} after {samples} good readings since {since}; it must hold for {wanted:?}", rises())
    })
}

/// Healthy targets that the whole traffic of a route needs: the larger of the baseline and today's.
fn total(facts: &Facts, route: &RouteStart) -> u32 {
    let carriers = || facts.home(route);
    let baseline = carriers().filter_map(|g| facts.started()?.groups.get(g)).map(|g| g.healthy).sum::<u32>();
    let last = |g: &String| facts.health.get(g)?.iter().rev().find_map(|(_, c)| c.as_ref()).map(|c| c.healthy);
    baseline.max(carriers().filter_map(last).sum())
}
