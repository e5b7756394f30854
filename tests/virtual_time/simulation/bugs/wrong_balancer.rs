//! A load balancer API that gives the engine wrong answers. It is above the recorders, so the history has the true
//! values.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use cutover::domain::elb::balancer::{Listener, LiveRoute, LoadBalancer, TargetGroup};
use cutover::domain::health::{Target, TargetState};
use cutover::domain::run::header_rule::HeaderRule;
use cutover::domain::traffic::{RouteCensus, RouteContent, RouteId, Tags, Unreadable};
use cutover::engine::Ports;
use cutover::plan::model::Selector;
use cutover::port::{Caller, Detail, Groups, Inventory, LoadBalancerApi, RuleStore, TagStore, Traffic, WriteError};

use crate::simulation::plans;

/// Which answer of the load balancer API is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WrongAnswer {
    /// Targets that are being registered are reported as healthy.
    InitialIsHealthy,
    /// A write drops the target groups that the plan does not name.
    DropsThird,
    /// No write is sent, and reads return the content of the write.
    NeverSent,
    /// A failed read of the new group's health is reported as a group without targets.
    NoDataIsNone,
    /// Routes are read once and then returned from memory.
    Cached,
    /// Every marker is reported as the marker of this run.
    MarkerIsOurs,
    /// A header rule is reported as deleted, and stays.
    KeepsRules,
    /// The account of the plan is returned without asking AWS.
    NobodyAsks,
}

/// Puts a load balancer API with wrong answers between the engine and its ports.
pub fn wrap(ports: Ports, answer: WrongAnswer) -> Ports {
    let wrong = WrongBalancer {
        inner: ports.balancer.clone(),
        answer,
        remembered: Mutex::default(),
        marker_tags: Mutex::default(),
    };
    Ports { balancer: LoadBalancerApi::new(wrong), ..ports }
}

struct WrongBalancer {
    inner: LoadBalancerApi,
    answer: WrongAnswer,
    remembered: Mutex<BTreeMap<RouteId, RouteContent>>,
    marker_tags: Mutex<Tags>,
}

impl WrongBalancer {
    fn written(&self, content: &RouteContent) -> RouteContent {
        let mut content = content.clone();
        content.split.members.retain(|m| self.answer != WrongAnswer::DropsThird || !m.id.contains("/shop-default/"));
        content
    }

    fn remember(&self, id: &RouteId, content: RouteContent) {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), content);
    }
}

#[async_trait]
impl Traffic for WrongBalancer {
    async fn routes(&self, ids: &[RouteId]) -> BTreeMap<RouteId, Result<RouteContent, Unreadable>> {
        let mut all = self.inner.traffic.routes(ids).await;
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, live) in all.iter_mut().filter_map(|(id, live)| Some((id, live.as_mut().ok()?))) {
            match (self.answer, remembered.get(id)) {
                (WrongAnswer::Cached | WrongAnswer::NeverSent | WrongAnswer::DropsThird, Some(content)) => {
                    live.clone_from(content);
                }
                (WrongAnswer::Cached, None) => {
                    remembered.insert(id.clone(), live.clone());
                }
                _ => {}
            }
        }
        all
    }

    async fn census(&self, load_balancer: &str) -> Result<RouteCensus, Unreadable> {
        self.inner.traffic.census(load_balancer).await
    }

    async fn set(&self, id: &RouteId, content: &RouteContent, deadline: Duration) -> Result<(), WriteError> {
        self.remember(id, content.clone());
        if self.answer == WrongAnswer::NeverSent {
            return Ok(());
        }
        self.inner.traffic.set(id, &self.written(content), deadline).await
    }

    async fn health(&self, groups: &[String]) -> BTreeMap<String, Result<Vec<Target>, Unreadable>> {
        let mut all = self.inner.traffic.health(groups).await;
        for (group, reading) in &mut all {
            match (self.answer, &mut *reading) {
                (WrongAnswer::InitialIsHealthy, Ok(targets)) => {
                    targets
                        .iter_mut()
                        .filter(|t| t.state != TargetState::Draining)
                        .for_each(|t| t.state = TargetState::Healthy);
                }
                (WrongAnswer::NoDataIsNone, Err(_)) if plans::is_new(group) => *reading = Ok(Vec::new()),
                _ => {}
            }
        }
        all
    }
}

#[async_trait]
impl TagStore for WrongBalancer {
    fn has_tags(&self, id: &str) -> bool {
        self.inner.tags.has_tags(id)
    }

    async fn tags(&self, arns: &[String]) -> Result<BTreeMap<String, Tags>, Unreadable> {
        let mut all = self.inner.tags.tags(arns).await?;
        if self.answer == WrongAnswer::MarkerIsOurs {
            let marker_tags = self.marker_tags.lock().unwrap_or_else(PoisonError::into_inner);
            for tags in all.values_mut() {
                tags.extend(marker_tags.clone());
            }
        }
        Ok(all)
    }

    async fn put(&self, arns: &[String], tags: &Tags) -> Result<(), WriteError> {
        if self.answer == WrongAnswer::MarkerIsOurs {
            self.marker_tags.lock().unwrap_or_else(PoisonError::into_inner).extend(tags.clone());
            return Ok(());
        }
        self.inner.tags.put(arns, tags).await
    }

    async fn remove(&self, arns: &[String], keys: &[String]) -> Result<(), WriteError> {
        self.inner.tags.remove(arns, keys).await
    }
}

#[async_trait]
impl Inventory for WrongBalancer {
    async fn caller(&self) -> Result<Caller, Unreadable> {
        if self.answer == WrongAnswer::NobodyAsks {
            let (account, arn) = ("123456789012".to_owned(), "arn:aws:iam::123456789012:user/nobody-asked".to_owned());
            return Ok(Caller { account, arn, expires: None });
        }
        self.inner.inventory.caller().await
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
impl RuleStore for WrongBalancer {
    async fn create(&self, rule: &HeaderRule, tags: &Tags, deadline: Duration) -> Result<String, WriteError> {
        self.inner.rules.create(rule, tags, deadline).await
    }
    async fn delete(&self, id: &str, deadline: Duration) -> Result<(), WriteError> {
        if self.answer == WrongAnswer::KeepsRules {
            return Err(WriteError::NotFound(id.to_owned()));
        }
        self.inner.rules.delete(id, deadline).await
    }
}
