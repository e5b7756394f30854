//! Applies windows, blackouts and `notBefore` to the start of a step. Calendar arithmetic belongs in `base::hours`.

use std::time::Duration;

use jiff::Timestamp;

use crate::base::duration;
use crate::base::hours::{Blackout, blocking_blackout, earliest_fit, format_in_zone};
use crate::domain::run::event::{Wait, WaitReason};
use crate::domain::run::state::{Phase, State};
use crate::plan::model::Strategy;
use crate::plan::schedule::{min_duration_with_pauses, raises};

/// Returns why a step may not start now, and when it may start. `None` if the step may start now, or if an operator
/// ignores the hours.
pub fn wait_unless_ignored(strategy: &Strategy, state: &State, number: usize, now: Timestamp) -> Option<Wait> {
    match state.hours_ignored_for(number) {
        Some(_) => None,
        None => wait(strategy, number, state.routes.len(), now),
    }
}

/// Returns the step for which `resume --ignore-hours` ignores the hours: the current or next step that waits for them.
/// `None` if no such step follows.
pub fn next_bound_step(strategy: &Strategy, state: &State) -> Option<usize> {
    if strategy.hours.is_empty() {
        return None;
    }
    // A step that has begun to write continues to its end.
    let begun = state.phase != Phase::Ready && (state.first_write.is_some() || state.settled);
    let first = state.step + usize::from(begun);
    let raise = (first..=strategy.steps.len()).find(|number| raises(strategy, *number));
    raise.or_else(|| strategy.hours.not_before.is_some_and(|at| state.last_record_at < at).then_some(first))
}

/// Returns why a step must wait, and the earliest start; `None` if the step may start now.
pub fn wait(strategy: &Strategy, number: usize, routes: usize, now: Timestamp) -> Option<Wait> {
    let hours = &strategy.hours;
    let until = |message: String, until| Some(Wait { reason: WaitReason::Window, message, until });
    if let Some(first) = hours.not_before.filter(|first| now < *first) {
        return until(format!("not before {}", format_in_zone(hours, first)), Some(first));
    }
    if hours.is_empty() || !raises(strategy, number) {
        return None;
    }
    let need = min_duration_with_pauses(strategy, number, routes);
    let begins = earliest_fit(hours, now, need);
    if begins == Some(now) {
        return None;
    }
    let long = duration::format_exact(need);
    let why = match blocking_blackout(hours, now, need) {
        Some(Blackout { from, to, reason, .. }) => {
            let reason = reason.as_ref().map(|r| format!(" ({r})")).unwrap_or_default();
            format!(
                "a blackout from {} to {}{reason} leaves no room for step {number}, which takes {long}",
                format_in_zone(hours, *from),
                format_in_zone(hours, *to)
            )
        }
        None if earliest_fit(hours, now, Duration::ZERO) != Some(now) => "no window is open now".to_owned(),
        None => format!("step {number} and the pause after it take {long}, longer than the window is still open"),
    };
    match begins {
        Some(begins) => until(format!("{why}; the step starts {}", format_in_zone(hours, begins)), Some(begins)),
        None => until(format!("{why}; the step cannot start in the next two years: change `hours` in the plan"), None),
    }
}

#[cfg(test)]
mod tests;
