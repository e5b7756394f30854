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
            let lost = instance(message).map_or_else(String::new, |address| {
                format!("; to go on without a lost instance: cutover resume {run} --without {address}")
            });
            format!("the run continues by itself when the cause is gone{lost}")
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

/// Returns the address of the instance of HAProxy that a message names first.
fn instance(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("HAProxy at ")?;
    rest.split_once(": ").map(|(address, _)| address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freeze_by_a_lost_instance_names_the_command() {
        let message = "webapp on 10.0.1.20:9999: unavailable: HAProxy at tcp://10.0.1.20:9999: no connection";
        let text = commands(FreezeReason::Unreadable, message, "webapp-1");
        assert!(text.contains("cutover resume webapp-1 --without tcp://10.0.1.20:9999; to roll back"), "{text}");
        assert!(!commands(FreezeReason::Unreadable, "AWS throttles", "webapp-1").contains("--without"));
    }
}
