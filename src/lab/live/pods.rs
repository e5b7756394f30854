//! Runs an HTTP server on a loopback port for every living pod of the model.

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

/// Response header: how many milliseconds of the lab's time the pod took. Time-outs are judged by this, not by real
/// time, which depends on the machine's load.
pub const TOOK_HEADER: &str = "x-lab-took";

/// Request header: how many milliseconds of the lab's time the client waits. A pod that is slower or silent gives up
/// after that time.
pub const TIMEOUT_HEADER: &str = "x-lab-patience";

/// Response header: the pod's name.
pub const POD_HEADER: &str = "x-lab-pod";

/// The user agent of the load balancer's health checks.
pub const HEALTH_CHECK_AGENT: &str = "ELB-HealthChecker/2.0";

/// Loopback addresses of the pods' servers.
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

/// The running servers.
#[derive(Debug, Default)]
pub struct Pods {
    servers: BTreeMap<PodId, (PodEndpoint, Server)>,
    directory: Directory,
}

impl Pods {
    /// Their addresses.
    pub fn directory(&self) -> Directory {
        self.directory.clone()
    }

    /// Starts and stops servers so that exactly the living pods of `places` have one.
    pub async fn sync(&mut self, shell: &SharedModel, places: Vec<PodEndpoint>) -> io::Result<()> {
        let living: BTreeMap<PodId, PodEndpoint> = places.into_iter().filter(|p| p.alive).map(|p| (p.id, p)).collect();
        let gone: Vec<PodId> = self.servers.keys().filter(|id| !living.contains_key(id)).copied().collect();
        let fresh: Vec<PodEndpoint> = living.into_values().filter(|p| !self.servers.contains_key(&p.id)).collect();
        if gone.is_empty() && fresh.is_empty() {
            return Ok(());
        }
        let stopped: Vec<_> = gone.iter().filter_map(|id| self.servers.remove(id)).collect();
        for place in fresh {
            let server = serve(shell.clone(), &place).await?;
            self.servers.insert(place.id, (place, server));
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
        let mut places = self.directory.0.write().unwrap_or_else(PoisonError::into_inner);
        places.pods = self.servers.iter().map(|(id, (_, server))| (*id, server.address())).collect();
        places.addresses =
            self.servers.values().map(|(place, server)| ((place.ip, place.port), server.address())).collect();
    }
}

async fn serve(shell: SharedModel, place: &PodEndpoint) -> io::Result<Server> {
    let id = place.id;
    let name = HeaderValue::from_str(&place.name).unwrap_or_else(|_| HeaderValue::from_static("pod"));
    let text: Arc<str> = format!("{}\n", place.name).into();
    Server::start(0, move |request| {
        let (shell, name, text) = (shell.clone(), name.clone(), Arc::clone(&text));
        let probed = request.headers().get(http::header::USER_AGENT).is_some_and(|agent| agent == HEALTH_CHECK_AGENT);
        let asker = if probed { Requester::HealthCheck } else { Requester::Client };
        let patience = millis_header(request.headers(), TIMEOUT_HEADER);
        async move { answer(&shell, id, asker, patience, name, &text).await }
    })
    .await
}

async fn answer(
    shell: &SharedModel,
    pod: PodId,
    asker: Requester,
    patience: Option<Duration>,
    name: HeaderValue,
    text: &str,
) -> Result<Response<Body>, ConnectionReset> {
    let (status, delay) = match shell.call(|world, _| world.respond(pod, asker)) {
        PodAnswer::Status { status, delay } => (status, delay),
        PodAnswer::Refused => return Err(ConnectionReset),
        PodAnswer::Silent => (504, Duration::MAX),
    };
    match patience.unwrap_or(Duration::MAX).min(delay) {
        Duration::MAX => return std::future::pending().await,
        wait => shell.wait(wait).await,
    }
    let mut response = Response::new(complete_body(text.to_owned()));
    *response.status_mut() = http::StatusCode::from_u16(status).map_err(|_| ConnectionReset)?;
    response.headers_mut().insert(POD_HEADER, name);
    response.headers_mut().insert(TOOK_HEADER, millis(delay));
    Ok(response)
}

/// Encodes a duration as the lab's headers have it: whole milliseconds.
pub fn millis(duration: Duration) -> HeaderValue {
    HeaderValue::from(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

/// How long the pod took, in the lab's time, according to its response header.
pub fn response_time<T>(response: &Response<T>) -> Duration {
    millis_header(response.headers(), TOOK_HEADER).unwrap_or_default()
}

fn millis_header(headers: &http::HeaderMap, name: &str) -> Option<Duration> {
    headers.get(name)?.to_str().ok()?.parse().ok().map(Duration::from_millis)
}
