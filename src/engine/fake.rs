//! A load balancer API for tests of locks and markers. It implements only tags.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::domain::elb::balancer::{Listener, LiveRoute, LoadBalancer, TargetGroup};
use crate::domain::health::Target;
use crate::domain::run::header_rule::HeaderRule;
use crate::domain::traffic::{RouteCensus, RouteContent, RouteId, Tags, Unreadable};
use crate::plan::model::Selector;
use crate::port::{Caller, Detail, Groups, Inventory, RuleStore, TagStore, Traffic, WriteError};

/// A simulated load balancer API that stores only tags.
#[derive(Default)]
pub struct FakeTags {
    tags: Mutex<BTreeMap<String, Tags>>,
    refusing: BTreeSet<String>,
    unreadable: bool,
    busy: AtomicUsize,
    calls: AtomicUsize,
    writes: AtomicUsize,
    lists: AtomicUsize,
}

impl FakeTags {
    /// Makes the API refuse to tag this load balancer.
    pub fn refusing(mut self, arn: &str) -> Self {
        self.refusing.insert(arn.into());
        self
    }

    /// Makes the API throttle the next `removals` removals of tags.
    pub fn throttling_removals(mut self, removals: usize) -> Self {
        self.busy = removals.into();
        self
    }

    /// Makes all tags unreadable.
    pub fn unreadable(mut self) -> Self {
        self.unreadable = true;
        self
    }

    /// Adds a tag.
    pub fn tagged(self, arn: &str, key: &str, value: &str) -> Self {
        self.change(arn, |tags| drop(tags.insert(key.into(), value.into())));
        self
    }

    /// Returns how many describe calls AWS would have received: one for each group, and one for twenty routes or load
    /// balancers.
    pub fn calls(&self) -> usize {
        self.calls.load(Relaxed)
    }

    /// Returns for how many load balancers the routes were listed.
    pub fn lists(&self) -> usize {
        self.lists.load(Relaxed)
    }

    /// Returns how many calls wrote or removed tags.
    pub fn writes(&self) -> usize {
        self.writes.load(Relaxed)
    }

    /// Returns the value of a tag.
    pub fn tag_of(&self, arn: &str, key: &str) -> Option<String> {
        let mut found = None;
        self.change(arn, |tags| found = tags.get(key).cloned());
        found
    }

    fn change(&self, arn: &str, with: impl FnOnce(&mut Tags)) {
        with(self.tags.lock().unwrap_or_else(PoisonError::into_inner).entry(arn.to_owned()).or_default());
    }
}

#[async_trait]
impl Traffic for FakeTags {
    async fn routes(&self, ids: &[RouteId]) -> BTreeMap<RouteId, Result<RouteContent, Unreadable>> {
        self.calls.fetch_add(ids.len().div_ceil(20), Relaxed);
        BTreeMap::new()
    }
    async fn health(&self, groups: &[String]) -> BTreeMap<String, Result<Vec<Target>, Unreadable>> {
        self.calls.fetch_add(groups.len(), Relaxed);
        BTreeMap::new()
    }
    async fn census(&self, _: &str) -> Result<RouteCensus, Unreadable> {
        self.lists.fetch_add(1, Relaxed);
        Ok(RouteCensus::default())
    }
    async fn set(&self, _: &RouteId, _: &RouteContent, _: Duration) -> Result<(), WriteError> {
        Err(WriteError::Throttled)
    }
}

#[async_trait]
impl Inventory for FakeTags {
    async fn caller(&self) -> Result<Caller, Unreadable> {
        Err(Unreadable::Throttled)
    }
    async fn load_balancers(&self, _: &Selector, _: Detail) -> Result<Vec<LoadBalancer>, Unreadable> {
        Err(Unreadable::Throttled)
    }
    async fn listeners(&self, _: &str, _: Detail) -> Result<Vec<(Listener, Vec<LiveRoute>)>, Unreadable> {
        Err(Unreadable::Throttled)
    }
    async fn target_groups(&self, _: Groups<'_>, _: Detail) -> Result<Vec<TargetGroup>, Unreadable> {
        Err(Unreadable::Throttled)
    }
    async fn quota(&self, _: &str) -> Result<u32, Unreadable> {
        Err(Unreadable::Throttled)
    }
}

#[async_trait]
impl TagStore for FakeTags {
    fn has_tags(&self, _: &str) -> bool {
        true
    }

    async fn tags(&self, arns: &[String]) -> Result<BTreeMap<String, Tags>, Unreadable> {
        self.calls.fetch_add(arns.len().div_ceil(20), Relaxed);
        let mut found = BTreeMap::new();
        for arn in arns {
            self.change(arn, |tags| drop(found.insert(arn.clone(), tags.clone())));
        }
        if self.unreadable { Err(Unreadable::Throttled) } else { Ok(found) }
    }
    async fn put(&self, arns: &[String], tags: &Tags) -> Result<(), WriteError> {
        self.writes.fetch_add(1, Relaxed);
        assert!(arns.len() <= 20, "AWS accepts at most 20 resources");
        for arn in arns {
            if self.refusing.contains(arn) {
                return Err(WriteError::Throttled);
            }
            self.change(arn, |tags_of_arn| tags_of_arn.extend(tags.clone()));
        }
        Ok(())
    }
    async fn remove(&self, arns: &[String], keys: &[String]) -> Result<(), WriteError> {
        self.writes.fetch_add(1, Relaxed);
        assert!(arns.len() <= 20, "AWS accepts at most 20 resources");
        if self.busy.fetch_update(Relaxed, Relaxed, |n| n.checked_sub(1)).is_ok() {
            return Err(WriteError::Throttled);
        }
        if let Some(arn) = arns.iter().find(|arn| self.refusing.contains(*arn)) {
            return Err(WriteError::Refused(format!("access to {arn} is denied")));
        }
        for arn in arns {
            self.change(arn, |tags| tags.retain(|key, _| !keys.contains(key)));
        }
        Ok(())
    }
}

#[async_trait]
impl RuleStore for FakeTags {
    async fn create(&self, _: &HeaderRule, _: &Tags, _: Duration) -> Result<String, WriteError> {
        Err(WriteError::Throttled)
    }
    async fn delete(&self, _: &str, _: Duration) -> Result<(), WriteError> {
        Err(WriteError::Throttled)
    }
}
