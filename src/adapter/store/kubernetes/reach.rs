//! The way to the API server: every request bounded, nothing tried twice by itself, and a server that does not answer is not asked again for a while.
//! A rollback must not wait for it at every record.

use std::fmt;
use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use tokio::time::Instant;

use crate::adapter::kubernetes::unreadable;
use crate::port::store::StoreError;

/// How long a request may take. API servers answer in a small part of this.
pub const DEADLINE: Duration = Duration::from_secs(3);
/// The same for the first one, which makes a connection and may log in.
const FIRST: Duration = Duration::from_secs(10);
/// A server that did not answer is left alone for this long, by all but the lock's renewals.
const REST: Duration = Duration::from_secs(10);

/// Why a request came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// No such object.
    Missing,
    /// It is there already, or is not what it was when it was read.
    Conflict,
    /// Answered: no. Nothing was changed.
    Refused(String),
    /// No answer, or one that does not tell: a write may have been carried out, or may yet be.
    Unanswered(String),
}

/// The way to a namespace.
pub struct Reach {
    client: Client,
    namespace: String,
    place: String,
    down: Mutex<Down>,
}

/// What the last requests came to.
#[derive(Default)]
struct Down {
    /// How many in a row had no answer.
    failures: u32,
    /// Until when the server is left alone, and why.
    until: Option<(Instant, String)>,
}

impl Reach {
    pub fn new(client: Client, namespace: &str, place: String) -> Self {
        Self { client, namespace: namespace.to_owned(), place, down: Mutex::default() }
    }

    /// The objects of a kind.
    pub fn api<K: Resource<Scope = NamespaceResourceScope>>(&self) -> Api<K>
    where
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// For messages.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// A request, unless the server did not answer a moment ago.
    pub async fn call<T>(&self, request: impl Future<Output = Result<T, kube::Error>>) -> Result<T, Trouble> {
        let down = self.down().until.clone().filter(|(until, _)| *until > Instant::now());
        match down {
            Some((_, why)) => Err(Trouble::Unanswered(why)),
            None => self.within(DEADLINE, request).await,
        }
    }

    /// A read, tried again where its answer was lost.
    pub async fn read<T, R: Future<Output = Result<T, kube::Error>>>(
        &self,
        request: impl Fn() -> R,
    ) -> Result<T, Trouble> {
        let mut answer = self.call(request()).await;
        for _ in 0..2 {
            if matches!(answer, Err(Trouble::Unanswered(_))) {
                answer = self.call(request()).await;
            }
        }
        answer
    }

    /// A request in any case.
    pub async fn insist<T>(&self, request: impl Future<Output = Result<T, kube::Error>>) -> Result<T, Trouble> {
        self.within(DEADLINE, request).await
    }

    /// The first request.
    pub async fn first<T>(&self, request: impl Future<Output = Result<T, kube::Error>>) -> Result<T, Trouble> {
        self.within(FIRST, request).await
    }

    async fn within<T>(
        &self,
        deadline: Duration,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, Trouble> {
        let answer = tokio::time::timeout(deadline, request).await;
        let silent = answer.is_err();
        let late = || Err(Trouble::Unanswered(format!("no answer within {} s", deadline.as_secs())));
        let result = answer.map_or_else(|_| late(), |answer| answer.map_err(|e| trouble(&e)));
        let mut down = self.down();
        match &result {
            Err(Trouble::Unanswered(why)) => {
                down.failures += 1;
                // One connection that was reset says little.
                if silent || down.failures > 1 {
                    down.until = Some((Instant::now() + REST, why.clone()));
                }
            }
            _ => *down = Down::default(),
        }
        result
    }

    fn down(&self) -> MutexGuard<'_, Down> {
        self.down.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As the store's error; `what` is the object that the request was about.
    pub fn error(&self, what: &str, trouble: Trouble) -> StoreError {
        match trouble {
            Trouble::Conflict => StoreError::Busy(format!("{what} in {}", self.place)),
            other => StoreError::Unusable { place: self.place.clone(), why: format!("{what}: {other}") },
        }
    }
}

fn trouble(error: &kube::Error) -> Trouble {
    let why = || unreadable(error).to_string();
    match error {
        kube::Error::Api(status) => match status.code {
            404 if names_an_object(&status.message) => Trouble::Missing,
            409 => Trouble::Conflict,
            408 | 429 | 500.. => Trouble::Unanswered(why()),
            _ => Trouble::Refused(why()),
        },
        kube::Error::Auth(_) | kube::Error::BuildRequest(_) => Trouble::Refused(why()),
        _ => Trouble::Unanswered(why()),
    }
}

/// A namespace that is not there is no missing object: everything in it would look free.
fn names_an_object(message: &str) -> bool {
    !message.starts_with("namespaces ")
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("it is not there"),
            Self::Conflict => f.write_str("someone else changed it at the same time"),
            Self::Refused(why) | Self::Unanswered(why) => f.write_str(why),
        }
    }
}
