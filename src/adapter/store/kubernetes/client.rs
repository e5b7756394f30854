//! Access to the API server. Every request has a deadline, nothing is retried implicitly, and a server that does not
//! answer gets
//! no further requests for a while, so that a rollback does not wait for it at every record.

use std::fmt;
use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use tokio::time::Instant;

use crate::adapter::kubernetes::unreadable;
use crate::port::store::StoreError;

/// Deadline of a request. API servers answer much faster.
pub const DEADLINE: Duration = Duration::from_secs(3);
/// Deadline of the first request, which opens a connection and may log in.
const FIRST_DEADLINE: Duration = Duration::from_secs(10);
/// For this time a server that did not answer gets no requests except the lock's renewals.
const PAUSE: Duration = Duration::from_secs(10);

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestError {
    /// The object does not exist.
    Missing,
    /// The object exists already, or has changed since it was read.
    Conflict,
    /// The server refused. Nothing was changed.
    Refused(String),
    /// No answer, or an unclear one: a write may have taken effect, or may still do so.
    Unanswered(String),
}

/// Access to a namespace.
pub struct NamespaceClient {
    client: Client,
    namespace: String,
    place: String,
    outage: Mutex<Outage>,
}

/// Result of the last requests.
#[derive(Default)]
struct Outage {
    /// Number of requests in a row without an answer.
    failures: u32,
    /// Until when no requests are sent, and why.
    until: Option<(Instant, String)>,
}

impl NamespaceClient {
    pub fn new(client: Client, namespace: &str, place: String) -> Self {
        Self { client, namespace: namespace.to_owned(), place, outage: Mutex::default() }
    }

    /// The API of a kind of objects.
    pub fn api<K: Resource<Scope = NamespaceResourceScope>>(&self) -> Api<K>
    where
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Name of the place, for messages.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Sends a request, unless the server did not answer a moment ago.
    pub async fn call<T>(&self, request: impl Future<Output = Result<T, kube::Error>>) -> Result<T, RequestError> {
        let down = self.outage().until.clone().filter(|(until, _)| *until > Instant::now());
        match down {
            Some((_, why)) => Err(RequestError::Unanswered(why)),
            None => self.within(DEADLINE, request).await,
        }
    }

    /// Sends a read, and repeats it if the answer is lost.
    pub async fn read<T, R: Future<Output = Result<T, kube::Error>>>(
        &self,
        request: impl Fn() -> R,
    ) -> Result<T, RequestError> {
        let mut answer = self.call(request()).await;
        for _ in 0..2 {
            if matches!(answer, Err(RequestError::Unanswered(_))) {
                answer = self.call(request()).await;
            }
        }
        answer
    }

    /// Sends a request even if the server did not answer a moment ago.
    pub async fn call_always<T>(
        &self,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, RequestError> {
        self.within(DEADLINE, request).await
    }

    /// Sends the first request, with a longer deadline.
    pub async fn first_call<T>(
        &self,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, RequestError> {
        self.within(FIRST_DEADLINE, request).await
    }

    async fn within<T>(
        &self,
        deadline: Duration,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, RequestError> {
        let answer = tokio::time::timeout(deadline, request).await;
        let silent = answer.is_err();
        let late = || Err(RequestError::Unanswered(format!("no answer within {} s", deadline.as_secs())));
        let result = answer.map_or_else(|_| late(), |answer| answer.map_err(|e| request_error(&e)));
        let mut down = self.outage();
        match &result {
            Err(RequestError::Unanswered(why)) => {
                down.failures += 1;
                // A single connection that was reset says little.
                if silent || down.failures > 1 {
                    down.until = Some((Instant::now() + PAUSE, why.clone()));
                }
            }
            _ => *down = Outage::default(),
        }
        result
    }

    fn outage(&self) -> MutexGuard<'_, Outage> {
        self.outage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Converts to the store's error; `what` is the object of the request.
    pub fn error(&self, what: &str, trouble: RequestError) -> StoreError {
        match trouble {
            RequestError::Conflict => StoreError::Busy(format!("{what} in {}", self.place)),
            other => StoreError::Unusable { place: self.place.clone(), why: format!("{what}: {other}") },
        }
    }
}

fn request_error(error: &kube::Error) -> RequestError {
    let why = || unreadable(error).to_string();
    match error {
        kube::Error::Api(status) => match status.code {
            404 if names_an_object(&status.message) => RequestError::Missing,
            409 => RequestError::Conflict,
            408 | 429 | 500.. => RequestError::Unanswered(why()),
            _ => RequestError::Refused(why()),
        },
        kube::Error::Auth(_) | kube::Error::BuildRequest(_) => RequestError::Refused(why()),
        _ => RequestError::Unanswered(why()),
    }
}

/// A missing namespace must not count as a missing object: everything in it would look free.
fn names_an_object(message: &str) -> bool {
    !message.starts_with("namespaces ")
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("it does not exist"),
            Self::Conflict => f.write_str("someone else changed it at the same time"),
            Self::Refused(why) | Self::Unanswered(why) => f.write_str(why),
        }
    }
}
