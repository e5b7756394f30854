//! Combines the load balancers of AWS and HAProxy into one API: the id of a resource says where it is.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;

use super::aws::SdkConfig;
use super::aws::elb::Alb;
use super::haproxy::{Haproxy, RuntimeApi};
use crate::domain::elb::balancer::{Listener, LiveRoute, LoadBalancer, TargetGroup};
use crate::domain::haproxy::{Group, is_haproxy};
use crate::domain::health::Target;
use crate::domain::run::header_rule::HeaderRule;
use crate::domain::traffic::{RouteCensus, RouteContent, RouteId, Tags, Unreadable};
use crate::plan::model::{Plan, Selector};
use crate::port::{Caller, Detail, Groups, Inventory, LoadBalancerApi, RuleStore, TagStore, Traffic, WriteError};

/// The load balancers of AWS, if there are any, and HAProxy.
#[derive(Clone)]
pub struct Balancers {
    aws: Option<LoadBalancerApi>,
    haproxy: LoadBalancerApi,
}

impl Balancers {
    /// Builds the API of all load balancers of a plan. A plan without `spec.aws` calls nothing of AWS.
    pub fn connect(plan: &Plan, config: &SdkConfig) -> LoadBalancerApi {
        Self::over(plan, || Alb::new(config), RuntimeApi::of_machine())
    }

    /// Builds the API of all load balancers of a plan from these clients of AWS and of HAProxy.
    pub fn over(plan: &Plan, aws: impl FnOnce() -> Alb, runtime_api: RuntimeApi) -> LoadBalancerApi {
        let selectors = plan.workloads.iter().flat_map(|w| &w.routes).flat_map(|entry| &entry.target_groups);
        let groups = selectors.filter_map(|(_, selector)| match selector {
            Selector::Arn(id) => Group::parse(id),
            _ => None,
        });
        let groups: Vec<Group> = groups.collect();
        let aws = || LoadBalancerApi::new(aws());
        if groups.is_empty() {
            return aws();
        }
        let haproxy = LoadBalancerApi::new(Haproxy::over(runtime_api, groups));
        LoadBalancerApi::new(Self::new((!plan.region.is_empty()).then(aws), haproxy))
    }

    /// Combines both. Without `aws`, nothing of AWS is called.
    pub fn new(aws: Option<LoadBalancerApi>, haproxy: LoadBalancerApi) -> Self {
        Self { aws, haproxy }
    }

    fn of(&self, id: &str) -> Result<&LoadBalancerApi, Unreadable> {
        if is_haproxy(id) { Ok(&self.haproxy) } else { self.aws() }
    }

    fn aws(&self) -> Result<&LoadBalancerApi, Unreadable> {
        self.aws.as_ref().ok_or_else(|| Unreadable::Setup("the plan has no `spec.aws`".to_owned()))
    }

    fn of_selector(&self, selector: &Selector) -> Result<&LoadBalancerApi, Unreadable> {
        match selector {
            Selector::Arn(id) => self.of(id),
            _ => self.aws(),
        }
    }

    /// Returns the APIs with their part of the resources.
    fn parts<T: Clone>(
        &self,
        all: &[T],
        id: impl Fn(&T) -> &str,
    ) -> [(Result<&LoadBalancerApi, Unreadable>, Vec<T>); 2] {
        let (haproxy, aws) = all.iter().cloned().partition(|one| is_haproxy(id(one)));
        [(Ok(&self.haproxy), haproxy), (self.aws(), aws)]
    }
}

#[async_trait]
impl Traffic for Balancers {
    async fn routes(&self, ids: &[RouteId]) -> BTreeMap<RouteId, Result<RouteContent, Unreadable>> {
        let [one, two] = self.parts(ids, RouteId::id).map(async |(api, ids)| match api {
            _ if ids.is_empty() => BTreeMap::new(),
            Ok(api) => api.traffic.routes(&ids).await,
            Err(why) => ids.into_iter().map(|id| (id, Err(why.clone()))).collect(),
        });
        let (mut all, more) = futures::join!(one, two);
        all.extend(more);
        all
    }

    async fn health(&self, groups: &[String]) -> BTreeMap<String, Result<Vec<Target>, Unreadable>> {
        let [one, two] = self.parts(groups, |id| id).map(async |(api, groups)| match api {
            _ if groups.is_empty() => BTreeMap::new(),
            Ok(api) => api.traffic.health(&groups).await,
            Err(why) => groups.into_iter().map(|id| (id, Err(why.clone()))).collect(),
        });
        let (mut all, more) = futures::join!(one, two);
        all.extend(more);
        all
    }

    async fn census(&self, load_balancer: &str) -> Result<RouteCensus, Unreadable> {
        self.of(load_balancer)?.traffic.census(load_balancer).await
    }

    async fn set(&self, id: &RouteId, content: &RouteContent, deadline: Duration) -> Result<(), WriteError> {
        let api = self.of(id.id()).map_err(|why| WriteError::NotSent(why.to_string()))?;
        api.traffic.set(id, content, deadline).await
    }
}

#[async_trait]
impl Inventory for Balancers {
    async fn caller(&self) -> Result<Caller, Unreadable> {
        self.aws()?.inventory.caller().await
    }

    async fn load_balancers(&self, selector: &Selector, detail: Detail) -> Result<Vec<LoadBalancer>, Unreadable> {
        self.of_selector(selector)?.inventory.load_balancers(selector, detail).await
    }

    async fn listeners(
        &self,
        load_balancer: &str,
        detail: Detail,
    ) -> Result<Vec<(Listener, Vec<LiveRoute>)>, Unreadable> {
        self.of(load_balancer)?.inventory.listeners(load_balancer, detail).await
    }

    async fn target_groups(&self, groups: Groups<'_>, detail: Detail) -> Result<Vec<TargetGroup>, Unreadable> {
        let api = match groups {
            Groups::Of(id) => self.of(id)?,
            Groups::Matching(selector) => self.of_selector(selector)?,
        };
        api.inventory.target_groups(groups, detail).await
    }

    async fn quota(&self, name: &str) -> Result<u32, Unreadable> {
        self.aws()?.inventory.quota(name).await
    }
}

#[async_trait]
impl TagStore for Balancers {
    fn has_tags(&self, id: &str) -> bool {
        self.of(id).is_ok_and(|api| api.tags.has_tags(id))
    }

    async fn tags(&self, ids: &[String]) -> Result<BTreeMap<String, Tags>, Unreadable> {
        self.aws()?.tags.tags(ids).await
    }

    async fn put(&self, ids: &[String], tags: &Tags) -> Result<(), WriteError> {
        self.aws().map_err(|why| WriteError::NotSent(why.to_string()))?.tags.put(ids, tags).await
    }

    async fn remove(&self, ids: &[String], keys: &[String]) -> Result<(), WriteError> {
        self.aws().map_err(|why| WriteError::NotSent(why.to_string()))?.tags.remove(ids, keys).await
    }
}

#[async_trait]
impl RuleStore for Balancers {
    async fn create(&self, rule: &HeaderRule, tags: &Tags, deadline: Duration) -> Result<String, WriteError> {
        let api = self.of(&rule.load_balancer).map_err(|why| WriteError::NotSent(why.to_string()))?;
        api.rules.create(rule, tags, deadline).await
    }

    async fn delete(&self, id: &str, deadline: Duration) -> Result<(), WriteError> {
        let api = self.of(id).map_err(|why| WriteError::NotSent(why.to_string()))?;
        api.rules.delete(id, deadline).await
    }
}
