//! Tests that run with every store, so that the store in memory, which rehearsals use, behaves like the local and the
//! shared store.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::fs::LocalStore;
use super::memory::MemoryStore;
use super::*;
use crate::domain::elb::LIMITS;
use crate::domain::fixture;
use crate::domain::run::event::{Event, Record, ResumeMode, Trigger};
use crate::domain::run::event::{GroupStart, RouteStart, RunOutcome, Started, StopReason};
use crate::domain::traffic::{RouteId, Split};
use crate::port::store::{
    Heartbeat, LockError, LockOwner, Request, RunSummary, Store, StoreError, emergency_command, run_id,
};
use jiff::Timestamp;

const RUN: &str = "alpha-20261120-210305-k3f9";
const LB: &str = "arn:aws:elasticloadbalancing:eu-west-1:1:loadbalancer/app/web/abc";

fn time(second: i64) -> Timestamp {
    Timestamp::from_second(1_795_208_585 + second).unwrap()
}

/// Returns the result of a store that never waits.
fn now<T>(answer: impl Future<Output = T>) -> T {
    futures::FutureExt::now_or_never(answer).expect("the store must not wait")
}

fn check_all_stores(check: impl AsyncFn(&dyn Store)) {
    let dir = TempDir::new().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        check(&LocalStore::open(Some(dir.path().join("state"))).unwrap()).await;
        check(&MemoryStore::new()).await;
        check(&kubernetes::tests::Cluster::new().store()).await;
    });
}

/// Reads and removes all requests.
pub(super) async fn take_requests(store: &dyn Store, run: &str) -> Vec<Request> {
    let requests = store.requests(run).await.unwrap();
    for (name, _) in &requests {
        store.drop_request(run, name).await.unwrap();
    }
    requests.into_iter().map(|(_, request)| request).collect()
}

fn started(plan: &str) -> Event {
    let group = |name: &str, cluster: &str| {
        let (name, cluster, workload) = (name.into(), cluster.into(), "web".into());
        GroupStart {
            name,
            cluster,
            workload,
            healthy: 4,
            interval: 10,
            cross_zone: true,
            zones: Vec::new(),
            deregistration_delay: 60,
        }
    };
    let groups = [("a".to_owned(), "arn:web-a".to_owned()), ("b".to_owned(), "arn:web-b".to_owned())];
    Event::Started(Box::new(Started {
        plan: plan.into(),
        text: "kind: Plan\n".into(),
        hash: "00".into(),
        folder: None,
        owner: "alice@mac".into(),
        from: "a".into(),
        to: "b".into(),
        from_step: 1,
        start: Some([("a".to_owned(), 100), ("b".to_owned(), 0)].into()),
        load_balancers: vec![LB.into()],
        other_routes: None,
        not_moved: Vec::new(),
        wave: None,
        keeps_weights: false,
        header_rules: Vec::new(),
        routes: vec![RouteStart {
            id: RouteId::rule("arn:rule"),
            load_balancer: LB.into(),
            listener: String::new(),
            label: "443 default".into(),
            conditions: String::new(),
            workload: "web".into(),
            groups: groups.into(),
            content: fixture::forward(&[]),
            content_at_start: None,
            settle: None,
            keeps_connections: false,
            reasserts: false,
            limits: LIMITS,
            owners: Vec::new(),
        }],
        groups: [("arn:web-a".to_owned(), group("web-a", "a")), ("arn:web-b".to_owned(), group("web-b", "b"))].into(),
        clusters: [].into(),
        bindings: vec![],
        items: vec![],
    }))
}

fn holder(owner: &str) -> LockOwner {
    LockOwner { owner: owner.into(), host: "mac".into(), pid: 7, since: time(0), run: RUN.into() }
}

fn local() -> (TempDir, LocalStore, std::path::PathBuf) {
    let dir = TempDir::new().unwrap();
    let store = LocalStore::open(Some(dir.path().to_owned())).unwrap();
    let journal = dir.path().join("runs").join(RUN).join("journal.jsonl");
    now(store.create(RUN)).unwrap();
    (dir, store, journal)
}

#[test]
fn records_are_numbered_and_read_back() {
    check_all_stores(async |store| {
        store.create(RUN).await.unwrap();
        assert_eq!(store.create(RUN).await, Err(StoreError::Exists(RUN.into())));
        assert_eq!(*store.read(RUN).await.unwrap(), []);
        let mut written = vec![];
        for step in 1..4 {
            written.push(store.append(RUN, time(0), &Event::Settled { step }).await.unwrap());
        }
        assert_eq!(written.iter().map(|r| r.seq).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(*store.read(RUN).await.unwrap(), written);
        for nobody in ["other", "", ".", "..", "a/b"] {
            assert!(matches!(store.read(nobody).await, Err(StoreError::NoSuchRun { .. })), "{nobody}");
        }
        assert!(store.create("../escape").await.is_err());
    });
}

#[test]
fn runs_are_found_by_id_and_by_plan_newest_first() {
    check_all_stores(async |store| {
        assert_eq!(store.runs().await, Ok(vec![]));
        for (run, plan, at) in
            [("alpha-1", "alpha", 10), ("alpha-2", "alpha", 20), ("beta-1", "beta", 15), ("empty", "", 0)]
        {
            store.create(run).await.unwrap();
            if run != "empty" {
                store.append(run, time(at), &started(plan)).await.unwrap();
            }
        }
        store
            .append(
                "alpha-1",
                time(30),
                &Event::Finished {
                    outcome: RunOutcome::Completed,
                    remarks: vec![],
                    unresolved: Vec::new(),
                    accepted: Vec::new(),
                    notes: Vec::new(),
                },
            )
            .await
            .unwrap();
        store
            .append("alpha-2", time(31), &Event::Stopped { reason: StopReason::Waiting, message: String::new() })
            .await
            .unwrap();
        let ids = |runs: Vec<RunSummary>| runs.into_iter().map(|r| r.id).collect::<Vec<_>>();
        assert_eq!(ids(store.runs().await.unwrap()), ["alpha-2", "beta-1", "alpha-1"]);
        assert_eq!(ids(store.find("alpha").await.unwrap()), ["alpha-2", "alpha-1"]);
        assert_eq!(ids(store.find("nobody").await.unwrap()), [""; 0]);
        let one = async |id| store.find(id).await.unwrap().remove(0);
        assert_eq!(
            (one("alpha-1").await.finished, one("alpha-2").await.stopped),
            (Some(RunOutcome::Completed), Some(StopReason::Waiting))
        );
        assert_eq!(one("beta-1").await.load_balancers, [LB]);
        // A completed run that is rolled back is unfinished until the rollback ends.
        let back = Event::RollbackStarted {
            cause: "asked".into(),
            by: "bob".into(),
            trigger: Trigger::Operator,
            to_step: None,
            force: false,
            break_stickiness: false,
            request: None,
        };
        store.append("alpha-1", time(40), &back).await.unwrap();
        assert_eq!(one("alpha-1").await.finished, None);
    });
}

#[test]
fn requests_are_delivered_in_order_and_once() {
    check_all_stores(async |store| {
        store.create(RUN).await.unwrap();
        let all = [
            Request::Pause { by: "bob".into(), reason: "lunch".into() },
            Request::Resume { by: "bob".into(), mode: ResumeMode::KEEP_LIVE, ignore_hours: None },
            Request::Approve { by: "eve".into() },
            Request::Promote { by: "bob".into(), full: true },
            Request::Abort { by: "bob".into(), to_step: Some(2) },
            Request::Rollback { by: "bob".into(), force: false, break_stickiness: None },
        ];
        for request in &all {
            store.put_request(RUN, request).await.unwrap();
        }
        let (name, first) = store.requests(RUN).await.unwrap().remove(0);
        assert_eq!(first, all[0]);
        store.drop_request(RUN, &name).await.unwrap();
        store.drop_request(RUN, &name).await.unwrap();
        assert_eq!(take_requests(store, RUN).await, all[1..]);
        assert_eq!(take_requests(store, RUN).await, []);
        assert!(matches!(store.put_request("nobody", &all[0]).await, Err(StoreError::NoSuchRun { .. })));
    });
}

#[test]
fn last_heartbeat_is_read_back() {
    check_all_stores(async |store| {
        store.create(RUN).await.unwrap();
        assert_eq!(store.heartbeat(RUN).await, None);
        for (second, watching) in [(1, true), (2, false)] {
            let heartbeat = Heartbeat {
                owner: "alice@mac".into(),
                host: "mac".into(),
                pid: 7,
                observed_at: time(second),
                guarding: watching,
                message: "baking".into(),
                verified_at: None,
                interval_seconds: None,
                oldest_health: None,
            };
            store.put_heartbeat(RUN, &heartbeat).await.unwrap();
            assert_eq!(store.heartbeat(RUN).await, Some(heartbeat));
        }
    });
}

#[test]
fn a_lock_is_exclusive_names_its_owner_and_is_released_when_dropped() {
    check_all_stores(async |store| {
        let (one, two) = ([LB.to_owned()], ["arn:other".to_owned(), LB.to_owned()]);
        let held = store.lock(&one, &holder("alice")).await.unwrap();
        let refused = store.lock(&two, &holder("bob")).await.unwrap_err();
        assert_eq!(refused, LockError::HeldBy(Box::new(holder("alice"))));
        assert!(refused.to_string().starts_with("alice on mac (process 7) has held the lock since 2026-"), "{refused}");
        assert_eq!(store.lock_owner(RUN).await, Some(holder("alice")));
        assert_eq!(store.lock_owner("other").await, None);
        assert_eq!(held.check(), Ok(()));
        held.release().await;
        assert_eq!(store.lock_owner(RUN).await, None);
        // The refused acquisition released all locks, so both are free.
        let held = store.lock(&two, &holder("bob")).await.unwrap();
        held.release().await;
    });
}

#[test]
fn a_take_over_is_noticed_by_the_former_owner() {
    check_all_stores(async |store| {
        let arns = [LB.to_owned()];
        let previous = store.lock(&arns, &holder("alice")).await.unwrap();
        let current = store.take_over(&arns, &holder("bob")).await.unwrap();
        previous.confirm().await;
        assert_eq!(previous.check(), Err(LockError::HeldBy(Box::new(holder("bob")))));
        previous.release().await;
        current.confirm().await;
        assert_eq!(current.check(), Ok(()));
        assert_eq!(store.lock_owner(RUN).await, Some(holder("bob")));
        assert_eq!(store.lock(&arns, &holder("eve")).await.unwrap_err(), LockError::HeldBy(Box::new(holder("bob"))));
    });
}

/// Owns the lock until the parent process kills this process.
#[test]
#[ignore = "child process of the next test"]
fn child_that_owns_a_lock() {
    let root = std::env::var_os("CUTOVER_TEST_LOCK").unwrap();
    let store = LocalStore::open(Some(root.into())).unwrap();
    let _held = now(store.lock(&[LB.to_owned()], &holder("child"))).unwrap();
    eprintln!("locked");
    // The read ends when the parent process ends.
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

#[test]
fn a_killed_process_owns_no_lock() {
    let (dir, store, _) = local();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "--nocapture", "adapter::store::tests::child_that_owns_a_lock"])
        .env("CUTOVER_TEST_LOCK", dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let printed =
        BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok).any(|line| line.contains("locked"));
    let (refused, seen) = (now(store.lock(&[LB.to_owned()], &holder("bob"))), now(store.lock_owner(RUN)));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(printed);
    assert_eq!(refused.unwrap_err(), LockError::HeldBy(Box::new(holder("child"))));
    assert_eq!(seen, Some(holder("child")));
    // The content of the lock file remains, and is ignored.
    assert_eq!(now(store.lock_owner(RUN)), None);
    now(store.lock(&[LB.to_owned()], &holder("bob"))).unwrap();
}

#[test]
fn incomplete_record_is_removed_before_the_next_append() {
    let (_dir, store, journal) = local();
    now(store.append(RUN, time(0), &started("alpha"))).unwrap();
    now(store.append(RUN, time(1), &Event::Settled { step: 1 })).unwrap();
    let all_bytes = fs::read(&journal).unwrap();
    let first = all_bytes.iter().position(|b| *b == b'\n').unwrap() + 1;
    // The last byte is the newline. Without it the record is complete, but its line is not.
    for cut in first..all_bytes.len() {
        fs::write(&journal, &all_bytes[..cut]).unwrap();
        let store = LocalStore::open(Some(store.root_for_tests())).unwrap();
        let memory = MemoryStore::new();
        memory.set_journal(RUN, all_bytes[..cut].to_vec());
        let record_count = if cut == all_bytes.len() - 1 { 2 } else { 1 };
        assert_eq!(now(store.read(RUN)).unwrap().len(), record_count, "cut at {cut}");
        assert_eq!(now(store.append(RUN, time(2), &Event::Unfrozen {})).unwrap().seq, record_count as u64 + 1);
        assert_eq!(now(store.read(RUN)).unwrap().len(), record_count + 1, "cut at {cut}");
        now(memory.append(RUN, time(2), &Event::Unfrozen {})).unwrap();
        assert_eq!(memory.journal(RUN), fs::read(&journal).unwrap(), "cut at {cut}");
    }
}

#[test]
fn the_emergency_command_names_groups_when_the_run_started_from_the_live_weights() {
    let Event::Started(mut started) = started("alpha") else { panic!() };
    started.start = None;
    let mut command = |[a, b]: [u16; 2]| {
        started.routes[0].content.split = Split::of([("arn:web-a", a), ("arn:web-b", b)]);
        let record = Record::new(1, time(0), RUN, Event::Started(started.clone()));
        emergency_command(&[record])
    };
    assert_eq!(command([7, 0]), "cutover rollback --load-balancer web --back-to web-a --away-from web-b");
    assert_eq!(command([0, 7]), "cutover rollback --load-balancer web --back-to web-b --away-from web-a");
    assert_eq!(command([1, 1]), "cutover rollback --load-balancer LB --back-to GROUPS --away-from GROUPS");
}

#[test]
fn a_damaged_journal_is_refused_with_the_emergency_command() {
    let (_dir, store, journal) = local();
    now(store.append(RUN, time(0), &started("alpha"))).unwrap();
    now(store.append(RUN, time(1), &Event::Settled { step: 1 })).unwrap();
    let mut bytes = fs::read(&journal).unwrap();
    let last = bytes.len() - 10;
    bytes[last] ^= 1;
    fs::write(&journal, &bytes).unwrap();
    let refused = now(store.read(RUN)).unwrap_err();
    let StoreError::Corrupt { line, emergency, .. } = &refused else { panic!("{refused}") };
    assert_eq!(
        (*line, emergency.as_str()),
        (2, "cutover rollback --load-balancer web --back-to web-a --away-from web-b")
    );
    assert!(refused.to_string().contains(emergency.as_str()));
    let typed = crate::cli::command::Cutover::read(emergency.split(' ').map(Into::into)).unwrap();
    assert!(matches!(typed.verb, crate::cli::command::Verb::Rollback(r) if r.load_balancer.as_deref() == Some("web")));
    let resumed = LocalStore::open(Some(store.root_for_tests())).unwrap();
    assert!(matches!(now(resumed.append(RUN, time(2), &Event::Unfrozen {})), Err(StoreError::Corrupt { .. })));
    assert_eq!(fs::read(&journal).unwrap(), bytes, "a damaged journal must not be changed");
    let listed = now(store.find("alpha")).unwrap().remove(0);
    assert_eq!(listed.damaged.as_deref(), Some("line 2: the checksum does not match the record"));
    // If the first line is damaged, the data of the run is unknown.
    bytes[3] ^= 1;
    fs::write(&journal, &bytes).unwrap();
    let StoreError::Corrupt { emergency, .. } = now(store.read(RUN)).unwrap_err() else { panic!() };
    assert_eq!(emergency, "cutover rollback --load-balancer LB --back-to GROUPS --away-from GROUPS");
    // A run whose creation was interrupted has changed nothing.
    fs::create_dir(journal.parent().unwrap().with_file_name("half-made")).unwrap();
    let runs = now(store.runs()).unwrap();
    assert!(runs.len() == 1 && runs[0].damaged.is_some(), "{runs:?}");
}

#[test]
fn appends_of_two_processes_do_not_interleave() {
    let (_dir, one, _) = local();
    let two = LocalStore::open(Some(one.root_for_tests())).unwrap();
    for (turn, store) in [&one, &two, &two, &one, &two].into_iter().enumerate() {
        assert_eq!(now(store.append(RUN, time(0), &Event::Settled { step: turn })).unwrap().seq, turn as u64 + 1);
    }
    assert_eq!(now(one.read(RUN)).unwrap().len(), 5);
}

#[test]
fn an_unreadable_request_is_set_aside() {
    let (dir, store, _) = local();
    let requests = dir.path().join("runs").join(RUN).join("requests");
    now(store.put_request(RUN, &Request::Approve { by: "eve".into() })).unwrap();
    fs::write(requests.join("0.json"), "{\"request\":\"explode\"}").unwrap();
    fs::write(requests.join(".draft.json"), "{").unwrap();
    assert_eq!(now(take_requests(&store, RUN)), [Request::Approve { by: "eve".into() }]);
    assert!(requests.join("0.json.unreadable").exists());
    assert_eq!(now(take_requests(&store, RUN)), []);
}

#[test]
fn only_the_owner_can_read_the_store_and_reading_creates_nothing() {
    let dir = TempDir::new().unwrap();
    let root = dir.path().join("state");
    let store = LocalStore::open(Some(root.clone())).unwrap();
    assert_eq!((now(store.runs()), now(store.lock_owner(RUN))), (Ok(vec![]), None));
    assert!(!root.exists());
    now(store.create(RUN)).unwrap();
    let _held = now(store.lock(&[LB.to_owned()], &holder("alice"))).unwrap();
    now(store.put_request(RUN, &Request::Approve { by: "eve".into() })).unwrap();
    let mut folders = vec![root];
    while let Some(folder) = folders.pop() {
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700, "{}", folder.display());
        for entry in fs::read_dir(folder).unwrap().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{}", entry.path().display());
            }
        }
    }
}

#[test]
fn a_full_disk_is_a_distinct_error_and_loses_no_record() {
    let store = MemoryStore::new();
    now(store.create(RUN)).unwrap();
    now(store.append(RUN, time(0), &started("alpha"))).unwrap();
    store.set_full(true);
    assert!(matches!(now(store.append(RUN, time(1), &Event::Unfrozen {})), Err(StoreError::Full(_))));
    store.set_full(false);
    assert_eq!(now(store.append(RUN, time(2), &Event::Unfrozen {})).unwrap().seq, 2);
    let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
    assert!(matches!(StoreError::io(std::path::Path::new("/x"), &full), StoreError::Full(_)));
}

#[test]
fn run_ids_sort_by_time_and_are_folder_names() {
    let mut rng = fastrand::Rng::with_seed(1);
    let (early, late) = (run_id("alpha-webapp", time(0), &mut rng), run_id("alpha-webapp", time(1), &mut rng));
    assert!(early < late && early.starts_with("alpha-webapp-2026112"), "{early} {late}");
    assert!(is_run_id(&early) && is_run_id(&run_id("../Ü x", time(0), &mut rng)));
}

#[test]
fn event_texts_contain_no_credentials_and_names_stay_unchanged() {
    use std::borrow::Cow;
    let notice = |message: &str| Event::Notice { message: message.into(), refused: None, request: None };
    assert_eq!(
        *without_credentials(&notice("proxy http://u:S3CRETpw@p refused")),
        notice("proxy http://[redacted]@p refused")
    );
    assert!(matches!(without_credentials(&notice("nothing to clean")), Cow::Borrowed(_)));
    redact::remember("Canary7InANameAndInProse");
    let bound =
        Event::ProcessStarted { owner: "Canary7InANameAndInProse".into(), pid: 7, tool: "1".into(), continuous: false };
    assert_eq!(*without_credentials(&bound), bound, "names must not be changed, because a rollback may need them");
    assert_eq!(*without_credentials(&notice("a Canary7InANameAndInProse")), notice("a [redacted]"));
}
