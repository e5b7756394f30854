//! Metric gates: measurements, which one is due next, and the verdict of one gate over its measurements. Do not add
//! queries of metric sources here.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

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
    /// The result.
    pub seen: MeasuredValue,
}

/// The result of a measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum MeasuredValue {
    /// Requests of both clusters.
    Counts {
        /// Of the old cluster.
        old: RequestCount,
        /// Of the new cluster.
        new: RequestCount,
    },
    /// A quantile of the latencies of both clusters.
    Latencies {
        /// Of the old cluster, in seconds.
        old: f64,
        /// Of the new cluster, in seconds.
        new: f64,
    },
    /// A single number.
    Value {
        /// The number.
        value: f64,
    },
    /// Whether the source itself reports success.
    State {
        /// Whether it does.
        well: bool,
        /// The source's message.
        message: String,
    },
    /// The source answered without data.
    Nothing {
        /// What is missing.
        message: String,
    },
    /// The source did not answer.
    Unreadable {
        /// Why.
        message: String,
    },
}

/// A measurement that is due.
#[derive(Debug, Clone, PartialEq)]
pub struct MeasurementRequest {
    /// The gate.
    pub gate: MetricGate,
    /// The beginning of the window to measure.
    pub from: Timestamp,
    /// The end of the window.
    pub to: Timestamp,
    /// The old cluster.
    pub old: QueriedCluster,
    /// The new cluster.
    pub new: QueriedCluster,
}

/// One cluster of a measurement.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueriedCluster {
    /// The cluster's name in the plan.
    pub cluster: String,
    /// Its target groups that the gate covers, each with its load balancer's ARN.
    pub groups: Vec<(String, String)>,
}

/// The state of a run as far as a gate needs it.
#[derive(Debug, Clone, PartialEq)]
pub struct GateContext<'a> {
    /// The clusters' names.
    pub sides: ClusterNames<'a>,
    /// The new cluster's share as written, in percent; the largest of all routes.
    pub written: f64,
    /// Why the groups' requests do not follow the shares exactly, if so.
    pub advisory: Option<String>,
}

impl MeasurementRequest {
    /// Returns the window of the next measurement of a gate after the last one; `None`: not due yet. `since` is when
    /// the present shares were written. A process that is late by more than `back` skips the missed windows.
    pub fn next_window(
        gate: &MetricGate,
        last: Option<&Measurement>,
        since: Timestamp,
        back: Duration,
        now: Timestamp,
    ) -> Option<(Timestamp, Timestamp)> {
        // A window that looks back must not include traffic under other shares.
        let settled = if gate.of_traffic() && !gate.compares() { gate.window } else { Duration::ZERO };
        let begun = round_up_to_minute(gate, later(since, gate.initial_delay.max(settled)));
        if !gate.compares() {
            let next = last.map_or(begun, |last| later(last.to, gate.interval));
            return (next <= now).then(|| (earlier(now, gate.window), now));
        }
        let from = last.map_or(begun, |last| last.to.max(begun));
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

/// Rounds up to a full minute for CloudWatch, which counts in full minutes.
fn round_up_to_minute(gate: &MetricGate, at: Timestamp) -> Timestamp {
    let rest = at.as_second().rem_euclid(60);
    match gate.source {
        MetricSource::CloudWatch(_) if gate.compares() && (rest > 0 || at.subsec_nanosecond() > 0) => {
            Timestamp::from_second(at.as_second() - rest + 60).unwrap_or(at)
        }
        _ => at,
    }
}

/// Returns the verdict of a gate over its measurements since the present shares were written, oldest first.
pub fn verdict(gate: &MetricGate, measured: &[Measurement], standing: &GateContext<'_>, now: Timestamp) -> Verdict {
    let Some(last) = measured.last() else {
        return Verdict::hold("nothing has been measured since the present shares were written");
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
    judge_values(gate, measured, standing)
}

fn judge_values(gate: &MetricGate, measured: &[Measurement], standing: &GateContext<'_>) -> Verdict {
    let windows = || -> Vec<Window> {
        let counts = |m: &Measurement| {
            if let MeasuredValue::Counts { old, new } = m.seen { Some(Window { old, new }) } else { None }
        };
        measured.iter().filter_map(counts).collect()
    };
    match &gate.condition {
        GateCondition::ErrorRate(rule) => {
            judge::judge_error_rates(rule, gate.min_requests, gate.interval, &windows(), standing.sides)
        }
        GateCondition::Latency(rule) => {
            let pair = |m: &Measurement| {
                if let MeasuredValue::Latencies { old, new } = m.seen { Some((old, new)) } else { None }
            };
            judge::judge_latencies(rule, &measured.iter().filter_map(pair).collect::<Vec<_>>(), standing.sides)
        }
        GateCondition::Share { tolerance } => judge::judge_share(
            *tolerance,
            gate.min_requests,
            &windows(),
            standing.written,
            standing.advisory.as_deref(),
            standing.sides,
        ),
        GateCondition::Condition { .. } | GateCondition::State => {
            match measured.last().map(|m| (measurement_failure(gate, &m.seen), &m.seen)) {
                Some((Some(why), _)) => {
                    Verdict::hold(format!("{why}; failed measurements that the plan allows: {}", gate.failure_limit))
                }
                Some((None, MeasuredValue::Value { value })) => {
                    Verdict::pass(format!("{value} is {}", bounds(&gate.condition)))
                }
                Some((None, MeasuredValue::State { message, .. })) => Verdict::pass(message.clone()),
                _ => Verdict::hold("the metric source's answer does not fit this kind of gate"),
            }
        }
    }
}

/// Returns the verdict if more measurements have failed than the plan allows.
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

/// Returns why a single measurement has failed; `None` if it has not.
fn measurement_failure(gate: &MetricGate, seen: &MeasuredValue) -> Option<String> {
    match (seen, &gate.condition) {
        (MeasuredValue::Value { value }, GateCondition::Condition { at_most, at_least }) => {
            let outside = at_most.is_some_and(|most| *value > most) || at_least.is_some_and(|least| *value < least);
            (outside || value.is_nan()).then(|| format!("{value} is not {}", bounds(&gate.condition)))
        }
        (MeasuredValue::State { well: false, message }, _) => Some(message.clone()),
        (MeasuredValue::Nothing { message }, _) if gate.no_data == NoData::Fail => Some(format!("no data: {message}")),
        (MeasuredValue::Unreadable { message }, _) if gate.no_data == NoData::Fail => {
            Some(format!("the metric cannot be read: {message}"))
        }
        _ => None,
    }
}

fn bounds(judge: &GateCondition) -> String {
    match judge {
        GateCondition::Condition { at_most: Some(most), at_least: Some(least) } => format!("from {least} to {most}"),
        GateCondition::Condition { at_most: Some(most), .. } => format!("at most {most}"),
        GateCondition::Condition { at_least: Some(least), .. } => format!("at least {least}"),
        _ => "within its bounds".into(),
    }
}

#[cfg(test)]
mod tests;
