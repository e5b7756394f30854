//! A host, its processes and their transports: each request is counted, and the host may die at one of the requests.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use cutover::adapter::clock::LabClock;
use cutover::domain::elb::balancer::{Listener, LiveRoute, LoadBalancer, TargetGroup};
use cutover::domain::health::Target;
use cutover::domain::run::header_rule::HeaderRule;
use cutover::domain::traffic::{RouteCensus, RouteContent, RouteId, Tags, Unreadable};
use cutover::lab::virtual_time::KubeTransport;
use cutover::plan::model::Selector;
use cutover::port::{
    Caller, Clock, Detail, Groups, Inventory, LoadBalancerApi, RuleStore, TagStore, Traffic, WriteError,
};
use http::{Request, Response};
use jiff::Timestamp;
use kube::client::Body;
use tokio::sync::Notify;
use tower::{BoxError, Service, ServiceExt};

/// The request at which a host dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kill {
    /// The number of the host, 0 or 1.
    pub host: usize,
    /// The number of the request, from 1.
    pub call: u64,
    /// Whether the request is sent before the host dies.
    pub sent: bool,
}

impl Kill {
    /// Parses for example `b:1234:sent`; `None` if the text has a different form.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, rest) = text.split_once(':')?;
        let (call, sent) = rest.split_once(':')?;
        Some(Self { host: usize::from(host == "b"), call: call.parse().ok()?, sent: sent == "sent" })
    }
}

impl fmt::Display for Kill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", ["a", "b"][self.host], self.call, if self.sent { "sent" } else { "unsent" })
    }
}

/// A write that reached the load balancer.
#[derive(Debug, Clone)]
pub struct Write {
    pub at: Timestamp,
    pub host: usize,
    pub route: RouteId,
    /// The new cluster's share, in percent of the managed part.
    pub share: u32,
}

/// The request counts of a host, and the writes of all hosts.
pub struct Host {
    pub number: usize,
    pub kill: Option<Kill>,
    pub requests: AtomicU64,
    pub writes: Arc<Mutex<Vec<Write>>>,
    /// The numbers of the requests that wrote something.
    pub busy: Mutex<Vec<u64>>,
    pub clock: LabClock,
}

/// One process of a host.
pub struct Process {
    pub host: Arc<Host>,
    dead: AtomicBool,
    pub died: Notify,
}

impl Process {
    pub fn new(host: Arc<Host>) -> Arc<Self> {
        Arc::new(Self { host, dead: AtomicBool::new(false), died: Notify::new() })
    }

    /// Counts a request of the process. Returns whether the process survives to get the response; a dead process never
    /// returns.
    async fn count_request(&self) -> bool {
        if self.dead.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        let number = self.host.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let fatal = self.host.kill.filter(|k| k.host == self.host.number && k.call == number);
        // A request takes some time.
        tokio::time::sleep(Duration::from_millis(3)).await;
        match fatal {
            Some(kill) if kill.sent => false,
            Some(_) => self.die().await,
            None => true,
        }
    }

    async fn die<T>(&self) -> T {
        self.dead.store(true, Ordering::Relaxed);
        self.died.notify_one();
        std::future::pending().await
    }

    /// Sends a request, unless the process dies before.
    async fn send<T>(&self, question: impl Future<Output = T>) -> T {
        let answered = self.count_request().await;
        let answer = question.await;
        if answered { answer } else { self.die().await }
    }
}

/// The transport to the cluster that stores the runs.
#[derive(Clone)]
pub struct ClusterTransport {
    pub process: Arc<Process>,
    pub inner: KubeTransport,
}

impl Service<Request<Body>> for ClusterTransport {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let line = self.clone();
        Box::pin(async move { line.process.send(line.inner.oneshot(request)).await })
    }
}

/// The connection to the load balancer.
pub struct LoadBalancerTransport {
    pub process: Arc<Process>,
    pub inner: LoadBalancerApi,
}

#[async_trait]
impl Traffic for LoadBalancerTransport {
    async fn census(&self, load_balancer: &str) -> Result<RouteCensus, Unreadable> {
        self.process.send(self.inner.traffic.census(load_balancer)).await
    }
    async fn set(&self, id: &RouteId, content: &RouteContent, deadline: Duration) -> Result<(), WriteError> {
        let host = &self.process.host;
        let arrives = async {
            let now = host.clock.now();
            let weight = |green: bool| -> u32 {
                let side = content.split.members.iter().filter(|m| m.id.contains("-b/") == green);
                side.map(|m| m.weight.map_or(0, u32::from)).sum()
            };
            let share = weight(true) * 100 / (weight(true) + weight(false)).max(1);
            let lock = |e: PoisonError<_>| -> std::sync::MutexGuard<'_, Vec<Write>> { e.into_inner() };
            host.writes.lock().unwrap_or_else(lock).push(Write {
                at: now,
                host: host.number,
                route: id.clone(),
                share,
            });
            host.busy.lock().unwrap_or_else(PoisonError::into_inner).push(host.requests.load(Ordering::Relaxed));
            self.inner.traffic.set(id, content, deadline).await
        };
        self.process.send(arrives).await
    }

    async fn routes(&self, ids: &[RouteId]) -> BTreeMap<RouteId, Result<RouteContent, Unreadable>> {
        self.process.send(self.inner.traffic.routes(ids)).await
    }
    async fn health(&self, groups: &[String]) -> BTreeMap<String, Result<Vec<Target>, Unreadable>> {
        self.process.send(self.inner.traffic.health(groups)).await
    }
}

#[async_trait]
impl Inventory for LoadBalancerTransport {
    async fn caller(&self) -> Result<Caller, Unreadable> {
        self.process.send(self.inner.inventory.caller()).await
    }
    async fn load_balancers(&self, selector: &Selector, detail: Detail) -> Result<Vec<LoadBalancer>, Unreadable> {
        self.process.send(self.inner.inventory.load_balancers(selector, detail)).await
    }
    async fn listeners(
        &self,
        load_balancer: &str,
        detail: Detail,
    ) -> Result<Vec<(Listener, Vec<LiveRoute>)>, Unreadable> {
        self.process.send(self.inner.inventory.listeners(load_balancer, detail)).await
    }
    async fn target_groups(&self, groups: Groups<'_>, detail: Detail) -> Result<Vec<TargetGroup>, Unreadable> {
        self.process.send(self.inner.inventory.target_groups(groups, detail)).await
    }
    async fn quota(&self, name: &str) -> Result<u32, Unreadable> {
        self.process.send(self.inner.inventory.quota(name)).await
    }
}

#[async_trait]
impl TagStore for LoadBalancerTransport {
    fn has_tags(&self, _: &str) -> bool {
        true
    }

    async fn tags(&self, arns: &[String]) -> Result<BTreeMap<String, Tags>, Unreadable> {
        self.process.send(self.inner.tags.tags(arns)).await
    }
    async fn put(&self, arns: &[String], tags: &Tags) -> Result<(), WriteError> {
        self.process.send(self.inner.tags.put(arns, tags)).await
    }
    async fn remove(&self, arns: &[String], keys: &[String]) -> Result<(), WriteError> {
        self.process.send(self.inner.tags.remove(arns, keys)).await
    }
}

#[async_trait]
impl RuleStore for LoadBalancerTransport {
    async fn create(&self, rule: &HeaderRule, tags: &Tags, deadline: Duration) -> Result<String, WriteError> {
        self.process.send(self.inner.rules.create(rule, tags, deadline)).await
    }
    async fn delete(&self, id: &str, deadline: Duration) -> Result<(), WriteError> {
        self.process.send(self.inner.rules.delete(id, deadline)).await
    }
}
