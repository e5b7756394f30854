//! The lock: a Lease for each load balancer. It is created, then replaced with the resourceVersion that was read, so
//! that of two
//! processes one gets a conflict.
//!
//! Wall clocks are not trusted. An owner is dead when nobody renews its lease while this process watches for the
//! lease's
//! duration, on its own monotonic clock. An owner that cannot renew counts on both of its clocks, because a sleeping
//! machine
//! stops the monotonic one.

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

/// Validity of a lease after a renewal.
pub const DURATION: Duration = Duration::from_secs(30);
/// Interval of renewals.
pub const RENEW_INTERVAL: Duration = Duration::from_secs(5);
/// Interval at which another owner's lease is read, to see whether it is renewed.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Annotation: the owner as JSON; on a free lease the last owner.
const HOLDER: &str = "cutover.dev/holder";
/// Annotation: id of the acquisition, which differs between two acquisitions by one process.
const ACQUISITION: &str = "cutover.dev/taking";
/// Annotation: the load balancer's ARN.
const LOAD_BALANCER: &str = "cutover.dev/load-balancer";

/// The leases of a namespace.
pub struct Leases {
    reach: Arc<NamespaceClient>,
    clock: Arc<dyn Clock>,
    /// By name: the version that was read last, and when it was first read.
    seen: Mutex<HashMap<String, (String, Instant)>>,
}

impl Leases {
    pub fn new(reach: Arc<NamespaceClient>, clock: Arc<dyn Clock>) -> Self {
        Self { reach, clock, seen: Mutex::default() }
    }

    /// Acquires all or none. `over`: takes them over from other owners.
    pub async fn acquire(
        &self,
        load_balancers: &[String],
        holder: &LockOwner,
        over: bool,
    ) -> Result<LockGuard, LockError> {
        let mut arns = load_balancers.to_vec();
        // Always in the same order, so that one of two processes gets all.
        arns.sort();
        arns.dedup();
        let taking = format!("{:016x}", fastrand::u64(..));
        let mut claim = OwnedLeases::new(Arc::clone(&self.reach), Arc::clone(&self.clock), holder.clone(), taking);
        for arn in &arns {
            match self.acquire_one(arn, holder, &claim.acquisition, over).await {
                Ok(known) => claim.add(known),
                Err(error) => {
                    claim.release_all().await;
                    return Err(error);
                }
            }
        }
        // The wait for the last lease may have taken longer than the first one is valid.
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
        taking: &str,
        over: bool,
    ) -> Result<OwnedLease, LockError> {
        let (api, name): (Api<Lease>, _) = (self.reach.api(), name(arn));
        let unusable = |trouble| LockError::Io(self.reach.error(&format!("lease {name}"), trouble));
        let (mut first, mut tries) = (None::<String>, 0);
        loop {
            let at = (Instant::now(), self.clock.now());
            let found = self.reach.read(|| api.get_opt(&name)).await.map_err(unusable)?;
            let version = found.as_ref().and_then(ResourceExt::resource_version);
            if let Some(lease) = found.as_ref().filter(|l| is_owned_by(l, taking)) {
                // The answer to our own request was lost.
                return Ok(OwnedLease::new(arn, lease, at));
            }
            let taken = found.as_ref().filter(|l| !is_free(l));
            if let Some(lease) = taken.filter(|l| !over && !self.is_expired(l)) {
                if first.as_ref().is_some_and(|first| Some(first) != version.as_ref()) {
                    return Err(LockError::HeldBy(Box::new(holder_of(lease))));
                }
                if first.is_none() {
                    let who = holder_of(lease).owner;
                    tracing::warn!(
                        "{who} has the lock; checking for at most {} s whether that process is alive",
                        DURATION.as_secs()
                    );
                }
                first = version;
                tokio::time::sleep(POLL_INTERVAL).await;
                continue;
            }
            let ours =
                lease(arn, holder, taking, at.1, found.as_ref().map(|l| (LeaseVersion::of(l), transitions(l) + 1)));
            match self.put(&api, &ours).await {
                Ok(stored) => return Ok(OwnedLease::new(arn, &stored, at)),
                Err(RequestError::Conflict | RequestError::Missing | RequestError::Unanswered(_))
                    if tries < retry::CONTENDED_TRIES =>
                {
                    tries += 1;
                }
                Err(trouble) => return Err(unusable(trouble)),
            }
        }
    }

    async fn put(&self, api: &Api<Lease>, lease: &Lease) -> Result<Lease, RequestError> {
        put(&self.reach, api, lease).await
    }

    /// Whether nobody has renewed it for its duration, as far as this process has watched.
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
    /// minute; so no
    /// take-over may rely on it.
    pub async fn holder(&self, run: &str) -> Result<Option<LockOwner>, RequestError> {
        let (api, ours): (Api<Lease>, _) =
            (self.reach.api(), ListParams::default().labels(&label::selector(Purpose::Lock)));
        let leases = self.reach.read(|| api.list(&ours)).await?;
        let now = self.clock.now();
        let found = leases.items.iter().filter(|l| !is_free(l)).find(|l| holder_of(l).run == run);
        Ok(found.filter(|l| !self.is_expired(l) && renewed_recently(l, now)).map(holder_of))
    }
}

/// A version of a lease. A replace request creates a lease that does not exist, even with a resourceVersion, unless it
/// also has
/// the UID.
#[derive(Debug, Clone)]
pub struct LeaseVersion {
    uid: Option<String>,
    resource: String,
}

impl LeaseVersion {
    /// The version of a lease that was read or stored.
    pub fn of(lease: &Lease) -> Option<Self> {
        Some(Self { uid: lease.uid(), resource: lease.resource_version()? })
    }
}

/// Creates a lease, or replaces it if it has a version.
pub(super) async fn put(reach: &NamespaceClient, api: &Api<Lease>, lease: &Lease) -> Result<Lease, RequestError> {
    match lease.resource_version() {
        None => reach.call_always(api.create(&PostParams::default(), lease)).await,
        Some(_) => reach.call_always(api.replace(&lease.name_any(), &PostParams::default(), lease)).await,
    }
}

/// A lease as its owner writes it. `before`: the version that it replaces, and the number of changes of owner.
pub(super) fn lease(
    arn: &str,
    holder: &LockOwner,
    taking: &str,
    now: Timestamp,
    before: Option<(Option<LeaseVersion>, i32)>,
) -> Lease {
    let json = serde_json::to_string(holder).unwrap_or_default();
    let (version, transitions) = before.unwrap_or_default();
    let (uid, resource_version) = version.map(|v| (v.uid, v.resource)).unzip();
    let annotations = [(HOLDER, json), (ACQUISITION, taking.to_owned()), (LOAD_BALANCER, arn.to_owned())];
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
        lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
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

/// Whether this acquisition owns it.
pub(super) fn is_owned_by(lease: &Lease, taking: &str) -> bool {
    !is_free(lease) && lease.annotations().get(ACQUISITION).is_some_and(|t| t == taking)
}

pub(super) fn transitions(lease: &Lease) -> i32 {
    lease.spec.as_ref().and_then(|s| s.lease_transitions).unwrap_or_default()
}

/// The owner, or the last one.
pub(super) fn holder_of(lease: &Lease) -> LockOwner {
    let said = lease.annotations().get(HOLDER).and_then(|json| serde_json::from_str(json).ok());
    said.unwrap_or_else(|| {
        let spec = lease.spec.clone().unwrap_or_default();
        let owner = spec.holder_identity.unwrap_or_else(|| "unknown".to_owned());
        let since = spec.acquire_time.map_or(Timestamp::UNIX_EPOCH, |t| t.0);
        LockOwner { owner, host: "unknown".into(), pid: 0, since, run: "unknown".into() }
    })
}

fn duration(lease: &Lease) -> Duration {
    let seconds = lease.spec.as_ref().and_then(|s| s.lease_duration_seconds).and_then(|s| u64::try_from(s).ok());
    seconds.map_or(DURATION, |s| Duration::from_secs(s.clamp(1, 600)))
}

fn renewed_recently(lease: &Lease, now: Timestamp) -> bool {
    let renewed = lease.spec.as_ref().and_then(|s| s.renew_time.as_ref());
    renewed.is_some_and(|t| now.duration_since(t.0).unsigned_abs() <= duration(lease) * 2)
}
