use super::*;
use crate::cli::render::fixture::{at, drifted, healthy, ids, intended, outcome, records, set, until_bake, weights};
use crate::domain::fixture::{group_arn, plan};
use crate::domain::health::HealthCounts;
use crate::domain::run::event::{ClientMeasurement, ClusterMeasurement, FreezeReason, MeasuredTime, Wait};
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
            break_stickiness: false,
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
        let of_b = history.health.iter().map(|h| h.targets["b"]);
        let of_b: Vec<_> = of_b.map(|c| (c.healthy, c.initial, c.unhealthy)).collect();
        assert_eq!(of_b, [(0, 4, 0), (4, 0, 0), (0, 0, 4)]);
        let gate = &history.steps[0].waits[0];
        assert_eq!((gate.0, gate.2), (WaitReason::RaiseGate, SignedDuration::from_secs(2)));
    });
}

#[test]
fn html_page_has_the_numbers_of_the_journal_and_escapes_foreign_text() {
    let page = with_report(&rolled_back("<script>alert(1)</script> & \"more\""), html);
    for number in [
        "8 sent, 7 read back as written, 1 needed no write",
        "targets of b: 0 healthy, 4 unhealthy",
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
    assert_eq!(badge, "Frozen");
    assert_eq!(
        verdict,
        "At step 3 of 7 after 1m10s: FROZEN since 14:03 UTC (drift): 443 default was changed. \
         Last read: 4 routes at a 99 %, b 1 %."
    );
}

/// Returns the legend of a page.
fn legend(page: &str) -> &str {
    let at = page.find("class=\"legend\"").expect("a legend");
    &page[at..at + page[at..].find("</p>").expect("its end")]
}

#[test]
fn draining_targets_are_in_the_picture_and_the_legend_names_only_what_occurs() {
    let mut events: Vec<_> =
        rolled_back("").into_iter().map(|r| (r.time.duration_since(at(0)).as_secs(), r.event)).collect();
    let place = events.iter().position(|(_, e)| matches!(e, Event::GateFailed { .. })).expect("a failed gate");
    let b = HealthCounts { healthy: 1, draining: 3, ..HealthCounts::default() };
    let groups = [(group_arn("webapp-a"), healthy(40, 0)), (group_arn("webapp-b"), b)].into();
    events.insert(place - 1, (205, Event::Health { groups }));
    let page = with_report(&records(events), html);
    assert!(page.contains("targets of b: 1 healthy, 3 draining"), "{page}");
    assert!(page.contains("<rect class=\"draining\""), "{page}");
    let legend = legend(&page);
    for name in ["healthy", "initial", "draining", "unhealthy", "times: in UTC"] {
        assert!(legend.contains(name), "{name}\n{legend}");
    }
    assert!(!legend.contains("unavailable"), "{legend}");
    assert!(page.contains("All times are in UTC."), "{page}");
}

#[test]
fn a_short_incident_of_a_long_run_is_enlarged() {
    assert!(!with_report(&records(until_bake()), html).contains("The incident, enlarged"), "nothing happened yet");
    let late = rolled_back("").into_iter().map(|r| {
        let seconds = r.time.duration_since(at(0)).as_secs();
        (if seconds > 60 { seconds + 7200 } else { seconds }, r.event)
    });
    let page = with_report(&records(late.collect()), html);
    let at = page.find("The incident, enlarged").expect("a second chart");
    assert!(page[at..].contains("targets of b: 0 healthy, 4 unhealthy"), "{page}");
    let step = page[..at].find("class=\"step\"").map(|at| &page[at..]).expect("a step");
    assert!(step.contains(">1–3</span>"), "steps 1 to 3 begin in the same minute of two hours: {step}");
}

/// Regression test: after drift towards the original shares, the same rollback was listed twice.
#[test]
fn a_command_is_listed_once() {
    let mut events = until_bake();
    events.push((70, drifted(&ids()[2], weights(99, 1), Some(weights(100, 0)))));
    events.push((70, Event::Frozen { reason: FreezeReason::Drift, message: "443 rule 20".into() }));
    let page = with_report(&records(events), markdown);
    assert_eq!(page.lines().filter(|line| line.starts_with("cutover rollback ")).count(), 1, "{page}");
}

#[test]
fn a_frozen_run_names_its_commands_and_a_rehearsal_those_of_a_real_run() {
    let mut events = until_bake();
    events.push((70, Event::Frozen { reason: FreezeReason::GuardFailed, message: "webapp-b is not healthy".into() }));
    let records = records(events);
    let command = "cutover resume alpha-20260301-140200-k3f9";
    let page = with_report(&records, html);
    for part in [command, "cutover rollback alpha-20260301-140200-k3f9   # roll back", "cutover status", "What to do"] {
        assert!(page.contains(part), "{part}\n{page}");
    }
    assert!(with_report(&records, markdown).contains(command));
    let finished = with_report(&rolled_back(""), html);
    assert!(finished.contains("cutover run plans/alpha.yaml") && !finished.contains("cutover resume"), "{finished}");
    let (plan, history) = (plan(), History::of(&plan(), &records).expect("legal").expect("records"));
    let rehearsed = ReportInput::new(&plan, &records, &history, &Style::plain());
    let page = html(&rehearsed.with_clients(Some(ClientResults::default())));
    let wanted = format!("cutover rollback {}   # roll back", plan_argument(&plan));
    assert!(page.contains("A real run of the plan would offer") && page.contains(&wanted), "{page}");
    assert!(!page.contains(command), "the run of a rehearsal cannot be reached: {page}");
}

#[test]
fn the_errors_of_a_rehearsals_clients_are_in_its_report() {
    let records = rolled_back("");
    let measured = ClientMeasurement {
        step: 2,
        label: "a 99 %, b 1 %".into(),
        during: MeasuredTime::Step,
        clusters: [(
            "b".to_owned(),
            ClusterMeasurement { planned: 1.0, measured: 1.2, requests: 60, client_errors: 31 },
        )]
        .into(),
        requests: 5000,
        client_errors: 31,
    };
    let clients =
        ClientResults { steps: vec![(at(205), measured)], requests: 6000, errors: 33, ..ClientResults::default() };
    let (plan, history) = (plan(), History::of(&plan(), &records).expect("legal").expect("records"));
    let input = ReportInput::new(&plan, &records, &history, &Style::plain()).with_clients(Some(clients));
    for text in [html(&input), markdown(&input)] {
        assert!(text.contains("clients sent 6000 requests; 33 failed (no answer, or 5xx)."), "{text}");
        assert!(text.contains("clients saw 31 requests fail in step 2, its writes and settle included"), "{text}");
    }
    assert!(html(&input).contains("b 1.2 % (plan 1)"), "the table of the steps");
}

#[test]
fn a_rollback_that_leaves_clients_or_routes_behind_says_so_at_the_head() {
    let ended = |remarks: &[&str], unresolved: &[&str]| {
        let mut records = rolled_back("");
        let texts = |all: &[&str]| all.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let last = records.last_mut().expect("records");
        last.event = Event::Finished {
            outcome: RunOutcome::RolledBack,
            remarks: texts(remarks),
            unresolved: texts(unresolved),
            accepted: Vec::new(),
            notes: Vec::new(),
        };
        with_report(&records, |report| (report.badge().0, html(report), markdown(report)))
    };
    let (badge, page, ticket) = ended(&[], &["80 rule 1: deleted", "80 rule 2: deleted"]);
    assert_eq!(badge, "Rolled back, 2 NOT restored");
    for text in [page, ticket] {
        assert!(text.contains("2 routes are NOT restored. A person must act"), "{text}");
        assert!(text.contains("NOT restored: 2 routes (80 rule 1, 80 rule 2): deleted"), "{text}");
    }
    let (badge, page, ticket) = ended(&["clients with a cookie stay on b"], &[]);
    assert_eq!(badge, "Rolled back, but some clients are not back");
    assert!([page, ticket].iter().all(|text| text.matches("lients with a cookie stay on b").count() >= 3));
    assert_eq!(ended(&[], &[]).0, "Rolled back");
}

/// Returns the records of a run, with everything after 14:03 two hours later.
fn late(records: Vec<Record>) -> Vec<Record> {
    let later = |r: Record| {
        let seconds = r.time.duration_since(at(0)).as_secs();
        (if seconds > 60 { seconds + 7200 } else { seconds }, r.event)
    };
    super::super::fixture::records(records.into_iter().map(later).collect())
}

/// Returns the second chart of a page, which enlarges the incident.
fn incident(page: &str) -> &str {
    let at = page.find("The incident, enlarged").expect("a second chart");
    &page[at..at + page[at..].find("What happened").expect("the next section")]
}

/// Regression test: the enlarged incident began after the fault, did not mark it, and had no failed requests.
#[test]
fn the_incident_of_a_rehearsal_begins_with_its_fault_and_shows_failed_requests() {
    let records = late(rolled_back(""));
    let (plan, history) = (plan(), History::of(&plan(), &records).expect("legal").expect("records"));
    let fault = "scenario: fault 1 (line 6) begins: kill {cluster: to}".to_owned();
    let clients = ClientResults {
        requests: 1000,
        errors: 80,
        faults: vec![(at(7200), fault)],
        totals: vec![(at(0), 0, 0), (at(7200), 600, 0), (at(7230), 700, 25), (at(7415), 1000, 80)],
        ..ClientResults::default()
    };
    let input = ReportInput::new(&plan, &records, &history, &Style::plain()).with_clients(Some(clients));
    let page = html(&input);
    let incident = incident(&page);
    assert!(incident.contains("class=\"mark fault\"") && incident.contains("begins: kill"), "{incident}");
    assert!(incident.contains("16:02:00 – 16:02:30: 25 of 100 requests failed"), "{incident}");
    assert!(incident.contains("25 %") && legend(&page).contains("fault of the scenario"), "{page}");
    let first = incident.find("class=\"times\"").map(|at| &incident[at..]).expect("times");
    assert!(first.contains("<span>16:00:"), "the margin before the fault: {first}");
}

/// Regression test: a run in which nothing went wrong had an enlarged incident.
#[test]
fn a_rollback_on_request_without_a_problem_is_no_incident() {
    let mut events: Vec<_> = until_bake();
    events.push((
        7400,
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
    assert!(!with_report(&records(events), html).contains("The incident, enlarged"));
}

/// Regression test: a rehearsal in which requests failed while no gate saw it ended as a plain success.
#[test]
fn a_completed_rehearsal_with_failed_requests_is_no_plain_success() {
    let mut events = until_bake();
    let promoted = |step| Event::Promoted { step, full: true, by: "bob@pc".into(), request: None };
    events.push((70, promoted(3)));
    let mut records = records(events);
    let plan = plan();
    let mut history = History::of(&plan, &records).expect("legal").expect("records");
    history.state.finished = Some(RunOutcome::Completed);
    let run = records[0].run.clone();
    records.push(Record::new(
        99,
        at(80),
        run.clone(),
        Event::Finished {
            outcome: RunOutcome::Completed,
            remarks: vec![format!("443 rule 3: deleted: cutover resume {run} --keep-live")],
            unresolved: Vec::new(),
            accepted: Vec::new(),
            notes: Vec::new(),
        },
    ));
    let seen = |errors| Some(ClientResults { requests: 1000, errors, ..ClientResults::default() });
    let report = |errors| ReportInput::new(&plan, &records, &history, &Style::plain()).with_clients(seen(errors));
    let failed = report(80);
    let says = "80 of 1000 requests failed, and the plan has no metric gate; see `cutover help gates`";
    assert_eq!(failed.badge(), ("Completed, but requests failed".to_owned(), EventKind::Trouble));
    assert!(failed.actions().iter().any(|action| action == says), "{:?}", failed.actions());
    assert!(failed.clients_text().is_some_and(|text| text.contains(says)));
    assert!(markdown(&failed).contains("80 of 1000 requests failed"));
    assert_eq!(report(0).badge(), ("Completed".to_owned(), EventKind::Good));
    let command = format!("cutover resume {} --keep-live", plan_argument(&plan));
    assert!(failed.actions().iter().any(|action| action.contains(&command)), "{:?}", failed.actions());
    assert!(!failed.verdict().contains(&run) && !html(&failed).contains("from the journal of the run"));
}
