//! Metric gates: what was measured, what is to be measured next, and what one gate's measurements say.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::base::time::{earlier, later, signed};
use crate::domain::metric::verdict::judge::{self, Sides, Verdict};
use crate::domain::metric::verdict::{Count, Window};
use crate::plan::model::metric::{Judge, MetricGate, NoData, Source};

/// One measurement of a gate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Measurement {
    /// The beginning of what it is about.
    pub from: Timestamp,
    /// The end of that.
    pub to: Timestamp,
    /// What was seen.
    pub seen: Seen,
}

/// What a measurement saw.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Seen {
    /// Requests of both sides.
    Counts {
        /// The side that gives traffic away.
        old: Count,
        /// The side that takes it.
        new: Count,
    },
    /// A quantile of both sides' latencies.
    Latencies {
        /// Of the side that gives traffic away, in seconds.
        old: f64,
        /// Of the side that takes it, in seconds.
        new: f64,
    },
    /// A number.
    Value {
        /// The number.
        value: f64,
    },
    /// Whether all is well, by the source's own word.
    State {
        /// Whether it is.
        well: bool,
        /// What it says.
        message: String,
    },
    /// An answer without data.
    Nothing {
        /// What is missing.
        message: String,
    },
    /// No answer.
    Unreadable {
        /// Why.
        message: String,
    },
}

/// What is to be measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// The gate.
    pub gate: MetricGate,
    /// The beginning of what it is about.
    pub from: Timestamp,
    /// The end of that.
    pub to: Timestamp,
    /// Who gives traffic away.
    pub old: Side,
    /// Who takes it.
    pub new: Side,
}

/// One side of a question.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Side {
    /// The cluster's name in the plan.
    pub cluster: String,
    /// Its target groups that the gate is about, each with its load balancer's ARN.
    pub groups: Vec<(String, String)>,
}

/// How the run stands for a gate.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing<'a> {
    /// The sides' names.
    pub sides: Sides<'a>,
    /// The new side's share as written, in percent; the largest of any route.
    pub written: f64,
    /// Why the groups' requests say little about the shares, where that is so.
    pub advisory: Option<String>,
}

impl Question {
    /// The next measurement of a gate after the last one, for shares that stand since `since`; `None`: not yet. Windows that are older than
    /// `back` are left out.
    pub fn span(
        gate: &MetricGate,
        last: Option<&Measurement>,
        since: Timestamp,
        back: Duration,
        now: Timestamp,
    ) -> Option<(Timestamp, Timestamp)> {
        // What looks back must not look at other shares.
        let settled = if gate.of_traffic() && !gate.compares() { gate.window } else { Duration::ZERO };
        let begun = aligned(gate, later(since, gate.initial_delay.max(settled)));
        if !gate.compares() {
            let next = last.map_or(begun, |last| later(last.to, gate.interval));
            return (next <= now).then(|| (earlier(now, gate.window), now));
        }
        let from = last.map_or(begun, |last| last.to.max(begun));
        let to = later(from, gate.interval);
        let ready = later(to, gate.delay);
        // Whoever was away measures the present, not hours one by one.
        let behind = now.duration_since(ready) > signed(back.max(gate.interval.saturating_mul(3)));
        if behind {
            let to = aligned(gate, earlier(earlier(now, gate.delay), gate.interval));
            return Some((earlier(to, gate.interval), to));
        }
        (ready <= now).then_some((from, to))
    }
}

/// CloudWatch counts by whole minutes.
fn aligned(gate: &MetricGate, at: Timestamp) -> Timestamp {
    let rest = at.as_second().rem_euclid(60);
    match gate.source {
        Source::CloudWatch(_) if gate.compares() && (rest > 0 || at.subsec_nanosecond() > 0) => {
            Timestamp::from_second(at.as_second() - rest + 60).unwrap_or(at)
        }
        _ => at,
    }
}

/// What a gate says of its measurements since the shares stand, oldest first.
pub fn verdict(gate: &MetricGate, measured: &[Measurement], standing: &Standing<'_>, now: Timestamp) -> Verdict {
    let Some(last) = measured.last() else { return Verdict::hold("nothing has been measured since the shares stand") };
    if let Some(failed) = failures(gate, measured) {
        return failed;
    }
    let stale = later(
        last.to,
        gate.interval.saturating_mul(3).saturating_add(gate.delay).saturating_add(Duration::from_secs(30)),
    );
    match &last.seen {
        _ if stale < now => {
            return Verdict::hold(format!("the last measurement is of {}", last.to.strftime("%F %T UTC")));
        }
        Seen::Unreadable { message } => return Verdict::hold(format!("it cannot be read: {message}")),
        Seen::Nothing { message } if gate.no_data == NoData::Hold => {
            return Verdict::hold(format!("no data: {message}"));
        }
        Seen::Nothing { message } if gate.no_data == NoData::Pass && !gate.compares() => {
            return Verdict::pass(format!("no data, which the plan takes for good: {message}"));
        }
        _ => {}
    }
    judged(gate, measured, standing)
}

fn judged(gate: &MetricGate, measured: &[Measurement], standing: &Standing<'_>) -> Verdict {
    let windows = || -> Vec<Window> {
        let counts =
            |m: &Measurement| if let Seen::Counts { old, new } = m.seen { Some(Window { old, new }) } else { None };
        measured.iter().filter_map(counts).collect()
    };
    match &gate.judge {
        Judge::ErrorRate(rule) => judge::errors(rule, gate.min_requests, gate.interval, &windows(), standing.sides),
        Judge::Latency(rule) => {
            let pair =
                |m: &Measurement| if let Seen::Latencies { old, new } = m.seen { Some((old, new)) } else { None };
            judge::latencies(rule, &measured.iter().filter_map(pair).collect::<Vec<_>>(), standing.sides)
        }
        Judge::Share { tolerance } => judge::share(
            *tolerance,
            gate.min_requests,
            &windows(),
            standing.written,
            standing.advisory.as_deref(),
            standing.sides,
        ),
        Judge::Condition { .. } | Judge::State => match measured.last().map(|m| (wrong(gate, &m.seen), &m.seen)) {
            Some((Some(why), _)) => {
                Verdict::hold(format!("{why}; {} of its measurements may fail", gate.failure_limit))
            }
            Some((None, Seen::Value { value })) => Verdict::pass(format!("{value} is {}", bounds(&gate.judge))),
            Some((None, Seen::State { message, .. })) => Verdict::pass(message.clone()),
            _ => Verdict::hold("the answer is of another kind than the gate's judgement"),
        },
    }
}

/// More measurements than the plan allows have failed, by themselves.
fn failures(gate: &MetricGate, measured: &[Measurement]) -> Option<Verdict> {
    let failed: Vec<String> = measured.iter().filter_map(|m| wrong(gate, &m.seen)).collect();
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

/// Why a single measurement has failed, if it has.
fn wrong(gate: &MetricGate, seen: &Seen) -> Option<String> {
    match (seen, &gate.judge) {
        (Seen::Value { value }, Judge::Condition { at_most, at_least }) => {
            let outside = at_most.is_some_and(|most| *value > most) || at_least.is_some_and(|least| *value < least);
            (outside || value.is_nan()).then(|| format!("{value} is not {}", bounds(&gate.judge)))
        }
        (Seen::State { well: false, message }, _) => Some(message.clone()),
        (Seen::Nothing { message }, _) if gate.no_data == NoData::Fail => Some(format!("no data: {message}")),
        (Seen::Unreadable { message }, _) if gate.no_data == NoData::Fail => {
            Some(format!("it cannot be read: {message}"))
        }
        _ => None,
    }
}

fn bounds(judge: &Judge) -> String {
    match judge {
        Judge::Condition { at_most: Some(most), at_least: Some(least) } => format!("from {least} to {most}"),
        Judge::Condition { at_most: Some(most), .. } => format!("at most {most}"),
        Judge::Condition { at_least: Some(least), .. } => format!("at least {least}"),
        _ => "as it should be".into(),
    }
}

#[cfg(test)]
mod tests;
