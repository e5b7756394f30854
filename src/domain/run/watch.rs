//! What has been seen of the world lately: a fold over observations. It lives as long as the process; nothing in it outlives a crash, so
//! that whatever must hold for a time has to hold anew.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::event::{Started, Wait};
use crate::base::time::signed;
use crate::domain::elb::balancer::Target;
use crate::domain::health::gate::{FRESH, Sample, Samples};
use crate::domain::traffic::{Content, Found, Reading, RouteId, Unreadable};

/// One look at the world. What was not looked at is absent.
#[derive(Debug, Clone, Default)]
pub struct Observation {
    /// Routes.
    pub routes: BTreeMap<RouteId, Reading<Content>>,
    /// Targets by group.
    pub health: BTreeMap<String, Reading<Vec<Target>>>,
    /// Ready replicas behind a group of instance targets, where Kubernetes says.
    pub replicas: BTreeMap<String, u32>,
    /// The marker on the load balancers, or why it could not be read; `None` where the plan does without.
    pub marker: Option<Reading<Marker>>,
    /// Every route of the load balancers that could be read; empty where nobody asked.
    pub census: Vec<Found>,
}

impl Observation {
    /// Whether AWS throttled a part of it, however often that was asked for.
    pub fn throttled(&self) -> bool {
        let throttled = |why: Option<&Unreadable>| matches!(why, Some(Unreadable::Throttled));
        self.routes.values().any(|r| throttled(r.value.as_ref().err()))
            || self.health.values().any(|r| throttled(r.value.as_ref().err()))
            || throttled(self.marker.as_ref().and_then(|m| m.value.as_ref().err()))
    }
}

/// What the marker tags say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Marker {
    /// Ours, on every load balancer (or the plan does without).
    Ours,
    /// Missing somewhere, and nobody else's there.
    Missing,
    /// Another run's: its tag value.
    Other(String),
}

/// What is known of the world now.
#[derive(Debug, Clone)]
pub struct Watch {
    /// When this process began to look.
    pub since: Timestamp,
    /// The last try to look at everything.
    pub tried: Timestamp,
    /// The last look at everything that saw something.
    pub last_look: Option<Timestamp>,
    /// Routes as last read, or why they could not be.
    pub routes: BTreeMap<RouteId, Reading<Content>>,
    /// Samples by group.
    pub samples: BTreeMap<String, Samples>,
    /// Why a group could not be read the last time.
    pub unreadable: BTreeMap<String, Unreadable>,
    /// Since when something could not be read.
    pub blind_since: Option<Timestamp>,
    /// Ready replicas behind a group of instance targets.
    pub replicas: BTreeMap<String, u32>,
    /// The most pods that an autoscaler lets a group have; asked for while a raise waits.
    pub ceilings: BTreeMap<String, u32>,
    /// Every route of the load balancers when they were last counted.
    pub census: Vec<Found>,
    /// The marker as last read.
    pub marker: Option<Marker>,
    /// Why the marker could not be read the last time.
    pub marker_unread: Option<Unreadable>,
    /// When it was last read.
    marker_at: Timestamp,
    /// Why the lock may be somebody else's before long, though nobody else is known to have it.
    pub lapsed: Option<String>,
    /// Zones in which each group's targets have been seen.
    pub zones: BTreeMap<String, BTreeSet<String>>,
    /// Why bindings could not be made the last time, until that was waited for.
    pub unbound: Vec<Wait>,
    /// Routes whose writes are answered with no, again and again, and why.
    pub refused: BTreeMap<RouteId, String>,
    /// Times without a look too long for a bake to count them, as (from, to).
    gaps: Vec<(Timestamp, Timestamp)>,
    gap: SignedDuration,
    /// How far apart two looks may be for a bake to count the time between them, where the plan says so: then also those of two processes.
    apart: Option<SignedDuration>,
    /// The first look at everything that saw something.
    first_look: Option<Timestamp>,
    fresh: SignedDuration,
    keep: SignedDuration,
}

impl Watch {
    /// Begins to watch. `poll` is the time between two looks, `keep` how far back samples are needed.
    pub fn new(now: Timestamp, poll: Duration, keep: Duration) -> Self {
        Self {
            since: now,
            tried: Timestamp::MIN,
            last_look: None,
            routes: BTreeMap::new(),
            census: Vec::new(),
            samples: BTreeMap::new(),
            unreadable: BTreeMap::new(),
            blind_since: None,
            replicas: BTreeMap::new(),
            ceilings: BTreeMap::new(),
            marker: None,
            marker_unread: None,
            marker_at: Timestamp::MIN,
            lapsed: None,
            zones: BTreeMap::new(),
            unbound: Vec::new(),
            refused: BTreeMap::new(),
            gaps: Vec::new(),
            gap: signed(poll * 3),
            apart: None,
            first_look: None,
            fresh: FRESH,
            keep: signed(keep),
        }
    }

    /// The same with other bounds than three polls between two looks, and ten seconds for a fresh one: a clock that runs fast stretches
    /// what a look takes.
    #[must_use]
    pub fn bearing(self, gap: Duration, fresh: Duration) -> Self {
        Self { gap: signed(gap), fresh: signed(fresh), ..self }
    }

    /// The same where the plan says how far apart two looks may be for a bake to count (`observeEvery`); what gates go by stays as it is.
    #[must_use]
    pub fn observing(self, every: Option<Duration>) -> Self {
        Self { apart: every.map(|every| signed(every).max(self.gap)), ..self }
    }

    /// The same from now on with another bound between two looks.
    pub fn expect(&mut self, gap: Duration) {
        self.gap = signed(gap);
    }

    /// How long apart two looks may be before the time between them counts as unobserved.
    pub fn gap(&self) -> SignedDuration {
        self.gap
    }

    /// How old a sample may be to count as fresh.
    pub fn fresh(&self) -> SignedDuration {
        self.fresh
    }

    /// Takes a look in. `whole`: it was a look at everything, the kind that bakes count.
    pub fn absorb(&mut self, now: Timestamp, look: Observation, whole: bool) {
        if whole {
            self.tried = now;
        }
        for (group, reading) in look.health {
            match reading.value {
                Ok(targets) => {
                    self.unreadable.remove(&group);
                    self.sample(group, reading.at, &targets);
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
                (self.marker, self.marker_unread, self.marker_at) = (Some(marker), None, at)
            }
            // Nobody knows whose it is now, whatever it said before.
            Some(Reading { value: Err(why), .. }) => self.marker_unread = Some(why),
            None => {}
        }
        let blind = !self.unreadable.is_empty() || self.routes.values().any(|r| blinds(&r.value));
        // A look that saw nothing is none. What a bake counts is the traffic and its targets, which the marker says nothing about.
        if whole && !blind {
            self.count(now);
        }
        self.blind_since = if blind || self.marker_unread.is_some() { self.blind_since.or(Some(now)) } else { None };
    }

    fn count(&mut self, now: Timestamp) {
        let before = self.last_look.unwrap_or(self.since);
        if now.duration_since(before) > self.apart.unwrap_or(self.gap) {
            self.gaps.push((before, now));
        }
        self.first_look = self.first_look.or(Some(now));
        self.last_look = Some(now);
    }

    fn sample(&mut self, group: String, at: Timestamp, targets: &[Target]) {
        let (gap, keep) = (self.gap(), self.keep);
        self.zones.entry(group.clone()).or_default().extend(targets.iter().filter_map(|t| t.zone.clone()));
        let samples = self.samples.entry(group).or_default();
        // What held before a gap says nothing about the time in it.
        if samples.back().is_some_and(|last| at.duration_since(last.at) > gap) {
            samples.clear();
        }
        samples.push_back(Sample::of(at, targets));
        // One sample from before the window stays, so that the window is covered whole.
        while samples.get(1).is_some_and(|s| at.duration_since(s.at) > keep) {
            samples.pop_front();
        }
    }

    /// Whether the marker was ours when it was last read.
    pub fn marked(&self) -> bool {
        self.marker == Some(Marker::Ours) && self.marker_unread.is_none()
    }

    /// Whether that was long enough ago to read it again before something is written.
    pub fn marker_stale(&self, now: Timestamp) -> bool {
        now.duration_since(self.marker_at) > self.fresh
    }

    /// The samples of a group.
    pub fn of(&self, group: &str) -> &Samples {
        static NONE: Samples = Samples::new();
        self.samples.get(group).unwrap_or(&NONE)
    }

    /// Healthy targets of a group at the last look that could be read.
    pub fn healthy(&self, group: &str) -> Option<u32> {
        self.of(group).back().map(|s| s.counts.healthy)
    }

    /// Time since `from`, which somebody saw, in which somebody was looking, and that in which nobody was.
    pub fn observed(&self, from: Timestamp, now: Timestamp) -> (Duration, Duration) {
        let joined = self.apart.zip(self.first_look).is_some_and(|(apart, first)| first.duration_since(from) <= apart);
        let before = (if joined { self.since } else { from.min(self.since) }, self.since);
        let length =
            |from: Timestamp, to: Timestamp| Duration::try_from(to.duration_since(from)).unwrap_or(Duration::ZERO);
        // What comes after `now` is not over yet, whatever is known of it.
        let unseen = self.gaps.iter().chain([&before]).map(|(a, b)| length((*a).max(from), (*b).min(now))).sum();
        (length(from, now).saturating_sub(unseen), unseen)
    }

    /// What cannot be read at present, in words.
    pub fn blindness(&self, started: &Started) -> Option<String> {
        let group = |id: &String| started.groups.get(id).map_or_else(|| id.clone(), |group| group.name.clone());
        let route = |id: &RouteId| {
            started.routes.iter().find(|r| r.id == *id).map_or_else(|| id.to_string(), |r| r.label.clone())
        };
        let groups = self.unreadable.iter().map(|(g, why)| format!("health of {}: {why}", group(g)));
        let routes = self
            .routes
            .iter()
            .filter(|(_, r)| blinds(&r.value))
            .filter_map(|(id, r)| r.value.as_ref().err().map(|e| format!("{}: {e}", route(id))));
        let marker = self.marker_unread.iter().map(|why| format!("the marker tag: {why}"));
        let all: Vec<_> = groups.chain(routes).chain(marker).collect();
        let first = all.first()?;
        Some(if all.len() == 1 { first.clone() } else { format!("{first}, and {} more", all.len() - 1) })
    }
}

/// A deleted rule is something seen, not blindness.
fn blinds<T>(value: &Result<T, Unreadable>) -> bool {
    matches!(value, Err(why) if !matches!(why, Unreadable::NotFound(_)))
}
