//! Declares the scalar values of the plan file about time: days, times of day, time zones, moments.

use jiff::Timestamp;
use jiff::civil::{DateTime, Time, Weekday};
use jiff::tz::TimeZone;
use schemars::json_schema;

use super::decode::{Decode, clip, note};
use super::diagnostic::Diagnostic;
use super::scalar::{one_of, scalar, word};
use super::suggest::closest;
use super::yaml::Node;
use crate::base::finding::Code;
use crate::base::hours::{zone, zones};

word! {
    /// A day of the week.
    Day CUT034 { Mon "mon", Tue "tue", Wed "wed", Thu "thu", Fri "fri", Sat "sat", Sun "sun" }
    /// What happens when an approval times out.
    ApprovalReaction CUT005 { Rollback "rollback", Pause "pause", Proceed "proceed" }
}

impl Day {
    /// Returns the day as jiff's type.
    pub fn weekday(self) -> Weekday {
        match self {
            Self::Mon => Weekday::Monday,
            Self::Tue => Weekday::Tuesday,
            Self::Wed => Weekday::Wednesday,
            Self::Thu => Weekday::Thursday,
            Self::Fri => Weekday::Friday,
            Self::Sat => Weekday::Saturday,
            Self::Sun => Weekday::Sunday,
        }
    }
}

/// A moment as written in the plan file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum MomentValue {
    /// A point in time with its offset from UTC.
    At(Timestamp),
    /// A moment without an offset: a time that the clock of a time zone shows.
    Wall(DateTime),
}

scalar! {
    /// A time of day in hours and minutes; `None` means 24:00.
    Clock(Option<Time>) = { "type": "string", "pattern": "^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$" }, decode_clock;
    /// An IANA time zone.
    Zone(TimeZone) = { "type": "string", "minLength": 1, "examples": ["Europe/Berlin", "Asia/Seoul", "UTC"] }, decode_zone;
    /// A moment: RFC 3339, or a date with or without a time of day and without an offset.
    Moment(MomentValue) = {
        "type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}([T \
            ][0-9]{2}:[0-9]{2}(:[0-9]{2})?([zZ]|[+-][0-9]{2}:[0-9]{2})?)?$"
    }, decode_moment;
}

#[allow(clippy::option_option)] // `None`: unreadable; `Some(None)`: 24:00, which `Time` cannot express
fn decode_clock(node: &Node, out: &mut Vec<Diagnostic>) -> Option<Option<Time>> {
    let text = node.text("a time of day such as `09:00`", out)?;
    if text == "24:00" {
        return Some(None);
    }
    let number =
        |part: &str| (part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit())).then(|| part.parse().ok()).flatten();
    let time = text.split_once(':').and_then(|(hour, minute)| Time::new(number(hour)?, number(minute)?, 0, 0).ok());
    if time.is_none() {
        let message = format!("`{}` is not a valid time of day", clip(text));
        let help = "write two digits for the hour and two for the minute: `09:00`; the day ends at `24:00`";
        return note(out, Code::CUT034, node.place, message).help(help).without_value();
    }
    time.map(Some)
}

fn decode_zone(node: &Node, out: &mut Vec<Diagnostic>) -> Option<TimeZone> {
    let text = node.text("an IANA time zone", out)?;
    let found = zone(text);
    if found.is_none() {
        let noted = note(out, Code::CUT034, node.place, format!("`{}` is not a known time zone", clip(text))).unknown();
        match closest(text, zones()) {
            Some(meant) => noted.help(format!("did you mean `{meant}`?")),
            None => {
                noted.help("write a name of the IANA database, such as `Europe/Berlin`, `America/New_York` or `UTC`")
            }
        };
    }
    found
}

fn decode_moment(node: &Node, out: &mut Vec<Diagnostic>) -> Option<MomentValue> {
    let text = node.text("a date and time", out)?;
    let wall = || text.parse::<DateTime>().ok().filter(|_| text.len() <= 19);
    let read = text.parse().ok().map(MomentValue::At).or_else(|| wall().map(MomentValue::Wall));
    if read.is_none() {
        let noted =
            note(out, Code::CUT034, node.place, format!("`{}` is not a valid date and time", clip(text))).unknown();
        noted.help("write a time like `2026-12-24T12:00:00+01:00`, or a date like `2026-12-24` together with `zone`");
    }
    read
}
