//! Describes the hours of a plan: when steps may begin, which steps wait for the hours, and what overrides the hours.

use jiff::Timestamp;
use serde::Serialize;

use crate::base::hours::{Hours, Window, format_in_zone};
use crate::domain::decide;
use crate::domain::run::state::{Phase, State};
use crate::plan::model::Plan;
use crate::plan::schedule::raises;

/// Returns a line for each window and blackout and for `notBefore` of a plan, and then a line about their effect. Empty
/// if the plan has no hours.
pub fn in_words(plan: &Plan) -> Vec<String> {
    let hours = &plan.strategy.hours;
    if hours.is_empty() {
        return Vec::new();
    }
    let mut lines: Vec<String> =
        hours.not_before.map(|at| format!("not before {}", format_in_zone(hours, at))).into_iter().collect();
    lines.extend(hours.windows.iter().map(|window| format!("window {}", window_text(window))));
    lines.extend(hours.blackouts.iter().map(|blackout| {
        let reason = blackout.reason.as_ref().map_or_else(String::new, |reason| format!(" ({reason})"));
        format!("blackout {} to {}{reason}", format_in_zone(hours, blackout.from), format_in_zone(hours, blackout.to))
    }));
    lines.push(effect(plan, hours));
    lines
}

/// Returns what the hours mean for the next step that may have to wait for them: that a step may begin now, or when the
/// step may begin. `None` if no later step waits for the hours, or if an operator ignores the hours for the next step.
pub fn next_of_run(plan: &Plan, state: &State, now: Timestamp) -> Option<String> {
    let over = matches!(state.phase, Phase::RollingBack | Phase::Retiring | Phase::Finished);
    let step = decide::hours::next_bound_step(&plan.strategy, state).filter(|_| !over)?;
    if state.hours_ignored_for(step).is_some() {
        return None;
    }
    let wait = decide::hours::wait(&plan.strategy, step, state.routes.len(), now);
    Some(wait.map_or_else(|| format!("open now for step {step}, the next raise"), |wait| wait.message))
}

fn effect(plan: &Plan, hours: &Hours) -> String {
    let bound: Vec<String> = plan
        .strategy
        .steps
        .iter()
        .map(|s| s.number)
        .filter(|n| raises(&plan.strategy, *n))
        .map(|n| n.to_string())
        .collect();
    let steps = match bound.as_slice() {
        [] => "no step raises a share, so none waits for them".to_owned(),
        [one] => format!("step {one} raises a share: it begins only if it and the pauses after it fit into the hours"),
        many => format!(
            "steps {} raise a share: each begins only if it and the pauses after it fit into the hours",
            many.join(", ")
        ),
    };
    let first = if hours.not_before.is_some() { "no step begins before `notBefore`; " } else { "" };
    format!(
        "{first}{steps}. Guards and rollbacks never wait. To start one raise outside of them, on purpose: cutover resume \
         RUN --ignore-hours REASON"
    )
}

fn window_text(window: &Window) -> String {
    let days = if window.days.len() == 7 { "every day".to_owned() } else { days_text(window) };
    let to = window.to.map_or_else(|| "24:00".to_owned(), |to| to.strftime("%H:%M").to_string());
    let zone = window.zone.iana_name().unwrap_or("UTC");
    format!("{days} {} to {to} {zone}", window.from.strftime("%H:%M"))
}

fn days_text(window: &Window) -> String {
    let short = |day: &jiff::civil::Weekday| format!("{day:?}").chars().take(3).collect::<String>();
    window.days.iter().map(short).collect::<Vec<_>>().join(", ")
}

/// An operator's decision about the hours of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IgnoredHoursView {
    /// The operator.
    pub by: String,
    /// The operator's reason.
    pub reason: String,
    /// The step that does not wait for the hours. The next raise waits again.
    pub step: usize,
}
