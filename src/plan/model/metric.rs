//! Metric gates, as the rest of the crate sees them.

use std::time::Duration;

/// One metric gate of the plan.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricGate {
    /// Unique within the plan.
    pub name: String,
    /// Whose gate it is.
    pub scope: Scope,
    /// Whether it must pass before traffic moves.
    pub raise: bool,
    /// Whether it puts traffic back when it fails.
    pub guard: bool,
    /// Between two measurements; what compares two sides measures windows of just this length.
    pub interval: Duration,
    /// Between the settling of the shares and the first measurement.
    pub initial_delay: Duration,
    /// How far back a measurement looks.
    pub window: Duration,
    /// How late the data is complete.
    pub delay: Duration,
    /// What no data means.
    pub no_data: NoData,
    /// Requests on the new side before anything is let through.
    pub min_requests: u64,
    /// Measurements that may fail while the same shares stand.
    pub failure_limit: u32,
    /// Recorded, and never acted upon.
    pub dry_run: bool,
    /// Where the numbers come from.
    pub source: Source,
    /// How they are judged.
    pub judge: Judge,
}

/// Whose gate it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// The plan's: in force from the first to the last step.
    Plan,
    /// A workload's: as the plan's, over the target groups of that workload.
    Workload(String),
    /// A step's, by its number: in force while that step is on, as a guard until other shares come.
    Step(usize),
}

/// `noData`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoData {
    /// As if the measurement had passed; never enough by itself where sides are compared.
    Pass,
    /// Nothing is raised until there is some.
    Hold,
    /// As if the measurement had failed.
    Fail,
}

/// How a gate's numbers are judged.
#[derive(Debug, Clone, PartialEq)]
pub enum Judge {
    /// Old against new.
    ErrorRate(ErrorRate),
    /// Old against new.
    Latency(Latency),
    /// The share that requests show, against the share written.
    Share {
        /// In percentage points.
        tolerance: f64,
    },
    /// A plain threshold.
    Condition {
        /// The value must not be above.
        at_most: Option<f64>,
        /// The value must not be below.
        at_least: Option<f64>,
    },
    /// The source itself says whether all is well.
    State,
}

/// `errorRate`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ErrorRate {
    /// How many times the old error rate the new one may be.
    pub ratio: f64,
    /// The probability of a false alarm while the same shares stand, 0–1.
    pub alpha: f64,
    /// The most that the new error rate may be above the old one for more traffic to be let in, 0–1.
    pub max_difference: f64,
    /// Observed time before more traffic is let in.
    pub min_bake: Duration,
}

/// `latency`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Latency {
    /// How many times the old latency the new one may be.
    pub ratio: f64,
    /// The probability of a false alarm while the same shares stand, 0–1.
    pub alpha: f64,
}

/// Where a gate's numbers come from. Texts may hold `{{cluster}}` and the like, which are filled in for each question.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// A Prometheus, or what speaks its HTTP API.
    Prometheus(Prometheus),
    /// An HTTP probe.
    Http(Http),
    /// A command.
    Exec(Exec),
    /// CloudWatch alarms, by name.
    CloudWatchAlarms(Vec<String>),
    /// CloudWatch metrics.
    CloudWatch(CloudWatch),
    /// The workload's pods in the new cluster.
    Kubernetes {
        /// Container restarts within the window, at most.
        max_restarts: Option<u32>,
    },
}

/// `prometheus`.
#[derive(Debug, Clone, PartialEq)]
pub struct Prometheus {
    /// `http://…` or `https://…`, up to before `/api/v1`.
    pub address: String,
    /// For every question.
    pub headers: Vec<Header>,
    /// For every question, in real time.
    pub timeout: Duration,
    /// One value, for a condition.
    pub query: Option<String>,
    /// A side's requests in the window.
    pub requests: Option<String>,
    /// A side's failed requests in the window.
    pub errors: Option<String>,
    /// A quantile of a side's latency in the window, in seconds.
    pub latency: Option<String>,
}

/// A header of a request; its value never enters a journal or a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: HeaderValue,
}

/// Where a header's value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderValue {
    /// From the plan: not a secret.
    Plain(String),
    /// From an environment variable.
    Env(String),
    /// From a file, read anew for every question.
    File(String),
}

/// `http`.
#[derive(Debug, Clone, PartialEq)]
pub struct Http {
    /// What is asked.
    pub url: String,
    /// With these headers.
    pub headers: Vec<Header>,
    /// The only status that is well.
    pub status: u16,
    /// What the body must contain.
    pub body: Option<String>,
    /// How long the answer may take; at the same time the end of waiting for it.
    pub timeout: Duration,
}

/// `exec`.
#[derive(Debug, Clone, PartialEq)]
pub struct Exec {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Killed after this, which counts as unreadable.
    pub timeout: Duration,
}

/// `cloudWatch`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CloudWatch {
    /// A metric of one's own; `None`: those of the plan's target groups.
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

impl Source {
    /// Its key in the plan.
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
    /// Whether it says anything only while the new cluster carries traffic.
    pub fn of_traffic(&self) -> bool {
        matches!(self.source, Source::Prometheus(_) | Source::CloudWatch(_))
            || matches!(self.judge, Judge::ErrorRate(_) | Judge::Latency(_) | Judge::Share { .. })
    }

    /// Whether it compares the two sides.
    pub fn compares(&self) -> bool {
        matches!(self.judge, Judge::ErrorRate(_) | Judge::Latency(_) | Judge::Share { .. })
    }
}
