//! Tests decisions over time: a run starts at a step, gets a simulated observation every five seconds, and the
//! journalled events are checked.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::domain::decide::desired_split;
use crate::domain::fixture;
use crate::domain::health::{Target, TargetState};
use crate::domain::kubernetes::binding::Binding;
use crate::domain::run::event::{
    BindingStart, Event, FreezeReason, Record, ResumeMode, StepType, StopReason, Wait, WaitReason,
};
use crate::domain::run::observation::{Marker, Observation, Observed};
use crate::domain::run::state::{Phase, State};
use crate::domain::traffic::{Reading, Unreadable};
use crate::plan::model::{OnFailure, Plan, StepKind};

mod comparison;
mod hours;
mod leaving;

const POLL: i64 = 5;

/// A run and its simulated observations.
struct Sim {
    plan: Plan,
    state: State,
    watch: Observed,
    now: Timestamp,
    /// All journalled events.
    events: Vec<Event>,
    orders: ProcessOptions,
}

/// The numbers of healthy and unhealthy targets, or why the health cannot be read.
type TargetCounts = Result<(u32, u32), Unreadable>;

impl Sim {
    /// Starts a run at a step of [`fixture::plan`] with the weights of the previous steps. `healthy` is the number of
    /// healthy targets of `a` at the start.
    fn at_step(step: usize, healthy: u32) -> Self {
        let now = Timestamp::from_second(1_000_000).expect("the test's timestamp must be valid");
        let event = Event::Started(Box::new(fixture::started(healthy)));
        let state = State::fold(&[Record::new(1, now, "r", event)])
            .expect("the event must be legal")
            .expect("the journal must give a state");
        let plan = fixture::plan();
        let watch = Observed::new(now, Duration::from_secs(POLL.unsigned_abs()), Duration::from_mins(5));
        let mut sim = Self { plan, state, watch, now, events: Vec::new(), orders: ProcessOptions::default() };
        sim.state.step = step;
        let kind = match sim.plan.strategy.steps[step - 1].kind {
            StepKind::Bind => StepType::Bind,
            StepKind::Shares(_) => StepType::Shares,
            StepKind::Bake(_) => StepType::Bake,
            StepKind::Approval(_) => StepType::Approval,
            StepKind::HeaderRoute(_) => StepType::HeaderRoute,
            StepKind::HandOver(_) => StepType::HandOver,
            StepKind::Exec(_) | StepKind::Unknown => StepType::Exec,
        };
        sim.apply(Event::StepStarted { step, kind, label: String::new() });
        let done = if kind == StepType::Shares { step - 1 } else { step };
        let started = sim.state.started.clone();
        for route in sim.state.routes.values_mut() {
            let split = desired_split::after_step(&sim.plan, &started, route, done)
                .expect("the weights must express the shares");
            route.confirmed.split = split;
        }
        sim
    }

    fn apply(&mut self, event: Event) {
        self.state.apply(self.now, &event).expect("the event must be legal");
        self.events.push(event);
    }

    /// Observes this health after this many seconds, and decides until a decision needs an action.
    fn observe_after(&mut self, seconds: i64, a: &TargetCounts, b: &TargetCounts) -> Decision {
        self.now += SignedDuration::from_secs(seconds);
        let at = self.now;
        let health = [("webapp-a", a), ("webapp-b", b)].map(|(group, seen)| {
            let value = seen.clone().map(|(healthy, unhealthy)| {
                let target = |state| Target {
                    id: "10.0.0.1".into(),
                    port: 80,
                    zone: None,
                    state,
                    reason: None,
                    explanation: None,
                };
                let healthy = (0..healthy).map(|_| target(TargetState::Healthy));
                healthy.chain((0..unhealthy).map(|_| target(TargetState::Unhealthy))).collect()
            });
            (fixture::group_arn(group), Reading { at, value })
        });
        let routes =
            self.state.routes.values().map(|r| (r.start.id.clone(), Reading { at, value: Ok(r.confirmed.clone()) }));
        let marker = Some(Reading { at, value: Ok(Marker::Ours) });
        let observation =
            Observation { routes: routes.collect(), health: health.into(), marker, ..Observation::default() };
        self.watch.add(at, observation, true);
        self.decide_until_action()
    }

    fn decide_until_action(&mut self) -> Decision {
        for _ in 0..10 {
            match decide(
                &Context { plan: &self.plan, state: &self.state, observed: &self.watch, now: self.now },
                self.orders,
            ) {
                Decision::Record(events) => events.into_iter().for_each(|e| self.apply(e)),
                Decision::ReadRoutes => {
                    let census = Some(Reading { at: self.now, value: Ok(Vec::new()) });
                    self.watch.add(self.now, Observation { census, ..Observation::default() }, false);
                }
                other => return other,
            }
        }
        panic!("no decision needs an action after ten decisions: {:?}", self.events);
    }

    /// Observes every five seconds for this long; returns the last decision.
    fn observe_for(&mut self, seconds: i64, a: &TargetCounts, b: &TargetCounts) -> Decision {
        (0..seconds / POLL).map(|_| self.observe_after(POLL, a, b)).last().expect("the time must be at least one poll")
    }

    fn froze(&self) -> Vec<FreezeReason> {
        self.events
            .iter()
            .filter_map(|e| if let Event::Frozen { reason, .. } = e { Some(*reason) } else { None })
            .collect()
    }

    fn rolls_back(&self) -> bool {
        self.events.iter().any(|e| matches!(e, Event::RollbackStarted { .. }))
    }

    fn unfroze(&self) -> bool {
        self.events.iter().any(|e| matches!(e, Event::Unfrozen {}))
    }
}

#[allow(clippy::unnecessary_wraps)] // has the type of a failed reading
fn ok(healthy: u32) -> TargetCounts {
    Ok((healthy, 0))
}

fn messages(decision: &Decision) -> String {
    let Decision::Wait(waits) = decision else { panic!("a wait was expected, not {decision:?}") };
    waits.iter().map(|w| w.message.clone()).collect::<Vec<_>>().join("; ")
}

#[test]
fn raise_waits_for_capacity_and_then_writes_every_route() {
    let mut sim = Sim::at_step(4, 40);
    let waiting = sim.observe_for(60, &ok(40), &ok(4));
    assert!(messages(&waiting).contains("webapp-b has 4 of the 20 healthy targets that 50 % needs"), "{waiting:?}");
    let soon = sim.observe_after(POLL, &ok(40), &ok(20));
    assert!(messages(&soon).contains("must stay healthy for a while"), "{soon:?}");
    let Decision::Write(batch) = sim.observe_for(30, &ok(40), &ok(20)) else { panic!("a write was expected") };
    assert_eq!(
        (batch.writes.len(), batch.restore, batch.raised_groups),
        (2, false, vec![fixture::group_arn("webapp-b")])
    );
}

#[test]
fn each_write_needs_a_fresh_reading() {
    let mut sim = Sim::at_step(4, 40);
    let Decision::Write(batch) = sim.observe_for(60, &ok(40), &ok(20)) else { panic!("a write was expected") };
    let judge = |sim: &Sim| {
        let context = Context { plan: &sim.plan, state: &sim.state, observed: &sim.watch, now: sim.now };
        judge_chunk(&context, &batch, &batch.writes)
    };
    assert_eq!(judge(&sim), ChunkVerdict::default());
    sim.now += SignedDuration::from_secs(11);
    assert!(matches!(sim.decide_until_action(), Decision::Write(_)), "the step must use the last full observation");
    let held = judge(&sim);
    assert_eq!((held.waiting_routes.len(), held.waits[0].message.as_str()), (2, "webapp-b was not read in time"));
    sim.observe_after(0, &ok(40), &ok(19));
    let held = judge(&sim);
    assert_eq!((held.waiting_routes.len(), held.waits.len(), held.waits[0].reason), (2, 1, WaitReason::RaiseGate));
    assert!(held.waits[0].message.contains("has 19 of the 20 healthy targets that 50 % needs"), "{held:?}");
}

#[test]
fn failed_binding_attempt_is_shown_before_the_next_attempt() {
    let mut sim = Sim::at_step(1, 10);
    let binding: Binding = serde_json::from_value(serde_json::json!({
        "namespace": "shop", "name": "webapp", "service": "webapp", "port": "http",
        "targetGroupArn": fixture::group_arn("webapp-b"), "targetType": "ip", "extra": {},
    }))
    .expect("the test's binding must be valid");
    sim.state.started.bindings =
        vec![BindingStart { cluster: "b".into(), workload: "webapp".into(), create: true, binding }];
    assert!(matches!(sim.observe_for(20, &ok(10), &ok(0)), Decision::Bind(_)));
    sim.watch.binding_waits =
        vec![Wait { reason: WaitReason::Binding, message: "cluster b: no response within 15 s".into(), until: None }];
    // The attempt took as long as three observations: the next observation comes before the message.
    let waiting = sim.observe_after(3 * POLL, &ok(10), &ok(0));
    assert!(messages(&waiting).contains("cluster b: no response"), "{waiting:?}");
    sim.watch.binding_waits.clear();
    assert!(matches!(sim.observe_after(POLL, &ok(10), &ok(0)), Decision::Bind(_)));
}

#[test]
fn gate_time_out_freezes_with_the_reason_until_the_gate_passes() {
    let mut sim = Sim::at_step(4, 40);
    let waiting = sim.observe_for(20 * 60, &ok(40), &ok(4));
    assert_eq!(sim.froze(), [FreezeReason::GateTimeout]);
    assert!(
        messages(&waiting).contains("not ready within 20m: webapp-b has 4 of the 20 healthy targets that 50 % needs"),
        "{waiting:?}"
    );
    assert!(!sim.rolls_back());
    let decision = sim.observe_for(35, &ok(40), &ok(20));
    assert!(sim.unfroze() && matches!(decision, Decision::Write(_)), "{decision:?}");
}

#[test]
fn group_without_healthy_targets_causes_a_rollback_even_while_paused() {
    for pause in [false, true] {
        let mut sim = Sim::at_step(5, 10);
        sim.observe_for(30, &ok(10), &ok(5));
        if pause {
            sim.apply(Event::Paused { by: "alice".into(), reason: String::new(), request: None });
        }
        let Decision::Write(batch) = sim.observe_after(POLL, &ok(10), &Ok((0, 5))) else {
            panic!("a write was expected")
        };
        assert!(batch.restore && batch.writes.len() == 2 && batch.writes.iter().all(|w| w.expect.is_none()));
        let green = fixture::group_arn("webapp-b");
        assert!(batch.writes.iter().all(|w| w.set.weight(&green) == Some(0)), "{batch:?}");
        let failed = Event::GateFailed {
            gate: crate::domain::run::event::GateKind::Guard,
            group: green,
            message: "webapp-b has no healthy target (5 unhealthy)".into(),
        };
        assert!(sim.events.contains(&failed), "{:?}", sim.events);
    }
}

#[test]
fn failed_guard_with_on_failure_pause_freezes_until_an_operator_acts() {
    let mut sim = Sim::at_step(5, 10);
    sim.plan.strategy.on_failure = OnFailure::Pause;
    sim.observe_for(60, &ok(10), &Ok((0, 5)));
    assert_eq!(sim.froze(), [FreezeReason::GuardFailed]);
    sim.observe_for(60, &ok(10), &ok(10));
    assert!(!sim.unfroze() && !sim.rolls_back(), "after a failed guard the run must stay frozen without a rollback");
}

#[test]
fn unhealthy_old_cluster_freezes_and_never_rolls_back() {
    let mut sim = Sim::at_step(5, 10);
    sim.observe_for(30, &ok(10), &ok(10));
    sim.observe_for(600, &Ok((0, 10)), &ok(10));
    assert_eq!(sim.froze(), [FreezeReason::FromUnhealthy]);
    assert!(!sim.rolls_back());
    sim.observe_for(10, &ok(10), &ok(10));
    assert!(sim.unfroze(), "the run must unfreeze when the old cluster is healthy again");
    // A run that an operator resumed does not freeze again for this reason.
    sim.observe_for(10, &Ok((0, 10)), &ok(10));
    sim.apply(Event::Resumed { by: "alice".into(), mode: ResumeMode::PLAIN, ignore_hours: None, request: None });
    sim.observe_for(60, &Ok((0, 10)), &ok(10));
    assert_eq!(sim.froze(), [FreezeReason::FromUnhealthy; 2]);
    assert!(sim.state.frozen.is_none() && !sim.rolls_back());
}

#[test]
fn run_without_healthy_targets_for_a_rollback_freezes() {
    let mut sim = Sim::at_step(5, 10);
    sim.observe_for(30, &ok(10), &ok(10));
    let waiting = sim.observe_for(300, &Ok((0, 10)), &Ok((0, 10)));
    assert_eq!(sim.state.frozen.as_ref().map(|f| f.reason), Some(FreezeReason::NoWayBack));
    assert!(
        !sim.rolls_back() && messages(&waiting).contains("the old cluster has no healthy target for a rollback either"),
        "{waiting:?}"
    );
    // Unknown health of the old cluster does not prevent a rollback.
    let mut sim = Sim::at_step(5, 10);
    sim.observe_for(30, &ok(10), &ok(10));
    sim.observe_after(POLL, &Err(Unreadable::Throttled), &Ok((0, 10)));
    assert!(sim.rolls_back());
}

#[test]
fn rollback_to_fewer_healthy_targets_starts_with_a_notice() {
    let mut sim = Sim::at_step(5, 10);
    sim.observe_for(30, &ok(10), &ok(10));
    sim.observe_after(POLL, &ok(8), &Ok((0, 10)));
    let message = "a has only 8 healthy targets, 10 at the start; the rollback starts anyway";
    assert!(
        sim.rolls_back()
            && sim.events.contains(&Event::Notice { message: message.into(), refused: None, request: None }),
        "{:?}",
        sim.events
    );
}

#[test]
fn failed_readings_freeze_after_a_minute_and_never_roll_back() {
    let mut sim = Sim::at_step(5, 10);
    sim.observe_for(30, &ok(10), &ok(5));
    let failed_reading = Err(Unreadable::Credentials("expired".into()));
    let waiting = sim.observe_for(60, &ok(10), &failed_reading);
    assert_eq!(sim.froze(), [], "the run must not freeze before a minute has passed");
    assert!(messages(&waiting).contains("aws sso login"), "{waiting:?}");
    sim.observe_for(600, &ok(10), &failed_reading);
    assert_eq!(sim.froze(), [FreezeReason::Unreadable]);
    assert!(!sim.rolls_back());
    sim.observe_after(POLL, &ok(10), &ok(5));
    assert!(sim.unfroze() && sim.state.frozen.is_none());
}

#[test]
fn failed_readings_stop_raises() {
    let mut sim = Sim::at_step(4, 10);
    sim.observe_for(60, &ok(10), &ok(4));
    let waiting = sim.observe_for(120, &ok(10), &Err(Unreadable::Throttled));
    assert!(matches!(waiting, Decision::Wait(_)), "{waiting:?}");
    // Samples from before the gap do not count for the time in the gap.
    let waiting = sim.observe_after(POLL, &ok(10), &ok(5));
    assert!(messages(&waiting).contains("must stay healthy for a while"), "{waiting:?}");
}

/// Ten minutes of bake with one unobserved minute take eleven minutes.
#[test]
fn bake_counts_only_observed_time_and_journals_gaps() {
    let mut sim = Sim::at_step(3, 10);
    let (a, b) = (ok(10), ok(1));
    sim.observe_for(300, &a, &b);
    sim.observe_after(15, &a, &b);
    let gaps = |sim: &Sim| {
        sim.events.iter().filter_map(|e| if let Event::Baked { gap, .. } = e { Some(*gap) } else { None }).sum::<u64>()
    };
    assert_eq!(gaps(&sim), 0, "three polls without an observation must not count as a gap");
    sim.observe_after(60, &a, &b);
    assert_eq!(gaps(&sim), 60_000);
    sim.observe_for(10 * 60 - 315 - POLL, &a, &b);
    assert_eq!(sim.state.phase, Phase::Baking);
    sim.observe_after(POLL, &a, &b);
    assert!(sim.events.contains(&Event::StepDone { step: 3 }), "{:?}", sim.state.baked);
}

#[test]
fn observation_with_failed_readings_does_not_count_for_a_bake() {
    let mut sim = Sim::at_step(3, 10);
    sim.observe_for(60, &ok(10), &ok(1));
    sim.observe_for(45, &ok(10), &Err(Unreadable::Throttled));
    sim.observe_after(POLL, &ok(10), &ok(1));
    assert_eq!(sim.state.baked.observed, Duration::from_mins(1));
}

/// A group at 1 % that loses many targets during a bake is rolled back after the time `for`.
#[test]
fn degraded_group_fails_after_the_time_in_the_plan() {
    let mut sim = Sim::at_step(3, 10);
    sim.observe_for(30, &ok(10), &ok(10));
    let waiting = sim.observe_for(90, &ok(10), &Ok((6, 4)));
    assert!(messages(&waiting).contains("webapp-b has 6 of 10 targets healthy"), "{waiting:?}");
    assert!(!sim.rolls_back());
    sim.observe_after(POLL, &ok(10), &Ok((6, 4)));
    assert!(sim.rolls_back());
}
