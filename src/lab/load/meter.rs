//! Counts the results of the clients' requests in measurement windows, by cluster and by target group.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::run::event::{ClientMeasurement, ClusterMeasurement, MeasuredTime};
use crate::plan::model::Shares;

/// The result of one request, as the client sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestResult<'a> {
    /// Name of the cluster that served the request; `None` for a third-party group or no group.
    pub cluster: Option<&'a str>,
    /// The target group that served the request; `None` if the load balancer itself responded or nobody did.
    pub group: Option<&'a str>,
    /// Whether the request got no response or a status of 500 or more.
    pub failed: bool,
}

/// Number of requests, and how many of them failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Number of all requests.
    pub requests: u64,
    /// Number of requests without a response or with a status of 500 or more.
    pub errors: u64,
}

impl Tally {
    fn add(&mut self, failed: bool) {
        self.requests += 1;
        self.errors += u64::from(failed);
    }
}

/// Counters of a measurement window: all requests since the window was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Window {
    /// Counters of all requests.
    pub total: Tally,
    /// Counters by cluster of the plan.
    pub clusters: BTreeMap<String, Tally>,
    /// Counters by target group.
    pub groups: BTreeMap<String, Tally>,
}

impl Window {
    /// Returns the window as a record. Shares are in percent of the requests that the plan's clusters received.
    pub fn into_measured(&self, step: usize, label: &str, planned: &Shares) -> ClientMeasurement {
        let managed: u64 = planned.keys().filter_map(|c| self.clusters.get(c)).map(|t| t.requests).sum();
        let cluster = |(name, percent): (&String, &u32)| {
            let tally = self.clusters.get(name).copied().unwrap_or_default();
            let share = if managed == 0 { 0.0 } else { percent_of(tally.requests, managed) };
            let part = ClusterMeasurement {
                planned: f64::from(*percent),
                measured: share,
                requests: tally.requests,
                client_errors: tally.errors,
            };
            (name.clone(), part)
        };
        ClientMeasurement {
            step,
            label: label.to_owned(),
            during: MeasuredTime::Step,
            clusters: planned.iter().map(cluster).collect(),
            requests: self.total.requests,
            client_errors: self.total.errors,
        }
    }
}

/// Returns a percentage with two decimals. Counts of this size do not allow more precision.
#[allow(clippy::cast_precision_loss)] // counts stay far below 2^53
fn percent_of(part: u64, total: u64) -> f64 {
    (part as f64 * 10_000.0 / total as f64).round() / 100.0
}

/// Counters that all clients of a rehearsal share.
#[derive(Debug, Default)]
pub struct Meter(Mutex<Counters>);

#[derive(Debug, Default)]
struct Counters {
    window: Window,
    total: Tally,
    window_number: u64,
}

impl Meter {
    /// Counts one request in the open window.
    pub fn record(&self, result: RequestResult<'_>) {
        self.record_all([result]);
    }

    /// Returns the number of the open window. Pass this number to [`Self::record_in_window`] when the request ends.
    pub fn window_number(&self) -> u64 {
        self.lock().window_number
    }

    /// Counts one request that was sent in the window `opened`. If that window is closed, the request does not measure
    /// the current shares, and only its error is counted.
    pub fn record_in_window(&self, opened: u64, result: RequestResult<'_>) {
        let mut counters = self.lock();
        if counters.window_number == opened {
            counters.add(result);
        } else {
            counters.total.add(result.failed);
            counters.window.total.errors += u64::from(result.failed);
        }
    }

    /// Counts several requests under one lock.
    pub fn record_all<'a>(&self, results: impl IntoIterator<Item = RequestResult<'a>>) {
        let mut counters = self.lock();
        for one in results {
            counters.add(one);
        }
    }

    /// Closes the window, returns its counters, and opens the next window.
    pub fn take_window(&self) -> Window {
        let mut counters = self.lock();
        counters.window_number += 1;
        std::mem::take(&mut counters.window)
    }

    /// Opens the next window because the shares have changed. Errors of the closed window are kept, because clients saw
    /// these errors.
    pub fn start_window(&self) {
        let errors = self.take_window().total.errors;
        self.lock().window.total.errors += errors;
    }

    /// Returns the number of requests in the open window.
    pub fn window_requests(&self) -> u64 {
        self.lock().window.total.requests
    }

    /// Returns the counters since the start.
    pub fn total(&self) -> Tally {
        self.lock().total
    }

    fn lock(&self) -> MutexGuard<'_, Counters> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counters {
    fn add(&mut self, result: RequestResult<'_>) {
        self.total.add(result.failed);
        self.window.total.add(result.failed);
        tally(&mut self.window.clusters, result.cluster, result.failed);
        tally(&mut self.window.groups, result.group, result.failed);
    }
}

fn tally(by: &mut BTreeMap<String, Tally>, key: Option<&str>, failed: bool) {
    let Some(key) = key else { return };
    // Look up by reference first: the key is almost always present, and this path is hot in virtual time.
    if let Some(tally) = by.get_mut(key) {
        tally.add(failed);
    } else {
        by.entry(key.to_owned()).or_default().add(failed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request_result(cluster: Option<&'static str>, failed: bool) -> RequestResult<'static> {
        RequestResult { cluster, group: cluster, failed }
    }

    #[test]
    fn shares_count_the_managed_part_and_errors_count_everything() {
        let meter = Meter::default();
        meter.record_all((0..19).map(|_| request_result(Some("a"), false)));
        meter.record(request_result(Some("b"), true));
        meter.record_all((0..5).map(|_| request_result(None, true)));
        let measured =
            meter.take_window().into_measured(4, "setWeight: 5", &Shares::from([("a".into(), 95), ("b".into(), 5)]));
        assert_eq!((measured.requests, measured.client_errors), (25, 6));
        let b = &measured.clusters["b"];
        assert_eq!((format!("{} {}", b.planned, b.measured), b.requests, b.client_errors), ("5 5".into(), 1, 1));
        assert!((measured.clusters["a"].measured - 95.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_request_of_an_earlier_window_counts_only_its_error() {
        let meter = Meter::default();
        let early = meter.window_number();
        meter.record(request_result(Some("a"), true));
        meter.start_window();
        meter.record_in_window(early, request_result(Some("a"), false));
        meter.record_in_window(early, request_result(Some("a"), true));
        meter.record_in_window(meter.window_number(), request_result(Some("b"), false));
        let measured = meter.take_window().into_measured(2, "", &Shares::from([("a".into(), 0), ("b".into(), 100)]));
        assert_eq!((measured.requests, measured.client_errors), (1, 2));
        assert_eq!((measured.clusters["a"].requests, measured.clusters["b"].measured.to_string()), (0, "100".into()));
        assert_eq!(meter.take_window().total, Tally::default());
        assert_eq!(meter.total(), Tally { requests: 4, errors: 2 });
    }

    #[test]
    fn a_new_window_is_empty_and_the_total_is_kept() {
        let meter = Meter::default();
        meter.record(request_result(Some("a"), false));
        assert_eq!(meter.take_window().total.requests, 1);
        assert_eq!(meter.take_window(), Window::default());
        let silent = meter.take_window().into_measured(1, "bind", &Shares::from([("a".into(), 100), ("b".into(), 0)]));
        assert_eq!((silent.requests, silent.clusters["a"].measured.to_string()), (0, "0".into()));
        assert_eq!(meter.total(), Tally { requests: 1, errors: 0 });
    }
}
