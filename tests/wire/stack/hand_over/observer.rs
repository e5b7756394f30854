//! Watches the Jobs, pods and CronJobs of both clusters, and reports work that is done in both.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use kube::api::{Api, ApiResource, DynamicObject, WatchEvent, WatchParams};
use kube::{Client, ResourceExt};
use tokio::runtime::Runtime;

use super::lane::admin;
use crate::stack::environment::Stack;

/// The kinds that are watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Watched {
    Pod,
    Job,
    CronJob,
}

/// A cluster, a namespace, and the name of an item.
type ItemPlace = (&'static str, String, String);

/// What was seen so far.
#[derive(Default)]
struct Log {
    /// What runs: the UIDs of Jobs and pods.
    running: BTreeMap<ItemPlace, BTreeSet<String>>,
    /// The Jobs and pods that ran so far, by cluster and kind.
    counts: BTreeMap<(&'static str, &'static str), BTreeSet<String>>,
    /// Work in both clusters at once.
    both: Vec<String>,
    /// When the CronJobs were resumed, according to the mark of the run.
    resumed: BTreeMap<ItemPlace, BTreeSet<Timestamp>>,
    /// The schedule and the creation of each Job.
    jobs: BTreeMap<ItemPlace, BTreeSet<(Timestamp, Timestamp)>>,
}

/// The watches of both clusters.
#[derive(Clone, Default)]
pub struct Observer {
    log: Arc<Mutex<Log>>,
    prefix: &'static str,
}

impl Observer {
    /// Starts the watches of all objects with the label `item` in namespaces with this prefix.
    pub fn start(runtime: &Runtime, stack: &'static Stack, prefix: &'static str) -> Self {
        let observer = Self { prefix, ..Self::default() };
        for cluster in ["a", "b"] {
            let client = runtime.block_on(admin(stack, cluster));
            for kind in [Watched::Pod, Watched::Job, Watched::CronJob] {
                runtime.spawn(observer.clone().watch(client.clone(), cluster, kind));
            }
        }
        observer
    }

    async fn watch(self, client: Client, cluster: &'static str, kind: Watched) {
        let (group, plural) = match kind {
            Watched::Pod => ("", "pods"),
            Watched::Job => ("batch", "jobs"),
            Watched::CronJob => ("batch", "cronjobs"),
        };
        let api_version = if group.is_empty() { "v1".to_owned() } else { format!("{group}/v1") };
        let (group, version) = (group.to_owned(), "v1".to_owned());
        let resource =
            ApiResource { group, version, api_version, kind: format!("{kind:?}"), plural: plural.to_owned() };
        let objects: Api<DynamicObject> = Api::all_with(client, &resource);
        let mut version = "0".to_owned();
        loop {
            let parameters = WatchParams::default().labels("item");
            let events = objects.watch(&parameters, &version).await.expect("the watch should start");
            let mut events = std::pin::pin!(events);
            while let Some(Ok(event)) = events.next().await {
                let (object, exists) = match event {
                    WatchEvent::Added(object) | WatchEvent::Modified(object) => (object, true),
                    WatchEvent::Deleted(object) => (object, false),
                    WatchEvent::Bookmark(_) => continue,
                    WatchEvent::Error(status) => panic!("the watch of {kind:?}s failed: {status:?}"),
                };
                version = object.resource_version().unwrap_or(version);
                if object.namespace().is_some_and(|namespace| namespace.starts_with(self.prefix)) {
                    self.log().see(cluster, kind, &object, exists);
                }
            }
        }
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asserts that no item ever ran in both clusters, and that no schedule was made up for or ran twice. Returns a
    /// sentence about what was seen.
    pub fn assert_once(&self) -> String {
        let log = self.log();
        let mut wrong = log.both.clone();
        for (place, jobs) in &log.jobs {
            let resumed = log.resumed.get(place);
            for (scheduled, created) in jobs {
                // A creation has no fractions of a second.
                let created = *created + SignedDuration::from_secs(1);
                let last = resumed.and_then(|all| all.range(..=created).next_back());
                if last.is_some_and(|last| scheduled <= last) {
                    wrong.push(format!("{place:?} was resumed at {last:?} and started the schedule of {scheduled}"));
                }
                let other = if place.0 == "a" { "b" } else { "a" };
                let others = log.jobs.get(&(other, place.1.clone(), place.2.clone()));
                if others.is_some_and(|all| all.iter().any(|(other, _)| other == scheduled)) {
                    wrong.push(format!("{place:?} ran the schedule of {scheduled} in both clusters"));
                }
            }
        }
        let counts: Vec<_> =
            log.counts.iter().map(|((cluster, kind), all)| format!("{} {kind}s in {cluster}", all.len())).collect();
        let is_watched = ["a", "b"].iter().all(|cluster| log.counts.contains_key(&(*cluster, "pod")));
        drop(log);
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert!(is_watched, "pods of both clusters should be seen: {counts:?}");
        counts.join(", ")
    }
}

impl Log {
    fn see(&mut self, cluster: &'static str, kind: Watched, object: &DynamicObject, exists: bool) {
        let (namespace, item) = (object.namespace().unwrap_or_default(), object.labels()["item"].clone());
        let place: ItemPlace = (cluster, namespace.clone(), item.clone());
        let time = |name: &str| object.annotations().get(name)?.parse::<Timestamp>().ok();
        let runs = match kind {
            Watched::CronJob => {
                let mark = object.annotations().get("cutover.dev/handover");
                let mark: serde_json::Value = mark.and_then(|t| serde_json::from_str(t).ok()).unwrap_or_default();
                let at = mark["at"].as_str().and_then(|at| at.parse::<Timestamp>().ok());
                if let Some(at) = at.filter(|_| object.data["spec"]["suspend"] != true) {
                    self.resumed.entry(place).or_default().insert(at);
                }
                return;
            }
            Watched::Pod => !matches!(object.data["status"]["phase"].as_str(), Some("Succeeded" | "Failed")),
            Watched::Job => {
                let created = object.creation_timestamp().map(|at| at.0);
                if let (Some(at), Some(created)) = (time("batch.kubernetes.io/cronjob-scheduled-timestamp"), created) {
                    self.jobs.entry(place.clone()).or_default().insert((at, created));
                }
                let conditions = object.data["status"]["conditions"].as_array().into_iter().flatten();
                !conditions.filter(|c| c["status"] == "True").any(|c| c["type"] == "Complete" || c["type"] == "Failed")
            }
        };
        let uid = object.uid().unwrap_or_default();
        let here = self.running.entry(place).or_default();
        if !(runs && exists) {
            here.remove(&uid);
            return;
        }
        here.insert(uid.clone());
        let word = if kind == Watched::Pod { "pod" } else { "Job" };
        self.counts.entry((cluster, word)).or_default().insert(uid);
        let other = (if cluster == "a" { "b" } else { "a" }, namespace, item);
        if let Some(there) = self.running.get(&other).filter(|there| !there.is_empty()) {
            let count = there.len();
            self.both.push(format!(
                "{}: {other:?} has {count} running while {word} {} runs in {cluster}",
                Timestamp::now(),
                object.name_any()
            ));
        }
    }
}
