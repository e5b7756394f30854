//! Declares the fields of a metric gate in the plan file, as [`super::file`] does for the other fields.

use super::decode::{Placed, record};
use super::scalar::{
    Amount, Chance, Delay, Failures, Flag, HeaderName, Line, Missing, Name, Period, Query, Ratio, Requests, Status,
    Times, Url,
};

record! {
    /// A metric gate: a source of values, and a condition for them. When the shares change, its measurements begin
    /// again.
    MetricGate as "a gate" {
        /// The name of the gate; unique in the plan.
        name "name": required Name,
        /// Whether the gate must pass before a share is raised.
        raise "raise": optional Flag = true,
        /// Whether a failure of the gate while the new cluster has traffic has the effect of `onFailure`.
        guard "guard": optional Flag = true,
        /// Time between two measurements. Clusters are compared over windows of this length.
        interval "interval": optional Period = "1m",
        /// Time from the end of `settle` to the first measurement. The default is no delay.
        initial_delay "initialDelay": optional Delay,
        /// The period that a measurement covers. The default is one `interval`.
        window "window": optional Period,
        /// Time after which the source has complete data of a period. The default is 3m for `cloudWatch`, otherwise no
        /// delay.
        delay "delay": optional Delay,
        /// The result without data: `hold` (no share is raised), `fail`, or `pass`.
        no_data "noData": optional Missing = "hold",
        /// Minimum number of requests to the new cluster before a comparison can pass.
        min_requests "minRequests": optional Requests = 100,
        /// Number of measurements that may fail while the shares do not change.
        failure_limit "failureLimit": optional Failures = 0,
        /// If `true`, the gate's results are recorded but have no effect.
        dry_run "dryRun": optional Flag = false,
        /// Queries to Prometheus.
        prometheus "prometheus": optional Prometheus,
        /// An HTTP probe with an expected response.
        http "http": optional Http,
        /// A command.
        exec "exec": optional Exec,
        /// Names of CloudWatch alarms. Each must be in state OK.
        cloud_watch_alarms "cloudWatchAlarms": optional Vec<Placed<Line>>,
        /// CloudWatch metrics of the target groups, or a metric of your own.
        cloud_watch "cloudWatch": optional CloudWatch,
        /// The workload in the new cluster: its rollouts are complete and its pods are ready.
        kubernetes "kubernetes": optional Kubernetes,
        /// Compares the error rates of the old and the new cluster.
        error_rate "errorRate": optional ErrorRate,
        /// Compares the latencies of the old and the new cluster.
        latency "latency": optional Latency,
        /// Compares the new cluster's share of the requests with the share in the written weights.
        share "share": optional Share,
        /// A threshold for a single value.
        success_condition "successCondition": optional Condition,
    }; exactly CUT030 ["prometheus", "http", "exec", "cloudWatchAlarms", "cloudWatch", "kubernetes"]

    /// Queries to Prometheus. Placeholders in `address` and in queries: `{{cluster}}` is the queried cluster,
    /// `{{workload}}` the gate's workload, `{{window}}` a duration such as `60s`.
    Prometheus as "`prometheus`" {
        /// The base URL without `/api/v1`, such as `https://prometheus.example.com`.
        address "address": required Url,
        /// Headers of every request.
        headers "headers": optional Vec<Placed<Header>> = [],
        /// Maximum time until a response is complete.
        timeout "timeout": optional Period = "10s",
        /// PromQL for a single value, with `successCondition`.
        query "query": optional Query,
        /// PromQL for the number of requests to a cluster within the window.
        requests "requests": optional Query,
        /// PromQL for the number of failed requests to a cluster within the window.
        errors "errors": optional Query,
        /// PromQL for a quantile of a cluster's latency within the window, in seconds.
        latency "latency": optional Query,
    }

    /// A header of a request. Values from environment variables and files are never written to the journal or to logs.
    Header as "a header" {
        /// The name of the header.
        name "name": required HeaderName,
        /// The value, if it is not a secret.
        value "value": optional Line,
        /// The environment variable that contains the value.
        from_env "fromEnv": optional Line,
        /// The file that contains the value. The file is read again for each request.
        from_file "fromFile": optional Line,
    }; exactly CUT032 ["value", "fromEnv", "fromFile"]

    /// An HTTP probe with an expected response.
    Http as "`http`" {
        /// The URL for a GET request. The placeholder `{{cluster}}` is the new cluster.
        url "url": required Url,
        /// Headers of the request, such as `Host`, or a header that a test rule of the load balancer matches.
        headers "headers": optional Vec<Placed<Header>> = [],
        /// The expected status.
        status "status": optional Status = 200,
        /// A text that the body must contain.
        body "body": optional Line,
        /// Maximum time until the response is complete.
        timeout "timeout": optional Period = "5s",
    }

    /// A command. Exit code 0 means success. Standard output may be a JSON object with `message`, and with `value`, or
    /// with `old` and `new`: objects with `requests` and `errors`, or with `latency`.
    Exec as "`exec`" {
        /// Program and arguments. No shell is involved unless you call one.
        command "command": required Vec<Placed<Query>>,
        /// The command is killed after this time.
        timeout "timeout": optional Period = "30s",
    }

    /// CloudWatch metrics of the plan's target groups. With `namespace`, `metricName` and `statistic`: a metric of your
    /// own, with `successCondition`.
    CloudWatch as "`cloudWatch`" {
        /// The namespace of your metric, such as `MyApp`.
        namespace "namespace": optional Line,
        /// The name of your metric, such as `CheckoutFailures`.
        metric_name "metricName": optional Line,
        /// All dimensions of your metric.
        dimensions "dimensions": optional Vec<Placed<Dimension>> = [],
        /// The statistic of your metric, or of the latency: `Average`, `Sum`, `p99` and so on.
        statistic "statistic": optional Line = "p99",
    }

    /// A dimension of a CloudWatch metric.
    Dimension as "a dimension" {
        /// The name of the dimension.
        name "name": required Line,
        /// The value of the dimension.
        value "value": required Line,
    }

    /// The workload in the new cluster: the rollout of every Deployment and StatefulSet behind its Service is complete,
    /// and every pod is ready.
    Kubernetes as "`kubernetes`" {
        /// Maximum number of container restarts within the window. By default, restarts do not count.
        max_restarts "maxRestarts": optional Failures,
    }

    /// Compares error rates with a test that stays valid although it is evaluated after every measurement.
    ErrorRate as "`errorRate`" {
        /// The new error rate may be this many times the old one.
        ratio "ratio": optional Times = 1.5,
        /// The probability of a false alarm while the shares do not change.
        alpha "alpha": optional Chance = 0.01,
        /// Before a share is raised, the upper bound of the difference between the error rates must not exceed this
        /// value, in percentage points.
        max_difference "maxDifference": optional Ratio = 1,
        /// Minimum time over which the clusters are compared before a share is raised.
        min_bake "minBake": optional Period = "5m",
    }

    /// Compares latencies with a rank test over at least ten windows.
    Latency as "`latency`" {
        /// The new latency may be this many times the old one.
        ratio "ratio": optional Times = 1.2,
        /// The probability of a false alarm while the shares do not change.
        alpha "alpha": optional Chance = 0.01,
    }

    /// Compares the new cluster's share of the requests with the share as written.
    Share as "`share`" {
        /// How far the share may differ, in percentage points.
        tolerance "tolerance": optional Ratio = 2,
    }

    /// A threshold for a single value.
    Condition as "`successCondition`" {
        /// Maximum value.
        at_most "atMost": optional Amount,
        /// Minimum value.
        at_least "atLeast": optional Amount,
    }
}
