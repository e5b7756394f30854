//! Reads CloudWatch for metric gates: metrics of the plan's target groups, metrics by name, and alarms. One call
//! contains many queries.
//!
//! The service accepts JSON (`awsJson1_0`). The two operations need only a signed request and no SDK client.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sigv4::http_request::{self, SignableBody, SignableRequest, SigningSettings};
use aws_sigv4::sign::v4;
use aws_smithy_async::time::{SharedTimeSource, SystemTimeSource};
use aws_types::SdkConfig;
use http::HeaderMap;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::adapter::aws::{credentials, endpoint};
use crate::adapter::metric::web::{HttpClient, HttpRequest};
use crate::adapter::metric::{clipped, unreadable};
use crate::base::arn;
use crate::domain::health::HostCounts;
use crate::domain::metric::gate::{MeasuredValue, MeasurementRequest, QueriedCluster};
use crate::domain::metric::verdict::RequestCount;
use crate::plan::model::BalancerKind;
use crate::plan::model::metric::{CloudWatch as Wanted, GateCondition, MetricSource};

const JSON_MEDIA_TYPE: &str = "application/x-amz-json-1.0";
const TARGET_PREFIX: &str = "GraniteServiceVersion20100801";
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// The maximum number of queries per call.
const MAX_QUERIES: usize = 500;
const MAX_ALARMS: usize = 100;

/// The period of a count of targets, in seconds.
const COUNT_PERIOD: u64 = 60;

/// The number of open connections of a Network Load Balancer.
const OPEN_FLOWS: &str = "ActiveFlowCount";

/// The maximum delay of data, in seconds.
const MAX_DATA_DELAY_SECONDS: i64 = 180;

/// A client for CloudWatch.
pub struct CloudWatch {
    credentials: Option<SharedCredentialsProvider>,
    time: SharedTimeSource,
    region: String,
    /// The endpoint without a trailing slash, or the reason why there is no endpoint.
    endpoint: Result<String, String>,
}

/// A query of GetMetricData, with the index of the measurement and the meaning of its values.
struct Query {
    measurement: usize,
    part: QueryMeaning,
    stat: Value,
}

/// The meaning of the values that a query returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum QueryMeaning {
    Requests { new: bool },
    Errors { new: bool },
    Latency { new: bool },
    Own,
}

impl CloudWatch {
    /// Creates a client with the configuration's credentials, region and endpoint.
    pub fn new(config: &SdkConfig) -> Self {
        let region = config.region().map_or_else(|| "us-east-1".to_owned(), ToString::to_string);
        Self {
            credentials: config.credentials_provider(),
            time: config.time_source().unwrap_or_else(|| SharedTimeSource::new(SystemTimeSource::new())),
            endpoint: config.endpoint_url().map_or_else(
                || endpoint::host(config, "monitoring").map(|host| format!("https://{host}")),
                |url| Ok(url.trim_end_matches('/').to_owned()),
            ),
            region,
        }
    }

    /// Runs the queries of these measurements. Returns one value for each measurement, in the same order.
    pub async fn measure(&self, web: &HttpClient, measurements: &[&MeasurementRequest]) -> Vec<MeasuredValue> {
        let mut seen: Vec<MeasuredValue> = measurements.iter().map(|_| unreadable("no response")).collect();
        let mut spans: BTreeMap<(Timestamp, Timestamp), Vec<Query>> = BTreeMap::new();
        for (index, measurement) in measurements.iter().enumerate() {
            if let MetricSource::CloudWatch(wanted) = &measurement.gate.source {
                let from = if wanted.metric.is_some() { with_delay(measurement.from) } else { measurement.from };
                spans.entry((from, measurement.to)).or_default().extend(queries(index, measurement, wanted));
            }
        }
        for ((from, to), queries) in spans {
            let found = self.data(web, from, to, &queries).await;
            for index in queries.iter().map(|q| q.measurement).collect::<BTreeSet<_>>() {
                seen[index] = match &found {
                    Ok(found) => value_of(measurements[index], index, &queries, found),
                    Err(why) => unreadable(why),
                };
            }
        }
        self.alarms(web, measurements, &mut seen).await;
        seen
    }

    /// Reads the latest counts of healthy and unhealthy targets of these groups, each with its load balancer (ARNs).
    /// Omits groups without data. Costs two metrics a group.
    pub async fn host_counts(
        &self,
        web: &HttpClient,
        groups: &[(String, String)],
        now: Timestamp,
    ) -> Result<BTreeMap<String, HostCounts>, String> {
        let query = |(index, pair): (usize, &(String, String))| {
            let of = |name, statistic| Query {
                measurement: index,
                part: QueryMeaning::Own,
                stat: group_stat(pair, name, COUNT_PERIOD, statistic),
            };
            [of("HealthyHostCount", "Minimum"), of("UnHealthyHostCount", "Maximum")]
        };
        let queries: Vec<Query> = groups.iter().enumerate().flat_map(query).collect();
        let found = self.data(web, with_delay(now), now, &queries).await?;
        let counts = groups.iter().zip(found.chunks(2)).filter_map(|((arn, _), values)| {
            let latest = |index: usize| values.get(index)?.first().map(|value| to_count(*value));
            let count = |value: Option<u64>| u32::try_from(value.unwrap_or(0)).unwrap_or(u32::MAX);
            let (healthy, unhealthy) = (latest(0), latest(1));
            let counts = HostCounts { healthy: count(healthy), unhealthy: count(unhealthy) };
            (healthy.is_some() || unhealthy.is_some()).then(|| (arn.clone(), counts))
        });
        Ok(counts.collect())
    }

    /// Reads the latest counts of open connections of these groups, each with its Network Load Balancer (ARNs). Returns
    /// the count of a load balancer where its groups have none: by its documentation, AWS counts only there
    /// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-cloudwatch-metrics.html>).
    pub async fn open_connections(
        &self,
        web: &HttpClient,
        groups: &[(String, String)],
        now: Timestamp,
    ) -> Result<BTreeMap<String, u64>, String> {
        let balancers: BTreeSet<&String> = groups.iter().map(|(_, balancer)| balancer).collect();
        let of_groups = groups.iter().map(|pair| group_stat(pair, OPEN_FLOWS, COUNT_PERIOD, "Maximum"));
        let of_balancers = balancers.iter().map(|arn| balancer_stat(arn, OPEN_FLOWS, COUNT_PERIOD, "Maximum"));
        let query = |stat| Query { measurement: 0, part: QueryMeaning::Own, stat };
        let queries: Vec<Query> = of_groups.chain(of_balancers).map(query).collect();
        let found = self.data(web, with_delay(now), now, &queries).await?;
        let latest = |values: &Vec<f64>| values.first().map(|value| to_count(*value));
        let (of_groups, of_balancers) = found.split_at(groups.len());
        let mut counts = BTreeMap::new();
        let mut counted = BTreeSet::new();
        for ((group, balancer), values) in groups.iter().zip(of_groups) {
            if let Some(count) = latest(values) {
                counts.insert(group.clone(), count);
                counted.insert(balancer);
            }
        }
        let others = balancers.into_iter().zip(of_balancers).filter(|(arn, _)| !counted.contains(arn));
        counts.extend(others.filter_map(|(arn, values)| Some((arn.clone(), latest(values)?))));
        Ok(counts)
    }

    /// Reads the values of each query, latest first.
    async fn data(
        &self,
        web: &HttpClient,
        from: Timestamp,
        to: Timestamp,
        queries: &[Query],
    ) -> Result<Vec<Vec<f64>>, String> {
        let mut found = vec![Vec::new(); queries.len()];
        for (chunk, offset) in queries.chunks(MAX_QUERIES).zip((0..).step_by(MAX_QUERIES)) {
            let wanted: Vec<_> = (offset..)
                .zip(chunk)
                .map(|(n, q): (usize, _)| json!({"Id": format!("q{n}"), "MetricStat": q.stat, "ReturnData": true}))
                .collect();
            let mut input = json!({
                "MetricDataQueries": wanted, "StartTime": from.as_second(), "EndTime": to.as_second(), "ScanBy": "TimestampDescending",
            });
            loop {
                let answer = self.call(web, "GetMetricData", &input).await?;
                for result in answer["MetricDataResults"].as_array().into_iter().flatten() {
                    let status = result["StatusCode"].as_str().unwrap_or("Complete");
                    if !matches!(status, "Complete" | "PartialData") {
                        return Err(format!("CloudWatch returned the status {status} for a metric"));
                    }
                    let index =
                        result["Id"].as_str().and_then(|id| id.strip_prefix('q')).and_then(|n| n.parse::<usize>().ok());
                    if let Some(values) = index.and_then(|n| found.get_mut(n)) {
                        values.extend(result["Values"].as_array().into_iter().flatten().filter_map(Value::as_f64));
                    }
                }
                match answer["NextToken"].as_str() {
                    Some(token) => input["NextToken"] = token.into(),
                    None => break,
                }
            }
        }
        Ok(found)
    }

    async fn alarms(&self, web: &HttpClient, measurements: &[&MeasurementRequest], seen: &mut [MeasuredValue]) {
        let names = |q: &MeasurementRequest| {
            if let MetricSource::CloudWatchAlarms(names) = &q.gate.source { names.clone() } else { Vec::new() }
        };
        let all: Vec<String> =
            measurements.iter().flat_map(|q| names(q)).collect::<BTreeSet<_>>().into_iter().collect();
        let mut states = BTreeMap::new();
        let mut failed = None;
        for chunk in all.chunks(MAX_ALARMS) {
            let input =
                json!({"AlarmNames": chunk, "AlarmTypes": ["MetricAlarm", "CompositeAlarm"], "MaxRecords": MAX_ALARMS});
            match self.call(web, "DescribeAlarms", &input).await {
                Err(why) => failed = Some(why),
                Ok(answer) => {
                    let found = ["MetricAlarms", "CompositeAlarms"]
                        .into_iter()
                        .filter_map(|key| answer[key].as_array())
                        .flatten();
                    let state = |alarm: &Value| {
                        Some((alarm["AlarmName"].as_str()?.to_owned(), alarm["StateValue"].as_str()?.to_owned()))
                    };
                    states.extend(found.filter_map(state));
                }
            }
        }
        for (measurement, seen) in measurements.iter().zip(seen) {
            if matches!(measurement.gate.source, MetricSource::CloudWatchAlarms(_)) {
                *seen = failed.as_ref().map_or_else(|| worst_state(&names(measurement), &states), unreadable);
            }
        }
    }

    async fn call(&self, web: &HttpClient, operation: &str, input: &Value) -> Result<Value, String> {
        let credentials = match &self.credentials {
            None => return Err("no AWS credentials are configured".into()),
            Some(provider) => provider
                .provide_credentials()
                .await
                .map_err(|why| format!("AWS credentials: {}", credentials::explain(&why)))?,
        };
        let endpoint = self.endpoint.as_ref().map_err(|why| format!("CloudWatch has no endpoint: {why}"))?;
        let (url, body) = (format!("{endpoint}/"), input.to_string());
        let more_headers = self.sign(&url, operation, &body, &credentials)?;
        let (status, answer) = web
            .send(HttpRequest {
                counted_as: Some(("CloudWatch", operation)),
                url: &url,
                post: Some((JSON_MEDIA_TYPE, body)),
                headers: &[],
                more_headers,
                timeout: REQUEST_TIMEOUT,
            })
            .await?;
        let answer: Value = serde_json::from_slice(&answer)
            .map_err(|_| format!("the response of CloudWatch ({status}) is not JSON"))?;
        if status.is_success() {
            return Ok(answer);
        }
        let code = answer["__type"].as_str().map_or("", |c| c.rsplit('#').next().unwrap_or(c));
        Err(clipped(&format!(
            "{operation}: {code} {}",
            answer["message"].as_str().or(answer["Message"].as_str()).unwrap_or_default()
        )))
    }

    fn sign(&self, url: &str, operation: &str, body: &str, credentials: &Credentials) -> Result<HeaderMap, String> {
        let wrong = |what: &dyn std::fmt::Display| format!("a request to CloudWatch cannot be signed: {what}");
        let target = format!("{TARGET_PREFIX}.{operation}");
        let identity = credentials.clone().into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("monitoring")
            .time(self.time.now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|e| wrong(&e))?
            .into();
        let headers = [("content-type", JSON_MEDIA_TYPE), ("x-amz-target", target.as_str())];
        let signable = SignableRequest::new("POST", url, headers.into_iter(), SignableBody::Bytes(body.as_bytes()))
            .map_err(|e| wrong(&e))?;
        let signature = http_request::sign(signable, &params).map_err(|e| wrong(&e))?.into_parts().0;
        let mut request = http::Request::post(url).header("x-amz-target", target).body(()).map_err(|e| wrong(&e))?;
        signature.apply_to_request_http1x(&mut request);
        Ok(std::mem::take(request.headers_mut()))
    }
}

/// Returns the start of the time window for a metric by name. The start is moved back, because the latest value arrives
/// late.
fn with_delay(from: Timestamp) -> Timestamp {
    Timestamp::from_second(from.as_second() - MAX_DATA_DELAY_SECONDS).unwrap_or(from)
}

fn queries(index: usize, measurement: &MeasurementRequest, wanted: &Wanted) -> Vec<Query> {
    if let Some(metric) = &wanted.metric {
        let dimensions: Vec<_> =
            metric.dimensions.iter().map(|(name, value)| json!({"Name": name, "Value": value})).collect();
        let period = round_up_to_minutes(measurement.gate.window);
        let metric_name = json!({"Namespace": metric.namespace, "MetricName": metric.name, "Dimensions": dimensions});
        let stat = json!({"Metric": metric_name, "Period": period, "Stat": metric.statistic});
        return vec![Query { measurement: index, part: QueryMeaning::Own, stat }];
    }
    let mut all = Vec::new();
    for (side, new) in [(&measurement.old, false), (&measurement.new, true)] {
        let mut add = |part, name: &str, statistic: &str| {
            all.extend(group_queries(
                index,
                side,
                part,
                name,
                round_up_to_minutes(measurement.gate.interval),
                statistic,
            ));
        };
        // A group has either the metrics of an Application or those of a Network Load Balancer.
        match measurement.gate.condition {
            GateCondition::Latency(_) => add(QueryMeaning::Latency { new }, "TargetResponseTime", &wanted.latency),
            GateCondition::Share { .. } => {
                add(QueryMeaning::Requests { new }, "RequestCount", "Sum");
                add(QueryMeaning::Requests { new }, "NewFlowCount", "Sum");
            }
            _ => {
                add(QueryMeaning::Requests { new }, "RequestCount", "Sum");
                add(QueryMeaning::Requests { new }, "NewFlowCount", "Sum");
                add(QueryMeaning::Errors { new }, "HTTPCode_Target_5XX_Count", "Sum");
                add(QueryMeaning::Errors { new }, "TargetConnectionErrorCount", "Sum");
                add(QueryMeaning::Errors { new }, "TCP_Target_Reset_Count", "Sum");
            }
        }
    }
    all
}

fn group_queries(
    measurement: usize,
    side: &QueriedCluster,
    part: QueryMeaning,
    name: &str,
    period: u64,
    statistic: &str,
) -> Vec<Query> {
    let network_only = NETWORK_METRICS.contains(&name);
    let groups = side.groups.iter().filter(|(_, balancer)| is_network(balancer) == network_only);
    groups.map(|pair| Query { measurement, part, stat: group_stat(pair, name, period, statistic) }).collect()
}

/// The metrics that only groups of Network Load Balancers have, of those that gates compare:
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-cloudwatch-metrics.html>. A Network Load
/// Balancer counts connections, and the resets that targets send.
const NETWORK_METRICS: [&str; 2] = ["NewFlowCount", "TCP_Target_Reset_Count"];

/// Whether the ARN of a load balancer is that of a Network Load Balancer.
fn is_network(balancer: &str) -> bool {
    BalancerKind::of_arn(balancer) == BalancerKind::Nlb
}

/// Returns the statistic of a metric of a target group and its load balancer (ARNs).
fn group_stat((group, balancer): &(String, String), name: &str, period: u64, statistic: &str) -> Value {
    let mut stat = balancer_stat(balancer, name, period, statistic);
    let group = json!({"Name": "TargetGroup", "Value": arn::resource(group)});
    stat["Metric"]["Dimensions"].as_array_mut().into_iter().for_each(|all| all.push(group.clone()));
    stat
}

/// Returns the statistic of a metric of a load balancer (ARN).
fn balancer_stat(balancer: &str, name: &str, period: u64, statistic: &str) -> Value {
    let dimensions =
        json!([{"Name": "LoadBalancer", "Value": arn::resource(balancer).trim_start_matches("loadbalancer/")}]);
    let namespace = if is_network(balancer) { "AWS/NetworkELB" } else { "AWS/ApplicationELB" };
    let metric = json!({"Namespace": namespace, "MetricName": name, "Dimensions": dimensions});
    json!({"Metric": metric, "Period": period, "Stat": statistic})
}

fn round_up_to_minutes(duration: Duration) -> u64 {
    duration.as_secs().div_ceil(60).max(1) * 60
}

/// Computes the value for a measurement from the results of its queries. Missing errors count as zero only if there are
/// requests.
fn value_of(measurement: &MeasurementRequest, index: usize, queries: &[Query], found: &[Vec<f64>]) -> MeasuredValue {
    let values = |part: QueryMeaning| -> Vec<f64> {
        let own = queries.iter().zip(found).filter(|(q, _)| q.measurement == index && q.part == part);
        own.flat_map(|(_, values)| values.iter().copied()).collect()
    };
    let nothing = |of: &str| MeasuredValue::Nothing {
        message: format!("CloudWatch has no data for {of} in the measured window"),
    };
    let count = |new: bool| {
        let requests = values(QueryMeaning::Requests { new });
        if requests.is_empty() {
            return None;
        }
        let requests = to_count(requests.iter().sum());
        Some(RequestCount {
            requests,
            errors: to_count(values(QueryMeaning::Errors { new }).iter().sum()).min(requests),
        })
    };
    match measurement.gate.condition {
        GateCondition::Condition { .. } | GateCondition::State => values(QueryMeaning::Own)
            .first()
            .map_or_else(|| nothing("the metric"), |value| MeasuredValue::Value { value: *value }),
        GateCondition::Latency(_) => {
            let side = |new| values(QueryMeaning::Latency { new }).into_iter().reduce(f64::max);
            match (side(false), side(true)) {
                (Some(old), Some(new)) => MeasuredValue::Latencies { old, new },
                (None, _) => nothing(&measurement.old.cluster),
                _ => nothing(&measurement.new.cluster),
            }
        }
        GateCondition::ErrorRate(_) | GateCondition::Share { .. } => match (count(false), count(true)) {
            (_, None) => nothing(&measurement.new.cluster),
            (old, Some(new)) => MeasuredValue::Counts { old: old.unwrap_or_default(), new },
        },
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // clamped
fn to_count(value: f64) -> u64 {
    value.round().clamp(0.0, 1e15) as u64
}

/// Returns the worst state of these alarms.
fn worst_state(names: &[String], states: &BTreeMap<String, String>) -> MeasuredValue {
    let of = |state: Option<&str>| -> Vec<&str> {
        names.iter().filter(|name| states.get(*name).map(String::as_str) == state).map(String::as_str).collect()
    };
    let (in_alarm, missing, blind) = (of(Some("ALARM")), of(None), of(Some("INSUFFICIENT_DATA")));
    if !in_alarm.is_empty() {
        return MeasuredValue::State {
            well: false,
            message: format!("alarms in state ALARM: {}", in_alarm.join(", ")),
        };
    }
    if !missing.is_empty() {
        return unreadable(format!("CloudWatch has no alarm {}", missing.join(", ")));
    }
    if !blind.is_empty() {
        return MeasuredValue::Nothing { message: format!("INSUFFICIENT_DATA: {}", blind.join(", ")) };
    }
    MeasuredValue::State { well: true, message: format!("OK: {}", names.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_alarm_in_alarm_state_fails_and_a_missing_alarm_is_unreadable() {
        let states: BTreeMap<_, _> = [("fine", "OK"), ("rings", "ALARM"), ("blind", "INSUFFICIENT_DATA")]
            .map(|(n, s)| (n.to_owned(), s.to_owned()))
            .into();
        let state_of =
            |names: &[&str]| worst_state(&names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>(), &states);
        assert!(matches!(state_of(&["fine"]), MeasuredValue::State { well: true, .. }));
        assert!(
            matches!(state_of(&["fine", "blind", "rings"]), MeasuredValue::State { well: false, message } if message.ends_with("ALARM: rings"))
        );
        assert!(matches!(state_of(&["fine", "blind"]), MeasuredValue::Nothing { .. }));
        assert!(
            matches!(state_of(&["fine", "gone"]), MeasuredValue::Unreadable { message } if message.contains("gone"))
        );
    }
}
