//! Inputs and outputs of the model: requests, picks, probes, the call log. Code around the model uses these types and
//! nothing deeper.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Bytes;
use jiff::Timestamp;

use crate::lab::wire;

/// A pod, or another target that serves. Indices are never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodId(pub u32);

/// An answer of the AWS API, and its delivery.
#[derive(Debug, Clone)]
pub struct AwsAnswer {
    /// The service's response.
    pub response: http::Response<Bytes>,
    /// Time until the response arrives.
    pub latency: Duration,
    /// Whether the client receives it.
    pub delivery: Delivery,
}

/// An answer of a cluster's API, and its delivery.
#[derive(Debug)]
pub struct KubeAnswer {
    /// The API server's response; a watch continues with [`super::World::watch`].
    pub answer: wire::kube::KubeResponse,
    /// Time until the response arrives.
    pub latency: Duration,
    /// Whether the client receives it.
    pub delivery: Delivery,
}

/// Delivery of a call and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// The call was carried out (or refused), and the client receives the answer.
    Answered,
    /// The call was carried out at once; the connection is reset before the answer.
    Lost,
    /// The call did not reach the service: the connection is reset.
    Dropped,
    /// The connection is reset, and the call is carried out later, at this time.
    AppliedLate(Timestamp),
}

/// A client's request to the load balancer.
#[derive(Debug, Clone, Copy)]
pub struct ClientRequest<'a> {
    /// Name of the load balancer; empty: the first one that listens on the port.
    pub load_balancer: &'a str,
    /// The listener's port in the plan, not on loopback.
    pub port: u16,
    /// Host, without port.
    pub host: &'a str,
    /// Path, without query.
    pub path: &'a str,
    /// Value of the `AWSALBTG` cookie, if the client sends one.
    pub cookie: Option<&'a str>,
}

/// The load balancer's routing decision for a request.
#[derive(Debug, Clone)]
pub struct Pick {
    /// ARN of the listener or rule that matched; empty if there is no listener.
    pub route: Arc<str>,
    /// ARN of the chosen target group; `None`: not a forward action, or no weight.
    pub group: Option<Arc<str>>,
    /// The plan's name of the group's cluster; `None` for third-party groups.
    pub cluster: Option<Arc<str>>,
    /// The target, or the load balancer's own answer.
    pub outcome: RoutingOutcome,
    /// Value for a `Set-Cookie: AWSALBTG=…`, on routes with group stickiness.
    pub set_cookie: Option<String>,
}

/// What the load balancer does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoutingOutcome {
    /// Forwards it.
    Target {
        /// The pod.
        pod: PodId,
        /// Its address in the world.
        ip: Ipv4Addr,
        /// Its port.
        port: u16,
    },
    /// Answers itself: 503 for an empty group, or the status of a redirect or fixed response.
    Status(u16),
    /// Resets the connection: there is no such listener.
    Reset,
}

/// Who sends a request to a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requester {
    /// A client, through the load balancer.
    Client,
    /// The load balancer's health check.
    HealthCheck,
}

/// A pod's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PodAnswer {
    /// An HTTP response.
    Status {
        /// Its status.
        status: u16,
        /// The pod's response time.
        delay: Duration,
    },
    /// Connection refused or reset: a client sees 502.
    Refused,
    /// No answer within any time-out: a client sees 504.
    Silent,
}

/// A pod and its address.
#[derive(Debug, Clone)]
pub struct PodEndpoint {
    /// Its index.
    pub id: PodId,
    /// The plan's name of its cluster; `None`: it runs outside, behind a third-party group.
    pub cluster: Option<Arc<str>>,
    /// Name.
    pub name: Arc<str>,
    /// Address in the lab (not on loopback).
    pub ip: Ipv4Addr,
    /// Port.
    pub port: u16,
    /// Whether its process accepts connections.
    pub alive: bool,
}

/// A health check that is due.
#[derive(Debug, Clone)]
pub struct Probe {
    /// ARN of the target group.
    pub group: Arc<str>,
    /// The target's pod, if it is one.
    pub pod: Option<PodId>,
    /// The target's address.
    pub ip: Ipv4Addr,
    /// The target's registered port.
    pub target_port: u16,
    /// The port to probe.
    pub port: u16,
    /// Path of the check.
    pub path: Arc<str>,
    /// Time-out of the check.
    pub timeout: Duration,
    /// Number of the target's registration: results for an earlier one are ignored.
    pub registration: u64,
}

/// Result of a health check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeResult {
    /// A response with this status.
    Status(u16),
    /// Connection refused or reset.
    Refused,
    /// No answer in time.
    Timeout,
}

/// One API call, as the server logs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiCall {
    /// Time of the call.
    pub time: Timestamp,
    /// `elasticloadbalancing`, `sts`, `eks`, or `kubernetes/CLUSTER`.
    pub service: Arc<str>,
    /// Such as `ModifyRule`, or for Kubernetes `PATCH /apis/…`.
    pub operation: String,
    /// Whether the call is a write.
    pub mutating: bool,
    /// Who called.
    pub caller: Caller,
    /// `ok`, an error code, or how the call was lost.
    pub outcome: String,
}

/// Who made an API call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// A client from outside: this tool, or a person's CLI.
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
    /// Resume it.
    Resume,
    /// Abort it.
    Abort,
}
