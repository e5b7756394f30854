//! Collects the recent observations of this process. They are lost when the process ends, so a new process must observe
//! for the full time again before a condition "for some time" is met. Do not add decisions.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::comparison::Compared;
use super::event::{Started, Wait};
use crate::base::number::count;
use crate::base::time::signed;
use crate::domain::hand_over::Readings;
use crate::domain::health::Target;
use crate::domain::health::gate::{MAX_SAMPLE_AGE, Sample, Samples};
use crate::domain::traffic::{FoundRoute, Reading, RouteContent, RouteId, Unreadable};

/// The readings of one observation, without the routes and groups that were not read.
#[derive(Debug, Clone, Default)]
pub struct Observation {
    /// The reading of each route.
    pub routes: BTreeMap<RouteId, Reading<RouteContent>>,
    /// The reading of the targets, by the ARN of the group.
    pub health: BTreeMap<String, Reading<Vec<Target>>>,
    /// The number of ready replicas for each group of instance targets, if Kubernetes is reachable.
    pub replicas: BTreeMap<String, u32>,
    /// The reading of the marker on the load balancers; `None` if the plan has `marker: none`.
    pub marker: Option<Reading<Marker>>,
    /// The list of all routes of the load balancers; `None` if not requested.
    pub census: Option<Reading<Vec<FoundRoute>>>,
}

impl Observation {
    /// Whether AWS throttled one of the readings after all retries.
    pub fn is_throttled(&self) -> bool {
        let throttled = |why: Option<&Unreadable>| matches!(why, Some(Unreadable::Throttled));
        self.routes.values().any(|r| throttled(r.value.as_ref().err()))
            || self.health.values().any(|r| throttled(r.value.as_ref().err()))
            || throttled(self.marker.as_ref().and_then(|m| m.value.as_ref().err()))
    }
}

/// The state of the marker tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Marker {
    /// Every load balancer has the marker of this run.
    Ours,
    /// A load balancer has no marker, and no load balancer has the marker of another run.
    Missing,
    /// A load balancer has the marker of another run, with this tag value.
    Other(String),
}

/// The observations of this process up to now.
#[derive(Debug, Clone)]
pub struct Observed {
    /// The time at which this process began to observe.
    pub since: Timestamp,
    /// The time of the last attempt of a full observation.
    pub last_attempt: Timestamp,
    /// The time of the last full observation without a failed reading.
    pub last_full: Option<Timestamp>,
    /// The last reading of each route.
    pub routes: BTreeMap<RouteId, Reading<RouteContent>>,
    /// The health samples by group.
    pub samples: BTreeMap<String, Samples>,
    /// The groups whose last reading failed, each with the reason.
    pub unreadable: BTreeMap<String, Unreadable>,
    /// The time at which readings began to fail; `None` if all readings succeed.
    pub unreadable_since: Option<Timestamp>,
    /// The number of ready replicas for each group of instance targets.
    pub replicas: BTreeMap<String, u32>,
    /// The maximum number of pods that the HPA of each group allows. This is read only while the increase of a share
    /// waits.
    pub autoscaler_limits: BTreeMap<String, u32>,
    /// All routes of the load balancers at the last complete list.
    pub census: Vec<FoundRoute>,
    /// Why the last list of all routes failed.
    pub census_error: Option<Unreadable>,
    /// The times at which the last complete list was requested and received.
    census_times: (Timestamp, Timestamp),
    /// The marker at the last successful reading.
    pub marker: Option<Marker>,
    /// Why the last reading of the marker failed.
    pub marker_error: Option<Unreadable>,
    /// The time of the last successful reading of the marker.
    marker_at: Timestamp,
    /// Why the lock may expire soon; `None` if the lock is safe. No other owner of the lock is known.
    pub lock_warning: Option<String>,
    /// The zones in which each group has had targets.
    pub zones: BTreeMap<String, BTreeSet<String>>,
    /// The last comparison of both clusters.
    pub compared: Option<Compared>,
    /// The last reading of each item of a hand-over.
    pub items: Readings,
    /// Why bindings could not be created at the last attempt. Cleared before the next attempt.
    pub binding_waits: Vec<Wait>,
    /// Why header rules could not be planned, made or removed at the last attempt. Cleared before the next attempt.
    pub header_waits: Vec<Wait>,
    /// The routes whose writes are rejected repeatedly, each with the reason.
    pub rejected_writes: BTreeMap<RouteId, String>,
    /// The gaps between observations that are too long to count for a bake, as (from, to).
    gaps: Vec<(Timestamp, Timestamp)>,
    max_gap: SignedDuration,
    /// Maximum time between two observations of a bake, if the plan sets it (`observeEvery`). It then also applies to
    /// observations of different processes.
    max_bake_gap: Option<SignedDuration>,
    /// The time of the first full observation without a failed reading.
    first_full: Option<Timestamp>,
    max_sample_age: SignedDuration,
    sample_retention: SignedDuration,
}

impl Observed {
    /// Creates an empty set of observations. `poll` is the time between two observations; `keep` is how long samples
    /// are needed.
    pub fn new(now: Timestamp, poll: Duration, keep: Duration) -> Self {
        Self {
            since: now,
            last_attempt: Timestamp::MIN,
            last_full: None,
            routes: BTreeMap::new(),
            census: Vec::new(),
            census_error: None,
            census_times: (Timestamp::MIN, Timestamp::MIN),
            samples: BTreeMap::new(),
            unreadable: BTreeMap::new(),
            unreadable_since: None,
            replicas: BTreeMap::new(),
            autoscaler_limits: BTreeMap::new(),
            marker: None,
            marker_error: None,
            marker_at: Timestamp::MIN,
            lock_warning: None,
            zones: BTreeMap::new(),
            compared: None,
            items: Readings::new(),
            binding_waits: Vec::new(),
            header_waits: Vec::new(),
            rejected_writes: BTreeMap::new(),
            gaps: Vec::new(),
            max_gap: signed(poll * 3),
            max_bake_gap: None,
            first_full: None,
            max_sample_age: MAX_SAMPLE_AGE,
            sample_retention: signed(keep),
        }
    }

    /// Replaces the default limits (three polls between two observations, ten seconds for a fresh sample), for clocks
    /// that run faster than real time.
    #[must_use]
    pub fn with_bounds(self, gap: Duration, fresh: Duration) -> Self {
        Self { max_gap: signed(gap), max_sample_age: signed(fresh), ..self }
    }

    /// Sets the maximum time between two observations of a bake (`observeEvery`). Gates are not affected.
    #[must_use]
    pub fn with_observe_every(self, every: Option<Duration>) -> Self {
        Self { max_bake_gap: every.map(|every| signed(every).max(self.max_gap)), ..self }
    }

    /// Changes the maximum time between two observations.
    pub fn set_max_gap(&mut self, gap: Duration) {
        self.max_gap = signed(gap);
    }

    /// Returns the maximum time between two observations. A longer time counts as unobserved.
    pub fn max_gap(&self) -> SignedDuration {
        self.max_gap
    }

    /// Returns the maximum age of a fresh sample.
    pub fn max_sample_age(&self) -> SignedDuration {
        self.max_sample_age
    }

    /// Adds an observation. `is_full` says that the observation includes all routes and groups; only such an
    /// observation counts for a bake.
    pub fn add(&mut self, now: Timestamp, observation: Observation, is_full: bool) {
        if is_full {
            self.last_attempt = now;
        }
        for (group, reading) in observation.health {
            match reading.value {
                Ok(targets) => {
                    self.unreadable.remove(&group);
                    self.add_sample(group, reading.at, &targets);
                }
                Err(why) => {
                    self.unreadable.insert(group, why);
                }
            }
        }
        self.replicas.extend(observation.replicas);
        self.routes.extend(observation.routes);
        match observation.census {
            Some(Reading { at, value: Ok(routes) }) => {
                (self.census, self.census_error, self.census_times) = (routes, None, (at, now));
            }
            Some(Reading { value: Err(why), .. }) => self.census_error = Some(why),
            None => {}
        }
        match observation.marker {
            Some(Reading { at, value: Ok(marker) }) => {
                (self.marker, self.marker_error, self.marker_at) = (Some(marker), None, at);
            }
            // The owner is unknown now, even if the last reading showed an owner.
            Some(Reading { value: Err(why), .. }) => self.marker_error = Some(why),
            None => {}
        }
        let has_failures = !self.unreadable.is_empty() || self.routes.values().any(|r| is_unreadable(&r.value));
        // An observation with a failed reading does not count for a bake. A failed reading of the marker or a failed
        // list of all routes does not matter.
        if is_full && !has_failures {
            self.count_full(now);
        }
        let has_failures = has_failures || self.marker_error.is_some() || self.census_error.is_some();
        self.unreadable_since = if has_failures { self.unreadable_since.or(Some(now)) } else { None };
    }

    /// Removes the readings of routes and groups that are no longer observed.
    pub fn forget<'a>(&mut self, routes: &[RouteId], groups: impl IntoIterator<Item = &'a String>) {
        self.routes.retain(|id, _| !routes.contains(id));
        for group in groups {
            self.unreadable.remove(group);
            self.samples.remove(group);
        }
    }

    fn count_full(&mut self, now: Timestamp) {
        let before = self.last_full.unwrap_or(self.since);
        if now.duration_since(before) > self.max_bake_gap.unwrap_or(self.max_gap) {
            self.gaps.push((before, now));
        }
        self.first_full = self.first_full.or(Some(now));
        self.last_full = Some(now);
    }

    fn add_sample(&mut self, group: String, at: Timestamp, targets: &[Target]) {
        let (gap, keep) = (self.max_gap(), self.sample_retention);
        self.zones.entry(group.clone()).or_default().extend(targets.iter().filter_map(|t| t.zone.clone()));
        let samples = self.samples.entry(group).or_default();
        // Samples from before a gap do not count for the time in the gap.
        if samples.back().is_some_and(|last| at.duration_since(last.at) > gap) {
            samples.clear();
        }
        samples.push_back(Sample::of(at, targets));
        // One older sample is needed, so that the samples cover the time `keep` completely.
        while samples.get(1).is_some_and(|s| at.duration_since(s.at) > keep) {
            samples.pop_front();
        }
    }

    /// Whether all routes were read and listed after `since`.
    pub fn has_census_since(&self, since: Timestamp) -> bool {
        self.census_times.0 >= since
    }

    /// Whether the last complete list of all routes is not older than the maximum time between two observations.
    pub fn has_recent_census(&self, now: Timestamp) -> bool {
        now.duration_since(self.census_times.1) <= self.max_gap()
    }

    /// Whether the last reading showed the marker of this run on every load balancer.
    pub fn marker_is_ours(&self) -> bool {
        self.marker == Some(Marker::Ours) && self.marker_error.is_none()
    }

    /// Whether the marker must be read again before a write.
    pub fn marker_stale(&self, now: Timestamp) -> bool {
        now.duration_since(self.marker_at) > self.max_sample_age
    }

    /// Returns the samples of a group.
    pub fn samples_of(&self, group: &str) -> &Samples {
        static NO_SAMPLES: Samples = Samples::new();
        self.samples.get(group).unwrap_or(&NO_SAMPLES)
    }

    /// Returns the number of healthy targets in a group's last successful reading; `None` without a reading or without
    /// health checks.
    pub fn healthy(&self, group: &str) -> Option<u32> {
        self.samples_of(group).back().and_then(Sample::healthy)
    }

    /// Returns the observed and the unobserved time since `from`, which is the time of an observation.
    pub fn observed_time(&self, from: Timestamp, now: Timestamp) -> (Duration, Duration) {
        let is_continuous =
            self.max_bake_gap.zip(self.first_full).is_some_and(|(apart, first)| first.duration_since(from) <= apart);
        let before = (if is_continuous { self.since } else { from.min(self.since) }, self.since);
        let length =
            |from: Timestamp, to: Timestamp| Duration::try_from(to.duration_since(from)).unwrap_or(Duration::ZERO);
        // Only the part of a gap up to `now` counts.
        let unobserved = self.gaps.iter().chain([&before]).map(|(a, b)| length((*a).max(from), (*b).min(now))).sum();
        (length(from, now).saturating_sub(unobserved), unobserved)
    }

    /// Describes the readings that fail; `None` if all readings succeed.
    pub fn unreadable_summary(&self, started: &Started) -> Option<String> {
        let group = |id: &String| started.groups.get(id).map_or_else(|| id.clone(), |group| group.name.clone());
        let route = |id: &RouteId| {
            started.routes.iter().find(|r| r.id == *id).map_or_else(|| id.to_string(), |r| r.label.clone())
        };
        let groups = self.unreadable.iter().map(|(g, why)| format!("health of {}: {why}", group(g)));
        let routes = self
            .routes
            .iter()
            .filter(|(_, r)| is_unreadable(&r.value))
            .filter_map(|(id, r)| r.value.as_ref().err().map(|e| format!("{}: {e}", route(id))));
        let marker = self.marker_error.iter().map(|why| format!("the marker tag: {why}"));
        let census = self.census_error.iter().map(|why| format!("the list of all rules: {why}"));
        let all: Vec<_> = groups.chain(routes).chain(marker).chain(census).collect();
        let first = all.first()?;
        Some(if all.len() == 1 {
            first.clone()
        } else {
            format!("{first}, and {} failed", count(all.len() - 1, "other reading"))
        })
    }
}

/// Whether a reading failed. A deleted rule (`NotFound`) counts as a successful reading.
fn is_unreadable<T>(value: &Result<T, Unreadable>) -> bool {
    matches!(value, Err(why) if !matches!(why, Unreadable::NotFound(_)))
}
