//! Represents metric gates in the checked plan.

use std::time::Duration;

/// One metric gate of the plan.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricGate {
    /// The gate's name, unique within the plan.
    pub name: String,
    /// The scope of the gate: the plan, a workload or a step.
    pub scope: GateScope,
    /// Whether the gate must pass before a share is raised.
    pub raise: bool,
    /// Whether a failure of the gate while the new cluster has traffic has the effect of `onFailure`.
    pub guard: bool,
    /// Time between two measurements. A gate that compares clusters measures windows of exactly this length.
    pub interval: Duration,
    /// Time from the end of `settle` to the first measurement.
    pub initial_delay: Duration,
    /// The period that a measurement covers.
    pub window: Duration,
    /// Time after which the source has complete data of a period.
    pub delay: Duration,
    /// The result of a measurement without data.
    pub no_data: NoData,
    /// Minimum number of requests to the new cluster before a comparison can pass.
    pub min_requests: u64,
    /// Number of measurements that may fail while the shares do not change.
    pub failure_limit: u32,
    /// Whether the gate's results are recorded without effect on the run.
    pub dry_run: bool,
    /// The source of the values.
    pub source: MetricSource,
    /// The condition for the values.
    pub condition: GateCondition,
}

/// The scope of a metric gate: the plan, a workload or a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GateScope {
    /// The gate applies to the plan: active from the first to the last step.
    Plan,
    /// The gate applies to this workload: active like a gate of the plan, but measures only the workload's target
    /// groups.
    Workload(String),
    /// The gate applies to the step with this number: active during the step, and as a guard until the shares change.
    Step(usize),
}

/// The field `noData`: the result of a measurement without data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoData {
    /// The measurement passes. A gate that compares clusters needs other measurements with data as well.
    Pass,
    /// No share is raised until a measurement has data.
    Hold,
    /// The measurement fails.
    Fail,
}

/// The condition for the values of a gate.
#[derive(Debug, Clone, PartialEq)]
pub enum GateCondition {
    /// Compares the error rates of the old and the new cluster.
    ErrorRate(ErrorRate),
    /// Compares the latencies of the old and the new cluster.
    Latency(Latency),
    /// Compares the new cluster's share of the requests with the share in the written weights.
    Share {
        /// The allowed difference, in percentage points.
        tolerance: f64,
    },
    /// Compares a single value with thresholds.
    Condition {
        /// The maximum value that passes.
        at_most: Option<f64>,
        /// The minimum value that passes.
        at_least: Option<f64>,
    },
    /// The source itself reports success or failure.
    State,
}

/// The condition `errorRate`: compares the error rates of the old and the new cluster.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ErrorRate {
    /// The new error rate may be this many times the old one.
    pub ratio: f64,
    /// The probability of a false alarm while the shares do not change, 0–1.
    pub alpha: f64,
    /// Before a share is raised, the upper bound of the difference between the error rates must be below this value,
    /// 0–1.
    pub max_difference: f64,
    /// Minimum observed time before a share is raised.
    pub min_bake: Duration,
}

/// The condition `latency`: compares the latencies of the old and the new cluster.
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

/// The source `prometheus`: queries to a Prometheus server.
#[derive(Debug, Clone, PartialEq)]
pub struct Prometheus {
    /// The base URL of the server, without `/api/v1`.
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

/// A header of a request. The value of the header is never written to the journal or to logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The header's name.
    pub name: String,
    /// The source of the header's value.
    pub value: HeaderValue,
}

/// The source of a header's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderValue {
    /// The value as written in the plan: it is not a secret.
    Plain(String),
    /// The environment variable with this name.
    Env(String),
    /// The file with this path, which is read again for every request.
    File(String),
}

/// The source `http`: a probe of a URL.
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
    /// Maximum time until the response is complete.
    pub timeout: Duration,
}

/// The source `exec`: a command that measures.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricCommand {
    /// Program and arguments.
    pub command: Vec<String>,
    /// The command is killed after this time, and the measurement counts as unreadable.
    pub timeout: Duration,
}

/// The source `cloudWatch`: metrics of CloudWatch.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CloudWatch {
    /// A metric of the user; `None` means the metrics of the plan's target groups.
    pub metric: Option<CloudWatchMetric>,
    /// The statistic of the latency, such as `p99`.
    pub latency: String,
}

/// A CloudWatch metric, identified by its name.
#[derive(Debug, Clone, PartialEq)]
pub struct CloudWatchMetric {
    /// The namespace of the metric, such as `AWS/ApplicationELB`.
    pub namespace: String,
    /// The name of the metric, such as `TargetResponseTime`.
    pub name: String,
    /// All dimensions of the metric, as (name, value).
    pub dimensions: Vec<(String, String)>,
    /// The statistic of the metric, such as `Average`, `Sum` or `p99`.
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
    /// Whether the gate is meaningful only while the new cluster has traffic.
    pub fn of_traffic(&self) -> bool {
        matches!(self.source, MetricSource::Prometheus(_) | MetricSource::CloudWatch(_))
            || matches!(
                self.condition,
                GateCondition::ErrorRate(_) | GateCondition::Latency(_) | GateCondition::Share { .. }
            )
    }

    /// Whether the gate cannot judge the new cluster while the old one has no traffic.
    pub fn needs_old_traffic(&self) -> bool {
        matches!(self.condition, GateCondition::ErrorRate(_) | GateCondition::Latency(_))
    }

    /// Whether the gate compares the old and the new cluster.
    pub fn compares(&self) -> bool {
        matches!(self.condition, GateCondition::ErrorRate(_) | GateCondition::Latency(_) | GateCondition::Share { .. })
    }
}
