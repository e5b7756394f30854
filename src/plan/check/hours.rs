//! Checks `notBefore`, windows and blackouts, and that every step fits into a window.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Diagnostic, Placed, note};
use crate::base::duration;
use crate::base::finding::Code;
use crate::base::hours::{self, Hours};
use crate::plan::file::{Blackout, Step, Strategy, Window};
use crate::plan::model;
use crate::plan::schedule::steps_without_window;
use crate::plan::time::{Moment, MomentValue};

pub(super) fn hours(strategy: &Strategy, out: &mut Vec<Diagnostic>) -> Hours {
    Hours {
        not_before: strategy.not_before.as_ref().and_then(|moment| instant(moment, None, "", out)),
        windows: strategy.windows.iter().flat_map(|all| &all.value).filter_map(|w| window(w, out)).collect(),
        blackouts: strategy.blackouts.iter().flat_map(|all| &all.value).filter_map(|b| blackout(b, out)).collect(),
    }
}

fn window(at: &Placed<Window>, out: &mut Vec<Diagnostic>) -> Option<hours::Window> {
    let Window { days, from, to, zone } = &at.value;
    let days = days.as_ref()?;
    if days.value.is_empty() && days.complete {
        note(out, Code::CUT034, days.head, "a window without a day never opens")
            .help("list the days of the window, or remove `days` for every day");
    }
    let (from, to) = (from.as_ref()?, to.as_ref()?);
    if from.value.0 == to.value.0 {
        note(out, Code::CUT034, to.place, "the window closes at the time at which it opens")
            .help("for full days write `from: \"00:00\"` and `to: \"24:00\"`");
    }
    let Some(opens) = from.value.0 else {
        let noted = note(out, Code::CUT034, from.place, "a window cannot open at 24:00");
        return noted.help("write `00:00` of the next day").without_value();
    };
    let days = days.value.iter().map(|d| d.value.weekday()).collect();
    Some(hours::Window { days, from: opens, to: to.value.0, zone: zone.as_ref()?.value.0.clone() })
}

fn blackout(at: &Placed<Blackout>, out: &mut Vec<Diagnostic>) -> Option<hours::Blackout> {
    let Blackout { from, to, zone, reason } = &at.value;
    let (begin, end) = (from.as_ref()?, to.as_ref()?);
    let zone = zone.as_ref().map(|z| &z.value.0);
    let help = ", or add `zone`";
    let (from, to) = (instant(begin, zone, help, out), instant(end, zone, help, out));
    let (from, to) = (from?, to?);
    if to <= from {
        note(out, Code::CUT034, end.place, "the blackout ends before it begins").help("`to` must be later than `from`");
    }
    Some(hours::Blackout { from, to, reason: reason.as_ref().map(|r| r.value.0.clone()) })
}

fn instant(
    moment: &Placed<Moment>,
    zone: Option<&TimeZone>,
    help: &str,
    out: &mut Vec<Diagnostic>,
) -> Option<Timestamp> {
    match (moment.value.0, zone) {
        (MomentValue::At(at), _) => Some(at),
        (MomentValue::Wall(wall), Some(zone)) => zone.to_timestamp(wall).ok().or_else(|| {
            note(out, Code::CUT034, moment.place, format!("{wall} is outside of the supported dates"))
                .help("write a date within the next years")
                .without_value()
        }),
        (MomentValue::Wall(wall), None) => {
            let noted = note(out, Code::CUT034, moment.place, format!("{wall} has no time zone"));
            noted.help(format!("add an offset, as in `2026-12-24T12:00:00+01:00`{help}")).without_value()
        }
    }
}

/// Adds an error for each step that does not fit into any window together with the pauses after it.
pub(super) fn check_steps_fit(
    places: &[&Placed<Step>],
    checked: &model::Strategy,
    routes: usize,
    out: &mut Vec<Diagnostic>,
) {
    let steps: Vec<_> = checked.steps.iter().zip(places.iter().copied()).collect();
    for (step, long) in steps_without_window(checked, routes) {
        // The error points to the longest of the pauses.
        let pauses = steps.iter().skip(step.number).take_while(|(s, _)| !super::is_shares(&s.kind));
        let length =
            |s: &model::Step| if let model::StepKind::Bake(time) = s.kind { time } else { std::time::Duration::ZERO };
        let longest = pauses.max_by_key(|(s, _)| length(s));
        let pause = longest.and_then(|(_, at)| at.value.pause.as_ref()?.value.duration.as_ref()).map(|d| d.place);
        let head = steps.iter().find(|(s, _)| s.number == step.number).map(|(_, at)| at.head);
        let Some(place) = pause.or(head) else { continue };
        let message = format!(
            "step {} and the pauses after it take {}, but no window is that long",
            step.number,
            duration::format_exact(long)
        );
        note(out, Code::CUT035, place, message)
            .help("shorten the pause, split it with another step, or use a longer window");
    }
}
