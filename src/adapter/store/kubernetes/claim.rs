//! Leases that this process owns: renewed in the background, confirmed before a raise, and released.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, ResourceExt};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::lease::{DURATION, RENEW, Version, claimed, free, holder_of, lease, put, transitions};
use super::reach::{Reach, Trouble};
use crate::base::retry;
use crate::port::Clock;
use crate::port::store::{Held, Holder, Lock};

/// State of an owned lease.
#[derive(Debug, Clone)]
pub struct Known {
    arn: String,
    name: String,
    /// `None`: the lease was deleted.
    version: Option<Version>,
    transitions: i32,
    /// When the last successful renewal was sent, on the monotonic and on the wall clock.
    renewed: (Instant, Timestamp),
    usurper: Option<Holder>,
    /// Error of the last renewal.
    trouble: Option<String>,
    released: bool,
}

impl Known {
    pub fn new(arn: &str, lease: &Lease, sent: (Instant, Timestamp)) -> Self {
        Self {
            arn: arn.to_owned(),
            name: lease.name_any(),
            version: Version::of(lease),
            transitions: transitions(lease),
            renewed: sent,
            usurper: None,
            trouble: None,
            released: false,
        }
    }

    fn ended(&self) -> bool {
        self.released || self.usurper.is_some()
    }

    /// Time since the last renewal, by the clock that shows more.
    fn age(&self, now: Timestamp) -> Duration {
        let wall = now.duration_since(self.renewed.1).try_into().unwrap_or(Duration::ZERO);
        self.renewed.0.elapsed().max(wall)
    }
}

/// The leases of one acquisition.
pub struct Claim {
    pub taking: String,
    reach: Arc<Reach>,
    clock: Arc<dyn Clock>,
    holder: Holder,
    leases: Mutex<Vec<Known>>,
    /// Serializes renewals: concurrent ones would conflict with each other.
    turn: tokio::sync::Mutex<()>,
}

impl Claim {
    pub fn new(reach: Arc<Reach>, clock: Arc<dyn Clock>, holder: Holder, taking: String) -> Self {
        Self { taking, reach, clock, holder, leases: Mutex::default(), turn: tokio::sync::Mutex::default() }
    }

    pub fn add(&mut self, known: Known) {
        self.leases().push(known);
    }

    /// Starts the renewal in the background.
    pub fn keep(self) -> Held {
        let claim = Arc::new(self);
        let ours = Arc::clone(&claim);
        let renewing = tokio::spawn(async move {
            while !ours.leases().iter().all(Known::ended) {
                tokio::time::sleep(RENEW).await;
                ours.renew().await;
            }
        });
        Held::new(Kept { claim, renewing })
    }

    fn leases(&self) -> MutexGuard<'_, Vec<Known>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Renews all leases that this process still owns.
    pub async fn renew(&self) {
        let _turn = self.turn.lock().await;
        let all = self.leases().clone();
        let renewed = join_all(all.into_iter().map(|known| self.renew_one(known))).await;
        *self.leases() = renewed;
    }

    async fn renew_one(&self, mut known: Known) -> Known {
        let api: Api<Lease> = self.reach.api();
        for _ in 0..retry::RENEW {
            if known.ended() {
                break;
            }
            let sent = (Instant::now(), self.clock.now());
            let before = Some((known.version.clone(), known.transitions));
            match put(&self.reach, &api, &lease(&known.arn, &self.holder, &self.taking, sent.1, before)).await {
                Ok(stored) => {
                    known.version = Version::of(&stored);
                    known.renewed = sent;
                    known.trouble = None;
                    break;
                }
                Err(Trouble::Conflict | Trouble::Missing) => self.read_again(&api, &mut known).await,
                Err(trouble) => {
                    known.trouble = Some(trouble.to_string());
                    break;
                }
            }
        }
        known
    }

    /// Reads a lease whose version has changed: an answer was lost, another process took it over, or it was emptied or
    /// deleted by
    /// hand.
    async fn read_again(&self, api: &Api<Lease>, known: &mut Known) {
        match self.reach.insist(api.get_opt(&known.name)).await {
            Ok(None) => known.version = None,
            Ok(Some(found))
                if claimed(&found, &self.taking) || (free(&found) && transitions(&found) == known.transitions) =>
            {
                known.version = Version::of(&found);
            }
            // Also if it is free again: another owner may have written meanwhile.
            Ok(Some(found)) => known.usurper = Some(holder_of(&found)),
            Err(trouble) => known.trouble = Some(trouble.to_string()),
        }
    }

    pub fn usurper(&self) -> Option<Holder> {
        self.leases().iter().find_map(|k| k.usurper.clone())
    }

    fn lapsed(&self, need: Duration) -> Option<String> {
        let now = self.clock.now();
        let leases = self.leases();
        let late = leases.iter().filter(|k| !k.ended()).find(|k| k.age(now) + need >= DURATION)?;
        let why = late.trouble.as_ref().map_or_else(String::new, |why| format!(": {why}"));
        Some(format!(
            "the lock (lease {} in {}) was not renewed for {} s{why}",
            late.name,
            self.reach.place(),
            late.age(now).as_secs()
        ))
    }

    /// Releases the leases, so that the next owner need not wait for their expiry.
    pub async fn free(&self) {
        let _turn = self.turn.lock().await;
        let all = self.leases().clone();
        let freed = join_all(all.into_iter().map(|known| self.free_one(known))).await;
        *self.leases() = freed;
    }

    async fn free_one(&self, mut known: Known) -> Known {
        let api: Api<Lease> = self.reach.api();
        for _ in 0..retry::RENEW {
            if known.ended() || known.version.is_none() {
                break;
            }
            let before = Some((known.version.clone(), known.transitions));
            let mut empty = lease(&known.arn, &self.holder, &self.taking, self.clock.now(), before);
            if let Some(spec) = &mut empty.spec {
                spec.holder_identity = None;
            }
            match put(&self.reach, &api, &empty).await {
                Err(Trouble::Conflict) => self.read_again(&api, &mut known).await,
                Err(trouble) => {
                    tracing::warn!(
                        "the lease {} was not released and expires in {} s: {trouble}",
                        known.name,
                        DURATION.as_secs()
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

/// The lock of a [`Held`].
struct Kept {
    claim: Arc<Claim>,
    renewing: JoinHandle<()>,
}

#[async_trait]
impl Lock for Kept {
    fn usurper(&self) -> Option<Holder> {
        self.claim.usurper()
    }

    fn lapsed(&self, need: Duration) -> Option<String> {
        self.claim.lapsed(need)
    }

    async fn confirm(&self) -> bool {
        let before = Instant::now();
        self.claim.renew().await;
        self.claim.leases().iter().all(|k| !k.ended() && k.renewed.0 >= before)
    }

    async fn release(&self) {
        self.renewing.abort();
        self.claim.free().await;
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.renewing.abort();
        let claim = Arc::clone(&self.claim);
        let ended = claim.leases().iter().all(Known::ended);
        if let (false, Ok(runtime)) = (ended, tokio::runtime::Handle::try_current()) {
            drop(runtime.spawn(async move { claim.free().await }));
        }
    }
}
