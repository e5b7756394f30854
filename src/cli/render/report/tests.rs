use super::*;
use crate::cli::render::fixture::{at, healthy, ids, intended, outcome, records, set, until_bake};
use crate::domain::fixture::{group_arn, plan};
use crate::domain::health::HealthCounts;
use crate::domain::run::event::{FreezeReason, Wait};
use crate::domain::run::event::{GateKind, Trigger};
use crate::domain::traffic::RouteId;

/// Returns the records of a run with these events: bind and 1 %, a bake with a pause and a time without observations, a
/// failed guard, and the rollback.
fn rolled_back(reason: &str) -> Vec<Record> {
    let mut events = until_bake();
    let health = |b: HealthCounts| Event::Health {
        groups: [(group_arn("webapp-a"), healthy(40, 0)), (group_arn("webapp-b"), b)].into(),
    };
    let bake = |until| Wait { reason: WaitReason::Bake, message: "baking for 10m".into(), until: Some(at(until)) };
    let gate =
        Wait { reason: WaitReason::RaiseGate, message: "webapp-b has 4 of the 8 healthy targets".into(), until: None };
    events.insert(3, (2, health(healthy(0, 4))));
    events.insert(4, (3, Event::Waiting { waits: vec![gate] }));
    events.extend([
        (61, health(healthy(4, 0))),
        (61, Event::Waiting { waits: vec![bake(660)] }),
        (100, Event::Paused { by: "bob@desk".into(), reason: reason.into(), request: None }),
        (
            130,
            Event::Resumed {
                ignore_hours: None,
                by: "alice@mac".into(),
                mode: crate::domain::run::event::ResumeMode::PLAIN,
                request: None,
            },
        ),
        (200, Event::Baked { step: 3, millis: 100_000, gap: 40_000, until: at(200) }),
        (210, health(HealthCounts { unhealthy: 4, ..HealthCounts::default() })),
        (
            210,
            Event::GateFailed {
                gate: GateKind::Guard,
                group: group_arn("webapp-b"),
                message: "has no healthy target".into(),
            },
        ),
    ]);
    let cause = "webapp-b has no healthy target".to_owned();
    events.push((
        210,
        Event::RollbackStarted {
            cause,
            by: "cutover".into(),
            trigger: Trigger::Gate,
            to_step: None,
            force: false,
            request: None,
        },
    ));
    events.push((210, intended(&ids(), &set(99, 1), &set(100, 0), true)));
    let restored = |(n, id): (usize, &RouteId)| {
        let answered = if n == 3 {
            crate::domain::run::event::WriteResult::Already
        } else {
            crate::domain::run::event::WriteResult::Applied
        };
        (211, outcome(id, answered, Some(set(100, 0)), None))
    };
    events.extend(ids().iter().enumerate().map(restored));
    events.push((
        215,
        Event::Finished {
            outcome: RunOutcome::RolledBack,
            remarks: Vec::new(),
            unresolved: Vec::new(),
            accepted: Vec::new(),
            notes: Vec::new(),
        },
    ));
    records(events)
}

fn with_report<T>(records: &[Record], check: impl FnOnce(&ReportInput) -> T) -> T {
    let plan = plan();
    let history = History::of(&plan, records)
        .expect("the records should form a valid history")
        .expect("the history should not be empty");
    check(&ReportInput::new(&plan, records, &history, &Style::plain()))
}

#[test]
fn markdown_report_of_a_run_that_was_rolled_back() {
    insta::assert_snapshot!(with_report(&rolled_back("dashboards look odd"), markdown));
}

#[test]
fn history_matches_the_records() {
    with_report(&rolled_back(""), |report| {
        let history = report.history;
        assert_eq!(history.length(), SignedDuration::from_secs(215));
        assert_eq!((history.writes.intended, history.writes.applied, history.writes.already), (8, 7, 1));
        assert_eq!(history.rolled_back_at, Some(3));
        let of_b: Vec<_> =
            history.traffic.iter().map(|t| (t.at.duration_since(at(0)).as_secs(), t.shares["b"])).collect();
        assert_eq!(of_b.first(), Some(&(0, (0.0, 0.0))));
        assert!(
            of_b.contains(&(13, (0.0, 1.0))),
            "the history should contain the time when only some routes were written: {of_b:?}"
        );
        assert!(of_b.contains(&(13, (1.0, 1.0))));
        assert_eq!(of_b.last(), Some(&(211, (0.0, 0.0))));
        let of_b: Vec<_> = history.health.iter().map(|h| h.targets["b"]).collect();
        assert_eq!(of_b, [(0, 4), (4, 4), (0, 4)]);
        let gate = &history.steps[0].waits[0];
        assert_eq!((gate.0, gate.2), (WaitReason::RaiseGate, SignedDuration::from_secs(2)));
    });
}

#[test]
fn html_page_has_the_numbers_of_the_journal_and_escapes_foreign_text() {
    let page = with_report(&rolled_back("<script>alert(1)</script> & \"more\""), html);
    for number in [
        "8 sent, 7 read back as written, 1 needed no write",
        "0 of 4 targets of b healthy",
        "a 99 %, b 1 %",
        "3m35s",
        "14:05:30",
    ] {
        assert!(page.contains(number), "{number}\n{page}");
    }
    assert!(page.contains("&lt;script&gt;alert(1)") && !page.contains("<script"), "{page}");
    assert!(
        ["://", "url(", "src=", "@import"].iter().all(|needs| !page.contains(needs)),
        "the page must not refer to external resources"
    );
}

#[test]
fn report_of_an_unfinished_run_describes_its_state() {
    let mut events = until_bake();
    events.push((70, Event::Frozen { reason: FreezeReason::Drift, message: "443 default was changed".into() }));
    let (verdict, badge) = with_report(&records(events), |report| (report.verdict(), report.badge().0));
    assert_eq!(badge, "Unfinished");
    assert_eq!(
        verdict,
        "At step 3 of 7 after 1m10s: FROZEN since 14:03 (drift): 443 default was changed. \
         Last read: 4 routes at a 99 %, b 1 %."
    );
}
