//! Every pod of the world as a real HTTP server on a loopback port of its own, started and stopped as pods come and go.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use http::{HeaderValue, Response};

use super::server::Server;
use crate::lab::body::{Body, Broken, full};
use crate::lab::model::{Asker, PodAnswer, PodId, PodPlace};
use crate::lab::shell::Shell;

/// The header in which a pod says how many milliseconds of the lab's time it took: time-outs are judged by this, not by a busy machine's clock.
pub const TOOK: &str = "x-lab-took";

/// The header in which an asker says how many milliseconds of the lab's time it will wait: a pod that is slower, or silent, lets go of it then.
pub const PATIENCE: &str = "x-lab-patience";

/// The header in which a pod gives its name.
pub const POD: &str = "x-lab-pod";

/// The user agent of health checks, as the real ones have it.
pub const HEALTH_CHECKER: &str = "ELB-HealthChecker/2.0";

/// Where the pods are on loopback: what the load balancer's network knows.
#[derive(Debug, Clone, Default)]
pub struct Directory(Arc<RwLock<Places>>);

#[derive(Debug, Default)]
struct Places {
    pods: BTreeMap<PodId, SocketAddr>,
    addresses: BTreeMap<(Ipv4Addr, u16), SocketAddr>,
}

impl Directory {
    /// The server of a pod, if it runs.
    pub fn pod(&self, pod: PodId) -> Option<SocketAddr> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).pods.get(&pod).copied()
    }

    /// The server behind an address of the world, if anything serves there.
    pub fn address(&self, ip: Ipv4Addr, port: u16) -> Option<SocketAddr> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).addresses.get(&(ip, port)).copied()
    }
}

/// The servers that run.
#[derive(Debug, Default)]
pub struct Pods {
    servers: BTreeMap<PodId, (PodPlace, Server)>,
    directory: Directory,
}

impl Pods {
    /// Where they are.
    pub fn directory(&self) -> Directory {
        self.directory.clone()
    }

    /// Starts and stops servers until exactly the living pods of the world have one.
    pub async fn follow(&mut self, shell: &Shell, places: Vec<PodPlace>) -> io::Result<()> {
        let living: BTreeMap<PodId, PodPlace> = places.into_iter().filter(|p| p.alive).map(|p| (p.id, p)).collect();
        let gone: Vec<PodId> = self.servers.keys().filter(|id| !living.contains_key(id)).copied().collect();
        let fresh: Vec<PodPlace> = living.into_values().filter(|p| !self.servers.contains_key(&p.id)).collect();
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

    /// Stops them all.
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

async fn serve(shell: Shell, place: &PodPlace) -> io::Result<Server> {
    let id = place.id;
    let name = HeaderValue::from_str(&place.name).unwrap_or_else(|_| HeaderValue::from_static("pod"));
    let text: Arc<str> = format!("{}\n", place.name).into();
    Server::start(0, move |request| {
        let (shell, name, text) = (shell.clone(), name.clone(), Arc::clone(&text));
        let probed = request.headers().get(http::header::USER_AGENT).is_some_and(|agent| agent == HEALTH_CHECKER);
        let asker = if probed { Asker::HealthCheck } else { Asker::Client };
        let patience = duration(request.headers(), PATIENCE);
        async move { answer(&shell, id, asker, patience, name, &text).await }
    })
    .await
}

async fn answer(
    shell: &Shell,
    pod: PodId,
    asker: Asker,
    patience: Option<Duration>,
    name: HeaderValue,
    text: &str,
) -> Result<Response<Body>, Broken> {
    let (status, delay) = match shell.call(|world, _| world.respond(pod, asker)) {
        PodAnswer::Status { status, delay } => (status, delay),
        PodAnswer::Refused => return Err(Broken),
        PodAnswer::Silent => (504, Duration::MAX),
    };
    match patience.unwrap_or(Duration::MAX).min(delay) {
        Duration::MAX => return std::future::pending().await,
        wait => shell.wait(wait).await,
    }
    let mut response = Response::new(full(text.to_owned()));
    *response.status_mut() = http::StatusCode::from_u16(status).map_err(|_| Broken)?;
    response.headers_mut().insert(POD, name);
    response.headers_mut().insert(TOOK, millis(delay));
    Ok(response)
}

/// A duration as the lab's headers spell it.
pub fn millis(duration: Duration) -> HeaderValue {
    HeaderValue::from(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

/// How long a pod took, in the lab's time, by its own account.
pub fn took<T>(response: &Response<T>) -> Duration {
    duration(response.headers(), TOOK).unwrap_or_default()
}

fn duration(headers: &http::HeaderMap, name: &str) -> Option<Duration> {
    headers.get(name)?.to_str().ok()?.parse().ok().map(Duration::from_millis)
}
