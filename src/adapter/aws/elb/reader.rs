//! Sends single read calls: at the pace of the current scope, or else with the SDK's own retries. Do not add writes.

use aws_sdk_elasticloadbalancingv2 as elbv2;
use aws_sdk_elasticloadbalancingv2::config::http::HttpResponse;
use aws_sdk_elasticloadbalancingv2::config::retry::RetryConfig;
use aws_sdk_elasticloadbalancingv2::error::{ProvideErrorMetadata, SdkError};

use super::failure::Failure;
use crate::base::retry::SDK;
use crate::domain::traffic::Unreadable;
use crate::port::{PacedApi, current_pace};

/// The clients for reads of ELBv2.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    /// The client whose calls the SDK retries.
    retrying: elbv2::Client,
    /// The client whose calls are sent once. The pace must see each throttled call.
    single: elbv2::Client,
}

/// Returns the pauses of [`SDK`], divided by `speed` and without jitter, because a rehearsal in virtual time must be
/// reproducible.
fn sdk_retries(speed: f64) -> RetryConfig {
    let exponential =
        RetryConfig::standard().with_max_attempts(SDK.count()).with_initial_backoff(SDK.first().div_f64(speed));
    exponential.with_max_backoff(SDK.most()).with_use_static_exponential_base(true)
}

impl Reader {
    /// Creates the clients. `single` is the client whose calls are sent once. The pauses of the SDK's retries are
    /// divided by `speed`.
    pub fn new(config: elbv2::config::Builder, single: &elbv2::Client, speed: f64) -> Self {
        let retrying = config.retry_config(sdk_retries(speed)).build();
        Self { retrying: elbv2::Client::from_conf(retrying), single: single.clone() }
    }

    /// Sends a call until its result is final.
    pub async fn send<T, E, F>(&self, call: impl Fn(&elbv2::Client) -> F) -> Result<T, Failure>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        if current_pace().is_none() {
            return Ok(call(&self.retrying).await?);
        }
        at_current_pace(PacedApi::Elb, || call(&self.single)).await
    }
}

/// Announces to the pace of the current scope that this number of calls follows.
pub(super) fn announce(calls: usize) {
    if let Some(pace) = current_pace() {
        pace.announce(calls);
    }
}

/// Sends a call at the pace of the current scope until its result is final. Outside a scope, sends the call once.
pub(super) async fn at_current_pace<T, E, F>(api: PacedApi, call: impl Fn() -> F) -> Result<T, Failure>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
{
    let Some(pace) = current_pace() else { return Ok(call().await?) };
    let mut before = None;
    loop {
        let mut tries = pace.admit(api, before).await.map_err(|why| Failure::NotSent(why.to_string()))?;
        let answer = call().await.map_err(Failure::from);
        let failure = answer.as_ref().err().map(|why| Unreadable::from(why.clone()));
        if !pace.repeats(api, &mut tries, failure.as_ref()).await {
            return answer;
        }
        before = Some(tries);
    }
}
