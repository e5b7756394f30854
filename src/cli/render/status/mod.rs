//! `cutover status RUN`: where a run stands, for a person and as JSON, and what to type to go on or back.

use super::parts::{Part, drift, lay_out, parts, standing, traffic};
use super::style::{Style, Tone};
use crate::app::view::{Guard, View};
use crate::domain::run::event::{Freeze, Outcome};
use crate::domain::run::state::Phase;

/// The text, without a last newline.
pub fn text(view: &View, style: &Style) -> String {
    let (step, of) = view.place();
    let (tone, words) = standing(view, style);
    let label = view.steps.get(step.saturating_sub(1)).map_or("", String::as_str);
    let mut all: Vec<Part> = vec![
        ("run", vec![format!("{} of plan {}", style.paint(Tone::Strong, &view.run), view.plan)]),
        ("stands", vec![style.paint(tone, &words)]),
        ("step", vec![format!("{step} of {of}  {label}")]),
    ];
    all.extend(parts(view, style, true));
    all.push(("go on", on(view)));
    all.push(("go back", back(view)));
    all.retain(|(_, lines)| !lines.is_empty());
    lay_out(&all, style).join("\n")
}

/// Lines for whoever leaves a run: what is live, that nobody looks after it any more, how to go on and how to go back.
pub fn left(view: &View, style: &Style) -> Vec<String> {
    let guard = match view.guard {
        Guard::Over => Vec::new(),
        _ if view.detached => vec!["the old cluster is not let go yet".to_owned()],
        _ => vec![style.paint(Tone::Bad, "nobody watches this traffic now")],
    };
    let mut all: Vec<Part> = vec![
        ("live", traffic(view, style)),
        ("drift", drift(view, style, true)),
        ("guard", guard),
        ("go on", on(view)),
        ("go back", back(view)),
    ];
    all.retain(|(_, lines)| !lines.is_empty());
    lay_out(&all, style)
}

/// One object: the [`View`]'s fields, and `goOn` and `goBack`, the commands.
pub fn json(view: &View) -> serde_json::Value {
    let mut value = serde_json::to_value(view).unwrap_or_default();
    value["goOn"] = on(view).into();
    value["goBack"] = back(view).into();
    value
}

/// The commands that go on, each with what it means where there is a choice.
pub(super) fn on(view: &View) -> Vec<String> {
    let command = |verb: &str, options: &str, why: &str| {
        let line = format!("cutover {verb} {}{options}", view.run);
        if why.is_empty() { line } else { format!("{line}   # {why}") }
    };
    if view.outcome.is_some() || view.without_journal.is_some() {
        return Vec::new();
    }
    if view.phase == Phase::Detaching {
        return if unguarded(view) { vec![command("finalize", " --detach", "it is not finished")] } else { Vec::new() };
    }
    if view.phase == Phase::RollingBack {
        return if unguarded(view) { vec![command("rollback", "", "it is not finished")] } else { Vec::new() };
    }
    if !view.drift.is_empty() || view.frozen.as_ref().is_some_and(|f| f.reason == Freeze::Drift) {
        let mut commands = vec![
            command("resume", " --keep-live", "what is live now is right"),
            command("resume", " --reassert", "what was there before is right"),
        ];
        if view.drift.iter().any(|d| d.homeward) {
            commands.insert(0, command("rollback", "", "take the rest back as well"));
        }
        return commands;
    }
    let mut commands = match view.phase {
        _ if view.frozen.is_some() || view.paused.is_some() => vec![command("resume", "", "")],
        Phase::Awaiting => vec![command("approve", "", "")],
        Phase::Baking => vec![command("promote", "", "end this pause early")],
        Phase::Ready | Phase::Moving | Phase::Working | Phase::RollingBack | Phase::Detaching | Phase::Finished => {
            Vec::new()
        }
    };
    if unguarded(view) && view.frozen.is_none() && view.paused.is_none() {
        commands.insert(0, command("resume", "", ""));
    }
    if !view.appeared.is_empty() {
        commands.push(command("resume", " --include-new", "move the rules that were made since the start, too"));
    }
    commands
}

fn back(view: &View) -> Vec<String> {
    if view.detached {
        return Vec::new();
    }
    match view.outcome {
        None | Some(Outcome::Completed) => {
            let command = view.without_journal.clone().unwrap_or_else(|| format!("cutover rollback {}", view.run));
            command.lines().map(|line| line.trim_start().to_owned()).collect()
        }
        Some(Outcome::RolledBack | Outcome::Aborted) => Vec::new(),
    }
}

fn unguarded(view: &View) -> bool {
    matches!(view.guard, Guard::Unguarded { .. })
}

#[cfg(test)]
mod tests;
