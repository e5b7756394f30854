//! Finds out, in parallel with the loop, which target groups may be unhealthy: from the EndpointSlices of their
//! Services, and from CloudWatch. A hint only makes the loop read the group next. Without hints, a run makes the same
//! decisions, but later.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::JoinSet;

use crate::domain::health::HostCounts;
use crate::domain::run::state::State;
use crate::engine::Ports;
use crate::engine::observation::WatchList;
use crate::engine::rounds::{Hint, Rounds};
use crate::plan::model::{ClusterName, ServiceRef};
use crate::port::store::NoticedBy;
use crate::port::{Clock, Cluster, Metrics};

/// The time after which a watch that failed is started again.
const WATCH_AGAIN: Duration = Duration::from_secs(15);

/// The time between two queries of CloudWatch, which has one value a minute.
const COUNT_INTERVAL: SignedDuration = SignedDuration::from_mins(1);

/// The time after which CloudWatch is queried again if it refused a query.
const COUNT_AGAIN: SignedDuration = SignedDuration::from_mins(10);

/// A message of the watch of one cluster.
type WatchMessage = (ClusterName, Result<(ServiceRef, u32), ()>);

/// The hints, and the order in which groups are read. Dropping this value ends the watches.
pub struct Hints {
    pub rounds: Rounds,
    /// Whether a group became a suspect after the last part was chosen.
    pub found_suspect: bool,
    services: BTreeMap<(ClusterName, ServiceRef), Vec<String>>,
    watches: JoinSet<()>,
    messages: UnboundedReceiver<WatchMessage>,
    /// The clusters whose EndpointSlices are watched now.
    watched: BTreeSet<ClusterName>,
    counting: JoinSet<Result<BTreeMap<String, HostCounts>, String>>,
    count_at: Timestamp,
    /// The groups that CloudWatch counted last.
    counted: BTreeSet<String>,
    /// The time at which all groups were last judged for failing guards.
    pub judged_at: Timestamp,
}

impl Hints {
    /// Starts to watch the EndpointSlices of the observed groups, if an observation has several parts. Otherwise every
    /// group is read in each observation, and hints would not make this faster.
    pub fn start(ports: &Ports, watch_list: &WatchList, parts: usize) -> Self {
        let (sender, messages) = mpsc::unbounded_channel();
        let mut hints = Self {
            rounds: Rounds::default(),
            found_suspect: false,
            services: BTreeMap::new(),
            watches: JoinSet::new(),
            messages,
            watched: BTreeSet::new(),
            counting: JoinSet::new(),
            count_at: if parts > 1 { Timestamp::MIN } else { Timestamp::MAX },
            counted: BTreeSet::new(),
            judged_at: Timestamp::MIN,
        };
        if parts <= 1 {
            return hints;
        }
        hints.services = watch_list.services();
        for (name, cluster) in &ports.clusters {
            let services: Vec<_> = hints.services.keys().filter(|(c, _)| c == name).map(|(_, s)| s.clone()).collect();
            if !services.is_empty() {
                let (cluster, clock) = (Arc::clone(cluster), Arc::clone(&ports.clock));
                hints.watches.spawn(watch_cluster(name.clone(), cluster, services, clock, sender.clone()));
            }
        }
        hints
    }

    /// Waits for a message of a watch. Waits forever if there is no watch.
    pub async fn wait(&mut self, clock: &dyn Clock) {
        match self.messages.recv().await {
            Some(message) => {
                self.add_message(message, clock.now());
                while let Ok(message) = self.messages.try_recv() {
                    self.add_message(message, clock.now());
                }
            }
            None => std::future::pending().await,
        }
    }

    /// Adds the hints that arrived, and queries CloudWatch if this is due.
    pub fn collect(&mut self, metrics: &Arc<dyn Metrics>, state: &State, now: Timestamp) {
        while let Ok(message) = self.messages.try_recv() {
            self.add_message(message, now);
        }
        while let Some(counted) = self.counting.try_join_next() {
            self.add_counts(counted.unwrap_or_else(|why| Err(why.to_string())), now);
        }
        if self.count_at <= now && self.counting.is_empty() {
            self.count_at = now.saturating_add(COUNT_INTERVAL).unwrap_or(Timestamp::MAX);
            let (metrics, groups) = (Arc::clone(metrics), groups_with_balancers(state));
            self.counting.spawn(async move { metrics.host_counts(&groups, now).await });
        }
    }

    /// Returns which source shows first that this group becomes unhealthy.
    pub fn noticed_by(&self, arn: &str) -> NoticedBy {
        let watched = |((cluster, _), groups): (&(ClusterName, ServiceRef), &Vec<String>)| {
            self.watched.contains(cluster) && groups.iter().any(|group| group == arn)
        };
        if self.services.iter().any(watched) {
            NoticedBy::Endpoints
        } else if self.counted.contains(arn) {
            NoticedBy::CloudWatch
        } else {
            NoticedBy::Rounds
        }
    }

    fn add_message(&mut self, (cluster, message): WatchMessage, now: Timestamp) {
        let Ok((service, ready)) = message else {
            self.watched.remove(&cluster);
            return;
        };
        self.watched.insert(cluster.clone());
        for arn in self.services.get(&(cluster, service)).into_iter().flatten() {
            self.found_suspect |= self.rounds.record_hint(arn, Hint::Endpoints, ready, now);
        }
    }

    fn add_counts(&mut self, counted: Result<BTreeMap<String, HostCounts>, String>, now: Timestamp) {
        match counted {
            Ok(counts) => {
                for (arn, count) in &counts {
                    let fit = count.healthy.saturating_sub(count.unhealthy);
                    self.found_suspect |= self.rounds.record_hint(arn, Hint::CloudWatch, fit, now);
                }
                self.counted = counts.into_keys().collect();
            }
            Err(why) => {
                tracing::info!(
                    "CloudWatch cannot show unhealthy targets early ({why}); the guard reads target health as usual"
                );
                self.counted.clear();
                self.count_at = now.saturating_add(COUNT_AGAIN).unwrap_or(Timestamp::MAX);
            }
        }
    }
}

/// Watches the EndpointSlices of one cluster, and starts the watch again when it fails.
async fn watch_cluster(
    name: ClusterName,
    cluster: Arc<dyn Cluster>,
    services: Vec<ServiceRef>,
    clock: Arc<dyn Clock>,
    messages: UnboundedSender<WatchMessage>,
) {
    let services: Vec<&ServiceRef> = services.iter().collect();
    loop {
        let report = |service: &ServiceRef, ready: u32| {
            let _ = messages.send((name.clone(), Ok((service.clone(), ready))));
        };
        let why = cluster.watch_endpoints(&services, &report).await;
        tracing::info!(
            "the EndpointSlices of cluster {name} cannot be watched ({why}); the guard reads target health as usual"
        );
        let _ = messages.send((name.clone(), Err(())));
        clock.sleep(WATCH_AGAIN).await;
    }
}

/// Returns the groups of the routes, each with the ARN of its load balancer.
fn groups_with_balancers(state: &State) -> Vec<(String, String)> {
    let carrying = state.groups_with_traffic();
    let pairs = state.routes.values().flat_map(|route| {
        let arns = route.start.groups.values().filter(|arn| carrying.contains_key(*arn));
        arns.map(|arn| (arn.clone(), route.start.load_balancer.clone()))
    });
    pairs.collect::<BTreeMap<_, _>>().into_iter().collect()
}
