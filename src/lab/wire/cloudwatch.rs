//! The CloudWatch API: metrics of target groups, and the alarms that the plan names. JSON protocol, which boto3 uses
//! too.

use http::{Request, Response};
use hyper::body::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::lab::model::{GroupCounters, World};

/// The prefix of the header `X-Amz-Target`, before the name of the operation.
const TARGET_PREFIX: &str = "GraniteServiceVersion20100801.";

/// Delay after which the data of a minute is available.
const DATA_DELAY: SignedDuration = SignedDuration::from_secs(60);

/// Maximum number of queries in one call.
const MAX_QUERIES: usize = 500;

/// Returns the name of the operation; `None` if the call is for another service.
pub(crate) fn operation(request: &Request<Bytes>) -> Option<String> {
    let target = request.headers().get("x-amz-target")?.to_str().ok()?;
    target.strip_prefix(TARGET_PREFIX).map(str::to_owned)
}

/// Handles a call. Returns the response, and the outcome for the call log.
pub(crate) fn answer(
    world: &mut World,
    operation: &str,
    request: &Request<Bytes>,
    id: &str,
) -> (Response<Bytes>, String) {
    let Ok(input) = serde_json::from_slice::<Value>(request.body()) else {
        return (
            failure(400, "SerializationException", "the body is not valid JSON", id),
            "SerializationException".into(),
        );
    };
    let answered = match operation {
        "GetMetricData" => {
            world.sample_hosts();
            metric_data(world, &input)
        }
        "DescribeAlarms" => Ok(alarms(world, &input)),
        _ => Err(("UnknownOperationException", "the lab does not support this operation".to_owned())),
    };
    match answered {
        Ok(value) => (json_response(200, &value, id), "ok".into()),
        Err((code, message)) => (failure(400, code, &message, id), code.into()),
    }
}

/// Builds the response to a failed call.
pub(crate) fn failure(status: u16, code: &str, message: &str, id: &str) -> Response<Bytes> {
    json_response(
        status,
        &json!({"__type": format!("com.amazonaws.cloudwatch.v2010_08_01#{code}"), "message": message}),
        id,
    )
}

fn json_response(status: u16, value: &Value, id: &str) -> Response<Bytes> {
    super::text(status, "application/x-amz-json-1.0", value.to_string(), id)
}

fn metric_data(world: &World, input: &Value) -> Result<Value, (&'static str, String)> {
    let validation_error = |message: &str| ("ValidationError", message.to_owned());
    let queries =
        input["MetricDataQueries"].as_array().ok_or_else(|| validation_error("MetricDataQueries is required"))?;
    if queries.len() > MAX_QUERIES {
        return Err(validation_error("MetricDataQueries has more than 500 members"));
    }
    let (from, to) = (time(&input["StartTime"]), time(&input["EndTime"]));
    let (Some(from), Some(to)) = (from, to) else { return Err(validation_error("StartTime and EndTime are required")) };
    if from >= to {
        return Err(validation_error("The parameter StartTime must be less than the parameter EndTime"));
    }
    let descending = input["ScanBy"] != "TimestampAscending";
    let results: Result<Vec<_>, _> = queries.iter().map(|query| result(world, query, from, to, descending)).collect();
    Ok(json!({"MetricDataResults": results?, "Messages": []}))
}

fn result(world: &World, query: &Value, from: i64, to: i64, descending: bool) -> Result<Value, (&'static str, String)> {
    let validation_error = |message: &str| ("ValidationError", message.to_owned());
    let id = query["Id"].as_str().ok_or_else(|| validation_error("Id is required"))?;
    let stat = &query["MetricStat"];
    let period = stat["Period"]
        .as_i64()
        .filter(|p| *p >= 60 && p % 60 == 0)
        .ok_or_else(|| validation_error("Period must be a multiple of 60"))?;
    let group = group(world, &stat["Metric"]);
    let balancer = balancer(&stat["Metric"]);
    let complete = world.time().checked_sub(DATA_DELAY).unwrap_or(Timestamp::MIN);
    let (mut times, mut values) = (Vec::new(), Vec::new());
    let mut start = from - from.rem_euclid(60);
    while start < to {
        let end = start + period;
        let of_lab = |second| Timestamp::from_second(second).ok().map(|at| world.lab_time(at));
        if let (Some(from), Some(to)) = (of_lab(start), of_lab(end).map(|to| to.min(complete)))
            && let Some(value) = match (&group, balancer) {
                (Some(group), _) => value_of(world, stat, group, from, to),
                (None, Some(balancer)) => open_connections(world, balancer, from, to),
                (None, None) => None,
            }
        {
            times.push(start);
            values.push(value);
        }
        start = end;
    }
    if descending {
        times.reverse();
        values.reverse();
    }
    let label = stat["Metric"]["MetricName"].as_str().unwrap_or(id);
    Ok(json!({"Id": id, "Label": label, "Timestamps": times, "Values": values, "StatusCode": "Complete"}))
}

/// Returns the value of a statistic of a group between two times; `None` without data.
fn value_of(world: &World, stat: &Value, group: &str, from: Timestamp, to: Timestamp) -> Option<f64> {
    let counts = || world.host_counts(group, from, to);
    match stat["Metric"]["MetricName"].as_str()? {
        "HealthyHostCount" => counts().map(|counts| f64::from(counts.healthy)),
        "UnHealthyHostCount" => counts().map(|counts| f64::from(counts.unhealthy)),
        _ => value(&stat["Metric"], stat["Stat"].as_str().unwrap_or_default(), &world.group_counters(group, from, to)),
    }
}

/// Returns the load balancer of the number of open connections, as the end of its ARN. AWS has this metric only for
/// whole load balancers.
fn balancer(metric: &Value) -> Option<&str> {
    let [dimension] = metric["Dimensions"].as_array()?.as_slice() else { return None };
    let open = metric["Namespace"] == "AWS/NetworkELB" && metric["MetricName"] == "ActiveFlowCount";
    (open && dimension["Name"] == "LoadBalancer").then(|| dimension["Value"].as_str()).flatten()
}

#[allow(clippy::cast_precision_loss)]
fn open_connections(world: &World, balancer: &str, from: Timestamp, to: Timestamp) -> Option<f64> {
    (from < to).then(|| world.open_connections(balancer, from, to))?.map(|count| count as f64)
}

/// Returns the target group of a metric, as the end of the group's ARN.
fn group(world: &World, metric: &Value) -> Option<String> {
    let dimensions = metric["Dimensions"].as_array()?;
    let named = dimensions.iter().find(|d| d["Name"] == "TargetGroup")?["Value"].as_str()?;
    let namespace = if world.is_network_group(named) { "AWS/NetworkELB" } else { "AWS/ApplicationELB" };
    (metric["Namespace"] == namespace).then(|| named.to_owned())
}

/// Returns the value of a metric in a period; `None` if there was no traffic or no error.
#[allow(clippy::cast_precision_loss)]
fn value(metric: &Value, statistic: &str, counted: &GroupCounters) -> Option<f64> {
    let some = |count: u64| (count > 0).then_some(count as f64);
    match metric["MetricName"].as_str()? {
        _ if metric["Namespace"] == "AWS/NetworkELB" => network_value(metric["MetricName"].as_str()?, counted),
        "RequestCount" => some(counted.requests),
        "HTTPCode_Target_5XX_Count" => some(counted.errors),
        "HTTPCode_Target_2XX_Count" => some(counted.requests - counted.errors - counted.unanswered),
        "TargetConnectionErrorCount" => some(counted.unanswered),
        "TargetResponseTime" => match statistic.strip_prefix('p').and_then(|p| p.parse::<f64>().ok()) {
            Some(percent) => counted.quantile(percent / 100.0),
            None => some(counted.answered()).map(|all| counted.sum() / all),
        },
        _ => None,
    }
}

/// Returns the value of a metric of a Network Load Balancer. The targets of the lab reset the connections that they do
/// not answer.
#[allow(clippy::cast_precision_loss)]
fn network_value(metric: &str, counted: &GroupCounters) -> Option<f64> {
    let some = |count: u64| (count > 0).then_some(count as f64);
    match metric {
        "NewFlowCount" => some(counted.connections),
        "TCP_Target_Reset_Count" => some(counted.unanswered),
        _ => None,
    }
}

/// Parses a time, in seconds since the epoch, from a number or a string.
#[allow(clippy::cast_possible_truncation)]
fn time(value: &Value) -> Option<i64> {
    value.as_f64().map(|t| t as i64).or_else(|| value.as_str()?.parse::<Timestamp>().ok().map(Timestamp::as_second))
}

fn alarms(world: &World, input: &Value) -> Value {
    let requested_names: Option<Vec<&str>> =
        input["AlarmNames"].as_array().map(|names| names.iter().filter_map(Value::as_str).collect());
    let alarms: Vec<_> = world
        .alarms()
        .into_iter()
        .filter(|(name, _)| {
            requested_names.as_ref().is_none_or(|requested_names| requested_names.contains(&name.as_str()))
        })
        .map(|(name, state)| {
            json!({
                "AlarmName": name,
                "AlarmArn": format!("arn:aws:cloudwatch:{}:{}:alarm:{name}", world.region, world.account),
                "StateValue": state,
                "StateReason": "simulated by the lab", "ActionsEnabled": true,
                "StateUpdatedTimestamp": world.time().as_second(),
            })
        })
        .collect();
    json!({"MetricAlarms": alarms, "CompositeAlarms": []})
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::domain::fixture;
    use crate::lab::model::TargetResponse;
    use crate::lab::scenario::Scenario;

    /// Regression test: with `cutover lab --speed`, a program asked for the last minutes of its own clock, and got
    /// requests of the lab's first minutes.
    #[test]
    fn a_program_gets_the_requests_of_its_own_last_minutes() {
        let start: Timestamp = "2026-01-05T08:00:00Z".parse().unwrap();
        let later = |seconds| start + SignedDuration::from_secs(seconds);
        let mut world = World::new(&fixture::plan(), &Scenario::default(), 1, start).unwrap();
        world.set_client_speed(start, 10.0);
        let arn = Arc::clone(&world.groups[0].arn);
        for second in [30, 90, 3600] {
            world.record_response(&arn, TargetResponse::Answered(200, Duration::ZERO), later(second));
        }
        world.advance(later(4200));
        let group = arn.split_once(":targetgroup/").map(|(_, name)| format!("targetgroup/{name}"));
        let count = |from: i64, to: i64| {
            let metric = json!({
                "Namespace": "AWS/ApplicationELB",
                "MetricName": "RequestCount",
                "Dimensions": [{"Name": "TargetGroup", "Value": group}],
            });
            let query = json!({"Id": "q", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}});
            let input = json!({
                "MetricDataQueries": [query],
                "StartTime": later(from).as_second(),
                "EndTime": later(to).as_second(),
            });
            metric_data(&world, &input).map(|data| data["MetricDataResults"][0]["Values"].clone()).unwrap()
        };
        assert_eq!(count(0, 60), json!([2.0]), "ten minutes of the lab");
        assert_eq!(count(60, 300), json!([]));
        assert_eq!(count(360, 420), json!([1.0]), "the last minute of the program");
    }
}
