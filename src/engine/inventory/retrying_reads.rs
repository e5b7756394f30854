//! A load balancer API that retries its reads, for commands that read only once (`check`, `init`, the start of a run).
//! The loop of a run does not use it, because it reads again anyway and freezes the run if that fails. Do not retry
//! writes here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::first_contact::FirstContact;
use crate::base::retry::READ;
use crate::domain::elb::balancer::{Listener, LiveRoute, LoadBalancer, TargetGroup};
use crate::domain::health::Target;
use crate::domain::traffic::{RouteCensus, RouteContent, RouteId, Tags, Unreadable};
use crate::engine::retry::retry_each;
use crate::plan::model::Selector;
use crate::port::{Caller, Clock, Detail, Groups, Inventory, LoadBalancerApi, TagStore, Traffic, WriteError};

/// Wraps a load balancer API so that it retries its reads.
pub fn with_retries(balancer: &LoadBalancerApi, clock: &Arc<dyn Clock>) -> LoadBalancerApi {
    let elb = Arc::new(FirstContact::default());
    LoadBalancerApi {
        traffic: Arc::new(RetryingReads::new(&balancer.traffic, clock, &elb)),
        inventory: Arc::new(RetryingReads::new(&balancer.inventory, clock, &elb)),
        tags: Arc::new(RetryingReads::new(&balancer.tags, clock, &elb)),
    }
}

/// A port whose reads are retried.
struct RetryingReads<S: ?Sized> {
    inner: Arc<S>,
    clock: Arc<dyn Clock>,
    /// The contact with ELB, which all ports share.
    elb: Arc<FirstContact>,
    /// The contact with STS, which is another host.
    sts: FirstContact,
}

impl<S: ?Sized> RetryingReads<S> {
    fn new(inner: &Arc<S>, clock: &Arc<dyn Clock>, elb: &Arc<FirstContact>) -> Self {
        let (inner, clock, elb) = (Arc::clone(inner), Arc::clone(clock), Arc::clone(elb));
        Self { inner, clock, elb, sts: FirstContact::default() }
    }

    async fn read<T, F: Future<Output = Result<T, Unreadable>>>(&self, call: impl Fn() -> F) -> Result<T, Unreadable> {
        self.read_complete(|_| false, call).await
    }

    /// Repeats a read also while the result is `partial`. Returns a partial result if the retries do not complete it.
    async fn read_complete<T, F>(&self, partial: fn(&T) -> bool, call: impl Fn() -> F) -> Result<T, Unreadable>
    where
        F: Future<Output = Result<T, Unreadable>>,
    {
        self.read_over(&self.elb, partial, call).await
    }

    async fn read_over<T, F>(
        &self,
        contact: &FirstContact,
        partial: fn(&T) -> bool,
        call: impl Fn() -> F,
    ) -> Result<T, Unreadable>
    where
        F: Future<Output = Result<T, Unreadable>>,
    {
        if let Some(why) = contact.silence() {
            return Err(why);
        }
        let started_at = self.clock.now();
        let mut read = call().await;
        for (pause, tries) in READ.pauses().zip(1..) {
            let spent = self.clock.now().duration_since(started_at).unsigned_abs();
            if contact.is_silent(read.as_ref().err(), tries, spent) || !read.as_ref().map_or_else(is_temporary, partial)
            {
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
        self.read_over(&self.sts, |_| false, || self.inner.caller()).await
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use jiff::{SignedDuration, Timestamp};

    use super::*;

    /// Tags whose reads fail after this time, until `failures` reads have failed.
    struct Silent {
        clock: Arc<Manual>,
        takes: SignedDuration,
        failures: usize,
        calls: AtomicUsize,
    }

    #[async_trait]
    impl TagStore for Silent {
        async fn tags(&self, _: &[String]) -> Result<BTreeMap<String, Tags>, Unreadable> {
            if self.calls.fetch_add(1, Ordering::SeqCst) >= self.failures {
                return Ok(BTreeMap::new());
            }
            self.clock.advance(self.takes);
            Err(Unreadable::Unavailable("no response in time".into()))
        }
        async fn put(&self, _: &[String], _: &Tags) -> Result<(), WriteError> {
            panic!("a read must not write")
        }
        async fn remove(&self, _: &[String], _: &[String]) -> Result<(), WriteError> {
            panic!("a read must not write")
        }
    }

    /// A clock that advances only with sleeps and reads.
    #[derive(Default)]
    struct Manual(Mutex<SignedDuration>);

    impl Manual {
        fn advance(&self, by: SignedDuration) {
            *self.0.lock().expect("the mutex must not be poisoned") += by;
        }
    }

    #[async_trait]
    impl Clock for Manual {
        fn now(&self) -> Timestamp {
            Timestamp::UNIX_EPOCH + *self.0.lock().expect("the mutex must not be poisoned")
        }
        async fn sleep(&self, pause: Duration) {
            self.advance(SignedDuration::try_from(pause).expect("a short pause"));
        }
        fn of_real(&self, real: Duration) -> Duration {
            real
        }
    }

    /// Reads twice. Returns the results, the number of calls and the time.
    async fn read_twice(takes: i64, failures: usize) -> ([bool; 2], usize, i64) {
        let manual = Arc::new(Manual::default());
        let clock: Arc<dyn Clock> = Arc::clone(&manual) as Arc<dyn Clock>;
        let takes = SignedDuration::from_secs(takes);
        let inner = Arc::new(Silent { clock: Arc::clone(&manual), takes, failures, calls: AtomicUsize::new(0) });
        let tags: Arc<dyn TagStore> = Arc::clone(&inner) as Arc<dyn TagStore>;
        let reads = RetryingReads::new(&tags, &clock, &Arc::default());
        let results = [reads.tags(&[]).await.is_ok(), reads.tags(&[]).await.is_ok()];
        (results, inner.calls.load(Ordering::SeqCst), manual.now().as_second())
    }

    #[tokio::test]
    async fn silent_api_is_given_up_once_for_all_reads() {
        assert_eq!(read_twice(7, 99).await, ([false, false], 2, 14));
    }

    #[tokio::test]
    async fn api_that_fails_quickly_or_once_is_retried() {
        assert_eq!(read_twice(7, 1).await, ([true, true], 3, 7));
        assert_eq!(read_twice(0, 4).await, ([true, true], 6, 7));
    }
}
