//! A store in a namespace of a cluster, for machines without a shared disk: a Lease for each load balancer, and
//! ConfigMaps for all other data.
//!
//! Everything that must not interleave is written with the version that was read (optimistic concurrency). If a
//! response is lost, the object is read. An unreachable API is an error: the store never uses a local lock or journal
//! instead. Nothing is ever deleted.

mod client;
mod journal;
mod label;
mod lease;
mod owned_leases;
mod parts;
mod run_objects;
#[cfg(test)]
pub(super) mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use kube::Client;
use kube::api::ListParams;
use tokio::time::Instant;

use self::client::NamespaceClient;
use self::journal::Writer;
use self::label::Purpose;
use self::lease::Leases;
use crate::adapter::store::{is_run_id, request_without_credentials, without_credentials};
use crate::domain::emergency::script::NAME as SCRIPT;
use crate::domain::run::event::{Event, Record};
use crate::port::Clock;
use crate::port::store::{
    Heartbeat, LockError, LockGuard, LockOwner, Request, RunSummary, Store, StoreError, runs_named,
};

pub use self::lease::{LEASE_DURATION, RENEW_INTERVAL};

/// The time after a heartbeat in which another heartbeat is skipped, unless it says that the process stops guarding.
const HEARTBEAT_INTERVAL: std::time::Duration = std::time::Duration::from_secs(2);

/// A store in a namespace of a cluster.
pub struct KubernetesStore {
    namespace_client: Arc<NamespaceClient>,
    leases: Leases,
    /// The `kubectl` command for this namespace, for messages.
    kubectl: String,
    writers: tokio::sync::Mutex<HashMap<String, WriterState>>,
    last_heartbeat: std::sync::Mutex<HashMap<String, Instant>>,
}

impl KubernetesStore {
    /// Creates a store without sending a request. `client` must neither retry nor wait without limit. `place` names the
    /// cluster in messages. `kubectl` is the command for the namespace, such as `kubectl --context tools -n cutover`.
    pub fn new(client: Client, namespace: &str, place: &str, kubectl: &str, clock: Arc<dyn Clock>) -> Self {
        let namespace_client = Arc::new(NamespaceClient::new(client, namespace, place.to_owned()));
        let leases = Leases::new(Arc::clone(&namespace_client), clock);
        Self {
            namespace_client,
            leases,
            kubectl: kubectl.to_owned(),
            writers: tokio::sync::Mutex::default(),
            last_heartbeat: std::sync::Mutex::default(),
        }
    }

    /// Checks that the namespace can be reached and read.
    ///
    /// # Errors
    /// Returns [`StoreError::Unusable`] if the namespace cannot be reached or read.
    pub async fn probe(&self) -> Result<(), StoreError> {
        let api: kube::Api<k8s_openapi::api::coordination::v1::Lease> = self.namespace_client.api();
        let listed = self
            .namespace_client
            .first_call(api.list(&ListParams::default().limit(1).labels(&label::selector(Purpose::Lock))))
            .await;
        listed.map(drop).map_err(|t| self.namespace_client.error("the leases", t))
    }

    fn check_run_id(&self, run: &str) -> Result<(), StoreError> {
        if is_name(run) { Ok(()) } else { Err(StoreError::NoSuchRun { run: run.to_owned(), place: self.location() }) }
    }
}

/// The state of the writer of a run's journal.
enum WriterState {
    /// The end of the journal is known.
    Ready(Box<Writer>),
    /// It is unknown whether the journal contains this record.
    Doubtful(Box<Record>),
}

/// Returns whether a run's id can be a part of an object's name.
fn is_name(run: &str) -> bool {
    is_run_id(run) && !run.bytes().any(|b| b.is_ascii_uppercase())
}

#[async_trait]
impl Store for KubernetesStore {
    fn location(&self) -> String {
        self.namespace_client.place().to_owned()
    }

    fn is_durable(&self) -> bool {
        true
    }

    async fn create(&self, run: &str) -> Result<(), StoreError> {
        if !is_name(run) {
            return Err(StoreError::Io {
                path: self.location(),
                message: format!("`{run}` is not a valid run id here; use lower case letters, digits and hyphens"),
            });
        }
        journal::create(&self.namespace_client, run).await?;
        run_objects::create(&self.namespace_client, run).await
    }

    async fn append(&self, run: &str, time: Timestamp, event: &Event) -> Result<Record, StoreError> {
        self.check_run_id(run)?;
        let event = &*without_credentials(event);
        let mut writers = self.writers.lock().await;
        let mut writer = match writers.remove(run) {
            Some(WriterState::Ready(writer)) => writer,
            Some(WriterState::Doubtful(record)) => {
                let opened = Writer::open(&self.namespace_client, run).await;
                // If the caller repeats the append, the record must not appear twice.
                let again = (record.time, &record.event) == (time, event);
                match opened {
                    Ok(writer) if again && writer.ends_with(&record) => {
                        writers.insert(run.to_owned(), WriterState::Ready(Box::new(writer)));
                        return Ok(*record);
                    }
                    Ok(writer) => Box::new(writer),
                    Err(error) => {
                        writers.insert(run.to_owned(), WriterState::Doubtful(record));
                        return Err(error);
                    }
                }
            }
            None => Box::new(Writer::open(&self.namespace_client, run).await?),
        };
        let record = writer.next(time, event);
        match writer.append(&self.namespace_client, &record).await {
            Ok(()) => {
                writers.insert(run.to_owned(), WriterState::Ready(writer));
                Ok(record)
            }
            // A writer that failed is dropped, so that the next append reads the journal again.
            Err(error) => {
                if matches!(error, StoreError::Unusable { .. }) {
                    writers.insert(run.to_owned(), WriterState::Doubtful(Box::new(record)));
                }
                Err(error)
            }
        }
    }

    async fn read(&self, run: &str) -> Result<Arc<Vec<Record>>, StoreError> {
        self.check_run_id(run)?;
        journal::read(&self.namespace_client, run).await.map(Arc::new)
    }

    async fn runs(&self) -> Result<Vec<RunSummary>, StoreError> {
        journal::runs(&self.namespace_client).await
    }

    async fn find(&self, reference: &str) -> Result<Vec<RunSummary>, StoreError> {
        Ok(runs_named(self.runs().await?, reference))
    }

    async fn put_request(&self, run: &str, request: &Request) -> Result<(), StoreError> {
        self.check_run_id(run)?;
        run_objects::put(&self.namespace_client, run, &request_without_credentials(request)).await
    }

    async fn requests(&self, run: &str) -> Result<Vec<(String, Request)>, StoreError> {
        self.check_run_id(run)?;
        run_objects::read_pending(&self.namespace_client, run).await
    }

    async fn drop_request(&self, run: &str, name: &str) -> Result<(), StoreError> {
        self.check_run_id(run)?;
        run_objects::remove(&self.namespace_client, run, name).await
    }

    async fn put_heartbeat(&self, run: &str, heartbeat: &Heartbeat) -> Result<(), StoreError> {
        self.check_run_id(run)?;
        let is_recent = {
            let mut signed = self.last_heartbeat.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let before = signed.insert(run.to_owned(), Instant::now());
            let is_recent = before.filter(|at| heartbeat.guarding && at.elapsed() < HEARTBEAT_INTERVAL);
            is_recent.map(|at| signed.insert(run.to_owned(), at)).is_some()
        };
        if is_recent { Ok(()) } else { run_objects::put_heartbeat(&self.namespace_client, run, heartbeat).await }
    }

    async fn heartbeat(&self, run: &str) -> Option<Heartbeat> {
        self.check_run_id(run).ok()?;
        run_objects::read_heartbeat(&self.namespace_client, run).await
    }

    async fn put_script(&self, run: &str, text: &str) -> Result<Option<String>, StoreError> {
        self.check_run_id(run)?;
        let names = run_objects::put_script(&self.namespace_client, run, SCRIPT, text).await?;
        let value = format!("{{.data.{}}}", SCRIPT.replace('.', "\\."));
        let path = if names.len() == 1 { value } else { format!("{{range .items[*]}}{value}{{end}}") };
        Ok(Some(format!("{} get configmap {} -o jsonpath='{path}' | sh", self.kubectl, names.join(" "))))
    }

    async fn lock(&self, load_balancers: &[String], holder: &LockOwner) -> Result<LockGuard, LockError> {
        self.leases.acquire(load_balancers, holder, false).await
    }

    async fn take_over(&self, load_balancers: &[String], holder: &LockOwner) -> Result<LockGuard, LockError> {
        self.leases.acquire(load_balancers, holder, true).await
    }

    async fn lock_owner(&self, run: &str) -> Option<LockOwner> {
        self.leases.holder(run).await.unwrap_or_else(|error| {
            tracing::warn!("the owner of the lock cannot be read: {error}");
            None
        })
    }
}
