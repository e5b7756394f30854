//! Applies `onFailure` to failures other than a failed guard (see `guard`).

use super::context::Context;
use super::decision::Decision;
use super::guard;
use crate::domain::run::event::{Event, FreezeReason, Trigger};
use crate::plan::model::OnFailure;

/// Applies `onFailure` after a write of the current step failed.
pub fn write_failed(c: &Context<'_>, message: String) -> Decision {
    apply_on_failure(c, FreezeReason::WriteFailed, message)
}

/// Applies `onFailure`: freezes with this reason, or starts a rollback.
pub fn apply_on_failure(c: &Context<'_>, reason: FreezeReason, message: String) -> Decision {
    if c.plan.strategy.on_failure == OnFailure::Pause {
        return freeze(reason, message);
    }
    Decision::Record(guard::automatic_rollback(c, message, Trigger::Failure).unwrap_or_else(|freeze| vec![freeze]))
}

/// Returns the decision to freeze the run.
pub fn freeze(reason: FreezeReason, message: String) -> Decision {
    Decision::Record(vec![Event::Frozen { reason, message }])
}
