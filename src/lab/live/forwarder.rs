//! The load balancer as an HTTP forwarder, with one socket per listener. The model picks the target; pooled connections
//! lead to the servers of the pods.
//!
//! Every listener uses plain HTTP, also on port 443, because certificates do not matter to a cutover.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::pods::{Directory, POD_HEADER, TIMEOUT_HEADER, millis, response_time};
use super::server::Server;
use crate::lab::body::{Body, ConnectionReset, complete_body};
use crate::lab::model::{ClientRequest, Pick, RoutingOutcome, TargetResponse};
use crate::lab::shared_model::SharedModel;

/// Name of the group stickiness cookie of an ALB.
pub const GROUP_COOKIE: &str = "AWSALBTG";

/// The idle time-out of an ALB, in the lab's time. If a pod takes longer, the client gets a 504.
const IDLE_TIMEOUT: Duration = Duration::from_mins(1);

/// Additional real time for a forwarded request, so that a busy machine does not cause a time-out.
const GRACE_PERIOD: Duration = Duration::from_secs(10);

const CLUSTER_HEADER: HeaderName = HeaderName::from_static("x-lab-cluster");
const GROUP_HEADER: HeaderName = HeaderName::from_static("x-lab-group");
const ROUTE_HEADER: HeaderName = HeaderName::from_static("x-lab-route");

/// An HTTP client with pooled connections.
pub type Pool<B> = Client<HttpConnector, B>;

/// Creates an HTTP client for loopback with `TCP_NODELAY`, which keeps idle connections for 5 s.
pub fn connection_pool<B: hyper::body::Body + Send>() -> Pool<B>
where
    B::Data: Send,
{
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(Duration::from_secs(5))
        .build(connector)
}

/// Serves one listener of a load balancer.
#[derive(Clone)]
pub struct Forwarder {
    /// The model that picks the target of each request.
    pub model: SharedModel,
    /// Addresses of the servers of pods.
    pub directory: Directory,
    /// Connections to the servers of pods.
    pub pool: Pool<Incoming>,
    /// Name of the load balancer.
    pub load_balancer: Arc<str>,
    /// Port of the listener in the plan.
    pub port: u16,
}

impl Forwarder {
    /// Opens the socket of the listener on a free port.
    pub async fn open(self) -> io::Result<Server> {
        Server::start(0, move |request| {
            let forwarder = self.clone();
            async move { forwarder.serve(request).await }
        })
        .await
    }

    async fn serve(&self, request: Request<Incoming>) -> Result<Response<Body>, ConnectionReset> {
        let pick = self.pick(&request);
        let mut response = match pick.outcome {
            RoutingOutcome::Reset => return Err(ConnectionReset),
            RoutingOutcome::Status(status) => {
                plain(StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE))
            }
            RoutingOutcome::Target { pod, .. } => match self.directory.pod(pod) {
                None => plain(StatusCode::BAD_GATEWAY),
                Some(address) => self.forward(request, address).await,
            },
        };
        if let (Some(group), RoutingOutcome::Target { .. }) = (&pick.group, pick.outcome) {
            let is_answered = response.headers().contains_key(POD_HEADER) && response_time(&response) < IDLE_TIMEOUT;
            let target_response = if is_answered {
                TargetResponse::Answered(response.status().as_u16(), response_time(&response))
            } else {
                TargetResponse::NoAnswer
            };
            self.model.call(|world, now| world.record_response(group, target_response, now));
        }
        add_lab_headers(response.headers_mut(), &pick);
        Ok(response)
    }

    fn pick(&self, request: &Request<Incoming>) -> Pick {
        let host = request.headers().get(header::HOST).and_then(|h| h.to_str().ok()).unwrap_or_default();
        let headers: Vec<_> =
            request.headers().iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect();
        let client_request = ClientRequest {
            load_balancer: &self.load_balancer,
            port: self.port,
            host: host.rsplit_once(':').map_or(host, |(name, _)| name),
            path: request.uri().path(),
            cookie: group_cookie(request.headers()),
            headers: &headers,
        };
        self.model.call(|world, now| world.pick(&client_request, now))
    }

    async fn forward(&self, request: Request<Incoming>, address: SocketAddr) -> Response<Body> {
        let Ok(request) = readdress(request, address, self.port) else { return plain(StatusCode::BAD_REQUEST) };
        let deadline = IDLE_TIMEOUT.div_f64(self.model.clock().speed()) + GRACE_PERIOD;
        match tokio::time::timeout(deadline, self.pool.request(request)).await {
            Err(_) => plain(StatusCode::GATEWAY_TIMEOUT),
            Ok(Err(_)) => plain(StatusCode::BAD_GATEWAY),
            Ok(Ok(response)) if response_time(&response) >= IDLE_TIMEOUT => plain(StatusCode::GATEWAY_TIMEOUT),
            Ok(Ok(response)) => response.map(|body| body.map_err(|_| ConnectionReset).boxed()),
        }
    }
}

/// Returns the value of the group cookie in a request's headers.
pub fn group_cookie(headers: &HeaderMap) -> Option<&str> {
    let pairs = headers.get_all(header::COOKIE).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(';'));
    pairs.filter_map(|pair| pair.trim().split_once('=')).find(|(name, _)| *name == GROUP_COOKIE).map(|(_, value)| value)
}

fn readdress(mut request: Request<Incoming>, address: SocketAddr, port: u16) -> Result<Request<Incoming>, http::Error> {
    let path = request.uri().path_and_query().map_or("/", |p| p.as_str());
    *request.uri_mut() = Uri::builder().scheme("http").authority(address.to_string()).path_and_query(path).build()?;
    let headers = request.headers_mut();
    headers.remove(header::CONNECTION);
    headers.insert(TIMEOUT_HEADER, millis(IDLE_TIMEOUT));
    headers.insert("x-forwarded-proto", HeaderValue::from_static(if port == 443 { "https" } else { "http" }));
    headers.insert("x-forwarded-port", HeaderValue::from(port));
    Ok(request)
}

fn plain(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(complete_body(format!("{status}\n")));
    *response.status_mut() = status;
    response
}

/// Adds headers that name route, group and cluster, so that a client can count requests, and sets the cookie.
fn add_lab_headers(headers: &mut HeaderMap, pick: &Pick) {
    let mut put = |name: HeaderName, text: &str| {
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.append(name, value);
        }
    };
    put(ROUTE_HEADER, &pick.route);
    if let Some(group) = &pick.group {
        put(GROUP_HEADER, group);
    }
    if let Some(cluster) = &pick.cluster {
        put(CLUSTER_HEADER, cluster);
    }
    if let Some(value) = &pick.set_cookie {
        put(header::SET_COOKIE, &format!("{GROUP_COOKIE}={value}; Path=/"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        assert_eq!(group_cookie(&headers), None);
        headers.append(header::COOKIE, HeaderValue::from_static("theme=dark; AWSALBTGCORS=no"));
        headers.append(header::COOKIE, HeaderValue::from_static("a=b;AWSALBTG=green=1"));
        assert_eq!(group_cookie(&headers), Some("green=1"));
    }
}
