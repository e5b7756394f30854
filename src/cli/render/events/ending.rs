//! Renders how a rollback begins and how a run ends.

use super::line::EventText;
use crate::cli::render::style::Tone;
use crate::domain::emergency::NAMED_GROUPS;
use crate::domain::emergency::evacuation::EVACUATION;
use crate::domain::run::event::RunOutcome;

/// Returns the text of the beginning of a rollback or an evacuation.
pub fn rollback(cause: &str, by: &str, to_step: Option<usize>, force: bool) -> String {
    let target = match to_step {
        Some(step) => format!("to the shares of step {step}"),
        None if cause == NAMED_GROUPS => "to the groups that the command line names".to_owned(),
        None => "to the original shares".to_owned(),
    };
    let force = if force { ", even if the way back is not healthy" } else { "" };
    if let Some(cluster) = cause.strip_prefix(EVACUATION) {
        return format!("moving the traffic away from {cluster}{force}, by {by}");
    }
    format!("rolling back {target}{force}, by {by}: {cause}")
}

/// Returns the text of the end of a run.
pub fn finished(
    outcome: RunOutcome,
    remarks: &[String],
    left: &[String],
    accepted: &[String],
    evacuation: bool,
) -> EventText {
    let (tone, mark, outcome_text) = match outcome {
        RunOutcome::Completed if !left.is_empty() => {
            (Tone::Bad, "✗", "finished, but a person must act: these routes are NOT as planned")
        }
        _ if !left.is_empty() => (
            Tone::Bad,
            "✗",
            "finished, but a person must act: these routes are NOT restored; \
             every other route is restored and was read back",
        ),
        RunOutcome::Completed => (Tone::Good, "✓", "completed: every step done"),
        RunOutcome::RolledBack => (Tone::Warn, "↩", "rolled back: the original shares are restored"),
        RunOutcome::Aborted if evacuation => (Tone::Good, "✓", "evacuated: the other clusters have the traffic"),
        RunOutcome::Aborted => (Tone::Warn, "↩", "rolled back on request: the shares are restored"),
    };
    let read_back = match (left.is_empty(), accepted.is_empty()) {
        (false, _) => "",
        (true, true) => ", every route read back",
        (true, false) => ", every route read back except what an operator accepted",
    };
    let lines = left.iter().chain(accepted).chain(remarks).map(String::as_str);
    EventText::new(
        tone,
        mark,
        std::iter::once(&*format!("{outcome_text}{read_back}")).chain(lines).collect::<Vec<_>>().join("\n"),
    )
}
