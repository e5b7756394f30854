//! Caches the credentials of the clients until they expire or AWS refuses them.
//!
//! The SDK's cache cannot be cleared, so it would not see a login in another terminal. Loading must not be added here.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, Result as Provided, SharedCredentialsProvider, future};
use aws_smithy_async::time::SharedTimeSource;
use tokio::sync::Mutex;

/// Credentials are renewed this long before they expire, so that they do not expire during a request.
const BEFORE: Duration = Duration::from_mins(1);

/// A provider that caches the credentials of another one.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    source: Option<SharedCredentialsProvider>,
    time: SharedTimeSource,
    kept: Arc<Mutex<Option<Credentials>>>,
}

impl Identity {
    pub(super) fn new(source: Option<SharedCredentialsProvider>, time: Option<SharedTimeSource>) -> Self {
        Self { source, time: time.unwrap_or_default(), kept: Arc::default() }
    }

    /// The next request loads credentials again.
    pub(super) async fn forget(&self) {
        *self.kept.lock().await = None;
    }

    /// The expiry of the credentials that were last used, if they have one.
    pub(super) async fn expires(&self) -> Option<SystemTime> {
        self.kept.lock().await.as_ref().and_then(Credentials::expiry)
    }

    /// Loads credentials; concurrent callers wait for one load.
    async fn load(&self) -> Provided {
        let mut kept = self.kept.lock().await;
        let soon = self.time.now() + BEFORE;
        if let Some(valid) = kept.as_ref().filter(|c| c.expiry().is_none_or(|end| end > soon)) {
            return Ok(valid.clone());
        }
        let source = self.source.as_ref().ok_or_else(CredentialsError::not_loaded_no_source)?;
        let fresh = source.provide_credentials().await?;
        *kept = Some(fresh.clone());
        Ok(fresh)
    }
}

impl ProvideCredentials for Identity {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.load())
    }
}
