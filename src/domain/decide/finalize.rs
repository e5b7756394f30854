//! `finalize`: decides whether the old cluster can be retired. Pure; works on the journal and on facts that were just
//! read.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::goal;
use crate::base::duration;
use crate::base::time::{earlier, later};
use crate::domain::decide::old_group;
use crate::domain::metric::gate::{Question, Seen, Side};
use crate::domain::run::event::{Event, Outcome, Record};
use crate::domain::run::state::{Route, State};
use crate::domain::traffic::{Census, Content, Found, RouteId, Split, Unreadable};
use crate::plan::model::Plan;
use crate::plan::model::metric::{CloudWatch, Judge, MetricGate, NoData, Scope, Source};

/// `CloudWatch` metrics are complete after this delay.
const LATE: Duration = Duration::from_mins(3);

/// The facts that `finalize` needs.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The run's routes.
    pub routes: BTreeMap<RouteId, Result<Content, Unreadable>>,
    /// Every route of the run's load balancers, by load balancer.
    pub census: BTreeMap<String, Result<Census, Unreadable>>,
    /// Healthy targets of the groups that carry the traffic now, by ARN.
    pub healthy: BTreeMap<String, Result<u32, Unreadable>>,
    /// Request counts of the groups, by workload.
    pub requests: BTreeMap<String, Seen>,
}

/// One condition for retiring the old cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    /// The subject: `run`, `shares`, `time`, `requests`, `rules`, `health`.
    pub what: &'static str,
    /// Whether the condition is met.
    pub stands: Stands,
    /// The explanation, with numbers.
    pub message: String,
    /// When it will be met, if only time is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// Whether a condition is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Stands {
    /// Met.
    Yes,
    /// Unknown; an operator may confirm it.
    Unknown,
    /// Not yet.
    Wait,
    /// Not met, and time alone will not change that.
    No,
    /// Drift: another actor changed a route.
    Drift,
}

/// Why the run itself prevents `finalize`, if it does; then nothing else needs to be read.
pub fn unfit(plan: &Plan, state: &State) -> Option<Item> {
    let no = |message: String| Some(item("run", Stands::No, message));
    match state.finished {
        Some(Outcome::Completed) => {}
        Some(_) => return no("the run was rolled back: the old cluster carries the traffic".into()),
        None => return Some(item("run", Stands::Wait, format!("the run {} is not finished", state.run))),
    }
    let carries = state.routes.values().find(|route| {
        let shares = goal::shares_of(route, route.split());
        shares.get(&plan.strategy.from).is_some_and(|share| *share > 0.0)
    });
    let route = carries?;
    let share = goal::shares_of(route, route.split()).get(&plan.strategy.from).copied().unwrap_or(0.0);
    no(format!("the run left {} at {share:.0} % on {}", plan.strategy.from, route.start.label))
}

/// The questions for the groups' own request counts, one per workload, for a period of `quiet` before now for which the
/// counts are complete.
pub fn questions(plan: &Plan, state: &State, quiet: Duration, now: Timestamp) -> Vec<(String, Question)> {
    let workloads: BTreeSet<&String> = state.routes.values().map(|r| &r.start.workload).collect();
    let to = earlier(now, LATE);
    let ask = |workload: &String| {
        let routes = || state.routes.values().filter(|r| r.start.workload == *workload);
        let side = |cluster: &str, groups: BTreeSet<(String, String)>| Side {
            cluster: cluster.into(),
            groups: groups.into_iter().collect(),
        };
        let old =
            routes().filter_map(|r| Some((old_group(plan, r)?.to_owned(), r.start.load_balancer.clone()))).collect();
        let new =
            routes().flat_map(|r| carriers(r).map(|arn| (arn.to_owned(), r.start.load_balancer.clone()))).collect();
        let gate = MetricGate {
            name: format!("finalize-{workload}"),
            scope: Scope::Workload(workload.clone()),
            raise: false,
            guard: false,
            interval: quiet,
            initial_delay: Duration::ZERO,
            window: quiet,
            delay: LATE,
            no_data: NoData::Hold,
            min_requests: 1,
            failure_limit: 0,
            dry_run: true,
            source: Source::CloudWatch(CloudWatch { metric: None, latency: String::new() }),
            judge: Judge::Share { tolerance: 0.0 },
        };
        let (old, new) = (side(&plan.strategy.from, old), side(&plan.strategy.to, new));
        (workload.clone(), Question { gate, from: earlier(to, quiet), to, old, new })
    };
    workloads.into_iter().map(ask).collect()
}

/// The plan's groups that carry traffic on a route.
pub fn carriers(route: &Route) -> impl Iterator<Item = &str> {
    let weight = |arn: &str| route.split().weight(arn).unwrap_or(0);
    route.start.groups.values().map(String::as_str).filter(move |arn| weight(arn) > 0)
}

/// All conditions, for a run that passed [`unfit`].
pub fn judge(
    plan: &Plan,
    state: &State,
    records: &[Record],
    facts: &Facts,
    quiet: Duration,
    now: Timestamp,
) -> Vec<Item> {
    let mut all = vec![item("run", Stands::Yes, format!("the run {} has completed", state.run))];
    all.push(shares(plan, state, facts));
    all.push(time(plan, state, records, now));
    all.extend(facts.requests.iter().map(|(workload, seen)| requests(plan, workload, seen, quiet)));
    all.push(rules(plan, state, facts));
    all.push(health(plan, state, facts));
    all
}

/// The worst result of all conditions.
pub fn worst(items: &[Item]) -> Stands {
    items.iter().map(|item| item.stands).max().unwrap_or(Stands::Yes)
}

fn shares(plan: &Plan, state: &State, facts: &Facts) -> Item {
    let (from, routes) = (&plan.strategy.from, state.routes.len());
    for route in state.routes.values() {
        let label = &route.start.label;
        match facts.routes.get(&route.start.id) {
            Some(Ok(live)) if live.same(&route.known) => {}
            Some(Ok(live)) => {
                let shares = live.forwards().map(|split| goal::shares_of(route, split)).unwrap_or_default();
                let shares = shares.iter().map(|(c, share)| format!("{c} {share:.0} %")).collect::<Vec<_>>().join(", ");
                return item("shares", Stands::Drift, format!("{label} is not as the run left it: {shares}"));
            }
            // A deleted rule needs no cluster.
            Some(Err(Unreadable::NotFound(_))) => {}
            Some(Err(why)) => return item("shares", Stands::Unknown, format!("{label} cannot be read: {why}")),
            None => return item("shares", Stands::Unknown, format!("{label} was not read")),
        }
    }
    let routes = if routes == 1 { "the route is".into() } else { format!("all {routes} routes are") };
    item("shares", Stands::Yes, format!("{routes} as the run left them: {from} has no weight"))
}

/// The last clients of the old groups are gone: their cookies have expired and their connections are closed.
fn time(plan: &Plan, state: &State, records: &[Record], now: Timestamp) -> Item {
    let from = &plan.strategy.from;
    let sticky = state.routes.values().filter_map(|r| r.start.content.sticky()?.seconds).max().unwrap_or(0);
    let old: BTreeSet<&str> = state.routes.values().filter_map(|r| old_group(plan, r)).collect();
    let delay = state
        .started
        .groups
        .iter()
        .filter(|(arn, _)| old.contains(arn.as_str()))
        .map(|(_, g)| g.deregistration_delay)
        .max();
    let (sticky, delay) = (Duration::from_secs(sticky.into()), Duration::from_secs(delay.unwrap_or(0).into()));
    let Some(last) = last_shift(plan, state, records) else {
        return item("time", Stands::Yes, format!("{from} has had no traffic in this run"));
    };
    let (until, parts) = (
        later(last, sticky + delay),
        format!("stickiness {} and deregistration {}", duration::show(sticky), duration::show(delay)),
    );
    if until > now {
        let message = format!("the last shift was at {}; {parts} have not passed since", last.strftime("%F %T UTC"));
        return Item { until: Some(until), ..item("time", Stands::Wait, message) };
    }
    item("time", Stands::Yes, format!("{parts} have passed since the last shift, at {}", last.strftime("%F %T UTC")))
}

/// When an old group last lost share.
fn last_shift(plan: &Plan, state: &State, records: &[Record]) -> Option<Timestamp> {
    let old = |id: &RouteId| state.routes.get(id).and_then(|route| old_group(plan, route));
    let mut shifting = BTreeSet::new();
    let mut last = None;
    for record in records {
        match &record.event {
            Event::Intended { writes, .. } => {
                let loses = |w: &&crate::domain::run::event::Write| {
                    let weight = |split: &Split| old(&w.route).and_then(|id| split.weight(id)).unwrap_or(0);
                    w.expect.as_ref().is_none_or(|expect| weight(expect) > weight(&w.set))
                };
                shifting.extend(writes.iter().filter(loses).map(|w| &w.route));
            }
            Event::Outcome { route, live: Some(_), .. } if shifting.remove(route) => last = Some(record.time),
            _ => {}
        }
    }
    last
}

fn requests(plan: &Plan, workload: &str, seen: &Seen, quiet: Duration) -> Item {
    let (from, quiet) = (&plan.strategy.from, duration::show(quiet));
    let unknown = |why: &str| {
        item(
            "requests",
            Stands::Unknown,
            format!("{workload}: it is unknown whether {from} got requests in the last {quiet}: {why}"),
        )
    };
    match seen {
        Seen::Counts { old, .. } if old.requests > 0 => {
            let n = old.requests;
            item("requests", Stands::Wait, format!("{workload}: {from} got {n} requests in the last {quiet}"))
        }
        Seen::Counts { new, .. } if new.requests == 0 => unknown("there is no traffic to compare it with"),
        Seen::Counts { new, .. } => {
            let n = new.requests;
            item(
                "requests",
                Stands::Yes,
                format!("{workload}: {from} got no requests in the last {quiet}, the other clusters {n}"),
            )
        }
        Seen::Nothing { .. } => unknown("there is no traffic to compare it with"),
        Seen::Unreadable { message } | Seen::State { message, .. } => unknown(message),
        Seen::Latencies { .. } | Seen::Value { .. } => unknown("the answer has an unexpected form"),
    }
}

/// Other rules of the load balancers may still forward to the old groups, at any weight.
fn rules(plan: &Plan, state: &State, facts: &Facts) -> Item {
    let old: BTreeSet<String> = state.routes.values().filter_map(|r| old_group(plan, r)).map(str::to_owned).collect();
    let mut leading = Vec::new();
    for (load_balancer, census) in &facts.census {
        let census = match census {
            Ok(census) => census,
            Err(why) => {
                return item("rules", Stands::Unknown, format!("the rules of {load_balancer} cannot be read: {why}"));
            }
        };
        if let Some(unread) = census.unread.iter().find(|u| !state.routes.contains_key(&u.id) && u.may_concern(&old)) {
            return item("rules", Stands::Unknown, format!("{} cannot be read: {}", unread.label, unread.why));
        }
        let others = census.found.iter().filter(|r| !state.routes.contains_key(&r.id));
        let leads = |r: &&Found| r.content.split.ids().any(|id| old.contains(id));
        leading.extend(others.filter(leads).map(|r| r.label.clone()));
    }
    let from = &plan.strategy.from;
    if leading.is_empty() {
        return item("rules", Stands::Yes, format!("no other rule forwards to {from}"));
    }
    item(
        "rules",
        Stands::No,
        format!("these rules also forward to {from}, and the plan does not move them: {}", leading.join(", ")),
    )
}

/// Without the old cluster, the other groups must be healthy.
fn health(plan: &Plan, state: &State, facts: &Facts) -> Item {
    let name =
        |group: &str| state.started.groups.get(group).map_or_else(|| group.to_owned(), |start| start.name.clone());
    if let Some((arn, _)) = facts.healthy.iter().find(|(_, healthy)| matches!(healthy, Ok(0))) {
        return item("health", Stands::No, format!("{} has no healthy target", name(arn)));
    }
    if let Some((arn, why)) = facts.healthy.iter().find_map(|(arn, healthy)| Some((arn, healthy.as_ref().err()?))) {
        return item("health", Stands::Unknown, format!("the health of {} cannot be read: {why}", name(arn)));
    }
    let all =
        facts.healthy.iter().filter_map(|(arn, healthy)| Some(format!("{} {}", name(arn), healthy.as_ref().ok()?)));
    let all = all.collect::<Vec<_>>().join(", ");
    let groups =
        if all.is_empty() { format!("no group outside of {} carries traffic", plan.strategy.from) } else { all };
    item("health", Stands::Yes, format!("healthy targets: {groups}"))
}

fn item(what: &'static str, stands: Stands, message: String) -> Item {
    Item { what, stands, message, until: None }
}
