use super::*;
use crate::cli::render::fixture::{
    at, drifted, healthy, ids, intended, outcome, records, set, started, step, until_bake, weights,
};
use crate::domain::fixture::{forward, group_arn};
use crate::domain::run::event::RunOutcome;
use crate::domain::run::event::{FreezeReason, IgnoredHours, StepType, StopReason, WaitReason, WriteResult};
use crate::domain::run::event::{GateKind, Trigger};
use crate::domain::run::hook::{HookId, HookPoint};
use crate::domain::traffic::{ClientStickiness, RouteContent};

fn transcript(events: Vec<(i64, Event)>) -> String {
    let mut lines = EventLines::new(Style::plain());
    records(events).iter().flat_map(|r| lines.lines_for(r)).collect::<Vec<_>>().join("\n")
}

fn health(seconds: i64, a: HealthCounts, b: HealthCounts) -> (i64, Event) {
    (seconds, Event::Health { groups: [(group_arn("webapp-a"), a), (group_arn("webapp-b"), b)].into() })
}

fn waits(seconds: i64, message: &str, until: Option<i64>) -> (i64, Event) {
    let wait = Wait { reason: WaitReason::Bake, message: message.into(), until: until.map(at) };
    (seconds, Event::Waiting { waits: vec![wait] })
}

#[test]
fn transcript_of_a_run_that_is_rolled_back() {
    let mut events = until_bake();
    events.splice(3..3, [health(2, healthy(40, 0), healthy(0, 4)), health(4, healthy(40, 0), healthy(4, 0))]);
    events.extend([
        waits(60, "baking for 10m", Some(660)),
        waits(61, "baking for 10m", Some(660)),
        (120, Event::Baked { step: 3, millis: 60_000, gap: 0, until: at(120) }),
        (200, Event::Baked { step: 3, millis: 100_000, gap: 40_000, until: at(200) }),
        health(210, healthy(40, 0), healthy(0, 0)),
        (
            210,
            Event::GateFailed {
                gate: GateKind::Guard,
                group: group_arn("webapp-b"),
                message: "has no healthy target".into(),
            },
        ),
        (
            210,
            Event::RollbackStarted {
                cause: "webapp-b has no healthy target".into(),
                by: "cutover".into(),
                trigger: Trigger::Gate,
                to_step: None,
                force: false,
                break_stickiness: false,
                request: None,
            },
        ),
        (210, intended(&ids(), &set(99, 1), &set(100, 0), true)),
    ]);
    events.extend(ids().iter().map(|id| (211, outcome(id, WriteResult::Applied, Some(set(100, 0)), None))));
    events.push((
        215,
        Event::Finished {
            outcome: RunOutcome::RolledBack,
            remarks: vec!["clients keep nothing".into()],
            unresolved: Vec::new(),
            accepted: Vec::new(),
            notes: Vec::new(),
        },
    ));
    insta::assert_snapshot!(transcript(events));
}

#[test]
fn each_problem_of_a_route_is_shown_once() {
    let ids = ids();
    let mut events = vec![
        (0, Event::Started(Box::new(started()))),
        (11, step(2, StepType::Shares, "first-traffic (a 99 %, b 1 %)")),
        (12, intended(&[&ids[..2], &ids[3..]].concat(), &set(100, 0), &set(99, 1), false)),
        (12, outcome(&ids[0], WriteResult::Applied, Some(set(99, 1)), None)),
        (12, outcome(&ids[1], WriteResult::Failed, None, Some("throttled"))),
        (13, outcome(&ids[3], WriteResult::Deleted, None, None)),
        (14, intended(&ids[1..2], &set(100, 0), &set(99, 1), false)),
        (14, outcome(&ids[1], WriteResult::Failed, None, Some("throttled"))),
        (15, intended(&ids[1..2], &set(100, 0), &set(99, 1), false)),
        (20, outcome(&ids[1], WriteResult::Already, Some(set(99, 1)), None)),
    ];
    events.push((21, drifted(&ids[2], weights(99, 1), Some(weights(0, 100)))));
    events.push((21, drifted(&ids[3], weights(99, 1), None)));
    events
        .push((22, Event::Frozen { reason: FreezeReason::Drift, message: "443 rule 20 is not as we left it".into() }));
    events.push((
        23,
        Event::Resumed { by: "bob@pc".into(), mode: ResumeMode::KEEP_LIVE, ignore_hours: None, request: None },
    ));
    events
        .push((24, Event::Stopped { reason: StopReason::Interrupted, message: "b has 1 %.\nNobody watches.".into() }));
    insta::assert_snapshot!(transcript(events));
}

#[test]
fn summary_counts_only_routes_that_were_read_back_as_written() {
    let ids = ids();
    let refused = |id| (12, outcome(id, WriteResult::Failed, None, Some("InvalidConfigurationRequest: IPv6")));
    let start = || vec![(0, Event::Started(Box::new(started()))), (11, step(1, StepType::Bind, "bind"))];
    let mut some = start();
    some.push((12, intended(&ids, &set(100, 0), &set(100, 0), false)));
    some.extend(ids[..2].iter().map(|id| (12, outcome(id, WriteResult::Applied, Some(set(100, 0)), None))));
    some.extend(ids[2..].iter().map(refused));
    some.push((13, Event::StepDone { step: 1 }));
    let text = transcript(some);
    assert!(text.contains("! 2 of 4 routes written, read back: a 100 %, b 0 %; NOT written: 443 rule 20"), "{text}");
    let mut none = start();
    none.push((12, intended(&ids, &set(100, 0), &set(100, 0), false)));
    none.extend(ids.iter().map(refused));
    none.push((13, rollback_started()));
    none.push((14, intended(&ids, &set(100, 0), &set(100, 0), true)));
    none.extend(ids.iter().map(|id| (14, outcome(id, WriteResult::Already, Some(set(100, 0)), None))));
    let text = transcript(none);
    assert!(text.contains("4 of 4 routes needed no write, read back: a 100 %, b 0 %"), "{text}");
    assert!(!text.contains("routes written") && !text.contains("restored"), "{text}");
}

fn rollback_started() -> Event {
    Event::RollbackStarted {
        cause: "a write failed".into(),
        by: "cutover".into(),
        trigger: Trigger::Failure,
        to_step: None,
        force: false,
        break_stickiness: false,
        request: None,
    }
}

#[test]
fn change_text_describes_everything_that_changed() {
    let names = Names::of(&started());
    let id = &ids()[1];
    let change = |to: &RouteContent| names.change(id, &weights(99, 1), to).unwrap_or_default();
    assert_eq!(change(&weights(198, 2)), "weight of webapp-a (a) from 99 to 198; weight of webapp-b (b) from 1 to 2");
    assert_eq!(change(&weights(0, 100)), "from a 99 %, b 1 % to a 0 %, b 100 %");
    assert_eq!(
        change(&forward(&[("webapp-a", 99), ("webapp-b", 1), ("webapp-default", 7)])),
        "weight of webapp-default from 0 to 7"
    );
    assert_eq!(
        change(&crate::domain::fixture::redirect()),
        "the route no longer forwards; actions from forward to redirect"
    );
    let mut sticky = weights(99, 1);
    sticky.stickiness = Some(ClientStickiness { enabled: true, seconds: Some(600) });
    assert_eq!(change(&sticky), "stickiness from off to 600s");
    assert_eq!(change(&weights(99, 1)), "");
}

#[test]
fn equal_drift_of_many_routes_is_one_line_and_a_freeze_names_the_commands() {
    let mut events = until_bake();
    events.extend(ids().iter().map(|id| (70, drifted(id, weights(99, 1), Some(weights(0, 100))))));
    let message = "443 default was changed by someone else, and 3 more; probably a person".to_owned();
    events.push((70, Event::Frozen { reason: FreezeReason::Drift, message }));
    let mut lines = EventLines::new(Style::plain()).with_commands();
    let all: Vec<_> = records(events).iter().flat_map(|r| lines.lines_for(r)).collect();
    let drift: Vec<_> = all.iter().filter(|line| line.contains("someone else changed the routes")).collect();
    assert_eq!(drift.len(), 1, "{all:?}");
    assert!(drift[0].contains("4 routes (") && drift[0].contains("from a 99 %, b 1 % to a 0 %, b 100 %"), "{drift:?}");
    let frozen = all.last().expect("a line");
    for command in ["--keep-live", "--reassert", "cutover rollback alpha-20260301-140200-k3f9"] {
        assert!(frozen.contains(command), "{frozen}");
    }
}

#[test]
fn drift_at_the_end_of_a_turn_is_not_held_back() {
    let mut lines = EventLines::new(Style::plain());
    let mut events = until_bake();
    events.push((70, drifted(&ids()[0], weights(99, 1), None)));
    let all: Vec<_> = records(events).iter().flat_map(|r| lines.lines_for(r)).collect();
    assert!(!all.iter().any(|line| line.contains("deleted")), "{all:?}");
    assert!(lines.pending_lines()[0].contains("someone deleted the rule"));
    assert!(lines.pending_lines().is_empty());
}

#[test]
fn an_override_of_the_hours_says_for_which_step_and_why() {
    let ignore_hours = Some(IgnoredHours { step: 4, reason: "agreed with sales".into() });
    let event = Event::Resumed { by: "bob@pc".into(), mode: ResumeMode::PLAIN, ignore_hours, request: None };
    let text = transcript([until_bake(), vec![(70, event)]].concat());
    assert!(text.ends_with("resumed by bob@pc; outside of the plan's hours, step 4 only: agreed with sales"), "{text}");
}

/// Regression test: a hook had a name when it started, and a number when it ended.
#[test]
fn the_end_of_a_hook_has_the_name_of_its_start() {
    let hook = HookId { at: HookPoint::BeforeShift, step: 2, number: 1 };
    let started = Event::HookStarted { hook, action: "hook scale-up (before shift): ./scale-up.sh".into() };
    let ended = |message: &str| Event::HookEnded { hook, result: HookResult::Succeeded, message: message.into() };
    let text = transcript(vec![(1, started), (2, ended("10 pods")), (3, ended("skipped: this is a rehearsal"))]);
    assert!(text.contains("✓ hook scale-up (before shift) succeeded: 10 pods\n"), "{text}");
    assert!(text.ends_with("· hook scale-up (before shift) skipped: this is a rehearsal"), "{text}");
}

#[test]
fn an_approval_says_which_gates_did_not_pass() {
    let message = "approval: read the dashboards; gate slowness passes; gate errors holds";
    let wait = Wait { reason: WaitReason::Approval, message: message.into(), until: None };
    let approved = || Event::Approved { step: 4, by: "alice@mac".into(), request: None };
    let text = transcript(vec![(1, Event::Waiting { waits: vec![wait] }), (2, approved())]);
    assert!(text.ends_with("✓ step 4  approved by alice@mac, although gate errors holds"), "{text}");
    assert!(transcript(vec![(2, approved())]).ends_with("approved by alice@mac"));
}

/// Regression test: the time-out of a gate read as the time at which its need ends.
#[test]
fn a_wait_for_gates_says_how_long_it_waits_at_most() {
    let of =
        |reason, message: &str| wait(&Wait { reason, message: message.into(), until: Some(at(60)) }, &Style::plain());
    let needs = "webapp-b has 0 of the 1 healthy target that 1 % needs";
    assert_eq!(of(WaitReason::RaiseGate, needs), format!("{needs}; waits until 14:03:00 at most"));
    let healthy = "webapp-b is healthy enough, and must stay healthy for a while";
    assert_eq!(of(WaitReason::RaiseGate, healthy), format!("{healthy}, until 14:03:00"));
}

#[test]
fn lines_are_wrapped_at_words_on_a_narrow_terminal() {
    let mut events = until_bake();
    events.push((
        70,
        Event::Paused {
            by: "bob@pc".into(),
            reason: "the error budget of this week is used up, we wait until Monday".into(),
            request: None,
        },
    ));
    let mut lines = EventLines::new(crate::cli::render::fixture::screen(60));
    let all: Vec<_> = records(events).iter().flat_map(|r| lines.lines_for(r)).collect();
    crate::cli::render::fixture::assert_fits(&all.join("\n"), 60);
    assert!(all.last().is_some_and(|line| line.contains("\n            ")), "{all:?}");
}

#[test]
fn a_freeze_without_a_way_back_names_force_and_is_not_repeated_when_the_process_stops() {
    for reason in [FreezeReason::NoWayBack, FreezeReason::FromUnhealthy] {
        let message = "webapp-a has no healthy target".to_owned();
        let events = vec![
            (70, Event::Frozen { reason, message: message.clone() }),
            (71, Event::Stopped { reason: StopReason::Stuck, message }),
        ];
        let mut lines = EventLines::new(Style::plain()).with_commands();
        let all: Vec<_> = records([until_bake(), events].concat()).iter().flat_map(|r| lines.lines_for(r)).collect();
        let [.., frozen, stopped] = all.as_slice() else { panic!("{all:?}") };
        assert!(frozen.contains("cutover rollback alpha-20260301-140200-k3f9 --force"), "{frozen}");
        assert!(frozen.contains("cutover resume alpha-20260301-140200-k3f9"), "{frozen}");
        assert!(stopped.ends_with("this process stops; the run stays frozen"), "{stopped}");
    }
}

/// Regression test: the progress line of a healthy rollback named a throttled route as NOT restored.
#[test]
fn a_throttled_route_of_a_rollback_is_not_called_not_restored() {
    let ids = ids();
    let mut events = vec![
        (0, Event::Started(Box::new(started()))),
        (12, intended(&ids, &set(99, 1), &set(100, 0), true)),
        (12, outcome(&ids[3], WriteResult::Failed, None, Some("throttled"))),
    ];
    events.extend(ids[..3].iter().map(|id| (18, outcome(id, WriteResult::Applied, Some(set(100, 0)), None))));
    let text = transcript(events);
    assert!(text.contains("3 of 4 routes restored, read back") && !text.contains("NOT"), "{text}");
}
