//! A balancer that lies to the engine, above the recorders, which know what is true.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use cutover::domain::elb::balancer::{Listener, LiveRoute, LoadBalancer, TargetGroup};
use cutover::domain::health::{Target, TargetState};
use cutover::domain::traffic::{RouteCensus, RouteContent, RouteId, Tags, Unreadable};
use cutover::engine::Ports;
use cutover::plan::model::Selector;
use cutover::port::{Caller, Detail, Groups, Inventory, LoadBalancerApi, TagStore, Traffic, WriteError};

/// The call whose answer is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// Targets that are being registered are called healthy.
    InitialIsHealthy,
    /// A write drops the groups that are not the plan's.
    DropsThird,
    /// Nothing is sent, and what was to be set is read.
    NeverSent,
    /// Health of the new group that cannot be read is no targets at all.
    NoDataIsNone,
    /// Routes are read once, and remembered.
    Cached,
    /// A marker is ours whatever it says.
    MarkerIsOurs,
    /// The account is the right one, and nobody is asked.
    NobodyAsks,
}

/// A lie between the engine and its ports.
pub fn between(ports: Ports, lie: Lie) -> Ports {
    let liar = Liar { inner: ports.balancer.clone(), lie, told: Mutex::default(), mark: Mutex::default() };
    Ports { balancer: LoadBalancerApi::new(liar), ..ports }
}

struct Liar {
    inner: LoadBalancerApi,
    lie: Lie,
    told: Mutex<BTreeMap<RouteId, RouteContent>>,
    mark: Mutex<Tags>,
}

impl Liar {
    fn written(&self, content: &RouteContent) -> RouteContent {
        let mut content = content.clone();
        content.split.members.retain(|m| self.lie != Lie::DropsThird || !m.id.contains("/shop-default/"));
        content
    }

    fn remember(&self, id: &RouteId, content: RouteContent) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), content);
    }
}

#[async_trait]
impl Traffic for Liar {
    async fn routes(&self, ids: &[RouteId]) -> BTreeMap<RouteId, Result<RouteContent, Unreadable>> {
        let mut all = self.inner.traffic.routes(ids).await;
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, live) in all.iter_mut().filter_map(|(id, live)| Some((id, live.as_mut().ok()?))) {
            match (self.lie, told.get(id)) {
                (Lie::Cached | Lie::NeverSent | Lie::DropsThird, Some(content)) => live.clone_from(content),
                (Lie::Cached, None) => {
                    told.insert(id.clone(), live.clone());
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
        if self.lie == Lie::NeverSent {
            return Ok(());
        }
        self.inner.traffic.set(id, &self.written(content), deadline).await
    }

    async fn health(&self, groups: &[String]) -> BTreeMap<String, Result<Vec<Target>, Unreadable>> {
        let mut all = self.inner.traffic.health(groups).await;
        for (group, reading) in &mut all {
            match (self.lie, &mut *reading) {
                (Lie::InitialIsHealthy, Ok(targets)) => {
                    targets
                        .iter_mut()
                        .filter(|t| t.state != TargetState::Draining)
                        .for_each(|t| t.state = TargetState::Healthy);
                }
                (Lie::NoDataIsNone, Err(_)) if group.contains("/shop-b/") => *reading = Ok(Vec::new()),
                _ => {}
            }
        }
        all
    }
}

#[async_trait]
impl TagStore for Liar {
    async fn tags(&self, arns: &[String]) -> Result<BTreeMap<String, Tags>, Unreadable> {
        let mut all = self.inner.tags.tags(arns).await?;
        if self.lie == Lie::MarkerIsOurs {
            let mark = self.mark.lock().unwrap_or_else(PoisonError::into_inner);
            for tags in all.values_mut() {
                tags.extend(mark.clone());
            }
        }
        Ok(all)
    }

    async fn put(&self, arns: &[String], tags: &Tags) -> Result<(), WriteError> {
        if self.lie == Lie::MarkerIsOurs {
            self.mark.lock().unwrap_or_else(PoisonError::into_inner).extend(tags.clone());
            return Ok(());
        }
        self.inner.tags.put(arns, tags).await
    }

    async fn remove(&self, arns: &[String], keys: &[String]) -> Result<(), WriteError> {
        self.inner.tags.remove(arns, keys).await
    }
}

#[async_trait]
impl Inventory for Liar {
    async fn caller(&self) -> Result<Caller, Unreadable> {
        if self.lie == Lie::NobodyAsks {
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
}
