//! The interface to the pace of single read calls. One read of a port may take many calls, and only the adapter sees
//! each call. Therefore a caller that is not in a hurry opens a scope, and the adapter asks the pace of that scope
//! before each call. Outside a scope, the adapter repeats throttled reads for a few seconds.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::domain::traffic::Unreadable;

tokio::task_local! {
    static CURRENT: Arc<dyn ReadPace>;
}

/// The APIs whose calls have a pace. Each API has its own rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PacedApi {
    /// Elastic Load Balancing.
    Elb,
    /// The Security Token Service.
    Sts,
    /// Elastic Kubernetes Service.
    Eks,
    /// Identity and Access Management.
    Iam,
    /// Elastic Compute Cloud.
    Ec2,
}

/// The tries of one call so far.
#[derive(Debug, Clone, Copy)]
pub struct Tries {
    /// The time at which the call was first sent.
    pub first: Timestamp,
    /// The time at which the call was last sent.
    pub last: Timestamp,
    /// The number of temporary failures. Throttled tries do not count.
    pub failures: usize,
}

/// Decides when a call is sent, and whether it is sent again.
#[async_trait]
pub trait ReadPace: Send + Sync {
    /// Announces that this number of calls follows, for the progress.
    fn announce(&self, calls: usize);
    /// Waits until a call may be sent, and returns its tries. `before` has the earlier tries of the same call.
    ///
    /// # Errors
    /// Returns the reason why no more calls are sent.
    async fn admit(&self, api: PacedApi, before: Option<Tries>) -> Result<Tries, Unreadable>;
    /// Records the response of a call; `failure` says why there is no response. Returns whether the call must be sent
    /// again. If so, first waits for the necessary pause.
    async fn repeats(&self, api: PacedApi, tries: &mut Tries, failure: Option<&Unreadable>) -> bool;
}

/// Runs reads in the scope of a pace. The scope does not include tasks that the reads spawn.
pub async fn with_pace<T>(pace: Arc<dyn ReadPace>, reads: impl Future<Output = T>) -> T {
    CURRENT.scope(pace, reads).await
}

/// Returns the pace of the current scope; `None` outside a scope.
pub fn current_pace() -> Option<Arc<dyn ReadPace>> {
    CURRENT.try_with(Arc::clone).ok()
}
