//! The corpus of journals: this and every later version lists, reports, resumes and rolls back each of them.
//!
//! `tests/journals/NAME.jsonl` is the journal of a run in the lab, with the text of its plan in its first record. The
//! name says what it is:
//! - `plan-NAME`: the run of `plans/NAME.yaml`, at its first share;
//! - `stricter-NAME`: the plan passed the lint when the run began, and the lint of today refuses it;
//! - `newer-NAME`: a later version wrote something into it that this build does not know;
//! - the others: what can happen to a run, so that every kind of event is in the corpus.
//!
//! [`record`] makes them. Released journals are never changed: a new version adds its own.

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
use super::theatre::{Theatre, example, scenario, word};
use super::views::{view, views};

const FOLDER: &str = "tests/journals";

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
            panic!("{}: it does not begin with `started`", self.name)
        };
        started
    }

    /// The plan as this build reads it from the first record.
    pub fn plan(&self) -> Plan {
        frozen_plan::plan(self.started())
    }

    pub fn state(&self) -> State {
        State::fold(&self.records).unwrap_or_else(|e| panic!("{}: {e}", self.name)).expect("a state")
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

/// Every journal of the corpus, by name.
pub fn corpus() -> Vec<Journal> {
    let files = std::fs::read_dir(FOLDER).expect("the corpus").map(|e| e.expect("an entry").path());
    let stem = |path: &std::path::Path| path.file_stem().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let mut all: Vec<_> = files.map(|p| Journal::new(stem(&p), std::fs::read(&p).expect("a journal"))).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// The journals of runs that a later version wrote into.
pub fn newer() -> impl Iterator<Item = Journal> {
    corpus().into_iter().filter(|journal| journal.is("newer-"))
}

/// The lab as a journal left it, with its run; nothing drives the run.
pub async fn staged(journal: &Journal, scenario: &Scenario) -> Theatre {
    let (name, started) = (&journal.name, journal.started());
    // The lab needs a plan that the lint accepts. A rollback from tags has no text at all.
    let lab = lint(name, started.text.as_bytes()).unwrap_or_else(|_| small::many_routes("", small::SHORT));
    let mut theatre = Theatre::begin(lab, scenario).await;
    for start in &started.bindings {
        let applied = journal.records.iter().any(|r| {
            matches!(&r.event, Event::BindingDone { cluster, binding, .. }
                if *cluster == start.cluster && *binding == start.binding.full_name())
        });
        if applied && start.create {
            let cluster = &theatre.ports.clusters[&start.cluster];
            cluster.apply(&start.binding, false).await.unwrap_or_else(|e| panic!("{name}: {e}"));
        }
    }
    let wait = journal.last().duration_since(theatre.ports.clock.now());
    theatre.sleep(Duration::try_from(wait).unwrap_or_default()).await;
    // A rule that appeared during the run is not in this lab: to the run, someone deleted it.
    let there = theatre.world().routes;
    let state = journal.state();
    for (id, route) in state.routes.iter().filter(|(id, route)| !route.is_deleted() && there.contains_key(id.id())) {
        let written = theatre.stage.balancer.traffic.set(id, &route.confirmed, Duration::from_secs(5)).await;
        written.unwrap_or_else(|e| panic!("{name}: {id}: {e}"));
        // Slower than the API's rate.
        theatre.sleep(Duration::from_millis(500)).await;
    }
    theatre.take_up(journal.run(), &journal.bytes, journal.records.clone());
    theatre
}

/// The name of every kind of event that is journalled, from the list with which the enum refuses any other name.
fn kinds() -> BTreeSet<String> {
    let refused = Event::deserialize(&json!({"event": "?"})).expect_err("no event has this name").to_string();
    let (_, list) = refused.split_once("expected one of").unwrap_or_else(|| panic!("{refused}"));
    let rehearsed = ["clientsMeasured", "notified"];
    let names = list.split('`').skip(1).step_by(2).map(str::to_owned);
    names.filter(|name| !rehearsed.contains(&name.as_str())).collect()
}

#[test]
fn every_kind_of_event_and_every_plan_has_a_journal() {
    let corpus = corpus();
    let kind = |record: &Record| to_json(record)["event"].as_str().map(str::to_owned);
    let recorded: BTreeSet<_> = corpus.iter().flat_map(|j| &j.records).filter_map(kind).collect();
    assert!(kinds().len() > 30, "{:?}", kinds());
    let missing: Vec<_> = kinds().difference(&recorded).cloned().collect();
    assert!(missing.is_empty(), "no journal in {FOLDER} has the events {missing:?}; {}", record::HOW);
    for file in std::fs::read_dir("plans").expect("plans").map(|e| e.expect("an entry").path()) {
        let Some(name) = file.file_stem().filter(|_| file.extension().is_some_and(|e| e == "yaml")) else { continue };
        let name = format!("plan-{}", name.to_string_lossy());
        assert!(corpus.iter().any(|j| j.name == name), "{FOLDER} has no {name}.jsonl; {}", record::HOW);
    }
}

/// Only the `newer-` journals have unknown parts; every record is printed as it was written.
#[test]
fn only_the_newer_journals_have_something_that_this_build_does_not_know() {
    for journal in corpus() {
        let unknown = journal.plan().newer.len() + journal.state().newer.len();
        assert_eq!(unknown, usize::from(journal.is("newer-")), "{}: {:?}", journal.name, journal.state().newer);
        let lines = std::str::from_utf8(&journal.bytes).expect("UTF-8").lines();
        for (line, record) in lines.zip(&journal.records) {
            let mut written: Value = serde_json::from_str(line).expect("JSON");
            written.as_object_mut().expect("an object").remove("sum");
            assert_eq!(to_json(record), written, "{}", journal.name);
        }
    }
}

/// The lint refuses the `stricter-` plans; of every other plan it says what the journal's reader says.
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

/// The run is found by its id, by its plan's name, and by the plan file for as long as that exists.
#[tokio::test]
async fn every_journal_is_listed_and_reported_with_its_plan_file_and_without() {
    for journal in corpus() {
        let (folder, store) = kept(journal.run(), &journal.bytes);
        let (run, started) = (journal.run(), journal.started());
        let file = folder.path().join("plan.yaml");
        let path = file.to_str().expect("UTF-8");
        if !started.text.is_empty() && journal.name != "newer-plan-syntax" {
            std::fs::write(&file, &started.text).expect("written");
            let found = find::run(&store, Some(path), false).await.unwrap_or_else(|e| panic!("{}: {e}", journal.name));
            assert_eq!((found.run.id.as_str(), &found.plan), (run, &journal.plan()), "{}", journal.name);
            std::fs::remove_file(&file).expect("removed");
        }
        let gone = find::run(&store, Some(path), false).await.expect_err("there is no such file");
        assert_eq!(gone.exit, Exit::Usage, "{}: {gone}", journal.name);
        views(&store, run, &started.plan, journal.last()).await;
    }
}

#[tokio::test]
async fn a_journal_is_read_as_it_always_was() {
    let journal = corpus().into_iter().find(|j| j.name == "canary-aborted").expect("it is in the corpus");
    let state = journal.state();
    let mut lines = EventLines::new(Style::plain());
    let story: String = journal.records.iter().flat_map(|r| lines.lines_for(r)).map(|l| l + "\n").collect();
    let splits: Vec<_> = state.routes.values().map(|r| format!("{} {:?}", r.start.label, r.split())).collect();
    let status = status::text(&view(&journal.plan(), &state, journal.last()), &Style::plain());
    let text = format!("{story}\n{status}\n\n{}\n", splits.join("\n"));
    let text = text.replace(&format!("cutover {}", env!("CARGO_PKG_VERSION")), "cutover VERSION");
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!(text) });
}

/// A journal that is cut in its last line is what was there before it; one with a wrong bit is refused, with the
/// emergency command.
#[tokio::test]
async fn a_damaged_journal_is_recognised() {
    for journal in corpus().iter().filter(|j| !j.started().text.is_empty()) {
        let (bytes, records) = (&journal.bytes, &journal.records);
        let (_folder, cut) = kept(journal.run(), &bytes[..bytes.len() - 20]);
        assert_eq!(*cut.read(journal.run()).await.expect("its beginning"), records[..records.len() - 1]);
        let mut bytes = bytes.clone();
        let second = bytes.iter().position(|b| *b == b'\n').expect("a line") + 40;
        bytes[second] ^= 1;
        let refused = parse(&bytes).expect_err("it is damaged");
        assert!(matches!(refused.why, LineDamage::Sum | LineDamage::Syntax(_)), "{}: {refused}", journal.name);
        assert_eq!((refused.line, &refused.prefix[..]), (2, &records[..1]), "{}", journal.name);
        let (_folder, flipped) = kept(journal.run(), &bytes);
        let refused = flipped.read(journal.run()).await.expect_err("it is damaged").to_string();
        assert!(refused.contains("cutover rollback --load-balancer "), "{}: {refused}", journal.name);
    }
}

/// A state directory with a run that has this journal.
fn kept(run: &str, journal: &[u8]) -> (tempfile::TempDir, LocalStore) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("runs").join(run);
    std::fs::create_dir_all(&path).expect("a run's folder");
    std::fs::write(path.join("journal.jsonl"), journal).expect("its journal");
    let store = LocalStore::open(Some(folder.path().to_path_buf())).expect("a store");
    (folder, store)
}

/// Every run goes on to its end, except the newer ones, which [`super::newer`] tries to raise, and one whose window
/// never opens.
#[tokio::test(start_paused = true)]
async fn every_journal_is_resumed_to_its_end() {
    for journal in corpus().iter().filter(|j| !j.is("newer-")) {
        let before = journal.state();
        let mut theatre = staged(journal, &example("healthy")).await;
        let name = format!("{}: {}", journal.name, theatre.shown().await);
        let resume = Request::Resume { by: "bob@lab".into(), mode: ResumeMode::PLAIN };
        if before.finished.is_some() {
            assert!(refusal(&theatre.plan, &before, &resume).is_some(), "{name}: it is not refused");
        }
        // An operator stays: a gate that times out does not end the process.
        theatre.settings.leave_when_frozen = false;
        let closed = journal.name == "stricter-window";
        if closed {
            let leave = theatre.ports.clock.now() + jiff::SignedDuration::from_mins(5);
            theatre.settings.orders.exit_after = Some(leave);
        }
        let ending = theatre.run_with(&mut |state, _, _, now| operator(state, now)).await;
        let expected = match (before.finished, &before.rollback) {
            (Some(_), _) => word(&ending),
            (None, _) if closed => "waiting",
            (None, Some(rollback)) if rollback.automatic => "rolled back",
            (None, Some(_)) => "aborted",
            (None, None) => "completed",
        };
        assert_eq!(word(&ending), expected, "{name}\n{}", theatre.lines());
        let drifted = theatre.drifted();
        let drifted: Vec<_> = drifted.iter().map(String::as_str).collect();
        match expected {
            "completed" if before.finished.is_none() => theatre.assert_shares(last_share(&theatre.plan), &drifted),
            "aborted" | "rolled back" if before.finished.is_none() => theatre.assert_original(&drifted),
            _ => {}
        }
        if closed {
            let waits = theatre.told.iter().rev().find_map(|r| match &r.event {
                Event::Waiting { waits } => waits.first().map(|wait| wait.reason),
                _ => None,
            });
            assert_eq!(waits, Some(WaitReason::Window), "{name}");
        }
        theatre.shown().await;
        theatre.stage.stop().await;
    }
}

/// The requests of an operator who wants the run to continue: ends each pause after two minutes, and resumes.
fn operator(state: &State, now: Timestamp) -> Vec<Request> {
    let by = || "bob@lab".to_owned();
    if state.phase == Phase::Baking && !state.raises_stopped() && now.duration_since(state.step_since).as_secs() >= 120
    {
        return vec![Request::Promote { by: by(), full: false }];
    }
    // A deleted rule cannot be written again, nor can conditions.
    let lost = state.routes.values().any(|route| route.is_missing() || route.changed_conditions.is_some());
    let mode = match state.drifted().next() {
        _ if lost => ResumeMode::KEEP_LIVE_AND_INCLUDE_NEW,
        Some(_) => ResumeMode::REASSERT,
        None => ResumeMode::PLAIN,
    };
    if state.raises_stopped() && state.rollback.is_none() { vec![Request::Resume { by: by(), mode }] } else { vec![] }
}

/// The new cluster's percentage at the end of a plan.
fn last_share(plan: &Plan) -> u32 {
    let shares = |kind: &StepKind| if let StepKind::Shares(shares) = kind { Some(shares.clone()) } else { None };
    let last = plan.strategy.steps.iter().rev().find_map(|step| shares(&step.kind)).expect("a step that moves shares");
    last[&plan.strategy.to]
}

#[tokio::test(start_paused = true)]
async fn every_journal_is_rolled_back() {
    for journal in corpus() {
        let before = journal.state();
        let mut theatre = staged(&journal, &scenario("{}")).await;
        let rollback = Request::Rollback { by: "bob@lab".into(), force: true };
        if before.retirement.is_some() {
            assert!(refusal(&theatre.plan, &before, &rollback).is_some(), "{}: it is not refused", journal.name);
            continue;
        }
        theatre.ask(rollback);
        let ending = theatre.run().await;
        let lines = theatre.lines();
        assert!(["aborted", "rolled back"].contains(&word(&ending)), "{}: {ending:?}\n{lines}", journal.name);
        let gone: Vec<&str> = before.routes.values().filter(|r| r.is_deleted()).map(|r| r.start.id.id()).collect();
        theatre.assert_original(&gone);
        theatre.shown().await;
        theatre.stage.stop().await;
    }
}
