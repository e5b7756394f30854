use super::*;
use crate::app::view::WayBackView;
use crate::cli::render::fixture::{
    assert_fits, at, drifted, five_gates, ids, intended, outcome, rich_plan, screen, set, state, step, until_bake,
    watch, weights,
};
use crate::domain::fixture::plan;
use crate::domain::health::HealthCounts;
use crate::domain::metric::gate::{MeasuredValue, Measurement};
use crate::domain::metric::verdict::RequestCount;
use crate::domain::metric::verdict::judge::GateResult;
use crate::domain::run::event::{
    Event, IgnoredHours, NotMoved, ResumeMode, StepType, StopReason, Trigger, Wait, WaitReason, WriteResult,
};
use crate::domain::run::hook::{HookId, HookPoint, HookResult};
use crate::domain::run::observation::Marker;
use crate::domain::traffic::{Reading, Unreadable};
use crate::domain::view::gates::GateView;
use crate::port::store::Heartbeat;

fn heartbeat(seconds: i64, watching: bool) -> Heartbeat {
    Heartbeat {
        owner: "alice@mac".into(),
        host: "mac".into(),
        pid: 4711,
        observed_at: at(seconds),
        guarding: watching,
        message: "baking".into(),
        verified_at: None,
        interval_seconds: Some(5),
        oldest_health: None,
    }
}

fn baking() -> RunView {
    let wait = Wait { reason: WaitReason::Bake, message: "baking for 10m".into(), until: Some(at(660)) };
    RunView::of(&plan(), &state(until_bake()), Some(&watch(70, (31, 0), (4, 0))), &[wait], at(72))
}

#[test]
fn status_of_a_guarded_bake() {
    insta::assert_snapshot!(text(&baking().with_heartbeat(Some(&heartbeat(68, true))), &Style::plain()));
}

/// Regression test: after a rollback without a plan, the next command was `cutover run rollback`.
#[test]
fn a_run_without_a_plan_offers_no_new_run() {
    let ended = RunView { outcome: Some(RunOutcome::Aborted), ..baking() };
    let offers = |view: &RunView| final_lines(view, &Style::plain()).join("\n").contains("cutover run ");
    assert!(offers(&ended));
    assert!(!offers(&RunView { plan_file: None, ..ended }));
}

#[test]
fn status_of_unguarded_drift() {
    let mut events = until_bake();
    events.push((663, drifted(&ids()[2], weights(99, 1), Some(weights(0, 100)))));
    events.push((
        663,
        Event::Frozen { reason: FreezeReason::Drift, message: "443 rule 20 was changed by someone else".into() },
    ));
    events.push((670, Event::Stopped { reason: StopReason::Drift, message: String::new() }));
    let view = RunView::of(&plan(), &state(events), None, &[], at(900)).with_heartbeat(Some(&heartbeat(669, false)));
    insta::assert_snapshot!(text(&view, &Style::plain()));
}

#[test]
fn json_has_the_same_content_as_the_text() {
    let json = json(&baking().with_heartbeat(Some(&heartbeat(68, true))));
    assert_eq!(json["phase"], "baking");
    assert_eq!(json["traffic"][0]["shares"][1], serde_json::json!(["b", 1.0]));
    assert_eq!(json["wayBack"][0], serde_json::json!({"cluster": "a", "healthy": 31, "baseline": 40}));
    assert_eq!(json["guard"]["state"], "watched");
    assert_eq!(json["waits"][0]["reason"], "bake");
    assert_eq!(json["rollbackCommands"], serde_json::json!(["cutover rollback alpha-20260301-140200-k3f9"]));
}

#[test]
fn run_without_recent_heartbeat_is_unguarded() {
    let guarded = |heartbeat| matches!(baking().with_heartbeat(Some(&heartbeat)).guard, Guard::Watched { .. });
    assert!(guarded(heartbeat(12, true)));
    assert!(!guarded(heartbeat(11, true)) && !guarded(heartbeat(71, false)));
}

#[test]
fn commands_depend_on_the_state_of_the_run() {
    let view = baking();
    let id = &view.run;
    assert_eq!(continue_commands(&view), [format!("cutover promote {id}   # end this pause early")]);
    let mut events = until_bake();
    events.push((70, Event::Paused { by: "bob@pc".into(), reason: String::new(), request: None }));
    assert_eq!(
        continue_commands(&RunView::of(&plan(), &state(events.clone()), None, &[], at(72))),
        [format!("cutover resume {id}")]
    );
    events.push((
        71,
        Event::RollbackStarted {
            cause: "asked".into(),
            by: "bob@pc".into(),
            trigger: Trigger::Operator,
            to_step: None,
            force: false,
            break_stickiness: false,
            request: None,
        },
    ));
    let broken = RunView::of(&plan(), &state(events), None, &[], at(500));
    assert_eq!(continue_commands(&broken), [format!("cutover rollback {id}   # the rollback is not finished")]);
    assert_eq!(rollback_commands(&broken), [format!("cutover rollback {id}")]);
}

#[test]
fn run_without_journal_is_continued_by_load_balancer_and_not_by_id() {
    let command = "cutover rollback --load-balancer alpha-webapp --back-to '*-a' --away-from '*-b'";
    let view = RunView { without_journal: Some(command.into()), ..baking() };
    let text = final_lines(&view, &Style::plain()).join("\n");
    assert!(text.contains(command) && !text.contains(&view.run), "{text}");
    assert!(continue_commands(&view).is_empty());
}

/// Returns a run in a bake with gates: the first gate is measured, the hours are ignored, and someone made the same
/// change to every route.
fn rich() -> RunView {
    let plan = rich_plan();
    let count = |requests, errors| RequestCount { requests, errors };
    let measured = |seconds, seen| Event::GateMeasured {
        gate: plan.strategy.metrics[0].name.clone(),
        measurement: Measurement { from: at(seconds - 60), to: at(seconds), seen },
    };
    let mut events = until_bake();
    let ignore_hours = Some(IgnoredHours { step: 4, reason: "agreed with sales, they watch the dashboards".into() });
    events.push((61, Event::Resumed { by: "alice@mac".into(), mode: ResumeMode::PLAIN, ignore_hours, request: None }));
    events.push((120, measured(120, MeasuredValue::Counts { old: count(5400, 12), new: count(54, 40) })));
    events.extend(ids().iter().map(|id| (130, drifted(id, weights(99, 1), Some(weights(100, 0))))));
    RunView::of(&plan, &state(events), Some(&watch(140, (31, 0), (4, 0))), &[], at(142))
}

#[test]
fn the_screen_fits_80_and_150_columns_and_shows_what_decides() {
    for columns in [80, 150] {
        let text = text(&rich(), &screen(columns));
        assert_fits(&text, columns);
        insta::assert_snapshot!(format!("screen_{columns}"), text);
    }
}

#[test]
fn the_owner_of_the_load_balancer_is_named_if_it_is_another_run() {
    let mut seen = watch(140, (31, 0), (4, 0));
    seen.marker = Some(Marker::Other("other-20260301-150000-k3f9 bob@pc 2026-03-01T15:00:00Z".into()));
    let view = RunView::of(&plan(), &state(until_bake()), Some(&seen), &[], at(142));
    let text = text(&view, &Style::plain());
    assert!(text.contains("  owner     another run owns a load balancer of this run now"), "{text}");
    assert!(text.contains(": other-20260301-150000-k3f9 bob@pc 2026-"), "{text}");
}

/// Regression test: `--watch` was longer than the screen, so that the state scrolled away and every status left a copy.
#[test]
fn a_watched_status_fits_the_screen_and_keeps_what_decides() {
    let put_back = RunView { gates: five_gates(), ..rich() };
    let calm = RunView { put_back: None, drift: Vec::new(), ..put_back.clone() };
    for (view, width, height) in [(&put_back, 80, 24), (&put_back, 150, 24), (&calm, 80, 18)] {
        let text = watched(view, Screen { width, height }, &Style::plain());
        assert!(text.lines().count() < height, "{text}");
        assert!(text.lines().all(|line| console::measure_text_width(line) <= width), "{text}");
        for part in [
            "  run ",
            "  state ",
            "  step ",
            "traffic",
            "saturation  FAILS",
            "errors  holds",
            "way back",
            "cutover rollback ",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        if height == 24 {
            insta::assert_snapshot!(format!("watched_{width}"), text);
        }
    }
}

/// Regression test: in the last pause, a gate that compares the clusters held forever, and `promote` always asked.
#[test]
fn a_gate_without_traffic_to_compare_with_is_said_to_guard_nothing() {
    let plan = rich_plan();
    let mut events = until_bake();
    let all = (6, StepType::Shares, "a 0 %, b 100 %");
    events.extend([(660, Event::StepDone { step: 3 }), (661, step(all.0, all.1, all.2))]);
    events.push((662, intended(&ids(), &set(99, 1), &set(0, 100), false)));
    events.extend(ids().iter().map(|id| (663, outcome(id, WriteResult::Applied, Some(set(0, 100)), None))));
    let view = RunView::of(&plan, &state(events), Some(&watch(670, (31, 0), (4, 0))), &[], at(672));
    let errors = view.gates.iter().find(|gate| gate.gate == "errors").unwrap();
    assert_eq!(errors.words(), "does not guard b now: a has no traffic to compare with");
    assert!(!errors.is_open(), "{errors:?}");
    assert!(view.gates.iter().any(|gate| gate.gate == "share" && gate.in_force), "{:?}", view.gates);
}

#[test]
fn an_approver_sees_whether_the_hours_hold_the_next_raise() {
    let view = RunView::of(&rich_plan(), &state(until_bake()), None, &[], at(72));
    let shown = approval_lines(&view, &screen(80)).join("\n");
    assert!(shown.contains("hours     no window is open now"), "{shown}");
    assert!(shown.contains("the step starts Mon 2026-03-02"), "{shown}");
}

#[test]
fn an_approver_sees_the_verdicts() {
    let view = rich();
    let lines = approval_lines(&view, &Style::plain()).join("\n");
    assert!(lines.contains("b fails 40 of the last 54 requests") && lines.contains("not asked yet"), "{lines}");
    assert!(view.gates[0].is_open() && view.gates[0].verdict == Some(GateResult::Fail), "{view:?}");
}

#[test]
fn a_window_names_the_command_that_overrides_it() {
    let wait = Wait { reason: WaitReason::Window, message: "it starts tomorrow".into(), until: None };
    let view = RunView { waits: vec![wait], ..baking() };
    let commands = continue_commands(&view);
    assert!(commands.iter().any(|line| line.contains("--ignore-hours REASON")), "{commands:?}");
}

#[test]
fn an_abort_to_a_step_says_that_nobody_guards_and_how_to_go_on_and_back() {
    let mut events = until_bake();
    events.push((
        70,
        Event::RollbackStarted {
            cause: "aborted".into(),
            by: "bob@pc".into(),
            trigger: Trigger::Operator,
            to_step: Some(2),
            force: false,
            break_stickiness: false,
            request: None,
        },
    ));
    events.push((
        80,
        Event::Finished {
            outcome: RunOutcome::Aborted,
            remarks: Vec::new(),
            unresolved: Vec::new(),
            accepted: Vec::new(),
            notes: Vec::new(),
        },
    ));
    let view = RunView::of(&plan(), &state(events), None, &[], at(90));
    let shown = final_lines(&view, &Style::plain()).join("\n");
    let status = text(&view, &Style::plain());
    for text in [&shown, &status] {
        assert!(text.contains("UNGUARDED: the run is finished, b keeps 1 %"), "{text}");
        assert!(
            text.contains("cutover run plans/alpha.yaml --from-step 3") && text.contains("cutover rollback alpha-"),
            "{text}"
        );
    }
    assert_eq!(json(&view)["abortedTo"], 2);
    // Regression test: after a later run had moved everything back, the older run still raised this alarm.
    let mut back = view;
    for (_, share) in back.traffic.iter_mut().flat_map(|group| group.shares.iter_mut().skip(1)) {
        *share = 0.0;
    }
    let shown = text(&back, &Style::plain());
    assert!(!shown.contains("UNGUARDED") && !shown.contains("--from-step"), "{shown}");
    assert!(shown.contains("aborted to the shares of step 2\n") && !shown.contains("cutover rollback"), "{shown}");
}

#[test]
fn a_process_that_lost_its_load_balancer_does_not_offer_to_resume_first() {
    let mut events = until_bake();
    events.push((70, Event::Stopped { reason: StopReason::Lock, message: String::new() }));
    let view = RunView::of(&plan(), &state(events), None, &[], at(72));
    let shown = final_lines(&view, &Style::plain()).join("\n");
    assert!(shown.contains("last seen") && shown.contains("has taken over this load balancer"), "{shown}");
    assert!(!shown.contains("UNGUARDED"), "{shown}");
    let (status, resume) = (shown.find("cutover status "), shown.find("cutover resume "));
    assert!(status.is_some() && status < resume, "{shown}");
}

#[test]
fn the_hours_of_the_next_raise_are_said_before_it_waits_for_them() {
    let view = RunView::of(&rich_plan(), &state(until_bake()), None, &[], at(72));
    let text = text(&view, &Style::plain());
    assert!(text.contains("hours     no window is open now"), "{text}");
    assert!(text.contains("notifies  slack, webhook, exec"), "{text}");
}

#[test]
fn a_hook_of_the_current_step_is_shown_with_its_result() {
    let mut events = until_bake();
    events.truncate(5);
    let hook = HookId { at: HookPoint::BeforeShift, step: 2, number: 1 };
    let message = "exit code 1: no capacity".to_owned();
    events.push((12, Event::HookStarted { hook, action: "./scale-up.sh".into() }));
    events.push((13, Event::HookEnded { hook, result: HookResult::Failed, message }));
    let view = RunView::of(&rich_plan(), &state(events), None, &[], at(20));
    let text = text(&view, &Style::plain());
    assert!(text.contains("hooks     scale-up (before shift)  failed: exit code 1: no capacity"), "{text}");
}

#[test]
fn status_says_that_unread_traffic_is_not_live() {
    let mut watch = watch(70, (31, 0), (4, 0));
    let expired = || Reading { at: at(70), value: Err(Unreadable::Credentials("expired".into())) };
    watch.routes = ids().into_iter().map(|id| (id, expired())).collect();
    let view = RunView::of(&plan(), &state(until_bake()), Some(&watch), &[], at(72));
    let (shown, routes) = (text(&view, &Style::plain()), ids().len());
    let line =
        format!("NOT LIVE: {routes} routes cannot be read (credentials: expired); these are the journal's shares");
    assert!(shown.contains(&line), "{shown}");
    assert_eq!(json(&view)["unreadTraffic"]["routes"], routes);
    let read = RunView::of(&plan(), &state(until_bake()), None, &[], at(72));
    assert_eq!(read.unread_traffic, None);
}

#[test]
fn status_lists_the_routes_that_this_build_cannot_move() {
    let mut events = until_bake();
    let Event::Started(started) = &mut events[0].1 else { panic!("the first event should start the run") };
    started.not_moved = vec![NotMoved { label: "80 rule 30".into(), reason: "Quantum".into() }];
    let shown = text(&RunView::of(&plan(), &state(events), None, &[], at(72)), &Style::plain());
    assert!(shown.contains("80 rule 30: Quantum; accepted by the plan"), "{shown}");
}

#[test]
fn a_dead_old_cluster_adds_force_to_every_way_back() {
    let mut events = until_bake();
    events.push((663, Event::Frozen { reason: FreezeReason::NoWayBack, message: "both are dead".into() }));
    let frozen = RunView::of(&plan(), &state(events.clone()), None, &[], at(900));
    let forced = "cutover rollback alpha-20260301-140200-k3f9 --force";
    assert_eq!(rollback_commands(&frozen), [forced], "the health is unknown, but the freeze says it");
    assert!(continue_commands(&frozen).iter().any(|command| command.starts_with(forced)), "{frozen:?}");
    assert_eq!(next_commands(&frozen).iter().filter(|command| command.contains("rollback")).count(), 1);
    assert_eq!(json(&frozen)["rollbackCommands"], serde_json::json!([forced]));
    let way_back = |healthy| vec![WayBackView { cluster: "a".into(), healthy, baseline: 40 }];
    let recovered = RunView { way_back: way_back(Some(3)), ..frozen.clone() };
    assert_eq!(rollback_commands(&recovered), ["cutover rollback alpha-20260301-140200-k3f9"]);
    events.pop();
    events.push((663, Event::Frozen { reason: FreezeReason::FromUnhealthy, message: "a is unhealthy".into() }));
    let dead = RunView { way_back: way_back(Some(0)), ..RunView::of(&plan(), &state(events), None, &[], at(900)) };
    let on = continue_commands(&dead).join("\n");
    assert!(on.contains("cutover resume") && on.contains("move on") && on.contains(forced), "{on}");
    assert!(on.contains("cutover promote"), "{on}");
}

/// Regression test: while a share settled, the verdicts for the previous shares were shown as verdicts for the new
/// shares.
#[test]
fn a_gate_is_not_asked_yet_while_its_shares_settle() {
    let plan = rich_plan();
    let gate = plan.strategy.metrics[0].name.clone();
    let count = |requests, errors| RequestCount { requests, errors };
    let seen = MeasuredValue::Counts { old: count(5400, 12), new: count(54, 0) };
    let mut events = until_bake();
    let measurement = Measurement { from: at(60), to: at(120), seen };
    events.push((120, Event::GateMeasured { gate: gate.clone(), measurement }));
    let (verdict, why, dry_run) = (GateResult::Pass, String::new(), false);
    events.push((121, Event::VerdictChanged { gate: gate.clone(), verdict, why, dry_run }));
    events.extend([(660, Event::StepDone { step: 3 }), (661, step(4, StepType::Shares, "a 50 %, b 50 %"))]);
    let view = |events: &[(i64, Event)]| RunView::of(&plan, &state(events.to_vec()), None, &[], at(665));
    let words = |view: &RunView| view.gates.iter().find(|g| g.gate == gate).map(GateView::words).unwrap();
    assert!(!words(&view(&events)).contains("settles"), "the raise still waits for the verdict of these shares");
    events.push((662, intended(&ids(), &set(99, 1), &set(50, 50), false)));
    let settling = view(&events);
    assert_eq!(words(&settling), "not asked yet for b 50 %, which settles; it passed at the shares before");
    assert!(settling.gates.iter().any(GateView::is_open), "{:?}", settling.gates);
}

/// Regression test: after the end of a run, `status` forgot its gates and that someone ignored the hours.
#[test]
fn a_finished_run_shows_its_gates_and_that_the_hours_were_ignored() {
    let plan = rich_plan();
    let count = |requests, errors| RequestCount { requests, errors };
    let seen = MeasuredValue::Counts { old: count(5400, 12), new: count(54, 40) };
    let measurement = Measurement { from: at(60), to: at(120), seen };
    let mut events = until_bake();
    let ignore_hours = Some(IgnoredHours { step: 4, reason: "agreed with sales".into() });
    events.push((61, Event::Resumed { by: "alice@mac".into(), mode: ResumeMode::PLAIN, ignore_hours, request: None }));
    events.push((120, Event::GateMeasured { gate: plan.strategy.metrics[0].name.clone(), measurement }));
    events.push((
        130,
        Event::Finished {
            outcome: RunOutcome::Completed,
            remarks: Vec::new(),
            unresolved: Vec::new(),
            accepted: Vec::new(),
            notes: Vec::new(),
        },
    ));
    let shown = text(&RunView::of(&plan, &state(events), None, &[], at(9000)), &Style::plain());
    for part in [
        "were ignored for step 4 only, by alice@mac: agreed with sales",
        "errors  FAILS: b fails 40 of the last 54 requests",
        "rolled-out  was not asked at the last shares",
    ] {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
}

/// Regression test: a gate that did not pass was in the gates and, with the same numbers, in the waits, so that the
/// status did not fit on a screen.
#[test]
fn a_gate_that_does_not_pass_has_its_numbers_once() {
    let wait = |gate: &str| Wait {
        reason: WaitReason::MetricGate,
        message: format!("gate {gate} does not pass yet: measured 8 of the 10 windows that a verdict needs"),
        until: None,
    };
    let waits = vec![wait("slowness"), wait("errors"), wait("of another version")];
    let view = RunView { gates: five_gates(), waits, ..baking() };
    let shown = text(&view, &Style::plain());
    assert!(shown.contains("gates to pass: slowness, errors"), "{shown}");
    assert!(shown.contains("gate of another version does not pass yet"), "{shown}");
    assert_eq!(shown.matches("measured 8 of the 10 windows").count(), 2, "{shown}");
}

/// Regression test: after a rollback with `stickiness: keep`, no command moved the clients with a cookie.
#[test]
fn sticky_clients_that_stayed_have_a_command() {
    let rolled_back =
        RunView { outcome: Some(RunOutcome::RolledBack), guard: Guard::Over, sticky_clients_left: true, ..baking() };
    let command = format!("cutover rollback {} --stickiness break   # also the clients with a cookie", rolled_back.run);
    assert_eq!(rollback_commands(&rolled_back), [command.as_str()]);
    assert_eq!(commands_of_a_real_run(&rolled_back)[0], command);
    assert!(final_lines(&rolled_back, &Style::plain()).join("\n").contains(&command));
    let moved = RunView { sticky_clients_left: false, ..rolled_back };
    assert!(rollback_commands(&moved).is_empty());
}

/// Regression test: a group's line that began with spaces was broken in a word.
#[test]
fn the_reason_of_unused_targets_is_wrapped_at_words_and_says_unused_once() {
    let mut view = baking();
    view.health[0].targets = Some(HealthCounts { unused: 4, ..HealthCounts::default() });
    view.health[0].unused = Some("Target group is not configured to receive traffic from the load balancer".into());
    let shown = text(&view, &screen(80));
    assert_fits(&shown, 80);
    assert_eq!(shown.matches("unused").count(), 1, "{shown}");
}

/// Returns the text of a gate in a run with these events, seven steps, and the gates of the metric plan.
fn words_of(plan: &crate::plan::model::Plan, gate: &str, events: Vec<(i64, Event)>) -> String {
    let view = RunView::of(plan, &state(events), None, &[], at(400));
    view.gates.iter().find(|other| other.gate == gate).map(GateView::words).expect("the gate")
}

/// Regression test: a gate of an earlier step that had passed was "not asked yet".
#[test]
fn a_gate_of_an_earlier_step_keeps_its_verdict() {
    let mut plan = rich_plan();
    let gate = plan.strategy.metrics.iter_mut().find(|gate| !gate.guard).expect("a gate that does not guard");
    gate.scope = crate::plan::model::metric::GateScope::Step(2);
    let name = gate.name.clone();
    assert_eq!(words_of(&plan, &name, until_bake()), "was not asked in step 2, to which it applied");
    let mut events = until_bake();
    let settled = events.iter().position(|(_, event)| matches!(event, Event::Settled { .. })).expect("settled");
    let passed = Event::VerdictChanged {
        gate: name.clone(),
        verdict: GateResult::Pass,
        why: "responded with status 200".into(),
        dry_run: false,
    };
    events.insert(settled, (12, passed));
    assert_eq!(words_of(&plan, &name, events), "passed in step 2, to which it applied");
}

/// Regression test: after an abort, the share gate compared a measurement of the old shares with the new shares.
#[test]
fn a_share_gate_compares_nothing_after_a_rollback() {
    let plan = rich_plan();
    let share = |gate: &&crate::plan::model::metric::MetricGate| {
        matches!(gate.condition, crate::plan::model::metric::GateCondition::Share { .. })
    };
    let name = plan.strategy.metrics.iter().find(share).expect("a share gate").name.clone();
    let count = |requests| RequestCount { requests, errors: 0 };
    let mut events = until_bake();
    let seen = MeasuredValue::Counts { old: count(9300), new: count(660) };
    let measurement = Measurement { from: at(60), to: at(120), seen };
    events.push((120, Event::GateMeasured { gate: name.clone(), measurement }));
    let why = "b got 6.6 % of 9960 requests; the written share is 5.0 %".to_owned();
    events.push((120, Event::VerdictChanged { gate: name.clone(), verdict: GateResult::Pass, why, dry_run: false }));
    events.push((
        130,
        Event::RollbackStarted {
            cause: "aborted".into(),
            by: "bob@pc".into(),
            trigger: Trigger::Operator,
            to_step: None,
            force: false,
            break_stickiness: false,
            request: None,
        },
    ));
    assert_eq!(words_of(&plan, &name, events), "passes: measured before the rollback, at the shares of that time");
}

/// Regression test: the shares 70, 30 and 30 of three groups were shown as 70 % and 30 %.
#[test]
fn shares_beside_a_third_group_are_those_of_the_plans_part() {
    let live = crate::domain::fixture::forward(&[("webapp-a", 70), ("webapp-b", 30), ("webapp-default", 30)]);
    let mut events = until_bake();
    events.push((70, drifted(&ids()[1], weights(99, 1), Some(live))));
    let view = RunView::of(&plan(), &state(events), None, &[], at(72));
    let text = text(&view, &Style::plain());
    let line = text.lines().find(|line| line.contains("b 30 %")).expect("the drifted route");
    assert!(line.ends_with("b 30 % of the plan's part, 76.92 % of the requests; webapp-default 23.08 %"), "{line}");
    assert_eq!(text.matches("of the plan's part").count(), 1, "the other routes have no third group: {text}");
}

/// Regression test: a completed run did not name `finalize`, and `status` of a run that was rolled back named nothing.
#[test]
fn a_finished_run_says_what_is_next() {
    let with = |outcome| RunView { outcome: Some(outcome), guard: Guard::Over, ..baking() };
    let next = |outcome| text(&with(outcome), &Style::plain());
    let run = baking().run;
    for text in [next(RunOutcome::Completed), final_lines(&with(RunOutcome::Completed), &Style::plain()).join("\n")] {
        assert!(text.contains(&format!("cutover finalize {run}   # can the old cluster be retired?")), "{text}");
    }
    for outcome in [RunOutcome::RolledBack, RunOutcome::Aborted] {
        let text = next(outcome);
        assert!(
            text.contains(&format!("cutover report {run}")) && text.contains("cutover run plans/alpha.yaml"),
            "{text}"
        );
    }
}

#[test]
fn a_run_held_by_the_compare_gate_names_the_comparison() {
    let message = "gate compare holds: CUT120 Deployment shop/checkout; compared again every 5m".to_owned();
    let wait = Wait { reason: WaitReason::Compare, message, until: None };
    let view = RunView { waits: vec![wait], ..baking() };
    let text = text(&view, &Style::plain());
    assert!(
        text.contains("cutover compare plans/alpha.yaml   # what differs now; the run compares again by itself"),
        "{text}"
    );
}
