//! A cluster that retries its reads, for commands that read only once (`check`, the start of a run). A single read that
//! timed out must not refuse a run. There are fewer tries than for AWS, because most failures of a cluster are
//! permanent (no route, a failing credential plugin) and people wait for the result. A dry-run writes nothing, so it is
//! retried too. Do not retry writes here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::base::retry::OBSERVE;
use crate::domain::kubernetes::binding::Binding;
use crate::domain::kubernetes::workload::{ClusterIdentity, WorkloadView};
use crate::domain::traffic::Unreadable;
use crate::engine::retry::retry_within;
use crate::plan::model::{ClusterName, ServiceRef};
use crate::port::{Clock, Cluster, EndpointReport, WriteError};

/// The time after which no further try begins. Each try on an unreachable cluster takes a full time-out.
pub const GIVE_UP: Duration = Duration::from_secs(20);

/// Wraps clusters so that they retry their reads.
pub fn clusters_with_retries(
    clusters: &BTreeMap<ClusterName, Arc<dyn Cluster>>,
    clock: &Arc<dyn Clock>,
) -> BTreeMap<ClusterName, Arc<dyn Cluster>> {
    let wrap = |(name, inner): (&ClusterName, &Arc<dyn Cluster>)| {
        let wrapped = RetryingCluster { inner: Arc::clone(inner), clock: Arc::clone(clock) };
        (name.clone(), Arc::new(wrapped) as Arc<dyn Cluster>)
    };
    clusters.iter().map(wrap).collect()
}

struct RetryingCluster {
    inner: Arc<dyn Cluster>,
    clock: Arc<dyn Clock>,
}

impl RetryingCluster {
    async fn read<T, F: Future<Output = T>>(&self, partial: impl Fn(&T) -> bool, call: impl Fn() -> F) -> T {
        retry_within(OBSERVE, GIVE_UP, &*self.clock, partial, call).await
    }
}

fn is_retryable<T>(answer: &Result<T, Unreadable>) -> bool {
    matches!(answer, Err(Unreadable::Throttled | Unreadable::Unavailable(_)))
}

#[async_trait]
impl Cluster for RetryingCluster {
    async fn identity(&self) -> Result<ClusterIdentity, Unreadable> {
        self.read(is_retryable, || self.inner.identity()).await
    }

    async fn workloads(&self, services: &[&ServiceRef]) -> Vec<Result<WorkloadView, Unreadable>> {
        let partial = |all: &Vec<Result<WorkloadView, Unreadable>>| all.iter().any(is_retryable);
        self.read(partial, || self.inner.workloads(services)).await
    }

    async fn bindings(&self) -> Result<Vec<Binding>, Unreadable> {
        self.read(is_retryable, || self.inner.bindings()).await
    }

    async fn apply(&self, binding: &Binding, dry_run: bool) -> Result<Vec<String>, WriteError> {
        let unanswered = |answer: &Result<Vec<String>, WriteError>| {
            let temporary = |why: &WriteError| {
                matches!(why, WriteError::Throttled | WriteError::NotSent(_) | WriteError::Unanswered(_))
            };
            dry_run && answer.as_ref().is_err_and(temporary)
        };
        self.read(unanswered, || self.inner.apply(binding, dry_run)).await
    }

    async fn delete(&self, found: &Binding) -> Result<(), WriteError> {
        self.inner.delete(found).await
    }

    async fn watch_endpoints(&self, services: &[&ServiceRef], report: &EndpointReport<'_>) -> Unreadable {
        self.inner.watch_endpoints(services, report).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use jiff::Timestamp;

    use super::*;
    use crate::domain::fixture::{group, plan};

    /// A cluster whose first reads and writes of TargetGroupBindings fail.
    struct Failing(Mutex<Vec<Unreadable>>);

    #[async_trait]
    impl Cluster for Failing {
        async fn identity(&self) -> Result<ClusterIdentity, Unreadable> {
            Err(Unreadable::Denied("namespaces".into()))
        }
        async fn workloads(&self, _: &[&ServiceRef]) -> Vec<Result<WorkloadView, Unreadable>> {
            Vec::new()
        }
        async fn bindings(&self) -> Result<Vec<Binding>, Unreadable> {
            self.0.lock().expect("the mutex must not be poisoned").pop().map_or_else(|| Ok(Vec::new()), Err)
        }
        async fn apply(&self, _: &Binding, _: bool) -> Result<Vec<String>, WriteError> {
            let failed = self.0.lock().expect("the mutex must not be poisoned").pop();
            failed.map_or_else(|| Ok(Vec::new()), |why| Err(WriteError::Unanswered(why.to_string())))
        }
        async fn delete(&self, _: &Binding) -> Result<(), WriteError> {
            panic!("a read must not delete an object")
        }
        async fn watch_endpoints(&self, _: &[&ServiceRef], _: &EndpointReport<'_>) -> Unreadable {
            panic!("a command that reads once must not watch")
        }
    }

    /// A clock whose sleeps take no time.
    struct Instant;

    #[async_trait]
    impl Clock for Instant {
        fn now(&self) -> Timestamp {
            Timestamp::UNIX_EPOCH
        }
        async fn sleep(&self, _: Duration) {}
        fn of_real(&self, real: Duration) -> Duration {
            real
        }
    }

    fn failing(failures: usize) -> Arc<dyn Cluster> {
        let late = || Unreadable::Unavailable("no response within 15 s".into());
        let failing: Arc<dyn Cluster> = Arc::new(Failing(Mutex::new((0..failures).map(|_| late()).collect())));
        let clock: Arc<dyn Clock> = Arc::new(Instant);
        Arc::clone(&clusters_with_retries(&[("b".to_owned(), failing)].into(), &clock)["b"])
    }

    async fn bindings(failures: usize) -> Result<Vec<Binding>, Unreadable> {
        let wrapped = failing(failures);
        assert!(wrapped.identity().await.is_err(), "a denied read must fail without a retry");
        wrapped.bindings().await
    }

    #[tokio::test]
    async fn single_timed_out_read_does_not_refuse_a_run() {
        assert_eq!(bindings(1).await, Ok(Vec::new()));
        assert!(bindings(3).await.is_err(), "a cluster that never responds must be refused");
    }

    #[tokio::test]
    async fn only_a_dry_run_is_retried() {
        let plan = plan();
        let binding = Binding::for_group(&plan.workloads[0], "b", &group("webapp-b")).expect("b should have a Service");
        assert_eq!(failing(1).apply(&binding, true).await, Ok(Vec::new()));
        assert!(failing(1).apply(&binding, false).await.is_err(), "a write must not be repeated");
    }
}
