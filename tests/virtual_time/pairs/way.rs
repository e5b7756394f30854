//! An operator's machine: it may be stopped as a whole, or cut off from the cluster, or lose answers; and its ways to
//! the world.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use cutover::adapter::clock::LabClock;
use cutover::domain::health::Target;
use cutover::domain::traffic::{RouteCensus, RouteContent, RouteId, Unreadable};
use cutover::lab::virtual_time::KubeTransport;
use cutover::port::{Clock, Traffic, WriteError};
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use kube::client::Body;
use tokio::time::Instant;
use tower::{BoxError, Service, ServiceExt};

use super::truth::Truth;

type Span = (Instant, Instant);

/// See the module.
pub struct Machine {
    pub name: &'static str,
    pub truth: Truth,
    pub clock: LabClock,
    /// When nothing of it runs.
    pub stops: Mutex<Vec<Span>>,
    /// Writes to the load balancer until it is stopped while one is under way, and for how long.
    pub strikes: Mutex<Option<(u32, Duration)>>,
    /// When the cluster cannot be reached from it.
    pub cuts: Vec<Span>,
    /// How many of a hundred answers of the cluster are lost.
    pub lost: u32,
    pub random: Mutex<fastrand::Rng>,
}

impl Machine {
    fn within(spans: &[Span]) -> Option<Instant> {
        let now = Instant::now();
        spans.iter().find(|(from, to)| *from <= now && now < *to).map(|(_, to)| *to)
    }

    fn stopped(&self) -> Option<Instant> {
        Self::within(&self.stops.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A write leaves.
    fn leaves(&self) {
        let mut strikes = self.strikes.lock().unwrap_or_else(PoisonError::into_inner);
        *strikes = match strikes.take() {
            Some((0, length)) => {
                let (now, mut stops) = (Instant::now(), self.stops.lock().unwrap_or_else(PoisonError::into_inner));
                stops.push((now, now + length));
                self.truth.note(self.clock.now(), format!("{} stops for {length:?}, its write under way", self.name));
                None
            }
            left => left.map(|(n, length)| (n - 1, length)),
        };
    }

    pub fn draw(&self, range: std::ops::Range<u64>) -> u64 {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).u64(range)
    }

    /// Runs a future as a process of this machine: while that is stopped, nothing of it goes on.
    pub async fn run<F: Future>(&self, process: F) -> F::Output {
        let mut process = std::pin::pin!(process);
        let mut alarm: Option<Pin<Box<tokio::time::Sleep>>> = None;
        std::future::poll_fn(move |cx| match self.stopped() {
            Some(until) => {
                let alarm = alarm.insert(Box::pin(tokio::time::sleep_until(until)));
                let _ = alarm.as_mut().poll(cx);
                Poll::Pending
            }
            None => process.as_mut().poll(cx),
        })
        .await
    }

    /// A part of the way; whoever is stopped on it goes on when the machine does.
    async fn travel(&self, milliseconds: std::ops::Range<u64>) {
        tokio::time::sleep(Duration::from_millis(self.draw(milliseconds))).await;
        while let Some(until) = self.stopped() {
            tokio::time::sleep_until(until).await;
        }
    }
}

/// The way to the cluster.
#[derive(Clone)]
pub struct Line {
    pub machine: Arc<Machine>,
    pub inner: KubeTransport,
}

impl Line {
    async fn exchange(self, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        self.machine.travel(2..60).await;
        if Machine::within(&self.machine.cuts).is_some() {
            return Err("connection refused".into());
        }
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let taken = (parts.method != Method::GET && parts.uri.path().contains("/leases")).then(|| holder(&body));
        let answer = self.inner.oneshot(Request::from_parts(parts, Body::from(body))).await?;
        if let Some(holder) = taken.filter(|_| answer.status().is_success()) {
            self.machine.truth.lease(self.machine.clock.now(), holder);
        }
        let lost = self.machine.draw(0..100) < self.machine.lost.into();
        self.machine.travel(2..60).await;
        if lost { Err("connection reset".into()) } else { Ok(answer) }
    }
}

/// The holder that this request puts into the Lease.
fn holder(body: &[u8]) -> Option<String> {
    let lease: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    lease["spec"]["holderIdentity"].as_str().and_then(|identity| identity.split('/').next()).map(str::to_owned)
}

impl Service<Request<Body>> for Line {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.clone().exchange(request))
    }
}

/// The way to the load balancer: a write is under way for a while, and a machine may be stopped then.
pub struct Road {
    pub machine: Arc<Machine>,
    pub inner: Arc<dyn Traffic>,
    /// Target groups of the new cluster.
    pub green: Vec<String>,
}

#[async_trait]
impl Traffic for Road {
    async fn census(&self, load_balancer: &str) -> Result<RouteCensus, Unreadable> {
        self.inner.census(load_balancer).await
    }
    async fn set(&self, id: &RouteId, content: &RouteContent, deadline: Duration) -> Result<(), WriteError> {
        let sent = self.machine.clock.now();
        self.machine.leaves();
        self.machine.travel(5..200).await;
        let share = content.forward_split().map_or(0.0, |split| {
            let weight = |g: &str| f64::from(split.weight(g).unwrap_or(0));
            let all: f64 = split.ids().map(|id| weight(id)).sum();
            self.green.iter().map(|g| weight(g)).sum::<f64>() / all.max(1.0)
        });
        self.machine.truth.write(self.machine.name, id.id(), share, sent, self.machine.clock.now());
        self.inner.set(id, content, deadline).await
    }

    async fn routes(&self, ids: &[RouteId]) -> BTreeMap<RouteId, Result<RouteContent, Unreadable>> {
        self.inner.routes(ids).await
    }
    async fn health(&self, groups: &[String]) -> BTreeMap<String, Result<Vec<Target>, Unreadable>> {
        self.inner.health(groups).await
    }
}
