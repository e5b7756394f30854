//! Counts the calls that this process makes to AWS, to clusters and to metric sources, by outcome. Records single calls
//! only on demand. Stores the kind of a call, but no content of requests or responses.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef,
};
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::{ConfigBag, Storable, StoreReplace};
use futures::future::BoxFuture;
use http::{Method, Request, Response};
use jiff::Timestamp;
use tower::{Layer, Service};

/// The maximum number of recorded calls. Older calls are dropped.
const MAX_RECORDED: usize = 4096;

/// A recorded call to an API.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The name of the called service, such as `Elastic Load Balancing v2`, `STS`, `EKS`, `kubernetes` or `prometheus`.
    pub service: String,
    /// The name of the operation, such as `ModifyRule` or `list pods`.
    pub operation: String,
    /// The outcome of the call.
    pub outcome: CallOutcome,
    /// The time when the call started.
    pub started: Timestamp,
    /// The duration of the call.
    pub duration: Duration,
}

/// The outcome of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CallOutcome {
    /// The response was successful.
    Ok,
    /// The service throttled the call.
    Throttled,
    /// The service refused the call (HTTP 4xx).
    Refused,
    /// The service failed (HTTP 5xx).
    Failed,
    /// There was no response.
    Unanswered,
}

impl CallOutcome {
    /// Returns the name of the outcome in metrics and traces.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Throttled => "throttled",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Unanswered => "unanswered",
        }
    }

    /// Returns the outcome for an HTTP status; `None` means that there was no response.
    pub fn from_status(status: Option<u16>) -> Self {
        match status {
            None => Self::Unanswered,
            Some(429) => Self::Throttled,
            Some(400..=499) => Self::Refused,
            Some(500..) => Self::Failed,
            Some(_) => Self::Ok,
        }
    }
}

impl Call {
    /// Returns whether the call is a write.
    pub fn is_write(&self) -> bool {
        !["Describe", "Get", "List", "get ", "list ", "query", "probe"]
            .iter()
            .any(|verb| self.operation.starts_with(verb))
    }
}

/// The number and the duration of calls.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Counts {
    /// The number of calls, by service, operation and outcome.
    pub calls: BTreeMap<(String, String, CallOutcome), u64>,
    /// The number of calls and their total duration, by service and operation.
    pub durations: BTreeMap<(String, String), (u64, Duration)>,
}

struct CallLog {
    counts: Counts,
    recorded: Option<VecDeque<Call>>,
}

static CALL_LOG: Mutex<CallLog> =
    Mutex::new(CallLog { counts: Counts { calls: BTreeMap::new(), durations: BTreeMap::new() }, recorded: None });

fn call_log() -> MutexGuard<'static, CallLog> {
    CALL_LOG.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the counts of this process so far.
pub fn counts() -> Counts {
    call_log().counts.clone()
}

/// Starts to record single calls.
pub fn start_recording() {
    call_log().recorded.get_or_insert_default();
}

/// Returns the calls that were recorded since this function was last called.
pub fn take_recorded() -> Vec<Call> {
    call_log().recorded.as_mut().map(|recorded| recorded.drain(..).collect()).unwrap_or_default()
}

/// A timer of one call in progress.
pub struct CallTimer {
    at: Timestamp,
    since: Instant,
}

impl CallTimer {
    /// Starts the timer.
    pub fn start() -> Self {
        Self { at: Timestamp::now(), since: Instant::now() }
    }

    /// Stops the timer and counts the call.
    pub fn finish(&self, service: &str, operation: &str, outcome: CallOutcome) {
        let took = self.since.elapsed();
        let (service, operation) = (service.to_owned(), operation.to_owned());
        let mut log = call_log();
        *log.counts.calls.entry((service.clone(), operation.clone(), outcome)).or_default() += 1;
        let (count, sum) = log.counts.durations.entry((service.clone(), operation.clone())).or_default();
        (*count, *sum) = (*count + 1, *sum + took);
        if let Some(recorded) = &mut log.recorded {
            if recorded.len() >= MAX_RECORDED {
                recorded.pop_front();
            }
            recorded.push_back(Call { service, operation, outcome, started: self.at, duration: took });
        }
    }
}

/// An interceptor that counts the calls of an AWS SDK client. Each attempt counts.
#[derive(Debug, Clone, Copy, Default)]
pub struct AwsCallCounter;

impl fmt::Debug for CallTimer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Begun")
    }
}

impl Storable for CallTimer {
    type Storer = StoreReplace<Self>;
}

impl Intercept for AwsCallCounter {
    fn name(&self) -> &'static str {
        "CountedCalls"
    }

    fn read_before_attempt(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        bag.interceptor_state().store_put(CallTimer::start());
        Ok(())
    }

    fn read_after_attempt(
        &self,
        call: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let (Some(timer), Some(what)) = (bag.load::<CallTimer>(), bag.load::<Metadata>()) {
            let answer = call.response();
            let outcome = match CallOutcome::from_status(answer.map(|a| a.status().as_u16())) {
                // Most AWS services report throttling with the status 400 or 503.
                CallOutcome::Refused | CallOutcome::Failed
                    if answer.and_then(|a| a.body().bytes()).is_some_and(is_throttled) =>
                {
                    CallOutcome::Throttled
                }
                other => other,
            };
            timer.finish(what.service(), what.name(), outcome);
        }
        Ok(())
    }
}

fn is_throttled(body: &[u8]) -> bool {
    let body = String::from_utf8_lossy(body);
    ["Throttling", "TooManyRequests", "RequestLimitExceeded"].iter().any(|code| body.contains(code))
}

/// A layer that counts the calls of a Kubernetes client.
#[derive(Debug, Clone, Copy, Default)]
pub struct KubernetesCallLayer;

impl<S> Layer<S> for KubernetesCallLayer {
    type Service = CountedService<S>;

    fn layer(&self, inner: S) -> CountedService<S> {
        CountedService(inner)
    }
}

/// The service that [`KubernetesCallLayer`] builds.
#[derive(Debug, Clone)]
pub struct CountedService<S>(S);

impl<S, A, B> Service<Request<A>> for CountedService<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: 'static,
    B: 'static,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<B>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let (timer, operation) = (CallTimer::start(), operation(request.method(), request.uri().path()));
        let answer = self.0.call(request);
        Box::pin(async move {
            let answer = answer.await;
            timer.finish(
                "kubernetes",
                &operation,
                CallOutcome::from_status(answer.as_ref().ok().map(|a: &Response<B>| a.status().as_u16())),
            );
            answer
        })
    }
}

/// Returns the name of a call, such as `list pods` or `patch targetgroupbindings`, with the API's verbs.
fn operation(method: &Method, path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
    let inside = match parts.first() {
        Some(&"api") => parts.get(2..),
        Some(&"apis") => parts.get(3..),
        _ => None,
    };
    let inside = inside.unwrap_or_default();
    let inside = if inside.len() > 2 && inside[0] == "namespaces" { &inside[2..] } else { inside };
    let Some(resource) = inside.first() else { return "get version".into() };
    let verb = match *method {
        Method::GET if inside.len() == 1 => "list",
        Method::GET => "get",
        Method::POST => "create",
        Method::PATCH => "patch",
        Method::PUT => "update",
        Method::DELETE => "delete",
        _ => "call",
    };
    format!("{verb} {resource}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubernetes_operation_has_verb_and_resource() {
        let of = |method, path| operation(&method, path);
        assert_eq!(of(Method::GET, "/api/v1/namespaces/shop/pods"), "list pods");
        assert_eq!(of(Method::GET, "/api/v1/namespaces/kube-system"), "get namespaces");
        assert_eq!(of(Method::GET, "/apis/elbv2.k8s.aws/v1beta1/targetgroupbindings"), "list targetgroupbindings");
        assert_eq!(
            of(Method::PATCH, "/apis/elbv2.k8s.aws/v1beta1/namespaces/x/targetgroupbindings/y"),
            "patch targetgroupbindings"
        );
        assert_eq!(of(Method::GET, "/version"), "get version");
        assert_eq!(of(Method::GET, "/apis/elbv2.k8s.aws/v1beta1"), "get version");
    }

    #[test]
    fn outcome_is_derived_from_the_status() {
        let all =
            [Some(200), Some(404), Some(429), Some(503), None].map(CallOutcome::from_status).map(CallOutcome::name);
        assert_eq!(all, ["ok", "refused", "throttled", "failed", "unanswered"]);
        assert!(is_throttled(b"<Code>Throttling</Code>") && !is_throttled(b"<Code>AccessDenied</Code>"));
    }
}
