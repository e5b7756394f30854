//! Returns the commands that an operator can type for a frozen run.

use crate::domain::run::event::FreezeReason;

/// Returns the commands to show after the message of a freeze: the command that ends the freeze, and the rollback.
/// Empty if the message already contains the command.
pub(super) fn commands(reason: FreezeReason, message: &str, run: &str) -> String {
    if message.contains("cutover ") {
        return format!("; to roll back: cutover rollback {run}");
    }
    let on = match reason {
        FreezeReason::Drift => format!(
            "to accept the change: cutover resume {run} --keep-live; to undo it: cutover resume {run} --reassert"
        ),
        FreezeReason::Unreadable | FreezeReason::LockLost => {
            "the run continues by itself when the cause is gone".to_owned()
        }
        FreezeReason::GateTimeout => {
            format!("the run continues by itself when the gates pass; to restart their time-out: cutover resume {run}")
        }
        FreezeReason::FromUnhealthy => format!(
            "the run continues by itself when it is healthy; \
             to move on to the new cluster anyway: cutover resume {run}"
        ),
        FreezeReason::GuardFailed | FreezeReason::WriteFailed | FreezeReason::HookFailed | FreezeReason::NoWayBack => {
            format!("when the cause is gone: cutover resume {run}")
        }
    };
    let back = match reason {
        FreezeReason::NoWayBack | FreezeReason::FromUnhealthy => {
            format!("to roll back although the old cluster is not healthy: cutover rollback {run} --force")
        }
        _ => format!("to roll back: cutover rollback {run}"),
    };
    format!("; {on}; {back}")
}
