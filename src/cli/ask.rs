//! Shows what a command will do, and asks for confirmation before the command writes.

use super::args::Global;
use super::moves::Moves;
use super::{render, term};
use crate::app::exit::{Exit, Failure};
use crate::app::prepare::Preparation;
use crate::app::start::refuse_other_owner;
use crate::engine::Ports;

/// Asks the operator to confirm, unless `yes` is set.
///
/// # Errors
/// Returns a failure if the operator declines (with the message `declined`), or if there is no terminal (exit 2).
pub fn confirm(yes: bool, question: &str, declined: &str) -> Result<(), Failure> {
    if yes || term::confirm(question).map_err(|e| Failure::new(Exit::Usage, e))? {
        return Ok(());
    }
    Err(Failure::new(Exit::Usage, declined))
}

/// How a command asks before a new run.
#[derive(Debug, Clone, Copy)]
pub struct StartQuestion<'a> {
    /// The command, for its summary.
    pub command: &'a str,
    /// Whether to list every route with its weights.
    pub verbose: bool,
    /// Whether the command line answers.
    pub yes: bool,
}

/// Shows what a new run would do, and asks the operator to confirm.
///
/// # Errors
/// Returns a failure if the preflight or another run prevents the start, or if the operator declines.
pub async fn confirm_start(
    global: &Global,
    ports: &Ports,
    prepared: &Preparation,
    StartQuestion { command, verbose, yes }: StartQuestion<'_>,
) -> Result<(), Failure> {
    refuse_other_owner(ports, prepared).await?;
    let (report, style) = (&prepared.report, term::style_err(global.color));
    term::print_error(&if verbose {
        render::check::text(report, true, &style)
    } else {
        render::check::summary(report, &format!("cutover {command} {} --verbose", report.source), &style)
    });
    if let Some(refusal) = prepared.refusal() {
        return Err(refusal);
    }
    let then = Moves::first_of(report).and_then(|(step, moves)| Some((step, moves.forward()?)));
    let then = then.and_then(|(step, text)| Some(format!(" Step {step} then moves {}.", text.strip_prefix("Move ")?)));
    let question = format!("Start the run?{}", then.unwrap_or_default());
    confirm(yes, &question, "not started; nothing was changed")
}
