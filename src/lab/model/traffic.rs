//! Request counters of the load balancers, by target group. The lab's CloudWatch and Prometheus metrics are computed
//! from these counters.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::{TCP, World};
use crate::base::arn;
use crate::lab::scenario::fault::GateResult;
use crate::plan::model::metric::MetricSource;

/// How long after its last request a connection counts as open, in seconds.
const OPEN_SECONDS: i64 = 600;

/// How long requests are kept, in seconds.
const RETENTION_SECONDS: i64 = 3 * 3600;

/// Upper bounds of the buckets of the response time histogram, in milliseconds.
pub(crate) const RESPONSE_TIME_BUCKETS: [u32; 10] = [5, 10, 25, 50, 100, 250, 500, 1000, 2500, 10_000];

/// Counters of the requests to a target group in a period.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupCounters {
    /// Requests that were sent to a target.
    pub requests: u64,
    /// Connections that a Network Load Balancer opened to a target.
    pub connections: u64,
    /// Requests with a status of 500 or more.
    pub errors: u64,
    /// Requests that the target did not answer: connection refused or response too late.
    pub unanswered: u64,
    /// Response times in milliseconds, ascending, each with the number of requests that took this long.
    pub response_times: Vec<(u32, u32)>,
}

impl GroupCounters {
    /// Adds the counters of `other`.
    pub fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.connections += other.connections;
        self.errors += other.errors;
        self.unanswered += other.unanswered;
        other.response_times.iter().for_each(|(delay, count)| self.add_response_time(*delay, *count));
    }

    /// Counts one request.
    fn count(&mut self, request: ForwardedRequest) {
        self.requests += 1;
        match request.status {
            None => self.unanswered += 1,
            Some(status) => {
                self.errors += u64::from(status >= 500);
                self.add_response_time(request.millis, 1);
            }
        }
    }

    fn add_response_time(&mut self, millis: u32, count: u32) {
        match self.response_times.binary_search_by_key(&millis, |(delay, _)| *delay) {
            Ok(at) => self.response_times[at].1 = self.response_times[at].1.saturating_add(count),
            Err(at) => self.response_times.insert(at, (millis, count)),
        }
    }

    /// Returns the response time, in seconds, that the fraction `part` (0–1) of the answered requests does not exceed;
    /// `None` if no request was answered.
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

    /// Returns the sum of all response times, in seconds.
    pub fn sum(&self) -> f64 {
        self.response_times.iter().map(|(delay, count)| f64::from(*delay) * f64::from(*count)).sum::<f64>() / 1000.0
    }

    /// Returns the number of answered requests.
    pub fn answered(&self) -> u64 {
        self.within(u32::MAX)
    }

    /// Returns the number of answered requests that took at most `bound` milliseconds.
    pub(crate) fn within(&self, bound: u32) -> u64 {
        self.response_times.iter().take_while(|(delay, _)| *delay <= bound).map(|(_, count)| u64::from(*count)).sum()
    }
}

/// Counters of all groups, by ARN: totals since the start of the lab, and recent requests, oldest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct TrafficCounters(
    BTreeMap<Arc<str>, (GroupCounters, VecDeque<ForwardedRequest>)>,
    Connections,
    UsedConnections,
);

/// The second in which each recent connection to a group was opened, oldest first, by the ARN of the group.
type Connections = BTreeMap<Arc<str>, VecDeque<i64>>;

/// The connections of Network Load Balancers that clients have used.
#[derive(Debug, Clone, Default)]
struct UsedConnections {
    /// The number of connections that were ever opened.
    opened: u64,
    /// The seconds of the first and the last request, by the index of the load balancer and the name of the connection.
    uses: BTreeMap<(usize, Box<str>), (i64, i64)>,
}

/// The number of used connections from which those that no client uses any more are forgotten.
const REMEMBERED_CONNECTIONS: usize = 10_000;

/// A request that was sent to a target. Kept small, because a rehearsal has tens of thousands of requests.
#[derive(Debug, Clone, Copy)]
struct ForwardedRequest {
    second: i64,
    /// Response time in milliseconds.
    millis: u32,
    /// HTTP status of the response; `None` if the target did not answer.
    status: Option<u16>,
}

/// How a target answered a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetResponse {
    /// HTTP status and response time.
    Answered(u16, Duration),
    /// The target did not answer.
    NoAnswer,
}

impl World {
    /// Counts one request to the group with this ARN.
    pub fn record_response(&mut self, group: &Arc<str>, response: TargetResponse, now: Timestamp) {
        let second = now.as_second();
        let request = match response {
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
            total.count(request);
            hits.push_back(request);
            while hits.front().is_some_and(|first| first.second < second - RETENTION_SECONDS) {
                hits.pop_front();
            }
        }
    }

    /// Returns whether a group with this ARN, or end of an ARN, belongs to a Network Load Balancer.
    pub fn is_network_group(&self, group: &str) -> bool {
        self.groups.iter().any(|known| known.arn.ends_with(group) && known.protocol == TCP)
    }

    /// Counts one new connection to a group.
    pub(super) fn count_connection(&mut self, group: usize, now: Timestamp) {
        let opened = self.traffic.1.entry(Arc::clone(&self.groups[group].arn)).or_default();
        opened.push_back(now.as_second());
        while opened.front().is_some_and(|first| *first < now.as_second() - RETENTION_SECONDS) {
            opened.pop_front();
        }
    }

    /// Returns the number of the next connection.
    pub(super) fn new_connection(&mut self) -> u64 {
        self.traffic.2.opened += 1;
        self.traffic.2.opened
    }

    /// Records that a client uses a connection of a Network Load Balancer.
    pub(super) fn use_connection(&mut self, balancer: usize, connection: &str, now: Timestamp) {
        let second = now.as_second();
        let uses = &mut self.traffic.2.uses;
        if uses.len() >= REMEMBERED_CONNECTIONS {
            uses.retain(|_, (_, last)| *last >= second - OPEN_SECONDS);
        }
        uses.entry((balancer, connection.into())).or_insert((second, second)).1 = second;
    }

    /// Returns how many connections of a Network Load Balancer were open between two times: those with requests before
    /// and after. `None` if there is no such load balancer. `balancer` is its ARN or the end of this ARN.
    pub fn open_connections(&self, balancer: &str, from: Timestamp, to: Timestamp) -> Option<u64> {
        let index = self.balancers.iter().position(|known| known.network && known.arn.ends_with(balancer))?;
        let (from, to) = (from.as_second(), to.as_second());
        let uses = self.traffic.2.uses.iter();
        let open = uses.filter(|((of, _), (first, last))| *of == index && *first < to && *last >= from);
        u64::try_from(open.count()).ok()
    }

    /// Returns the names and states of the CloudWatch alarms that the plan's gates use.
    pub(crate) fn alarms(&self) -> Vec<(String, &'static str)> {
        let mut all = Vec::new();
        for gate in &self.plan.strategy.metrics {
            let MetricSource::CloudWatchAlarms(names) = &gate.source else { continue };
            let state = match self.faults.gates.get(&gate.name).map(|(result, _)| result) {
                Some(GateResult::Fail) => "ALARM",
                Some(_) => "INSUFFICIENT_DATA",
                None => "OK",
            };
            all.extend(names.iter().map(|name| (name.clone(), state)));
        }
        all
    }

    /// Returns the counters of a group from the second of `from` (included) to the second of `to` (excluded). `group`
    /// is the ARN of the group or the end of this ARN.
    pub fn group_counters(&self, group: &str, from: Timestamp, to: Timestamp) -> GroupCounters {
        let mut all = GroupCounters::default();
        let (from, to) = (from.as_second(), to.as_second());
        let own = self
            .traffic
            .0
            .get(group)
            .or_else(|| self.traffic.0.iter().find(|(arn, _)| arn.ends_with(group)).map(|(_, counted)| counted));
        if let Some((_, hits)) = own {
            let begin = hits.partition_point(|request| request.second < from);
            hits.range(begin..).take_while(|request| request.second < to).for_each(|request| all.count(*request));
        }
        let opened = self.traffic.1.iter().find(|(arn, _)| arn.ends_with(group)).map(|(_, opened)| opened);
        let opened = opened.into_iter().flatten().filter(|second| (from..to).contains(*second)).count();
        all.connections = u64::try_from(opened).unwrap_or(u64::MAX);
        all
    }

    /// Returns the counters of every group since the start, in the OpenMetrics format: requests by status class, and a
    /// histogram of response times.
    pub fn openmetrics(&self) -> String {
        let mut text = String::from(
            "# TYPE lab_requests counter\n# HELP lab_requests Requests that the load balancer sent to a target.\n",
        );
        let groups: Vec<_> = self.traffic.0.iter().map(|(arn, (total, _))| (self.labels(arn), total)).collect();
        for (labels, total) in &groups {
            let succeeded = total.requests - total.errors - total.unanswered;
            for (code, count) in [("2xx", succeeded), ("5xx", total.errors + total.unanswered)] {
                let _ = writeln!(text, "lab_requests_total{{{labels},code=\"{code}\"}} {count}");
            }
        }
        text += "# TYPE lab_request_seconds histogram\n# UNIT lab_request_seconds seconds\n\
                 # HELP lab_request_seconds How long targets took.\n";
        for (labels, total) in &groups {
            for bucket in RESPONSE_TIME_BUCKETS {
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

    /// Returns the groups with requests: the cluster (empty if unknown), the name and the ARN of each.
    pub(crate) fn counted_groups(&self) -> Vec<(String, String, Arc<str>)> {
        let group = |arn: &Arc<str>| (self.cluster_of(arn).to_owned(), arn::name(arn).to_owned(), Arc::clone(arn));
        self.traffic.0.keys().map(group).collect()
    }

    fn cluster_of(&self, arn: &str) -> &str {
        let group = self.group_index.get(arn).map(|index| &self.groups[*index]);
        group.and_then(|g| g.cluster).map_or("", |c| &*self.clusters[c].name)
    }

    fn labels(&self, arn: &str) -> String {
        let (cluster, name) = (self.cluster_of(arn), arn::name(arn));
        format!("cluster=\"{cluster}\",target_group=\"{name}\"")
    }
}
