//! Decides for `cutover finalize` whether the old cluster can be retired, from the journal and from facts that the
//! caller has just read. Do not add I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::desired_split;
use crate::base::duration;
use crate::base::text::list;
use crate::base::time::{earlier, later};
use crate::domain::decide::old_group;
use crate::domain::metric::gate::{MeasuredValue, MeasurementRequest, QueriedCluster};
use crate::domain::run::event::{Event, Record, RunOutcome};
use crate::domain::run::state::{Route, State};
use crate::domain::traffic::{FoundRoute, RouteCensus, RouteContent, RouteId, Split, Unreadable};
use crate::plan::model::Plan;
use crate::plan::model::metric::{CloudWatch, GateCondition, GateScope, MetricGate, MetricSource, NoData};

/// The delay after which `CloudWatch` metrics are complete.
const METRIC_DELAY: Duration = Duration::from_mins(3);

/// The facts that `finalize` needs.
#[derive(Debug, Clone, Default)]
pub struct FinalizeFacts {
    /// The current content of the run's routes and of those that it left out, or why a route could not be read.
    pub routes: BTreeMap<RouteId, Result<RouteContent, Unreadable>>,
    /// All routes of the run's load balancers, by the ARN of the load balancer.
    pub census: BTreeMap<String, Result<RouteCensus, Unreadable>>,
    /// The number of healthy targets of the groups that have traffic now, by the ARN of the group.
    pub healthy: BTreeMap<String, Result<u32, Unreadable>>,
    /// The request counts of the old and the new groups, by workload.
    pub requests: BTreeMap<String, MeasuredValue>,
}

/// The result of one condition for retiring the old cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FinalizeCondition {
    /// The subject: `run`, `shares`, `leftOut`, `time`, `requests`, `rules`, `health`.
    pub what: &'static str,
    /// Whether the condition is met.
    pub stands: ConditionStatus,
    /// The explanation, with numbers.
    pub message: String,
    /// When the condition will be met, if only time is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// Whether a condition is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ConditionStatus {
    /// The condition is met.
    Yes,
    /// It is unknown whether the condition is met. An operator may confirm that it is.
    Unknown,
    /// The condition is not met yet, but may be met later.
    Wait,
    /// The condition is not met, and will not be met by waiting.
    No,
    /// The condition is not met, because another actor changed a route (drift).
    Drift,
}

/// Returns why the run itself prevents `finalize`, before any facts are read; `None` if it does not.
pub fn blocked_by_run(plan: &Plan, state: &State) -> Option<FinalizeCondition> {
    let no = |message: String| Some(condition("run", ConditionStatus::No, message));
    match state.finished {
        Some(RunOutcome::Completed) => {}
        Some(_) => return no("the run was rolled back: the old cluster carries the traffic".into()),
        None => return Some(condition("run", ConditionStatus::Wait, format!("the run {} is not finished", state.run))),
    }
    let carries = state.routes.values().filter(|route| !route.is_deleted()).find(|route| {
        let shares = desired_split::shares_of(route, route.split());
        shares.get(&plan.strategy.from).is_some_and(|share| *share > 0.0)
    });
    let route = carries?;
    let share = desired_split::shares_of(route, route.split()).get(&plan.strategy.from).copied().unwrap_or(0.0);
    no(format!("the run left {} at {share:.0} % on {}", plan.strategy.from, route.start.label))
}

/// Returns the measurements of the groups' request counts, one per workload, over the last period of length `quiet` for
/// which CloudWatch has complete data.
pub fn request_measurements(
    plan: &Plan,
    state: &State,
    quiet: Duration,
    now: Timestamp,
) -> Vec<(String, MeasurementRequest)> {
    let workloads: BTreeSet<&String> = state.routes.values().map(|r| &r.start.workload).collect();
    let to = earlier(now, METRIC_DELAY);
    let ask = |workload: &String| {
        let routes = || state.routes.values().filter(|r| r.start.workload == *workload);
        let side = |cluster: &str, groups: BTreeSet<(String, String)>| QueriedCluster {
            cluster: cluster.into(),
            groups: groups.into_iter().collect(),
        };
        let old =
            routes().filter_map(|r| Some((old_group(plan, r)?.to_owned(), r.start.load_balancer.clone()))).collect();
        let new = routes()
            .flat_map(|r| groups_with_weight(r).map(|arn| (arn.to_owned(), r.start.load_balancer.clone())))
            .collect();
        let gate = MetricGate {
            name: format!("finalize-{workload}"),
            scope: GateScope::Workload(workload.clone()),
            raise: false,
            guard: false,
            interval: quiet,
            initial_delay: Duration::ZERO,
            window: quiet,
            delay: METRIC_DELAY,
            no_data: NoData::Hold,
            min_requests: 1,
            failure_limit: 0,
            dry_run: true,
            source: MetricSource::CloudWatch(CloudWatch { metric: None, latency: String::new() }),
            condition: GateCondition::Share { tolerance: 0.0 },
        };
        let (old, new) = (side(&plan.strategy.from, old), side(&plan.strategy.to, new));
        (workload.clone(), MeasurementRequest { gate, from: earlier(to, quiet), to, old, new })
    };
    workloads.into_iter().map(ask).collect()
}

/// Returns the plan's groups that have weight on a route.
pub fn groups_with_weight(route: &Route) -> impl Iterator<Item = &str> {
    let weight = |arn: &str| route.split().weight(arn).unwrap_or(0);
    route.start.groups.values().map(String::as_str).filter(move |arn| weight(arn) > 0)
}

/// Evaluates all conditions, for a run that passed [`blocked_by_run`].
pub fn judge(
    plan: &Plan,
    state: &State,
    records: &[Record],
    facts: &FinalizeFacts,
    quiet: Duration,
    now: Timestamp,
) -> Vec<FinalizeCondition> {
    let mut all = vec![condition("run", ConditionStatus::Yes, format!("the run {} has completed", state.run))];
    all.push(shares_condition(plan, state, facts));
    all.extend(left_out_conditions(plan, state, facts));
    all.push(time_condition(plan, state, records, now));
    all.extend(facts.requests.iter().map(|(workload, seen)| requests_condition(plan, workload, seen, quiet, now)));
    all.push(rules_condition(plan, state, facts));
    all.push(health_condition(plan, state, facts));
    all
}

/// Returns the worst status of all conditions.
pub fn worst_status(items: &[FinalizeCondition]) -> ConditionStatus {
    items.iter().map(|item| item.stands).max().unwrap_or(ConditionStatus::Yes)
}

fn shares_condition(plan: &Plan, state: &State, facts: &FinalizeFacts) -> FinalizeCondition {
    let from = &plan.strategy.from;
    let mut deleted = Vec::new();
    for route in state.routes.values() {
        let label = &route.start.label;
        match facts.routes.get(&route.start.id) {
            Some(Ok(live)) if live.equivalent(&route.confirmed) => {}
            Some(Ok(live)) => {
                let shares =
                    live.forward_split().map(|split| desired_split::shares_of(route, split)).unwrap_or_default();
                let shares = shares.iter().map(|(c, share)| format!("{c} {share:.0} %")).collect::<Vec<_>>().join(", ");
                return condition(
                    "shares",
                    ConditionStatus::Drift,
                    format!("{label} is not as the run left it: {shares}"),
                );
            }
            // A deleted rule forwards nothing to the old cluster.
            Some(Err(Unreadable::NotFound(_))) => deleted.push(label.as_str()),
            Some(Err(why)) => {
                return condition("shares", ConditionStatus::Unknown, format!("{label} cannot be read: {why}"));
            }
            None => return condition("shares", ConditionStatus::Unknown, format!("{label} was not read")),
        }
    }
    let left = match state.routes.len() - deleted.len() {
        0 => "no route is left".to_owned(),
        1 => format!("the route is as the run left it: {from} has no weight"),
        many => format!("all {many} routes are as the run left them: {from} has no weight"),
    };
    let deleted = match deleted.len() {
        0 => String::new(),
        1 => format!("; deleted: {}", deleted[0]),
        many => format!("; deleted: {many} routes ({})", list(&deleted)),
    };
    condition("shares", ConditionStatus::Yes, format!("{left}{deleted}"))
}

/// Evaluates for each route that was left out whether the old cluster can be retired: when its load balancer is back, it
/// may still send requests there.
fn left_out_conditions(plan: &Plan, state: &State, facts: &FinalizeFacts) -> impl Iterator<Item = FinalizeCondition> {
    state.left_out.values().map(|route| {
        let (stands, message) = left_out_status(plan, route, facts);
        condition("leftOut", stands, message)
    })
}

fn left_out_status(plan: &Plan, route: &Route, facts: &FinalizeFacts) -> (ConditionStatus, String) {
    let from = &plan.strategy.from;
    let left_out = format!("{} was left out with `resume --without`", route.start.label);
    let live = match facts.routes.get(&route.start.id) {
        Some(Ok(live)) => live,
        other => {
            let why = other.and_then(|read| read.as_ref().err()).map_or("not read".to_owned(), ToString::to_string);
            let message = format!(
                "{left_out} and cannot be read: {why}; if it comes back with the shares of the start, it sends requests to \
                 {from}: first change its configuration, or remove it for good"
            );
            return (ConditionStatus::Unknown, message);
        }
    };
    let share = live.forward_split().map(|split| desired_split::shares_of(route, split)).unwrap_or_default();
    match share.get(from) {
        Some(share) if *share > 0.0 => {
            (ConditionStatus::No, format!("{left_out}; it answers again and sends {share:.0} % to {from}"))
        }
        _ => (ConditionStatus::Yes, format!("{left_out}; it answers again, and {from} has no weight there")),
    }
}

/// Evaluates the condition that the cookies and the connections of the old groups' last clients have expired.
fn time_condition(plan: &Plan, state: &State, records: &[Record], now: Timestamp) -> FinalizeCondition {
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
        return condition("time", ConditionStatus::Yes, format!("{from} has had no traffic in this run"));
    };
    let (until, parts) = (
        later(last, sticky + delay),
        format!("stickiness {} and deregistration {}", duration::format_exact(sticky), duration::format_exact(delay)),
    );
    if until > now {
        let message = format!("the last shift was at {}; {parts} have not passed since", last.strftime("%F %T UTC"));
        return FinalizeCondition { until: Some(until), ..condition("time", ConditionStatus::Wait, message) };
    }
    condition(
        "time",
        ConditionStatus::Yes,
        format!("{parts} have passed since the last shift, at {}", last.strftime("%F %T UTC")),
    )
}

/// Returns when the weight of an old group was last lowered.
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

fn requests_condition(
    plan: &Plan,
    workload: &str,
    seen: &MeasuredValue,
    quiet_for: Duration,
    now: Timestamp,
) -> FinalizeCondition {
    let (from, quiet) = (&plan.strategy.from, duration::format_exact(quiet_for));
    let unknown = |why: &str| {
        condition(
            "requests",
            ConditionStatus::Unknown,
            format!("{workload}: it is unknown whether {from} got requests in the last {quiet}: {why}"),
        )
    };
    match seen {
        MeasuredValue::Counts { old, .. } if old.requests > 0 => {
            let n = old.requests;
            let message =
                format!("{workload}: {from} got {n} requests in the last {quiet}, and must get none for {quiet}");
            FinalizeCondition {
                // The last request may have come just now.
                until: Some(later(now, quiet_for)),
                ..condition("requests", ConditionStatus::Wait, message)
            }
        }
        MeasuredValue::Counts { new, .. } if new.requests == 0 => {
            unknown("no cluster got requests, so the counts may be missing")
        }
        MeasuredValue::Counts { new, .. } => {
            let n = new.requests;
            condition(
                "requests",
                ConditionStatus::Yes,
                format!("{workload}: {from} got no requests in the last {quiet}, the other clusters {n}"),
            )
        }
        MeasuredValue::Nothing { .. } => unknown("no cluster got requests, so the counts may be missing"),
        MeasuredValue::Unreadable { message } | MeasuredValue::State { message, .. } => unknown(message),
        MeasuredValue::Latencies { .. } | MeasuredValue::Value { .. } => {
            unknown("the metric source did not return request counts")
        }
    }
}

/// Evaluates the condition that no other rule of the load balancers forwards to the old groups, at any weight.
fn rules_condition(plan: &Plan, state: &State, facts: &FinalizeFacts) -> FinalizeCondition {
    let old: BTreeSet<String> = state.routes.values().filter_map(|r| old_group(plan, r)).map(str::to_owned).collect();
    let mut forwarding_rules = Vec::new();
    for (load_balancer, census) in &facts.census {
        let census = match census {
            Ok(census) => census,
            Err(why) => {
                return condition(
                    "rules",
                    ConditionStatus::Unknown,
                    format!("the rules of {load_balancer} cannot be read: {why}"),
                );
            }
        };
        if let Some(unread) = census.unread.iter().find(|u| !state.routes.contains_key(&u.id) && u.may_concern(&old)) {
            return condition(
                "rules",
                ConditionStatus::Unknown,
                format!("{} cannot be read: {}", unread.label, unread.why),
            );
        }
        let others = census.routes.iter().filter(|r| !state.routes.contains_key(&r.id));
        let forwards_to_old = |r: &&FoundRoute| r.content.split.ids().any(|id| old.contains(id));
        forwarding_rules.extend(others.filter(forwards_to_old).map(|r| r.label.clone()));
    }
    let from = &plan.strategy.from;
    if forwarding_rules.is_empty() {
        return condition("rules", ConditionStatus::Yes, format!("no other rule forwards to {from}"));
    }
    condition(
        "rules",
        ConditionStatus::No,
        format!("these rules also forward to {from}, and the plan does not move them: {}", forwarding_rules.join(", ")),
    )
}

/// Evaluates the condition that all groups with traffic have healthy targets.
fn health_condition(plan: &Plan, state: &State, facts: &FinalizeFacts) -> FinalizeCondition {
    let name =
        |group: &str| state.started.groups.get(group).map_or_else(|| group.to_owned(), |start| start.name.clone());
    if let Some((arn, _)) = facts.healthy.iter().find(|(_, healthy)| matches!(healthy, Ok(0))) {
        return condition("health", ConditionStatus::No, format!("{} has no healthy target", name(arn)));
    }
    if let Some((arn, why)) = facts.healthy.iter().find_map(|(arn, healthy)| Some((arn, healthy.as_ref().err()?))) {
        return condition(
            "health",
            ConditionStatus::Unknown,
            format!("the health of {} cannot be read: {why}", name(arn)),
        );
    }
    let all =
        facts.healthy.iter().filter_map(|(arn, healthy)| Some(format!("{} {}", name(arn), healthy.as_ref().ok()?)));
    let all = all.collect::<Vec<_>>().join(", ");
    let groups = if all.is_empty() { format!("only groups of {} have traffic", plan.strategy.from) } else { all };
    condition("health", ConditionStatus::Yes, format!("healthy targets: {groups}"))
}

fn condition(what: &'static str, stands: ConditionStatus, message: String) -> FinalizeCondition {
    FinalizeCondition { what, stands, message, until: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixture;

    /// Regression test: `finalize` counted a deleted rule as a route that is as the run left it.
    #[test]
    fn a_deleted_rule_is_named_and_not_counted() {
        let state = fixture::state(fixture::started(4));
        let live = |route: &Route| match route.start.label.as_str() {
            "80 rule 20" => Err(Unreadable::NotFound("80 rule 20".into())),
            _ => Ok(route.confirmed.clone()),
        };
        let routes = state.routes.iter().map(|(id, route)| (id.clone(), live(route))).collect();
        let facts = FinalizeFacts { routes, ..FinalizeFacts::default() };
        let item = shares_condition(&fixture::plan(), &state, &facts);
        assert_eq!(item.stands, ConditionStatus::Yes);
        assert_eq!(item.message, "the route is as the run left it: a has no weight; deleted: 80 rule 20");
    }
}
