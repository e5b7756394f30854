//! What goes in and out of the world: requests, picks, probes, the log of calls. Shells around the model know these types and nothing deeper.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Bytes;
use jiff::Timestamp;

use crate::lab::wire;

/// A pod, or another target that serves: an index that is never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodId(pub u32);

/// An answer of the AWS API, and what becomes of it on its way.
#[derive(Debug, Clone)]
pub struct Answer {
    /// What the service says.
    pub response: http::Response<Bytes>,
    /// How long it takes to say it.
    pub latency: Duration,
    /// Whether the client hears it.
    pub fate: Fate,
}

/// An answer of a cluster's API, and what becomes of it on its way.
#[derive(Debug)]
pub struct KubeAnswer {
    /// What the API server says; a watch goes on with [`super::World::watch`].
    pub answer: wire::kube::Answer,
    /// How long it takes to say it.
    pub latency: Duration,
    /// Whether the client hears it.
    pub fate: Fate,
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It was carried out (or refused), and the client hears the answer.
    Answered,
    /// It was carried out at once; the connection is reset before the answer.
    Lost,
    /// It never reached the service: the connection is reset.
    Dropped,
    /// The connection is reset, and the call is carried out later, at this time.
    AppliedLate(Timestamp),
}

/// What a client asks the load balancer.
#[derive(Debug, Clone, Copy)]
pub struct ClientRequest<'a> {
    /// Name of the load balancer; empty: the first one that listens on the port.
    pub load_balancer: &'a str,
    /// The listener's port as the plan knows it, whatever the port on loopback is.
    pub port: u16,
    /// Host, without port.
    pub host: &'a str,
    /// Path, without query.
    pub path: &'a str,
    /// Value of the `AWSALBTG` cookie, where the client sends one.
    pub cookie: Option<&'a str>,
}

/// Where the load balancer sends a request.
#[derive(Debug, Clone)]
pub struct Pick {
    /// ARN of the listener or rule that matched; empty where nothing listens.
    pub route: Arc<str>,
    /// ARN of the chosen target group; `None` where no forward action was reached.
    pub group: Option<Arc<str>>,
    /// The plan's name of the cluster that the group belongs to; `None` for third-party groups.
    pub cluster: Option<Arc<str>>,
    /// The target, or the load balancer's own answer.
    pub outcome: Outcome,
    /// Value for a `Set-Cookie: AWSALBTG=…`, on routes with group stickiness.
    pub set_cookie: Option<String>,
}

/// What the load balancer does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Forwards it.
    Target {
        /// The pod.
        pod: PodId,
        /// Its address in the world.
        ip: Ipv4Addr,
        /// Its port.
        port: u16,
    },
    /// Answers by itself: 503 for an empty group, or what a redirect or fixed response says.
    Status(u16),
    /// Nothing listens there.
    Reset,
}

/// Who asks a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker {
    /// A client, through the load balancer.
    Client,
    /// The load balancer's health check.
    HealthCheck,
}

/// What a pod answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PodAnswer {
    /// An HTTP answer.
    Status {
        /// Its status.
        status: u16,
        /// How long the pod takes.
        delay: Duration,
    },
    /// Connection refused or reset: a client sees 502.
    Refused,
    /// No answer within any time-out: a client sees 504.
    Silent,
}

/// A pod that serves, or did.
#[derive(Debug, Clone)]
pub struct PodPlace {
    /// Its index.
    pub id: PodId,
    /// The plan's name of its cluster; `None`: it stands outside, behind a third-party group.
    pub cluster: Option<Arc<str>>,
    /// Name.
    pub name: Arc<str>,
    /// Address in the world (not on loopback).
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
    /// Which target.
    pub pod: Option<PodId>,
    /// The target's address.
    pub ip: Ipv4Addr,
    /// The target's registered port.
    pub target_port: u16,
    /// The port to probe.
    pub port: u16,
    /// Path of the check.
    pub path: Arc<str>,
    /// When it has failed.
    pub timeout: Duration,
    /// Which registration it belongs to: results of an earlier one are ignored.
    pub registration: u64,
}

/// What a health check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeResult {
    /// An answer with this status.
    Status(u16),
    /// Connection refused or reset.
    Refused,
    /// No answer in time.
    Timeout,
}

/// One call of an API, as the endpoint saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// When it came.
    pub time: Timestamp,
    /// `elasticloadbalancing`, `sts`, `eks`, or `kubernetes/CLUSTER`.
    pub service: Arc<str>,
    /// `ModifyRule`, or for Kubernetes `PATCH /apis/…`.
    pub operation: String,
    /// Whether it was meant to change something.
    pub mutating: bool,
    /// Who called.
    pub caller: Caller,
    /// `ok`, or an error code, or what happened to it on the way.
    pub outcome: String,
}

/// Who called an API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// A client from outside: the tool, or a person's CLI.
    Client,
    /// A controller inside one of the clusters.
    Controller,
    /// Another operator or tool, played by a fault.
    Foreign,
}

/// What the scenario's operator asks of the run.
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
