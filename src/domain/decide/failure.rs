//! Applies `onFailure` to failures other than a failed guard (see `guard`).

use super::context::Context;
use super::decision::Decision;
use super::guard;
use crate::domain::run::event::{Event, Freeze, Trigger};
use crate::plan::model::OnFailure;

/// Applies `onFailure` after a write of the current step failed.
pub fn write_failed(c: &Context<'_>, message: String) -> Decision {
    failed(c, Freeze::WriteFailed, message)
}

/// Applies `onFailure`: freezes with this reason, or starts a rollback.
pub fn failed(c: &Context<'_>, freeze: Freeze, message: String) -> Decision {
    if c.plan.strategy.on_failure == OnFailure::Pause {
        return frozen(freeze, message);
    }
    Decision::Record(guard::back(c, message, Trigger::Failure).unwrap_or_else(|freeze| vec![freeze]))
}

/// Freezes the run.
pub fn frozen(reason: Freeze, message: String) -> Decision {
    Decision::Record(vec![Event::Frozen { reason, message }])
}
