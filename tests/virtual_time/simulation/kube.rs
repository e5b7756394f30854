//! The Kubernetes client's transport: in process, to the model, through the schedule's faults.

use std::pin::Pin;
use std::task::{Context, Poll};

use cutover::lab::body::ConnectionReset;
use cutover::lab::virtual_time::KubeTransport;
use http::{Method, Request, Response};
use kube::client::Body;
use tower::{BoxError, Service, ServiceExt};

use super::aws::{lasting, of_a_call};
use super::fault::{Kind, Moment, Point};
use super::wire::{LATE, OVER, PAST, Wire};

type Heard = Result<Response<Body>, BoxError>;

/// The way to one cluster.
#[derive(Clone)]
pub struct Transport {
    pub wire: Wire,
    pub inner: KubeTransport,
    pub cluster: String,
}

impl Transport {
    async fn exchange(self, request: Request<Body>) -> Heard {
        let mutating = *request.method() != Method::GET;
        let operation = format!("{} {}", request.method(), request.uri().path_and_query().map_or("/", |p| p.as_str()));
        let point = self.wire.call(&format!("kubernetes/{}", self.cluster), &operation, "", mutating);
        if let Some(kind) = self.wire.spell() {
            return self.refuse(kind).await;
        }
        let Some(Point { moment, kind, .. }) = point else { return self.inner.oneshot(request).await };
        match moment {
            Moment::Before if of_a_call(kind) || lasting(kind) => {
                self.wire.hit();
                self.refuse(kind).await
            }
            Moment::Before => {
                self.wire.strike(kind);
                self.inner.oneshot(request).await
            }
            Moment::Lost => {
                let _ = self.inner.clone().oneshot(request).await;
                self.lose(kind).await
            }
            Moment::Answered if kind != Kind::Crash => {
                let answer = self.inner.oneshot(request).await;
                self.wire.strike(kind);
                answer
            }
            Moment::Answered | Moment::Journalled => {
                let answer = self.inner.oneshot(request).await;
                self.wire.arm(moment, kind);
                answer
            }
            Moment::Late => {
                self.later(LATE, request);
                self.lose(kind).await
            }
            Moment::Past => {
                self.later(PAST, request);
                if kind == Kind::Crash {
                    self.wire.die_past();
                }
                tokio::time::sleep(OVER).await;
                self.wire.strike(kind);
                std::future::pending().await
            }
        }
    }

    fn later(&self, delay: std::time::Duration, request: Request<Body>) {
        let inner = self.inner.clone();
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            let _ = inner.oneshot(request).await;
        });
    }

    async fn lose(&self, kind: Kind) -> Heard {
        if of_a_call(kind) {
            self.wire.hit();
            return self.refuse(kind).await;
        }
        self.wire.strike(kind);
        Err(ConnectionReset.into())
    }

    async fn refuse(&self, kind: Kind) -> Heard {
        let (status, reason) = match kind {
            Kind::Throttle => (429, "TooManyRequests"),
            Kind::Denied => (403, "Forbidden"),
            Kind::Expired => (401, "Unauthorized"),
            Kind::ServerError => (503, "ServiceUnavailable"),
            Kind::Malformed => return Ok(Response::new(Body::from(b"<html>".to_vec()))),
            Kind::TimeOut => return std::future::pending().await,
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
    type Future = Pin<Box<dyn Future<Output = Heard> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.clone().exchange(request))
    }
}
