//! Windows, blackouts and the like: when a step may begin. Pure, over absolute times; the wall clocks of zones come in only where windows open and close.
//!
//! A window is open while the clock on the wall there reads so. Where that clock is put forward over its opening or closing time, the moment at which it is
//! put forward counts; where it is put back and reads a time twice, it opens at the later one and closes at the earlier one, so that it is never
//! open while the clock says otherwise.

use std::time::Duration;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp, ToSpan};

use crate::domain::run::event::{Wait, WaitReason};
use crate::plan::hours::{Blackout, Hours, Window};
use crate::plan::model::{OnTimeout, Plan, Shares, Step, StepKind, Strategy};

/// From one time up to another, later one.
type Span = (Timestamp, Timestamp);

/// Windows come back every week, so that this many days show whether something fits at all, where no blackout is in the way.
const NEAR: i64 = 10;
/// How many days blackouts are looked beyond.
const FAR: i64 = 800;

/// How long a step and the pauses after it take at the least, up to the next step that moves a share. A person's approval and a command take no time.
pub fn need(strategy: &Strategy, number: usize) -> Duration {
    let after = strategy.steps.iter().skip(number).take_while(|s| !matches!(s.kind, StepKind::Shares(_)));
    strategy.settle + after.map(|s| takes(strategy, s)).sum::<Duration>()
}

/// How long a step takes at the least.
pub fn takes(strategy: &Strategy, step: &Step) -> Duration {
    match step.kind {
        StepKind::Bind | StepKind::Shares(_) => strategy.settle,
        StepKind::Bake(time) => time,
        StepKind::Approval(_) | StepKind::Exec(_) => Duration::ZERO,
    }
}

/// Whether a step gives a cluster more than it has, and more than it had at the start: what only goes back waits for no window.
pub fn raises(strategy: &Strategy, number: usize) -> bool {
    let shares = |step: &Step| if let StepKind::Shares(shares) = &step.kind { Some(shares.clone()) } else { None };
    let Some(then) = strategy.steps.get(number.wrapping_sub(1)).and_then(shares) else { return false };
    let before = strategy.steps.iter().take(number - 1).rev().find_map(shares).or_else(|| strategy.start.clone());
    let of = |all: &Option<Shares>, cluster: &str| all.as_ref().and_then(|s| s.get(cluster)).copied().unwrap_or(0);
    then.iter().any(|(cluster, share)| *share > of(&before, cluster).max(of(&strategy.start, cluster)))
}

/// Why a step may not begin at this time, and from when on it may; `None`: it may.
pub fn wait(strategy: &Strategy, number: usize, now: Timestamp) -> Option<Wait> {
    let hours = &strategy.hours;
    let until = |message: String, until| Some(Wait { reason: WaitReason::Window, message, until });
    if let Some(first) = hours.not_before.filter(|first| now < *first) {
        return until(format!("not before {}", spell(hours, first)), Some(first));
    }
    if hours.is_empty() || !raises(strategy, number) {
        return None;
    }
    let need = need(strategy, number);
    let begins = fits(hours, now, need);
    if begins == Some(now) {
        return None;
    }
    let long = crate::domain::decide::spell(need);
    let why = match in_the_way(hours, now, need) {
        Some(Blackout { from, to, reason, .. }) => {
            let reason = reason.as_ref().map(|r| format!(" ({r})")).unwrap_or_default();
            format!("a blackout from {} to {}{reason} leaves no {long} for step {number}", spell(hours, *from), spell(hours, *to))
        }
        None => format!("step {number} and the pause after it take {long}, and fit into no window before"),
    };
    match begins {
        Some(begins) => until(format!("{why}; it begins {}", spell(hours, begins)), Some(begins)),
        None => until(format!("{why}; nor do they in the next two years"), None),
    }
}

/// Since when steps may begin that may begin now; `None` where they may not.
pub fn opened(hours: &Hours, now: Timestamp) -> Option<Timestamp> {
    let open = spans(hours, days(now, -NEAR), days(now, 1));
    open.into_iter().find(|(from, to)| *from <= now && now < *to).map(|(from, _)| from)
}

/// The earliest time from `at` on from which so long is open in one piece, within about two years.
pub fn fits(hours: &Hours, at: Timestamp, need: Duration) -> Option<Timestamp> {
    let at = hours.not_before.map_or(at, |first| first.max(at));
    let need = SignedDuration::try_from(need).ok()?;
    [NEAR, FAR].into_iter().find_map(|far| {
        let open = spans(hours, at, days(at, far).checked_add(need).ok()?);
        open.into_iter().map(|(from, to)| (from.max(at), to)).find(|(from, to)| to.duration_since(*from) >= need).map(|(from, _)| from)
    })
}

/// The earliest start of each step of a plan that begins at `at`, and last its end; shorter where something fits nowhere.
pub fn schedule(plan: &Plan, at: Timestamp) -> Vec<Timestamp> {
    let strategy = &plan.strategy;
    let mut time = strategy.hours.not_before.map_or(at, |first| first.max(at));
    let mut times = Vec::new();
    for step in &strategy.steps {
        if raises(strategy, step.number) {
            let Some(begins) = fits(&strategy.hours, time, need(strategy, step.number)) else { return times };
            time = begins;
        }
        times.push(time);
        time = crate::domain::decide::later(time, takes(strategy, step));
    }
    times.push(time);
    times
}

/// A time as the people of the plan's hours read it: `Mon 2026-03-30 09:00 CEST (07:00 UTC)`.
pub fn spell(hours: &Hours, at: Timestamp) -> String {
    let utc = at.strftime("%H:%M UTC");
    match zone_at(hours, at) {
        Some(zone) => format!("{} ({utc})", at.to_zoned(zone.clone()).strftime("%a %F %H:%M %Z")),
        None => at.strftime("%a %F %H:%M UTC").to_string(),
    }
}

/// The zone of the window that is open then, else of the first one.
pub fn zone_at(hours: &Hours, at: Timestamp) -> Option<&TimeZone> {
    let open = |w: &&Window| window(w, days(at, -1), days(at, 1)).iter().any(|(from, to)| *from <= at && at <= *to);
    hours.windows.iter().find(open).or(hours.windows.first()).map(|w| &w.zone)
}

/// What a time-out does, as plans spell it.
pub fn then(then: OnTimeout) -> &'static str {
    match then {
        OnTimeout::Rollback => "rollback",
        OnTimeout::Pause => "pause",
        OnTimeout::Proceed => "proceed",
    }
}

/// The first blackout within so long, where the windows alone would do.
fn in_the_way(hours: &Hours, now: Timestamp, need: Duration) -> Option<&Blackout> {
    let without = Hours { blackouts: Vec::new(), ..hours.clone() };
    let alone = fits(&without, now, need) == Some(now);
    let end = crate::domain::decide::later(now, need);
    hours.blackouts.iter().filter(|b| alone && b.from < end && now < b.to).min_by_key(|b| b.from)
}

/// When steps may begin and go on, from a time to another, in order; touching pieces are one.
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

/// What is left of a span without another one.
fn without((begin, end): Span, from: Timestamp, to: Timestamp) -> impl Iterator<Item = Span> {
    let parts = if to <= begin || end <= from { [(begin, end), (end, end)] } else { [(begin, from), (to, end)] };
    parts.into_iter().filter(|(from, to)| from < to)
}

/// Every time that a window is open between two times.
fn window(window: &Window, from: Timestamp, to: Timestamp) -> Vec<Span> {
    let first = window.zone.to_datetime(days(from, -2)).date();
    let last = window.zone.to_datetime(to).date();
    let dates = std::iter::successors(Some(first), |date| date.tomorrow().ok()).take_while(|date| *date <= last);
    dates.filter(|date| window.days.contains(&date.weekday())).filter_map(|date| on(window, date)).filter(|span| span.1 > from).collect()
}

/// The window that opens on a day, where the clocks leave anything of it.
fn on(window: &Window, date: Date) -> Option<Span> {
    let midnight = Time::midnight();
    let next = window.to.is_none_or(|to| to <= window.from);
    let closes = if next { date.tomorrow().ok()? } else { date }.to_datetime(window.to.unwrap_or(midnight));
    let opens = date.to_datetime(window.from);
    let end = instant(&window.zone, closes, false)?;
    let late = instant(&window.zone, opens, true)?;
    let begin = if late < end { late } else { instant(&window.zone, opens, false)? };
    (begin < end).then_some((begin, end))
}

/// When a zone's clock reads this: the later or the earlier time where it does so twice; where it never does, when it is put forward over it.
fn instant(zone: &TimeZone, wall: DateTime, later: bool) -> Option<Timestamp> {
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
