//! The sections of a runbook about people: who decides, how to stop and to watch, what to prepare, and contacts.

use std::time::Duration;

use super::input::{RunbookInput, SHIFT, put, row};
use crate::base::duration::format_exact;
use crate::plan::model::{OnFailure, Plan, StateLocation, Step, StepKind};
use crate::plan::schedule;

/// An empty cell, to be filled in by hand.
const BLANK: &str = "\\_\\_\\_\\_\\_\\_\\_\\_";

/// Appends the section about approvals and about who may stop the run.
pub(super) fn decisions(input: &RunbookInput<'_>, out: &mut String) {
    let strategy = &input.plan.strategy;
    put(out, "## Who decides\n\n| who | decides | how |\n|---|---|---|");
    row(out, &["everyone on the call", "to stop, or to go back: at any time, without an approval", "the next section"]);
    for step in approvals(input.plan) {
        let StepKind::Approval(text) = &step.kind else { continue };
        let what = text.clone().unwrap_or_else(|| "the run may go on".to_owned());
        let what = format!("step {}: {what}", step.number);
        row(out, &[BLANK, &what, &format!("`{}`", input.command("approve"))]);
    }
    let (guard, timeout) = (failure(strategy.on_failure), failure(strategy.gates.on_timeout));
    row(out, &["cutover, by itself", "when a guard fails", guard]);
    row(out, &["cutover, by itself", "when a raise gate does not pass in time", timeout]);
    put(
        out,
        &format!(
            "\nThe commands work on {}. To go back, AWS credentials that may modify listeners and rules are enough, on \
             any machine (`cutover help permissions`).",
            machine(input.plan)
        ),
    );
}

fn failure(policy: OnFailure) -> &'static str {
    match policy {
        OnFailure::Rollback => "it gives all traffic back",
        OnFailure::Pause => "it stops raising, keeps watching, and waits for a person; the traffic stays where it is",
    }
}

/// Returns where the commands find the run.
fn machine(plan: &Plan) -> &'static str {
    match &plan.state {
        StateLocation::Local => "the machine on which the run was started (see Contacts), and only there",
        StateLocation::Kubernetes { .. } => "every machine that reaches the shared state",
    }
}

fn approvals(plan: &Plan) -> impl Iterator<Item = &Step> {
    plan.strategy.steps.iter().filter(|step| matches!(step.kind, StepKind::Approval(_)))
}

/// Appends the section about stopping.
pub(super) fn stopping(input: &RunbookInput<'_>, out: &mut String) {
    let strategy = &input.plan.strategy;
    put(out, "## How to stop\n\n| you want | type | what it does to the traffic |\n|---|---|---|");
    let mut line = |want: &str, verb: &str, does: &str| row(out, &[want, &format!("`{}`", input.command(verb)), does]);
    line("nothing more is raised", "pause", "nothing: it stays where it is, and the guard stays on");
    line("to go on", "resume", "the next step raises when its gates pass");
    line("everything back", "rollback", "every route gets its shares from before the run, in one go");
    let first = strategy.steps.iter().find(|step| matches!(step.kind, StepKind::Shares(_)) && step.name.is_some());
    if let Some(name) = first.and_then(|step| step.name.as_ref()) {
        let does =
            "the run ends there; **nobody guards that share afterwards**. Only from a later step: it never raises";
        line("back to an earlier step (name or number), and stay", &format!("abort --to-step {name}"), does);
    }
    let does = "the same in three stages; each waits until the old cluster has enough healthy targets";
    line("go back when the old cluster was scaled down", "rollback --ramp 25,50,100 --every 2m", does);
    put(
        out,
        "\n`^C` once in the terminal of the run leaves it paused, and **nobody guards it** until someone types `resume`. \
         No command above needs the plan file.",
    );
}

/// Appends the section about watching.
pub(super) fn watching(input: &RunbookInput<'_>, out: &mut String) {
    put(out, "## How to watch\n\n```sh");
    put(out, &format!("{}    # what is live, what it waits for, who guards", input.command("status --watch")));
    put(out, &format!("{}    # every event", input.command("history")));
    put(out, "```\n");
    put(
        out,
        "Exit codes of the run: 0 finished, 4 rolled back, **5 a person is needed**, 6 another owner, 7 someone else \
         changed a route, 8 it waits, 130 interrupted and paused; 1 to 3: nothing was written.",
    );
}

/// Appends the list of what to do before the start.
pub(super) fn preparation(input: &RunbookInput<'_>, out: &mut String) {
    let (plan, file) = (input.plan, format!("{}{}", input.file, input.wave_option()));
    put(out, "## Before the start\n");
    put(out, &format!("- [ ] `cutover check {}` ends with exit 0", input.file));
    put(out, &format!("- [ ] `cutover rehearse {} --virtual` ends with exit 0", input.file));
    put(out, "- [ ] the contacts below are filled in, and everyone on the call has this document");
    let long = duration(input);
    put(out, &format!("- [ ] AWS credentials stay valid for {}, and longer if a step waits", format_exact(long)));
    put(out, "- [ ] after the start: a copy of `break-glass.sh` is where on-call people look (its path is shown)");
    put(out, &format!("\nTo start: `cutover run {file}`"));
    if long > SHIFT || (approvals(plan).next().is_some() && long * 2 > SHIFT) {
        let state = match &plan.state {
            StateLocation::Local => {
                "put its state into a cluster (`spec.state`, `cutover help state`), so that the next \
                shift can steer it from its own machines, and start it with"
            }
            StateLocation::Kubernetes { .. } => "start it with",
        };
        put(
            out,
            &format!(
                "\n**This run may be longer than a shift of {}**: {state} `cutover run {file} --detach --image IMAGE`, so \
                 that a Job drives and guards it, and not a laptop.",
                format_exact(SHIFT)
            ),
        );
    }
}

/// Returns the minimum duration of the run; with a planned start, waits for windows count.
fn duration(input: &RunbookInput<'_>) -> Duration {
    let least = schedule::min_duration(input.plan, input.routes());
    let Some(start) = input.start.as_ref().map(jiff::Zoned::timestamp) else { return least };
    let ends = schedule::earliest_starts(input.plan, start, input.routes()).last().copied();
    ends.and_then(|end| Duration::try_from(end.duration_since(start)).ok()).map_or(least, |time| time.max(least))
}

/// Appends the table of contacts, with blanks to fill in.
pub(super) fn contacts(input: &RunbookInput<'_>, out: &mut String) {
    put(out, "## Contacts\n\n| role | name | reached at |\n|---|---|---|");
    let strategy = &input.plan.strategy;
    let mut roles = vec!["leads the call".to_owned(), "types the commands".to_owned()];
    if matches!(input.plan.state, StateLocation::Local) {
        roles.push("the machine of the run, and who can log in there".to_owned());
    }
    roles.extend(approvals(input.plan).map(|step| format!("approves step {}", step.number)));
    roles.extend(input.plan.workloads.iter().map(|workload| format!("knows {}", workload.name)));
    roles.extend([format!("on call for cluster {}", strategy.from), format!("on call for cluster {}", strategy.to)]);
    roles.push("load balancers and AWS account".to_owned());
    for role in roles {
        row(out, &[&role, BLANK, BLANK]);
    }
}
