//! Runs that an older or a newer version began: what was frozen is read for ever, whatever today's rules are; and what this build does not know is
//! guarded, rolled back, listed and reported, and never raised, whatever anybody asks.

use std::fmt::Write;
use std::time::Duration;

use cutover::base::time::later;
use cutover::domain::decide::ProcessOptions;
use cutover::domain::run::event::{Event, ResumeMode, WaitReason};
use cutover::domain::run::journal::{self, parse};
use cutover::domain::run::state::State;
use cutover::port::store::Request;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::shown::shown;
use super::small;
use super::theatre::{Theatre, exit, scenario, word};

/// A plan with two share steps, a window and a notification with a text of its own.
const STEPS: &str =
    "[{bind: {}}, {setWeight: 20, name: fifth}, {pause: {duration: 30s}}, {setWeight: 100}, {pause: {duration: 90s}}]";
const WINDOW: &str = "windows: [{from: '00:00', to: '24:00', zone: UTC}]";

/// A run that has moved a fifth of the traffic, and that nobody drives.
async fn fifth(spec: &str) -> Theatre {
    let plan = small::many_routes(WINDOW, STEPS);
    let mut theatre = Theatre::begin_with(plan, &scenario(spec), |s| s.orders.until_step = Some(2)).await;
    assert_eq!(word(&theatre.run().await), "waiting", "{}", theatre.lines());
    theatre.assert_shares(20, &[]);
    theatre.settings.orders = ProcessOptions::default();
    theatre
}

/// One line of a journal after another, changed, with the checksums that it then has.
pub fn rewritten(journal: &[u8], mut change: impl FnMut(&mut Map<String, Value>)) -> Vec<u8> {
    let (mut text, mut sum) = (String::new(), String::new());
    for line in std::str::from_utf8(journal).expect("text").lines() {
        let mut record: Map<String, Value> = serde_json::from_str(line).expect("a record");
        record.remove("sum");
        change(&mut record);
        sum = append(&mut text, &sum, &record);
    }
    text.into_bytes()
}

fn append(text: &mut String, before: &str, record: &Map<String, Value>) -> String {
    let line = serde_json::to_string(record).expect("JSON");
    let sum = cutover::base::text::hex(&Sha256::digest(format!("{before}{line}"))[..8]);
    writeln!(text, "{},\"sum\":\"{sum}\"}}", &line[..line.len() - 1]).expect("a text");
    sum
}

/// The journal with this record at its end.
fn with(journal: &[u8], event: Value) -> Vec<u8> {
    let (mut text, mut last) = (String::from_utf8(journal.to_vec()).expect("text"), Map::new());
    let mut sum = String::new();
    for line in text.lines() {
        last = serde_json::from_str(line).expect("a record");
        last["sum"].as_str().expect("a checksum").clone_into(&mut sum);
    }
    let Value::Object(event) = event else { panic!("an object") };
    last.retain(|key, _| ["v", "seq", "time", "run"].contains(&key.as_str()));
    last["seq"] = json!(last["seq"].as_u64().expect("a number") + 1);
    last.extend(event);
    append(&mut text, &sum, &last);
    text.into_bytes()
}

/// The run with a journal that was changed, and the plan that this build reads in it.
async fn changed(spec: &str, change: impl FnOnce(&[u8]) -> Vec<u8>) -> Theatre {
    let mut theatre = fifth(spec).await;
    let bytes = change(&theatre.ledger.memory.journal(&theatre.run));
    let records = parse(&bytes).unwrap_or_else(|e| panic!("{e}")).records;
    let run = theatre.run.clone();
    theatre.take_up(&run, &bytes, records);
    theatre
}

/// The frozen text with one thing replaced by another.
fn text(from: &'static str, to: &'static str) -> impl Fn(&[u8]) -> Vec<u8> {
    move |journal| {
        rewritten(journal, |record| {
            if let Some(Value::String(text)) = record.get("text") {
                assert!(text.contains(from), "{text}");
                let text = text.replacen(from, to, 1);
                record.insert("hash".into(), cutover::plan::hash(text.as_bytes()).into());
                record.insert("text".into(), text.into());
            }
        })
    }
}

/// Plans that were right once: what replaces what in the text.
const STRICTER: [(&str, &str); 4] = [
    ("name: fifth", "name: '5'"),
    ("from: '00:00', to: '24:00'", "from: '00:00', to: '00:01'"),
    ("apiVersion", "# a limit of some day\napiVersion"),
    ("    steps:", "    hooks: [{after: shift, http: {url: 'http://user@example.com/'}}]\n    steps:"),
];

#[tokio::test(start_paused = true)]
async fn a_run_whose_plan_todays_lint_refuses_goes_on_to_its_end() {
    for (from, to) in STRICTER {
        let mut theatre = changed("{}", text(from, to)).await;
        assert!(theatre.plan.newer.is_empty(), "{to}: {:?}", theatre.plan.newer);
        let refused = cutover::plan::lint("today", theatre.plan.text.as_bytes()).is_err();
        assert_eq!(refused, !to.starts_with('#'), "{to}");
        shown(&theatre).await;
        // A window of a minute never opens for a step whose pause is longer, but the run is not refused for that.
        let ending = if to.contains("00:01") {
            theatre.ask(Request::Promote { by: "bob@lab".into(), full: true });
            theatre.settings.orders.exit_after = Some(later(theatre.ports.clock.now(), Duration::from_mins(5)));
            theatre.run().await
        } else {
            theatre.run().await
        };
        let word = word(&ending);
        if to.contains("00:01") {
            assert_eq!(word, "waiting", "{to}: {}", theatre.lines());
        } else {
            assert_eq!(word, "completed", "{to}: {}", theatre.lines());
            theatre.assert_shares(100, &[]);
        }
        shown(&theatre).await;
        theatre.stage.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_plan_todays_lint_refuses_is_rolled_back() {
    for (from, to) in STRICTER {
        let mut theatre = changed("{}", text(from, to)).await;
        rolled_back(&mut theatre, to).await;
    }
}

async fn rolled_back(theatre: &mut Theatre, what: &str) {
    theatre.ask(Request::Rollback { by: "bob@lab".into(), force: false });
    let ending = theatre.run().await;
    assert_eq!((word(&ending), exit(&ending).code()), ("aborted", 4), "{what}: {}", theatre.lines());
    theatre.assert_original(&[]);
    shown(theatre).await;
}

/// What makes another journal of one.
type Change = Box<dyn Fn(&[u8]) -> Vec<u8>>;

/// Ways in which a journal is newer than this build.
fn newer() -> Vec<(&'static str, Change)> {
    vec![
        ("a field of the plan", Box::new(text("    settle: 5s", "    settle: 5s\n    teleport: {to: mars}"))),
        ("a step of the plan", Box::new(text("{setWeight: 100}", "{setWeightOverTime: {percent: 100, minutes: 5}}"))),
        ("a value of the plan", Box::new(text("    settle: 5s", "    settle: 5s\n    onFailure: phone"))),
        ("no YAML at all", Box::new(text("apiVersion", "{{{ apiVersion"))),
        ("an event", Box::new(|journal| with(journal, json!({"event": "teleported", "to": "mars"})))),
        (
            "a field of an event",
            Box::new(|journal| with(journal, json!({"event": "notice", "message": "hello", "urgency": 7}))),
        ),
        (
            "a value of an event",
            Box::new(|journal| {
                with(journal, json!({"event": "frozen", "reason": "moonPhase", "message": "full moon"}))
            }),
        ),
        (
            "a field of a route at the start",
            Box::new(|journal| {
                rewritten(journal, |record| {
                    if let Some(Value::Array(routes)) = record.get_mut("routes") {
                        routes[0]["mirrors"] = json!(["elsewhere"]);
                    }
                })
            }),
        ),
    ]
}

fn state(theatre: &Theatre) -> State {
    State::fold(&parse(&theatre.ledger.memory.journal(&theatre.run)).expect("it is not damaged").records)
        .expect("legal")
        .expect("a state")
}

#[tokio::test(start_paused = true)]
async fn a_newer_run_is_never_raised_whatever_is_asked() {
    for (what, change) in newer() {
        let mut theatre = changed("{}", change).await;
        assert_eq!(
            theatre.plan.newer.len() + state(&theatre).newer.len(),
            1,
            "{what}: {:?} {:?}",
            theatre.plan.newer,
            state(&theatre).newer
        );
        shown(&theatre).await;
        let before = theatre.witness.writes.lock().expect("a lock").len();
        let by = || "bob@lab".to_owned();
        let all = [
            Request::Resume { by: by(), mode: ResumeMode::Plain },
            Request::Promote { by: by(), full: true },
            Request::Promote { by: by(), full: false },
            Request::Approve { by: by() },
            Request::Resume { by: by(), mode: ResumeMode::KeepLive },
            Request::Resume { by: by(), mode: ResumeMode::Reassert },
            Request::Resume { by: by(), mode: ResumeMode::IncludeNew },
            Request::Pause { by: by(), reason: "a look".into() },
            Request::Resume { by: by(), mode: ResumeMode::Plain },
            Request::Detach { by: by(), bindings: true },
        ];
        // `resume` and `step` in turn, as a scheduler calls them.
        for request in all {
            theatre.settings.orders.exit_after = Some(later(theatre.ports.clock.now(), Duration::from_mins(10)));
            let told = theatre.told.len();
            theatre.ask(request.clone());
            assert_eq!(word(&theatre.run().await), "waiting", "{what}: {request:?}\n{}", theatre.lines());
            let waits = theatre.told[told..]
                .iter()
                .rev()
                .find_map(|r| if let Event::Waiting { waits } = &r.event { Some(waits.clone()) } else { None });
            let wait = waits.into_iter().flatten().find(|wait| wait.reason == WaitReason::Newer);
            let wait = wait.map(|wait| wait.message).or_else(|| theatre.told[..told].iter().rev().find_map(newer_wait));
            let message = wait.unwrap_or_else(|| panic!("{what}: it does not say why\n{}", theatre.lines()));
            assert!(message.contains("newer") && message.contains(env!("CARGO_PKG_VERSION")), "{message}");
        }
        assert_eq!(theatre.witness.writes.lock().expect("a lock").len(), before, "{what}: nothing is written");
        theatre.assert_shares(20, &[]);
        rolled_back(&mut theatre, what).await;
        theatre.stage.stop().await;
    }
}

fn newer_wait(record: &cutover::domain::run::event::Record) -> Option<String> {
    let Event::Waiting { waits } = &record.event else { return None };
    waits.iter().find(|wait| wait.reason == WaitReason::Newer).map(|wait| wait.message.clone())
}

#[tokio::test(start_paused = true)]
async fn a_newer_run_is_guarded() {
    for (what, change) in newer() {
        let mut theatre = changed("{faults: [{at: {time: 15m}, kill: {cluster: to}}]}", change).await;
        let ending = theatre.run().await;
        assert_eq!((word(&ending), exit(&ending).code()), ("rolled back", 4), "{what}: {}", theatre.lines());
        theatre.assert_original(&[]);
        shown(&theatre).await;
        theatre.stage.stop().await;
    }
}

/// What is not known is printed as it was written.
#[tokio::test(start_paused = true)]
async fn what_is_not_known_is_kept_as_it_is() {
    let event = json!({"event": "teleported", "to": "mars", "nested": {"a": [1, 2.5, null]}});
    let theatre = changed("{}", |journal| with(journal, event.clone())).await;
    let records = theatre.ports.store.read(&theatre.run).await.expect("it is read");
    let last = journal::to_json(records.last().expect("a record"));
    assert!(event.as_object().expect("an object").iter().all(|(key, value)| last[key] == *value), "{last}");
    theatre.stage.stop().await;
}
