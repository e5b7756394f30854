//! An operator's machine, which may be stopped, cut off from the cluster, or lose responses; and its transports to the
//! cluster and the load balancer.

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

use super::history::TrueHistory;

type Span = (Instant, Instant);

/// The machine of one operator.
pub struct Machine {
    pub name: &'static str,
    pub history: TrueHistory,
    pub clock: LabClock,
    /// When the machine is stopped.
    pub stops: Mutex<Vec<Span>>,
    /// The number of writes to the load balancer before the machine is stopped during a write, and the length of the
    /// stop.
    pub stop_at_write: Mutex<Option<(u32, Duration)>>,
    /// When the cluster cannot be reached from the machine.
    pub cuts: Vec<Span>,
    /// The percentage of the cluster's responses that are lost.
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

    /// Counts a write that is sent, and stops the machine if this is the chosen write.
    fn count_write(&self) {
        let mut stop_at_write = self.stop_at_write.lock().unwrap_or_else(PoisonError::into_inner);
        *stop_at_write = match stop_at_write.take() {
            Some((0, length)) => {
                let (now, mut stops) = (Instant::now(), self.stops.lock().unwrap_or_else(PoisonError::into_inner));
                stops.push((now, now + length));
                self.history.note(self.clock.now(), format!("{} stops for {length:?}, during a write", self.name));
                None
            }
            left => left.map(|(n, length)| (n - 1, length)),
        };
    }

    pub fn draw(&self, range: std::ops::Range<u64>) -> u64 {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).u64(range)
    }

    /// Runs a future as a process of this machine: the future makes no progress while the machine is stopped.
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

    /// Delays a message on its way. The message of a stopped machine continues when the machine continues.
    async fn delay(&self, milliseconds: std::ops::Range<u64>) {
        tokio::time::sleep(Duration::from_millis(self.draw(milliseconds))).await;
        while let Some(until) = self.stopped() {
            tokio::time::sleep_until(until).await;
        }
    }
}

/// The transport to the cluster.
#[derive(Clone)]
pub struct ClusterTransport {
    pub machine: Arc<Machine>,
    pub inner: KubeTransport,
}

impl ClusterTransport {
    async fn exchange(self, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        self.machine.delay(2..60).await;
        if Machine::within(&self.machine.cuts).is_some() {
            return Err("connection refused".into());
        }
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let taken = (parts.method != Method::GET && parts.uri.path().contains("/leases")).then(|| holder(&body));
        let answer = self.inner.oneshot(Request::from_parts(parts, Body::from(body))).await?;
        if let Some(holder) = taken.filter(|_| answer.status().is_success()) {
            self.machine.history.lease(self.machine.clock.now(), holder);
        }
        let lost = self.machine.draw(0..100) < self.machine.lost.into();
        self.machine.delay(2..60).await;
        if lost { Err("connection reset".into()) } else { Ok(answer) }
    }
}

/// Returns the holder that this request writes into the Lease.
fn holder(body: &[u8]) -> Option<String> {
    let lease: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    lease["spec"]["holderIdentity"].as_str().and_then(|identity| identity.split('/').next()).map(str::to_owned)
}

impl Service<Request<Body>> for ClusterTransport {
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

/// The connection to the load balancer: a write takes some time, and the machine may be stopped meanwhile.
pub struct LoadBalancerTransport {
    pub machine: Arc<Machine>,
    pub inner: Arc<dyn Traffic>,
    /// ARNs of the target groups of the new cluster.
    pub green: Vec<String>,
}

#[async_trait]
impl Traffic for LoadBalancerTransport {
    async fn census(&self, load_balancer: &str) -> Result<RouteCensus, Unreadable> {
        self.inner.census(load_balancer).await
    }
    async fn set(&self, id: &RouteId, content: &RouteContent, deadline: Duration) -> Result<(), WriteError> {
        let sent = self.machine.clock.now();
        self.machine.count_write();
        self.machine.delay(5..200).await;
        let share = content.forward_split().map_or(0.0, |split| {
            let weight = |g: &str| f64::from(split.weight(g).unwrap_or(0));
            let all: f64 = split.ids().map(|id| weight(id)).sum();
            self.green.iter().map(|g| weight(g)).sum::<f64>() / all.max(1.0)
        });
        self.machine.history.write(self.machine.name, id.id(), share, sent, self.machine.clock.now());
        self.inner.set(id, content, deadline).await
    }

    async fn routes(&self, ids: &[RouteId]) -> BTreeMap<RouteId, Result<RouteContent, Unreadable>> {
        self.inner.routes(ids).await
    }
    async fn health(&self, groups: &[String]) -> BTreeMap<String, Result<Vec<Target>, Unreadable>> {
        self.inner.health(groups).await
    }
}
