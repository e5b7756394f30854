//! A part of the run on the horizontal axis, and how points in time become blocks on it.

use jiff::{SignedDuration, Timestamp};

use super::super::{EventKind, ReportInput};
use crate::domain::health::HealthCounts;
use crate::domain::run::event::Event;

/// The width of the chart in its own units.
pub(super) const WIDTH: f64 = 1000.0;
/// Changes closer than this are drawn as one.
const MIN_DISTANCE: f64 = 0.5;
/// Problems closer than this belong to one incident.
const INCIDENT_GAP: SignedDuration = SignedDuration::from_mins(10);
/// The minimum time that is shown before and after an incident.
const MARGIN: SignedDuration = SignedDuration::from_secs(30);
/// An incident is enlarged if it takes at most this part of the run.
const SMALL_PART: i32 = 3;

/// A part of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub from: Timestamp,
    pub to: Timestamp,
}

impl Span {
    /// Returns the whole run.
    pub fn whole(input: &ReportInput) -> Self {
        Self { from: input.history.time.0, to: input.history.time.1 }
    }

    /// Returns the incident, if it is only a small part of the run: from the fault or the first sign of the problem to
    /// the end of the rollback, or to the freeze. `None` if nothing went wrong: a run without rollback and freeze, and
    /// a rollback that an operator requested without a problem before it.
    pub fn incident(input: &ReportInput) -> Option<Self> {
        let (pivot, last) = consequence(input)?;
        let events = input.important_events();
        let before = |wanted: EventKind| {
            let of_kind = events.iter().filter(move |(at, kind, _)| *kind == wanted && *at <= pivot);
            of_kind.map(|(at, ..)| *at).rev()
        };
        let near = |first: Timestamp, at: Timestamp| if first.duration_since(at) <= INCIDENT_GAP { at } else { first };
        let sign = before(EventKind::Trouble).fold(pivot, near);
        let sign = losses(input).into_iter().rev().filter(|at| *at <= sign).fold(sign, near);
        let fault = before(EventKind::Fault).find(|at| *at <= sign);
        let is_requested = before(EventKind::Person).any(|at| at == pivot);
        if is_requested && sign == pivot && fault.is_none() {
            return None;
        }
        // A fault long before the problem may have nothing to do with it.
        let spans = [fault.unwrap_or(sign), sign].map(|first| Self::around(input, first, last));
        let whole = Self::whole(input);
        spans.into_iter().find(|span| span.length() * SMALL_PART <= whole.length())
    }

    /// Returns the time from `first` to `last` with some time around it.
    fn around(input: &ReportInput, first: Timestamp, last: Timestamp) -> Self {
        let whole = Self::whole(input);
        let margin = MARGIN.max(last.duration_since(first) / 3);
        let from = first.checked_sub(margin).map_or(whole.from, |at| at.max(whole.from));
        Self { from, to: last.checked_add(margin).map_or(whole.to, |at| at.min(whole.to)) }
    }

    fn length(self) -> SignedDuration {
        self.to.duration_since(self.from)
    }

    /// Returns the place of a time, from 0 to [`WIDTH`].
    #[allow(clippy::cast_precision_loss)] // milliseconds of a run
    pub fn x(self, at: Timestamp) -> f64 {
        let length = self.to.as_millisecond() - self.from.as_millisecond();
        let since = (at.as_millisecond() - self.from.as_millisecond()).clamp(0, length);
        since as f64 / length.max(1) as f64 * WIDTH
    }

    pub fn contains(self, at: Timestamp) -> bool {
        self.from <= at && at <= self.to
    }

    /// Returns the time after `part` of `parts` equal parts.
    pub fn part(self, part: i64, parts: i64) -> Timestamp {
        let (from, to) = (self.from.as_millisecond(), self.to.as_millisecond());
        Timestamp::from_millisecond(from + (to - from) * part / parts).unwrap_or(self.from)
    }

    /// Returns the differences of two running totals, each with its time. Times too short to be visible are joined.
    pub fn differences(self, totals: &[(Timestamp, u64, u64)]) -> Vec<(Self, u64, u64)> {
        let mut kept: Vec<(Timestamp, u64, u64)> = Vec::new();
        for total in totals.iter().filter(|(at, ..)| self.contains(*at)) {
            if kept.last().is_none_or(|last| self.x(total.0) - self.x(last.0) >= MIN_DISTANCE) {
                kept.push(*total);
            }
        }
        let pairs = kept.iter().zip(kept.iter().skip(1));
        let part = |(a, b): (&(Timestamp, u64, u64), &(Timestamp, u64, u64))| {
            (Self { from: a.0, to: b.0 }, b.1.saturating_sub(a.1), b.2.saturating_sub(a.2))
        };
        pairs.map(part).collect()
    }

    /// Returns each point with the time until the next point, limited to this span. Points too close to be visible are
    /// dropped.
    pub fn blocks<T: Clone>(self, points: impl Iterator<Item = (Timestamp, T)>) -> Vec<(Self, T)> {
        let mut kept: Vec<(Timestamp, T)> = Vec::new();
        for (at, point) in points.take_while(|(at, _)| *at <= self.to) {
            match kept.last_mut() {
                Some(last) if self.x(at) - self.x(last.0) < MIN_DISTANCE => {
                    *last = (last.0.max(at.min(self.from)), point);
                }
                _ => kept.push((at.max(self.from), point)),
            }
        }
        let ends = kept.iter().skip(1).map(|(at, _)| *at).chain([self.to]).collect::<Vec<_>>();
        kept.into_iter().zip(ends).map(|((from, point), to)| (Self { from, to }, point)).collect()
    }
}

/// Returns when the run reacted to an incident, and when that was over: the rollback and its end, or the last freeze.
fn consequence(input: &ReportInput) -> Option<(Timestamp, Timestamp)> {
    let rollback = input
        .records
        .iter()
        .position(|record| matches!(record.event, Event::RollbackStarted { .. } | Event::RampStarted { .. }));
    if let Some(place) = rollback {
        let mut rest = input.records[place..].iter();
        let end = rest.find(|record| matches!(record.event, Event::Finished { .. }));
        return Some((input.records[place].time, end.map_or(input.history.time.1, |record| record.time)));
    }
    let frozen = input.records.iter().rev().find(|record| matches!(record.event, Event::Frozen { .. }))?;
    // A run that stays frozen ends long after its problem.
    Some((frozen.time, frozen.time))
}

/// Returns when a cluster lost healthy targets.
fn losses(input: &ReportInput) -> Vec<Timestamp> {
    let lost = |(before, after): (&HealthCounts, &HealthCounts)| after.healthy < before.healthy;
    let pairs = input.history.health.iter().zip(input.history.health.iter().skip(1));
    let changed = pairs.filter(|(before, after)| {
        after.targets.iter().any(|(cluster, after)| before.targets.get(cluster).is_some_and(|b| lost((b, after))))
    });
    changed.map(|(_, after)| after.at).collect()
}

/// Rounds to two digits.
pub(super) fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
