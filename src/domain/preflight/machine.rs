//! Checks that the machine that drives the run has the programs of the plan's commands.

use super::context::{Context, finding};
use super::facts::{MachineFacts, UnusableCommand};
use crate::base::finding::{Code, Finding, Severity};
use crate::plan::model::hook::HookAction;
use crate::plan::model::metric::MetricSource;
use crate::plan::model::notify::NotificationTarget;
use crate::plan::model::{Plan, StepKind};
use crate::plan::place;

/// A command of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanCommand<'a> {
    /// The program: a path, or a name to search in `PATH`.
    pub program: &'a str,
    /// Whether a failure of the command fails the run.
    pub required: bool,
    place: Place<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place<'a> {
    Hook(Option<&'a str>, &'static str),
    Step(usize),
    Undo(usize),
    Gate(&'a str),
    Notification,
}

impl PlanCommand<'_> {
    /// Returns the place of the command in the plan, as text.
    pub fn place(&self) -> String {
        match self.place {
            Place::Hook(Some(name), when) => format!("hook {name} ({when})"),
            Place::Hook(None, when) => format!("hook {when}"),
            Place::Step(number) => format!("step {number}"),
            Place::Undo(number) => format!("undo of step {number}"),
            Place::Gate(name) => format!("gate {name}"),
            Place::Notification => "notification".to_owned(),
        }
    }
}

/// Returns all commands of a plan.
pub fn commands(plan: &Plan) -> Vec<PlanCommand<'_>> {
    let strategy = &plan.strategy;
    let mut all = Vec::new();
    for hook in &strategy.hooks {
        if let HookAction::Exec(words) = &hook.action {
            let place = Place::Hook(hook.name.as_deref(), crate::domain::decide::occasion_text(hook));
            add(&mut all, words, hook.fails_run, place);
        }
    }
    for step in &strategy.steps {
        if let StepKind::Exec(exec) = &step.kind {
            add(&mut all, &exec.command, true, Place::Step(step.number));
            add(&mut all, exec.undo.as_deref().unwrap_or_default(), true, Place::Undo(step.number));
        }
    }
    for gate in &strategy.metrics {
        if let MetricSource::Exec(exec) = &gate.source {
            add(&mut all, &exec.command, !gate.dry_run, Place::Gate(&gate.name));
        }
    }
    for notification in &plan.notifications {
        if let NotificationTarget::Exec { command, .. } = &notification.to {
            add(&mut all, command, false, Place::Notification);
        }
    }
    all
}

fn add<'a>(all: &mut Vec<PlanCommand<'a>>, words: &'a [String], required: bool, place: Place<'a>) {
    all.extend(words.first().map(|program| PlanCommand { program, required, place }));
}

pub(super) fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    findings.extend(machine_findings(context.plan, &context.facts.machine));
}

/// Returns the findings about the machine that would drive the run.
pub fn machine_findings(plan: &Plan, machine: &MachineFacts) -> Vec<Finding> {
    let finding = |command: &UnusableCommand| {
        let message = format!("{}: {}", command.place, command.problem);
        let effect = if command.required {
            "the run would fail at this command. "
        } else {
            "the command would fail, without an effect on the run. "
        };
        let help = format!(
            "{effect}Create the program, or correct the command. A relative path is from the folder of the plan file; a \
             name without `/` is searched in PATH. This check looked at this machine only: a run on another machine needs \
             the program there. If the program exists only there, list CUT305 in `accept` with the reason"
        );
        let severity = if command.required { Severity::Error } else { Severity::Warning };
        let place = place::of(plan, &["command", &command.program]);
        finding(Code::CUT305, &command.place, message, help).at(place).lowered(severity)
    };
    machine.unusable_commands.iter().map(finding).collect()
}
