//! The sections of a runbook about the plan's rules: gates in words, commands that run, and what cannot be undone.

use super::input::{LiveFacts, RunbookInput, put, row};
use super::timetable::shares_text;
use crate::base::duration::format_exact;
use crate::base::number::percent;
use crate::domain::decide::{action_line, command_line, occasion_text};
use crate::domain::view::gates;
use crate::plan::model::{BalancerKind, BindingMode, OnFailure, Plan, RollbackStickiness, Step, StepKind};

/// Appends the section about the gates.
pub(super) fn gates(input: &RunbookInput<'_>, out: &mut String) {
    let plan = input.plan;
    let (from, to) = (&plan.strategy.from, &plan.strategy.to);
    let all = &plan.strategy.gates;
    put(out, "## The gates in words\n");
    let stable =
        all.raise.stable_for.map_or_else(|| "three health check intervals of the group".to_owned(), format_exact);
    put(
        out,
        &format!(
            "- **Before a share rises**, each target group that gains traffic has at least {} healthy, {} % of its \
             targets healthy, and as many healthy targets as its coming share needs ({} × share × the healthy targets of \
             the whole before the run, or now if those are more), for {stable}. After {} without that: {}.",
            crate::base::number::count(all.raise.min_healthy as usize, "target"),
            percent(all.raise.min_healthy_percent),
            all.raise.capacity,
            format_exact(all.timeout),
            match all.on_timeout {
                OnFailure::Rollback => "rollback",
                OnFailure::Pause => "pause",
            },
        ),
    );
    let failure = match plan.strategy.on_failure {
        OnFailure::Rollback => "all traffic goes back at once, by itself",
        OnFailure::Pause => "nothing more is raised, and a person is called; **the traffic stays where it is**",
    };
    put(
        out,
        &format!(
            "- **While {to} has traffic**, it fails with no healthy target at once, and below {} % healthy targets (or \
             clearly below what its share needs) for {}. Then {failure}.",
            percent(all.guard.min_healthy_percent),
            format_exact(all.guard.for_)
        ),
    );
    put(out, &format!("- Trouble of {from} never causes a rollback: the run freezes and says so."));
    put(
        out,
        "- Facts that cannot be read (throttling, network, credentials) freeze the raises and never cause a rollback.",
    );
    let lines = gates::lines(plan, |_| None);
    if !lines.is_empty() {
        put(out, "\n| gate | applies to | source | requires | effect |\n|---|---|---|---|---|");
        for gate in &lines {
            let scope = if gate.scope.is_empty() { "the plan" } else { &gate.scope };
            row(out, &[&gate.gate, scope, &gate.source, &gate.condition, &gate.effect]);
        }
    }
}

/// Appends the section about the commands, requests and notifications of the plan; nothing if it has none.
pub(super) fn commands(input: &RunbookInput<'_>, out: &mut String) {
    let plan = input.plan;
    let mut lines = Vec::new();
    for step in &plan.strategy.steps {
        if let StepKind::Exec(exec) = &step.kind {
            lines.push(format!("step {}: `{}`", step.number, command_line(&exec.command)));
            lines.extend(exec.undo.iter().map(|undo| {
                format!(
                    "in a rollback, after the traffic is back: `{}` undoes step {}",
                    command_line(undo),
                    step.number
                )
            }));
        }
    }
    for hook in &plan.strategy.hooks {
        let failure = if hook.fails_run { "a failure counts as a failed guard" } else { "a failure is ignored" };
        lines.push(format!("{}: `{}` ({failure})", occasion_text(hook), action_line(&hook.action)));
    }
    for notification in &plan.notifications {
        let events: Vec<_> = notification.on.iter().map(|kind| kind.word()).collect();
        lines.push(format!("notification by {}: {}", notification.to.kind(), events.join(", ")));
    }
    if lines.is_empty() {
        return;
    }
    put(out, "## Commands and notifications of the plan\n");
    for line in lines {
        put(out, &format!("- {line}"));
    }
    put(out, "");
}

/// Appends the section about what a rollback does not undo.
pub(super) fn irreversible(input: &RunbookInput<'_>, out: &mut String) {
    let plan = input.plan;
    let (from, to) = (&plan.strategy.from, &plan.strategy.to);
    put(out, "## Cannot be undone\n");
    put(out, &format!("- Requests that {to} has served are served: what they wrote stays written."));
    for step in &plan.strategy.steps {
        if let StepKind::Exec(exec) = &step.kind
            && exec.undo.is_none()
        {
            put(out, &format!("- Step {} (`{}`) has no `undo`.", step.number, command_line(&exec.command)));
        }
    }
    if !plan.strategy.hooks.is_empty() {
        put(out, "- Hooks have no `undo`.");
    }
    if input.has(BalancerKind::Nlb) {
        put(out, &format!("- Existing connections at a Network Load Balancer stay on {to} until they close."));
    }
    if input.has(BalancerKind::Alb) {
        put(
            out,
            &match plan.strategy.rollback_stickiness {
                RollbackStickiness::Break => format!(
                    "- On routes with group stickiness, a rollback detaches the groups of {to}: the sessions there end."
                ),
                RollbackStickiness::Keep => format!(
                    "- On routes with group stickiness, clients with a cookie stay on {to} until the cookie ends, also \
                     after a rollback (`stickiness: keep`). A rollback with the journal says so with exit 5; to move these \
                     clients too, add `--stickiness break`."
                ),
            },
        );
    }
    if bindings(plan) {
        put(out, &format!("- After a rollback the TargetGroupBindings in {to} and its groups (at weight 0) stay."));
    }
    put(
        out,
        &format!(
            "- A finished run can still be rolled back, until someone types `{}`. Until then, keep {from} as large as it \
             is.",
            input.command("finalize --detach")
        ),
    );
    if let (Some(Step { number, .. }), Some(start)) = (last_exec(plan), &plan.strategy.start) {
        let start = shares_text(start);
        put(
            out,
            &format!("- A rollback restores {start} first, and undoes commands (up to step {number}) afterwards."),
        );
    }
}

fn bindings(plan: &Plan) -> bool {
    plan.workloads.iter().any(|workload| workload.has_service() && workload.binding.mode == BindingMode::Create)
}

/// Returns the last step whose command a rollback undoes.
fn last_exec(plan: &Plan) -> Option<&Step> {
    let undoes = |step: &&Step| matches!(&step.kind, StepKind::Exec(exec) if exec.undo.is_some());
    plan.strategy.steps.iter().rfind(undoes)
}

/// Appends the section with the break-glass script, or with the place to which the run writes it.
pub(super) fn break_glass(input: &RunbookInput<'_>, out: &mut String) {
    put(out, "## Without this program\n");
    put(
        out,
        "When the run starts, it writes `break-glass.sh` into the folder of the run and shows its path (without \
         `--state-dir`: `~/.local/state/cutover/runs/RUN/`; with shared state, the command that gets it). The script needs a shell and the `aws` CLI, and restores every route to its \
         state before the run. Exit 0 means that AWS accepted every write. You may run it again.",
    );
    match &input.live {
        LiveFacts::Read { at, script: Ok(script), .. } => {
            let at = at.strftime("%F %H:%M UTC");
            put(out, &format!("\nThis script restores what is live at {at}; it touches no tags:\n"));
            put(out, "<details><summary>the script</summary>\n\n```sh");
            put(out, script.trim_end());
            put(out, "```\n\n</details>");
        }
        LiveFacts::Read { script: Err(why), .. } => {
            put(out, &format!("\nIt cannot be written before the start: {why}."));
        }
        LiveFacts::Offline | LiveFacts::Unreadable(_) => {
            put(out, "\nIts content is not here, because this document was written without AWS.");
        }
    }
}
