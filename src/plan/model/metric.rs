//! Metric gates in the checked plan.

use std::time::Duration;

/// One metric gate of the plan.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricGate {
    /// Unique within the plan.
    pub name: String,
    /// What the gate applies to.
    pub scope: GateScope,
    /// Whether it must pass before traffic moves.
    pub raise: bool,
    /// Whether its failure causes a rollback (or `onFailure`).
    pub guard: bool,
    /// Time between two measurements. A gate that compares clusters measures windows of exactly this length.
    pub interval: Duration,
    /// Time between the settling of the shares and the first measurement.
    pub initial_delay: Duration,
    /// The period that a measurement covers.
    pub window: Duration,
    /// How late the source's data is complete.
    pub delay: Duration,
    /// How a measurement without data counts.
    pub no_data: NoData,
    /// Minimum number of requests to the new cluster before a comparison can pass.
    pub min_requests: u64,
    /// Number of measurements that may fail while the shares do not change.
    pub failure_limit: u32,
    /// Whether its results are only recorded.
    pub dry_run: bool,
    /// The source of the values.
    pub source: MetricSource,
    /// How the values are judged.
    pub condition: GateCondition,
}

/// What a metric gate applies to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GateScope {
    /// The plan: active from the first to the last step.
    Plan,
    /// A workload: active as the plan's gates, over the target groups of the workload.
    Workload(String),
    /// A step, by its number: active during the step; as a guard, until the shares change.
    Step(usize),
}

/// `noData`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoData {
    /// The measurement passes; not enough by itself when clusters are compared.
    Pass,
    /// Nothing is raised until there is data.
    Hold,
    /// The measurement fails.
    Fail,
}

/// How the values of a gate are judged.
#[derive(Debug, Clone, PartialEq)]
pub enum GateCondition {
    /// Compares the error rates of the old and the new cluster.
    ErrorRate(ErrorRate),
    /// Compares the latencies of the old and the new cluster.
    Latency(Latency),
    /// Compares the share of the requests with the share as written.
    Share {
        /// In percentage points.
        tolerance: f64,
    },
    /// A threshold.
    Condition {
        /// The value must not be above.
        at_most: Option<f64>,
        /// The value must not be below.
        at_least: Option<f64>,
    },
    /// The source itself reports success or failure.
    State,
}

/// `errorRate`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ErrorRate {
    /// The new error rate may be this many times the old one.
    pub ratio: f64,
    /// The probability of a false alarm while the shares do not change, 0–1.
    pub alpha: f64,
    /// How much higher the new error rate may be for a raise, 0–1.
    pub max_difference: f64,
    /// Observed time before a raise.
    pub min_bake: Duration,
}

/// `latency`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Latency {
    /// The new latency may be this many times the old one.
    pub ratio: f64,
    /// The probability of a false alarm while the shares do not change, 0–1.
    pub alpha: f64,
}

/// The source of a gate's values. Texts may contain placeholders such as `{{cluster}}`, which are replaced for each
/// measurement.
#[derive(Debug, Clone, PartialEq)]
pub enum MetricSource {
    /// Prometheus, or another server with its HTTP API.
    Prometheus(Prometheus),
    /// An HTTP probe.
    Http(Http),
    /// A command.
    Exec(MetricCommand),
    /// CloudWatch alarms, by name.
    CloudWatchAlarms(Vec<String>),
    /// CloudWatch metrics.
    CloudWatch(CloudWatch),
    /// The workload's pods in the new cluster.
    Kubernetes {
        /// Maximum number of container restarts within the window.
        max_restarts: Option<u32>,
    },
}

/// `prometheus`.
#[derive(Debug, Clone, PartialEq)]
pub struct Prometheus {
    /// `http://…` or `https://…`, up to before `/api/v1`.
    pub address: String,
    /// Headers of every query.
    pub headers: Vec<Header>,
    /// Maximum duration of a query, in real time.
    pub timeout: Duration,
    /// A query for one value, for a condition.
    pub query: Option<String>,
    /// A query for the requests to a cluster in the window.
    pub requests: Option<String>,
    /// A query for the failed requests to a cluster in the window.
    pub errors: Option<String>,
    /// A query for a quantile of a cluster's latency in the window, in seconds.
    pub latency: Option<String>,
}

/// A header of a request. Its value is never journalled or logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: HeaderValue,
}

/// The source of a header's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderValue {
    /// The plan: the value is not a secret.
    Plain(String),
    /// An environment variable.
    Env(String),
    /// A file, read again for every request.
    File(String),
}

/// `http`.
#[derive(Debug, Clone, PartialEq)]
pub struct Http {
    /// The URL to request.
    pub url: String,
    /// Headers of the request.
    pub headers: Vec<Header>,
    /// The only status that counts as success.
    pub status: u16,
    /// A text that the body must contain.
    pub body: Option<String>,
    /// Maximum time until the answer is complete.
    pub timeout: Duration,
}

/// `exec`.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricCommand {
    /// Program and arguments.
    pub command: Vec<String>,
    /// The command is killed after this time, and the gate is unreadable.
    pub timeout: Duration,
}

/// `cloudWatch`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CloudWatch {
    /// A metric of the user; `None`: the metrics of the plan's target groups.
    pub metric: Option<CloudWatchMetric>,
    /// Statistic of the latency, such as `p99`.
    pub latency: String,
}

/// A metric by name.
#[derive(Debug, Clone, PartialEq)]
pub struct CloudWatchMetric {
    /// Such as `AWS/ApplicationELB`.
    pub namespace: String,
    /// Such as `TargetResponseTime`.
    pub name: String,
    /// All of its dimensions.
    pub dimensions: Vec<(String, String)>,
    /// Such as `Average`, `Sum`, `p99`.
    pub statistic: String,
}

impl MetricSource {
    /// Returns the source's key in the plan.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Prometheus(_) => "prometheus",
            Self::Http(_) => "http",
            Self::Exec(_) => "exec",
            Self::CloudWatchAlarms(_) => "cloudWatchAlarms",
            Self::CloudWatch(_) => "cloudWatch",
            Self::Kubernetes { .. } => "kubernetes",
        }
    }
}

impl MetricGate {
    /// Whether it is meaningful only while the new cluster carries traffic.
    pub fn of_traffic(&self) -> bool {
        matches!(self.source, MetricSource::Prometheus(_) | MetricSource::CloudWatch(_))
            || matches!(
                self.condition,
                GateCondition::ErrorRate(_) | GateCondition::Latency(_) | GateCondition::Share { .. }
            )
    }

    /// Whether it compares the old and the new cluster.
    pub fn compares(&self) -> bool {
        matches!(self.condition, GateCondition::ErrorRate(_) | GateCondition::Latency(_) | GateCondition::Share { .. })
    }
}
