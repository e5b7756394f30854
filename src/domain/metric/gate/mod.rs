//! Represents measurements of a metric gate, computes which measurement is due next, and returns the verdict of the
//! gate. Do not query metric sources here.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::base::number;
use crate::base::time::{earlier, later, signed};
use crate::domain::metric::verdict::judge::{self, ClusterNames, Verdict};
use crate::domain::metric::verdict::{RequestCount, Window};
use crate::plan::model::metric::{GateCondition, MetricGate, MetricSource, NoData};

/// One measurement of a gate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Measurement {
    /// The beginning of the measured window.
    pub from: Timestamp,
    /// The end of the measured window.
    pub to: Timestamp,
    /// The measured value, or why there is none.
    pub seen: MeasuredValue,
}

/// The result of one measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum MeasuredValue {
    /// The requests to both clusters.
    Counts {
        /// The requests to the old cluster.
        old: RequestCount,
        /// The requests to the new cluster.
        new: RequestCount,
    },
    /// A quantile of the latencies of both clusters.
    Latencies {
        /// The latency of the old cluster, in seconds.
        old: f64,
        /// The latency of the new cluster, in seconds.
        new: f64,
    },
    /// A single number.
    Value {
        /// The measured number.
        value: f64,
    },
    /// Whether the source itself reports success.
    State {
        /// Whether the source reports success.
        well: bool,
        /// The source's message.
        message: String,
    },
    /// The source responded, but has no data.
    Nothing {
        /// A text that says which data are missing.
        message: String,
    },
    /// The source could not be read.
    Unreadable {
        /// Why the source could not be read.
        message: String,
    },
}

/// A measurement that is due.
#[derive(Debug, Clone, PartialEq)]
pub struct MeasurementRequest {
    /// The gate to measure.
    pub gate: MetricGate,
    /// The beginning of the window to measure.
    pub from: Timestamp,
    /// The end of the window to measure.
    pub to: Timestamp,
    /// The old cluster, with the target groups to measure.
    pub old: QueriedCluster,
    /// The new cluster, with the target groups to measure.
    pub new: QueriedCluster,
}

/// A cluster that is measured.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueriedCluster {
    /// The cluster's name in the plan.
    pub cluster: String,
    /// The ARNs of the cluster's target groups that the gate covers, each with the ARN of its load balancer.
    pub groups: Vec<(String, String)>,
}

/// The parts of a run's state that a gate needs.
#[derive(Debug, Clone, PartialEq)]
pub struct GateContext<'a> {
    /// The names of both clusters, for messages.
    pub sides: ClusterNames<'a>,
    /// The new cluster's share in the written weights, in percent: the largest of all routes.
    pub written: f64,
    /// Why the request counts of the groups do not correspond to the shares; `None` if they do.
    pub advisory: Option<String>,
}

impl MeasurementRequest {
    /// Returns the window of the next measurement of a gate after `last`; `None` if no measurement is due. `since` is
    /// the time at which the current shares were written. If the measurement is late by more than `back` (at least
    /// three intervals), the missed windows are skipped.
    pub fn next_window(
        gate: &MetricGate,
        last: Option<&Measurement>,
        since: Timestamp,
        back: Duration,
        now: Timestamp,
    ) -> Option<(Timestamp, Timestamp)> {
        // The window must not include traffic from before the current shares were written.
        let settled = if gate.of_traffic() && !gate.compares() { gate.window } else { Duration::ZERO };
        let first_start = round_up_to_minute(gate, later(since, gate.initial_delay.max(settled)));
        if !gate.compares() {
            let next = last.map_or(first_start, |last| later(last.to, gate.interval));
            return (next <= now).then(|| (earlier(now, gate.window), now));
        }
        let from = last.map_or(first_start, |last| last.to.max(first_start));
        let to = later(from, gate.interval);
        let ready = later(to, gate.delay);
        // After a pause of the process, only the latest window is measured, not the missed hours one by one.
        let behind = now.duration_since(ready) > signed(back.max(gate.interval.saturating_mul(3)));
        if behind {
            let to = round_up_to_minute(gate, earlier(earlier(now, gate.delay), gate.interval));
            return Some((earlier(to, gate.interval), to));
        }
        (ready <= now).then_some((from, to))
    }
}

/// Rounds a time up to a full minute for gates with CloudWatch, which counts in full minutes.
fn round_up_to_minute(gate: &MetricGate, at: Timestamp) -> Timestamp {
    let rest = at.as_second().rem_euclid(60);
    match gate.source {
        MetricSource::CloudWatch(_) if gate.compares() && (rest > 0 || at.subsec_nanosecond() > 0) => {
            Timestamp::from_second(at.as_second() - rest + 60).unwrap_or(at)
        }
        _ => at,
    }
}

/// Returns the verdict of a gate, from its measurements since the current shares were written, oldest first.
pub fn verdict(gate: &MetricGate, measured: &[Measurement], context: &GateContext<'_>, now: Timestamp) -> Verdict {
    let Some(last) = measured.last() else {
        return Verdict::hold("nothing has been measured since the current shares were written");
    };
    if let Some(failed) = limit_exceeded(gate, measured) {
        return failed;
    }
    let stale = later(
        last.to,
        gate.interval.saturating_mul(3).saturating_add(gate.delay).saturating_add(Duration::from_secs(30)),
    );
    match &last.seen {
        _ if stale < now => {
            return Verdict::hold(format!("the last measurement is too old: {}", last.to.strftime("%F %T UTC")));
        }
        MeasuredValue::Unreadable { message } => return Verdict::hold(format!("the metric cannot be read: {message}")),
        MeasuredValue::Nothing { message } if gate.no_data == NoData::Hold => {
            return Verdict::hold(format!("no data: {message}"));
        }
        MeasuredValue::Nothing { message } if gate.no_data == NoData::Pass && !gate.compares() => {
            return Verdict::pass(format!("no data, which the plan accepts (`noData: pass`): {message}"));
        }
        _ => {}
    }
    judge_values(gate, measured, context)
}

/// Returns the verdict if a gate compares error rates, and most of the latest requests to the new cluster fail.
pub fn floor(gate: &MetricGate, measured: &[Measurement], sides: ClusterNames<'_>) -> Option<Verdict> {
    let compares_errors = matches!(gate.condition, GateCondition::ErrorRate(_));
    compares_errors.then(|| judge::judge_floor(&windows(measured), sides))?
}

fn windows(measured: &[Measurement]) -> Vec<Window> {
    let counts = |m: &Measurement| {
        if let MeasuredValue::Counts { old, new } = m.seen { Some(Window { old, new }) } else { None }
    };
    measured.iter().filter_map(counts).collect()
}

fn judge_values(gate: &MetricGate, measured: &[Measurement], context: &GateContext<'_>) -> Verdict {
    match &gate.condition {
        GateCondition::ErrorRate(rule) => {
            judge::judge_error_rates(rule, gate.min_requests, gate.interval, &windows(measured), context.sides)
        }
        GateCondition::Latency(rule) => {
            let pair = |m: &Measurement| {
                if let MeasuredValue::Latencies { old, new } = m.seen { Some((old, new)) } else { None }
            };
            judge::judge_latencies(rule, &measured.iter().filter_map(pair).collect::<Vec<_>>(), context.sides)
        }
        GateCondition::Share { tolerance } => judge::judge_share(
            *tolerance,
            gate.min_requests,
            &windows(measured),
            context.written,
            context.advisory.as_deref(),
            context.sides,
        ),
        GateCondition::Condition { .. } | GateCondition::State => {
            match measured.last().map(|m| (measurement_failure(gate, &m.seen), &m.seen)) {
                Some((Some(why), _)) => {
                    Verdict::hold(format!("{why}; failed measurements that the plan allows: {}", gate.failure_limit))
                }
                Some((None, MeasuredValue::Value { value })) => {
                    Verdict::pass(format!("{} is {}", number::measured(*value), bounds(&gate.condition)))
                }
                Some((None, MeasuredValue::State { message, .. })) => Verdict::pass(message.clone()),
                _ => Verdict::hold("the metric source returned a value that does not fit the condition of this gate"),
            }
        }
    }
}

/// Returns a failing verdict if more measurements have failed than the plan allows; `None` otherwise.
fn limit_exceeded(gate: &MetricGate, measured: &[Measurement]) -> Option<Verdict> {
    let failed: Vec<String> = measured.iter().filter_map(|m| measurement_failure(gate, &m.seen)).collect();
    let last = failed.last()?;
    if failed.len() as u64 <= u64::from(gate.failure_limit) {
        return None;
    }
    let more = if failed.len() > 1 {
        format!(" ({} of {} measurements failed)", failed.len(), measured.len())
    } else {
        String::new()
    };
    Some(Verdict::fail(format!("{last}{more}")))
}

/// Returns why a single measurement has failed; `None` if the measurement has not failed.
fn measurement_failure(gate: &MetricGate, seen: &MeasuredValue) -> Option<String> {
    match (seen, &gate.condition) {
        (MeasuredValue::Value { value }, GateCondition::Condition { at_most, at_least }) => {
            let outside = at_most.is_some_and(|most| *value > most) || at_least.is_some_and(|least| *value < least);
            (outside || value.is_nan())
                .then(|| format!("{} is not {}", number::measured(*value), bounds(&gate.condition)))
        }
        (MeasuredValue::State { well: false, message }, _) => Some(message.clone()),
        (MeasuredValue::Nothing { message }, _) if gate.no_data == NoData::Fail => Some(format!("no data: {message}")),
        (MeasuredValue::Unreadable { message }, _) if gate.no_data == NoData::Fail => {
            Some(format!("the metric cannot be read: {message}"))
        }
        _ => None,
    }
}

fn bounds(condition: &GateCondition) -> String {
    match condition {
        GateCondition::Condition { at_most: Some(most), at_least: Some(least) } => format!("from {least} to {most}"),
        GateCondition::Condition { at_most: Some(most), .. } => format!("at most {most}"),
        GateCondition::Condition { at_least: Some(least), .. } => format!("at least {least}"),
        _ => "within its bounds".into(),
    }
}

#[cfg(test)]
mod tests;
