//! Commands and hooks: their order, the effect of a failure, and that none of them delays a rollback.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use cutover::app::exit::Exit;
use cutover::domain::decide::HookCall;
use cutover::domain::run::event::{Event, FreezeReason, Record, ResumeMode, WriteResult};
use cutover::domain::run::hook::{HookPoint, HookResult};
use cutover::domain::run::state::Phase;
use cutover::engine::Ending;
use cutover::plan::model::Plan;
use cutover::port::store::Request;
use cutover::port::{Clock, Hooks};

use super::small;
use super::store::{CrashingStore, Death};
use super::test_run::{ProcessEnd, TestRun, ending_name, example, exit, plan, scenario};

/// Hooks and commands that record their calls, and are slow, fail or never end if a test asks for it.
#[derive(Clone)]
struct RecordingHooks {
    test_store: CrashingStore,
    clock: Arc<dyn Clock>,
    /// The behavior of each command or hook by its name, such as `undo one`: its duration, and whether it fails.
    behaviors: Arc<Mutex<BTreeMap<String, (Duration, bool)>>>,
    /// The calls that ended.
    done: Arc<Mutex<Vec<String>>>,
}

impl RecordingHooks {
    fn of(test_run: &mut TestRun) -> Self {
        let (test_store, clock) = (test_run.test_store.clone(), test_run.lab.clock.clone());
        let hooks = Self { test_store, clock, behaviors: Arc::default(), done: Arc::default() };
        test_run.ports.hooks = Arc::new(hooks.clone());
        hooks
    }

    fn set_behavior(&self, name: &str, takes: u64, fails: bool) {
        self.behaviors
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name.into(), (Duration::from_secs(takes), fails));
    }

    fn done(&self) -> Vec<String> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn call_name(at: HookPoint, name: Option<&str>) -> String {
    let name = name.unwrap_or_default();
    if at == HookPoint::Command { name.to_owned() } else { format!("{} {name}", at.name()) }
}

#[async_trait]
impl Hooks for RecordingHooks {
    async fn call(&self, call: &HookCall) -> Result<String, String> {
        let begun = self
            .test_store
            .records()
            .iter()
            .any(|r| matches!(&r.event, Event::HookStarted { hook, .. } if *hook == call.id));
        assert!(begun, "{call:?} runs before its start is journalled");
        let name = call_name(call.id.at, call.name.as_deref());
        let (takes, fails) =
            self.behaviors.lock().unwrap_or_else(PoisonError::into_inner).get(&name).copied().unwrap_or_default();
        self.clock.sleep(takes).await;
        self.done.lock().unwrap_or_else(PoisonError::into_inner).push(name);
        if fails { Err("exit code 3".into()) } else { Ok(String::new()) }
    }

    fn locate(&self, _: &str) -> Result<(), String> {
        Ok(())
    }
}

const ALL_HOOKS_YAML: &str =
    "hooks: [{name: x, before: bind, exec: {command: [x]}}, {name: x, after: bind, exec: {command: [x]}},
      {name: x, before: shift, exec: {command: [x]}}, {name: x, after: shift, http: {url: \"https://x/y\"}},
      {name: x, before: rollback, exec: {command: [x]}}, {name: x, after: rollback, exec: {command: [x]}},
      {name: x, before: finish, exec: {command: [x]}}, {name: x, after: finish, exec: {command: [x]}}]";
const STEPS_YAML: &str = "[{exec: {command: [one], undo: [back]}, name: one}, {bind: {}}, {exec: {command: [two]}, name: two}, {setWeight: 50},
      {pause: {duration: 30s}}, {exec: {command: [three], undo: [back]}, name: three}, {setWeight: 100}]";

fn plan_with_hooks(more: &str) -> Plan {
    small::many_routes(&format!("{ALL_HOOKS_YAML}\n    {more}"), STEPS_YAML)
}

async fn start_with_hooks(more: &str) -> (TestRun, RecordingHooks) {
    let mut test_run =
        TestRun::begin(plan_with_hooks(more), &scenario("{targetGroups: [{cluster: to, attached: false}]}")).await;
    let hooks = RecordingHooks::of(&mut test_run);
    (test_run, hooks)
}

/// Returns the journal's entries whose order matters: hooks, first and last writes, steps.
fn event_order(records: &[Record]) -> Vec<String> {
    let mut order: Vec<String> = records
        .iter()
        .filter_map(|record| match &record.event {
            Event::HookStarted { hook, .. } => Some(format!("{} {}", hook.at.name(), hook.step)),
            Event::StepDone { step } => Some(format!("done {step}")),
            Event::Outcome { result: WriteResult::Applied, .. } => Some("write".into()),
            Event::RollbackStarted { .. } => Some("rollback".into()),
            Event::Finished { .. } => Some("finished".into()),
            _ => None,
        })
        .collect();
    order.dedup();
    order
}

fn count_ended(records: &[Record], at: HookPoint, wanted: HookResult) -> usize {
    records
        .iter()
        .filter(|r| matches!(&r.event, Event::HookEnded { hook, result, .. } if hook.at == at && *result == wanted))
        .count()
}

#[tokio::test(start_paused = true)]
async fn hooks_run_in_the_order_of_the_plan() {
    let (mut test_run, hooks) = start_with_hooks("").await;
    assert_eq!(ending_name(&test_run.run().await), "completed", "{}", test_run.output());
    test_run.assert_shares(100, &[]);
    let wanted = "command 1, done 1, beforeBind 2, write, afterBind 2, done 2, command 3, done 3, beforeShift 4, write, afterShift 4, done 4, done 5, \
                  command 6, done 6, beforeShift 7, write, afterShift 7, done 7, beforeFinish 0, afterFinish 0, finished";
    assert_eq!(event_order(&test_run.records()).join(", "), wanted);
    let all = [
        "one",
        "beforeBind x",
        "afterBind x",
        "two",
        "beforeShift x",
        "afterShift x",
        "three",
        "beforeShift x",
        "afterShift x",
    ];
    assert_eq!(hooks.done(), [&all[..], &["beforeFinish x", "afterFinish x"]].concat());

    // An operator rolls the finished run back: first the traffic, then the commands in reverse order.
    let before = test_run.records().len();
    let ProcessEnd::Ended(back) = test_run
        .run_process_with_request(&Request::Rollback { by: "bob".into(), force: false, break_stickiness: None })
        .await
    else {
        panic!("the process should end")
    };
    assert_eq!(ending_name(&back), "aborted");
    test_run.assert_original(&[]);
    let seen = event_order(&test_run.records()[before..]);
    assert_eq!(
        seen.iter().filter(|s| *s != "write").cloned().collect::<Vec<_>>().join(", "),
        "rollback, beforeRollback 0, undo 6, undo 1, afterRollback 0, finished"
    );
    assert_eq!(seen[1], "write", "traffic must be restored first: {seen:?}");
    let last = seen.iter().rposition(|s| s == "write").expect("the rollback should have writes");
    assert!(last < seen.iter().position(|s| s == "undo 6").expect("step 6 should be undone"), "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn a_failed_command_rolls_back_and_undoes_every_started_command() {
    let (mut test_run, hooks) = start_with_hooks("").await;
    hooks.set_behavior("three", 5, true);
    let ending = test_run.run().await;
    assert_eq!((ending_name(&ending), exit(&ending)), ("rolled back", Exit::RolledBack), "{}", test_run.output());
    test_run.assert_original(&[]);
    assert!(test_run.output().contains("step 6 three: three: exit code 3"), "{}", test_run.output());
    let done = hooks.done();
    assert!(
        done.ends_with(&["three", "beforeRollback x", "undo three", "undo one", "afterRollback x"].map(str::to_owned)),
        "{done:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_failed_hook_fails_the_run_only_where_the_plan_says_so() {
    for (hook, ending) in [
        ("beforeShift x", "rolled back"),
        ("beforeFinish x", "rolled back"),
        ("afterShift x", "completed"),
        ("afterFinish x", "completed"),
    ] {
        let (mut test_run, hooks) = start_with_hooks("").await;
        hooks.set_behavior(hook, 0, true);
        assert_eq!(ending_name(&test_run.run().await), ending, "{hook}: {}", test_run.output());
    }
    let ignored = small::many_routes("hooks: [{before: shift, onFailure: ignore, exec: {command: [x]}}]", small::SHORT);
    let mut test_run = TestRun::begin(ignored, &scenario("{}")).await;
    RecordingHooks::of(&mut test_run).set_behavior("beforeShift ", 0, true);
    assert_eq!(ending_name(&test_run.run().await), "completed");
    assert_eq!(count_ended(&test_run.records(), HookPoint::BeforeShift, HookResult::Failed), 2);
}

#[tokio::test(start_paused = true)]
async fn failing_or_slow_hooks_do_not_delay_a_rollback() {
    let (mut test_run, hooks) = start_with_hooks("").await;
    hooks.set_behavior("three", 0, true);
    hooks.set_behavior("beforeRollback x", 50, false);
    hooks.set_behavior("undo three", 0, true);
    hooks.set_behavior("afterRollback x", 0, true);
    let ending = test_run.run().await;
    test_run.assert_original(&[]);
    let Ending::Finished { left, .. } = &ending else { panic!("{ending:?}") };
    assert_eq!((ending_name(&ending), exit(&ending), left.len()), ("rolled back", Exit::Stuck, 1), "{left:?}");
    assert!(left[0].contains("undo of step 6 three"), "{left:?}");
    assert!(hooks.done().contains(&"undo one".into()), "a failed undo must not block the next one");
    let records = test_run.records();
    let at = |fits: &dyn Fn(&Event) -> bool| {
        records.iter().rfind(|r| fits(&r.event)).expect("the journal should have such a record").time
    };
    let back = at(&|e| matches!(e, Event::Outcome { .. }));
    let called = at(&|e| matches!(e, Event::HookEnded { hook, .. } if hook.at == HookPoint::BeforeRollback));
    assert!(
        called.duration_since(back).as_secs() > 30,
        "the writes must not wait for the hook: last write at {back}, end of the hook at {called}"
    );

    // The next rollback repeats a failed undo command, but not a successful one.
    hooks.set_behavior("undo three", 0, false);
    let before = hooks.done().len();
    let ProcessEnd::Ended(again) = test_run
        .run_process_with_request(&Request::Rollback { by: "bob".into(), force: false, break_stickiness: None })
        .await
    else {
        panic!("the process should end")
    };
    assert_eq!(exit(&again), Exit::RolledBack, "{again:?}");
    assert_eq!(hooks.done()[before..], ["beforeRollback x", "undo three", "afterRollback x"]);
}

#[tokio::test(start_paused = true)]
async fn with_on_failure_pause_resume_runs_a_failed_command_again() {
    let (mut test_run, hooks) = start_with_hooks("onFailure: pause").await;
    test_run.settings.exit_when_frozen = false;
    hooks.set_behavior("two", 3, true);
    let fixed_hooks = hooks.clone();
    let mut requested = false;
    let ending = test_run
        .run_with(&mut |state, _, _, _| {
            if requested || state.frozen.as_ref().is_none_or(|frozen| frozen.reason != FreezeReason::HookFailed) {
                return vec![];
            }
            requested = true;
            fixed_hooks.set_behavior("two", 3, false);
            vec![Request::Resume { by: "bob".into(), mode: ResumeMode::PLAIN, ignore_hours: None }]
        })
        .await;
    assert_eq!(ending_name(&ending), "completed", "{}", test_run.output());
    assert_eq!(hooks.done().iter().filter(|name| *name == "two").count(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_abort_ends_a_command_at_once_and_the_guard_is_on_during_commands() {
    let (mut test_run, hooks) = start_with_hooks("").await;
    hooks.set_behavior("three", 300, false);
    let mut since = None;
    let ending = test_run
        .run_with(&mut |state, _, _, now| {
            let working = state.phase == Phase::RunningCommand && state.step == 6;
            let first = working && since.is_none();
            since = since.or(working.then_some(now));
            if first { vec![Request::Abort { by: "bob".into(), to_step: None }] } else { vec![] }
        })
        .await;
    assert_eq!(ending_name(&ending), "aborted", "{}", test_run.output());
    test_run.assert_original(&[]);
    let records = test_run.records();
    assert_eq!(count_ended(&records, HookPoint::Command, HookResult::Interrupted), 1, "{}", test_run.output());
    let back = records
        .iter()
        .find(|r| matches!(r.event, Event::RollbackStarted { .. }))
        .expect("the run should roll back")
        .time;
    assert!(back.duration_since(since.expect("a command should run")).as_secs() <= 2, "{since:?} {back}");
    assert!(
        !hooks.done().contains(&"three".into()) && hooks.done().contains(&"undo three".into()),
        "{:?}",
        hooks.done()
    );

    let killed = scenario("{faults: [{at: {step: three, after: 20s}, kill: {cluster: to}}]}");
    let mut test_run = TestRun::begin(plan_with_hooks(""), &killed).await;
    RecordingHooks::of(&mut test_run).set_behavior("three", 3600, false);
    assert_eq!(ending_name(&test_run.run().await), "rolled back", "{}", test_run.output());
    assert!(test_run.records().iter().any(|r| matches!(r.event, Event::GateFailed { .. })));
}

/// Crashes at a record, then resumes or rolls back. Returns whether the process crashed.
async fn crashes_at(seq: u64, death: Death, back: bool) -> bool {
    let (mut test_run, hooks) = start_with_hooks("").await;
    test_run.test_store.dies_at(Some((seq, death)));
    let life = test_run.run_process().await;
    test_run.test_store.dies_at(None);
    if life != ProcessEnd::Killed {
        test_run.lab.stop().await;
        return false;
    }
    test_run.sleep(Duration::from_secs(20)).await;
    if back {
        test_run.send_request(Request::Rollback { by: "bob".into(), force: false, break_stickiness: None });
    }
    let ending = test_run.run().await;
    let (done, text) = (hooks.done(), format!("{death:?} at {seq}: {}", test_run.output()));
    let last = |name: &str| done.iter().rposition(|d| d == name);
    if back {
        assert_eq!(ending_name(&ending), "aborted", "{text}");
        test_run.assert_original(&[]);
        for name in ["one", "three"] {
            assert!(
                last(name).is_none_or(|at| last(&format!("undo {name}")).is_some_and(|undone| undone > at)),
                "{name}: {done:?} {text}"
            );
        }
        let (three, one) = (last("undo three"), last("undo one"));
        assert!(three.is_none() || three < one, "{done:?} {text}");
    } else {
        assert_eq!(ending_name(&ending), "completed", "{text}");
        test_run.assert_shares(100, &[]);
        let mut once = done.clone();
        once.dedup();
        assert_eq!(once.iter().filter(|d| !d.contains(' ')).collect::<Vec<_>>(), ["one", "two", "three"], "{text}");
    }
    test_run.lab.stop().await;
    true
}

async fn crash_at_every_record(death: Death, back: bool) {
    let mut seq = 3;
    while crashes_at(seq, death, back).await {
        seq += 1;
    }
    assert!(seq > 50, "the run should have more than 50 records, but it has {seq}");
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_unfinished_commands_run_again() {
    crash_at_every_record(Death::After, false).await;
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_a_rollback_undoes_every_started_command() {
    crash_at_every_record(Death::Torn, true).await;
}

#[tokio::test(start_paused = true)]
async fn the_hooks_plan_completes_and_rolls_back_if_a_command_fails() {
    let mut test_run = TestRun::begin(plan("plans/hooks.yaml"), &example("healthy")).await;
    assert_eq!(ending_name(&test_run.run().await), "completed", "{}", test_run.output());
    test_run.assert_shares(100, &[]);
    let mut test_run = TestRun::begin(plan("plans/hooks.yaml"), &example("command-fails")).await;
    let ending = test_run.run().await;
    assert_eq!((ending_name(&ending), exit(&ending)), ("rolled back", Exit::RolledBack), "{}", test_run.output());
    test_run.assert_original(&[]);
    assert_eq!(count_ended(&test_run.records(), HookPoint::Undo, HookResult::Succeeded), 1);
}
