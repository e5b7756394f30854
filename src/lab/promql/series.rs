//! Finds the series of the lab by the name of a metric. A plan uses the metric names of its own Prometheus, so every
//! name of a counter of requests or of a histogram leads to the lab's numbers.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use promql_parser::label::Matchers;

use crate::lab::model::{GroupCounters, RESPONSE_TIME_BUCKETS, World};

/// Labels, except the name of the metric.
pub(super) type Labels = BTreeMap<String, String>;

/// The memory of each container, and its limit. A container uses half of the limit.
const MEMORY: [(&str, f64); 2] = [
    ("container_memory_working_set_bytes", 256.0 * 1024.0 * 1024.0),
    ("container_spec_memory_limit_bytes", 512.0 * 1024.0 * 1024.0),
];

/// A series with its value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Series {
    pub labels: Labels,
    pub value: f64,
}

/// Returns the values of the matching series. Counters count what happened from `from` (included) to `to` (excluded).
///
/// # Errors
/// Returns which metrics the lab has, if it does not have this metric.
pub(super) fn find(
    world: &World,
    name: &str,
    matchers: &Matchers,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<Series>, String> {
    if !is_known(name) {
        return Err(format!(
            "the lab has a subset of the metrics, without {name}: counters of requests (…_total), histograms of \
             response times (…_bucket, …_sum, …_count), {} and {}",
            MEMORY[0].0, MEMORY[1].0
        ));
    }
    let mut all = Vec::new();
    for (cluster, group, arn) in world.counted_groups() {
        let labels = Labels::from([("cluster".to_owned(), cluster), ("target_group".to_owned(), group)]);
        let counters = world.group_counters(&arn, from, to);
        all.extend(of_group(name, &counters).into_iter().map(|(label, value)| {
            let labels = labels.clone().into_iter().chain(label).collect();
            Series { labels, value }
        }));
    }
    all.retain(|series| is_match(matchers, &series.labels));
    Ok(all)
}

fn is_known(name: &str) -> bool {
    ["_total", "_bucket", "_sum", "_count"].iter().any(|end| name.ends_with(end))
        || MEMORY.iter().any(|(memory, _)| *memory == name)
}

/// Returns the start of all counters.
pub(super) fn start(to: Timestamp) -> Timestamp {
    to.checked_sub(SignedDuration::from_hours(24)).unwrap_or(to)
}

/// Returns the series of a group, each with the label that distinguishes it from the other series.
#[allow(clippy::cast_precision_loss)] // numbers of requests
fn of_group(name: &str, counters: &GroupCounters) -> Vec<(Option<(String, String)>, f64)> {
    let label = |name: &str, value: &str| Some((name.to_owned(), value.to_owned()));
    if let Some((_, bytes)) = MEMORY.iter().find(|(memory, _)| *memory == name) {
        return vec![(None, *bytes)];
    }
    if name.ends_with("_bucket") {
        let bucket = |bound: u32| {
            let seconds = f64::from(bound) / 1000.0;
            (label("le", &seconds.to_string()), counters.within(bound) as f64)
        };
        let all = (label("le", "+Inf"), counters.answered() as f64);
        return RESPONSE_TIME_BUCKETS.into_iter().map(bucket).chain([all]).collect();
    }
    if name.ends_with("_sum") {
        return vec![(None, counters.sum())];
    }
    if name.ends_with("_count") {
        return vec![(None, counters.answered() as f64)];
    }
    let failed = counters.errors + counters.unanswered;
    // The counters that Prometheus scrapes from the lab have the class of a status, not the status.
    let codes = if name.starts_with("lab_") { ["2xx", "5xx"] } else { ["200", "500"] };
    [(codes[0], counters.requests - failed), (codes[1], failed)]
        .map(|(code, count)| (label("code", code), count as f64))
        .into()
}

/// Whether the labels match. A label that the lab does not have, such as a namespace, matches everything.
/// Prometheus servers differ in the names of the labels for the cluster and the status.
fn is_match(matchers: &Matchers, labels: &Labels) -> bool {
    let all = |matchers: &[promql_parser::label::Matcher]| {
        matchers.iter().all(|matcher| labels.get(label(&matcher.name)).is_none_or(|value| matcher.is_match(value)))
    };
    let either = matchers.or_matchers.is_empty() || matchers.or_matchers.iter().any(|matchers| all(matchers));
    all(&matchers.matchers) && either
}

/// Returns the name in the lab of a label in a query.
fn label(name: &str) -> &str {
    match name {
        name if name.contains("code") || name.contains("status") => "code",
        name if name.contains("cluster") => "cluster",
        name => name,
    }
}
