//! Inputs and outputs of the model: requests, picks, health checks, the call log. Code outside the model may use only
//! these types.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Bytes;
use jiff::Timestamp;

use crate::lab::wire;

/// Identifies a pod, or another server that can be a target. Numbers are never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodId(pub u32);

/// A response of the AWS API, and how it is delivered.
#[derive(Debug, Clone)]
pub struct AwsAnswer {
    /// The response of the service.
    pub response: http::Response<Bytes>,
    /// Time until the response arrives.
    pub latency: Duration,
    /// Whether the client receives the response.
    pub delivery: Delivery,
}

/// A response of a cluster's Kubernetes API, and how it is delivered.
#[derive(Debug)]
pub struct KubeAnswer {
    /// The response of the API server; a watch continues with [`super::World::watch`].
    pub answer: wire::kube::KubeResponse,
    /// Time until the response arrives.
    pub latency: Duration,
    /// Whether the client receives the response.
    pub delivery: Delivery,
}

/// Whether a call took effect and whether the client received the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// The call was processed (or rejected), and the client receives the response.
    Answered,
    /// The call was processed at once, but the connection is reset before the response.
    Lost,
    /// The call did not reach the service, because the connection was reset.
    Dropped,
    /// The connection is reset, and the call takes effect later, at this time.
    AppliedLate(Timestamp),
}

/// A request of a client to a load balancer.
#[derive(Debug, Clone, Copy)]
pub struct ClientRequest<'a> {
    /// Name of the load balancer; empty means the first load balancer that listens on the port.
    pub load_balancer: &'a str,
    /// Port of the listener in the plan, not on loopback.
    pub port: u16,
    /// Host without the port.
    pub host: &'a str,
    /// Path without the query string.
    pub path: &'a str,
    /// Value of the `AWSALBTG` cookie, if the client sends one. On a Network Load Balancer: the open connection that the
    /// client uses, if any.
    pub cookie: Option<&'a str>,
    /// Further headers of the request, each as name and value.
    pub headers: &'a [(&'a str, &'a str)],
}

/// The load balancer's routing decision for a request.
#[derive(Debug, Clone)]
pub struct Pick {
    /// ARN of the listener or rule that matched; empty if no listener matched.
    pub route: Arc<str>,
    /// ARN of the chosen target group; `None` if the action does not forward, or if every weight is 0.
    pub group: Option<Arc<str>>,
    /// Name in the plan of the cluster that the group belongs to; `None` for third-party groups, and for a request over
    /// an existing connection, which follows no weight.
    pub cluster: Option<Arc<str>>,
    /// The chosen target, or the load balancer's own response.
    pub outcome: RoutingOutcome,
    /// Value for `Set-Cookie: AWSALBTG=…`, on routes with group stickiness. On a Network Load Balancer: the connection
    /// that was opened.
    pub set_cookie: Option<String>,
}

/// How the load balancer handles a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoutingOutcome {
    /// Forwards the request to a target.
    Target {
        /// The pod that is the target.
        pod: PodId,
        /// IP address of the pod in the lab.
        ip: Ipv4Addr,
        /// Port of the pod.
        port: u16,
    },
    /// Responds without a target: 503 for an empty group, or the status of a redirect or fixed response.
    Status(u16),
    /// Resets the connection, because no listener matches.
    Reset,
}

/// The sender of a request to a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requester {
    /// A client that sends through the load balancer.
    Client,
    /// The load balancer, as a health check.
    HealthCheck,
}

/// How a pod answers a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PodAnswer {
    /// The pod sends an HTTP response.
    Status {
        /// The HTTP status code of the response.
        status: u16,
        /// The pod's response time.
        delay: Duration,
    },
    /// The pod refuses or resets the connection; a client receives 502.
    Refused,
    /// The pod does not respond before any time-out; a client receives 504.
    Silent,
}

/// A pod and its network address.
#[derive(Debug, Clone)]
pub struct PodEndpoint {
    /// Number of the pod.
    pub id: PodId,
    /// Name in the plan of the pod's cluster; `None` for a server outside the clusters, behind a third-party group.
    pub cluster: Option<Arc<str>>,
    /// Name of the pod.
    pub name: Arc<str>,
    /// IP address of the pod in the lab (not on loopback).
    pub ip: Ipv4Addr,
    /// Port on which the pod serves.
    pub port: u16,
    /// Whether the pod's process accepts connections.
    pub alive: bool,
}

/// A health check that is due.
#[derive(Debug, Clone)]
pub struct Probe {
    /// ARN of the target group.
    pub group: Arc<str>,
    /// The pod of the target; `None` if the target is not a pod.
    pub pod: Option<PodId>,
    /// IP address of the target.
    pub ip: Ipv4Addr,
    /// Port with which the target is registered.
    pub target_port: u16,
    /// Port to which the check is sent.
    pub port: u16,
    /// Path of the check.
    pub path: Arc<str>,
    /// Time-out of the check.
    pub timeout: Duration,
    /// Number of the target's registration. Results for an earlier registration are ignored.
    pub registration: u64,
}

/// The result of a health check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeResult {
    /// The target responded with this HTTP status.
    Status(u16),
    /// The connection was refused or reset.
    Refused,
    /// The target did not respond in time.
    Timeout,
}

/// One API call, as the server logs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiCall {
    /// Time of the call.
    pub time: Timestamp,
    /// `elasticloadbalancing`, `sts`, `eks`, or `kubernetes/CLUSTER`.
    pub service: Arc<str>,
    /// The operation, such as `ModifyRule`, or for Kubernetes `PATCH /apis/…`.
    pub operation: String,
    /// Whether the call is a write.
    pub mutating: bool,
    /// The author of the call.
    pub caller: Caller,
    /// `ok`, an error code, or how the call was lost.
    pub outcome: String,
}

/// The author of an API call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// A client outside the lab: this tool, or a person's CLI.
    Client,
    /// A controller inside one of the clusters.
    Controller,
    /// Another operator or tool, simulated by a fault.
    Foreign,
}

/// An operator request that the scenario sends to the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OperatorRequest {
    /// Approve the current pause.
    Approve,
    /// End the current pause early.
    Promote,
    /// Pause the run.
    Pause,
    /// Resume the run.
    Resume,
    /// Abort the run.
    Abort,
}
