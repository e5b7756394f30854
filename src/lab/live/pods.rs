//! Runs an HTTP server on a loopback port for every pod of the model that accepts connections.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use http::{HeaderValue, Response};

use super::server::Server;
use crate::lab::body::{Body, ConnectionReset, complete_body};
use crate::lab::model::{PodAnswer, PodEndpoint, PodId, Requester};
use crate::lab::shared_model::SharedModel;

/// Response header: how many milliseconds of the lab's time the pod took. Time-outs use this value and not the real
/// time, which depends on the load of the machine.
pub const TOOK_HEADER: &str = "x-lab-took";

/// Request header: how many milliseconds of the lab's time the client waits. A slower or silent pod stops waiting after
/// that time.
pub const TIMEOUT_HEADER: &str = "x-lab-patience";

/// Response header: the name of the pod.
pub const POD_HEADER: &str = "x-lab-pod";

/// The user agent of the load balancer's health checks.
pub const HEALTH_CHECK_AGENT: &str = "ELB-HealthChecker/2.0";

/// Loopback addresses of the servers of pods.
#[derive(Debug, Clone, Default)]
pub struct Directory(Arc<RwLock<Addresses>>);

#[derive(Debug, Default)]
struct Addresses {
    pods: BTreeMap<PodId, SocketAddr>,
    addresses: BTreeMap<(Ipv4Addr, u16), SocketAddr>,
}

impl Directory {
    /// Returns the server of a pod, if it runs.
    pub fn pod(&self, pod: PodId) -> Option<SocketAddr> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).pods.get(&pod).copied()
    }

    /// Returns the server behind an address of the model, if one runs.
    pub fn address(&self, ip: Ipv4Addr, port: u16) -> Option<SocketAddr> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).addresses.get(&(ip, port)).copied()
    }
}

/// The running servers of pods.
#[derive(Debug, Default)]
pub struct Pods {
    servers: BTreeMap<PodId, (PodEndpoint, Server)>,
    directory: Directory,
}

impl Pods {
    /// Returns the addresses of the servers.
    pub fn directory(&self) -> Directory {
        self.directory.clone()
    }

    /// Starts and stops servers so that exactly the live pods in `endpoints` have a server.
    pub async fn sync(&mut self, model: &SharedModel, endpoints: Vec<PodEndpoint>) -> io::Result<()> {
        let living: BTreeMap<PodId, PodEndpoint> =
            endpoints.into_iter().filter(|p| p.alive).map(|p| (p.id, p)).collect();
        let removed_ids: Vec<PodId> = self.servers.keys().filter(|id| !living.contains_key(id)).copied().collect();
        let new_endpoints: Vec<PodEndpoint> =
            living.into_values().filter(|p| !self.servers.contains_key(&p.id)).collect();
        if removed_ids.is_empty() && new_endpoints.is_empty() {
            return Ok(());
        }
        let stopped: Vec<_> = removed_ids.iter().filter_map(|id| self.servers.remove(id)).collect();
        for endpoint in new_endpoints {
            let server = serve(model.clone(), &endpoint).await?;
            self.servers.insert(endpoint.id, (endpoint, server));
        }
        self.publish();
        for (_, server) in stopped {
            server.stop().await;
        }
        Ok(())
    }

    /// Stops all servers.
    pub async fn stop(self) {
        for (_, server) in self.servers.into_values() {
            server.stop().await;
        }
    }

    fn publish(&self) {
        let mut endpoints = self.directory.0.write().unwrap_or_else(PoisonError::into_inner);
        endpoints.pods = self.servers.iter().map(|(id, (_, server))| (*id, server.address())).collect();
        endpoints.addresses =
            self.servers.values().map(|(endpoint, server)| ((endpoint.ip, endpoint.port), server.address())).collect();
    }
}

async fn serve(model: SharedModel, endpoint: &PodEndpoint) -> io::Result<Server> {
    let id = endpoint.id;
    let name = HeaderValue::from_str(&endpoint.name).unwrap_or_else(|_| HeaderValue::from_static("pod"));
    let text: Arc<str> = format!("{}\n", endpoint.name).into();
    Server::start(0, move |request| {
        let (model, name, text) = (model.clone(), name.clone(), Arc::clone(&text));
        let probed = request.headers().get(http::header::USER_AGENT).is_some_and(|agent| agent == HEALTH_CHECK_AGENT);
        let requester = if probed { Requester::HealthCheck } else { Requester::Client };
        let time_limit = millis_header(request.headers(), TIMEOUT_HEADER);
        async move { answer(&model, id, requester, time_limit, name, &text).await }
    })
    .await
}

async fn answer(
    model: &SharedModel,
    pod: PodId,
    requester: Requester,
    time_limit: Option<Duration>,
    name: HeaderValue,
    text: &str,
) -> Result<Response<Body>, ConnectionReset> {
    let (status, delay) = match model.call(|world, _| world.respond(pod, requester)) {
        PodAnswer::Status { status, delay } => (status, delay),
        PodAnswer::Refused => return Err(ConnectionReset),
        PodAnswer::Silent => (504, Duration::MAX),
    };
    match time_limit.unwrap_or(Duration::MAX).min(delay) {
        Duration::MAX => return std::future::pending().await,
        wait => model.wait(wait).await,
    }
    let mut response = Response::new(complete_body(text.to_owned()));
    *response.status_mut() = http::StatusCode::from_u16(status).map_err(|_| ConnectionReset)?;
    response.headers_mut().insert(POD_HEADER, name);
    response.headers_mut().insert(TOOK_HEADER, millis(delay));
    Ok(response)
}

/// Encodes a duration for the headers of the lab, in whole milliseconds.
pub fn millis(duration: Duration) -> HeaderValue {
    HeaderValue::from(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

/// Returns how long the pod took, in the lab's time, according to the response header.
pub fn response_time<T>(response: &Response<T>) -> Duration {
    millis_header(response.headers(), TOOK_HEADER).unwrap_or_default()
}

fn millis_header(headers: &http::HeaderMap, name: &str) -> Option<Duration> {
    headers.get(name)?.to_str().ok()?.parse().ok().map(Duration::from_millis)
}
