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

/// The fixture's load balancer without health data. It counts the calls.
#[derive(Default)]
struct CountingBalancer {
    calls: AtomicUsize,
}

impl CountingBalancer {
    fn count_call<T>(&self, answer: T) -> T {
        self.calls.fetch_add(1, Ordering::Relaxed);
        answer
    }
}

#[async_trait]
impl Inventory for CountingBalancer {
    async fn caller(&self) -> Result<Identified, Unreadable> {
        Ok(self.count_call(Identified { account: "123456789012".to_owned(), arn: "arn:x".to_owned(), expires: None }))
    }
    async fn load_balancers(&self, _: &Selector, _: Detail) -> Result<Vec<LoadBalancer>, Unreadable> {
        Ok(self.count_call(vec![load_balancer()]))
    }
    async fn listeners(&self, _: &str, _: Detail) -> Result<Vec<(Listener, Vec<LiveRoute>)>, Unreadable> {
        Ok(self.count_call(live_resources().listeners.into_values().flatten().flatten().collect()))
    }
    async fn target_groups(&self, groups: Groups<'_>, _: Detail) -> Result<Vec<TargetGroup>, Unreadable> {
        let found = match groups {
            Groups::Of(LB) => vec![group("webapp-a"), group("webapp-default")],
            Groups::Of(_) => Vec::new(),
            Groups::Matching(selector) => {
                assert_eq!(*selector, Selector::Name("webapp-b".to_owned()), "attached groups must not be read again");
                vec![group("webapp-b")]
            }
        };
        Ok(self.count_call(found))
    }
    async fn quota(&self, _: &str) -> Result<u32, Unreadable> {
        Ok(self.count_call(5))
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
        panic!("reading facts must not write")
    }
}

#[tokio::test]
async fn every_fact_is_read_once_and_a_failed_read_is_a_finding() {
    let mut plan = plan();
    let mut second = plan.workloads[0].clone();
    second.name = "other".to_owned();
    plan.workloads.push(second);
    let balancer = CountingBalancer::default();
    let facts = gather(&plan, &balancer, &balancer, &ClusterPorts::new()).await;
    // The five calls read the caller, the load balancer, its listeners, its groups, and the one unattached group. Two
    // workloads need no more calls than one.
    assert_eq!(balancer.calls.load(Ordering::Relaxed), 5);
    assert_eq!(facts.selection.routes.len(), 6);
    assert_eq!(facts.health.len(), 3);
    let findings = preflight::check(&plan, &facts, Timestamp::UNIX_EPOCH);
    assert!(findings.iter().any(|f| f.code == Code::CUT052 && f.message.contains("throttled")), "{findings:#?}");
}
