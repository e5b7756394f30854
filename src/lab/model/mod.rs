//! The model of the lab: load balancers, clusters, pods and faults, as plain values that change only in calls.
//!
//! The model is synchronous: async code, sockets and clocks must not be added here. Each call passes the time. The same
//! calls with the same seed give the same state.

mod api;
mod balancer;
mod bucket;
mod build;
mod client_time;
mod cluster;
mod condition;
mod controller;
mod data_plane;
mod difference;
mod faults;
mod foreign;
mod group;
mod haproxy;
mod health;
mod host_counts;
mod inspect;
pub mod interface;
mod platform;
mod pod;
pub(crate) mod queue;
mod routing;
mod targets;
mod traffic;
mod unhappened;

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

pub(crate) use balancer::{Balancer, Listener, Pairs, Route, number, weights};
pub(crate) use bucket::Bucket;
pub(crate) use condition::Condition;
pub(crate) use group::{Group, HealthCheckSettings, LAMBDA, LabTargetState, TCP};
pub use haproxy::RuntimeAnswer;
pub(crate) use haproxy::{Frontend, Process};
pub use inspect::{JobRun, Snapshot};
pub use interface::*;
pub(crate) use platform::{ADDONS, Platform, Subnet};
pub(crate) use traffic::RESPONSE_TIME_BUCKETS;
pub use traffic::{GroupCounters, TargetResponse};

use crate::base::partition;
use crate::base::time::later;
use crate::lab::scenario::model::{Latency, Load};
use crate::plan::model::{ClusterAccess, Plan};
use cluster::Cluster;
use faults::Faults;
use pod::Pod;
use queue::{LabEvent, Queue, TargetRef};

/// The complete state of the simulated AWS and Kubernetes.
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
    /// The processes of HAProxy.
    pub(crate) processes: Vec<Process>,
    /// Indices of the routes by the ARN that DescribeRules returns.
    pub(crate) rule_index: HashMap<String, usize>,
    /// Indices of the groups by ARN.
    pub(crate) group_index: BTreeMap<Arc<str>, usize>,
    pub(crate) buckets: Buckets,
    latency: Latency,
    load: Load,
    clusters: Vec<Cluster>,
    pods: Vec<Pod>,
    pod_by_ip: HashMap<Ipv4Addr, PodId>,
    registrations: u64,
    faults: Faults,
    calls: Vec<ApiCall>,
    /// Number of reads in `calls`.
    reads: usize,
    requests: u64,
    self_probing: bool,
    probes: Vec<Probe>,
    plan: Plan,
    traffic: traffic::TrafficCounters,
    host_samples: host_counts::HostSamples,
    client_time: Option<client_time::ClientTime>,
}

/// The account's token buckets for API calls.
#[derive(Debug, Clone)]
pub(crate) struct Buckets {
    pub modify: Bucket,
    pub describe: Bucket,
    pub register: Bucket,
}

impl World {
    /// Returns the time of the last call.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Handles all events that are due at `now` or earlier, in order. If `now` is earlier than in
    /// the call before, nothing happens.
    pub fn advance(&mut self, now: Timestamp) {
        while let Some((at, due)) = self.queue.pop(now) {
            self.now = self.now.max(at);
            self.handle_event(due);
        }
        self.now = self.now.max(now);
    }

    /// Returns the time of the next scheduled event.
    pub fn next_event(&self) -> Option<Timestamp> {
        self.queue.next()
    }

    /// Sets whether the model runs the health checks itself (the default) or returns them from [`World::probes_due`].
    pub fn set_self_probing(&mut self, on: bool) {
        self.self_probing = on;
    }

    /// Returns the port and protocol of every listener of every load balancer.
    pub fn listeners(&self) -> Vec<(u16, String)> {
        self.listeners.iter().map(|l| (l.port, l.protocol.clone())).collect()
    }

    /// Returns the load balancer name, port and protocol of every listener.
    pub fn listeners_by_balancer(&self) -> Vec<(String, u16, String)> {
        self.listeners.iter().map(|l| (self.balancers[l.balancer].name.clone(), l.port, l.protocol.clone())).collect()
    }

    /// Returns, for each managed route, a request that matches the route: load balancer, port, host, path.
    pub fn sample_requests(&self) -> Vec<(String, u16, String, String)> {
        let alive = self.routes.iter().filter(|r| !r.deleted && r.managed);
        alive.filter_map(|r| self.sample_request(r)).collect()
    }

    /// Returns the names of the clusters in the plan.
    pub fn clusters(&self) -> Vec<String> {
        self.clusters.iter().map(|c| c.name.to_string()).collect()
    }

    /// Returns the AWS region of the plan.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Returns the AWS partition of the region, such as `aws` or `aws-cn`.
    pub(crate) fn partition(&self) -> &'static str {
        partition::of_region(&self.region).name
    }

    /// Returns the kubeconfig contexts of a cluster: the plan's `kubeContext`; or the EKS name, and the ARN that `aws
    /// eks update-kubeconfig` uses; otherwise the cluster's name in the plan.
    pub fn contexts(&self, cluster: &str) -> Vec<String> {
        let planned = self.plan.clusters.iter().find(|c| c.name == cluster);
        match planned.map(|c| &c.access) {
            Some(ClusterAccess::KubeContext(name)) => vec![name.clone()],
            Some(ClusterAccess::Eks(name)) => {
                let arn = format!(
                    "arn:{}:eks:{}:{}:cluster/{name}",
                    self.partition(),
                    self.plan.region,
                    self.plan.account_id
                );
                vec![name.clone(), arn]
            }
            _ => vec![cluster.to_owned()],
        }
    }

    /// Returns the load that the scenario defines.
    pub fn load(&self) -> &Load {
        &self.load
    }

    /// Returns the API calls so far, in order: all mutating calls, and at least the last 10,000 reads.
    pub fn calls(&self) -> &[ApiCall] {
        &self.calls
    }

    /// Sets the URL and the CA certificate (PEM in base64) of a cluster's API server, which DescribeCluster returns.
    /// Unknown clusters are ignored.
    pub fn set_endpoint(&mut self, cluster: &str, url: &str, ca: &str) {
        if let Some(cluster) = self.clusters.iter_mut().find(|c| &*c.name == cluster) {
            url.clone_into(&mut cluster.endpoint);
            ca.clone_into(&mut cluster.ca);
        }
    }

    fn handle_event(&mut self, due: LabEvent) {
        match due {
            LabEvent::Propagate { route, effective } => self.propagate(route, *effective),
            LabEvent::Registered(target) => self.finish_registration(&target),
            LabEvent::Probe(target) => self.probe(&target),
            LabEvent::Probed(target, result) => self.record_probe(&target, result),
            LabEvent::Drained(target) => self.remove_drained(&target),
            LabEvent::PodStarted(pod) => self.start_pod(pod),
            LabEvent::PodObserved(pod) => self.observe_pod(pod),
            LabEvent::PodGone(pod) => self.remove_pod(pod),
            LabEvent::Reconcile(cluster) => self.reconcile(cluster),
            LabEvent::CronJobDue(cluster, key) => self.sync_cron_job(cluster, &key),
            LabEvent::JobEnded(cluster, key) => self.end_job(cluster, &key),
            LabEvent::Autoscale(cluster) => self.autoscale(cluster),
            LabEvent::Fault(fault) => self.begin_fault(fault),
            LabEvent::FaultEnds(fault) => self.end_fault(fault),
            LabEvent::Flap { fault, down, left } => self.flap(fault, down, left),
            LabEvent::Late(query) => self.apply_late(&query),
            LabEvent::LateLine { address, line } => self.apply_late_line(&address, &line),
        }
    }

    fn schedule_in(&mut self, delay: Duration, due: LabEvent) {
        let at = later(self.now, delay);
        self.queue.schedule(at, due);
    }

    /// Returns a random identifier of 16 hexadecimal digits.
    pub(crate) fn identifier(&mut self) -> String {
        format!("{:016x}", self.random.u64(..))
    }

    /// Returns the current time of the lab, for the wire encoders.
    pub(crate) fn time(&self) -> Timestamp {
        self.now
    }

    fn log(&mut self, service: &str, operation: &str, mutating: bool, caller: Caller, outcome: &str) {
        let (operation, outcome) = (operation.to_owned(), outcome.to_owned());
        self.calls.push(ApiCall { time: self.now, service: service.into(), operation, mutating, caller, outcome });
        self.reads += usize::from(!mutating);
        if self.reads >= LOGGED_READS * 2 {
            let mut surplus = self.reads - LOGGED_READS;
            self.reads = LOGGED_READS;
            self.calls.retain(|c| {
                c.mutating || surplus == 0 || {
                    surplus -= 1;
                    false
                }
            });
        }
    }
}

/// Minimum number of reads that the call log keeps. A run of several days makes millions of reads.
const LOGGED_READS: usize = 10_000;
