//! Hand-overs with two real API servers and the real CronJob, Job and Deployment controllers. The kubelets are those of
//! `kubelet.rs`: a pod of a Job succeeds after some seconds, and a deleted pod ends at once.

mod lane;
mod observer;

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use jiff::{Timestamp, ToSpan as _};
use tokio::runtime::Runtime;

use crate::crash::connection::Moment;
use crate::stack::fixture::until;
use lane::{KillPoint, Lane};
use observer::Observer;

const REPLICAS: u64 = 2;
const ON: (bool, u64) = (true, REPLICAS);
const OFF: (bool, u64) = (false, 0);

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("the runtime should be created")
}

/// Opens a lane with a CronJob for every minute, whose Jobs take a third of it, and a worker.
fn open<'a>(runtime: &'a Runtime, name: &str) -> Lane<'a> {
    let items = format!(
        "cronJobs: [{{namespace: {name}, name: tick}}], workers: [{{namespace: {name}, kind: Deployment, name: queue}}]"
    );
    let lane = Lane::open(runtime, name, &format!("{{handOver: {{{items}, drain: 1m}}, name: items}}"));
    for cluster in lane.clusters() {
        let is_old = cluster.name == "a";
        lane::create_cron_job(cluster, name, "tick", "* * * * *", (!is_old, 20));
        lane::create_worker(cluster, name, "queue", if is_old { 2 } else { 0 });
    }
    lane.until_checked();
    lane
}

/// Hands the items over and back, with a kill at these calls. Returns the requests of both programs, and the number of
/// kills.
fn hand_over_and_back(lane: &Lane<'_>, kills: [Option<KillPoint>; 2]) -> ([Vec<String>; 2], usize) {
    let states = || lane.clusters().map(|cluster| lane::state(cluster, &lane.fixture.name, "tick", "queue"));
    assert_eq!(states(), [ON, OFF]);
    let there = lane.complete("run", kills[0], || states() == [OFF, ON]);
    let forward = lane.requests();
    let back = lane.complete("rollback", kills[1], || states() == [ON, OFF]);
    ([forward, lane.requests()], there.iter().chain(&back).count())
}

/// Returns a kill before each read, and before, during and after each write.
fn kill_points(requests: &[String]) -> Vec<KillPoint> {
    let moments = |request: &String| {
        if request.starts_with("GET ") {
            vec![Moment::Sent]
        } else {
            vec![Moment::Sent, Moment::Applied, Moment::Answered]
        }
    };
    requests.iter().enumerate().flat_map(|(n, request)| moments(request).into_iter().map(move |m| (n, m))).collect()
}

/// The program dies at its calls of the API servers, in the run and in its rollback, and is started again. At no time
/// does work of an item run in both clusters. The run ends, so that no item is stopped for longer than `drain` after the
/// restart. All items move with exactly the permissions that `cutover permissions` prints. With `CUTOVER_CRASH=full`, the
/// program dies at every call.
#[test]
#[ignore = "tier stack"]
fn stack_items_are_handed_over_and_back_by_programs_that_die() {
    let runtime = runtime();
    let first = open(&runtime, "items-0");
    let observer = Observer::start(&runtime, first.fixture.stack, "items-");
    let (requests, _) = hand_over_and_back(&first, [None, None]);
    let [forward, back] = requests.each_ref().map(|all| kill_points(all));
    let stride = if crate::crash::all_cases() { 1 } else { 7 };
    let pairs = (0..forward.len().max(back.len())).map(|n| [forward.get(n).copied(), back.get(n).copied()]);
    let queue: Mutex<VecDeque<_>> = Mutex::new(pairs.step_by(stride).collect());
    let next = || queue.lock().expect("no thread should have panicked").pop_front();
    let kills: usize = std::thread::scope(|scope| {
        let lanes: Vec<_> = (1..=8)
            .map(|number| {
                let (runtime, next) = (&runtime, &next);
                scope.spawn(move || {
                    let lane = open(runtime, &format!("items-{number}"));
                    let kills = std::iter::from_fn(next).map(|kills| hand_over_and_back(&lane, kills).1);
                    kills.sum::<usize>()
                })
            })
            .collect();
        lanes.into_iter().map(|lane| lane.join().expect("no case should fail")).sum()
    });
    let seen = observer.assert_once();
    let [forward, back] = requests.map(|all| all.len());
    println!("hand-over: {kills} kills at {forward} calls of a run and {back} of its rollback; {seen}");
    assert!(kills > 15, "only {kills} programs were killed");
}

/// A CronJob starts no missed schedule, neither in the new cluster nor when it is handed back:
///
/// - `nightly` ran in `from` an hour ago. In `to` it is suspended, and last ran a week ago.
/// - `recent` is suspended in `to` and never ran there. A schedule has passed since it was created.
/// - `control` is not handed over. It is in the state of `nightly` in `to`; someone resumes it, and it does start its
///   missed schedule.
///
/// A `creationTimestamp` cannot be set, so that the schedule of `recent` is the next minute.
#[test]
#[ignore = "tier stack"]
fn stack_missed_schedules_are_not_made_up_for() {
    let runtime = runtime();
    let name = "missed";
    let lane =
        Lane::open(&runtime, name, "{handOver: {cronJobs: [{namespace: missed, selector: app=items}], drain: 1m}}");
    let now = Timestamp::now();
    let (hour_ago, week_ago) = (minute(now - 1.hour()), minute(now - 168.hours()));
    let soon = minute(now + 65.seconds());
    let daily = |at: Timestamp| at.strftime("%M %H * * *").to_string();
    for cluster in lane.clusters() {
        let is_old = cluster.name == "a";
        lane::create_cron_job(cluster, name, "nightly", &daily(hour_ago), (true, 1));
        lane::set_last_schedule(cluster, name, "nightly", if is_old { hour_ago } else { week_ago });
        lane::create_cron_job(cluster, name, "recent", &daily(soon), (!is_old, 1));
        lane::create_cron_job(cluster, name, "control", &daily(hour_ago), (true, 1));
        lane::set_last_schedule(cluster, name, "control", week_ago);
        let path = format!("/apis/batch/v1/namespaces/{name}/cronjobs/control");
        cluster.api.merge(&path, &serde_json::json!({"metadata": {"labels": {"app": "control"}}}));
    }
    let [a, b] = lane.clusters();
    lane::suspend(a, name, "nightly", false);
    until("the schedule of `recent` starts in a", || lane::owners_of_jobs(a, name) == ["recent"]);
    lane.until_checked();
    let is_active = |cluster: &crate::stack::cluster::Cluster| {
        let read = |item: &str| cluster.api.get(&format!("/apis/batch/v1/namespaces/{name}/cronjobs/{item}"));
        ["nightly", "recent"].map(|item| read(item)["spec"]["suspend"] != true)
    };
    lane.complete("run", None, || is_active(a) == [false; 2] && is_active(b) == [true; 2]);
    // The controller has handled the CronJobs that were resumed before this one.
    lane::suspend(b, name, "control", false);
    until("the missed schedule of `control` starts in b", || lane::owners_of_jobs(b, name) == ["control"]);
    lane.complete("rollback", None, || is_active(a) == [true; 2] && is_active(b) == [false; 2]);
    lane::suspend(a, name, "control", false);
    until("the missed schedule of `control` starts in a", || {
        lane::owners_of_jobs(a, name).contains(&"control".to_owned())
    });
    assert_eq!(lane::owners_of_jobs(a, name), ["control", "recent"]);
    assert_eq!(lane::owners_of_jobs(b, name), ["control"]);
}

/// Returns the beginning of a minute.
fn minute(at: Timestamp) -> Timestamp {
    let seconds = at.as_second();
    at - Duration::from_secs(u64::try_from(seconds.rem_euclid(60)).unwrap_or_default())
}
