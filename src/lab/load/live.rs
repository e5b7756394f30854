//! Traffic over real sockets: keep-alive clients that send requests at a steady rate to the listeners of the load
//! balancers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderMap, Request, Response, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior};

use super::clients::{Clients, Visit};
use super::meter::{Meter, RequestResult};
use crate::lab::live::{GROUP_COOKIE, ListenerAddress, Pool, connection_pool};
use crate::port::Clock;

/// Default rate, in requests per second of real time.
pub const DEFAULT_RATE: f64 = 1500.0;

/// Time-out of a request, in real time.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Maximum number of concurrent requests. A machine that is too slow gets a lower rate instead of a growing queue that
/// delays everything else.
const MAX_IN_FLIGHT: usize = 64;

const TICK_INTERVAL: Duration = Duration::from_millis(4);

/// Number of requests from which a share can be measured to a fraction of a percentage point, because picks are evenly
/// distributed, not random.
const WINDOW_REQUESTS: u64 = 1500;

/// Maximum wait for [`WINDOW_REQUESTS`], in real time.
const WINDOW_TIMEOUT: Duration = Duration::from_secs(3);

/// The running clients. Dropping this value aborts them; [`LiveTraffic::stop`] also waits until they have ended.
pub struct LiveTraffic {
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl LiveTraffic {
    /// Starts `rate` requests per second of real time, one from each of `clients` in turn. `clock` is the lab's.
    pub fn start(
        listeners: &[ListenerAddress],
        clients: Clients,
        meter: Arc<Meter>,
        clock: Arc<dyn Clock>,
        rate: f64,
    ) -> Self {
        let listeners = listeners.iter().map(|d| ((Arc::clone(&d.load_balancer), d.port), d.url.clone())).collect();
        let traffic_task =
            Arc::new(TrafficTask { listeners, pool: connection_pool(), clients: Mutex::new(clients), meter, clock });
        let (stop, stopped) = oneshot::channel();
        Self { stop: Some(stop), task: tokio::spawn(send_requests(traffic_task, rate, stopped)) }
    }

    /// Stops the traffic. Requests that have no response yet are not counted.
    pub async fn stop(mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        let _ = (&mut self.task).await;
    }
}

/// Blocks the caller until the meter's window has enough requests, while other threads of the runtime continue. Does
/// nothing on a single-threaded runtime.
pub fn wait_for_requests(meter: &Meter) {
    let others = Handle::try_current().is_ok_and(|h| h.runtime_flavor() == RuntimeFlavor::MultiThread);
    if others {
        tokio::task::block_in_place(|| {
            let start = std::time::Instant::now();
            while meter.window_requests() < WINDOW_REQUESTS && start.elapsed() < WINDOW_TIMEOUT {
                std::thread::sleep(TICK_INTERVAL);
            }
        });
    }
}

impl Drop for LiveTraffic {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct TrafficTask {
    listeners: BTreeMap<(Arc<str>, u16), String>,
    pool: Pool<Empty<Bytes>>,
    clients: Mutex<Clients>,
    meter: Arc<Meter>,
    clock: Arc<dyn Clock>,
}

// Rates and times are positive and small.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
async fn send_requests(traffic_task: Arc<TrafficTask>, rate: f64, mut stopped: oneshot::Receiver<()>) {
    let mut requests = JoinSet::new();
    let mut ticks = tokio::time::interval(TICK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (mut since, mut missing_requests) = (Instant::now(), 0.0);
    loop {
        tokio::select! {
            biased;
            _ = &mut stopped => break,
            _ = ticks.tick() => {}
        }
        while requests.try_join_next().is_some() {}
        missing_requests = (missing_requests + rate * since.elapsed().as_secs_f64()).min(MAX_IN_FLIGHT as f64);
        since = Instant::now();
        let now = (missing_requests as usize).min(MAX_IN_FLIGHT.saturating_sub(requests.len()));
        missing_requests -= now as f64;
        for _ in 0..now {
            let Some(visit) = traffic_task.clients().next_visit(traffic_task.clock.now()) else { break };
            let traffic_task = Arc::clone(&traffic_task);
            requests.spawn(async move { traffic_task.send(visit).await });
        }
    }
    requests.shutdown().await;
}

impl TrafficTask {
    fn clients(&self) -> std::sync::MutexGuard<'_, Clients> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send(&self, visit: Visit) {
        let Some(request) = self.request(&visit) else { return };
        let opened = self.meter.window_number();
        let exchange = async {
            let response = self.pool.request(request).await.ok()?;
            let (head, body) = response.into_parts();
            body.collect().await.ok()?;
            Some(Response::from_parts(head, ()))
        };
        let Ok(Some(response)) = tokio::time::timeout(REQUEST_TIMEOUT, exchange).await else {
            self.meter.record_in_window(opened, RequestResult { cluster: None, group: None, failed: true });
            return;
        };
        let (cluster, group) = (text(response.headers(), "x-lab-cluster"), text(response.headers(), "x-lab-group"));
        self.meter
            .record_in_window(opened, RequestResult { cluster, group, failed: response.status().is_server_error() });
        if let Some(cookie) = received_cookie(response.headers()) {
            self.clients().store_cookie(&visit, cookie.to_owned());
        }
    }

    fn request(&self, visit: &Visit) -> Option<Request<Empty<Bytes>>> {
        let sample = &visit.sample;
        let url = self.listeners.get(&(Arc::clone(&sample.load_balancer), sample.port))?;
        let mut request = Request::get(format!("{url}{}", sample.path)).header(header::HOST, sample.host.as_ref());
        if let Some(cookie) = &visit.cookie {
            request = request.header(header::COOKIE, format!("{GROUP_COOKIE}={cookie}"));
        }
        request.body(Empty::new()).ok()
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn received_cookie(headers: &HeaderMap) -> Option<&str> {
    let value = text(headers, header::SET_COOKIE.as_str())?.strip_prefix(GROUP_COOKIE)?.strip_prefix('=')?;
    value.split(';').next()
}
