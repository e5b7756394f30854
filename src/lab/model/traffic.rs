//! What the load balancer counts of the requests that it forwards, by target group and second: what CloudWatch and a Prometheus show of it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::World;
use crate::lab::scenario::fault::Says;
use crate::plan::model::metric::Source;

/// Seconds that are kept.
const KEPT: i64 = 3 * 3600;

/// Upper bounds of the histogram's buckets, in milliseconds.
const BUCKETS: [u64; 10] = [5, 10, 25, 50, 100, 250, 500, 1000, 2500, 10_000];

/// Requests to a group within some time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counted {
    /// All that went to a target.
    pub requests: u64,
    /// Answered with 500 or more.
    pub errors: u64,
    /// Not answered by their target: refused, or too late.
    pub broken: u64,
    /// Requests by the milliseconds that their answer took.
    pub delays: BTreeMap<u64, u64>,
}

impl Counted {
    /// Takes another's in.
    pub fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.errors += other.errors;
        self.broken += other.broken;
        for (delay, count) in &other.delays {
            *self.delays.entry(*delay).or_default() += count;
        }
    }

    /// The delay that this part of the answered requests (0–1) does not exceed, in seconds; `None`: there are none.
    #[allow(clippy::cast_precision_loss)]
    pub fn quantile(&self, part: f64) -> Option<f64> {
        let all: u64 = self.delays.values().sum();
        let mut seen = 0;
        let reached = |count: u64| count as f64 >= part * all as f64;
        let delay = self.delays.iter().find_map(|(delay, count)| {
            seen += count;
            reached(seen).then_some(*delay)
        });
        delay.map(|millis| millis as f64 / 1000.0)
    }

    /// The sum of all delays, in seconds.
    #[allow(clippy::cast_precision_loss)]
    pub fn sum(&self) -> f64 {
        self.delays.iter().map(|(delay, count)| *delay as f64 * *count as f64).sum::<f64>() / 1000.0
    }
}

/// The counters of all groups, by ARN.
#[derive(Debug, Clone, Default)]
pub(crate) struct Traffic(BTreeMap<Arc<str>, (Counted, BTreeMap<i64, Counted>)>);

/// How a target answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served {
    /// With a status, after so long.
    Answered(u16, Duration),
    /// Not at all.
    Broken,
}

impl World {
    /// A request that was sent to a group's target has been answered, or not.
    pub fn served(&mut self, group: &Arc<str>, served: Served, now: Timestamp) {
        let mut one = Counted { requests: 1, ..Counted::default() };
        match served {
            Served::Broken => one.broken = 1,
            Served::Answered(status, delay) => {
                one.errors = u64::from(status >= 500);
                one.delays.insert(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX), 1);
            }
        }
        if !self.traffic.0.contains_key(group) {
            self.traffic.0.insert(Arc::clone(group), Default::default());
        }
        if let Some((total, seconds)) = self.traffic.0.get_mut(group) {
            total.add(&one);
            seconds.entry(now.as_second()).or_default().add(&one);
            while seconds.first_key_value().is_some_and(|(second, _)| *second < now.as_second() - KEPT) {
                seconds.pop_first();
            }
        }
    }

    /// What the scenario says of a gate, where not all is well.
    pub(crate) fn gate_trouble(&self, gate: &str) -> Option<Says> {
        self.faults.gates.get(gate).copied()
    }

    /// Whether a command or a hook fails, as the scenario says.
    pub(crate) fn hook_fails(&self, name: &str, undo: bool) -> bool {
        self.faults.hooks.contains(&(name.to_owned(), undo))
    }

    /// The alarms that the plan's gates name, and their states.
    pub(crate) fn alarms(&self) -> Vec<(String, &'static str)> {
        let mut all = Vec::new();
        for gate in &self.plan.strategy.metrics {
            let Source::CloudWatchAlarms(names) = &gate.source else { continue };
            let state = match self.gate_trouble(&gate.name) {
                Some(Says::Fail) => "ALARM",
                Some(_) => "INSUFFICIENT_DATA",
                None => "OK",
            };
            all.extend(names.iter().map(|name| (name.clone(), state)));
        }
        all
    }

    /// What was counted of a group, by its ARN or the tail of it, from one second to before another.
    pub fn counted(&self, group: &str, from: Timestamp, to: Timestamp) -> Counted {
        let mut all = Counted::default();
        let (from, to) = (from.as_second(), to.as_second());
        let own =
            self.traffic.0.get(group).or_else(|| self.traffic.0.iter().find(|(arn, _)| arn.ends_with(group)).map(|(_, counted)| counted));
        if let Some((_, seconds)) = own
            && from < to
        {
            seconds.range(from..to).for_each(|(_, second)| all.add(second));
        }
        all
    }

    /// Every group's counters since the start, for a Prometheus to scrape: requests by code, and a histogram of delays.
    pub fn openmetrics(&self) -> String {
        let mut text = String::from("# TYPE lab_requests counter\n# HELP lab_requests Requests that the load balancer sent to a target.\n");
        let groups: Vec<_> = self.traffic.0.iter().map(|(arn, (total, _))| (self.labels(arn), total)).collect();
        for (labels, total) in &groups {
            let fine = total.requests - total.errors - total.broken;
            for (code, count) in [("2xx", fine), ("5xx", total.errors + total.broken)] {
                let _ = writeln!(text, "lab_requests_total{{{labels},code=\"{code}\"}} {count}");
            }
        }
        text +=
            "# TYPE lab_request_seconds histogram\n# UNIT lab_request_seconds seconds\n# HELP lab_request_seconds How long targets took.\n";
        for (labels, total) in &groups {
            for bucket in BUCKETS {
                let within: u64 = total.delays.range(..=bucket).map(|(_, count)| count).sum();
                let _ = writeln!(text, "lab_request_seconds_bucket{{{labels},le=\"{}.{:03}\"}} {within}", bucket / 1000, bucket % 1000);
            }
            let all: u64 = total.delays.values().sum();
            let _ = writeln!(text, "lab_request_seconds_bucket{{{labels},le=\"+Inf\"}} {all}");
            let _ = writeln!(text, "lab_request_seconds_sum{{{labels}}} {}\nlab_request_seconds_count{{{labels}}} {all}", total.sum());
        }
        text + "# EOF\n"
    }

    fn labels(&self, arn: &str) -> String {
        let group = self.group_index.get(arn).map(|index| &self.groups[*index]);
        let cluster = group.and_then(|g| g.cluster).map_or("", |c| &*self.clusters[c].name);
        let name = arn.split_once(":targetgroup/").and_then(|(_, rest)| rest.split('/').next()).unwrap_or(arn);
        format!("cluster=\"{cluster}\",target_group=\"{name}\"")
    }
}
