//! A client of the API server for one namespace. Every request has a deadline, and nothing is retried implicitly. After
//! a server did not respond, it gets no further requests for a while, so that a rollback does not wait for the server
//! at every record.

use std::fmt;
use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use tokio::time::Instant;

use crate::adapter::kubernetes::unreadable;
use crate::port::store::StoreError;

/// The deadline of a request. API servers respond much faster.
pub const DEADLINE: Duration = Duration::from_secs(3);
/// The deadline of the first request, which opens a connection and may log in.
const FIRST_DEADLINE: Duration = Duration::from_secs(10);
/// The time for which a server that did not respond gets no requests except renewals of the lock.
const OUTAGE_PAUSE: Duration = Duration::from_secs(10);

/// The reason why a request failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestError {
    /// The object does not exist.
    Missing,
    /// The object already exists, or has changed since it was read.
    Conflict,
    /// The server refused the request. Nothing was changed.
    Refused(String),
    /// There was no response, or an unclear response. A write may have taken effect, or may still take effect.
    Unanswered(String),
}

/// A client for one namespace.
pub struct NamespaceClient {
    client: Client,
    namespace: String,
    place: String,
    outage: Mutex<Outage>,
}

/// The result of the last requests.
#[derive(Default)]
struct Outage {
    /// The number of requests in a row without a response.
    failures: u32,
    /// The time until which no requests are sent, and the reason.
    until: Option<(Instant, String)>,
}

impl NamespaceClient {
    pub fn new(client: Client, namespace: &str, place: String) -> Self {
        Self { client, namespace: namespace.to_owned(), place, outage: Mutex::default() }
    }

    /// Returns the API for a kind of objects.
    pub fn api<K: Resource<Scope = NamespaceResourceScope>>(&self) -> Api<K>
    where
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Returns the name of the namespace and the cluster, for messages.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Sends a request, unless the server did not respond a moment ago.
    pub async fn call<T>(&self, request: impl Future<Output = Result<T, kube::Error>>) -> Result<T, RequestError> {
        let outage = self.outage().until.clone().filter(|(until, _)| *until > Instant::now());
        match outage {
            Some((_, why)) => Err(RequestError::Unanswered(why)),
            None => self.send_within(DEADLINE, request).await,
        }
    }

    /// Sends a read, and repeats it if the response is lost.
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

    /// Sends a request even if the server did not respond a moment ago.
    pub async fn call_always<T>(
        &self,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, RequestError> {
        self.send_within(DEADLINE, request).await
    }

    /// Sends the first request, with a longer deadline.
    pub async fn first_call<T>(
        &self,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, RequestError> {
        self.send_within(FIRST_DEADLINE, request).await
    }

    async fn send_within<T>(
        &self,
        deadline: Duration,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, RequestError> {
        let answer = tokio::time::timeout(deadline, request).await;
        let timed_out = answer.is_err();
        let timeout_error = || Err(RequestError::Unanswered(format!("no response within {} s", deadline.as_secs())));
        let result = answer.map_or_else(|_| timeout_error(), |answer| answer.map_err(|e| request_error(&e)));
        let mut outage = self.outage();
        match &result {
            Err(RequestError::Unanswered(why)) => {
                outage.failures += 1;
                // One connection that was reset does not show that the server is down.
                if timed_out || outage.failures > 1 {
                    outage.until = Some((Instant::now() + OUTAGE_PAUSE, why.clone()));
                }
            }
            _ => *outage = Outage::default(),
        }
        result
    }

    fn outage(&self) -> MutexGuard<'_, Outage> {
        self.outage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Converts the error to the store's error. `what` is the object of the request.
    pub fn error(&self, what: &str, error: RequestError) -> StoreError {
        match error {
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

/// Returns whether the missing thing is an object. If the namespace is missing, its objects must not count as missing,
/// because every lock in it would look free.
fn names_an_object(message: &str) -> bool {
    !message.starts_with("namespaces ")
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("the object does not exist"),
            Self::Conflict => f.write_str("someone else changed the object at the same time"),
            Self::Refused(why) | Self::Unanswered(why) => f.write_str(why),
        }
    }
}
