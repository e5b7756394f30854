//! Loads credentials with the SDK's default chain, within a time limit. Do not cache them; the caller does.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_config::Region;
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, Result as Provided, future};
use tokio::time::Instant;

use super::{Settings, credentials, selected_profile};
use crate::base::redact;

/// The time limit for a load. `credential_process` may call other services.
pub const CREDENTIALS_TIMEOUT: Duration = Duration::from_secs(30);
/// The time after which a load that takes long is reported.
const REPORT_AFTER: Duration = Duration::from_secs(3);
/// The time for which further loads fail at once after a load that did not end in time. Otherwise each of several reads
/// would wait again.
const GIVE_UP_FOR: Duration = Duration::from_secs(20);

/// The SDK's default chain, built again for each load. So a process that has run for hours uses a login in another
/// terminal or a changed file.
#[derive(Debug)]
pub struct DefaultChain {
    settings: Settings,
    /// When the last load did not end in time.
    timed_out: Mutex<Option<Instant>>,
}

impl DefaultChain {
    pub fn new(settings: Settings) -> Self {
        Self { settings, timed_out: Mutex::default() }
    }

    async fn load(&self) -> Provided {
        within(&self.timed_out, (credentials::source, credentials::kill_process), self.load_from_chain()).await
    }

    async fn load_from_chain(&self) -> Provided {
        let mut config = ProviderConfig::without_region();
        if let Some(client) = &self.settings.http_client {
            config = config.with_http_client(client.clone());
        }
        if let Some(time) = &self.settings.time_source {
            config = config.with_time_source(time.clone());
        }
        if let Some(sleep) = &self.settings.sleep {
            config = config.with_sleep_impl(sleep.clone());
        }
        let mut chain = DefaultCredentialsChain::builder().configure(config);
        // The chain calls STS in this region for roles and web identity. Without this region, the chain uses the region
        // of the environment or of the profile.
        if let Some(region) = &self.settings.region {
            chain = chain.region(Region::new(region.clone()));
        }
        if let Some(profile) = selected_profile() {
            chain = chain.profile_name(&profile);
        }
        let found = chain.build().await.provide_credentials().await;
        if let Ok(credentials) = &found {
            redact::remember(credentials.secret_access_key());
            redact::remember(credentials.session_token().unwrap_or_default());
        }
        found
    }
}

/// Waits for a load. Reports a load that takes long, and ends it after the time limit with `kill`. After that, further
/// loads fail at once for some time.
async fn within(
    timed_out: &Mutex<Option<Instant>>,
    (source, kill): (impl FnOnce() -> String, impl FnOnce()),
    load: impl Future<Output = Provided>,
) -> Provided {
    let last = *timed_out.lock().unwrap_or_else(PoisonError::into_inner);
    if last.is_some_and(|at| at.elapsed() < GIVE_UP_FOR) {
        return Err(CredentialsError::provider_timed_out(CREDENTIALS_TIMEOUT));
    }
    let limit = Instant::now() + CREDENTIALS_TIMEOUT;
    let mut load = std::pin::pin!(load);
    if let Ok(found) = tokio::time::timeout(REPORT_AFTER, &mut load).await {
        return found;
    }
    tracing::warn!("still waiting for {}", source());
    tokio::time::timeout_at(limit, load).await.unwrap_or_else(|_| {
        kill();
        *timed_out.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        Err(CredentialsError::provider_timed_out(CREDENTIALS_TIMEOUT))
    })
}

impl ProvideCredentials for DefaultChain {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.load())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn load_that_hangs_ends_and_is_not_repeated_for_each_read() {
        let timed_out = Mutex::default();
        let (begun, killed) = (Instant::now(), Cell::new(0));
        let kill = || killed.set(killed.get() + 1);
        for _ in 0..5 {
            let found = within(&timed_out, (String::new, kill), std::future::pending()).await;
            assert!(matches!(found, Err(CredentialsError::ProviderTimedOut(_))), "{found:?}");
        }
        assert_eq!(killed.get(), 1);
        assert_eq!(begun.elapsed(), CREDENTIALS_TIMEOUT);
        tokio::time::advance(GIVE_UP_FOR).await;
        let load = async { Err(CredentialsError::not_loaded_no_source()) };
        let found = within(&timed_out, (String::new, kill), load).await;
        assert!(matches!(found, Err(CredentialsError::CredentialsNotLoaded(_))), "{found:?}");
    }
}
