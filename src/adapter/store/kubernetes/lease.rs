//! The locks: one Lease for each load balancer. A Lease is created, then replaced with the resourceVersion that was
//! read, so that one of two processes gets a conflict.
//!
//! Wall clocks are not trusted. An owner counts as dead if nobody renews the lease while this process watches it for
//! the duration of the lease, on this process's monotonic clock. An owner that cannot renew uses both of its clocks,
//! because the monotonic clock stops while a machine sleeps.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{ListParams, PostParams};
use kube::{Api, ResourceExt};
use tokio::time::Instant;

use super::client::{NamespaceClient, RequestError};
use super::label::{self, Purpose};
use super::owned_leases::{OwnedLease, OwnedLeases};
use crate::adapter::store::lock_name;
use crate::base::retry;
use crate::port::Clock;
use crate::port::store::{LockError, LockGuard, LockOwner};

/// The time for which a lease is valid after a renewal.
pub const LEASE_DURATION: Duration = Duration::from_secs(30);
/// How often the owner renews the lease.
pub const RENEW_INTERVAL: Duration = Duration::from_secs(5);
/// How often another owner's lease is read, to find out whether it is renewed.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The annotation with the owner as JSON. A free lease names its last owner.
const HOLDER_ANNOTATION: &str = "cutover.dev/holder";
/// The annotation with the id of the acquisition. The id differs between two acquisitions by one process.
const ACQUISITION_ANNOTATION: &str = "cutover.dev/taking";
/// The annotation with the load balancer's ARN.
const LOAD_BALANCER_ANNOTATION: &str = "cutover.dev/load-balancer";

/// The leases of a namespace.
pub struct Leases {
    client: Arc<NamespaceClient>,
    clock: Arc<dyn Clock>,
    /// The version of each lease that was last read, and when it was first read, by name.
    seen: Mutex<HashMap<String, (String, Instant)>>,
}

impl Leases {
    pub fn new(client: Arc<NamespaceClient>, clock: Arc<dyn Clock>) -> Self {
        Self { client, clock, seen: Mutex::default() }
    }

    /// Acquires either all leases or none. With `take_over`, takes the leases over from other owners.
    pub async fn acquire(
        &self,
        load_balancers: &[String],
        holder: &LockOwner,
        take_over: bool,
    ) -> Result<LockGuard, LockError> {
        let mut arns = load_balancers.to_vec();
        // The order is always the same, so that one of two processes gets all leases.
        arns.sort();
        arns.dedup();
        let acquisition = format!("{:016x}", fastrand::u64(..));
        let mut claim =
            OwnedLeases::new(Arc::clone(&self.client), Arc::clone(&self.clock), holder.clone(), acquisition);
        for arn in &arns {
            match self.acquire_one(arn, holder, &claim.acquisition, take_over).await {
                Ok(known) => claim.add(known),
                Err(error) => {
                    claim.release_all().await;
                    return Err(error);
                }
            }
        }
        // The wait for the last lease may have taken longer than the first lease is valid.
        if arns.len() > 1 {
            claim.renew().await;
            if let Some(other) = claim.new_owner() {
                claim.release_all().await;
                return Err(LockError::HeldBy(Box::new(other)));
            }
        }
        Ok(claim.renew_in_background())
    }

    async fn acquire_one(
        &self,
        arn: &str,
        holder: &LockOwner,
        acquisition: &str,
        take_over: bool,
    ) -> Result<OwnedLease, LockError> {
        let (api, name): (Api<Lease>, _) = (self.client.api(), name(arn));
        let unusable = |error| LockError::Io(self.client.error(&format!("lease {name}"), error));
        let (mut first, mut tries) = (None::<String>, 0);
        loop {
            let at = (Instant::now(), self.clock.now());
            let found = self.client.read(|| api.get_opt(&name)).await.map_err(unusable)?;
            let version = found.as_ref().and_then(ResourceExt::resource_version);
            if let Some(lease) = found.as_ref().filter(|l| is_owned_by(l, acquisition)) {
                // The response to this process's own request was lost.
                return Ok(OwnedLease::new(arn, lease, at));
            }
            let taken = found.as_ref().filter(|l| !is_free(l));
            if let Some(lease) = taken.filter(|l| !take_over && !self.is_expired(l)) {
                if first.as_ref().is_some_and(|first| Some(first) != version.as_ref()) {
                    return Err(LockError::HeldBy(Box::new(holder_of(lease))));
                }
                if first.is_none() {
                    let who = holder_of(lease).owner;
                    tracing::warn!(
                        "{who} has the lock; checking for at most {} s whether that process is alive",
                        LEASE_DURATION.as_secs()
                    );
                }
                first = version;
                tokio::time::sleep(POLL_INTERVAL).await;
                continue;
            }
            let ours = lease(
                arn,
                holder,
                acquisition,
                at.1,
                found.as_ref().map(|l| (LeaseVersion::of(l), transitions(l) + 1)),
            );
            match self.put(&api, &ours).await {
                Ok(stored) => return Ok(OwnedLease::new(arn, &stored, at)),
                Err(RequestError::Conflict | RequestError::Missing | RequestError::Unanswered(_))
                    if tries < retry::CONTENDED_TRIES =>
                {
                    tries += 1;
                }
                Err(error) => return Err(unusable(error)),
            }
        }
    }

    async fn put(&self, api: &Api<Lease>, lease: &Lease) -> Result<Lease, RequestError> {
        put(&self.client, api, lease).await
    }

    /// Returns whether nobody has renewed the lease for its duration while this process watched it.
    fn is_expired(&self, lease: &Lease) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let version = lease.resource_version().unwrap_or_default();
        let entry = seen.entry(lease.name_any()).or_insert_with(|| (version.clone(), Instant::now()));
        if entry.0 != version {
            *entry = (version, Instant::now());
        }
        entry.1.elapsed() >= duration(lease)
    }

    /// Returns the owner of a lock for this run. A single read relies on wall clocks, which may differ by half a
    /// minute. So a takeover must not rely on this result.
    pub async fn holder(&self, run: &str) -> Result<Option<LockOwner>, RequestError> {
        let (api, ours): (Api<Lease>, _) =
            (self.client.api(), ListParams::default().labels(&label::selector(Purpose::Lock)));
        let leases = self.client.read(|| api.list(&ours)).await?;
        let now = self.clock.now();
        let found = leases.items.iter().filter(|l| !is_free(l)).find(|l| holder_of(l).run == run);
        Ok(found.filter(|l| !self.is_expired(l) && renewed_recently(l, now)).map(holder_of))
    }
}

/// The version of a lease that a replace request expects. The version includes the UID. Without the UID, a replace
/// request would create a lease that does not exist, even with a resourceVersion.
#[derive(Debug, Clone)]
pub struct LeaseVersion {
    uid: Option<String>,
    resource: String,
}

impl LeaseVersion {
    /// Returns the version of a lease that was read or stored.
    pub fn of(lease: &Lease) -> Option<Self> {
        Some(Self { uid: lease.uid(), resource: lease.resource_version()? })
    }
}

/// Creates a lease, or replaces it if it has a version.
pub(super) async fn put(client: &NamespaceClient, api: &Api<Lease>, lease: &Lease) -> Result<Lease, RequestError> {
    match lease.resource_version() {
        None => client.call_always(api.create(&PostParams::default(), lease)).await,
        Some(_) => client.call_always(api.replace(&lease.name_any(), &PostParams::default(), lease)).await,
    }
}

/// Builds a lease as its owner writes it. `before` has the version that is replaced, and the number of owner changes.
pub(super) fn lease(
    arn: &str,
    holder: &LockOwner,
    acquisition: &str,
    now: Timestamp,
    before: Option<(Option<LeaseVersion>, i32)>,
) -> Lease {
    let json = serde_json::to_string(holder).unwrap_or_default();
    let (version, transitions) = before.unwrap_or_default();
    let (uid, resource_version) = version.map(|v| (v.uid, v.resource)).unzip();
    let annotations = [
        (HOLDER_ANNOTATION, json),
        (ACQUISITION_ANNOTATION, acquisition.to_owned()),
        (LOAD_BALANCER_ANNOTATION, arn.to_owned()),
    ];
    let metadata = ObjectMeta {
        name: Some(name(arn)),
        labels: Some(label::labels(Purpose::Lock)),
        annotations: Some(annotations.map(|(k, v)| (k.to_owned(), v)).into()),
        resource_version,
        uid: uid.flatten(),
        ..ObjectMeta::default()
    };
    let spec = LeaseSpec {
        holder_identity: Some(format!("{}/{} {}", holder.owner, holder.pid, holder.run)),
        acquire_time: Some(MicroTime(holder.since)),
        renew_time: Some(MicroTime(now)),
        lease_duration_seconds: i32::try_from(LEASE_DURATION.as_secs()).ok(),
        lease_transitions: Some(transitions),
        ..LeaseSpec::default()
    };
    Lease { metadata, spec: Some(spec) }
}

fn name(arn: &str) -> String {
    format!("cutover-{}", lock_name(arn).to_ascii_lowercase())
}

pub(super) fn is_free(lease: &Lease) -> bool {
    lease.spec.as_ref().and_then(|s| s.holder_identity.as_deref()).is_none_or(str::is_empty)
}

/// Returns whether this acquisition owns the lease.
pub(super) fn is_owned_by(lease: &Lease, acquisition: &str) -> bool {
    !is_free(lease) && lease.annotations().get(ACQUISITION_ANNOTATION).is_some_and(|t| t == acquisition)
}

pub(super) fn transitions(lease: &Lease) -> i32 {
    lease.spec.as_ref().and_then(|s| s.lease_transitions).unwrap_or_default()
}

/// Returns the owner, or on a free lease the last owner.
pub(super) fn holder_of(lease: &Lease) -> LockOwner {
    let owner_in_annotation =
        lease.annotations().get(HOLDER_ANNOTATION).and_then(|json| serde_json::from_str(json).ok());
    owner_in_annotation.unwrap_or_else(|| {
        let spec = lease.spec.clone().unwrap_or_default();
        let owner = spec.holder_identity.unwrap_or_else(|| "unknown".to_owned());
        let since = spec.acquire_time.map_or(Timestamp::UNIX_EPOCH, |t| t.0);
        LockOwner { owner, host: "unknown".into(), pid: 0, since, run: "unknown".into() }
    })
}

fn duration(lease: &Lease) -> Duration {
    let seconds = lease.spec.as_ref().and_then(|s| s.lease_duration_seconds).and_then(|s| u64::try_from(s).ok());
    seconds.map_or(LEASE_DURATION, |s| Duration::from_secs(s.clamp(1, 600)))
}

fn renewed_recently(lease: &Lease, now: Timestamp) -> bool {
    let renewed = lease.spec.as_ref().and_then(|s| s.renew_time.as_ref());
    renewed.is_some_and(|t| now.duration_since(t.0).unsigned_abs() <= duration(lease) * 2)
}
