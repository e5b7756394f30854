use indicatif::ProgressDrawTarget;

use super::*;
use crate::cli::render::fixture::{at, drifted, ids, intended, outcome, set, state, step, until_bake, watch, weights};
use crate::domain::fixture::plan;
use crate::domain::run::event::{Event, FreezeReason, RunOutcome, StepType, Trigger, Wait, WaitReason, WriteResult};

fn baking() -> RunView {
    let wait = Wait { reason: WaitReason::Bake, message: "baking for 10m".into(), until: Some(at(660)) };
    RunView::of(&plan(), &state(until_bake()), Some(&watch(70, (31, 2), (4, 0))), &[wait], at(72))
}

#[test]
fn dashboard_of_a_bake() {
    insta::assert_snapshot!(dashboard_lines(&baking(), 100, &Style::plain()).join("\n"));
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
    insta::assert_snapshot!(dashboard_lines(&view, 100, &Style::plain()).join("\n"));
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    for width in [40, 60, 100] {
        for style in
            [Style::plain(), Style { color: true, ..Style::plain() }, Style { unicode: false, ..Style::plain() }]
        {
            let lines = dashboard_lines(&baking(), width, &style);
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
    let lines = dashboard_lines(&RunView::of(&plan(), &state(events), None, &[], at(80)), 100, &Style::plain());
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
