//! Caches the credentials of the clients until they expire or AWS refuses them.
//!
//! The SDK's cache cannot be cleared, so it would not use a login in another terminal. Do not load credentials here.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, Result as Provided, SharedCredentialsProvider, future};
use aws_smithy_async::time::SharedTimeSource;
use tokio::sync::Mutex;

/// The time before the expiry at which credentials are renewed, so that they do not expire during a request.
const RENEW_BEFORE_EXPIRY: Duration = Duration::from_mins(1);

/// A provider that caches the credentials of another provider.
#[derive(Debug, Clone)]
pub(in crate::adapter::aws) struct CachedCredentials {
    source: Option<SharedCredentialsProvider>,
    time: SharedTimeSource,
    cached: Arc<Mutex<Option<Credentials>>>,
}

impl CachedCredentials {
    pub(in crate::adapter::aws) fn new(
        source: Option<SharedCredentialsProvider>,
        time: Option<SharedTimeSource>,
    ) -> Self {
        Self { source, time: time.unwrap_or_default(), cached: Arc::default() }
    }

    /// Clears the cache, so that the next request loads credentials again.
    pub(in crate::adapter::aws) async fn forget(&self) {
        *self.cached.lock().await = None;
    }

    /// Returns the expiry of the credentials that were last used; `None` if they do not expire.
    pub(super) async fn expires(&self) -> Option<SystemTime> {
        self.cached.lock().await.as_ref().and_then(Credentials::expiry)
    }

    /// Loads credentials. Concurrent callers wait for one load.
    async fn load(&self) -> Provided {
        let mut cached = self.cached.lock().await;
        let soon = self.time.now() + RENEW_BEFORE_EXPIRY;
        if let Some(valid) = cached.as_ref().filter(|c| c.expiry().is_none_or(|end| end > soon)) {
            return Ok(valid.clone());
        }
        let source = self.source.as_ref().ok_or_else(CredentialsError::not_loaded_no_source)?;
        let fresh = source.provide_credentials().await?;
        *cached = Some(fresh.clone());
        Ok(fresh)
    }
}

impl ProvideCredentials for CachedCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.load())
    }
}
