//! The steps themselves, once nothing holds them.

use std::time::Duration;

use jiff::Timestamp;

use super::{Batch, Decision, Orders, guard, hold, hooks, metrics, newer, wait};
use crate::base::duration;
use crate::base::hours::opened;
use crate::base::time::later;
use crate::domain::decide::goal;
use crate::domain::decide::hours;
use crate::domain::elb::arn::short as name;
use crate::domain::health::gate::{self, Raise};
use crate::domain::run::event::GateKind;
use crate::domain::run::event::{Event, Freeze, GroupStart, Outcome, RouteStart, StepType, Stop, Wait, WaitReason, Write};
use crate::domain::run::hook::Occasion;
use crate::domain::run::state::{AUTOMATIC, Baked, Phase, Route, State};
use crate::domain::run::watch::Watch;
use crate::domain::traffic::Split;
use crate::plan::model::{Limit, OnFailure, OnTimeout, Plan, Step, StepKind};

/// A bake is journalled this often, so that a crash loses no more.
const BAKE_RECORD: Duration = Duration::from_mins(1);

/// What the current step needs next.
pub fn decide(plan: &Plan, state: &State, watch: &Watch, orders: Orders, now: Timestamp) -> Decision {
    match state.phase {
        Phase::Ready => begin(plan, state, watch, orders, now),
        Phase::Moving => moving(plan, state, watch, now),
        Phase::Baking => baking(plan, state, watch, now),
        Phase::Working => working(plan, state, watch, now),
        Phase::Awaiting => awaiting(plan, state, watch, now),
        Phase::RollingBack | Phase::Detaching | Phase::Finished => Decision::Wait(Vec::new()),
    }
}

/// A step's name, or what it does, in the plan's own words.
pub fn label(step: &Step) -> String {
    let what = match &step.kind {
        StepKind::Bind => "bind".into(),
        StepKind::Shares(shares) => shares.iter().map(|(c, s)| format!("{c} {s} %")).collect::<Vec<_>>().join(", "),
        StepKind::Bake(d) => format!("pause {}", duration::show(*d)),
        StepKind::Exec(exec) => format!("exec {}", hooks::line(&exec.command)),
        StepKind::Unknown => "a step that this cutover does not know".into(),
        StepKind::Approval(None) => "pause until promoted".into(),
        StepKind::Approval(Some(text)) => format!("approval: {text}"),
    };
    let what = step.limit.map_or(what.clone(), |l| format!("{what} ({}, then {})", duration::show(l.after), l.then.word()));
    step.name.as_ref().map_or(what.clone(), |name| format!("{name} ({what})"))
}

fn begin(plan: &Plan, state: &State, watch: &Watch, orders: Orders, now: Timestamp) -> Decision {
    let Some(step) = plan.strategy.steps.get(state.step - 1) else {
        if let Some(decision) =
            [Occasion::BeforeFinish, Occasion::AfterFinish].into_iter().find_map(|at| hooks::step(plan, state, watch, at))
        {
            return decision;
        }
        let stayed =
            |start: &RouteStart| format!("{} was made during the run and was not moved: it still forwards to the old groups", start.label);
        let remarks = state.newcomers.values().map(stayed).collect();
        return Decision::Record(vec![Event::Finished { outcome: Outcome::Completed, remarks, left: Vec::new() }]);
    };
    if orders.until.is_some_and(|until| state.step > until) {
        return Decision::Leave(
            Stop::Waiting,
            format!("stopped before step {} ({}), as asked; nobody guards the traffic now", step.number, label(step)),
        );
    }
    if let Some(wait) = hours::wait(&plan.strategy, step.number, now) {
        return Decision::Wait(vec![wait]);
    }
    let kind = match step.kind {
        StepKind::Bind => StepType::Bind,
        StepKind::Shares(_) => StepType::Shares,
        StepKind::Bake(_) => StepType::Bake,
        StepKind::Approval(_) => StepType::Approval,
        StepKind::Exec(_) => StepType::Exec,
        StepKind::Unknown => return Decision::Wait(newer::wait(plan, state).into_iter().collect()),
    };
    Decision::Record(vec![Event::StepStarted { step: step.number, kind, label: label(step) }])
}

/// A command; then the metric gates of its step, as at the end of a pause.
fn working(plan: &Plan, state: &State, watch: &Watch, now: Timestamp) -> Decision {
    hooks::step(plan, state, watch, Occasion::Command)
        .or_else(|| gated(plan, state, watch, now))
        .unwrap_or_else(|| Decision::Record(vec![Event::StepDone { step: state.step }]))
}

fn awaiting(plan: &Plan, state: &State, watch: &Watch, now: Timestamp) -> Decision {
    if state.released || state.full {
        return Decision::Record(vec![Event::StepDone { step: state.step }]);
    }
    let limit = plan.strategy.steps.get(state.step - 1).and_then(|step| step.limit).filter(|_| !state.timed_out);
    let until = limit.map(|limit| (limit, later(state.step_since, limit.after)));
    if let Some((limit, _)) = until.filter(|(_, until)| *until <= now) {
        return Decision::Record(nobody_approved(state, watch, limit));
    }
    let text = match hold::current(plan, state) {
        Some(StepKind::Approval(Some(text))) => format!("approval: {text}"),
        _ => "until promoted".into(),
    };
    wait(WaitReason::Approval, text, until.map(|(_, until)| until))
}

fn nobody_approved(state: &State, watch: &Watch, Limit { after, then }: Limit) -> Vec<Event> {
    let millis = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
    let message = format!("nobody approved within {}", duration::show(after));
    let effect = match then {
        OnTimeout::Proceed => Vec::new(),
        OnTimeout::Pause => vec![Event::Paused { by: AUTOMATIC.into(), reason: message, request: None }],
        OnTimeout::Rollback => guard::back(state, watch, message).unwrap_or_else(|freeze| vec![freeze]),
    };
    [vec![Event::TimedOut { step: state.step, after: millis, then: then.into() }], effect].concat()
}

fn baking(plan: &Plan, state: &State, watch: &Watch, now: Timestamp) -> Decision {
    let Some(StepKind::Bake(length)) = hold::current(plan, state) else { return Decision::Wait(Vec::new()) };
    let (observed, _, until) = baked(state, watch);
    if state.released || state.full {
        return Decision::Record(vec![Event::StepDone { step: state.step }]);
    }
    if observed >= *length {
        return gated(plan, state, watch, now).unwrap_or_else(|| Decision::Record(vec![Event::StepDone { step: state.step }]));
    }
    if let Some(event) = bake_record(state, watch) {
        return Decision::Record(vec![event]);
    }
    let until = later(until, length.saturating_sub(observed));
    let mut waits = hold::failing(plan, state, watch, now);
    waits.push(Wait { reason: WaitReason::Bake, message: format!("baking for {}", duration::show(*length)), until: Some(until) });
    Decision::Wait(waits)
}

/// Observed time of the current bake, unobserved time since the last record, and the look up to which both are counted.
fn baked(state: &State, watch: &Watch) -> (Duration, Duration, Timestamp) {
    let Baked { observed: before, until: at } = state.baked;
    let until = watch.last_look.unwrap_or(at).max(at);
    let (observed, unseen) = watch.observed(at, until);
    (before + observed, unseen, until)
}

/// The bake's record, where one is due: each minute, and after a gap.
pub fn bake_record(state: &State, watch: &Watch) -> Option<Event> {
    bake_over(state, watch, BAKE_RECORD)
}

/// The same for a process that leaves: whoever comes next counts on from its last look.
pub fn last_bake_record(state: &State, watch: &Watch) -> Option<Event> {
    bake_over(state, watch, Duration::from_millis(1))
}

fn bake_over(state: &State, watch: &Watch, least: Duration) -> Option<Event> {
    let (observed, unseen, until) = baked(state, watch);
    let millis = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
    let due = observed >= state.baked.observed + least || !unseen.is_zero();
    due.then(|| Event::Baked { step: state.step, millis: millis(observed), gap: millis(unseen), until })
}

/// Whether a step that moves is in the middle: some of its routes are written and others not, or a gate only has to hold for a while yet.
/// A gate that lacks something says nothing about when it will not.
pub fn in_motion(plan: &Plan, state: &State, watch: &Watch, now: Timestamp) -> bool {
    if state.phase != Phase::Moving || state.held() || unbegun(plan, state, now).is_some() {
        return false;
    }
    let bind = hold::current(plan, state) == Some(&StepKind::Bind);
    let pending = pending(plan, state).unwrap_or_default();
    if !pending.is_empty() && state.first_write.is_some() {
        return true;
    }
    let coming = goal::coming(plan, state.step).map_or(state.step, |(number, _)| number);
    let (groups, step) = if bind { (first_raised(plan, state), coming) } else { (raised(state, &pending), state.step) };
    match short(plan, state, watch, &groups, step, now) {
        Some(Decision::Wait(waits)) => waits.iter().all(|wait| wait.until.is_some()),
        Some(_) => true,
        None => false,
    }
}

fn moving(plan: &Plan, state: &State, watch: &Watch, now: Timestamp) -> Decision {
    let bind = hold::current(plan, state) == Some(&StepKind::Bind);
    let (before, after) = if bind { (Occasion::BeforeBind, Occasion::AfterBind) } else { (Occasion::BeforeShift, Occasion::AfterShift) };
    if state.first_write.is_none()
        && !state.settled
        && let Some(decision) = hooks::step(plan, state, watch, before)
    {
        let wait = unbegun(plan, state, now).filter(|_| matches!(decision, Decision::Call(_)));
        return wait.map_or(decision, |wait| Decision::Wait(vec![wait]));
    }
    let pending = match pending(plan, state) {
        Ok(pending) => pending,
        Err(message) => return frozen(Freeze::WriteFailed, message),
    };
    if !pending.is_empty() {
        return shift(plan, state, watch, pending, bind, now);
    }
    if let Some(wait) = settling(plan, state, now) {
        return wait;
    }
    if !state.settled {
        if bind && let Some(decision) = bound(plan, state, watch, now) {
            return decision;
        }
        let settled = Event::Settled { step: state.step };
        let over = hooks::step(plan, state, watch, after).is_none();
        return Decision::Record([Some(settled), over.then_some(Event::StepDone { step: state.step })].into_iter().flatten().collect());
    }
    hooks::step(plan, state, watch, after).unwrap_or_else(|| Decision::Record(vec![Event::StepDone { step: state.step }]))
}

/// The routes that are not yet as the current step wants them, with what they are to be; or why that cannot be spelled.
fn pending<'a>(plan: &Plan, state: &'a State) -> Result<Vec<(&'a Route, Split)>, String> {
    let mut pending = Vec::new();
    for route in state.routes.values().filter(|r| !r.gone()) {
        match goal::after(plan, &state.started, route, state.step) {
            Ok(set) if route.open.is_none() && route.split().same(&set) => {}
            Ok(set) => pending.push((route, set)),
            Err(e) => return Err(format!("{}: {e}", route.start.label)),
        }
    }
    Ok(pending)
}

/// Moves the routes that still need it, if the groups that it raises can take it.
fn shift(plan: &Plan, state: &State, watch: &Watch, pending: Vec<(&Route, Split)>, bind: bool, now: Timestamp) -> Decision {
    if state.first_write.is_some_and(|first| later(first, plan.strategy.gates.timeout) <= now) {
        let (route, _) = &pending[0];
        return write_failed(
            plan,
            state,
            watch,
            format!("{} could not be written within {}", route.start.label, duration::show(plan.strategy.gates.timeout)),
        );
    }
    if let Some((why, route)) = pending.iter().find_map(|(r, _)| watch.refused.get(&r.start.id).map(|why| (why, r))) {
        return write_failed(plan, state, watch, format!("{}: {why}", route.start.label));
    }
    if let Some(wait) = unbegun(plan, state, now) {
        return Decision::Wait(vec![wait]);
    }
    if !bind && let Some(decision) = raise(plan, state, watch, &raised(state, &pending), state.step, now) {
        return decision;
    }
    // Once the shares have begun to move, nothing can be measured of them; the guard goes on.
    if !bind
        && state.first_write.is_none()
        && let Some(decision) = gated(plan, state, watch, now)
    {
        return decision;
    }
    let open = pending.iter().filter_map(|(r, _)| r.open.as_ref()).map(|o| o.deadline).max();
    let ready = pending.into_iter().filter(|(r, _)| r.open.is_none()).collect();
    batch_over(state, ready)
        .unwrap_or_else(|| wait(WaitReason::OpenWrite, "a write was never answered; it is decided once it can no longer take effect", open))
}

/// Why the writes of the current step may not begin now, though the step did: its gate took too long, or nobody went on with it in time. One that
/// is written in part goes on to its end.
fn unbegun(plan: &Plan, state: &State, now: Timestamp) -> Option<Wait> {
    if state.first_write.is_some() { None } else { hours::wait(&plan.strategy, state.step, now) }
}

/// A batch that moves these routes from what is known to what is wanted; `None` where there are none.
pub fn batch_over(state: &State, routes: Vec<(&Route, Split)>) -> Option<Decision> {
    let raises = raised(state, &routes);
    let writes: Vec<_> = routes
        .into_iter()
        .map(|(route, set)| Write { route: route.start.id.clone(), expect: Some(route.expected().split.clone()), set })
        .collect();
    (!writes.is_empty()).then_some(Decision::Write(Batch { restore: false, writes, raises }))
}

/// The groups whose share rises on any of these routes.
pub fn raised(state: &State, routes: &[(&Route, Split)]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for (route, set) in routes {
        let (now, then) = (goal::shares_of(route, &route.expected().split), goal::shares_of(route, set));
        let rises = |cluster: &str| then.get(cluster).copied().unwrap_or(0.0) > now.get(cluster).copied().unwrap_or(0.0) + 1e-9;
        all.extend(route.start.groups.iter().filter(|(c, _)| rises(c)).map(|(_, arn)| arn.clone()));
    }
    all.sort_unstable();
    all.dedup();
    all.retain(|arn| state.started.groups.contains_key(arn));
    all
}

/// `bind`, once the groups are attached: the bindings, then the raise gate at the first share to come.
fn bound(plan: &Plan, state: &State, watch: &Watch, now: Timestamp) -> Option<Decision> {
    let key = |b: &crate::domain::run::event::BindingStart| (b.cluster.clone(), format!("{}/{}", b.binding.namespace, b.binding.name));
    let missing: Vec<_> = state.started.bindings.iter().filter(|b| !state.bound.contains(&key(b))).cloned().collect();
    if !missing.is_empty() {
        // Between two tries it waits, and says why, however long a try takes.
        return Some(if watch.unbound.is_empty() { Decision::Bind(missing) } else { Decision::Wait(watch.unbound.clone()) });
    }
    let groups = first_raised(plan, state);
    let step = goal::coming(plan, state.step).map_or(state.step, |(number, _)| number);
    raise(plan, state, watch, &groups, step, now)
}

/// The groups that the first share step to come raises.
fn first_raised(plan: &Plan, state: &State) -> Vec<String> {
    let Some((number, _)) = goal::coming(plan, state.step) else { return Vec::new() };
    let pairs: Vec<_> =
        state.routes.values().filter_map(|r| goal::after(plan, &state.started, r, number).ok().map(|set| (r, set))).collect();
    raised(state, &pairs)
}

/// Whether the raise gates of the current step hold: what a frozen time-out waits for.
pub fn gate_holds(plan: &Plan, state: &State, watch: &Watch, now: Timestamp) -> bool {
    let step = goal::coming(plan, state.step).map_or(state.step, |(number, _)| number);
    let healthy = first_raised(plan, state).iter().all(|group| gate_of(plan, state, watch, group, step, now) == Raise::Holds);
    healthy && metrics::short(plan, state, watch, now).is_empty()
}

fn gate_of(plan: &Plan, state: &State, watch: &Watch, group: &str, step: usize, now: Timestamp) -> Raise {
    let Some(start) = state.started.groups.get(group) else { return Raise::Unknown };
    if watch.unreadable.contains_key(group) {
        return Raise::Unknown;
    }
    let share = match goal::ruling(plan, step) {
        Some((_, shares)) => shares.get(&start.cluster).copied().unwrap_or(0),
        None => original(state, &start.cluster),
    };
    let zones = if start.cross_zone { Vec::new() } else { zones(start, watch, group) };
    let gate = &plan.strategy.gates.raise;
    let need = gate::need(gate, share, guard::family_total(state, watch, group), &zones, Duration::from_secs(start.interval.into()));
    match watch.replicas.get(group) {
        // Targets are nodes: what answers behind them are the ready replicas.
        Some(ready) if *ready < need.healthy => {
            Raise::Short(format!("has {ready} ready replicas of the {} that {share} % needs", need.healthy))
        }
        _ => match (gate::raise(watch.of(group), &need, watch.fresh(), now), watch.ceilings.get(group)) {
            (Raise::Short(why), Some(max)) if *max < need.healthy => Raise::Short(format!("{why}; its HPA stops at {max}")),
            (raise, _) => raise,
        },
    }
}

/// The zones that must each hold their part of a group without cross-zone balancing: every one that the load balancer sends to, not only
/// those in which targets happen to be. Where AWS names no zones of targets (or `all`, for addresses outside the VPC), there is nothing to
/// compare them with.
fn zones(start: &GroupStart, watch: &Watch, group: &str) -> Vec<String> {
    let seen: Vec<_> = watch.zones.get(group).into_iter().flatten().cloned().collect();
    if start.zones.is_empty() || seen.is_empty() || seen.iter().any(|z| z == "all") { seen } else { start.zones.clone() }
}

/// A cluster's share of the traffic before the first share step: the largest that it has on any route, in percent.
fn original(state: &State, cluster: &str) -> u32 {
    let share = |route: &Route| goal::shares_of(route, route.original()).get(cluster).map_or(0, |share| gate::ceil(*share));
    state.routes.values().map(share).max().unwrap_or(0)
}

/// Holds the raise gates of these groups to a step, for as long as that may take; `None` where all hold.
fn raise(plan: &Plan, state: &State, watch: &Watch, groups: &[String], step: usize, now: Timestamp) -> Option<Decision> {
    let mut waits = match short(plan, state, watch, groups, step, now)? {
        Decision::Wait(waits) => waits,
        look => return Some(look),
    };
    // While a window is closed nothing is late.
    let opened = opened(&plan.strategy.hours, now).filter(|_| state.step == step);
    let timeout = later(opened.map_or(state.gate_since, |at| at.max(state.gate_since)), plan.strategy.gates.timeout);
    if timeout > now {
        waits[0].until = waits[0].until.or(Some(timeout));
        return Some(Decision::Wait(waits));
    }
    Some(timed_out(plan, state, watch, groups, waits.swap_remove(0).message))
}

/// Holds the step to the metric gates that must pass, for as long as that may take; `None` where all do.
fn gated(plan: &Plan, state: &State, watch: &Watch, now: Timestamp) -> Option<Decision> {
    let mut waits = metrics::short(plan, state, watch, now);
    let first = waits.first_mut()?;
    // The time of a pause is no time in which its gates were asked to pass.
    let bake = if let Some(StepKind::Bake(length)) = hold::current(plan, state) { *length } else { Duration::ZERO };
    let timeout = later(later(state.gate_since, bake), plan.strategy.gates.timeout);
    if timeout > now {
        first.until = Some(timeout);
        return Some(Decision::Wait(waits));
    }
    let message = waits.swap_remove(0).message;
    Some(timed_out(plan, state, watch, &[], message))
}

/// What the raise gates of these groups still lack for a step, or a look at those that were not seen lately; `None` where all hold.
pub fn short(plan: &Plan, state: &State, watch: &Watch, groups: &[String], step: usize, now: Timestamp) -> Option<Decision> {
    let mut waits = Vec::new();
    let mut stale = Vec::new();
    for group in groups {
        let (message, until) = match gate_of(plan, state, watch, group, step, now) {
            Raise::Holds => continue,
            Raise::Unknown if watch.unreadable.contains_key(group) => (format!("{} cannot be read", name(group)), None),
            Raise::Unknown => {
                stale.push(group.clone());
                continue;
            }
            Raise::Since(until) => (format!("{} is healthy enough, and must stay so for a while", name(group)), Some(until)),
            Raise::Short(why) => (format!("{} {why}", name(group)), None),
        };
        waits.push(Wait { reason: WaitReason::RaiseGate, message, until });
    }
    if !stale.is_empty() {
        return Some(Decision::Look(stale));
    }
    if waits.is_empty() { None } else { Some(Decision::Wait(waits)) }
}

fn timed_out(plan: &Plan, state: &State, watch: &Watch, groups: &[String], why: String) -> Decision {
    let message = format!("not ready within {}: {why}", duration::show(plan.strategy.gates.timeout));
    if plan.strategy.gates.on_timeout == OnFailure::Pause {
        return frozen(Freeze::GateTimeout, message);
    }
    let failed = Event::GateFailed { gate: GateKind::Raise, group: groups.first().cloned().unwrap_or_default(), message: message.clone() };
    Decision::Record(match guard::back(state, watch, message) {
        Ok(events) => [vec![failed], events].concat(),
        Err(freeze) => vec![failed, freeze],
    })
}

fn write_failed(plan: &Plan, state: &State, watch: &Watch, message: String) -> Decision {
    failed(plan, state, watch, Freeze::WriteFailed, message)
}

/// `onFailure`, for what is no guard.
pub fn failed(plan: &Plan, state: &State, watch: &Watch, freeze: Freeze, message: String) -> Decision {
    if plan.strategy.on_failure == OnFailure::Pause {
        return frozen(freeze, message);
    }
    Decision::Record(guard::back(state, watch, message).unwrap_or_else(|freeze| vec![freeze]))
}

fn frozen(reason: Freeze, message: String) -> Decision {
    Decision::Record(vec![Event::Frozen { reason, message }])
}

fn settling(plan: &Plan, state: &State, now: Timestamp) -> Option<Decision> {
    let until = later(state.last_applied?, plan.strategy.settle);
    (!state.settled && until > now).then(|| wait(WaitReason::Settle, "written and read back; settling", Some(until)))
}
