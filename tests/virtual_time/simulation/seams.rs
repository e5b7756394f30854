//! Recorders at the seams: what the engine sees and asks for, in domain types. And a clock that jumps.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cutover::adapter::clock::{LabClock, SteadyClock};
use cutover::domain::elb::balancer::{Listener, LiveRoute, LoadBalancer, TargetGroup};
use cutover::domain::health::Target;
use cutover::domain::health::gate::Sample;
use cutover::domain::kubernetes::binding::Binding;
use cutover::domain::kubernetes::workload::{ClusterIdentity, WorkloadView};
use cutover::domain::traffic::{RouteCensus, RouteContent, RouteId, Tags, Unreadable};
use cutover::engine::marker;
use cutover::plan::model::{Selector, ServiceRef};
use cutover::port::{
    Caller, Clock, Cluster, Detail, Groups, Inventory, LoadBalancerApi, TagStore, Traffic, WriteError,
};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::history::What;
use super::wire::Wire;

/// Notes everything at the balancer's seam.
pub struct Seen {
    pub inner: LoadBalancerApi,
    pub wire: Wire,
}

#[async_trait]
impl Traffic for Seen {
    async fn routes(&self, ids: &[RouteId]) -> BTreeMap<RouteId, Result<RouteContent, Unreadable>> {
        let asked = self.wire.now();
        let all = self.inner.traffic.routes(ids).await;
        for (route, live) in &all {
            let gone = matches!(live, Err(Unreadable::NotFound(_)));
            self.wire.note(What::SawRoute { route: route.clone(), asked, live: live.as_ref().ok().cloned(), gone });
        }
        all
    }

    async fn health(&self, groups: &[String]) -> BTreeMap<String, Result<Vec<Target>, Unreadable>> {
        let asked = self.wire.now();
        let all = self.inner.traffic.health(groups).await;
        for (group, targets) in &all {
            let counts = targets.as_ref().ok().map(|t| Sample::of(asked, t).counts);
            self.wire.note(What::SawHealth { group: group.clone(), asked, counts });
        }
        all
    }

    async fn census(&self, load_balancer: &str) -> Result<RouteCensus, Unreadable> {
        self.inner.traffic.census(load_balancer).await
    }

    async fn set(&self, id: &RouteId, content: &RouteContent, deadline: Duration) -> Result<(), WriteError> {
        self.wire.note(What::Set { route: id.clone(), content: content.clone() });
        self.inner.traffic.set(id, content, deadline).await
    }
}

#[async_trait]
impl Inventory for Seen {
    async fn caller(&self) -> Result<Caller, Unreadable> {
        let caller = self.inner.inventory.caller().await;
        self.wire.note(What::SawCaller(caller.as_ref().ok().map(|c| c.account.clone())));
        caller
    }

    async fn load_balancers(&self, selector: &Selector, detail: Detail) -> Result<Vec<LoadBalancer>, Unreadable> {
        self.inner.inventory.load_balancers(selector, detail).await
    }

    async fn listeners(
        &self,
        load_balancer: &str,
        detail: Detail,
    ) -> Result<Vec<(Listener, Vec<LiveRoute>)>, Unreadable> {
        self.inner.inventory.listeners(load_balancer, detail).await
    }

    async fn target_groups(&self, groups: Groups<'_>, detail: Detail) -> Result<Vec<TargetGroup>, Unreadable> {
        self.inner.inventory.target_groups(groups, detail).await
    }
}

#[async_trait]
impl TagStore for Seen {
    async fn tags(&self, arns: &[String]) -> Result<BTreeMap<String, Tags>, Unreadable> {
        let all = self.inner.tags.tags(arns).await;
        for arn in arns.iter().filter(|arn| arn.contains(":loadbalancer/")) {
            let marker = all.as_ref().map(|all| all.get(arn).and_then(|tags| tags.get(marker::KEY)).cloned());
            self.wire.note(What::SawMarker(marker.map_err(|_| ())));
        }
        all
    }

    async fn put(&self, arns: &[String], tags: &Tags) -> Result<(), WriteError> {
        self.inner.tags.put(arns, tags).await
    }

    async fn remove(&self, arns: &[String], keys: &[String]) -> Result<(), WriteError> {
        self.inner.tags.remove(arns, keys).await
    }
}

/// Notes who a cluster is, and what is made in it.
pub struct Cell {
    pub inner: Arc<dyn Cluster>,
    pub wire: Wire,
    pub name: String,
}

#[async_trait]
impl Cluster for Cell {
    async fn identity(&self) -> Result<ClusterIdentity, Unreadable> {
        let identity = self.inner.identity().await;
        self.wire
            .note(What::SawCluster { cluster: self.name.clone(), uid: identity.as_ref().ok().map(|i| i.uid.clone()) });
        identity
    }

    async fn workloads(&self, services: &[&ServiceRef]) -> Vec<Result<WorkloadView, Unreadable>> {
        self.inner.workloads(services).await
    }

    async fn bindings(&self) -> Result<Vec<Binding>, Unreadable> {
        self.inner.bindings().await
    }

    async fn apply(&self, binding: &Binding, dry_run: bool) -> Result<Vec<String>, WriteError> {
        self.wire.note(What::Bind { cluster: self.name.clone(), binding: binding.full_name(), dry_run });
        self.inner.apply(binding, dry_run).await
    }

    async fn delete(&self, found: &Binding) -> Result<(), WriteError> {
        self.inner.delete(found).await
    }
}

/// The lab's clock as a machine shows it whose clock someone sets, made steady as the machine's own is: each process
/// begins with what the clock shows then.
pub struct Jumpy {
    inner: LabClock,
    steady: SteadyClock,
    origin: Instant,
}

impl Jumpy {
    pub fn new(inner: LabClock, offset: i64) -> Self {
        let wall = inner.now().saturating_add(SignedDuration::from_millis(offset)).unwrap_or(Timestamp::MAX);
        Self { inner, steady: SteadyClock::new(wall, Duration::ZERO), origin: Instant::now() }
    }
}

#[async_trait]
impl Clock for Jumpy {
    fn now(&self) -> Timestamp {
        self.steady.now(self.origin.elapsed())
    }

    async fn sleep(&self, duration: Duration) {
        self.inner.sleep(duration).await;
    }

    fn of_real(&self, real: Duration) -> Duration {
        real
    }
}
