//! A client of a cluster that connects at the first call, and again after a failure. So a caller that does not need the
//! cluster is not blocked, and a run continues when a login or the network works again. Do not retry calls here.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::domain::kubernetes::binding::Binding;
use crate::domain::kubernetes::workload::{ClusterIdentity, WorkloadView};
use crate::domain::traffic::Unreadable;
use crate::plan::model::ServiceRef;
use crate::port::{Cluster, EndpointReport, WriteError};

/// The time after a permanent failure, such as missing credentials, in which calls do not connect again. Otherwise a
/// credential plugin that takes long would run for each call.
const PAUSE: Duration = Duration::from_secs(20);

/// Opens a connection to a cluster.
pub type Connect = Box<dyn Fn() -> BoxFuture<'static, Result<Arc<dyn Cluster>, Unreadable>> + Send + Sync>;

/// A client of a cluster that connects at its first call.
pub struct LazyCluster {
    connect: Connect,
    state: Mutex<State>,
}

enum State {
    New,
    Connected(Arc<dyn Cluster>),
    Failed(Unreadable, Instant),
}

impl LazyCluster {
    /// Creates a cluster without connecting.
    pub fn new(connect: Connect) -> Self {
        Self { connect, state: Mutex::new(State::New) }
    }

    /// Returns the connected cluster. Calls at the same time share one try.
    async fn cluster(&self) -> Result<Arc<dyn Cluster>, Unreadable> {
        let called_at = Instant::now();
        let mut state = self.state.lock().await;
        match &*state {
            State::Connected(cluster) => return Ok(Arc::clone(cluster)),
            State::Failed(why, at) if *at > called_at || (!is_temporary(why) && at.elapsed() < PAUSE) => {
                return Err(why.clone());
            }
            State::New | State::Failed(..) => {}
        }
        let result = (self.connect)().await;
        *state = match &result {
            Ok(cluster) => State::Connected(Arc::clone(cluster)),
            Err(why) => State::Failed(why.clone(), Instant::now()),
        };
        result
    }
}

fn is_temporary(why: &Unreadable) -> bool {
    matches!(why, Unreadable::Throttled | Unreadable::Unavailable(_))
}

/// Converts the reason why a cluster is not connected to the error of a write, which was not sent.
fn not_sent(why: Unreadable) -> WriteError {
    match why {
        Unreadable::Throttled => WriteError::Throttled,
        Unreadable::Unavailable(why) => WriteError::NotSent(why),
        Unreadable::Credentials(why) => WriteError::Credentials(why),
        other => WriteError::Refused(other.to_string()),
    }
}

#[async_trait]
impl Cluster for LazyCluster {
    async fn identity(&self) -> Result<ClusterIdentity, Unreadable> {
        self.cluster().await?.identity().await
    }

    async fn workloads(&self, services: &[&ServiceRef]) -> Vec<Result<WorkloadView, Unreadable>> {
        match self.cluster().await {
            Ok(cluster) => cluster.workloads(services).await,
            Err(why) => services.iter().map(|_| Err(why.clone())).collect(),
        }
    }

    async fn bindings(&self) -> Result<Vec<Binding>, Unreadable> {
        self.cluster().await?.bindings().await
    }

    async fn apply(&self, binding: &Binding, dry_run: bool) -> Result<Vec<String>, WriteError> {
        self.cluster().await.map_err(not_sent)?.apply(binding, dry_run).await
    }

    async fn delete(&self, found: &Binding) -> Result<(), WriteError> {
        self.cluster().await.map_err(not_sent)?.delete(found).await
    }

    async fn watch_endpoints(&self, services: &[&ServiceRef], report: &EndpointReport<'_>) -> Unreadable {
        match self.cluster().await {
            Ok(cluster) => cluster.watch_endpoints(services, report).await,
            Err(why) => why,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A cluster whose reads succeed.
    struct Reachable;

    #[async_trait]
    impl Cluster for Reachable {
        async fn identity(&self) -> Result<ClusterIdentity, Unreadable> {
            Err(Unreadable::Denied("a test".into()))
        }
        async fn workloads(&self, _: &[&ServiceRef]) -> Vec<Result<WorkloadView, Unreadable>> {
            Vec::new()
        }
        async fn bindings(&self) -> Result<Vec<Binding>, Unreadable> {
            Ok(Vec::new())
        }
        async fn apply(&self, _: &Binding, _: bool) -> Result<Vec<String>, WriteError> {
            Ok(Vec::new())
        }
        async fn delete(&self, _: &Binding) -> Result<(), WriteError> {
            Ok(())
        }
        async fn watch_endpoints(&self, _: &[&ServiceRef], _: &EndpointReport<'_>) -> Unreadable {
            Unreadable::Denied("a test".into())
        }
    }

    /// Returns a cluster whose first connection fails, and the number of tries to connect.
    fn failing_once(why: Unreadable) -> (LazyCluster, Arc<AtomicUsize>) {
        let tries = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&tries);
        let connect = move || -> BoxFuture<'static, Result<Arc<dyn Cluster>, Unreadable>> {
            let first = counted.fetch_add(1, Ordering::SeqCst) == 0;
            let result = if first { Err(why.clone()) } else { Ok(Arc::new(Reachable) as Arc<dyn Cluster>) };
            Box::pin(async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                result
            })
        };
        (LazyCluster::new(Box::new(connect)), tries)
    }

    #[tokio::test(start_paused = true)]
    async fn temporary_failure_is_followed_by_another_connection() {
        let (cluster, tries) = failing_once(Unreadable::Unavailable("EKS: HTTP 503".into()));
        assert_eq!(tries.load(Ordering::SeqCst), 0, "nothing must be connected before the first call");
        let both = tokio::join!(cluster.bindings(), cluster.bindings());
        assert!(both.0.is_err() && both.1.is_err(), "{both:?}");
        assert_eq!(tries.load(Ordering::SeqCst), 1, "calls at the same time must share a try");
        assert_eq!(cluster.bindings().await, Ok(Vec::new()));
        assert_eq!(cluster.bindings().await, Ok(Vec::new()));
        assert_eq!(tries.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn login_is_found_later() {
        let (cluster, tries) = failing_once(Unreadable::Credentials("expired".into()));
        assert!(cluster.bindings().await.is_err() && cluster.bindings().await.is_err());
        assert_eq!(tries.load(Ordering::SeqCst), 1);
        tokio::time::advance(PAUSE).await;
        assert_eq!(cluster.bindings().await, Ok(Vec::new()));
    }
}
