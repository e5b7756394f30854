//! Records what the engine reads and writes at its ports, in domain types. Also provides a clock that can be set.

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
use cutover::domain::run::header_rule::HeaderRule;
use cutover::domain::traffic::{RouteCensus, RouteContent, RouteId, Tags, Unreadable};
use cutover::engine::marker;
use cutover::plan::model::{Selector, ServiceRef};
use cutover::port::{
    Caller, Clock, Cluster, Detail, EndpointReport, Groups, Inventory, LoadBalancerApi, RuleStore, TagStore, Traffic,
    WriteError,
};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::history::EntryContent;
use super::wire::Wire;

/// Records all reads and writes of the load balancer API.
pub struct RecordingBalancer {
    pub inner: LoadBalancerApi,
    pub wire: Wire,
}

#[async_trait]
impl Traffic for RecordingBalancer {
    async fn routes(&self, ids: &[RouteId]) -> BTreeMap<RouteId, Result<RouteContent, Unreadable>> {
        let requested_at = self.wire.now();
        let all = self.inner.traffic.routes(ids).await;
        for (route, live) in &all {
            let gone = matches!(live, Err(Unreadable::NotFound(_)));
            self.wire.note(EntryContent::SawRoute {
                route: route.clone(),
                requested_at,
                live: live.as_ref().ok().cloned(),
                gone,
            });
        }
        all
    }

    async fn health(&self, groups: &[String]) -> BTreeMap<String, Result<Vec<Target>, Unreadable>> {
        let requested_at = self.wire.now();
        let all = self.inner.traffic.health(groups).await;
        for (group, targets) in &all {
            let counts = targets.as_ref().ok().map(|t| Sample::of(requested_at, t).counts);
            self.wire.note(EntryContent::SawHealth { group: group.clone(), requested_at, counts });
        }
        all
    }

    async fn census(&self, load_balancer: &str) -> Result<RouteCensus, Unreadable> {
        self.inner.traffic.census(load_balancer).await
    }

    async fn set(&self, id: &RouteId, content: &RouteContent, deadline: Duration) -> Result<(), WriteError> {
        self.wire.note(EntryContent::Set { route: id.clone(), content: content.clone() });
        self.inner.traffic.set(id, content, deadline).await
    }
}

#[async_trait]
impl Inventory for RecordingBalancer {
    async fn caller(&self) -> Result<Caller, Unreadable> {
        let caller = self.inner.inventory.caller().await;
        self.wire.note(EntryContent::SawCaller(caller.as_ref().ok().map(|c| c.account.clone())));
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

    async fn quota(&self, name: &str) -> Result<u32, Unreadable> {
        self.inner.inventory.quota(name).await
    }
}

#[async_trait]
impl TagStore for RecordingBalancer {
    fn has_tags(&self, id: &str) -> bool {
        self.inner.tags.has_tags(id)
    }

    async fn tags(&self, arns: &[String]) -> Result<BTreeMap<String, Tags>, Unreadable> {
        let all = self.inner.tags.tags(arns).await;
        for arn in arns.iter().filter(|arn| arn.contains(":loadbalancer/")) {
            let marker = all.as_ref().map(|all| all.get(arn).and_then(|tags| tags.get(marker::KEY)).cloned());
            self.wire.note(EntryContent::SawMarker(marker.map_err(|_| ())));
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

/// Records the identity of a cluster, and the bindings that are applied in it.
pub struct RecordingCluster {
    pub inner: Arc<dyn Cluster>,
    pub wire: Wire,
    pub name: String,
}

#[async_trait]
impl Cluster for RecordingCluster {
    async fn identity(&self) -> Result<ClusterIdentity, Unreadable> {
        let identity = self.inner.identity().await;
        self.wire.note(EntryContent::SawCluster {
            cluster: self.name.clone(),
            uid: identity.as_ref().ok().map(|i| i.uid.clone()),
        });
        identity
    }

    async fn workloads(&self, services: &[&ServiceRef]) -> Vec<Result<WorkloadView, Unreadable>> {
        self.inner.workloads(services).await
    }

    async fn bindings(&self) -> Result<Vec<Binding>, Unreadable> {
        self.inner.bindings().await
    }

    async fn apply(&self, binding: &Binding, dry_run: bool) -> Result<Vec<String>, WriteError> {
        self.wire.note(EntryContent::Bind { cluster: self.name.clone(), binding: binding.full_name(), dry_run });
        self.inner.apply(binding, dry_run).await
    }

    async fn delete(&self, found: &Binding) -> Result<(), WriteError> {
        self.inner.delete(found).await
    }

    async fn watch_endpoints(&self, services: &[&ServiceRef], report: &EndpointReport<'_>) -> Unreadable {
        self.inner.watch_endpoints(services, report).await
    }
}

/// The lab's clock as a machine shows it after someone set its clock. It is steady within one process; each process
/// begins with what the machine's clock shows at that time.
pub struct AdjustableClock {
    inner: LabClock,
    steady: SteadyClock,
    origin: Instant,
}

impl AdjustableClock {
    pub fn new(inner: LabClock, offset: i64) -> Self {
        let wall = inner.now().saturating_add(SignedDuration::from_millis(offset)).unwrap_or(Timestamp::MAX);
        Self { inner, steady: SteadyClock::new(wall, Duration::ZERO), origin: Instant::now() }
    }
}

#[async_trait]
impl Clock for AdjustableClock {
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

#[async_trait]
impl RuleStore for RecordingBalancer {
    async fn create(&self, rule: &HeaderRule, tags: &Tags, deadline: Duration) -> Result<String, WriteError> {
        self.inner.rules.create(rule, tags, deadline).await
    }
    async fn delete(&self, id: &str, deadline: Duration) -> Result<(), WriteError> {
        self.inner.rules.delete(id, deadline).await
    }
}
