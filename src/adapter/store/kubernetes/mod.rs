//! The store in a namespace of a cluster, for machines without a shared disk: a Lease for each load balancer, and
//! ConfigMaps
//! for the rest.
//!
//! Everything that must not interleave is written over the version that was read (optimistic concurrency); after a lost
//! answer
//! the object is read. An unreachable API is an error: the store never falls back to a local lock or journal. Nothing
//! is ever
//! deleted.

mod claim;
mod desk;
mod journal;
mod label;
mod lease;
mod reach;
#[cfg(test)]
pub(super) mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use kube::Client;
use kube::api::ListParams;
use tokio::time::Instant;

use self::journal::Writer;
use self::label::Part;
use self::lease::Leases;
use self::reach::Reach;
use crate::adapter::store::{cleaned, is_run_id};
use crate::domain::emergency::script::NAME as SCRIPT;
use crate::domain::run::event::{Event, Record};
use crate::port::Clock;
use crate::port::store::{Held, Holder, LockError, Look, Request, RunSummary, Store, StoreError, meant};

pub use self::lease::{DURATION, RENEW};

/// A heartbeat within this time of the previous one is skipped, unless it says that the process stops guarding.
const SIGN: std::time::Duration = std::time::Duration::from_secs(2);

/// A store in a namespace.
pub struct Shared {
    reach: Arc<Reach>,
    leases: Leases,
    /// The `kubectl` command that reaches the namespace, for messages.
    kubectl: String,
    writers: tokio::sync::Mutex<HashMap<String, Writing>>,
    signed: std::sync::Mutex<HashMap<String, Instant>>,
}

impl Shared {
    /// `client` must neither retry nor wait without limit. `place` names the cluster in messages; `kubectl` is the
    /// command that
    /// reaches the namespace, such as `kubectl --context tools -n cutover`. Makes no request.
    pub fn new(client: Client, namespace: &str, place: &str, kubectl: &str, clock: Arc<dyn Clock>) -> Self {
        let reach = Arc::new(Reach::new(client, namespace, place.to_owned()));
        let leases = Leases::new(Arc::clone(&reach), clock);
        Self {
            reach,
            leases,
            kubectl: kubectl.to_owned(),
            writers: tokio::sync::Mutex::default(),
            signed: std::sync::Mutex::default(),
        }
    }

    /// Checks that the namespace can be reached and read.
    ///
    /// # Errors
    /// [`StoreError::Unusable`].
    pub async fn probe(&self) -> Result<(), StoreError> {
        let api: kube::Api<k8s_openapi::api::coordination::v1::Lease> = self.reach.api();
        let listed =
            self.reach.first(api.list(&ListParams::default().limit(1).labels(&label::selector(Part::Lock)))).await;
        listed.map(drop).map_err(|t| self.reach.error("the leases", t))
    }

    fn known(&self, run: &str) -> Result<(), StoreError> {
        if is_name(run) { Ok(()) } else { Err(StoreError::NoSuchRun { run: run.to_owned(), place: self.place() }) }
    }
}

/// State of the writer of a run's journal.
enum Writing {
    /// The end of the journal is known.
    Ready(Box<Writer>),
    /// It is unknown whether the journal contains this record.
    Doubtful(Box<Record>),
}

/// Whether a run's id can be part of an object's name.
fn is_name(run: &str) -> bool {
    is_run_id(run) && !run.bytes().any(|b| b.is_ascii_uppercase())
}

#[async_trait]
impl Store for Shared {
    fn place(&self) -> String {
        self.reach.place().to_owned()
    }

    fn lasts(&self) -> bool {
        true
    }

    async fn create(&self, run: &str) -> Result<(), StoreError> {
        if !is_name(run) {
            return Err(StoreError::Io {
                path: self.place(),
                message: format!("`{run}` is not a valid run id here; use lower case letters, digits and hyphens"),
            });
        }
        journal::create(&self.reach, run).await?;
        desk::create(&self.reach, run).await
    }

    async fn append(&self, run: &str, time: Timestamp, event: &Event) -> Result<Record, StoreError> {
        self.known(run)?;
        let event = &*cleaned(event);
        let mut writers = self.writers.lock().await;
        let mut writer = match writers.remove(run) {
            Some(Writing::Ready(writer)) => writer,
            Some(Writing::Doubtful(record)) => {
                let opened = Writer::open(&self.reach, run).await;
                // If the caller repeats the append, the record must not appear twice.
                let again = (record.time, &record.event) == (time, event);
                match opened {
                    Ok(writer) if again && writer.ends_with(&record) => {
                        writers.insert(run.to_owned(), Writing::Ready(Box::new(writer)));
                        return Ok(*record);
                    }
                    Ok(writer) => Box::new(writer),
                    Err(error) => {
                        writers.insert(run.to_owned(), Writing::Doubtful(record));
                        return Err(error);
                    }
                }
            }
            None => Box::new(Writer::open(&self.reach, run).await?),
        };
        let record = writer.next(time, event);
        match writer.append(&self.reach, &record).await {
            Ok(()) => {
                writers.insert(run.to_owned(), Writing::Ready(writer));
                Ok(record)
            }
            // A writer that failed is dropped: the next append reads the journal again.
            Err(error) => {
                if matches!(error, StoreError::Unusable { .. }) {
                    writers.insert(run.to_owned(), Writing::Doubtful(Box::new(record)));
                }
                Err(error)
            }
        }
    }

    async fn read(&self, run: &str) -> Result<Arc<Vec<Record>>, StoreError> {
        self.known(run)?;
        journal::read(&self.reach, run).await.map(Arc::new)
    }

    async fn runs(&self) -> Result<Vec<RunSummary>, StoreError> {
        journal::runs(&self.reach).await
    }

    async fn find(&self, reference: &str) -> Result<Vec<RunSummary>, StoreError> {
        Ok(meant(self.runs().await?, reference))
    }

    async fn put_request(&self, run: &str, request: &Request) -> Result<(), StoreError> {
        self.known(run)?;
        desk::put(&self.reach, run, request).await
    }

    async fn requests(&self, run: &str) -> Result<Vec<(String, Request)>, StoreError> {
        self.known(run)?;
        desk::pending(&self.reach, run).await
    }

    async fn drop_request(&self, run: &str, name: &str) -> Result<(), StoreError> {
        self.known(run)?;
        desk::remove(&self.reach, run, name).await
    }

    async fn put_look(&self, run: &str, look: &Look) -> Result<(), StoreError> {
        self.known(run)?;
        let lately = {
            let mut signed = self.signed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let before = signed.insert(run.to_owned(), Instant::now());
            let lately = before.filter(|at| look.watching && at.elapsed() < SIGN);
            lately.map(|at| signed.insert(run.to_owned(), at)).is_some()
        };
        if lately { Ok(()) } else { desk::put_look(&self.reach, run, look).await }
    }

    async fn look(&self, run: &str) -> Option<Look> {
        self.known(run).ok()?;
        desk::look(&self.reach, run).await
    }

    async fn put_script(&self, run: &str, text: &str) -> Result<Option<String>, StoreError> {
        self.known(run)?;
        desk::put_script(&self.reach, run, SCRIPT, text).await?;
        let key = SCRIPT.replace('.', "\\.");
        Ok(Some(format!(
            "{} get configmap {} -o jsonpath='{{.data.{key}}}' | sh",
            self.kubectl,
            desk::name(Part::Script, run)
        )))
    }

    async fn lock(&self, load_balancers: &[String], holder: &Holder) -> Result<Held, LockError> {
        self.leases.take(load_balancers, holder, false).await
    }

    async fn take_over(&self, load_balancers: &[String], holder: &Holder) -> Result<Held, LockError> {
        self.leases.take(load_balancers, holder, true).await
    }

    async fn holder(&self, run: &str) -> Option<Holder> {
        self.leases.holder(run).await.unwrap_or_else(|trouble| {
            tracing::warn!("the owner of the lock cannot be read: {trouble}");
            None
        })
    }
}
