//! What a verb shows and asks before it writes.

use super::args::Global;
use super::{render, term};
use crate::app::begin::unmarked;
use crate::app::exit::{Exit, Failure};
use crate::app::prepare::Prepared;
use crate::engine::Ports;

/// Asks, unless `yes`.
///
/// # Errors
/// Declined, or there is no terminal to ask on (exit 2).
pub fn confirm(yes: bool, question: &str, declined: &str) -> Result<(), Failure> {
    if yes || term::confirm(question).map_err(|e| Failure::new(Exit::Usage, e))? {
        return Ok(());
    }
    Err(Failure::new(Exit::Usage, declined))
}

/// Shows what a new run would do; refuses where the preflight or another run does, or a person who is asked.
pub async fn may_begin(global: &Global, ports: &Ports, prepared: &Prepared, yes: bool) -> Result<(), Failure> {
    unmarked(ports, prepared).await?;
    term::complain(&render::check::text(&prepared.report, &term::style_err(global.color)));
    if let Some(refusal) = prepared.refusal() {
        return Err(refusal);
    }
    confirm(yes, "Begin?", "not begun; nothing was touched")
}
