//! Tests of the shared store with the lab's API server, without sockets and in virtual time. The simulated connection
//! can lose requests and responses.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Method, Response};
use http_body_util::BodyExt;
use hyper::body::Bytes;
use jiff::Timestamp;
use kube::client::Body;
use serde_json::{Value, json};
use tower::{BoxError, service_fn};

use super::*;
use crate::adapter::clock::LabClock;
use crate::adapter::store::tests::take_requests;
use crate::domain::run::journal;
use crate::lab::objects::{Kind, Objects, meta_text};
use crate::lab::wire::kube::Server;

mod lease;

const RUN: &str = "alpha-20261120-210305-k3f9";
const LB: &str = "arn:aws:elasticloadbalancing:eu-west-1:1:loadbalancer/app/Web/abc";
const NAMESPACE: &str = "cutover";

/// How the simulated connection delivers a request.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Delivery {
    Normal,
    /// The request does not arrive, and the client gets an error.
    Dropped,
    /// The request is carried out, and the response is lost.
    Lost,
    /// The request arrives this much later, and the response is lost.
    Late(Duration),
    /// The request does not arrive, and the client gets no error.
    Silent,
}

type Fault = dyn Fn(&http::Request<Bytes>) -> Delivery + Send + Sync;

/// A cluster with the store's namespace.
#[derive(Clone)]
pub(in crate::adapter::store) struct Cluster {
    objects: Arc<Mutex<Objects>>,
    clock: LabClock,
}

/// A machine with its own connection to the cluster.
#[derive(Clone)]
struct Machine {
    store: Arc<KubernetesStore>,
    fault: Arc<Mutex<Box<Fault>>>,
}

impl Cluster {
    pub(in crate::adapter::store) fn new() -> Self {
        let clock = LabClock::new(Timestamp::from_second(1_795_208_585).unwrap(), 1.0);
        let mut objects = Objects::new(7, false, clock.now());
        objects.put(Kind::Namespace, json!({"metadata": {"name": NAMESPACE}}), clock.now());
        Self { objects: Arc::new(Mutex::new(objects)), clock }
    }

    pub(in crate::adapter::store) fn store(&self) -> KubernetesStore {
        self.store_with_fault(Arc::new(Mutex::new(Box::new(|_| Delivery::Normal))))
    }

    fn machine(&self) -> Machine {
        let fault: Arc<Mutex<Box<Fault>>> = Arc::new(Mutex::new(Box::new(|_| Delivery::Normal)));
        Machine { store: Arc::new(self.store_with_fault(Arc::clone(&fault))), fault }
    }

    fn store_with_fault(&self, fault: Arc<Mutex<Box<Fault>>>) -> KubernetesStore {
        let (cluster, server) = (self.clone(), Arc::new(Server::without_authentication("v1.33.4")));
        let service = service_fn(move |request: http::Request<Body>| {
            let (cluster, server, fault) = (cluster.clone(), Arc::clone(&server), Arc::clone(&fault));
            async move {
                let (parts, body) = request.into_parts();
                let request =
                    http::Request::from_parts(parts, body.collect().await.map_err(|e| e.to_string())?.to_bytes());
                let delivery = fault.lock().unwrap()(&request);
                match delivery {
                    Delivery::Normal => Ok(cluster.answer(&server, &request)),
                    Delivery::Dropped => Err::<_, BoxError>("connection refused".into()),
                    Delivery::Lost => {
                        Err(format!("connection reset after {}", cluster.answer(&server, &request).status()).into())
                    }
                    Delivery::Silent => std::future::pending().await,
                    Delivery::Late(after) => {
                        tokio::spawn(async move {
                            tokio::time::sleep(after).await;
                            cluster.answer(&server, &request);
                        });
                        Err("connection reset".into())
                    }
                }
            }
        });
        let client = Client::new(service, "default");
        KubernetesStore::new(
            client,
            NAMESPACE,
            "namespace cutover of tools",
            "kubectl -n cutover",
            Arc::new(self.clock.clone()),
        )
    }

    fn answer(&self, server: &Server, request: &http::Request<Bytes>) -> Response<Body> {
        let mut objects = self.objects.lock().unwrap();
        server.answer(&mut objects, request, self.clock.now()).into_response(&objects).map(Body::from)
    }

    fn all(&self, kind: Kind) -> Vec<Value> {
        self.objects.lock().unwrap().list(kind, Some(NAMESPACE)).collect()
    }

    fn edit(&self, kind: Kind, name: &str, change: impl FnOnce(&mut Value)) {
        self.objects
            .lock()
            .unwrap()
            .update(kind, NAMESPACE, name, self.clock.now(), change)
            .expect("the object must exist");
    }

    /// Returns the bytes of the run's journal.
    fn journal(&self) -> String {
        let pieces = self.all(Kind::ConfigMap);
        let of_journal = pieces.iter().filter(|p| meta_text(p, "name").contains("-journal-"));
        of_journal.map(|p| p["data"]["journal.jsonl"].as_str().unwrap_or_default().to_owned()).collect()
    }

    fn lease(&self) -> Value {
        self.all(Kind::Lease).pop().expect("a lease must exist")
    }
}

impl Machine {
    fn set_delivery(&self, fault: impl Fn(&http::Request<Bytes>) -> Delivery + Send + Sync + 'static) {
        *self.fault.lock().unwrap() = Box::new(fault);
    }

    /// Sets how the next write is delivered. All other requests are delivered normally.
    fn set_next_write(&self, delivery: Delivery) {
        let left = Mutex::new(Some(delivery));
        self.set_delivery(move |r| {
            if r.method() == Method::GET {
                Delivery::Normal
            } else {
                left.lock().unwrap().take().unwrap_or(Delivery::Normal)
            }
        });
    }
}

fn holder(owner: &str) -> LockOwner {
    LockOwner { owner: owner.into(), host: "mac".into(), pid: 7, since: time(0), run: RUN.into() }
}

fn time(second: i64) -> Timestamp {
    Timestamp::from_second(1_795_208_585 + second).unwrap()
}

fn notice(length: usize) -> Event {
    Event::Notice { message: "x".repeat(length), refused: None, request: None }
}

async fn seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

async fn store_with_run() -> (Cluster, Machine) {
    let cluster = Cluster::new();
    let machine = cluster.machine();
    machine.store.create(RUN).await.unwrap();
    machine.store.append(RUN, time(0), &notice(1)).await.unwrap();
    (cluster, machine)
}

#[tokio::test(start_paused = true)]
async fn append_with_a_lost_request_or_response_appears_once() {
    for delivery in [
        Delivery::Lost,
        Delivery::Dropped,
        Delivery::Silent,
        Delivery::Late(Duration::from_secs(1)),
        Delivery::Late(Duration::from_mins(1)),
    ] {
        let (_cluster, alice) = store_with_run().await;
        alice.set_next_write(delivery);
        let record = match alice.store.append(RUN, time(1), &notice(2)).await {
            Ok(record) => record,
            // The result is unknown. A repeated append must not add the record twice.
            Err(StoreError::Unusable { .. }) => {
                seconds(20).await;
                alice.store.append(RUN, time(1), &notice(2)).await.unwrap()
            }
            Err(error) => panic!("{delivery:?}: {error}"),
        };
        assert_eq!(record.seq, 2, "{delivery:?}");
        seconds(100).await;
        assert_eq!(alice.store.append(RUN, time(2), &notice(3)).await.unwrap().seq, 3, "{delivery:?}");
        let events: Vec<_> = alice.store.read(RUN).await.unwrap().iter().map(|r| r.event.clone()).collect();
        assert_eq!(events, [notice(1), notice(2), notice(3)], "{delivery:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn append_that_took_effect_without_a_response_is_not_repeated() {
    let (_cluster, alice) = store_with_run().await;
    let first = Mutex::new(true);
    alice.set_delivery(move |r| {
        if r.method() == Method::PUT && std::mem::take(&mut *first.lock().unwrap()) {
            Delivery::Lost
        } else {
            Delivery::Dropped
        }
    });
    assert!(matches!(alice.store.append(RUN, time(1), &notice(2)).await, Err(StoreError::Unusable { .. })));
    alice.set_delivery(|_| Delivery::Normal);
    seconds(11).await;
    assert_eq!(alice.store.append(RUN, time(1), &notice(2)).await.unwrap().seq, 2);
    assert_eq!(alice.store.append(RUN, time(1), &notice(3)).await.unwrap().seq, 3);
    assert_eq!(alice.store.read(RUN).await.unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn unresponsive_server_delays_only_one_record() {
    let (_cluster, alice) = store_with_run().await;
    alice.set_delivery(|_| Delivery::Silent);
    let started_at = Instant::now();
    for _ in 0..20 {
        assert!(matches!(alice.store.append(RUN, time(1), &notice(2)).await, Err(StoreError::Unusable { .. })));
        assert!(alice.store.requests(RUN).await.is_err());
    }
    assert!(started_at.elapsed() <= Duration::from_secs(7), "{:?}", started_at.elapsed());
}

#[tokio::test(start_paused = true)]
async fn two_writers_do_not_interleave() {
    let (cluster, alice) = store_with_run().await;
    let bob = cluster.machine();
    assert_eq!(bob.store.append(RUN, time(1), &notice(2)).await.unwrap().seq, 2);
    let conflict = alice.store.append(RUN, time(2), &notice(3)).await.unwrap_err();
    assert!(matches!(&conflict, StoreError::Busy(what) if what.contains("tools")), "{conflict}");
    // After alice has read the other record, she may append.
    assert_eq!(alice.store.append(RUN, time(2), &notice(3)).await.unwrap().seq, 3);
    // Both append at once, many times, with segments that fill and close. One of two gets a conflict, and the journal
    // stays consistent.
    for turn in 0..120 {
        let event = notice(if turn % 7 == 0 { 40_000 } else { 900 });
        let (one, two) =
            futures::join!(alice.store.append(RUN, time(3), &event), bob.store.append(RUN, time(3), &event));
        assert!(one.is_ok() || two.is_ok(), "{one:?} {two:?}");
    }
    let parsed = journal::parse(cluster.journal().as_bytes()).unwrap();
    assert_eq!(*alice.store.read(RUN).await.unwrap(), parsed.records);
    assert!(parsed.records.len() > 120, "{}", parsed.records.len());
    let sizes: Vec<_> = cluster.all(Kind::ConfigMap).iter().map(|p| p["data"].to_string().len()).collect();
    assert!(sizes.len() > 8 && sizes.iter().all(|s| *s < 2 * 64 * 1024), "{sizes:?}");
}

#[tokio::test(start_paused = true)]
async fn large_record_gets_its_own_segment_and_a_larger_one_gets_parts() {
    let (cluster, alice) = store_with_run().await;
    assert_eq!(alice.store.append(RUN, time(1), &notice(999_800)).await.unwrap().seq, 2);
    let objects = || cluster.all(Kind::ConfigMap).iter().filter(|p| meta_text(p, "name").contains("-journal-")).count();
    assert_eq!(objects(), 2);
    assert_eq!(alice.store.append(RUN, time(1), &notice(3_500_000)).await.unwrap().seq, 3);
    assert_eq!(alice.store.append(RUN, time(1), &notice(3)).await.unwrap().seq, 4);
    assert_eq!(objects(), 7);
    let sizes = || cluster.all(Kind::ConfigMap).into_iter().map(|p| p["data"].to_string().len()).max();
    assert!(sizes() < Some(1024 * 1024), "{:?}", sizes());
    let refused = alice.store.append(RUN, time(1), &notice(32_000_000)).await.unwrap_err().to_string();
    assert!(refused.contains("does not fit"), "{refused}");
    assert_eq!(alice.store.runs().await.unwrap()[0].last, Some(time(1)));
    let read = cluster.machine().store.read(RUN).await.unwrap();
    assert_eq!(read[2].event, notice(3_500_000));
}

#[tokio::test(start_paused = true)]
async fn a_crash_between_the_parts_of_a_record_leaves_the_journal_without_the_record() {
    for lost in 1..=4 {
        let (cluster, alice) = store_with_run().await;
        let writes = Mutex::new(0);
        alice.set_delivery(move |_| {
            let mut writes = writes.lock().unwrap();
            *writes += 1;
            if *writes >= lost { Delivery::Silent } else { Delivery::Normal }
        });
        assert!(alice.store.append(RUN, time(1), &notice(2_500_000)).await.is_err());
        let bob = cluster.machine();
        assert_eq!(bob.store.read(RUN).await.unwrap().len(), 1, "{lost} writes before the crash");
        assert_eq!(bob.store.append(RUN, time(2), &notice(2_400_000)).await.unwrap().seq, 2);
        assert_eq!(bob.store.read(RUN).await.unwrap()[1].event, notice(2_400_000));
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_part_of_a_record_is_damage() {
    let (cluster, alice) = store_with_run().await;
    alice.store.append(RUN, time(1), &notice(2_500_000)).await.unwrap();
    let objects = cluster.all(Kind::ConfigMap);
    let part = objects.iter().map(|p| meta_text(p, "name")).find(|name| name.contains("-part3-")).unwrap();
    cluster.objects.lock().unwrap().delete(Kind::ConfigMap, NAMESPACE, part, time(0));
    assert!(alice.store.read(RUN).await.unwrap_err().to_string().contains("the end of the journal's text is missing"));
}

type Damage = fn(&mut String);

#[tokio::test(start_paused = true)]
async fn an_edited_journal_is_refused_with_the_emergency_command() {
    let first = format!("cutover-{RUN}-journal-00001");
    let damages: [(&str, Damage); 3] = [
        ("the checksum does not match", |text| *text = text.replacen("xx", "xy", 1)),
        ("the end of the journal's text is missing", |text| text.truncate(text.len() - 9)),
        ("the checksum does not match", |text| drop(text.drain(..=text.find('\n').unwrap()))),
    ];
    for (why, damage) in damages {
        let (cluster, alice) = store_with_run().await;
        alice.store.append(RUN, time(1), &notice(20)).await.unwrap();
        cluster.edit(Kind::ConfigMap, &first, |piece| {
            let mut text = piece["data"]["journal.jsonl"].as_str().unwrap().to_owned();
            damage(&mut text);
            piece["data"]["journal.jsonl"] = text.into();
        });
        let refused = alice.store.read(RUN).await.unwrap_err();
        assert!(matches!(&refused, StoreError::Corrupt { .. }), "{refused}");
        let text = refused.to_string();
        assert!(text.contains(why) && text.contains("cutover rollback --load-balancer"), "{text}");
        assert!(
            alice.store.append(RUN, time(1), &notice(3)).await.is_err(),
            "an append to a damaged journal must fail"
        );
    }
    let (cluster, alice) = store_with_run().await;
    for _ in 0..3 {
        alice.store.append(RUN, time(1), &notice(70_000)).await.unwrap();
    }
    cluster.objects.lock().unwrap().delete(
        Kind::ConfigMap,
        NAMESPACE,
        &format!("cutover-{RUN}-journal-00002"),
        time(0),
    );
    assert!(alice.store.read(RUN).await.unwrap_err().to_string().contains("segment 2 is missing"));
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_answer_is_lost_is_added_once_even_if_it_was_handled_meanwhile() {
    let (cluster, alice) = store_with_run().await;
    let bob = cluster.machine();
    for delivery in [Delivery::Lost, Delivery::Dropped] {
        bob.set_next_write(delivery);
        let put = bob.store.put_request(RUN, &Request::Approve { by: "bob".into() }).await;
        // After a missing response the server gets no requests for a while. Then the command fails, and the user
        // repeats it.
        if put.is_err() {
            seconds(11).await;
        }
        assert!(alice.store.requests(RUN).await.unwrap().len() <= 1, "{delivery:?}");
        take_requests(&*alice.store, RUN).await;
    }
    cluster.edit(Kind::ConfigMap, &run_objects::name(Purpose::Requests, RUN), |config_map| {
        config_map["data"]["0000000000-x"] = "{\"request\":\"explode\"}".into();
    });
    bob.store.put_request(RUN, &Request::Approve { by: "eve".into() }).await.unwrap();
    assert_eq!(take_requests(&*alice.store, RUN).await, [Request::Approve { by: "eve".into() }]);
    let config_map =
        cluster.all(Kind::ConfigMap).into_iter().find(|c| meta_text(c, "name").ends_with("-requests")).unwrap();
    assert!(config_map["data"]["0000000000-x.unreadable"].is_string(), "{config_map}");
}

#[tokio::test(start_paused = true)]
async fn a_large_script_is_stored_in_objects_that_its_command_names_in_order() {
    let (cluster, alice) = store_with_run().await;
    let name = run_objects::name(Purpose::Script, RUN);
    let command = alice.store.put_script(RUN, "exit 0\n").await.unwrap().unwrap();
    assert!(
        command.ends_with(&format!("get configmap {name} -o jsonpath='{{.data.break-glass\\.sh}}' | sh")),
        "{command}"
    );
    let line = format!("restore {}\n", "x".repeat(900));
    let script = line.repeat(3_000);
    let command = alice.store.put_script(RUN, &script).await.unwrap().unwrap();
    let names = [name.clone(), format!("{name}-2"), format!("{name}-3")];
    assert!(
        command.contains(&format!("get configmap {} -o jsonpath='{{range .items[*]}}", names.join(" "))),
        "{command}"
    );
    let objects = cluster.all(Kind::ConfigMap);
    let part = |name: &String| {
        let found = objects.iter().find(|object| meta_text(object, "name") == name).unwrap();
        found["data"]["break-glass.sh"].as_str().unwrap().to_owned()
    };
    let parts = names.each_ref().map(part);
    assert!(parts.concat() == script && parts.iter().all(|part| part.ends_with('\n')));
}
