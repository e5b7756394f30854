//! Hand-overs: a CronJob and workers over and back, with a fault and a crash at every call. The lab's CronJob controller
//! starts missed schedules, as that of Kubernetes does.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use cutover::app::exit::Exit;
use cutover::domain::hand_over::{ItemId, ItemKind, ItemReading};
use cutover::domain::run::event::Event;
use cutover::domain::run::state::Phase;
use cutover::domain::traffic::Unreadable;
use cutover::engine::Ending;
use cutover::lab::objects::Kind;
use cutover::lab::shared_model::SharedModel;
use cutover::plan::model::Plan;
use cutover::port::store::Request;
use cutover::port::{ClusterItems, ItemWrite, WriteError};

use super::small;
use super::store::Crash;
use super::test_run::{ProcessEnd, TestRun, ending_name, exit, scenario};

const STEPS: &str = "[{bind: {}}, {setWeight: 50}, {pause: {duration: 3m}}, {handOver: {cronJobs: [{namespace: shop, name: nightly}], workers: [
      {namespace: shop, kind: Deployment, name: queue}, {namespace: shop, kind: StatefulSet, name: ledger}], drain: 3m},
      name: jobs}, {setWeight: 100}, {pause: {duration: 3m}}]";

fn jobs_plan() -> Plan {
    small::many_routes("", STEPS)
}

async fn begin(spec: &str) -> TestRun {
    TestRun::begin(jobs_plan(), &scenario(spec)).await
}

const HEALTHY: &str = "{targetGroups: [{cluster: to, attached: false}]}";

fn rollback() -> Request {
    Request::Rollback { by: "bob@lab".into(), force: false, break_stickiness: None }
}

/// What is on in a cluster: the CronJob, the replicas of the Deployment, and those of the StatefulSet.
pub fn on(model: &SharedModel, cluster: &str) -> (bool, u64, u64) {
    model.call(|world, now| {
        world.advance(now);
        let spec =
            |kind, name| world.object(cluster, kind, "shop", name).expect("the item should exist")["spec"].clone();
        let replicas = |kind, name| spec(kind, name)["replicas"].as_u64().expect("a worker should have replicas");
        let suspended = spec(Kind::CronJob, "nightly")["suspend"] == true;
        (!suspended, replicas(Kind::Deployment, "queue"), replicas(Kind::StatefulSet, "ledger"))
    })
}

pub const OFF: (bool, u64, u64) = (false, 0, 0);
pub const ON: (bool, u64, u64) = (true, 2, 2);

/// Returns what I15 forbids: work in both clusters at once, a schedule that ran twice, or one that was made up for.
pub fn violations(model: &SharedModel) -> Vec<String> {
    model.call(|world, now| {
        world.advance(now);
        let mut wrong = Vec::new();
        for name in ["queue", "ledger"] {
            let pods = world.running_pods("shop", name);
            if pods.len() > 1 {
                wrong.push(format!("{name} runs in both clusters: {pods:?}"));
            }
        }
        let runs = world.job_runs();
        for (place, run) in runs.iter().enumerate() {
            if run.started.duration_since(run.scheduled).as_secs() > 10 {
                wrong.push(format!("a missed schedule was made up for: {run:?}"));
            }
            for other in &runs[..place] {
                let apart = |a: &cutover::lab::model::JobRun, b: &cutover::lab::model::JobRun| {
                    a.ended.is_some_and(|ended| ended <= b.started)
                };
                if run.cluster != other.cluster && !apart(run, other) && !apart(other, run) {
                    wrong.push(format!("Jobs of both clusters run at once: {run:?}, {other:?}"));
                }
                if run.scheduled == other.scheduled {
                    wrong.push(format!("a schedule ran twice: {run:?}, {other:?}"));
                }
            }
        }
        wrong
    })
}

/// Runs processes until one ends by itself, and checks I15 all the time. With `back`, the operator rolls back in the last
/// pause.
async fn run_checked(test_run: &mut TestRun, back: bool) -> (Ending, Vec<String>) {
    let model = test_run.lab.model().clone();
    let (mut wrong, mut asked) = (Vec::new(), false);
    loop {
        let end = test_run
            .run_process_with(&mut |state, _, _, _| {
                wrong.extend(violations(&model));
                let ask = back && !asked && state.phase == Phase::Baking && state.step == 6;
                asked |= ask;
                if ask { vec![rollback()] } else { vec![] }
            })
            .await;
        match end {
            ProcessEnd::Ended(ending) => {
                wrong.extend(violations(&model));
                wrong.dedup();
                return (ending, wrong);
            }
            ProcessEnd::Killed => test_run.sleep(Duration::from_secs(20)).await,
            ProcessEnd::Crashed(_) => panic!("the scenario has no crash"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn items_are_handed_over_and_back() {
    let mut test_run = begin(HEALTHY).await;
    let model = test_run.lab.model().clone();
    assert_eq!((on(&model, "a"), on(&model, "b")), (ON, OFF));
    let (ending, wrong) = run_checked(&mut test_run, false).await;
    assert_eq!((ending_name(&ending), wrong), ("completed", Vec::new()), "{}", test_run.output());
    assert_eq!((on(&model, "a"), on(&model, "b")), (OFF, ON));
    test_run.sleep(Duration::from_secs(150)).await;
    let jobs = |cluster: &str| model.call(|world, _| world.job_runs().iter().filter(|r| r.cluster == cluster).count());
    assert!(jobs("a") > 0 && jobs("b") > 0, "the schedule runs in one cluster, then in the other");
    test_run.send_request(rollback());
    let ProcessEnd::Ended(ending) = test_run.run_process_with_request(&rollback()).await else { panic!("killed") };
    assert_eq!((ending_name(&ending), violations(&model)), ("aborted", Vec::new()), "{}", test_run.output());
    assert_eq!((on(&model, "a"), on(&model, "b")), (ON, OFF));
    let annotation = model.call(|world, _| {
        let object = world.object("a", Kind::CronJob, "shop", "nightly").expect("the CronJob should exist");
        object["metadata"]["annotations"]["cutover.dev/handover"].as_str().map(str::to_owned)
    });
    assert!(annotation.is_some_and(|text| text.contains(&test_run.run) && text.contains("\"was\":0")));
    // The traffic goes first.
    let records = test_run.records();
    let at = |fits: &dyn Fn(&Event) -> bool| records.iter().rposition(|r| fits(&r.event)).expect("a record");
    let traffic = at(&|e| matches!(e, Event::Outcome { .. }));
    let start = records.iter().position(|r| matches!(r.event, Event::RollbackStarted { .. })).expect("a rollback");
    let first = records[start..].iter().position(|r| matches!(r.event, Event::ItemIntended(_))).expect("an item");
    assert!(traffic < start + first);
    let stopped = records[start..].iter().filter_map(|r| match &r.event {
        Event::ItemIntended(intent) if intent.set == 0 => Some(intent.item.name.clone()),
        _ => None,
    });
    let mut stopped: Vec<_> = stopped.collect();
    stopped.dedup();
    assert_eq!(stopped, ["ledger", "queue", "nightly"], "the last item goes back first");
}

/// Whether a call has an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The call has no effect, and no response.
    Lost,
    /// The call has an effect, and no response.
    Unanswered,
    /// The process dies before the call.
    DiesBefore,
    /// The process dies after the call.
    DiesAfter,
    /// The lastScheduleTime is not set: a bug that the checks must find.
    ForgetsSchedule,
    /// Nothing seems to run: a bug that the checks must find.
    SeesNothing,
}

/// The items of a cluster, with a fault at a call.
#[derive(Clone)]
struct Faulty {
    inner: Arc<dyn ClusterItems>,
    fault: Fault,
    /// The number of the call with the fault; the number of calls so far.
    calls: Arc<Mutex<(usize, usize)>>,
}

impl Faulty {
    fn wrap(test_run: &mut TestRun, fault: Fault, call: usize) -> Arc<Mutex<(usize, usize)>> {
        let calls = Arc::new(Mutex::new((call, 0)));
        let wrap = |(name, inner): (&String, &Arc<dyn ClusterItems>)| {
            let faulty = Self { inner: Arc::clone(inner), fault, calls: Arc::clone(&calls) };
            (name.clone(), Arc::new(faulty) as Arc<dyn ClusterItems>)
        };
        test_run.ports.items = test_run.ports.items.iter().map(wrap).collect::<BTreeMap<_, _>>();
        calls
    }

    /// Counts a call; returns its fault.
    fn count(&self) -> Option<Fault> {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.1 += 1;
        let fault = (calls.0 == calls.1).then_some(self.fault);
        drop(calls);
        if fault == Some(Fault::DiesBefore) {
            resume_unwind(Box::new(Crash));
        }
        fault
    }
}

#[async_trait]
impl ClusterItems for Faulty {
    async fn uid(&self) -> Result<String, Unreadable> {
        self.inner.uid().await
    }
    async fn select(&self, kind: ItemKind, namespace: &str, labels: &str) -> Result<Vec<String>, Unreadable> {
        self.inner.select(kind, namespace, labels).await
    }
    async fn read(&self, item: &ItemId) -> Result<ItemReading, Unreadable> {
        if matches!(self.count(), Some(Fault::Lost | Fault::Unanswered)) {
            return Err(Unreadable::Unavailable("a fault".into()));
        }
        let read = self.inner.read(item).await;
        if self.fault == Fault::SeesNothing { read.map(|read| ItemReading { running: 0, ..read }) } else { read }
    }
    async fn write(&self, item: &ItemId, write: &ItemWrite) -> Result<bool, WriteError> {
        let fault = self.count();
        if fault == Some(Fault::Lost) {
            return Err(WriteError::Unanswered("a fault".into()));
        }
        let mut write = write.clone();
        if self.fault == Fault::ForgetsSchedule {
            write.last_schedule = None;
        }
        let written = self.inner.write(item, &write).await;
        match fault {
            Some(Fault::DiesAfter) => resume_unwind(Box::new(Crash)),
            Some(Fault::Unanswered) => Err(WriteError::Unanswered("a fault".into())),
            _ => written,
        }
    }
    async fn may_set_last_schedule(&self, item: &ItemId) -> Result<bool, Unreadable> {
        self.inner.may_set_last_schedule(item).await
    }
}

/// Runs with a fault at one call, forwards and back. Returns whether there was such a call.
async fn with_fault(fault: Fault, call: usize, back: bool) -> bool {
    let mut test_run = begin(HEALTHY).await;
    let calls = Faulty::wrap(&mut test_run, fault, call);
    let (ending, wrong) = run_checked(&mut test_run, back).await;
    let model = test_run.lab.model().clone();
    let text = format!("{fault:?} at call {call}: {}", test_run.output());
    let wanted = if back { ("aborted", ON, OFF) } else { ("completed", OFF, ON) };
    assert_eq!((ending_name(&ending), on(&model, "a"), on(&model, "b")), wanted, "{text}");
    assert_eq!(wrong, Vec::<String>::new(), "{text}");
    let reached = *calls.lock().unwrap_or_else(PoisonError::into_inner);
    test_run.lab.stop().await;
    reached.1 >= call
}

/// Runs with a fault at every `stride`-th call.
async fn at_calls(fault: Fault, back: bool, stride: usize) {
    let mut call = 1;
    while with_fault(fault, call, back).await {
        call += stride;
    }
    assert!(call > 20, "a hand-over should have more than 20 calls, but it has {call}");
}

#[tokio::test(start_paused = true)]
async fn lost_call_delays_a_hand_over() {
    at_calls(Fault::Lost, true, 7).await;
}

#[tokio::test(start_paused = true)]
async fn unanswered_call_delays_a_hand_over() {
    at_calls(Fault::Unanswered, true, 8).await;
}

#[tokio::test(start_paused = true)]
async fn process_may_die_during_a_hand_over() {
    at_calls(Fault::DiesBefore, true, 9).await;
    at_calls(Fault::DiesAfter, false, 5).await;
}

#[tokio::test(start_paused = true)]
#[ignore = "takes minutes"]
async fn every_fault_at_every_call_of_a_hand_over() {
    for fault in [Fault::Lost, Fault::Unanswered, Fault::DiesBefore, Fault::DiesAfter] {
        for back in [false, true] {
            at_calls(fault, back, 1).await;
        }
    }
}

/// The checks of these tests find what they are for.
#[tokio::test(start_paused = true)]
async fn seeded_bugs_are_found() {
    for (fault, texts) in [
        (Fault::ForgetsSchedule, ["a missed schedule was made up for", "a schedule ran twice"]),
        (Fault::SeesNothing, ["in both clusters", "of both clusters run at once"]),
    ] {
        let mut test_run = begin(HEALTHY).await;
        Faulty::wrap(&mut test_run, fault, 0);
        let (_, mut wrong) = run_checked(&mut test_run, false).await;
        test_run.sleep(Duration::from_mins(1)).await;
        wrong.extend(violations(test_run.lab.model()));
        let found = wrong.iter().any(|found| texts.iter().any(|text| found.contains(text)));
        assert!(found, "{fault:?}: {wrong:?}");
    }
}

/// An abort while the Jobs and pods of the old cluster drain.
#[tokio::test(start_paused = true)]
async fn item_that_was_not_started_goes_back_at_once() {
    let mut test_run = begin(HEALTHY).await;
    let model = test_run.lab.model().clone();
    let mut asked = false;
    let ending = test_run
        .run_with(&mut |state, _, _, _| {
            let ask = !asked && state.phase == Phase::HandingOver && state.items.iter().count() == 3;
            asked |= ask;
            if ask { vec![Request::Abort { by: "bob".into(), to_step: None }] } else { vec![] }
        })
        .await;
    assert_eq!((ending_name(&ending), violations(&model)), ("aborted", Vec::new()), "{}", test_run.output());
    assert_eq!((on(&model, "a"), on(&model, "b")), (ON, OFF));
    assert!(!test_run.records().iter().any(|r| matches!(&r.event, Event::ItemIntended(i) if i.cluster == "b")));
}

/// The new cluster is lost after the hand-over: the traffic goes back, and the items stay stopped until a person says
/// that nothing of them runs.
#[tokio::test(start_paused = true)]
async fn lost_cluster_leaves_the_items_stopped_and_the_traffic_back() {
    let lost = "{targetGroups: [{cluster: to, attached: false}],
        faults: [{at: {step: 6, after: 30s}, partition: {cluster: to}}]}";
    let mut test_run = begin(lost).await;
    let model = test_run.lab.model().clone();
    let ending = test_run
        .run_with(&mut |state, _, _, now| {
            let late = now.duration_since(state.step_since).as_secs() > 60;
            if state.phase == Phase::Baking && state.step == 6 && late { vec![rollback()] } else { vec![] }
        })
        .await;
    test_run.assert_original(&[]);
    assert_eq!((ending_name(&ending), exit(&ending)), ("stuck", Exit::Stuck), "{}", test_run.output());
    let Ending::Stopped(_, message) = &ending else { panic!("{ending:?}") };
    assert!(message.contains("--assume-stopped CronJob/shop/nightly"), "{message}");
    assert_eq!((on(&model, "a"), on(&model, "b")), (OFF, ON));
    for name in ["CronJob/shop/nightly", "Deployment/shop/queue", "StatefulSet/shop/ledger"] {
        let item = name.parse().expect("the item should be valid");
        test_run.send_request(Request::AssumeStopped { by: "bob".into(), item });
    }
    let ProcessEnd::Ended(ending) = test_run.run_process_with_request(&rollback()).await else { panic!("killed") };
    assert_eq!(ending_name(&ending), "aborted", "{}", test_run.output());
    assert_eq!(on(&model, "a"), ON);
}

/// Someone resumes the CronJob in the old cluster while the run waits for its Jobs.
#[tokio::test(start_paused = true)]
async fn cron_job_that_someone_resumes_is_not_started_in_the_new_cluster() {
    let mut test_run = begin(HEALTHY).await;
    let model = test_run.lab.model().clone();
    let mut done = false;
    let ending = test_run
        .run_with(&mut |state, _, _, _| {
            if !done && state.phase == Phase::HandingOver && state.items.iter().count() == 3 {
                done = true;
                let nightly = (Kind::CronJob, "shop", "nightly");
                model.change(|world, _| world.change_object("a", nightly, |o| o["spec"]["suspend"] = false.into()));
            }
            vec![]
        })
        .await;
    let model = test_run.lab.model().clone();
    assert_eq!((ending_name(&ending), violations(&model)), ("rolled back", Vec::new()), "{}", test_run.output());
    assert!(test_run.output().contains("someone else started it there again"), "{}", test_run.output());
    assert_eq!((on(&model, "a"), on(&model, "b")), (ON, OFF));
}

/// The controller of the lab starts a missed schedule, as that of Kubernetes does.
#[tokio::test(start_paused = true)]
async fn lab_starts_the_latest_missed_schedule_of_a_resumed_cron_job() {
    let test_run = begin(HEALTHY).await;
    test_run.sleep(Duration::from_mins(10)).await;
    let model = test_run.lab.model().clone();
    let nightly = (Kind::CronJob, "shop", "nightly");
    model.change(|world, _| world.change_object("b", nightly, |o| o["spec"]["suspend"] = false.into()));
    test_run.sleep(Duration::from_secs(3)).await;
    let runs = model.call(|world, now| {
        world.advance(now);
        world.job_runs()
    });
    assert_eq!(runs.iter().filter(|run| run.cluster == "b").count(), 1, "{runs:?}");
}
