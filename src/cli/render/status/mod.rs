//! Renders `cutover status RUN` as text and as JSON: the state of a run, and the commands to continue or to roll back.

use super::fit::{Screen, fitted};
use super::sections::{
    Section, drift, gates, keeps_share, kept_share, lay_out, put_back, sections, state_line, traffic, wrapped,
};
use super::style::{Style, Tone};
use crate::app::view::{DriftKind, DriftView, Guard, RunView};
use crate::domain::run::event::{FreezeReason, RunOutcome, StopReason, WaitReason};
use crate::domain::run::state::Phase;
use crate::domain::waves::{WaveStatus, WaveView};

/// Returns the text, without a last newline.
pub fn text(view: &RunView, style: &Style) -> String {
    lay_out(&wrapped(all_sections(view, style), style), style).join("\n")
}

/// Returns the text of `--watch`, fitted to the screen, so that the next text replaces it.
pub fn watched(view: &RunView, screen: Screen, style: &Style) -> String {
    fitted(&all_sections(view, style), view, screen, style).join("\n")
}

fn all_sections(view: &RunView, style: &Style) -> Vec<Section> {
    let (step, of) = view.step_of();
    let (tone, state_text) = state_line(view, style);
    let label = view.steps.get(step.saturating_sub(1)).map_or("", String::as_str);
    let mut all: Vec<Section> = vec![
        ("run", vec![format!("{} of plan {}", style.paint(Tone::Strong, &view.run), view.plan)]),
        ("state", vec![style.paint(tone, &state_text)]),
        ("step", vec![format!("{step} of {of}  {label}")]),
        ("put back", put_back(view, style)),
        ("waves", waves(view, style)),
    ];
    all.extend(sections(view, style, true));
    all.extend(command_sections(view));
    all.retain(|(_, lines)| !lines.is_empty());
    all
}

/// Returns the sections with commands. A command that continues the run is not shown again as one that rolls it back.
fn command_sections(view: &RunView) -> [Section; 3] {
    let on = continue_commands(view);
    let back = rollback_commands(view).into_iter().filter(|command| !names(&on, command)).collect();
    [("continue", on), ("roll back", back), ("next", commands_after_end(view))]
}

/// Whether one of the commands is this command, with or without a meaning.
fn names(commands: &[String], command: &str) -> bool {
    commands.iter().any(|other| other.split("   #").next() == Some(command))
}

/// Returns a line for each wave of the plan: its state and its run. The process that drives a later wave guards the
/// waves that are done.
fn waves(view: &RunView, style: &Style) -> Vec<String> {
    let width = view.waves.iter().map(|wave| wave.wave.chars().count()).max().unwrap_or_default();
    let line = |wave: &WaveView| {
        let (tone, mut state) = (wave_tone(wave.status), wave.status.text().to_owned());
        if wave.retired {
            state += ", the old cluster is retired";
        } else if wave.status == WaveStatus::Done {
            let guarded = matches!(view.guard, Guard::Watched { .. }) && view.outcome.is_none();
            state += if guarded { ", guarded" } else { ", UNGUARDED" };
        }
        let run = wave.run.as_ref().map_or_else(String::new, |run| {
            if *run == view.run { "  this run".to_owned() } else { format!("  {run}") }
        });
        format!("{:<width$}  {}{run}", wave.wave, style.paint(tone, &state))
    };
    view.waves.iter().map(line).collect()
}

fn wave_tone(status: WaveStatus) -> Tone {
    match status {
        WaveStatus::Waiting => Tone::Faint,
        WaveStatus::Running => Tone::Strong,
        WaveStatus::Done => Tone::Good,
        WaveStatus::RolledBack => Tone::Warn,
    }
}

/// Returns the last lines of a process that drove a run: the live shares, a warning that no process guards the traffic
/// now, how to continue and how to roll back.
pub fn final_lines(view: &RunView, style: &Style) -> Vec<String> {
    let guard = match view.guard {
        Guard::Over if keeps_share(view) => vec![style.paint(Tone::Bad, &kept_share(view))],
        Guard::Over => Vec::new(),
        _ if view.retired => vec!["the old cluster is not retired yet".to_owned()],
        _ if was_taken_over(view) => vec![style.paint(Tone::Warn, TAKEN_OVER)],
        _ => vec![style.paint(Tone::Bad, "UNGUARDED: no process guards this traffic now")],
    };
    let mut all: Vec<Section> = vec![
        (if was_taken_over(view) { "last seen" } else { "live" }, traffic(view, style)),
        ("put back", put_back(view, style)),
        ("drift", drift(view, style, true)),
        ("guard", guard),
    ];
    all.extend(command_sections(view));
    all.retain(|(_, lines)| !lines.is_empty());
    lay_out(&wrapped(all, style), style)
}

/// Returns the commands for the time after the end of a run, except a rollback.
fn commands_after_end(view: &RunView) -> Vec<String> {
    let run_plan = |what: &str| view.plan_file.as_ref().map(|plan| format!("cutover run {plan}   # {what}"));
    let report = || format!("cutover report {}   # a page: what happened, and why", view.run);
    match view.outcome {
        _ if view.without_journal.is_some() || view.retired || keeps_share(view) => Vec::new(),
        None => Vec::new(),
        Some(RunOutcome::Completed) => match view.waves.iter().find(|wave| wave.status != WaveStatus::Done) {
            Some(next) => run_plan(&format!("the next wave, {}", next.wave)).into_iter().collect(),
            None => vec![format!("cutover finalize {}   # can the old cluster be retired?", view.run)],
        },
        Some(RunOutcome::RolledBack) => {
            [report()].into_iter().chain(run_plan("a new run, when the cause is gone")).collect()
        }
        Some(RunOutcome::Aborted) => [report()].into_iter().chain(run_plan("a new run")).collect(),
    }
}

/// The guard of a run whose load balancer another run has taken over.
const TAKEN_OVER: &str = "another run or rollback has taken over this load balancer, and may be moving its traffic now";

/// Whether the run's last process stopped because another owner took over its load balancer.
fn was_taken_over(view: &RunView) -> bool {
    view.stopped == Some(StopReason::Lock) && view.outcome.is_none()
}

/// Returns the facts that an operator sees before an approval: the step, the live shares, the gates' verdicts, and
/// whether the next raise must wait for the hours of the plan.
pub fn approval_lines(view: &RunView, style: &Style) -> Vec<String> {
    let (step, of) = view.step_of();
    let label = view.steps.get(step.saturating_sub(1)).map_or("", String::as_str);
    let mut all: Vec<Section> = vec![
        ("run", vec![view.run.clone()]),
        ("step", vec![format!("{step} of {of}  {label}")]),
        ("put back", put_back(view, style)),
        ("traffic", traffic(view, style)),
        ("gates", gates(view, style)),
        ("hours", view.hours.iter().cloned().collect()),
    ];
    all.retain(|(_, lines)| !lines.is_empty());
    lay_out(&wrapped(all, style), style)
}

/// Returns one JSON object: the fields of the [`RunView`], and the commands `continueCommands` and `rollbackCommands`.
pub fn json(view: &RunView) -> serde_json::Value {
    let mut value = serde_json::to_value(view).unwrap_or_default();
    value["continueCommands"] = continue_commands(view).into();
    value["rollbackCommands"] = rollback_commands(view).into();
    value
}

/// Returns the commands that continue the run, then those that roll it back, each with its meaning.
pub fn next_commands(view: &RunView) -> Vec<String> {
    let on = continue_commands(view);
    let back = rollback_commands(view).into_iter().filter(|command| !names(&on, command));
    let back: Vec<_> = back.map(|command| format!("{command}   # roll back")).collect();
    on.into_iter().chain(back).collect()
}

/// Returns what an operator of a real run would type after a rehearsal ended like this. `view.run` is the plan.
pub fn commands_of_a_real_run(view: &RunView) -> Vec<String> {
    let plan = &view.run;
    match view.outcome {
        None => next_commands(view),
        Some(RunOutcome::Completed) => vec![
            format!("cutover rollback {plan}   # take the traffic back, while the old cluster exists"),
            format!("cutover finalize {plan}   # can the old cluster be retired?"),
        ],
        Some(RunOutcome::RolledBack | RunOutcome::Aborted) => {
            let sticky = view.sticky_clients_left.then(|| break_stickiness(view));
            let again = format!("cutover run {plan}   # a new run, when the cause is gone");
            sticky.into_iter().chain([again]).collect()
        }
    }
}

/// Returns the commands that continue the run, each with its meaning if there is a choice.
pub(super) fn continue_commands(view: &RunView) -> Vec<String> {
    let command = |verb: &str, options: &str, why: &str| {
        let line = format!("cutover {verb} {}{options}", view.run);
        if why.is_empty() { line } else { format!("{line}   # {why}") }
    };
    if let (Some(RunOutcome::Aborted), Some(step)) = (view.outcome, view.aborted_to.filter(|_| keeps_share(view))) {
        let step = step + 1;
        let again = |plan| format!("cutover run {plan} --from-step {step}   # a new run with the same plan file");
        return view.plan_file.as_ref().map(again).into_iter().collect();
    }
    if view.outcome.is_some() || view.without_journal.is_some() {
        return Vec::new();
    }
    if view.phase == Phase::Retiring {
        return if unguarded(view) {
            vec![command("finalize", " --detach", "the retirement is not finished")]
        } else {
            Vec::new()
        };
    }
    if view.phase == Phase::RollingBack {
        return if unguarded(view) {
            vec![command("rollback", force(view), "the rollback is not finished")]
        } else {
            Vec::new()
        };
    }
    if view.put_back.is_some() {
        return vec![
            command("rollback", "", "end the run: every route is read, no share changes"),
            command("resume", " --keep-live", "or continue: later steps move the traffic again"),
            command("resume", " --reassert", "or undo that: move the traffic forward again now"),
        ];
    }
    if was_taken_over(view) {
        return vec![
            command("status", "", "what is live now, and whether the traffic was put back"),
            command("rollback", "", "when the other one is over: end the run"),
            command("resume", "", "or continue"),
        ];
    }
    let open: Vec<_> = view.drift.iter().filter(|drift| !drift.accepted).collect();
    if !open.is_empty() || view.frozen.as_ref().is_some_and(|f| f.reason == FreezeReason::Drift) {
        return after_drift(&open, command);
    }
    if let Some(commands) = without_way_back(view, command) {
        return commands;
    }
    let mut commands = match view.phase {
        _ if view.frozen.is_some() || view.paused.is_some() => vec![command("resume", "", "")],
        Phase::AwaitingApproval => vec![command("approve", "", "")],
        Phase::Baking => vec![command("promote", "", "end this pause early")],
        Phase::Ready
        | Phase::Shifting
        | Phase::RunningCommand
        | Phase::RoutingHeaders
        | Phase::HandingOver
        | Phase::RollingBack
        | Phase::Retiring
        | Phase::Finished => Vec::new(),
    };
    if unguarded(view) && view.frozen.is_none() && view.paused.is_none() {
        commands.insert(0, command("resume", "", ""));
    }
    if view.frozen.is_none() && view.waits.iter().any(|wait| wait.reason == WaitReason::Compare) {
        let what = "what differs now; the run compares again by itself";
        commands.extend(view.plan_file.as_ref().map(|plan| format!("cutover compare {plan}   # {what}")));
    }
    if view.frozen.is_none() && view.waits.iter().any(|wait| wait.reason == WaitReason::Window) {
        commands.push(command("resume", " --ignore-hours REASON", "start this step outside of the plan's hours"));
    }
    if !view.new_rules.is_empty() {
        commands.push(command("resume", " --include-new", "also move the new rules"));
    }
    commands
}

/// Returns the commands that continue a run after others changed routes. Deleted rules and changed conditions cannot be
/// written again.
fn after_drift(drift: &[&DriftView], command: impl Fn(&str, &str, &str) -> String) -> Vec<String> {
    let any = |kind| drift.iter().any(|drift| drift.kind == kind);
    if any(DriftKind::Replaced) {
        return vec![command("resume", " --keep-live --include-new", "move the new rule in place of the deleted one")];
    }
    if any(DriftKind::Deleted) || any(DriftKind::Conditions) {
        return vec![command("resume", " --keep-live", "accept the change")];
    }
    let mut commands = vec![
        command("resume", " --keep-live", "accept the change"),
        command("resume", " --reassert", "undo the change"),
    ];
    if drift.iter().any(|d| d.restores_original) {
        commands.insert(0, command("rollback", "", "also roll back the other routes"));
    }
    commands
}

/// Returns the command that moves clients with a cookie for the new cluster, too.
pub fn break_stickiness(view: &RunView) -> String {
    format!("cutover rollback {} --stickiness break   # also the clients with a cookie", view.run)
}

pub(super) fn rollback_commands(view: &RunView) -> Vec<String> {
    if view.retired {
        return Vec::new();
    }
    match view.outcome {
        None | Some(RunOutcome::Completed) => {
            let command =
                view.without_journal.clone().unwrap_or_else(|| format!("cutover rollback {}{}", view.run, force(view)));
            command.lines().map(|line| line.trim_start().to_owned()).collect()
        }
        Some(RunOutcome::Aborted) if keeps_share(view) => vec![format!("cutover rollback {}", view.run)],
        Some(RunOutcome::RolledBack | RunOutcome::Aborted) if view.sticky_clients_left => vec![break_stickiness(view)],
        Some(RunOutcome::RolledBack | RunOutcome::Aborted) => Vec::new(),
    }
}

/// Returns the commands for a run that is frozen because its old cluster is unhealthy.
fn without_way_back(view: &RunView, command: impl Fn(&str, &str, &str) -> String) -> Option<Vec<String>> {
    let back = || command("rollback", " --force", "go back anyway, to a cluster without a healthy target");
    let mut commands = match view.frozen.as_ref()?.reason {
        FreezeReason::NoWayBack => vec![command("resume", "", "when the cause is gone")],
        FreezeReason::FromUnhealthy => vec![command("resume", "", "move on to the new cluster anyway")],
        _ => return None,
    };
    if view.phase == Phase::Baking && view.frozen.as_ref()?.reason == FreezeReason::FromUnhealthy {
        commands.push(command("promote", "", "then: end this pause early"));
    }
    commands.extend((!force(view).is_empty()).then(back));
    Some(commands)
}

/// Returns the option with which a rollback restores routes whose old cluster has no healthy target; empty if a rollback
/// does not need it, or if the health is unknown.
fn force(view: &RunView) -> &'static str {
    let frozen = view.frozen.as_ref().is_some_and(|frozen| frozen.reason == FreezeReason::NoWayBack);
    let dead = view.way_back.iter().any(|back| back.healthy == Some(0));
    if dead || (frozen && view.way_back.is_empty()) { " --force" } else { "" }
}

fn unguarded(view: &RunView) -> bool {
    matches!(view.guard, Guard::Unguarded { .. })
}

#[cfg(test)]
mod tests;
