//! Looking at the world: routes, health, markers, all at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;

use super::marker;
use crate::adapter::{Balancer, Clock, Cluster};
use crate::domain::alb::{LiveRoute, Reading, RouteId, Target, Unreadable};
use crate::domain::event::GroupStart;
use crate::domain::goal;
use crate::domain::state::State;
use crate::domain::watch::Observation;
use crate::plan::model::{ClusterName, Marker, Plan, ServiceRef, TargetType};

/// What only explains a wait may hold up the guard for no longer than this.
const SOON: Duration = Duration::from_secs(2);

/// What a look at everything looks at.
#[derive(Debug, Clone)]
pub struct Subject {
    routes: Vec<RouteId>,
    groups: Vec<String>,
    load_balancers: Vec<String>,
    run: String,
    tagged: bool,
    /// Groups of instance targets: group → cluster, service.
    replicas: BTreeMap<String, (ClusterName, ServiceRef)>,
    /// Groups with a Service behind them: group → cluster, service.
    services: BTreeMap<String, (ClusterName, ServiceRef)>,
}

impl Subject {
    /// Everything that a run's decisions depend on.
    pub fn of(plan: &Plan, state: &State) -> Self {
        let groups = &state.started.groups;
        let used = |cluster: &str, arn: &str| {
            goal::ever_used(plan, state.started.start.as_ref(), cluster)
                || state.routes.values().any(|r| r.original().weight(arn).is_some_and(|w| w > 0))
        };
        let behind = |only_nodes: bool| {
            let place = move |(arn, g): (&String, &GroupStart)| {
                let workload = plan.workloads.iter().find(|w| w.name == g.workload)?;
                let wanted = !only_nodes || workload.binding.target_type == TargetType::Instance;
                Some((arn.clone(), (g.cluster.clone(), workload.service.clone().filter(|_| wanted)?)))
            };
            groups.iter().filter_map(place).collect()
        };
        Self {
            routes: state.routes.keys().cloned().collect(),
            groups: groups.iter().filter(|(arn, g)| used(&g.cluster, arn)).map(|(arn, _)| arn.clone()).collect(),
            load_balancers: state.started.load_balancers.clone(),
            run: state.run.clone(),
            tagged: plan.marker == Marker::Tag,
            replicas: behind(true),
            services: behind(false),
        }
    }

    /// How many things a look reads, for the poll budget.
    pub fn size(&self) -> usize {
        self.groups.len() + self.routes.len().div_ceil(20) + self.load_balancers.len()
    }
}

/// Looks at everything.
pub async fn whole(
    subject: &Subject,
    balancer: &dyn Balancer,
    clusters: &BTreeMap<ClusterName, Arc<dyn Cluster>>,
    clock: &dyn Clock,
) -> Observation {
    let at = clock.now();
    let replicas = join_all(subject.replicas.iter().map(async |(group, (cluster, service))| {
        let view = clusters.get(cluster)?.workload(service).await.ok()?;
        Some((group.clone(), view.owners.iter().map(|o| o.ready).sum()))
    }));
    let marker = async { if subject.tagged { Some(marker::read(balancer, &subject.load_balancers, &subject.run).await) } else { None } };
    let (routes, health, marker, replicas) =
        tokio::join!(balancer.routes(&subject.routes), balancer.health(&subject.groups), marker, replicas);
    Observation { routes: routes_at(at, routes), health: health_at(at, health), replicas: replicas.into_iter().flatten().collect(), marker }
}

/// The most pods that an autoscaler lets each group have, where there is one and its cluster answers soon.
pub async fn ceilings(subject: &Subject, clusters: &BTreeMap<ClusterName, Arc<dyn Cluster>>) -> BTreeMap<String, u32> {
    let asked = subject.services.iter().map(async |(group, (cluster, service))| {
        let view = tokio::time::timeout(SOON, clusters.get(cluster)?.workload(service)).await.ok()?.ok()?;
        Some((group.clone(), view.hpas.iter().map(|h| h.max).max()?))
    });
    join_all(asked).await.into_iter().flatten().collect()
}

/// Looks at the health of some groups only.
pub async fn health(groups: &[String], balancer: &dyn Balancer, clock: &dyn Clock) -> Observation {
    let at = clock.now();
    Observation { health: health_at(at, balancer.health(groups).await), ..Observation::default() }
}

fn routes_at(at: Timestamp, routes: BTreeMap<RouteId, Result<LiveRoute, Unreadable>>) -> BTreeMap<RouteId, Reading<LiveRoute>> {
    routes.into_iter().map(|(id, value)| (id, Reading { at, value })).collect()
}

fn health_at(at: Timestamp, health: BTreeMap<String, Result<Vec<Target>, Unreadable>>) -> BTreeMap<String, Reading<Vec<Target>>> {
    health.into_iter().map(|(group, value)| (group, Reading { at, value })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::{Event, Record};
    use crate::domain::fixture;

    #[test]
    fn the_groups_that_a_rollback_returns_to_are_looked_at() {
        let looks_at_c = |start: Option<&str>| {
            let mut started = fixture::started(4);
            started.start = start.map(|cluster| [(cluster.to_owned(), 100)].into());
            let c = GroupStart { cluster: "c".into(), ..started.groups.values().next().expect("a group").clone() };
            started.groups.insert("c's group".into(), c);
            let record = Record { seq: 1, time: Timestamp::UNIX_EPOCH, run: "r".into(), event: Event::Started(Box::new(started)) };
            let state = State::fold(&[record]).expect("legal").expect("a state");
            Subject::of(&fixture::plan(), &state).groups.contains(&"c's group".to_owned())
        };
        assert!(looks_at_c(Some("c")) && !looks_at_c(Some("a")) && !looks_at_c(None));
    }
}
