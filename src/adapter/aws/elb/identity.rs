//! The credentials that the clients sign with: kept until they end, and forgotten when AWS says that they are not valid.
//!
//! The SDK's own cache cannot be told to forget, so a login in another terminal would not be seen.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, Result as Provided, SharedCredentialsProvider, future};
use aws_smithy_async::time::SharedTimeSource;
use tokio::sync::Mutex;

/// Renewed this long before they end, so that no request is signed with credentials that end on the way.
const BEFORE: Duration = Duration::from_mins(1);

/// A provider behind which one answer is kept.
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

    /// Asks the source again at the next request.
    pub(super) async fn forget(&self) {
        *self.kept.lock().await = None;
    }

    /// When those that were last used end, where they say so.
    pub(super) async fn expires(&self) -> Option<SystemTime> {
        self.kept.lock().await.as_ref().and_then(Credentials::expiry)
    }

    /// One asks, the others wait for the answer.
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
