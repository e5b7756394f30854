use indicatif::ProgressDrawTarget;
use jiff::SignedDuration;

use super::*;
use crate::app::view::{DriftKind, DriftView, FreezeView, GroupHealth, RouteGroup};
use crate::cli::render::fixture::{
    at, drifted, five_gates, ids, intended, outcome, set, state, step, until_bake, watch, weights,
};
use crate::domain::fixture::plan;
use crate::domain::health::HealthCounts;
use crate::domain::metric::verdict::judge::GateResult;
use crate::domain::run::event::{Event, FreezeReason, RunOutcome, StepType, Trigger, Wait, WaitReason, WriteResult};
use crate::domain::run::state::Phase;
use crate::domain::view::gates::GateView;

fn screen(width: usize) -> Screen {
    Screen { width, height: 40 }
}

fn baking() -> RunView {
    let wait = Wait { reason: WaitReason::Bake, message: "baking for 10m".into(), until: Some(at(660)) };
    RunView::of(&plan(), &state(until_bake()), Some(&watch(70, (31, 2), (4, 0))), &[wait], at(72))
}

#[test]
fn a_step_before_the_first_step_of_the_run_is_not_marked_as_done() {
    let view = RunView { from_step: 2, ..baking() };
    let lines = dashboard_lines(&view, screen(100), &Style::plain());
    assert!(lines.iter().any(|line| line.starts_with("  -  1  ")), "{lines:?}");
    assert!(lines.iter().any(|line| line.starts_with("  +  2  ") || line.starts_with("  ✓  2  ")), "{lines:?}");
}

#[test]
fn dashboard_of_a_bake() {
    insta::assert_snapshot!(dashboard_lines(&baking(), screen(100), &Style::plain()).join("\n"));
}

#[test]
fn dashboard_of_a_batch_and_a_foreign_write() {
    let ids = ids();
    let mut events = until_bake();
    events.extend([(660, Event::StepDone { step: 3 }), (661, step(4, StepType::Shares, "a 50 %, b 50 %"))]);
    events.push((662, intended(&ids[..2], &set(99, 1), &set(50, 50), false)));
    events.push((663, outcome(&ids[0], WriteResult::Applied, Some(set(50, 50)), None)));
    events.push((663, drifted(&ids[2], weights(99, 1), Some(weights(0, 100)))));
    events.push((663, drifted(&ids[3], weights(99, 1), None)));
    events.push((
        663,
        Event::Frozen {
            reason: FreezeReason::Drift,
            message: "443 rule 20 was changed by someone else, and 1 more".into(),
        },
    ));
    let view = RunView::of(&plan(), &state(events), Some(&watch(664, (40, 0), (0, 4))), &[], at(664));
    insta::assert_snapshot!(dashboard_lines(&view, screen(100), &Style::plain()).join("\n"));
}

/// Returns a run with everything that the dashboard can show: twelve steps, a batch of 36 routes with changes by
/// someone else, twelve groups of which two are unhealthy, two metric gates, and a freeze with a long reason.
fn crowded() -> RunView {
    let group = |n: usize, cluster: &str, targets| GroupHealth {
        cluster: cluster.into(),
        group: format!("shop-{n}-{cluster}"),
        targets: Some(targets),
        unused: None,
        unreadable: None,
    };
    let ill = HealthCounts { unhealthy: 4, ..HealthCounts::default() };
    let some = HealthCounts { healthy: 3, unhealthy: 1, draining: 2, ..HealthCounts::default() };
    let well = HealthCounts { healthy: 4, ..HealthCounts::default() };
    let health =
        (1..=6).flat_map(|n| [group(n, "a", well), group(n, "b", [well, ill, some, well, well, well, well][n])]);
    let split = |shares: (f64, f64), routes: std::ops::Range<usize>| RouteGroup {
        shares: vec![("a".into(), shares.0), ("b".into(), shares.1)],
        routes: routes.map(|n| format!("443 rule {n}")).collect(),
        outside: Vec::new(),
        sticky: 0,
    };
    let drift = |n: usize| DriftView {
        route: format!("443 rule {n}"),
        kind: DriftKind::Changed,
        change: format!("from a 80 %, b 20 % to a {n} %, b {} %", 100 - n),
        accepted: false,
        by: "probably Terraform".into(),
        restores_original: false,
        advice: None,
    };
    let wait = |reason, message: &str| Wait { reason, message: message.into(), until: None };
    let gate = |name: &str, verdict, why: &str| GateView {
        gate: name.into(),
        in_force: true,
        dry_run: false,
        verdict: Some(verdict),
        why: why.into(),
    };
    let message = "443 rule 31 was changed by someone else from a 80 %, b 20 % to a 31 %, b 69 %, and 4 more; \
                   no share is raised until a person decides";
    RunView {
        steps: ["bind", "first-traffic (a 99 %, b 1 %)", "pause 10m", "a 95 %, b 5 %", "pause 10m", "a 80 %, b 20 %"]
            .into_iter()
            .chain(["pause 20m", "approval: on-call has read the dashboards", "half (a 50 %, b 50 %)", "pause 30m"])
            .chain(["all (a 0 %, b 100 %)", "pause 1h"])
            .map(str::to_owned)
            .collect(),
        step: 9,
        phase: Phase::Shifting,
        frozen: Some(FreezeView { reason: FreezeReason::Drift, message: message.into(), since: at(72) }),
        traffic: [split((80.0, 20.0), 1..21), split((50.0, 50.0), 21..31)]
            .into_iter()
            .chain((31..37).map(|n| split((f64::from(u32::try_from(n).unwrap()), 99.5), n..n + 1)))
            .collect(),
        unconfirmed: vec!["443 rule 20".into(), "443 rule 21".into()],
        drift: (31..36).map(drift).collect(),
        health: health.collect(),
        gates: vec![
            gate("slowness", GateResult::Pass, "b needs 0.21 s, a 0.20 s, in 12 windows"),
            gate("errors", GateResult::Hold, "b fails 0.31 % of 96 requests, 100 are needed"),
        ],
        waits: vec![
            wait(WaitReason::RaiseGate, "webapp-b has 4 of the 8 healthy targets that half of the traffic needs"),
            wait(WaitReason::GuardFailing, "shop-2-b has 3 of 4 healthy targets, the guard fails in 40s"),
        ],
        ..baking()
    }
}

/// Asserts that a screen shows the facts that an operator needs for a decision.
fn assert_decidable(lines: &[String], screen: Screen) {
    assert!(lines.len() < screen.height, "{} lines\n{}", lines.len(), lines.join("\n"));
    assert!(lines.iter().all(|l| console::measure_text_width(l) <= screen.width), "{lines:#?}");
    let text = lines.join("\n");
    for part in [
        "step 9 of 12",
        "FROZEN",
        "no share is raised",
        "half of the traffic",
        "guard fails in 40s",
        "✗ b  shop-1-b",
        "errors  holds: b fails 0.31 % of 96 requests",
        "slowness  passes: ",
        "waits",
        "way back",
        "guard",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(text.contains("--keep-live") && text.contains("# undo the change"), "{text}");
}

#[test]
fn a_crowded_run_fits_80_by_24() {
    let screen = Screen { width: 80, height: 24 };
    let lines = dashboard_lines(&crowded(), screen, &Style::plain());
    assert_decidable(&lines, screen);
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn a_crowded_run_fits_150_by_40() {
    let screen = Screen { width: 150, height: 40 };
    let lines = dashboard_lines(&crowded(), screen, &Style::plain());
    assert_decidable(&lines, screen);
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn a_calm_run_leaves_room_for_events_at_80_by_24() {
    let lines = dashboard_lines(&baking(), Screen { width: 80, height: 24 }, &Style::plain());
    assert!(lines.len() <= 18, "{lines:#?}");
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn the_last_pause_and_what_follows_it_are_said() {
    let state = |view: &RunView| dashboard_lines(view, screen(80), &Style::plain())[1].trim().to_owned();
    let last = RunView { step: 7, ..baking() };
    assert_eq!(state(&last), "baking; the run completes after this step");
    let over = RunView { now: last.waits[0].until.unwrap() + SignedDuration::from_secs(1), ..last.clone() };
    assert_eq!(state(&over), "the pause is over");
    let done = RunView { step: 8, phase: Phase::Ready, waits: Vec::new(), ..last };
    assert_eq!(state(&done), "every step is done, completing the run");
}

/// Returns a run at an approval with five gates. The last gate of the plan fails.
fn approving() -> RunView {
    let wait = |reason, message: &str| Wait { reason, message: message.into(), until: None };
    let message = "approval: ticket office says sales look normal; gate seats-latency passes; gate errors holds; gate \
                   split passes; gate slowness holds; gate saturation fails";
    let health = |cluster: &str, name: &str| GroupHealth {
        cluster: cluster.into(),
        group: format!("{name}-{cluster}"),
        targets: Some(HealthCounts { healthy: 3, ..HealthCounts::default() }),
        unused: None,
        unreadable: None,
    };
    RunView {
        phase: Phase::AwaitingApproval,
        gates: five_gates(),
        waits: vec![wait(WaitReason::Approval, message)],
        health: ["seats", "tickets"].iter().flat_map(|name| [health("a", name), health("b", name)]).collect(),
        ..baking()
    }
}

/// Regression test: on a small screen, the failing gate was hidden behind passing gates.
#[test]
fn only_passing_gates_are_folded() {
    let view = approving();
    for (width, height) in [(80, 24), (80, 21), (150, 24)] {
        let screen = Screen { width, height };
        let lines = dashboard_lines(&view, screen, &Style::plain());
        let text = lines.join("\n");
        assert!(lines.len() < height, "{text}");
        let place = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part}\n{text}"));
        let (fails, holds) = (place("saturation  FAILS: 0.5 is not at most"), place("errors  holds: b fails"));
        assert!(fails < holds && holds < place("slowness  holds: measured 8"), "{text}");
        assert!(text.contains("cutover approve "), "{text}");
        insta::assert_snapshot!(format!("five_gates_{width}_by_{height}"), text);
    }
}

/// Regression test: a step that only waited was said to be shifting.
#[test]
fn the_state_says_what_a_step_waits_for() {
    let state = |step, reason, message: &str| {
        let waits = vec![Wait { reason, message: message.into(), until: None }];
        let view = RunView { step, phase: Phase::Shifting, waits, ..baking() };
        state_line(&view, &Style::plain()).1
    };
    assert_eq!(state(1, WaitReason::RaiseGate, "0 healthy"), "waiting for healthy targets");
    assert_eq!(state(1, WaitReason::Rate, "limited"), "attaching the new target groups");
    assert_eq!(state(4, WaitReason::MetricGate, "gate errors holds"), "waiting for the gates of the step");
    assert_eq!(state(4, WaitReason::Window, "tomorrow"), "waiting for the hours of the plan");
    assert_eq!(state(4, WaitReason::Settle, "written"), "written, settling");
    assert_eq!(state(4, WaitReason::Rate, "limited"), "shifting");
}

#[test]
fn waits_for_hours_and_pauses_name_the_command_that_ends_them() {
    let shown = |view: &RunView| dashboard_lines(view, Screen { width: 80, height: 24 }, &Style::plain()).join("\n");
    let text = shown(&baking());
    assert!(text.contains("continue  cutover promote alpha-"), "{text}");
    let wait = Wait { reason: WaitReason::Window, message: "step 4 starts tomorrow".into(), until: None };
    let hours = RunView { phase: Phase::Ready, waits: vec![wait], ..baking() };
    let text = shown(&hours);
    assert!(text.contains("cutover resume alpha-20260301-140200-k3f9 --ignore-hours REASON\n"), "{text}");
    let long = RunView { run: "checkout-of-the-large-shop-20260301-140200-k3f9".into(), ..hours };
    let text = shown(&long);
    assert!(text.contains("k3f9 \\\n") && text.contains("  --ignore-hours REASON\n"), "{text}");
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    for width in [40, 60, 100] {
        for style in
            [Style::plain(), Style { color: true, ..Style::plain() }, Style { unicode: false, ..Style::plain() }]
        {
            let lines = dashboard_lines(&baking(), screen(width), &style);
            assert!(lines.iter().all(|l| console::measure_text_width(l) <= width), "{lines:#?}");
            assert!(style.unicode || lines.iter().all(|l| l.is_ascii()), "{lines:#?}");
        }
    }
}

#[test]
fn a_finished_run_has_no_current_step() {
    let mut events = until_bake();
    let cause = "webapp-b has no healthy target".to_owned();
    events.push((
        70,
        Event::RollbackStarted {
            cause,
            by: "cutover".into(),
            trigger: Trigger::Gate,
            to_step: None,
            force: false,
            break_stickiness: false,
            request: None,
        },
    ));
    events.push((
        75,
        Event::Finished {
            outcome: RunOutcome::RolledBack,
            remarks: Vec::new(),
            unresolved: Vec::new(),
            accepted: Vec::new(),
            notes: Vec::new(),
        },
    ));
    let lines = dashboard_lines(&RunView::of(&plan(), &state(events), None, &[], at(80)), screen(100), &Style::plain());
    assert_eq!(lines[1], "  rolled back: webapp-b has no healthy target");
    assert!(!lines.iter().any(|l| l.contains('▸')), "{lines:#?}");
}

#[test]
fn dashboard_shows_exactly_the_given_lines() {
    let mut dashboard = Dashboard::new(MultiProgress::with_draw_target(ProgressDrawTarget::hidden()));
    let shown = |d: &Dashboard| d.bar.as_ref().map(ProgressBar::message);
    dashboard.show(&["one".into(), "two".into(), "three".into()]);
    assert_eq!(shown(&dashboard).as_deref(), Some("one\ntwo\nthree"));
    dashboard.show(&["four".into()]);
    assert_eq!(shown(&dashboard).as_deref(), Some("four"));
    dashboard.show(&[]);
    assert_eq!(shown(&dashboard), None);
}
