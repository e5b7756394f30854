//! The model of the world: load balancers, clusters, pods and faults, as plain values that change only when they are called.
//!
//! Synchronous: no async, no sockets, no clock may enter here; time comes in with every call. The same calls with the same seed give the same world.

mod api;
mod balancer;
mod bucket;
mod build;
mod cluster;
mod condition;
mod controller;
mod delivery;
mod faults;
mod foreign;
mod group;
mod health;
mod inspect;
mod pod;
pub(crate) mod queue;
mod routing;
pub mod seam;
mod targets;
mod traffic;

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

pub(crate) use balancer::{Balancer, Listener, Pairs, Route, number, weights};
pub(crate) use bucket::Bucket;
pub(crate) use condition::Condition;
pub(crate) use group::{Check, Group};
pub use inspect::Snapshot;
pub use seam::*;
pub use traffic::{Counted, Served};

use crate::base::time::later;
use crate::lab::scenario::model::{Latency, Load};
use crate::plan::model::{ClusterAccess, Plan};
use cluster::Cluster;
use faults::Faults;
use pod::Pod;
use queue::{Due, Queue, TargetRef};

/// The world of a lab.
#[derive(Debug, Clone)]
pub struct World {
    now: Timestamp,
    random: fastrand::Rng,
    queue: Queue,
    pub(crate) account: String,
    pub(crate) region: String,
    pub(crate) balancers: Vec<Balancer>,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) routes: Vec<Route>,
    pub(crate) groups: Vec<Group>,
    /// Groups by ARN.
    pub(crate) group_index: BTreeMap<Arc<str>, usize>,
    pub(crate) buckets: Buckets,
    latency: Latency,
    load: Load,
    clusters: Vec<Cluster>,
    pods: Vec<Pod>,
    pod_by_ip: HashMap<Ipv4Addr, PodId>,
    registrations: u64,
    faults: Faults,
    calls: Vec<Call>,
    /// How many of them are reads.
    reads: usize,
    requests: u64,
    self_probing: bool,
    probes: Vec<Probe>,
    plan: Plan,
    traffic: traffic::Traffic,
}

/// The account's token buckets.
#[derive(Debug, Clone)]
pub(crate) struct Buckets {
    pub modify: Bucket,
    pub describe: Bucket,
    pub register: Bucket,
}

impl World {
    /// The time of the last call.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Lets everything happen that is due until then, in order. Time never goes back.
    pub fn advance(&mut self, now: Timestamp) {
        while let Some((at, due)) = self.queue.pop(now) {
            self.now = self.now.max(at);
            self.happen(due);
        }
        self.now = self.now.max(now);
    }

    /// When something is due next.
    pub fn next(&self) -> Option<Timestamp> {
        self.queue.next()
    }

    /// Whether the model carries out health checks itself (the start), or hands them to the shell by [`World::probes_due`].
    pub fn set_self_probing(&mut self, on: bool) {
        self.self_probing = on;
    }

    /// The listeners: port and protocol, of every load balancer.
    pub fn listeners(&self) -> Vec<(u16, String)> {
        self.listeners.iter().map(|l| (l.port, l.protocol.clone())).collect()
    }

    /// The listeners with the names of their load balancers.
    pub fn listeners_of(&self) -> Vec<(String, u16, String)> {
        self.listeners.iter().map(|l| (self.balancers[l.balancer].name.clone(), l.port, l.protocol.clone())).collect()
    }

    /// For each route that the plan moves something that a client may ask to reach it: load balancer, port, host, path.
    pub fn reachable(&self) -> Vec<(String, u16, String, String)> {
        let alive = self.routes.iter().filter(|r| !r.deleted && r.managed);
        alive.filter_map(|r| self.example(r)).collect()
    }

    /// The clusters, by the plan's names.
    pub fn clusters(&self) -> Vec<String> {
        self.clusters.iter().map(|c| c.name.to_string()).collect()
    }

    /// The region.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The kubeconfig contexts of a cluster: the plan's own; or its EKS name, and its ARN, which `aws eks update-kubeconfig` uses; else its
    /// name in the plan.
    pub fn contexts(&self, cluster: &str) -> Vec<String> {
        let planned = self.plan.clusters.iter().find(|c| c.name == cluster);
        match planned.map(|c| &c.access) {
            Some(ClusterAccess::KubeContext(name)) => vec![name.clone()],
            Some(ClusterAccess::Eks(name)) => {
                let arn = format!("arn:aws:eks:{}:{}:cluster/{name}", self.plan.region, self.plan.account_id);
                vec![name.clone(), arn]
            }
            _ => vec![cluster.to_owned()],
        }
    }

    /// The load that the scenario asks for.
    pub fn load(&self) -> &Load {
        &self.load
    }

    /// The calls of the APIs so far, in order: everything that was meant to change something, and of the reads the latest,
    /// at least ten thousand of them.
    pub fn calls(&self) -> &[Call] {
        &self.calls
    }

    /// Where a cluster's API is served, and its CA as PEM in base64: what DescribeCluster answers. Unknown names are ignored.
    pub fn set_endpoint(&mut self, cluster: &str, url: &str, ca: &str) {
        if let Some(cluster) = self.clusters.iter_mut().find(|c| &*c.name == cluster) {
            url.clone_into(&mut cluster.endpoint);
            ca.clone_into(&mut cluster.ca);
        }
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Propagate { route, effective } => self.propagate(route, *effective),
            Due::Registered(target) => self.target_ready(&target),
            Due::Probe(target) => self.probe(&target),
            Due::Probed(target, result) => self.count_probe(&target, result),
            Due::Drained(target) => self.target_gone(&target),
            Due::PodStarted(pod) => self.pod_started(pod),
            Due::PodObserved(pod) => self.pod_observed(pod),
            Due::PodGone(pod) => self.pod_gone(pod),
            Due::Reconcile(cluster) => self.reconcile(cluster),
            Due::Autoscale(cluster) => self.autoscale(cluster),
            Due::Fault(fault) => self.fault_begins(fault),
            Due::FaultEnds(fault) => self.fault_ends(fault),
            Due::Flap { fault, down, left } => self.flap(fault, down, left),
            Due::Late(query) => self.apply_late(&query),
        }
    }

    fn plan_in(&mut self, delay: Duration, due: Due) {
        let at = later(self.now, delay);
        self.queue.plan(at, due);
    }

    /// An identifier of 16 hexadecimal digits.
    pub(crate) fn identifier(&mut self) -> String {
        format!("{:016x}", self.random.u64(..))
    }

    /// The time of the world, for views.
    pub(crate) fn time(&self) -> Timestamp {
        self.now
    }

    fn log(&mut self, service: &str, operation: &str, mutating: bool, caller: Caller, outcome: &str) {
        let (operation, outcome) = (operation.to_owned(), outcome.to_owned());
        self.calls.push(Call { time: self.now, service: service.into(), operation, mutating, caller, outcome });
        self.reads += usize::from(!mutating);
        if self.reads >= READS * 2 {
            let mut surplus = self.reads - READS;
            self.reads = READS;
            self.calls.retain(|c| {
                c.mutating || surplus == 0 || {
                    surplus -= 1;
                    false
                }
            });
        }
    }
}

/// A run of days reads millions of times: so many reads are kept in the log of calls.
const READS: usize = 10_000;
