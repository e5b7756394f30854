use std::collections::BTreeMap;

use jiff::Timestamp;

use super::*;
use crate::domain::fixture;
use crate::domain::hand_over::{ItemId, ItemIntent, ItemOutcome, ItemResult};
use crate::domain::run::event::{
    BindResult, ClientMeasurement, FreezeReason, GateKind, MeasuredTime, OnTimeout, Ramp, Record, ResumeMode,
    RunOutcome, StepType, StopReason, Trigger, WriteResult,
};
use crate::domain::run::header_rule::HeaderRuleEvent;
use crate::domain::run::hook::{HookId, HookPoint, HookResult};
use crate::domain::run::state::{Frozen, Retirement};

/// Every phase, with and without detached old groups where both are possible.
const PHASES: [(Phase, bool); 11] = [
    (Phase::Ready, false),
    (Phase::Shifting, false),
    (Phase::Baking, false),
    (Phase::AwaitingApproval, false),
    (Phase::RunningCommand, false),
    (Phase::RoutingHeaders, false),
    (Phase::HandingOver, false),
    (Phase::RollingBack, false),
    (Phase::Finished, false),
    (Phase::Retiring, true),
    (Phase::Finished, true),
];

/// Returns the state of a run with this summary.
fn state(stand: StateSummary) -> State {
    let mut state = fixture::state(fixture::started(4));
    state.phase = stand.phase;
    state.finished = (stand.phase == Phase::Finished).then_some(RunOutcome::Completed);
    state.retirement =
        stand.retired.then(|| Retirement { by: "alice@mac".into(), bindings: true, handled: BTreeMap::new() });
    state.frozen = stand.raises_stopped.then(|| Frozen {
        reason: FreezeReason::Drift,
        message: "someone".into(),
        since: Timestamp::UNIX_EPOCH,
    });
    state.routes.values_mut().next().expect("the fixture has a route").reassert = stand.reassert;
    assert_eq!(state.summary(), stand);
    state
}

fn stands() -> impl Iterator<Item = StateSummary> {
    let flags = [(false, false), (false, true), (true, false), (true, true)];
    PHASES.into_iter().flat_map(move |(phase, detached)| {
        flags.map(|(held, reassert)| StateSummary { phase, raises_stopped: held, reassert, retired: detached })
    })
}

/// An additional condition for an event to be legal in a state.
type Condition = fn(StateSummary) -> bool;

/// Returns every kind of event (twice if its fields matter), with the letters of the phases in which the event is legal
/// (see [`letter`]) and an additional condition.
fn events() -> Vec<(Event, &'static str, Condition)> {
    let by = || "alice@mac".to_owned();
    let route = || fixture::started(4).routes[0].id.clone();
    let intended = |restore| Event::Intended { restore, deadline: Timestamp::UNIX_EPOCH, writes: vec![] };
    let always: Condition = |_| true;
    let free: Condition = |s| !s.raises_stopped;
    let moving: Condition =
        |s| s.reassert || s.phase == Phase::Retiring || (s.phase == Phase::Shifting && !s.raises_stopped);
    let back: Condition = |s| !s.retired;
    let ramp = Ramp { percents: vec![50, 100], every: 60 };
    let measured = ClientMeasurement {
        step: 1,
        label: String::new(),
        during: MeasuredTime::Step,
        clusters: BTreeMap::new(),
        requests: 0,
        client_errors: 0,
    };
    vec![
        (Event::Started(Box::new(fixture::started(4))), "", always),
        (Event::ClientsMeasured(measured), "", always),
        (Event::Notified { to: by(), about: by(), text: by() }, "", always),
        (Event::ProcessStarted { owner: by(), pid: 1, tool: String::new(), continuous: false }, "rmbawhoBfd", always),
        (
            Event::RollbackStarted {
                cause: String::new(),
                by: by(),
                trigger: Trigger::Operator,
                to_step: None,
                force: false,
                break_stickiness: false,
                request: None,
            },
            "rmbawhoBf",
            back,
        ),
        (
            Event::RampStarted {
                cause: String::new(),
                by: by(),
                ramp,
                force: false,
                break_stickiness: false,
                request: None,
            },
            "rmbawhoBf",
            back,
        ),
        (Event::Ramped { percent: 100, early: None }, "B", always),
        (Event::Notice { message: String::new(), refused: None, request: None }, "rmbawhoBfd", always),
        (Event::Stopped { reason: StopReason::Waiting, message: String::new() }, "rmbawhoBfd", always),
        (Event::StepStarted { step: 1, kind: StepType::Shares, label: String::new() }, "r", free),
        (Event::BindingDone { cluster: by(), binding: by(), result: BindResult::Applied }, "m", always),
        (Event::Settled { step: 1 }, "mh", always),
        (intended(true), "B", always),
        (intended(false), "rmbawhod", moving),
        (Event::StepDone { step: 1 }, "mbawho", free),
        (Event::Baked { step: 1, millis: 1, gap: 0, until: Timestamp::UNIX_EPOCH }, "b", always),
        (Event::Approved { step: 1, by: by(), request: None }, "a", always),
        (Event::TimedOut { step: 1, after: 1, then: OnTimeout::Pause }, "a", always),
        (Event::Promoted { step: 1, full: false, by: by(), request: None }, "ba", always),
        (Event::Promoted { step: 1, full: true, by: by(), request: None }, "rmbawho", always),
        (Event::Paused { by: by(), reason: String::new(), request: None }, "rmbawho", always),
        (Event::Resumed { by: by(), mode: ResumeMode::PLAIN, ignore_hours: None, request: None }, "rmbawho", always),
        (Event::LeftOut { by: by(), routes: vec![route()], request: None }, "rmbawho", always),
        (Event::Frozen { reason: FreezeReason::Unreadable, message: String::new() }, "rmbawho", always),
        (Event::Unfrozen {}, "rmbawho", |s| s.raises_stopped),
        (Event::ConditionsChanged { route: route(), before: by(), after: by() }, "rmbawho", always),
        (
            Event::RuleCreated { route: Box::new(fixture::started(4).routes[0].clone()), replaces: None },
            "rmbawho",
            always,
        ),
        (Event::WeightsTagged { routes: 1, missing: BTreeMap::new() }, "rmbawho", always),
        (Event::GateFailed { gate: GateKind::Guard, group: by(), message: by() }, "rmbawho", always),
        (
            Event::Outcome { route: route(), result: WriteResult::Applied, live: None, detail: None },
            "rmbawhoBd",
            always,
        ),
        (Event::Drifted { route: route(), expected: Box::new(fixture::forward(&[])), live: None }, "rmbawhoBd", always),
        (Event::Waiting { waits: vec![] }, "rmbawhoBd", always),
        (Event::Health { groups: BTreeMap::new() }, "rmbawhoBd", always),
        (
            Event::Finished {
                outcome: RunOutcome::Completed,
                remarks: vec![],
                unresolved: Vec::new(),
                accepted: Vec::new(),
                notes: Vec::new(),
            },
            "rmbawhoBd",
            always,
        ),
    ]
}

fn item() -> ItemId {
    "CronJob/shop/nightly".parse().expect("the item must be valid")
}

/// Returns the events of hooks, of header rules, of items that are handed over, and of the retirement.
fn other_events() -> Vec<(Event, &'static str, Condition)> {
    let by = || "alice@mac".to_owned();
    let always: Condition = |_| true;
    let free: Condition = |s| !s.raises_stopped;
    let header_rules = Event::HeaderRules;
    let hook = |at| HookId { at, step: 1, number: 0 };
    vec![
        (Event::HookStarted { hook: hook(HookPoint::Command), action: by() }, "rmw", free),
        (Event::HookStarted { hook: hook(HookPoint::Undo), action: by() }, "B", always),
        (
            Event::HookEnded { hook: hook(HookPoint::Undo), result: HookResult::Succeeded, message: by() },
            "rmbawhoBd",
            always,
        ),
        (Event::RetireStarted { by: by(), bindings: true, request: None }, "f", always),
        (Event::BindingRemoved { cluster: by(), binding: by(), deleted: true, why: String::new() }, "d", always),
        (header_rules(HeaderRuleEvent::Sent { rules: vec![1], deadline: Timestamp::UNIX_EPOCH }), "h", free),
        (header_rules(HeaderRuleEvent::Made { rule: 1, id: by() }), "rmbawhoBd", always),
        (Event::ItemIntended(item_intent()), "oB", |s| s.phase == Phase::RollingBack || !s.raises_stopped),
        (Event::ItemOutcome(Box::new(item_outcome())), "oB", always),
        (Event::ItemDrained(item_drained(None)), "oB", always),
        (Event::ItemDrained(item_drained(Some(by()))), "B", always),
    ]
}

fn item_intent() -> ItemIntent {
    ItemIntent { step: 1, item: item(), cluster: "a".into(), expect: Some(1), set: 0, count: 1 }
}

fn item_outcome() -> ItemOutcome {
    let (result, cluster) = (ItemResult::Applied, "a".into());
    ItemOutcome { step: 1, item: item(), cluster, result, value: 0, last_schedule: None, detail: None }
}

fn item_drained(assumed_by: Option<String>) -> ItemDrained {
    ItemDrained { step: 1, item: item(), cluster: "a".into(), assumed_by }
}

fn letter(phase: Phase) -> char {
    match phase {
        Phase::Ready => 'r',
        Phase::Shifting => 'm',
        Phase::Baking => 'b',
        Phase::AwaitingApproval => 'a',
        Phase::RunningCommand => 'w',
        Phase::RoutingHeaders => 'h',
        Phase::HandingOver => 'o',
        Phase::RollingBack => 'B',
        Phase::Retiring => 'd',
        Phase::Finished => 'f',
    }
}

/// Checks all pairs of 40 states and all kinds of events. A change of the rules changes the number of legal pairs.
#[test]
fn illegal_events_are_refused_in_every_state_without_a_change() {
    let events = [events(), other_events()].concat();
    let kinds: std::collections::BTreeSet<_> = events.iter().map(|(e, _, _)| event_name(e)).collect();
    assert_eq!(kinds.len(), 40, "the list must have every kind of event");
    let mut count = 0;
    for stand in stands() {
        for (event, phases, condition) in &events {
            let wanted = phases.contains(letter(stand.phase)) && condition(stand);
            let before = state(stand);
            let mut after = before.clone();
            let result = after.apply(Timestamp::UNIX_EPOCH, event);
            assert_eq!(result.is_ok(), wanted, "{} in {stand:?}", event_name(event));
            count += usize::from(wanted);
            if let Err(illegal) = result {
                assert_eq!((illegal.stand, illegal.event), (Some(stand), event_name(event)));
                assert_eq!(after, before, "{} in {stand:?}", event_name(event));
            }
        }
    }
    assert_eq!(count, 845);
}

#[test]
fn first_event_of_a_journal_must_be_started() {
    let event = Event::Notice { message: String::new(), refused: None, request: None };
    let record = Record::new(1, Timestamp::UNIX_EPOCH, "r", event);
    assert_eq!(State::fold(&[record]), Err(IllegalEvent { stand: None, event: "notice".into() }));
    assert_eq!(State::fold(&[]), Ok(None));
}
