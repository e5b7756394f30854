use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use super::*;
use crate::base::finding::Code;
use crate::domain::elb::balancer::{Listener, LiveRoute, LoadBalancer};
use crate::domain::fixture::{LB, group, live_resources, load_balancer, plan};
use crate::domain::health::Target;
use crate::domain::preflight;
use crate::domain::traffic::{RouteCensus, RouteContent, RouteId};
use crate::port::{Caller as Identified, WriteError};

/// The fixture's load balancer: it has no health data and counts its calls.
#[derive(Default)]
struct CountingBalancer {
    asked: AtomicUsize,
}

impl CountingBalancer {
    fn ask<T>(&self, answer: T) -> T {
        self.asked.fetch_add(1, Ordering::Relaxed);
        answer
    }
}

#[async_trait]
impl Inventory for CountingBalancer {
    async fn caller(&self) -> Result<Identified, Unreadable> {
        Ok(self.ask(Identified { account: "123456789012".to_owned(), arn: "arn:x".to_owned(), expires: None }))
    }
    async fn load_balancers(&self, _: &Selector, _: Detail) -> Result<Vec<LoadBalancer>, Unreadable> {
        Ok(self.ask(vec![load_balancer()]))
    }
    async fn listeners(&self, _: &str, _: Detail) -> Result<Vec<(Listener, Vec<LiveRoute>)>, Unreadable> {
        Ok(self.ask(live_resources().listeners.into_values().flatten().flatten().collect()))
    }
    async fn target_groups(&self, groups: Groups<'_>, _: Detail) -> Result<Vec<TargetGroup>, Unreadable> {
        let found = match groups {
            Groups::Of(LB) => vec![group("webapp-a"), group("webapp-default")],
            Groups::Of(_) => Vec::new(),
            Groups::Matching(selector) => {
                assert_eq!(*selector, Selector::Name("webapp-b".to_owned()), "what is attached is known already");
                vec![group("webapp-b")]
            }
        };
        Ok(self.ask(found))
    }
}

#[async_trait]
impl Traffic for CountingBalancer {
    async fn routes(&self, _: &[RouteId]) -> BTreeMap<RouteId, Result<RouteContent, Unreadable>> {
        BTreeMap::new()
    }
    async fn health(&self, groups: &[String]) -> BTreeMap<String, Result<Vec<Target>, Unreadable>> {
        groups.iter().map(|g| (g.clone(), Err(Unreadable::Throttled))).collect()
    }
    async fn census(&self, _: &str) -> Result<RouteCensus, Unreadable> {
        Err(Unreadable::Throttled)
    }
    async fn set(&self, _: &RouteId, _: &RouteContent, _: Duration) -> Result<(), WriteError> {
        panic!("looking changes nothing")
    }
}

#[tokio::test]
async fn each_thing_is_asked_for_once_and_what_cannot_be_read_is_a_finding() {
    let mut plan = plan();
    let mut second = plan.workloads[0].clone();
    second.name = "other".to_owned();
    plan.workloads.push(second);
    let balancer = CountingBalancer::default();
    let facts = gather(&plan, &balancer, &balancer, &ClusterPorts::new()).await;
    // Caller, load balancer, listeners, its groups, the one unattached group: two workloads need no more calls than
    // one.
    assert_eq!(balancer.asked.load(Ordering::Relaxed), 5);
    assert_eq!(facts.selection.routes.len(), 6);
    assert_eq!(facts.health.len(), 3);
    let findings = preflight::check(&plan, &facts, Timestamp::UNIX_EPOCH);
    assert!(findings.iter().any(|f| f.code == Code::CUT052 && f.message.contains("throttled")), "{findings:#?}");
}
