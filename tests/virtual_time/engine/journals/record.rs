//! Makes the journals of the corpus from runs in the lab. [`HOW`] is the command.

use std::collections::BTreeSet;
use std::fmt::Write;

use cutover::adapter::store::memory::MemoryStore;
use cutover::domain::decide::ProcessOptions;
use cutover::domain::emergency::from_tags;
use cutover::domain::run::event::{Event, Ramp, ResumeMode, Trigger};
use cutover::domain::run::state::Phase;
use cutover::engine::inventory::read_balancer;
use cutover::plan::model::{Plan, StepKind};
use cutover::port::store::{Request, Store};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::super::finalize::own_binding;
use super::super::requests::make_a_rule;
use super::super::small;
use super::super::theatre::{Life, Theatre, example, plan, scenario, word};
use super::{FOLDER, corpus};

/// How journals that are missing are added. `CUTOVER_RECORD=1` records all of them anew, while version 1 of the records
/// is not released.
pub const HOW: &str =
    "add it with `CUTOVER_RECORD=new cargo test --profile simulation --test virtual_time the_corpus_can_be_recorded`";

/// A journal's name and its bytes.
type Recorded = (String, Vec<u8>);

#[tokio::test(start_paused = true)]
async fn the_corpus_can_be_recorded() {
    let recorded: Vec<Recorded> = recorded().await.into_iter().map(|(name, bytes)| (name, anonymous(&bytes))).collect();
    let kept: BTreeSet<String> = corpus().into_iter().map(|journal| journal.name).collect();
    let file = |name: &str| format!("{FOLDER}/{name}.jsonl");
    let mode = std::env::var("CUTOVER_RECORD").ok();
    if let Some(mode) = &mode {
        let wanted = |name: &String| mode != "new" || !kept.contains(name);
        recorded.iter().filter(|(name, _)| wanted(name)).for_each(|(name, bytes)| write(&file(name), bytes));
        let stale = kept.iter().filter(|name| mode != "new" && !recorded.iter().any(|(new, _)| new == *name));
        stale.for_each(|name| std::fs::remove_file(file(name)).expect("removed"));
    }
    let missing: Vec<_> = recorded.iter().map(|(name, _)| name).filter(|name| !kept.contains(*name)).collect();
    assert!(missing.is_empty() || mode.is_some(), "{FOLDER} lacks {missing:?}; {HOW}");
}

fn write(file: &str, journal: &[u8]) {
    std::fs::write(file, journal).unwrap_or_else(|e| panic!("{file}: {e}"));
}

/// The journal with the process id of every recording.
fn anonymous(journal: &[u8]) -> Vec<u8> {
    rewritten(journal, |record| {
        if let Some(pid) = record.get_mut("pid") {
            *pid = json!(4711);
        }
    })
}

async fn recorded() -> Vec<Recorded> {
    let mut all = Vec::new();
    for file in std::fs::read_dir("plans").expect("plans").map(|e| e.expect("an entry").path()) {
        let Some(name) = file.file_stem().filter(|_| file.extension().is_some_and(|e| e == "yaml")) else { continue };
        let plan = plan(&file.display().to_string());
        let until = Some(first_share(&plan));
        let mut theatre = Theatre::begin_with(plan, &example("healthy"), |s| s.orders.until_step = until).await;
        assert_eq!(word(&theatre.run().await), "waiting", "{}", theatre.lines());
        all.push((format!("plan-{}", name.to_string_lossy()), journal(&theatre)));
    }
    for name in [
        "foreign-write",
        "green-dies-at-50",
        "expired-credentials",
        "rule-deleted",
        "rule-replaced",
        "conditions-changed",
    ] {
        let steps = "[{bind: {}}, {setWeight: 5}, {pause: {duration: 6m}}, {setWeight: 50, name: half}, \
                     {pause: {duration: 7m}}, {setWeight: 100}]";
        let mut theatre = Theatre::begin(small::many_routes("", steps), &example(name)).await;
        let _ = theatre.run().await;
        all.push((name.to_owned(), journal(&theatre)));
    }
    all.extend([canary().await, approval().await, ramp().await, finalized().await]);
    all.extend([killed().await, without_a_plan().await]);
    let fifth = journal(&fifth().await);
    all.extend(stricter().into_iter().map(|(name, change)| (format!("stricter-{name}"), change(&fifth))));
    all.extend(newer().into_iter().map(|(name, change)| (format!("newer-{name}"), change(&fifth))));
    all
}

fn journal(theatre: &Theatre) -> Vec<u8> {
    theatre.ledger.memory.journal(&theatre.run)
}

/// The number of the first step that moves a share.
fn first_share(plan: &Plan) -> usize {
    plan.strategy.steps.iter().find(|s| matches!(s.kind, StepKind::Shares(_))).map_or(1, |s| s.number)
}

fn bob() -> String {
    "bob@lab".to_owned()
}

/// A canary with a pause, a promotion, a foreign write that was kept, an approval and an abort.
async fn canary() -> Recorded {
    let steps = "[{bind: {}}, {setWeight: 5}, {pause: {duration: 20m}}, {pause: {approval: error budgets compared}}, \
                 {setWeight: 50}, {pause: {duration: 5m}}]";
    let plan = small::many_routes("", steps);
    let mut theatre = Theatre::begin_with(plan, &example("foreign-write"), |s| s.leave_when_frozen = false).await;
    let resume = |mode| Request::Resume { by: bob(), mode };
    let mut script = vec![
        (3, false, Request::Pause { by: bob(), reason: "read the dashboards first".into() }),
        (3, true, resume(ResumeMode::PLAIN)),
        (3, true, resume(ResumeMode::KEEP_LIVE)),
        (3, false, Request::Promote { by: bob(), full: false }),
        (6, false, Request::Abort { by: bob(), to_step: None }),
    ];
    script.reverse();
    let ending = theatre
        .run_with(&mut |state, _, _, _| {
            let due = script.pop_if(|(step, held, _)| (*step, *held) == (state.step, state.raises_stopped()));
            due.map(|(_, _, request)| request).into_iter().collect()
        })
        .await;
    assert_eq!(word(&ending), "aborted", "{}", theatre.lines());
    ("canary-aborted".into(), journal(&theatre))
}

/// A pause, a rule that appears and is included, a command, an approval that nobody gives, requests that are refused,
/// and an abort.
async fn approval() -> Recorded {
    let steps = "[{bind: {}}, {setWeight: 50}, {pause: {duration: 5m}}, {exec: {command: [./smoke]}}, \
                 {pause: {timeout: 30s, onTimeout: pause}}, {setWeight: 100}]";
    let mut theatre = Theatre::begin(small::many_routes("", steps), &scenario("{}")).await;
    let (shell, started) = (theatre.stage.model().clone(), theatre.started().clone());
    let (mut paused, mut made, mut turns) = (false, false, 0);
    let ending = theatre
        .run_with(&mut |state, _, _, _| {
            if state.phase == Phase::Baking && !made {
                made = true;
                make_a_rule(&shell, &started);
            }
            if state.phase == Phase::Baking && !state.newcomers.is_empty() && !paused {
                paused = true;
                let reason = "read the dashboards first".to_owned();
                return vec![Request::Approve { by: bob() }, Request::Pause { by: bob(), reason }];
            }
            turns += 1;
            match state.phase {
                Phase::Baking if paused && turns > 3 && state.raises_stopped() => {
                    vec![Request::Resume { by: bob(), mode: ResumeMode::INCLUDE_NEW }]
                }
                Phase::Baking if paused && turns > 10 => vec![Request::Promote { by: bob(), full: false }],
                Phase::AwaitingApproval if state.raises_stopped() => vec![Request::Abort { by: bob(), to_step: None }],
                _ => vec![],
            }
        })
        .await;
    assert_eq!(word(&ending), "aborted", "{}", theatre.lines());
    ("approval-timed-out".into(), journal(&theatre))
}

/// A rollback in parts whose process died after the first of them.
async fn ramp() -> Recorded {
    let mut theatre =
        Theatre::begin_with(small::two_routes(), &scenario("{}"), |s| s.orders.until_step = Some(4)).await;
    assert_eq!(word(&theatre.run().await), "waiting", "{}", theatre.lines());
    theatre.settings.orders = ProcessOptions::default();
    theatre.ledger.dies_on(Some(|event| matches!(event, Event::Ramped { percent: 50, .. })));
    let ramp = Ramp { percents: vec![25, 50, 100], every: 60 };
    let life = theatre.called(&Request::Ramp { by: bob(), force: false, ramp }).await;
    assert_eq!(life, Life::Killed, "{}", theatre.lines());
    ("ramp".into(), journal(&theatre))
}

/// A completed run whose old cluster was retired, with a binding there that the tool made.
async fn finalized() -> Recorded {
    let steps = "[{bind: {}}, {setWeight: 50}, {setWeight: 100}, {pause: {duration: 30m}}]";
    let mut theatre = Theatre::begin(small::many_routes("", steps), &scenario("{}")).await;
    assert_eq!(word(&theatre.run().await), "completed", "{}", theatre.lines());
    own_binding(&theatre).await;
    let Life::Ended(ending) = theatre.called(&Request::Detach { by: bob(), bindings: true }).await else {
        panic!("nothing kills it")
    };
    assert_eq!(word(&ending), "completed", "{}", theatre.lines());
    ("finalized".into(), journal(&theatre))
}

/// A run whose process died between the intent of a batch and its first write.
async fn killed() -> Recorded {
    let mut theatre = Theatre::begin(small::many_routes("", small::SHORT), &scenario("{}")).await;
    theatre.ledger.dies_on(Some(|event| matches!(event, Event::Intended { writes, .. } if writes.len() > 1)));
    assert_eq!(theatre.live().await, Life::Killed, "{}", theatre.lines());
    ("killed-in-a-batch".into(), journal(&theatre))
}

/// A rollback whose source is tags: its first record has no plan.
async fn without_a_plan() -> Recorded {
    let theatre = fifth().await;
    let selector = &theatre.plan.workloads[0].routes[0].load_balancer;
    let live = read_balancer::read_for_rollback(selector, &theatre.stage.balancer, &*theatre.stage.clock, true)
        .await
        .expect("readable");
    let started = from_tags::started(&[live], None).expect("tags").rollback.started;
    let cause = "rollback".to_owned();
    let back = Event::RollbackStarted {
        cause,
        trigger: Trigger::Operator,
        by: bob(),
        to_step: None,
        force: false,
        request: None,
    };
    let (store, now) = (MemoryStore::new(), theatre.ports.clock.now());
    store.create(&theatre.run).await.expect("made");
    for event in [Event::Started(Box::new(started)), back] {
        store.append(&theatre.run, now, &event).await.expect("written");
    }
    ("rollback-from-tags".into(), store.journal(&theatre.run))
}

/// A run that has moved a fifth of the traffic, with a window and a notification; nothing drives it.
async fn fifth() -> Theatre {
    let window = "windows: [{from: '00:00', to: '23:00', zone: UTC}]";
    let steps = "[{bind: {}}, {setWeight: 20, name: fifth}, {pause: {duration: 30s}}, {setWeight: 100}, \
                 {pause: {duration: 90s}}]";
    let plan = small::many_routes(window, steps);
    let mut theatre = Theatre::begin_with(plan, &scenario("{}"), |s| s.orders.until_step = Some(2)).await;
    assert_eq!(word(&theatre.run().await), "waiting", "{}", theatre.lines());
    theatre.assert_shares(20, &[]);
    theatre
}

/// A change of a journal.
type Change = Box<dyn Fn(&[u8]) -> Vec<u8>>;

/// Plans that an older lint accepted.
fn stricter() -> Vec<(&'static str, Change)> {
    vec![
        ("step-name", text("name: fifth", "name: '5'")),
        (
            "hook",
            text("    steps:", "    hooks: [{after: shift, http: {url: 'http://user@example.com/'}}]\n    steps:"),
        ),
        (
            "template",
            text("  strategy:", "  notifications: [{exec: {command: [./say]}, template: '{{mood}}'}]\n  strategy:"),
        ),
        // Too long for every window, in a step that is over.
        ("pause", text("duration: 30s", "duration: 30h")),
        // Too short for the step that comes.
        ("window", text("to: '23:00'", "to: '00:01'")),
    ]
}

/// Journals that a later version wrote into.
fn newer() -> Vec<(&'static str, Change)> {
    let event = |event: Value| -> Change { Box::new(move |journal| with(journal, event.clone())) };
    vec![
        ("plan-field", text("    settle: 5s", "    settle: 5s\n    teleport: {to: mars}")),
        ("plan-step", text("{setWeight: 100}", "{setWeightOverTime: {percent: 100, minutes: 5}}")),
        ("plan-value", text("    settle: 5s", "    settle: 5s\n    onFailure: phone")),
        ("plan-syntax", text("apiVersion", "{{{ apiVersion")),
        ("event", event(json!({"event": "teleported", "to": "mars", "nested": {"a": [1, 2.5, null]}}))),
        ("event-field", event(json!({"event": "notice", "message": "hello", "urgency": 7}))),
        ("event-value", event(json!({"event": "frozen", "reason": "moonPhase", "message": "full moon"}))),
        (
            "route-field",
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

/// The plan's text with one thing replaced by another.
fn text(from: &'static str, to: &'static str) -> Change {
    Box::new(move |journal| {
        rewritten(journal, |record| {
            if let Some(Value::String(text)) = record.get("text") {
                assert!(text.contains(from), "{text}");
                let text = text.replacen(from, to, 1);
                record.insert("hash".into(), cutover::plan::hash(text.as_bytes()).into());
                record.insert("text".into(), text.into());
            }
        })
    })
}

/// The journal with each of its records changed, and the checksums that it then has.
fn rewritten(journal: &[u8], mut change: impl FnMut(&mut Map<String, Value>)) -> Vec<u8> {
    let (mut text, mut sum) = (String::new(), String::new());
    for line in std::str::from_utf8(journal).expect("text").lines() {
        let mut record: Map<String, Value> = serde_json::from_str(line).expect("a record");
        record.remove("sum");
        change(&mut record);
        sum = append(&mut text, &sum, &record);
    }
    text.into_bytes()
}

/// Appends a record, and returns its checksum.
fn append(text: &mut String, before: &str, record: &Map<String, Value>) -> String {
    let line = serde_json::to_string(record).expect("JSON");
    let sum = cutover::base::text::hex(&Sha256::digest(format!("{before}{line}"))[..8]);
    writeln!(text, "{},\"sum\":\"{sum}\"}}", &line[..line.len() - 1]).expect("a text");
    sum
}

/// The journal with this event in a last record.
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
