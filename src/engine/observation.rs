//! Reads everything that a run's decisions depend on: routes, target health and markers, in parallel. Do not change or
//! judge anything here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;

use super::{marker, retry};
use crate::base::retry::OBSERVE;
use crate::domain::decide::desired_split;
use crate::domain::health::Target;
use crate::domain::kubernetes::workload::WorkloadView;
use crate::domain::run::event::GroupStart;
use crate::domain::run::observation::{Marker, Observation};
use crate::domain::run::state::State;
use crate::domain::traffic::{FoundRoute, Reading, RouteCensus, RouteContent, RouteId, Unreadable};
use crate::plan::model::{self, ClusterName, Plan, ServiceRef, TargetType};
use crate::port::{Clock, Cluster, LoadBalancerApi, TagStore, Traffic};

/// The time-out of reads that only explain a wait. These reads must not delay the guard.
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
    /// The cluster and the Service of each group with instance targets, by group.
    replicas: BTreeMap<String, (ClusterName, ServiceRef)>,
    /// The cluster and the Service of each group with a Service, by group.
    services: BTreeMap<String, (ClusterName, ServiceRef)>,
}

/// The resources that one part of a round reads.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Part {
    /// The routes to read.
    pub routes: Vec<RouteId>,
    /// The ARNs of the target groups to read.
    pub groups: Vec<String>,
    /// Whether to read the marker on the load balancers.
    pub marker: bool,
    /// The time at which the round began, if this part is the last part of the round.
    pub completes: Option<Timestamp>,
}

impl WatchList {
    /// Collects the resources that a run's decisions depend on.
    pub fn of(plan: &Plan, state: &State) -> Self {
        let groups = &state.started.groups;
        // Groups that carry traffic are guarded even if this build cannot read the plan's steps.
        let carrying = state.groups_with_traffic();
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
        let lost = |group: &String| {
            state.routes_of_group(group).next().is_none()
                && state.left_out.values().any(|route| route.start.groups.values().any(|own| own == group))
        };
        let lost_balancer = |id: &String| state.left_out.values().any(|route| route.start.load_balancer == *id);
        let watched = groups.iter().filter(|(arn, g)| used(&g.cluster, arn) && !lost(arn));
        Self {
            routes: state.routes.keys().cloned().collect(),
            groups: watched.map(|(arn, _)| arn.clone()).collect(),
            load_balancers: state.started.load_balancers.iter().filter(|id| !lost_balancer(id)).cloned().collect(),
            run: state.run.clone(),
            tagged: plan.marker == model::MarkerMode::Tag,
            marker_pending: false,
            replicas: behind(true),
            services: behind(false),
        }
    }

    /// Skips reads of the marker until [`Self::marker_put`] is called, because the marker is being put.
    pub fn expect_marker(&mut self) {
        self.marker_pending = true;
    }

    /// Enables reads of the marker after the marker was put.
    pub fn marker_put(&mut self) {
        self.marker_pending = false;
    }

    /// Returns the routes.
    pub fn routes(&self) -> &[RouteId] {
        &self.routes
    }

    /// Returns the ARNs of the load balancers.
    pub fn load_balancers(&self) -> &[String] {
        &self.load_balancers
    }

    /// Returns the ARNs of the target groups.
    pub fn groups(&self) -> &[String] {
        &self.groups
    }

    /// Whether the health of a target group is observed.
    pub fn has_group(&self, arn: &String) -> bool {
        self.groups.binary_search(arn).is_ok()
    }

    /// Returns the Services behind the observed groups, each with its cluster and its groups.
    pub fn services(&self) -> BTreeMap<(ClusterName, ServiceRef), Vec<String>> {
        let mut all: BTreeMap<_, Vec<String>> = BTreeMap::new();
        for (arn, service) in self.services.iter().filter(|(arn, _)| self.has_group(arn)) {
            all.entry(service.clone()).or_default().push(arn.clone());
        }
        all
    }

    /// Returns a part that reads everything.
    pub fn everything(&self, now: Timestamp) -> Part {
        Part { routes: self.routes.clone(), groups: self.groups.clone(), marker: true, completes: Some(now) }
    }

    /// Returns the number of calls in one observation, for the poll budget.
    pub fn calls(&self) -> usize {
        self.groups.len() + self.routes.len().div_ceil(20) + self.load_balancers.len().div_ceil(20)
    }
}

/// Reads all resources of the watch list once.
pub async fn observe_all(
    subject: &WatchList,
    balancer: &LoadBalancerApi,
    clusters: &BTreeMap<ClusterName, Arc<dyn Cluster>>,
    clock: &dyn Clock,
) -> Observation {
    observe_part(subject, &subject.everything(clock.now()), balancer, clusters, clock).await
}

/// Reads one part of the resources that the run observes. The last part of a round also reads the replicas of the
/// workloads.
pub async fn observe_part(
    subject: &WatchList,
    part: &Part,
    balancer: &LoadBalancerApi,
    clusters: &BTreeMap<ClusterName, Arc<dyn Cluster>>,
    clock: &dyn Clock,
) -> Observation {
    let replicas = async {
        if part.completes.is_none() {
            return BTreeMap::new();
        }
        workload_numbers(&subject.replicas, clusters, |view| Some(view.owners.iter().map(|o| o.ready).sum())).await
    };
    let marker = async { if part.marker { observe_marker(subject, &*balancer.tags, clock).await } else { None } };
    let (routes, health, marker, replicas) = tokio::join!(
        read_routes(&part.routes, &*balancer.traffic, clock),
        read_targets(&part.groups, &*balancer.traffic, clock),
        marker,
        replicas
    );
    Observation { routes, health, replicas, marker, census: None }
}

/// Reads the marker. Returns `None` if the plan has no marker, or if the marker is being put.
pub async fn observe_marker(
    subject: &WatchList,
    tag_store: &dyn TagStore,
    clock: &dyn Clock,
) -> Option<Reading<Marker>> {
    if !subject.tagged || subject.marker_pending {
        return None;
    }
    let at = clock.now();
    Some(Reading { at, value: marker::read(tag_store, &subject.load_balancers, &subject.run).await })
}

/// Reads every route of the watch list, and lists all routes of the load balancers.
pub async fn observe_routes(subject: &WatchList, traffic: &dyn Traffic, clock: &dyn Clock) -> Observation {
    let at = clock.now();
    let (routes, census) = tokio::join!(read_routes(&subject.routes, traffic, clock), list_routes(subject, traffic));
    Observation { routes, census: Some(Reading { at, value: census }), ..Observation::default() }
}

/// Lists every route of the watch list's load balancers. See [`list_routes_of`].
pub async fn list_routes(subject: &WatchList, traffic: &dyn Traffic) -> Result<Vec<FoundRoute>, Unreadable> {
    list_routes_of(&subject.load_balancers, traffic).await
}

/// Lists every route of these load balancers, because anyone can add a rule or change its conditions. Omits routes that
/// this build cannot represent.
pub async fn list_routes_of(load_balancers: &[String], traffic: &dyn Traffic) -> Result<Vec<FoundRoute>, Unreadable> {
    let mut all = Vec::new();
    for load_balancer in load_balancers {
        let RouteCensus { routes, unread } = traffic.census(load_balancer).await?;
        if let Some(unread) = unread.into_iter().find(|u| !matches!(u.why, Unreadable::Unrepresentable(_))) {
            return Err(unread.why);
        }
        all.extend(routes);
    }
    Ok(all)
}

/// Reads the maximum number of pods of each group with an autoscaler. Omits clusters that do not respond within
/// `AUTOSCALER_TIMEOUT`.
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

/// Reads a number of the workload behind each group. Omits groups whose cluster does not respond.
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

/// Reads the health of these target groups (ARNs).
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

/// Adds to each reading the time at which its call started.
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
    fn groups_that_a_rollback_needs_are_observed() {
        let observes_c = |start: Option<&str>| {
            let mut started = fixture::started(4);
            started.start = start.map(|cluster| [(cluster.to_owned(), 100)].into());
            let c = GroupStart {
                cluster: "c".into(),
                ..started.groups.values().next().expect("a group must exist").clone()
            };
            started.groups.insert("c's group".into(), c);
            let state = fixture::state(started);
            WatchList::of(&fixture::plan(), &state).groups.contains(&"c's group".to_owned())
        };
        assert!(observes_c(Some("c")) && !observes_c(Some("a")) && !observes_c(None));
    }

    /// Observing 200 groups for an hour takes at most a fifth of 50 calls per second, or the configured budget.
    #[tokio::test(start_paused = true)]
    async fn observing_200_groups_stays_within_the_api_budget() {
        let mut started = fixture::started(36);
        let template = started.groups.values().find(|g| g.cluster == "a").expect("a group must exist").clone();
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
                rules: Arc::clone(&fake) as _,
            };
            let end = clock.now() + jiff::SignedDuration::from_hours(1);
            while clock.now() < end {
                observe_all(&subject, &balancer, &BTreeMap::new(), &clock).await;
                clock.sleep(settings.poll).await;
            }
            let calls = f64::from(u32::try_from(fake.calls()).expect("the number of calls must fit into u32"));
            assert!(calls > 3000.0 && calls / 3600.0 <= most * 1.02, "{calls} calls in an hour, of {most} a second");
        }
    }
}
