//! Creates the journals of the corpus from runs in the lab. [`HOW`] is the command.

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

use super::super::finalize::replace_with_own_binding;
use super::super::instances;
use super::super::requests::make_a_rule;
use super::super::small;
use super::super::test_run::{ProcessEnd, TestRun, ending_name, example, plan, scenario};
use super::{CORPUS_FOLDER, corpus};

/// The command that adds missing journals. `CUTOVER_RECORD=1` records all of them again, as long as version 1 of the
/// records is not released.
pub const HOW: &str =
    "add it with `CUTOVER_RECORD=new cargo test --profile simulation --test virtual_time the_corpus_can_be_recorded`";

/// The name of a journal, and its content.
type Recorded = (String, Vec<u8>);

#[tokio::test(start_paused = true)]
async fn the_corpus_can_be_recorded() {
    let recorded: Vec<Recorded> =
        record_all().await.into_iter().map(|(name, bytes)| (name, with_fixed_pid(&bytes))).collect();
    let existing: BTreeSet<String> = corpus().into_iter().map(|journal| journal.name).collect();
    let file = |name: &str| format!("{CORPUS_FOLDER}/{name}.jsonl");
    let mode = std::env::var("CUTOVER_RECORD").ok();
    if let Some(mode) = &mode {
        let wanted = |name: &String| mode != "new" || !existing.contains(name);
        recorded.iter().filter(|(name, _)| wanted(name)).for_each(|(name, bytes)| write(&file(name), bytes));
        let stale = existing.iter().filter(|name| mode != "new" && !recorded.iter().any(|(new, _)| new == *name));
        stale.for_each(|name| std::fs::remove_file(file(name)).expect("the stale journal should be removed"));
    }
    let missing: Vec<_> = recorded.iter().map(|(name, _)| name).filter(|name| !existing.contains(*name)).collect();
    assert!(missing.is_empty() || mode.is_some(), "{CORPUS_FOLDER} lacks {missing:?}; {HOW}");
}

fn write(file: &str, journal: &[u8]) {
    std::fs::write(file, journal).unwrap_or_else(|e| panic!("{file}: {e}"));
}

/// Replaces the process id, so that every recording has the same id.
fn with_fixed_pid(journal: &[u8]) -> Vec<u8> {
    rewrite(journal, |record| {
        if let Some(pid) = record.get_mut("pid") {
            *pid = json!(4711);
        }
    })
}

async fn record_all() -> Vec<Recorded> {
    let mut all = Vec::new();
    for file in std::fs::read_dir("plans")
        .expect("the folder plans should be readable")
        .map(|e| e.expect("the entry should be readable").path())
    {
        let Some(name) = file.file_stem().filter(|_| file.extension().is_some_and(|e| e == "yaml")) else { continue };
        let plan = plan(&file.display().to_string());
        let until = Some(first_share(&plan));
        let mut test_run = TestRun::begin_with(plan, &example("healthy"), |s| s.orders.until_step = until).await;
        assert_eq!(ending_name(&test_run.run().await), "waiting", "{}", test_run.output());
        all.push((format!("plan-{}", name.to_string_lossy()), journal(&test_run)));
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
        let mut test_run = TestRun::begin(small::many_routes("", steps), &example(name)).await;
        let _ = test_run.run().await;
        all.push((name.to_owned(), journal(&test_run)));
    }
    all.extend([record_canary().await, record_approval().await, record_ramp().await, record_finalized().await]);
    all.extend([record_ignored_hours().await, record_lost_instance().await]);
    all.extend([record_killed().await, record_without_a_plan().await]);
    let fifth = journal(&run_with_a_fifth_moved().await);
    all.extend(stricter_plans().into_iter().map(|(name, change)| (format!("stricter-{name}"), change(&fifth))));
    all.extend(newer_journals().into_iter().map(|(name, change)| (format!("newer-{name}"), change(&fifth))));
    all
}

fn journal(test_run: &TestRun) -> Vec<u8> {
    test_run.test_store.memory.journal(&test_run.run)
}

/// Returns the number of the first step that moves a share.
fn first_share(plan: &Plan) -> usize {
    plan.strategy.steps.iter().find(|s| matches!(s.kind, StepKind::Shares(_))).map_or(1, |s| s.number)
}

fn bob() -> String {
    "bob@lab".to_owned()
}

/// Records a canary with a pause, a promotion, a foreign write that was kept, an approval and an abort.
async fn record_canary() -> Recorded {
    let steps = "[{bind: {}}, {setWeight: 5}, {pause: {duration: 20m}}, {pause: {approval: error budgets compared}}, \
                 {setWeight: 50}, {pause: {duration: 5m}}]";
    let plan = small::many_routes("", steps);
    let mut test_run = TestRun::begin_with(plan, &example("foreign-write"), |s| s.exit_when_frozen = false).await;
    let resume = |mode| Request::Resume { by: bob(), mode, ignore_hours: None };
    let mut script = vec![
        (3, false, Request::Pause { by: bob(), reason: "read the dashboards first".into() }),
        (3, true, resume(ResumeMode::PLAIN)),
        (3, true, resume(ResumeMode::KEEP_LIVE)),
        (3, false, Request::Promote { by: bob(), full: false }),
        (6, false, Request::Abort { by: bob(), to_step: None }),
    ];
    script.reverse();
    let ending = test_run
        .run_with(&mut |state, _, _, _| {
            let due = script.pop_if(|(step, held, _)| (*step, *held) == (state.step, state.raises_stopped()));
            due.map(|(_, _, request)| request).into_iter().collect()
        })
        .await;
    assert_eq!(ending_name(&ending), "aborted", "{}", test_run.output());
    ("canary-aborted".into(), journal(&test_run))
}

/// Records a pause, a rule that appears and is included, a command, an approval that times out, requests that are
/// refused, and an abort.
async fn record_approval() -> Recorded {
    let steps = "[{bind: {}}, {setWeight: 50}, {pause: {duration: 5m}}, {exec: {command: [./smoke]}}, \
                 {pause: {timeout: 30s, onTimeout: pause}}, {setWeight: 100}]";
    let mut test_run = TestRun::begin(small::many_routes("", steps), &scenario("{}")).await;
    let (shell, started) = (test_run.lab.model().clone(), test_run.started().clone());
    let (mut paused, mut made, mut turns) = (false, false, 0);
    let ending = test_run
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
                    vec![Request::Resume { by: bob(), mode: ResumeMode::INCLUDE_NEW, ignore_hours: None }]
                }
                Phase::Baking if paused && turns > 10 => vec![Request::Promote { by: bob(), full: false }],
                Phase::AwaitingApproval if state.raises_stopped() => vec![Request::Abort { by: bob(), to_step: None }],
                _ => vec![],
            }
        })
        .await;
    assert_eq!(ending_name(&ending), "aborted", "{}", test_run.output());
    ("approval-timed-out".into(), journal(&test_run))
}

/// Records a share that is raised outside of the plan's hours, as an operator requested, and an abort to the shares of
/// this step.
async fn record_ignored_hours() -> Recorded {
    let windows = r#"windows: [{days: [sun], from: "03:00", to: "05:00", zone: Europe/Berlin}]"#;
    let mut test_run = TestRun::begin(small::many_routes(windows, small::SHORT), &scenario("{}")).await;
    let ignore_hours = Some("CHG-1234: agreed with sales".to_owned());
    let mut script = vec![
        (2, Request::Resume { by: bob(), mode: ResumeMode::PLAIN, ignore_hours }),
        (4, Request::Abort { by: bob(), to_step: Some(2) }),
    ];
    script.reverse();
    let ending = test_run
        .run_with(&mut |state, _, _, _| {
            let due = script.pop_if(|(step, _)| (*step, Phase::Ready) == (state.step, state.phase));
            due.map(|(_, request)| request).into_iter().collect()
        })
        .await;
    assert_eq!(ending_name(&ending), "aborted", "{}", test_run.output());
    let output = test_run.output();
    for text in
        ["outside of the plan's hours, step 2 only: CHG-1234", "b keeps 50 % of the traffic, and nobody guards it"]
    {
        assert!(output.contains(text), "{text}\n{output}");
    }
    ("hours-ignored".into(), journal(&test_run))
}

/// Records a run that goes on without a lost instance of HAProxy, to its end.
async fn record_lost_instance() -> Recorded {
    let servers = "[{name: from, workload: {replicas: 6}}, {name: to, workload: {replicas: 6}}]";
    let scenario = scenario(&format!("{{clusters: {servers}, faults: [{}]}}", instances::DEAD));
    let mut test_run = TestRun::begin_with(plan("plans/haproxy.yaml"), &scenario, |s| s.exit_when_frozen = false).await;
    let mut asks = instances::once(instances::leave_out(), |state| state.frozen.is_some());
    let ending = test_run.run_with(&mut asks).await;
    assert_eq!(ending_name(&ending), "completed", "{}", test_run.output());
    ("lost-instance".into(), journal(&test_run))
}

/// Records a rollback in stages whose process died after the first stage.
async fn record_ramp() -> Recorded {
    let mut test_run =
        TestRun::begin_with(small::two_routes(), &scenario("{}"), |s| s.orders.until_step = Some(4)).await;
    assert_eq!(ending_name(&test_run.run().await), "waiting", "{}", test_run.output());
    test_run.settings.orders = ProcessOptions::default();
    test_run.test_store.dies_on(Some(|event| matches!(event, Event::Ramped { percent: 50, .. })));
    let ramp = Ramp { percents: vec![25, 50, 100], every: 60 };
    let life = test_run
        .run_process_with_request(&Request::Ramp { by: bob(), force: false, break_stickiness: None, ramp })
        .await;
    assert_eq!(life, ProcessEnd::Killed, "{}", test_run.output());
    ("ramp".into(), journal(&test_run))
}

/// Records a finalized run whose old cluster had a binding that the tool created.
async fn record_finalized() -> Recorded {
    let steps = "[{bind: {}}, {setWeight: 50}, {setWeight: 100}, {pause: {duration: 30m}}]";
    let mut test_run = TestRun::begin(small::many_routes("", steps), &scenario("{}")).await;
    assert_eq!(ending_name(&test_run.run().await), "completed", "{}", test_run.output());
    replace_with_own_binding(&test_run).await;
    let ProcessEnd::Ended(ending) =
        test_run.run_process_with_request(&Request::Detach { by: bob(), bindings: true }).await
    else {
        panic!("the process must not be killed")
    };
    assert_eq!(ending_name(&ending), "completed", "{}", test_run.output());
    ("finalized".into(), journal(&test_run))
}

/// Records a run whose process died between the intent of a batch and its first write.
async fn record_killed() -> Recorded {
    let mut test_run = TestRun::begin(small::many_routes("", small::SHORT), &scenario("{}")).await;
    test_run.test_store.dies_on(Some(|event| matches!(event, Event::Intended { writes, .. } if writes.len() > 1)));
    assert_eq!(test_run.run_process().await, ProcessEnd::Killed, "{}", test_run.output());
    ("killed-in-a-batch".into(), journal(&test_run))
}

/// Records a rollback from tags: its first record has no plan.
async fn record_without_a_plan() -> Recorded {
    let test_run = run_with_a_fifth_moved().await;
    let selector = &test_run.plan.workloads[0].routes[0].load_balancer;
    let live = read_balancer::read_for_rollback(selector, &test_run.lab.balancer, &*test_run.lab.clock, true)
        .await
        .expect("the load balancer should be readable");
    let started = from_tags::started(&[live], None).expect("the tags should describe the run").rollback.started;
    let cause = "rollback".to_owned();
    let back = Event::RollbackStarted {
        cause,
        trigger: Trigger::Operator,
        by: bob(),
        to_step: None,
        force: false,
        break_stickiness: false,
        request: None,
    };
    let (store, now) = (MemoryStore::new(), test_run.ports.clock.now());
    store.create(&test_run.run).await.expect("the run should be created");
    for event in [Event::Started(Box::new(started)), back] {
        store.append(&test_run.run, now, &event).await.expect("the event should be written");
    }
    ("rollback-from-tags".into(), store.journal(&test_run.run))
}

/// Returns a run that has moved a fifth of the traffic, with a window and a notification; no process drives the run.
async fn run_with_a_fifth_moved() -> TestRun {
    let window = "windows: [{from: '00:00', to: '23:00', zone: UTC}]";
    let steps = "[{bind: {}}, {setWeight: 20, name: fifth}, {pause: {duration: 30s}}, {setWeight: 100}, \
                 {pause: {duration: 90s}}]";
    let plan = small::many_routes(window, steps);
    let mut test_run = TestRun::begin_with(plan, &scenario("{}"), |s| s.orders.until_step = Some(2)).await;
    assert_eq!(ending_name(&test_run.run().await), "waiting", "{}", test_run.output());
    test_run.assert_shares(20, &[]);
    test_run
}

/// A function that changes the content of a journal.
type Change = Box<dyn Fn(&[u8]) -> Vec<u8>>;

/// Returns the changes to plans that an older lint accepted.
fn stricter_plans() -> Vec<(&'static str, Change)> {
    vec![
        ("step-name", replace_in_plan("name: fifth", "name: '5'")),
        (
            "hook",
            replace_in_plan(
                "    steps:",
                "    hooks: [{after: shift, http: {url: 'http://user@example.com/'}}]\n    steps:",
            ),
        ),
        (
            "template",
            replace_in_plan(
                "  strategy:",
                "  notifications: [{exec: {command: [./say]}, template: '{{mood}}'}]\n  strategy:",
            ),
        ),
        // A pause that is longer than every window, in a step that is over.
        ("pause", replace_in_plan("duration: 30s", "duration: 30h")),
        // A window that is too short for the next step.
        ("window", replace_in_plan("to: '23:00'", "to: '00:01'")),
    ]
}

/// Returns the changes that a later version could have written.
fn newer_journals() -> Vec<(&'static str, Change)> {
    let event = |event: Value| -> Change { Box::new(move |journal| append_event(journal, event.clone())) };
    vec![
        ("plan-field", replace_in_plan("    settle: 5s", "    settle: 5s\n    teleport: {to: mars}")),
        ("plan-step", replace_in_plan("{setWeight: 100}", "{setWeightOverTime: {percent: 100, minutes: 5}}")),
        ("plan-value", replace_in_plan("    settle: 5s", "    settle: 5s\n    onFailure: phone")),
        ("plan-syntax", replace_in_plan("apiVersion", "{{{ apiVersion")),
        ("event", event(json!({"event": "teleported", "to": "mars", "nested": {"a": [1, 2.5, null]}}))),
        ("event-field", event(json!({"event": "notice", "message": "hello", "urgency": 7}))),
        ("event-value", event(json!({"event": "frozen", "reason": "moonPhase", "message": "full moon"}))),
        (
            "route-field",
            Box::new(|journal| {
                rewrite(journal, |record| {
                    if let Some(Value::Array(routes)) = record.get_mut("routes") {
                        routes[0]["mirrors"] = json!(["elsewhere"]);
                    }
                })
            }),
        ),
    ]
}

/// Returns a change that replaces one text in the plan.
fn replace_in_plan(from: &'static str, to: &'static str) -> Change {
    Box::new(move |journal| {
        rewrite(journal, |record| {
            if let Some(Value::String(text)) = record.get("text") {
                assert!(text.contains(from), "{text}");
                let text = text.replacen(from, to, 1);
                record.insert("hash".into(), cutover::plan::hash(text.as_bytes()).into());
                record.insert("text".into(), text.into());
            }
        })
    })
}

/// Returns the journal with each record changed, and with new checksums.
fn rewrite(journal: &[u8], mut change: impl FnMut(&mut Map<String, Value>)) -> Vec<u8> {
    let (mut text, mut sum) = (String::new(), String::new());
    for line in std::str::from_utf8(journal).expect("a journal should be UTF-8").lines() {
        let mut record: Map<String, Value> = serde_json::from_str(line).expect("a line should be a record");
        record.remove("sum");
        change(&mut record);
        sum = append(&mut text, &sum, &record);
    }
    text.into_bytes()
}

/// Appends a record to the text, and returns its checksum.
fn append(text: &mut String, before: &str, record: &Map<String, Value>) -> String {
    let line = serde_json::to_string(record).expect("a record should convert to JSON");
    let sum = cutover::base::text::hex(&Sha256::digest(format!("{before}{line}"))[..8]);
    writeln!(text, "{},\"sum\":\"{sum}\"}}", &line[..line.len() - 1]).expect("writing to a string should succeed");
    sum
}

/// Returns the journal with one more record, which has this event.
fn append_event(journal: &[u8], event: Value) -> Vec<u8> {
    let (mut text, mut last) = (String::from_utf8(journal.to_vec()).expect("a journal should be UTF-8"), Map::new());
    let mut sum = String::new();
    for line in text.lines() {
        last = serde_json::from_str(line).expect("a line should be a record");
        last["sum"].as_str().expect("a record should have a checksum").clone_into(&mut sum);
    }
    let Value::Object(event) = event else { panic!("the event must be an object") };
    last.retain(|key, _| ["v", "seq", "time", "run"].contains(&key.as_str()));
    last["seq"] = json!(last["seq"].as_u64().expect("`seq` should be a number") + 1);
    last.extend(event);
    append(&mut text, &sum, &last);
    text.into_bytes()
}
