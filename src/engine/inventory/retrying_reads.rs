//! A load balancer API that retries its reads, for commands that read only once (`check`, `init`, the start of a run).
//! The loop of a run does not use it, because it reads again anyway and freezes the run if that fails. Do not retry
//! writes here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::base::retry::READ;
use crate::domain::elb::balancer::{Listener, LiveRoute, LoadBalancer, TargetGroup};
use crate::domain::health::Target;
use crate::domain::traffic::{RouteCensus, RouteContent, RouteId, Tags, Unreadable};
use crate::engine::retry::{retry, retry_each};
use crate::plan::model::Selector;
use crate::port::{Caller, Clock, Detail, Groups, Inventory, LoadBalancerApi, TagStore, Traffic, WriteError};

/// Wraps a load balancer API so that it retries its reads.
pub fn with_retries(balancer: &LoadBalancerApi, clock: &Arc<dyn Clock>) -> LoadBalancerApi {
    LoadBalancerApi {
        traffic: Arc::new(RetryingReads { inner: Arc::clone(&balancer.traffic), clock: Arc::clone(clock) }),
        inventory: Arc::new(RetryingReads { inner: Arc::clone(&balancer.inventory), clock: Arc::clone(clock) }),
        tags: Arc::new(RetryingReads { inner: Arc::clone(&balancer.tags), clock: Arc::clone(clock) }),
    }
}

/// A port whose reads are retried.
struct RetryingReads<S: ?Sized> {
    inner: Arc<S>,
    clock: Arc<dyn Clock>,
}

impl<S: ?Sized> RetryingReads<S> {
    async fn read<T, F: Future<Output = Result<T, Unreadable>>>(&self, call: impl Fn() -> F) -> Result<T, Unreadable> {
        retry(READ, &*self.clock, is_temporary, call).await
    }

    /// Repeats a read also while the result is `partial`. Returns a partial result if the retries do not complete it.
    async fn read_complete<T, F>(&self, partial: fn(&T) -> bool, call: impl Fn() -> F) -> Result<T, Unreadable>
    where
        F: Future<Output = Result<T, Unreadable>>,
    {
        let mut read = call().await;
        for pause in READ.pauses() {
            if !read.as_ref().map_or_else(is_temporary, partial) {
                break;
            }
            self.clock.sleep(pause).await;
            let next = call().await;
            if next.is_ok() || read.is_err() {
                read = next;
            }
        }
        read
    }
}

/// Returns whether a retry of the read may succeed.
pub fn is_temporary(why: &Unreadable) -> bool {
    matches!(why, Unreadable::Throttled | Unreadable::Unavailable(_))
}

fn is_retryable<T>(read: &Result<T, Unreadable>) -> bool {
    read.as_ref().is_err_and(is_temporary)
}

/// Returns whether a part of a listener was not read and a retry may read it.
fn is_partly_unread(listener: &Listener) -> bool {
    listener.unread.iter().map(|u| &u.why).chain(&listener.tags_unread).any(is_temporary)
}

#[async_trait]
impl Traffic for RetryingReads<dyn Traffic> {
    async fn routes(&self, ids: &[RouteId]) -> BTreeMap<RouteId, Result<RouteContent, Unreadable>> {
        let inner = &*self.inner;
        retry_each(READ, &*self.clock, is_retryable, ids, |ids: Vec<RouteId>| async move { inner.routes(&ids).await })
            .await
    }

    async fn health(&self, groups: &[String]) -> BTreeMap<String, Result<Vec<Target>, Unreadable>> {
        let inner = &*self.inner;
        retry_each(READ, &*self.clock, is_retryable, groups, |groups: Vec<String>| async move {
            inner.health(&groups).await
        })
        .await
    }

    async fn census(&self, load_balancer: &str) -> Result<RouteCensus, Unreadable> {
        let partial = |census: &RouteCensus| census.unread.iter().any(|unread| is_temporary(&unread.why));
        self.read_complete(partial, || self.inner.census(load_balancer)).await
    }

    async fn set(&self, id: &RouteId, content: &RouteContent, deadline: Duration) -> Result<(), WriteError> {
        self.inner.set(id, content, deadline).await
    }
}

#[async_trait]
impl Inventory for RetryingReads<dyn Inventory> {
    async fn caller(&self) -> Result<Caller, Unreadable> {
        self.read(|| self.inner.caller()).await
    }

    async fn load_balancers(&self, selector: &Selector, detail: Detail) -> Result<Vec<LoadBalancer>, Unreadable> {
        self.read(|| self.inner.load_balancers(selector, detail)).await
    }

    async fn listeners(
        &self,
        load_balancer: &str,
        detail: Detail,
    ) -> Result<Vec<(Listener, Vec<LiveRoute>)>, Unreadable> {
        let partial =
            |all: &Vec<(Listener, Vec<LiveRoute>)>| all.iter().any(|(listener, _)| is_partly_unread(listener));
        self.read_complete(partial, || self.inner.listeners(load_balancer, detail)).await
    }

    async fn target_groups(&self, groups: Groups<'_>, detail: Detail) -> Result<Vec<TargetGroup>, Unreadable> {
        self.read(|| self.inner.target_groups(groups, detail)).await
    }
}

#[async_trait]
impl TagStore for RetryingReads<dyn TagStore> {
    async fn tags(&self, arns: &[String]) -> Result<BTreeMap<String, Tags>, Unreadable> {
        self.read(|| self.inner.tags(arns)).await
    }

    async fn put(&self, arns: &[String], tags: &Tags) -> Result<(), WriteError> {
        self.inner.put(arns, tags).await
    }

    async fn remove(&self, arns: &[String], keys: &[String]) -> Result<(), WriteError> {
        self.inner.remove(arns, keys).await
    }
}
