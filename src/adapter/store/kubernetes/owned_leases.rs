//! The leases that this process owns: renewed in the background, confirmed before a share is raised, and released at
//! the end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, ResourceExt};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::client::{NamespaceClient, RequestError};
use super::lease::{
    LEASE_DURATION, LeaseVersion, RENEW_INTERVAL, holder_of, is_free, is_owned_by, lease, put, transitions,
};
use crate::base::retry;
use crate::port::Clock;
use crate::port::store::{LockBackend, LockGuard, LockOwner};

/// The last known content of a lease that this process owns.
#[derive(Debug, Clone)]
pub struct OwnedLease {
    arn: String,
    name: String,
    /// The version of the lease; `None` if the lease was deleted.
    version: Option<LeaseVersion>,
    transitions: i32,
    /// The time when the last successful renewal was sent, on the monotonic and on the wall clock.
    renewed: (Instant, Timestamp),
    new_owner: Option<LockOwner>,
    /// The error of the last renewal.
    last_error: Option<String>,
    released: bool,
}

impl OwnedLease {
    pub fn new(arn: &str, lease: &Lease, sent: (Instant, Timestamp)) -> Self {
        Self {
            arn: arn.to_owned(),
            name: lease.name_any(),
            version: LeaseVersion::of(lease),
            transitions: transitions(lease),
            renewed: sent,
            new_owner: None,
            last_error: None,
            released: false,
        }
    }

    fn has_ended(&self) -> bool {
        self.released || self.new_owner.is_some()
    }

    /// Returns the time since the last renewal, by the clock that shows the longer time.
    fn age(&self, now: Timestamp) -> Duration {
        let wall = now.duration_since(self.renewed.1).try_into().unwrap_or(Duration::ZERO);
        self.renewed.0.elapsed().max(wall)
    }
}

/// The leases of one acquisition.
pub struct OwnedLeases {
    pub acquisition: String,
    api: Arc<NamespaceClient>,
    clock: Arc<dyn Clock>,
    holder: LockOwner,
    leases: Mutex<Vec<OwnedLease>>,
    /// A lock that serializes renewals, because concurrent renewals would conflict with each other.
    renewal: tokio::sync::Mutex<()>,
}

impl OwnedLeases {
    pub fn new(client: Arc<NamespaceClient>, clock: Arc<dyn Clock>, holder: LockOwner, acquisition: String) -> Self {
        Self {
            acquisition,
            api: client,
            clock,
            holder,
            leases: Mutex::default(),
            renewal: tokio::sync::Mutex::default(),
        }
    }

    pub fn add(&mut self, known: OwnedLease) {
        self.leases().push(known);
    }

    /// Starts to renew the leases in the background.
    pub fn renew_in_background(self) -> LockGuard {
        let leases_of_lock = Arc::new(self);
        let ours = Arc::clone(&leases_of_lock);
        let renewing = tokio::spawn(async move {
            while !ours.leases().iter().all(OwnedLease::has_ended) {
                tokio::time::sleep(RENEW_INTERVAL).await;
                ours.renew().await;
            }
        });
        LockGuard::new(LeaseLock { leases_of_lock, renewing })
    }

    fn leases(&self) -> MutexGuard<'_, Vec<OwnedLease>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Renews all leases that this process still owns.
    pub async fn renew(&self) {
        let _turn = self.renewal.lock().await;
        let all = self.leases().clone();
        let renewed = join_all(all.into_iter().map(|known| self.renew_one(known))).await;
        *self.leases() = renewed;
    }

    async fn renew_one(&self, mut known: OwnedLease) -> OwnedLease {
        let api: Api<Lease> = self.api.api();
        for _ in 0..retry::LOCK_TRIES {
            if known.has_ended() {
                break;
            }
            let sent = (Instant::now(), self.clock.now());
            let before = Some((known.version.clone(), known.transitions));
            match put(&self.api, &api, &lease(&known.arn, &self.holder, &self.acquisition, sent.1, before)).await {
                Ok(stored) => {
                    known.version = LeaseVersion::of(&stored);
                    known.renewed = sent;
                    known.last_error = None;
                    break;
                }
                Err(RequestError::Conflict | RequestError::Missing) => self.read_again(&api, &mut known).await,
                Err(error) => {
                    known.last_error = Some(error.to_string());
                    break;
                }
            }
        }
        known
    }

    /// Reads a lease whose version has changed: a response was lost, another process took the lease over, or a person
    /// emptied or deleted it.
    async fn read_again(&self, api: &Api<Lease>, known: &mut OwnedLease) {
        match self.api.call_always(api.get_opt(&known.name)).await {
            Ok(None) => known.version = None,
            Ok(Some(found))
                if is_owned_by(&found, &self.acquisition)
                    || (is_free(&found) && transitions(&found) == known.transitions) =>
            {
                known.version = LeaseVersion::of(&found);
            }
            // A lease that is free again also counts, because another owner may have written a route meanwhile.
            Ok(Some(found)) => known.new_owner = Some(holder_of(&found)),
            Err(error) => known.last_error = Some(error.to_string()),
        }
    }

    pub fn new_owner(&self) -> Option<LockOwner> {
        self.leases().iter().find_map(|k| k.new_owner.clone())
    }

    fn expiry_reason(&self, need: Duration) -> Option<String> {
        let now = self.clock.now();
        let leases = self.leases();
        let late = leases.iter().filter(|k| !k.has_ended()).find(|k| k.age(now) + need >= LEASE_DURATION)?;
        let why = late.last_error.as_ref().map_or_else(String::new, |why| format!(": {why}"));
        Some(format!(
            "the lock (lease {} in {}) was not renewed for {} s{why}",
            late.name,
            self.api.place(),
            late.age(now).as_secs()
        ))
    }

    /// Releases the leases, so that the next owner does not wait until they expire.
    pub async fn release_all(&self) {
        let _turn = self.renewal.lock().await;
        let all = self.leases().clone();
        let freed = join_all(all.into_iter().map(|known| self.release_one(known))).await;
        *self.leases() = freed;
    }

    async fn release_one(&self, mut known: OwnedLease) -> OwnedLease {
        let api: Api<Lease> = self.api.api();
        for _ in 0..retry::LOCK_TRIES {
            if known.has_ended() || known.version.is_none() {
                break;
            }
            let before = Some((known.version.clone(), known.transitions));
            let mut empty = lease(&known.arn, &self.holder, &self.acquisition, self.clock.now(), before);
            if let Some(spec) = &mut empty.spec {
                spec.holder_identity = None;
            }
            match put(&self.api, &api, &empty).await {
                Err(RequestError::Conflict) => self.read_again(&api, &mut known).await,
                Err(error) => {
                    tracing::warn!(
                        "the lease {} was not released, and locks the load balancer for {} s more: {error}",
                        known.name,
                        LEASE_DURATION.as_secs()
                    );
                    break;
                }
                Ok(_) => break,
            }
        }
        known.released = true;
        known
    }
}

/// The lock of one acquisition, with the task that renews its leases.
struct LeaseLock {
    leases_of_lock: Arc<OwnedLeases>,
    renewing: JoinHandle<()>,
}

#[async_trait]
impl LockBackend for LeaseLock {
    fn new_owner(&self) -> Option<LockOwner> {
        self.leases_of_lock.new_owner()
    }

    fn expiry(&self, need: Duration) -> Option<String> {
        self.leases_of_lock.expiry_reason(need)
    }

    async fn confirm(&self) -> bool {
        let before = Instant::now();
        self.leases_of_lock.renew().await;
        self.leases_of_lock.leases().iter().all(|k| !k.has_ended() && k.renewed.0 >= before)
    }

    async fn release(&self) {
        self.renewing.abort();
        self.leases_of_lock.release_all().await;
    }
}

impl Drop for LeaseLock {
    fn drop(&mut self) {
        self.renewing.abort();
        let leases_of_lock = Arc::clone(&self.leases_of_lock);
        let ended = leases_of_lock.leases().iter().all(OwnedLease::has_ended);
        if let (false, Ok(runtime)) = (ended, tokio::runtime::Handle::try_current()) {
            drop(runtime.spawn(async move { leases_of_lock.release_all().await }));
        }
    }
}
