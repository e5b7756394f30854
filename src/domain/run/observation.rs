//! What this process has observed recently: a fold over observations. It is lost with the process, so a condition that
//! must hold for some time has to hold for that time again. Decisions do not belong here.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::event::{Started, Wait};
use crate::base::time::signed;
use crate::domain::health::Target;
use crate::domain::health::gate::{MAX_SAMPLE_AGE, Sample, Samples};
use crate::domain::traffic::{FoundRoute, Reading, RouteContent, RouteId, Unreadable};

/// The readings of one observation. Routes and groups that were not read are absent.
#[derive(Debug, Clone, Default)]
pub struct Observation {
    /// Routes.
    pub routes: BTreeMap<RouteId, Reading<RouteContent>>,
    /// Targets by group.
    pub health: BTreeMap<String, Reading<Vec<Target>>>,
    /// Ready replicas behind a group of instance targets, where Kubernetes is reachable.
    pub replicas: BTreeMap<String, u32>,
    /// The marker on the load balancers, or why it could not be read; `None` where the plan has `marker: none`.
    pub marker: Option<Reading<Marker>>,
    /// Every readable route of the load balancers; empty if not requested.
    pub census: Vec<FoundRoute>,
}

impl Observation {
    /// Whether AWS throttled one of its readings, after all retries.
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
    /// Ours on every load balancer (or the plan has `marker: none`).
    Ours,
    /// Missing on a load balancer, and no other run's marker is there.
    Missing,
    /// The marker of another run: its tag value.
    Other(String),
}

/// What this process has observed, up to now.
#[derive(Debug, Clone)]
pub struct Observed {
    /// When this process began to observe.
    pub since: Timestamp,
    /// The last attempt of a full observation.
    pub last_attempt: Timestamp,
    /// The last full observation that could be read.
    pub last_full: Option<Timestamp>,
    /// The last reading of each route, or why it failed.
    pub routes: BTreeMap<RouteId, Reading<RouteContent>>,
    /// Health samples by group.
    pub samples: BTreeMap<String, Samples>,
    /// Groups whose last reading failed, and why.
    pub unreadable: BTreeMap<String, Unreadable>,
    /// Since when some reading fails.
    pub unreadable_since: Option<Timestamp>,
    /// Ready replicas behind a group of instance targets.
    pub replicas: BTreeMap<String, u32>,
    /// The maximum of pods that the autoscaler of a group allows; read while a raise waits.
    pub autoscaler_limits: BTreeMap<String, u32>,
    /// Every route of the load balancers at the last listing.
    pub census: Vec<FoundRoute>,
    /// The marker at the last successful reading.
    pub marker: Option<Marker>,
    /// Why the last reading of the marker failed.
    pub marker_error: Option<Unreadable>,
    /// When the marker was last read.
    marker_at: Timestamp,
    /// Why the lock may expire soon, although no other owner is known.
    pub lock_warning: Option<String>,
    /// Zones in which each group has had targets.
    pub zones: BTreeMap<String, BTreeSet<String>>,
    /// Why bindings could not be created at the last attempt, until that wait is over.
    pub binding_waits: Vec<Wait>,
    /// Routes whose writes are rejected repeatedly, and why.
    pub rejected_writes: BTreeMap<RouteId, String>,
    /// Gaps between observations that are too long for a bake to count, as (from, to).
    gaps: Vec<(Timestamp, Timestamp)>,
    max_gap: SignedDuration,
    /// Maximum time between two observations for a bake, if the plan sets it (`observeEvery`). It then applies across
    /// processes, too.
    max_bake_gap: Option<SignedDuration>,
    /// The first full observation that could be read.
    first_full: Option<Timestamp>,
    max_sample_age: SignedDuration,
    sample_retention: SignedDuration,
}

impl Observed {
    /// Starts observing. `poll` is the time between two observations, `keep` how far back samples are needed.
    pub fn new(now: Timestamp, poll: Duration, keep: Duration) -> Self {
        Self {
            since: now,
            last_attempt: Timestamp::MIN,
            last_full: None,
            routes: BTreeMap::new(),
            census: Vec::new(),
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
            binding_waits: Vec::new(),
            rejected_writes: BTreeMap::new(),
            gaps: Vec::new(),
            max_gap: signed(poll * 3),
            max_bake_gap: None,
            first_full: None,
            max_sample_age: MAX_SAMPLE_AGE,
            sample_retention: signed(keep),
        }
    }

    /// Replaces the default bounds (three polls between two observations, ten seconds for a fresh sample), for clocks
    /// that run faster than real time.
    #[must_use]
    pub fn with_bounds(self, gap: Duration, fresh: Duration) -> Self {
        Self { max_gap: signed(gap), max_sample_age: signed(fresh), ..self }
    }

    /// Sets the maximum time between two observations for a bake (`observeEvery`). Gates are not affected.
    #[must_use]
    pub fn with_observe_every(self, every: Option<Duration>) -> Self {
        Self { max_bake_gap: every.map(|every| signed(every).max(self.max_gap)), ..self }
    }

    /// Changes the maximum time between two observations.
    pub fn set_max_gap(&mut self, gap: Duration) {
        self.max_gap = signed(gap);
    }

    /// Maximum time between two observations; more counts as unobserved.
    pub fn max_gap(&self) -> SignedDuration {
        self.max_gap
    }

    /// Maximum age of a fresh sample.
    pub fn max_sample_age(&self) -> SignedDuration {
        self.max_sample_age
    }

    /// Adds an observation. `whole`: it is a full observation, the kind that counts for a bake.
    pub fn add(&mut self, now: Timestamp, look: Observation, whole: bool) {
        if whole {
            self.last_attempt = now;
        }
        for (group, reading) in look.health {
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
        self.replicas.extend(look.replicas);
        self.routes.extend(look.routes);
        if !look.census.is_empty() {
            self.census = look.census;
        }
        match look.marker {
            Some(Reading { at, value: Ok(marker) }) => {
                (self.marker, self.marker_error, self.marker_at) = (Some(marker), None, at);
            }
            // The owner is unknown now, whatever the last reading said.
            Some(Reading { value: Err(why), .. }) => self.marker_error = Some(why),
            None => {}
        }
        let blind = !self.unreadable.is_empty() || self.routes.values().any(|r| is_unreadable(&r.value));
        // An observation with a failed reading does not count. A bake counts traffic and targets; the marker does not
        // matter for it.
        if whole && !blind {
            self.count_full(now);
        }
        self.unreadable_since =
            if blind || self.marker_error.is_some() { self.unreadable_since.or(Some(now)) } else { None };
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
        // Samples from before a gap say nothing about the time in the gap.
        if samples.back().is_some_and(|last| at.duration_since(last.at) > gap) {
            samples.clear();
        }
        samples.push_back(Sample::of(at, targets));
        // Keep one sample from before the window, so that the window is covered completely.
        while samples.get(1).is_some_and(|s| at.duration_since(s.at) > keep) {
            samples.pop_front();
        }
    }

    /// Whether the last reading of the marker showed it as ours.
    pub fn marker_is_ours(&self) -> bool {
        self.marker == Some(Marker::Ours) && self.marker_error.is_none()
    }

    /// Whether the marker must be read again before a write.
    pub fn marker_stale(&self, now: Timestamp) -> bool {
        now.duration_since(self.marker_at) > self.max_sample_age
    }

    /// Returns the samples of a group.
    pub fn samples_of(&self, group: &str) -> &Samples {
        static NONE: Samples = Samples::new();
        self.samples.get(group).unwrap_or(&NONE)
    }

    /// Healthy targets of a group in its last successful reading; `None` without one, or if its targets are not checked.
    pub fn healthy(&self, group: &str) -> Option<u32> {
        self.samples_of(group).back().and_then(Sample::healthy)
    }

    /// Observed and unobserved time since `from`, which is the time of an observation.
    pub fn observed_time(&self, from: Timestamp, now: Timestamp) -> (Duration, Duration) {
        let joined =
            self.max_bake_gap.zip(self.first_full).is_some_and(|(apart, first)| first.duration_since(from) <= apart);
        let before = (if joined { self.since } else { from.min(self.since) }, self.since);
        let length =
            |from: Timestamp, to: Timestamp| Duration::try_from(to.duration_since(from)).unwrap_or(Duration::ZERO);
        // A gap that ends after `now` counts only up to `now`.
        let unseen = self.gaps.iter().chain([&before]).map(|(a, b)| length((*a).max(from), (*b).min(now))).sum();
        (length(from, now).saturating_sub(unseen), unseen)
    }

    /// Returns the readings that fail, as text; `None` if none fails.
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
        let all: Vec<_> = groups.chain(routes).chain(marker).collect();
        let first = all.first()?;
        Some(if all.len() == 1 { first.clone() } else { format!("{first}, and {} more", all.len() - 1) })
    }
}

/// A deleted rule is a reading, not a failure to read.
fn is_unreadable<T>(value: &Result<T, Unreadable>) -> bool {
    matches!(value, Err(why) if !matches!(why, Unreadable::NotFound(_)))
}
