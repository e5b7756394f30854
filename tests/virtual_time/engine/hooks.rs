//! Commands and hooks: what comes before what, what a failure does, and that nothing of it holds up the way back.

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
use super::store::{Death, Ledger};
use super::theatre::{Life, Theatre, example, exit, plan, scenario, word};

/// Hooks and commands that record their calls, and are slow, fail or never end if asked to.
#[derive(Clone)]
struct Outside {
    ledger: Ledger,
    clock: Arc<dyn Clock>,
    /// By the name of what is done, such as `undo one`: how long it takes, and whether it fails.
    manners: Arc<Mutex<BTreeMap<String, (Duration, bool)>>>,
    /// The calls that ended.
    done: Arc<Mutex<Vec<String>>>,
}

impl Outside {
    fn of(theatre: &mut Theatre) -> Self {
        let (ledger, clock) = (theatre.ledger.clone(), theatre.stage.clock.clone());
        let outside = Self { ledger, clock, manners: Arc::default(), done: Arc::default() };
        theatre.ports.hooks = Arc::new(outside.clone());
        outside
    }

    fn behaves(&self, name: &str, takes: u64, fails: bool) {
        self.manners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name.into(), (Duration::from_secs(takes), fails));
    }

    fn done(&self) -> Vec<String> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn called(at: HookPoint, name: Option<&str>) -> String {
    let name = name.unwrap_or_default();
    if at == HookPoint::Command { name.to_owned() } else { format!("{} {name}", at.name()) }
}

#[async_trait]
impl Hooks for Outside {
    async fn call(&self, errand: &HookCall) -> Result<String, String> {
        let begun = self
            .ledger
            .records()
            .iter()
            .any(|r| matches!(&r.event, Event::HookStarted { hook, .. } if *hook == errand.id));
        assert!(begun, "{errand:?} is done before it is journalled");
        let name = called(errand.id.at, errand.name.as_deref());
        let (takes, fails) =
            self.manners.lock().unwrap_or_else(PoisonError::into_inner).get(&name).copied().unwrap_or_default();
        self.clock.sleep(takes).await;
        self.done.lock().unwrap_or_else(PoisonError::into_inner).push(name);
        if fails { Err("exit code 3".into()) } else { Ok(String::new()) }
    }
}

const ALL: &str = "hooks: [{name: x, before: bind, exec: {command: [x]}}, {name: x, after: bind, exec: {command: [x]}},
      {name: x, before: shift, exec: {command: [x]}}, {name: x, after: shift, http: {url: \"https://x/y\"}},
      {name: x, before: rollback, exec: {command: [x]}}, {name: x, after: rollback, exec: {command: [x]}},
      {name: x, before: finish, exec: {command: [x]}}, {name: x, after: finish, exec: {command: [x]}}]";
const STEPS: &str = "[{exec: {command: [one], undo: [back]}, name: one}, {bind: {}}, {exec: {command: [two]}, name: two}, {setWeight: 50},
      {pause: {duration: 30s}}, {exec: {command: [three], undo: [back]}, name: three}, {setWeight: 100}]";

fn hooked(more: &str) -> Plan {
    small::many_routes(&format!("{ALL}\n    {more}"), STEPS)
}

async fn stage(more: &str) -> (Theatre, Outside) {
    let mut theatre = Theatre::begin(hooked(more), &scenario("{targetGroups: [{cluster: to, attached: false}]}")).await;
    let outside = Outside::of(&mut theatre);
    (theatre, outside)
}

/// The journal as far as order matters: hooks, first and last writes, steps.
fn course(records: &[Record]) -> Vec<String> {
    let mut course: Vec<String> = records
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
    course.dedup();
    course
}

fn ended(records: &[Record], at: HookPoint, wanted: HookResult) -> usize {
    records
        .iter()
        .filter(|r| matches!(&r.event, Event::HookEnded { hook, result, .. } if hook.at == at && *result == wanted))
        .count()
}

#[tokio::test(start_paused = true)]
async fn each_comes_where_the_plan_says() {
    let (mut theatre, outside) = stage("").await;
    assert_eq!(word(&theatre.run().await), "completed", "{}", theatre.lines());
    theatre.assert_shares(100, &[]);
    let wanted = "command 1, done 1, beforeBind 2, write, afterBind 2, done 2, command 3, done 3, beforeShift 4, write, afterShift 4, done 4, done 5, \
                  command 6, done 6, beforeShift 7, write, afterShift 7, done 7, beforeFinish 0, afterFinish 0, finished";
    assert_eq!(course(&theatre.records()).join(", "), wanted);
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
    assert_eq!(outside.done(), [&all[..], &["beforeFinish x", "afterFinish x"]].concat());

    // A person takes the finished run back: the traffic first, then the commands, the last one first.
    let before = theatre.records().len();
    let Life::Ended(back) = theatre.called(&Request::Rollback { by: "bob".into(), force: false }).await else {
        panic!("it ends")
    };
    assert_eq!(word(&back), "aborted");
    theatre.assert_original(&[]);
    let seen = course(&theatre.records()[before..]);
    assert_eq!(
        seen.iter().filter(|s| *s != "write").cloned().collect::<Vec<_>>().join(", "),
        "rollback, beforeRollback 0, undo 6, undo 1, afterRollback 0, finished"
    );
    assert_eq!(seen[1], "write", "traffic first: {seen:?}");
    let last = seen.iter().rposition(|s| s == "write").expect("writes");
    assert!(last < seen.iter().position(|s| s == "undo 6").expect("undone"), "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn a_command_that_fails_takes_back_what_was_done_and_itself() {
    let (mut theatre, outside) = stage("").await;
    outside.behaves("three", 5, true);
    let ending = theatre.run().await;
    assert_eq!((word(&ending), exit(&ending)), ("rolled back", Exit::RolledBack), "{}", theatre.lines());
    theatre.assert_original(&[]);
    assert!(theatre.lines().contains("step 6 three: three: exit code 3"), "{}", theatre.lines());
    let done = outside.done();
    assert!(
        done.ends_with(&["three", "beforeRollback x", "undo three", "undo one", "afterRollback x"].map(str::to_owned)),
        "{done:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_fails_is_the_runs_failure_only_where_the_plan_says_so() {
    for (hook, ending) in [
        ("beforeShift x", "rolled back"),
        ("beforeFinish x", "rolled back"),
        ("afterShift x", "completed"),
        ("afterFinish x", "completed"),
    ] {
        let (mut theatre, outside) = stage("").await;
        outside.behaves(hook, 0, true);
        assert_eq!(word(&theatre.run().await), ending, "{hook}: {}", theatre.lines());
    }
    let ignored = small::many_routes("hooks: [{before: shift, onFailure: ignore, exec: {command: [x]}}]", small::SHORT);
    let mut theatre = Theatre::begin(ignored, &scenario("{}")).await;
    Outside::of(&mut theatre).behaves("beforeShift ", 0, true);
    assert_eq!(word(&theatre.run().await), "completed");
    assert_eq!(ended(&theatre.records(), HookPoint::BeforeShift, HookResult::Failed), 2);
}

#[tokio::test(start_paused = true)]
async fn nothing_that_fails_or_hangs_holds_up_the_way_back() {
    let (mut theatre, outside) = stage("").await;
    outside.behaves("three", 0, true);
    outside.behaves("beforeRollback x", 50, false);
    outside.behaves("undo three", 0, true);
    outside.behaves("afterRollback x", 0, true);
    let ending = theatre.run().await;
    theatre.assert_original(&[]);
    let Ending::Finished { left, .. } = &ending else { panic!("{ending:?}") };
    assert_eq!((word(&ending), exit(&ending), left.len()), ("rolled back", Exit::Stuck, 1), "{left:?}");
    assert!(left[0].contains("undo of step 6 three"), "{left:?}");
    assert!(outside.done().contains(&"undo one".into()), "one that fails does not hold up the next");
    let records = theatre.records();
    let at = |fits: &dyn Fn(&Event) -> bool| records.iter().rfind(|r| fits(&r.event)).expect("such a record").time;
    let back = at(&|e| matches!(e, Event::Outcome { .. }));
    let called = at(&|e| matches!(e, Event::HookEnded { hook, .. } if hook.at == HookPoint::BeforeRollback));
    assert!(called.duration_since(back).as_secs() > 30, "the writes did not wait for the hook: {back} {called}");

    // What was not taken back is tried again by the next rollback, and what was is not.
    outside.behaves("undo three", 0, false);
    let before = outside.done().len();
    let Life::Ended(again) = theatre.called(&Request::Rollback { by: "bob".into(), force: false }).await else {
        panic!("it ends")
    };
    assert_eq!(exit(&again), Exit::RolledBack, "{again:?}");
    assert_eq!(outside.done()[before..], ["beforeRollback x", "undo three", "afterRollback x"]);
}

#[tokio::test(start_paused = true)]
async fn with_on_failure_pause_a_person_mends_it_and_it_is_tried_again() {
    let (mut theatre, outside) = stage("onFailure: pause").await;
    theatre.settings.leave_when_frozen = false;
    outside.behaves("two", 3, true);
    let mended = outside.clone();
    let mut asked = false;
    let ending = theatre
        .run_with(&mut |state, _, _, _| {
            if asked || state.frozen.as_ref().is_none_or(|frozen| frozen.reason != FreezeReason::HookFailed) {
                return vec![];
            }
            asked = true;
            mended.behaves("two", 3, false);
            vec![Request::Resume { by: "bob".into(), mode: ResumeMode::PLAIN }]
        })
        .await;
    assert_eq!(word(&ending), "completed", "{}", theatre.lines());
    assert_eq!(outside.done().iter().filter(|name| *name == "two").count(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_abort_ends_a_command_at_once_and_the_guard_goes_on_beside_it() {
    let (mut theatre, outside) = stage("").await;
    outside.behaves("three", 300, false);
    let mut since = None;
    let ending = theatre
        .run_with(&mut |state, _, _, now| {
            let working = state.phase == Phase::RunningCommand && state.step == 6;
            let first = working && since.is_none();
            since = since.or(working.then_some(now));
            if first { vec![Request::Abort { by: "bob".into(), to_step: None }] } else { vec![] }
        })
        .await;
    assert_eq!(word(&ending), "aborted", "{}", theatre.lines());
    theatre.assert_original(&[]);
    let records = theatre.records();
    assert_eq!(ended(&records, HookPoint::Command, HookResult::Interrupted), 1, "{}", theatre.lines());
    let back = records.iter().find(|r| matches!(r.event, Event::RollbackStarted { .. })).expect("a rollback").time;
    assert!(back.duration_since(since.expect("a command")).as_secs() <= 2, "{since:?} {back}");
    assert!(
        !outside.done().contains(&"three".into()) && outside.done().contains(&"undo three".into()),
        "{:?}",
        outside.done()
    );

    let dies = scenario("{faults: [{at: {step: three, after: 20s}, kill: {cluster: to}}]}");
    let mut theatre = Theatre::begin(hooked(""), &dies).await;
    Outside::of(&mut theatre).behaves("three", 3600, false);
    assert_eq!(word(&theatre.run().await), "rolled back", "{}", theatre.lines());
    assert!(theatre.records().iter().any(|r| matches!(r.event, Event::GateFailed { .. })));
}

/// Dies at a record, and goes on or back; whether it died.
async fn dies(seq: u64, death: Death, back: bool) -> bool {
    let (mut theatre, outside) = stage("").await;
    theatre.ledger.dies_at(Some((seq, death)));
    let life = theatre.live().await;
    theatre.ledger.dies_at(None);
    if life != Life::Killed {
        theatre.stage.stop().await;
        return false;
    }
    theatre.sleep(Duration::from_secs(20)).await;
    if back {
        theatre.ask(Request::Rollback { by: "bob".into(), force: false });
    }
    let ending = theatre.run().await;
    let (done, text) = (outside.done(), format!("{death:?} at {seq}: {}", theatre.lines()));
    let last = |name: &str| done.iter().rposition(|d| d == name);
    if back {
        assert_eq!(word(&ending), "aborted", "{text}");
        theatre.assert_original(&[]);
        for name in ["one", "three"] {
            assert!(
                last(name).is_none_or(|at| last(&format!("undo {name}")).is_some_and(|undone| undone > at)),
                "{name}: {done:?} {text}"
            );
        }
        let (three, one) = (last("undo three"), last("undo one"));
        assert!(three.is_none() || three < one, "{done:?} {text}");
    } else {
        assert_eq!(word(&ending), "completed", "{text}");
        theatre.assert_shares(100, &[]);
        let mut once = done.clone();
        once.dedup();
        assert_eq!(once.iter().filter(|d| !d.contains(' ')).collect::<Vec<_>>(), ["one", "two", "three"], "{text}");
    }
    theatre.stage.stop().await;
    true
}

async fn at_every_record(death: Death, back: bool) {
    let mut seq = 3;
    while dies(seq, death, back).await {
        seq += 1;
    }
    assert!(seq > 50, "the run has {seq} records");
}

#[tokio::test(start_paused = true)]
async fn killed_after_any_record_it_runs_what_was_not_over_again() {
    at_every_record(Death::After, false).await;
}

#[tokio::test(start_paused = true)]
async fn killed_in_any_record_it_takes_back_what_was_begun() {
    at_every_record(Death::Torn, true).await;
}

#[tokio::test(start_paused = true)]
async fn the_plan_with_commands_completes_and_goes_back_where_one_fails() {
    let mut theatre = Theatre::begin(plan("plans/hooks.yaml"), &example("healthy")).await;
    assert_eq!(word(&theatre.run().await), "completed", "{}", theatre.lines());
    theatre.assert_shares(100, &[]);
    let mut theatre = Theatre::begin(plan("plans/hooks.yaml"), &example("command-fails")).await;
    let ending = theatre.run().await;
    assert_eq!((word(&ending), exit(&ending)), ("rolled back", Exit::RolledBack), "{}", theatre.lines());
    theatre.assert_original(&[]);
    assert_eq!(ended(&theatre.records(), HookPoint::Undo, HookResult::Succeeded), 1);
}
