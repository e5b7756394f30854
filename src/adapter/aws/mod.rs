//! Configures the AWS clients: the SDK's standard chain, no retries by the SDK, and time-outs for every call.
//!
//! Do not add retries here. The executor retries, because it must read a route again before it writes again.

mod chain;
pub mod cloudwatch;
mod credentials;
pub mod eks;
pub mod elb;
mod endpoint;
mod http;
mod hung_process;
mod pace;
pub mod platform;
mod query;

pub use aws_config::{Region, SdkConfig};
pub use http::connector;

use std::sync::Arc;
use std::time::Duration;

use aws_config::identity::IdentityCache;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_runtime::invocation_id::{InvocationId, InvocationIdGenerator};
use aws_smithy_async::rt::sleep::SharedAsyncSleep;
use aws_smithy_async::time::SharedTimeSource;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::stalled_stream_protection::StalledStreamProtectionConfig;

use self::chain::{CREDENTIALS_TIMEOUT, DefaultChain};
use crate::adapter::network::{self, CONNECT_TIMEOUT, Network};

/// The longest wait for the first byte of a response.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest duration of a call with known credentials. A write has its own deadline.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(20);

/// The differences from the SDK's standard chain (`AWS_PROFILE`, SSO, `AWS_ENDPOINT_URL`, …). All are `None` by
/// default.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The region, such as `eu-central-1`.
    pub region: Option<String>,
    /// The endpoint for every service, such as `http://127.0.0.1:5000`.
    pub endpoint_url: Option<String>,
    /// Fixed credentials instead of those of the standard chain.
    pub credentials: Option<Credentials>,
    /// An HTTP client that replaces the network, such as an in-process server. If `credentials` is also set, neither
    /// the environment nor files are read.
    pub http_client: Option<SharedHttpClient>,
    /// The proxies and trusted certificates; `None` means those of this process.
    pub network: Option<Arc<Network>>,
    /// The clock for signatures and for the expiry of credentials.
    pub time_source: Option<SharedTimeSource>,
    /// The timer for time-outs.
    pub sleep: Option<SharedAsyncSleep>,
}

/// Returns the configuration of all AWS clients, with retries off. Never fails: a missing setting fails the first call.
pub async fn config(settings: &Settings) -> SdkConfig {
    if settings.http_client.is_some() && settings.credentials.is_some() {
        return config_from_settings(settings);
    }
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts(CREDENTIALS_TIMEOUT + OPERATION_TIMEOUT))
        .identity_cache(IdentityCache::lazy().load_timeout(CREDENTIALS_TIMEOUT + OPERATION_TIMEOUT).build());
    if let Some(name) = app_name() {
        loader = loader.app_name(name);
    }
    if let Some(profile) = selected_profile() {
        loader = loader.profile_name(profile);
    }
    if let Some(region) = &settings.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(url) = &settings.endpoint_url {
        // The SDK refuses an endpoint together with these settings of the environment and of the AWS profile.
        loader = loader.endpoint_url(url).use_fips(false).use_dual_stack(false);
    }
    let network = settings.network.clone().unwrap_or_else(Network::process);
    let client = settings.http_client.clone().unwrap_or_else(|| http::client(&network));
    loader = loader.http_client(client.clone());
    if let Some(time) = &settings.time_source {
        loader = loader.time_source(time.clone());
    }
    if let Some(sleep) = &settings.sleep {
        loader = loader.sleep_impl(sleep.clone());
    }
    loader = match &settings.credentials {
        Some(fixed) => loader.credentials_provider(fixed.clone()),
        None => {
            loader.credentials_provider(DefaultChain::new(Settings { http_client: Some(client), ..settings.clone() }))
        }
    };
    loader.load().await
}

/// Returns whether a configuration is from [`config_from_settings`], whose requests must be the same in each run.
fn is_reproducible(config: &SdkConfig) -> bool {
    config.stalled_stream_protection().is_some_and(|protection| !protection.is_enabled())
}

/// Builds a configuration only from `settings`, so that two runs send the same requests.
fn config_from_settings(settings: &Settings) -> SdkConfig {
    let mut builder = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(settings.region.clone().unwrap_or_else(|| "us-east-1".to_owned())))
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts(OPERATION_TIMEOUT))
        .identity_cache(IdentityCache::no_cache())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    builder.set_app_name(app_name());
    builder.set_http_client(settings.http_client.clone());
    builder.set_time_source(settings.time_source.clone());
    builder.set_sleep_impl(settings.sleep.clone().or_else(aws_smithy_async::rt::sleep::default_async_sleep));
    builder.set_credentials_provider(settings.credentials.clone().map(SharedCredentialsProvider::new));
    if let Some(url) = &settings.endpoint_url {
        builder = builder.endpoint_url(url);
    }
    builder.build()
}

/// Returns the selected AWS profile. The SDK reads only `AWS_PROFILE`.
fn selected_profile() -> Option<String> {
    network::selected_profile(&|name: &str| std::env::var(name).ok().filter(|value| !value.is_empty()))
}

fn timeouts(operation: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .operation_attempt_timeout(operation)
        .operation_timeout(operation)
        .build()
}

fn app_name() -> Option<AppName> {
    AppName::new(concat!("cutover-", env!("CARGO_PKG_VERSION"))).ok()
}

/// A generator that omits `amz-sdk-invocation-id`, for clients whose requests must be the same in each run. The header
/// is random.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoInvocationIds;

impl InvocationIdGenerator for NoInvocationIds {
    fn generate(&self) -> Result<Option<InvocationId>, BoxError> {
        Ok(None)
    }
}
