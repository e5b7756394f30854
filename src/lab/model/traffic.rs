//! The load balancer's request counters by target group, from which the lab's CloudWatch and Prometheus metrics come.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::World;
use crate::base::arn;
use crate::lab::scenario::fault::GateResult;
use crate::plan::model::metric::MetricSource;

/// Requests are kept for this many seconds.
const RETENTION_SECONDS: i64 = 3 * 3600;

/// Upper bounds of the histogram's buckets, in milliseconds.
const BUCKETS: [u32; 10] = [5, 10, 25, 50, 100, 250, 500, 1000, 2500, 10_000];

/// Counters of the requests to a group within some time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupCounters {
    /// Requests that were sent to a target.
    pub requests: u64,
    /// Requests with a status of 500 or more.
    pub errors: u64,
    /// Requests without an answer of the target: refused, or too late.
    pub unanswered: u64,
    /// Response time in milliseconds and number of requests with it, ascending.
    pub response_times: Vec<(u32, u32)>,
}

impl GroupCounters {
    /// Adds another's counters.
    pub fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.errors += other.errors;
        self.unanswered += other.unanswered;
        other.response_times.iter().for_each(|(delay, count)| self.add_response_time(*delay, *count));
    }

    /// Counts a request.
    fn count(&mut self, hit: ForwardedRequest) {
        self.requests += 1;
        match hit.status {
            None => self.unanswered += 1,
            Some(status) => {
                self.errors += u64::from(status >= 500);
                self.add_response_time(hit.millis, 1);
            }
        }
    }

    fn add_response_time(&mut self, millis: u32, count: u32) {
        match self.response_times.binary_search_by_key(&millis, |(delay, _)| *delay) {
            Ok(at) => self.response_times[at].1 = self.response_times[at].1.saturating_add(count),
            Err(at) => self.response_times.insert(at, (millis, count)),
        }
    }

    /// Returns the response time, in seconds, that this fraction (0–1) of the answered requests does not exceed;
    /// `None`: no answered requests.
    #[allow(clippy::cast_precision_loss)]
    pub fn quantile(&self, part: f64) -> Option<f64> {
        let all = self.answered();
        let mut seen = 0;
        let reached = |count: u64| count as f64 >= part * all as f64;
        let delay = self.response_times.iter().find_map(|(delay, count)| {
            seen += u64::from(*count);
            reached(seen).then_some(*delay)
        });
        delay.map(|millis| f64::from(millis) / 1000.0)
    }

    /// Sum of all response times, in seconds.
    pub fn sum(&self) -> f64 {
        self.response_times.iter().map(|(delay, count)| f64::from(*delay) * f64::from(*count)).sum::<f64>() / 1000.0
    }

    /// Number of answered requests.
    pub fn answered(&self) -> u64 {
        self.within(u32::MAX)
    }

    /// Number of answered requests that took at most `bound` milliseconds.
    fn within(&self, bound: u32) -> u64 {
        self.response_times.iter().take_while(|(delay, _)| *delay <= bound).map(|(_, count)| u64::from(*count)).sum()
    }
}

/// Counters of all groups, by ARN: totals since the start, and recent requests, oldest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct TrafficCounters(BTreeMap<Arc<str>, (GroupCounters, VecDeque<ForwardedRequest>)>);

/// A request that was sent to a target. A rehearsal has tens of thousands.
#[derive(Debug, Clone, Copy)]
struct ForwardedRequest {
    second: i64,
    /// Response time.
    millis: u32,
    /// Status; `None`: no answer.
    status: Option<u16>,
}

/// A target's response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetResponse {
    /// Status and response time.
    Answered(u16, Duration),
    /// No response.
    NoAnswer,
}

impl World {
    /// Counts the response of a group's target.
    pub fn record_response(&mut self, group: &Arc<str>, served: TargetResponse, now: Timestamp) {
        let second = now.as_second();
        let hit = match served {
            TargetResponse::NoAnswer => ForwardedRequest { second, millis: 0, status: None },
            TargetResponse::Answered(status, delay) => ForwardedRequest {
                second,
                millis: u32::try_from(delay.as_millis()).unwrap_or(u32::MAX),
                status: Some(status),
            },
        };
        if !self.traffic.0.contains_key(group) {
            self.traffic.0.insert(Arc::clone(group), Default::default());
        }
        if let Some((total, hits)) = self.traffic.0.get_mut(group) {
            total.count(hit);
            hits.push_back(hit);
            while hits.front().is_some_and(|first| first.second < second - RETENTION_SECONDS) {
                hits.pop_front();
            }
        }
    }

    /// The scenario's result for a gate; `None`: the gate passes.
    pub(crate) fn gate_fault(&self, gate: &str) -> Option<GateResult> {
        self.faults.gates.get(gate).copied()
    }

    /// Whether the scenario makes a command or hook (or its undo) fail.
    pub(crate) fn hook_fails(&self, name: &str, undo: bool) -> bool {
        self.faults.hooks.contains(&(name.to_owned(), undo))
    }

    /// Names and states of the alarms in the plan's gates.
    pub(crate) fn alarms(&self) -> Vec<(String, &'static str)> {
        let mut all = Vec::new();
        for gate in &self.plan.strategy.metrics {
            let MetricSource::CloudWatchAlarms(names) = &gate.source else { continue };
            let state = match self.gate_fault(&gate.name) {
                Some(GateResult::Fail) => "ALARM",
                Some(_) => "INSUFFICIENT_DATA",
                None => "OK",
            };
            all.extend(names.iter().map(|name| (name.clone(), state)));
        }
        all
    }

    /// Returns the counters of a group for the seconds from `from` to before `to`. `group`: its ARN, or the end of it.
    pub fn group_counters(&self, group: &str, from: Timestamp, to: Timestamp) -> GroupCounters {
        let mut all = GroupCounters::default();
        let (from, to) = (from.as_second(), to.as_second());
        let own = self
            .traffic
            .0
            .get(group)
            .or_else(|| self.traffic.0.iter().find(|(arn, _)| arn.ends_with(group)).map(|(_, counted)| counted));
        if let Some((_, hits)) = own {
            let begin = hits.partition_point(|hit| hit.second < from);
            hits.range(begin..).take_while(|hit| hit.second < to).for_each(|hit| all.count(*hit));
        }
        all
    }

    /// Counters of every group since the start, for Prometheus: requests by status class, and a histogram of response
    /// times.
    pub fn openmetrics(&self) -> String {
        let mut text = String::from(
            "# TYPE lab_requests counter\n# HELP lab_requests Requests that the load balancer sent to a target.\n",
        );
        let groups: Vec<_> = self.traffic.0.iter().map(|(arn, (total, _))| (self.labels(arn), total)).collect();
        for (labels, total) in &groups {
            let fine = total.requests - total.errors - total.unanswered;
            for (code, count) in [("2xx", fine), ("5xx", total.errors + total.unanswered)] {
                let _ = writeln!(text, "lab_requests_total{{{labels},code=\"{code}\"}} {count}");
            }
        }
        text += "# TYPE lab_request_seconds histogram\n# UNIT lab_request_seconds seconds\n\
                 # HELP lab_request_seconds How long targets took.\n";
        for (labels, total) in &groups {
            for bucket in BUCKETS {
                let within = total.within(bucket);
                let _ = writeln!(
                    text,
                    "lab_request_seconds_bucket{{{labels},le=\"{}.{:03}\"}} {within}",
                    bucket / 1000,
                    bucket % 1000
                );
            }
            let all = total.answered();
            let _ = writeln!(text, "lab_request_seconds_bucket{{{labels},le=\"+Inf\"}} {all}");
            let _ = writeln!(
                text,
                "lab_request_seconds_sum{{{labels}}} {}\nlab_request_seconds_count{{{labels}}} {all}",
                total.sum()
            );
        }
        text + "# EOF\n"
    }

    fn labels(&self, arn: &str) -> String {
        let group = self.group_index.get(arn).map(|index| &self.groups[*index]);
        let cluster = group.and_then(|g| g.cluster).map_or("", |c| &*self.clusters[c].name);
        let name = arn::name(arn);
        format!("cluster=\"{cluster}\",target_group=\"{name}\"")
    }
}
