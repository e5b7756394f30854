//! Reads everything that a run's decisions depend on: routes, target health and markers, all at once. Changes nothing
//! and judges nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;

use super::{marker, retry};
use crate::base::retry::OBSERVE;
use crate::domain::decide::{desired_split, groups_with_traffic};
use crate::domain::health::Target;
use crate::domain::kubernetes::workload::WorkloadView;
use crate::domain::run::event::GroupStart;
use crate::domain::run::observation::{Marker, Observation};
use crate::domain::run::state::State;
use crate::domain::traffic::{FoundRoute, Reading, RouteContent, RouteId, Unreadable};
use crate::plan::model::{self, ClusterName, Plan, ServiceRef, TargetType};
use crate::port::{Clock, Cluster, LoadBalancerApi, TagStore, Traffic};

/// The timeout of reads that only explain a wait: they must not delay the guard.
const AUTOSCALER_TIMEOUT: Duration = Duration::from_secs(2);

/// The resources that a run observes.
#[derive(Debug, Clone)]
pub struct WatchList {
    routes: Vec<RouteId>,
    groups: Vec<String>,
    load_balancers: Vec<String>,
    run: String,
    tagged: bool,
    marker_pending: bool,
    /// Groups with instance targets: group → cluster, Service.
    replicas: BTreeMap<String, (ClusterName, ServiceRef)>,
    /// Groups with a Service: group → cluster, Service.
    services: BTreeMap<String, (ClusterName, ServiceRef)>,
}

impl WatchList {
    /// The resources that a run's decisions depend on.
    pub fn of(plan: &Plan, state: &State) -> Self {
        let groups = &state.started.groups;
        // Groups that carry traffic are guarded even if the plan's steps cannot be read.
        let carrying = groups_with_traffic(state);
        let used = |cluster: &str, arn: &str| {
            carrying.contains_key(arn)
                || desired_split::ever_used(plan, state.started.start.as_ref(), cluster)
                || state.routes.values().any(|r| r.original().weight(arn).is_some_and(|w| w > 0))
        };
        let behind = |only_nodes: bool| {
            let place = move |(arn, g): (&String, &GroupStart)| {
                let workload = plan.workloads.iter().find(|w| w.name == g.workload)?;
                let wanted = !only_nodes || workload.binding.target_type == TargetType::Instance;
                Some((arn.clone(), (g.cluster.clone(), workload.service(&g.cluster).cloned().filter(|_| wanted)?)))
            };
            groups.iter().filter_map(place).collect()
        };
        Self {
            routes: state.routes.keys().cloned().collect(),
            groups: groups.iter().filter(|(arn, g)| used(&g.cluster, arn)).map(|(arn, _)| arn.clone()).collect(),
            load_balancers: state.started.load_balancers.clone(),
            run: state.run.clone(),
            tagged: plan.marker == model::MarkerMode::Tag,
            marker_pending: false,
            replicas: behind(true),
            services: behind(false),
        }
    }

    /// The marker is being put: until then it is not read.
    pub fn expect_marker(&mut self) {
        self.marker_pending = true;
    }

    /// The marker is put.
    pub fn marker_put(&mut self) {
        self.marker_pending = false;
    }

    /// How many calls an observation takes, for the poll budget.
    pub fn calls(&self) -> usize {
        self.groups.len() + self.routes.len().div_ceil(20) + self.load_balancers.len()
    }
}

/// Reads everything once.
pub async fn observe_all(
    subject: &WatchList,
    balancer: &LoadBalancerApi,
    clusters: &BTreeMap<ClusterName, Arc<dyn Cluster>>,
    clock: &dyn Clock,
) -> Observation {
    let replicas =
        workload_numbers(&subject.replicas, clusters, |view| Some(view.owners.iter().map(|o| o.ready).sum()));
    let (routes, health, marker, replicas) = tokio::join!(
        read_routes(&subject.routes, &*balancer.traffic, clock),
        read_targets(&subject.groups, &*balancer.traffic, clock),
        observe_marker(subject, &*balancer.tags, clock),
        replicas
    );
    Observation { routes, health, replicas, marker, census: Vec::new() }
}

/// Reads the marker. `None` if the plan has no marker, or if it is just being put.
pub async fn observe_marker(subject: &WatchList, marks: &dyn TagStore, clock: &dyn Clock) -> Option<Reading<Marker>> {
    if !subject.tagged || subject.marker_pending {
        return None;
    }
    let at = clock.now();
    Some(Reading { at, value: marker::read(marks, &subject.load_balancers, &subject.run).await })
}

/// Reads every route of the load balancers, because anyone can add a rule. Load balancers that cannot be read are
/// skipped.
pub async fn observe_rules(subject: &WatchList, traffic: &dyn Traffic) -> Vec<FoundRoute> {
    let mut all = Vec::new();
    for load_balancer in &subject.load_balancers {
        // An unreadable load balancer is counted the next time; nothing depends on it.
        all.extend(traffic.census(load_balancer).await.unwrap_or_default().routes);
    }
    all
}

/// Reads the maximum number of pods of each group with an autoscaler, if its cluster answers within `AUTOSCALER_TIMEOUT`.
pub async fn read_autoscaler_limits(
    subject: &WatchList,
    clusters: &BTreeMap<ClusterName, Arc<dyn Cluster>>,
) -> BTreeMap<String, u32> {
    let highest = |view: &WorkloadView| view.hpas.iter().map(|h| h.max).max();
    let asked = clusters.iter().map(async |(name, cluster)| {
        let only = BTreeMap::from([(name.clone(), Arc::clone(cluster))]);
        tokio::time::timeout(AUTOSCALER_TIMEOUT, workload_numbers(&subject.services, &only, highest))
            .await
            .unwrap_or_default()
    });
    join_all(asked).await.into_iter().flatten().collect()
}

/// Reads a number of the workload behind each group. Groups whose cluster does not answer are left out.
async fn workload_numbers(
    groups: &BTreeMap<String, (ClusterName, ServiceRef)>,
    clusters: &BTreeMap<ClusterName, Arc<dyn Cluster>>,
    number: impl Fn(&WorkloadView) -> Option<u32>,
) -> BTreeMap<String, u32> {
    let asked = clusters.iter().map(async |(name, cluster)| {
        let (arns, services): (Vec<_>, Vec<_>) =
            groups.iter().filter(|(_, (c, _))| c == name).map(|(arn, (_, s))| (arn, s)).unzip();
        arns.into_iter().zip(if services.is_empty() { Vec::new() } else { cluster.workloads(&services).await })
    });
    let views = join_all(asked).await.into_iter().flatten();
    views.filter_map(|(arn, view)| Some((arn.clone(), number(&view.ok()?)?))).collect()
}

/// Reads the health of some groups only.
pub async fn observe_health(groups: &[String], traffic: &dyn Traffic, clock: &dyn Clock) -> Observation {
    Observation { health: read_targets(groups, traffic, clock).await, ..Observation::default() }
}

async fn read_routes(
    ids: &[RouteId],
    traffic: &dyn Traffic,
    clock: &dyn Clock,
) -> BTreeMap<RouteId, Reading<RouteContent>> {
    let ask = |ids: Vec<RouteId>| async move {
        let at = clock.now();
        with_time(at, traffic.routes(&ids).await)
    };
    retry::retry_each(OBSERVE, clock, throttled, ids, ask).await
}

async fn read_targets(
    groups: &[String],
    traffic: &dyn Traffic,
    clock: &dyn Clock,
) -> BTreeMap<String, Reading<Vec<Target>>> {
    let ask = |groups: Vec<String>| async move {
        let at = clock.now();
        with_time(at, traffic.health(&groups).await)
    };
    retry::retry_each(OBSERVE, clock, throttled, groups, ask).await
}

/// Gives each reading the time at which its call started.
fn with_time<K: Ord, T>(at: Timestamp, read: BTreeMap<K, Result<T, Unreadable>>) -> BTreeMap<K, Reading<T>> {
    read.into_iter().map(|(key, value)| (key, Reading { at, value })).collect()
}

fn throttled<T>(reading: &Reading<T>) -> bool {
    matches!(reading.value, Err(Unreadable::Throttled))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixture;
    use crate::engine::fake::FakeTags;

    #[test]
    fn the_groups_that_a_rollback_returns_to_are_looked_at() {
        let looks_at_c = |start: Option<&str>| {
            let mut started = fixture::started(4);
            started.start = start.map(|cluster| [(cluster.to_owned(), 100)].into());
            let c = GroupStart { cluster: "c".into(), ..started.groups.values().next().expect("a group").clone() };
            started.groups.insert("c's group".into(), c);
            let state = fixture::state(started);
            WatchList::of(&fixture::plan(), &state).groups.contains(&"c's group".to_owned())
        };
        assert!(looks_at_c(Some("c")) && !looks_at_c(Some("a")) && !looks_at_c(None));
    }

    /// Observing 200 groups for an hour takes at most a fifth of 50 calls a second, or the budget if there is one.
    #[tokio::test(start_paused = true)]
    async fn looking_at_200_groups_stays_within_its_budget() {
        let mut started = fixture::started(36);
        let template = started.groups.values().find(|g| g.cluster == "a").expect("a group").clone();
        started.groups.extend((0..200).map(|i| (format!("group {i}"), template.clone())));
        let state = fixture::state(started);
        let subject = WatchList::of(&fixture::plan(), &state);
        assert!(subject.groups.len() >= 200);
        let clock = crate::adapter::clock::LabClock::new(Timestamp::UNIX_EPOCH, 1.0);
        for (budget, most) in [(None, 0.2 * 50.0), (Some(2.0), 2.0)] {
            let settings = super::super::Settings::new("alice@mac".into(), "mac".into(), subject.calls())
                .with_api_budget(budget, subject.calls());
            let fake = Arc::new(FakeTags::default());
            let balancer = LoadBalancerApi {
                traffic: Arc::clone(&fake) as _,
                inventory: Arc::clone(&fake) as _,
                tags: Arc::clone(&fake) as _,
            };
            let end = clock.now() + jiff::SignedDuration::from_hours(1);
            while clock.now() < end {
                observe_all(&subject, &balancer, &BTreeMap::new(), &clock).await;
                clock.sleep(settings.poll).await;
            }
            let calls = f64::from(u32::try_from(fake.calls()).expect("not that many"));
            assert!(calls > 3000.0 && calls / 3600.0 <= most * 1.02, "{calls} calls in an hour, of {most} a second");
        }
    }
}
