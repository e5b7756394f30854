//! In-process HTTP transport of the Kubernetes client: sends requests to the simulated cluster and injects the faults
//! of the schedule.

use std::pin::Pin;
use std::task::{Context, Poll};

use cutover::lab::body::ConnectionReset;
use cutover::lab::virtual_time::KubeTransport;
use http::{Method, Request, Response};
use kube::client::Body;
use tower::{BoxError, Service, ServiceExt};

use super::aws::{affects_all_calls, affects_one_call};
use super::fault::{FaultKind, FaultPoint, Moment};
use super::wire::{AFTER_DEADLINE, LATE, NEAR_DEADLINE, Wire};

type CallResult = Result<Response<Body>, BoxError>;

/// The transport to one cluster.
#[derive(Clone)]
pub struct Transport {
    pub wire: Wire,
    pub inner: KubeTransport,
    pub cluster: String,
}

impl Transport {
    async fn exchange(self, request: Request<Body>) -> CallResult {
        let mutating = *request.method() != Method::GET;
        let operation = format!("{} {}", request.method(), request.uri().path_and_query().map_or("/", |p| p.as_str()));
        let point = self.wire.call(&format!("kubernetes/{}", self.cluster), &operation, "", mutating);
        if let Some(kind) = self.wire.lasting_fault() {
            return self.respond_with_fault(kind).await;
        }
        let Some(FaultPoint { moment, kind, .. }) = point else { return self.inner.oneshot(request).await };
        match moment {
            Moment::Before if affects_one_call(kind) || affects_all_calls(kind) => {
                self.wire.count_fault();
                self.respond_with_fault(kind).await
            }
            Moment::Before => {
                self.wire.inject(kind);
                self.inner.oneshot(request).await
            }
            Moment::Lost => {
                let _ = self.inner.clone().oneshot(request).await;
                self.lose_response(kind).await
            }
            Moment::Answered if kind != FaultKind::Crash => {
                let answer = self.inner.oneshot(request).await;
                self.wire.inject(kind);
                answer
            }
            Moment::Answered | Moment::Journalled => {
                let answer = self.inner.oneshot(request).await;
                self.wire.arm(moment, kind);
                answer
            }
            Moment::Late => {
                self.execute_later(LATE, request);
                self.lose_response(kind).await
            }
            Moment::Past => {
                self.execute_later(NEAR_DEADLINE, request);
                if kind == FaultKind::Crash {
                    self.wire.crash_past_deadline();
                }
                tokio::time::sleep(AFTER_DEADLINE).await;
                self.wire.inject(kind);
                std::future::pending().await
            }
        }
    }

    fn execute_later(&self, delay: std::time::Duration, request: Request<Body>) {
        let inner = self.inner.clone();
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            let _ = inner.oneshot(request).await;
        });
    }

    async fn lose_response(&self, kind: FaultKind) -> CallResult {
        if affects_one_call(kind) {
            self.wire.count_fault();
            return self.respond_with_fault(kind).await;
        }
        self.wire.inject(kind);
        Err(ConnectionReset.into())
    }

    async fn respond_with_fault(&self, kind: FaultKind) -> CallResult {
        let (status, reason) = match kind {
            FaultKind::Throttle => (429, "TooManyRequests"),
            FaultKind::Denied => (403, "Forbidden"),
            FaultKind::Expired => (401, "Unauthorized"),
            FaultKind::ServerError => (503, "ServiceUnavailable"),
            FaultKind::Malformed => return Ok(Response::new(Body::from(b"<html>".to_vec()))),
            FaultKind::TimeOut => return std::future::pending().await,
            _ => return Err(ConnectionReset.into()),
        };
        let body = format!(
            r#"{{"kind":"Status","apiVersion":"v1","status":"Failure","message":"no","reason":"{reason}","code":{status}}}"#
        );
        let mut response = Response::new(Body::from(body.into_bytes()));
        *response.status_mut() = http::StatusCode::from_u16(status)?;
        Ok(response)
    }
}

impl Service<Request<Body>> for Transport {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = CallResult> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.clone().exchange(request))
    }
}
