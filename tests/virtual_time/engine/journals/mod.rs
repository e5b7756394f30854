//! The corpus of journals: this and every later version lists, reports, resumes and rolls back each of them.
//!
//! `tests/journals/NAME.jsonl` is the journal of a run in the lab, with the text of the plan in its first record. The
//! prefix of the name is its kind:
//! - `plan-NAME`: the run of `plans/NAME.yaml`, stopped at its first share step;
//! - `stricter-NAME`: the plan passed the lint when the run began, and the present lint refuses the plan;
//! - `newer-NAME`: a later version wrote something that this build does not know;
//! - other names: the rest of what can happen to a run, so that every kind of event is in the corpus.
//!
//! [`record`] creates them. Released journals are never changed; a new version adds its own journals.

mod record;

use std::collections::BTreeSet;
use std::time::Duration;

use cutover::adapter::store::fs::LocalStore;
use cutover::app::exit::Exit;
use cutover::app::find;
use cutover::cli::render::events::EventLines;
use cutover::cli::render::status;
use cutover::cli::render::style::Style;
use cutover::domain::run::event::{Event, Record, ResumeMode, Started, WaitReason};
use cutover::domain::run::frozen_plan;
use cutover::domain::run::journal::{LineDamage, parse, to_json};
use cutover::domain::run::state::{Phase, State};
use cutover::engine::request::refusal;
use cutover::lab::scenario::Scenario;
use cutover::plan::lint;
use cutover::plan::model::{Plan, StepKind};
use cutover::port::store::{Request, Store};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::small;
use super::test_run::{TestRun, ending_name, example};
use super::views::{view, views};

const CORPUS_FOLDER: &str = "tests/journals";

/// A journal of the corpus.
pub struct Journal {
    pub name: String,
    pub bytes: Vec<u8>,
    pub records: Vec<Record>,
}

impl Journal {
    fn new(name: String, bytes: Vec<u8>) -> Self {
        let parsed = parse(&bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(!parsed.torn, "{name}: the last record is torn");
        Self { name, bytes, records: parsed.records }
    }

    pub fn started(&self) -> &Started {
        let Some(Event::Started(started)) = self.records.first().map(|r| &r.event) else {
            panic!("{}: the journal must begin with `started`", self.name)
        };
        started
    }

    /// Returns the plan as this build reads it from the first record.
    pub fn plan(&self) -> Plan {
        frozen_plan::plan(self.started())
    }

    pub fn state(&self) -> State {
        State::fold(&self.records)
            .unwrap_or_else(|e| panic!("{}: {e}", self.name))
            .expect("the run should have a state")
    }

    fn run(&self) -> &str {
        &self.records[0].run
    }

    fn last(&self) -> Timestamp {
        self.records.last().map_or(Timestamp::UNIX_EPOCH, |r| r.time)
    }

    fn is(&self, kind: &str) -> bool {
        self.name.starts_with(kind)
    }
}

/// Returns every journal of the corpus, sorted by name.
pub fn corpus() -> Vec<Journal> {
    let files = std::fs::read_dir(CORPUS_FOLDER)
        .expect("the corpus should be readable")
        .map(|e| e.expect("the entry should be readable").path());
    let stem = |path: &std::path::Path| path.file_stem().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let mut all: Vec<_> =
        files.map(|p| Journal::new(stem(&p), std::fs::read(&p).expect("the journal should be readable"))).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// Returns the journals of runs that a later version wrote into.
pub fn newer() -> impl Iterator<Item = Journal> {
    corpus().into_iter().filter(|journal| journal.is("newer-"))
}

/// Builds the lab and the run as a journal describes them; no process drives the run.
pub async fn staged(journal: &Journal, scenario: &Scenario) -> TestRun {
    let (name, started) = (&journal.name, journal.started());
    // The lab needs a plan that the lint accepts. The journal of a rollback from tags has no plan.
    let lab = lint(name, started.text.as_bytes()).unwrap_or_else(|_| small::many_routes("", small::SHORT));
    let mut test_run = TestRun::begin(lab, scenario).await;
    for start in &started.bindings {
        let applied = journal.records.iter().any(|r| {
            matches!(&r.event, Event::BindingDone { cluster, binding, .. }
                if *cluster == start.cluster && *binding == start.binding.full_name())
        });
        if applied && start.create {
            let cluster = &test_run.ports.clusters[&start.cluster];
            cluster.apply(&start.binding, false).await.unwrap_or_else(|e| panic!("{name}: {e}"));
        }
    }
    let wait = journal.last().duration_since(test_run.ports.clock.now());
    test_run.sleep(Duration::try_from(wait).unwrap_or_default()).await;
    // This lab does not have rules that appeared during the run, so the run sees these rules as deleted.
    let there = test_run.snapshot().routes;
    let state = journal.state();
    for (id, route) in state.routes.iter().filter(|(id, route)| !route.is_deleted() && there.contains_key(id.id())) {
        let written = test_run.lab.balancer.traffic.set(id, &route.confirmed, Duration::from_secs(5)).await;
        written.unwrap_or_else(|e| panic!("{name}: {id}: {e}"));
        // Wait, so that the writes are below the API's rate limit.
        test_run.sleep(Duration::from_millis(500)).await;
    }
    test_run.continue_journal(journal.run(), &journal.bytes, journal.records.clone());
    test_run
}

/// Returns the name of every kind of event that is journalled, from serde's list of the variants of the enum.
fn event_kinds() -> BTreeSet<String> {
    let refused =
        Event::deserialize(&json!({"event": "?"})).expect_err("`?` should not be the name of an event").to_string();
    let (_, list) = refused.split_once("expected one of").unwrap_or_else(|| panic!("{refused}"));
    let rehearsed = ["clientsMeasured", "notified"];
    let names = list.split('`').skip(1).step_by(2).map(str::to_owned);
    names.filter(|name| !rehearsed.contains(&name.as_str())).collect()
}

#[test]
fn every_event_kind_and_plan_has_a_journal() {
    let corpus = corpus();
    let kind = |record: &Record| to_json(record)["event"].as_str().map(str::to_owned);
    let recorded: BTreeSet<_> = corpus.iter().flat_map(|j| &j.records).filter_map(kind).collect();
    assert!(event_kinds().len() > 30, "{:?}", event_kinds());
    let missing: Vec<_> = event_kinds().difference(&recorded).cloned().collect();
    assert!(missing.is_empty(), "no journal in {CORPUS_FOLDER} has the events {missing:?}; {}", record::HOW);
    for file in std::fs::read_dir("plans")
        .expect("the folder plans should be readable")
        .map(|e| e.expect("the entry should be readable").path())
    {
        let Some(name) = file.file_stem().filter(|_| file.extension().is_some_and(|e| e == "yaml")) else { continue };
        let name = format!("plan-{}", name.to_string_lossy());
        assert!(corpus.iter().any(|j| j.name == name), "{CORPUS_FOLDER} has no {name}.jsonl; {}", record::HOW);
    }
}

/// Asserts that the facts about groups that a state keeps over some kinds of events are those that it would compute
/// again.
#[test]
fn facts_about_groups_are_right_after_every_event() {
    for journal in corpus() {
        let begun = State::fold(&journal.records[..1]).unwrap_or_else(|e| panic!("{}: {e}", journal.name));
        let mut state = begun.expect("a journal should have a first record");
        for record in &journal.records[1..] {
            // Computes the facts before the event, so that the state has facts that it could keep wrongly.
            assert!(state.all_return_groups().len() + state.groups_with_traffic().len() > 0, "{}", journal.name);
            state.apply_record(record).unwrap_or_else(|e| panic!("{}: {e}", journal.name));
            // A copy has no facts.
            let copy = state.clone();
            let place = format!("{} {}", journal.name, record.seq);
            assert_eq!(state.groups_with_traffic(), copy.groups_with_traffic(), "{place}");
            assert_eq!(state.all_return_groups(), copy.all_return_groups(), "{place}");
            for group in state.started.groups.keys() {
                assert_eq!(state.return_groups(group), copy.return_groups(group), "{place}");
            }
        }
    }
}

/// Asserts that only the `newer-` journals have unknown parts, and that every record is printed as it was written.
#[test]
fn only_newer_journals_have_unknown_parts() {
    for journal in corpus() {
        let unknown = journal.plan().newer.len() + journal.state().newer.len();
        assert_eq!(unknown, usize::from(journal.is("newer-")), "{}: {:?}", journal.name, journal.state().newer);
        let lines = std::str::from_utf8(&journal.bytes).expect("a journal should be UTF-8").lines();
        for (line, record) in lines.zip(&journal.records) {
            let mut written: Value = serde_json::from_str(line).expect("a line should be JSON");
            written.as_object_mut().expect("a line should be an object").remove("sum");
            assert_eq!(to_json(record), written, "{}", journal.name);
        }
    }
}

/// Asserts that the lint refuses exactly the `stricter-` plans, and reads every other plan as the journal's reader
/// does.
#[test]
fn a_frozen_plan_is_read_as_it_was_linted() {
    for journal in corpus().iter().filter(|j| !j.is("newer-") && !j.started().text.is_empty()) {
        let plan = journal.plan();
        match lint(&plan.source, journal.started().text.as_bytes()) {
            Ok(linted) => assert!(linted == plan && !journal.is("stricter-"), "{}", journal.name),
            Err(_) => assert!(journal.is("stricter-"), "{}: rename it to stricter-…", journal.name),
        }
    }
}

/// Asserts that the run is found by its id, by its plan's name, and by the plan file as long as the file exists.
#[tokio::test]
async fn every_journal_is_listed_and_reported_with_and_without_the_plan_file() {
    for journal in corpus() {
        let (folder, store) = store_with_journal(journal.run(), &journal.bytes);
        let (run, started) = (journal.run(), journal.started());
        let file = folder.path().join("plan.yaml");
        let path = file.to_str().expect("the path should be UTF-8");
        if !started.text.is_empty() && journal.name != "newer-plan-syntax" {
            std::fs::write(&file, &started.text).expect("the plan file should be written");
            let found = find::run(&store, Some(path), false).await.unwrap_or_else(|e| panic!("{}: {e}", journal.name));
            assert_eq!((found.run.id.as_str(), &found.plan), (run, &journal.plan()), "{}", journal.name);
            std::fs::remove_file(&file).expect("the plan file should be removed");
        }
        let gone = find::run(&store, Some(path), false).await.expect_err("a missing plan file should be an error");
        assert_eq!(gone.exit, Exit::Usage, "{}: {gone}", journal.name);
        views(&store, run, &started.plan, journal.last()).await;
    }
}

#[tokio::test]
async fn a_journal_is_read_the_same_in_every_version() {
    let journal = corpus()
        .into_iter()
        .find(|j| j.name == "canary-aborted")
        .expect("the corpus should have the journal canary-aborted");
    let state = journal.state();
    let mut lines = EventLines::new(Style::plain());
    let transcript: String = journal.records.iter().flat_map(|r| lines.lines_for(r)).map(|l| l + "\n").collect();
    let splits: Vec<_> = state.routes.values().map(|r| format!("{} {:?}", r.start.label, r.split())).collect();
    let status = status::text(&view(&journal.plan(), &state, journal.last()), &Style::plain());
    let text = format!("{transcript}\n{status}\n\n{}\n", splits.join("\n"));
    let text = text.replace(&format!("cutover {}", env!("CARGO_PKG_VERSION")), "cutover VERSION");
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!(text) });
}

/// Asserts that a journal that is cut in its last line is read up to that line, and that a journal with a wrong bit is
/// refused with the emergency command.
#[tokio::test]
async fn a_damaged_journal_is_refused() {
    for journal in corpus().iter().filter(|j| !j.started().text.is_empty()) {
        let (bytes, records) = (&journal.bytes, &journal.records);
        let (_folder, cut) = store_with_journal(journal.run(), &bytes[..bytes.len() - 20]);
        assert_eq!(
            *cut.read(journal.run()).await.expect("the complete records should be readable"),
            records[..records.len() - 1]
        );
        let mut bytes = bytes.clone();
        let second = bytes.iter().position(|b| *b == b'\n').expect("the journal should have a line") + 40;
        bytes[second] ^= 1;
        let refused = parse(&bytes).expect_err("a damaged journal should be refused");
        assert!(matches!(refused.why, LineDamage::Sum | LineDamage::Syntax(_)), "{}: {refused}", journal.name);
        assert_eq!((refused.line, &refused.prefix[..]), (2, &records[..1]), "{}", journal.name);
        let (_folder, flipped) = store_with_journal(journal.run(), &bytes);
        let refused = flipped.read(journal.run()).await.expect_err("a damaged journal should be refused").to_string();
        assert!(refused.contains("cutover rollback --load-balancer "), "{}: {refused}", journal.name);
    }
}

/// Creates a state directory with a run that has this journal.
fn store_with_journal(run: &str, journal: &[u8]) -> (tempfile::TempDir, LocalStore) {
    let folder = tempfile::tempdir().expect("a temporary folder should be created");
    let path = folder.path().join("runs").join(run);
    std::fs::create_dir_all(&path).expect("the run's folder should be created");
    std::fs::write(path.join("journal.jsonl"), journal).expect("the journal should be written");
    let store = LocalStore::open(Some(folder.path().to_path_buf())).expect("the store should open");
    (folder, store)
}

/// Resumes every run to its end, except the `newer-` runs, which [`super::newer`] resumes, and a run whose window never
/// opens.
#[tokio::test(start_paused = true)]
async fn every_journal_is_resumed_to_its_end() {
    for journal in corpus().iter().filter(|j| !j.is("newer-")) {
        let before = journal.state();
        let mut test_run = staged(journal, &example("healthy")).await;
        let name = format!("{}: {}", journal.name, test_run.check_views().await);
        let resume = Request::Resume { by: "bob@lab".into(), mode: ResumeMode::PLAIN, ignore_hours: None };
        if before.finished.is_some() {
            assert!(
                refusal(&test_run.plan, &before, &resume).is_some(),
                "{name}: `resume` of a finished run must be refused"
            );
        }
        // An operator is present: a gate that times out does not end the process.
        test_run.settings.exit_when_frozen = false;
        let closed = journal.name == "stricter-window";
        if closed {
            let leave = test_run.ports.clock.now() + jiff::SignedDuration::from_mins(5);
            test_run.settings.orders.exit_after = Some(leave);
        }
        let ending = test_run.run_with(&mut |state, _, _, now| operator(state, now)).await;
        let expected = match (before.finished, &before.rollback) {
            (Some(_), _) => ending_name(&ending),
            (None, _) if closed => "waiting",
            (None, Some(rollback)) if rollback.automatic => "rolled back",
            (None, Some(_)) => "aborted",
            (None, None) => "completed",
        };
        assert_eq!(ending_name(&ending), expected, "{name}\n{}", test_run.output());
        let drifted = test_run.drifted_routes();
        let drifted: Vec<_> = drifted.iter().map(String::as_str).collect();
        match expected {
            "completed" if before.finished.is_none() => test_run.assert_shares(last_share(&test_run.plan), &drifted),
            "aborted" | "rolled back" if before.finished.is_none() => test_run.assert_original(&drifted),
            _ => {}
        }
        if closed {
            let waits = test_run.published.iter().rev().find_map(|r| match &r.event {
                Event::Waiting { waits } => waits.first().map(|wait| wait.reason),
                _ => None,
            });
            assert_eq!(waits, Some(WaitReason::Window), "{name}");
        }
        test_run.check_views().await;
        test_run.lab.stop().await;
    }
}

/// Returns the requests of an operator who wants the run to continue: ends each pause after two minutes, and resumes.
fn operator(state: &State, now: Timestamp) -> Vec<Request> {
    let by = || "bob@lab".to_owned();
    if state.phase == Phase::Baking && !state.raises_stopped() && now.duration_since(state.step_since).as_secs() >= 120
    {
        return vec![Request::Promote { by: by(), full: false }];
    }
    // A deleted rule or changed conditions cannot be written again.
    let lost = state.routes.values().any(|route| route.is_missing() || route.changed_conditions.is_some());
    let mode = match state.drifted().next() {
        _ if lost => ResumeMode::KEEP_LIVE_AND_INCLUDE_NEW,
        Some(_) => ResumeMode::REASSERT,
        None => ResumeMode::PLAIN,
    };
    if state.raises_stopped() && state.rollback.is_none() {
        vec![Request::Resume { by: by(), mode, ignore_hours: None }]
    } else {
        vec![]
    }
}

/// Returns the new cluster's share at the end of a plan, in percent.
fn last_share(plan: &Plan) -> u32 {
    let shares = |kind: &StepKind| if let StepKind::Shares(shares) = kind { Some(shares.clone()) } else { None };
    let last = plan
        .strategy
        .steps
        .iter()
        .rev()
        .find_map(|step| shares(&step.kind))
        .expect("the plan should have a share step");
    last[&plan.strategy.to]
}

#[tokio::test(start_paused = true)]
async fn every_journal_is_rolled_back() {
    for journal in corpus() {
        let before = journal.state();
        // The journals of HAProxy were recorded with this number of servers.
        let mut test_run = staged(&journal, &example("healthy")).await;
        let rollback = Request::Rollback { by: "bob@lab".into(), force: true, break_stickiness: None };
        if before.retirement.is_some() {
            assert!(
                refusal(&test_run.plan, &before, &rollback).is_some(),
                "{}: a rollback after finalize must be refused",
                journal.name
            );
            continue;
        }
        test_run.send_request(rollback);
        let ending = test_run.run().await;
        let lines = test_run.output();
        assert!(["aborted", "rolled back"].contains(&ending_name(&ending)), "{}: {ending:?}\n{lines}", journal.name);
        let gone: Vec<&str> = before.routes.values().filter(|r| r.is_deleted()).map(|r| r.start.id.id()).collect();
        test_run.assert_original(&gone);
        test_run.check_views().await;
        test_run.lab.stop().await;
    }
}
