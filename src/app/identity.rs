//! Checks that the credentials belong to the account of the run, and returns the caller's ARN for the journal.

use std::time::Duration;

use super::exit::{Exit, Failure};
use super::{connect, owner};
use crate::engine::Ports;
use crate::plan::model::{Plan, StateLocation};

/// The longest time that a request waits for STS.
const STS_TIMEOUT: Duration = Duration::from_secs(5);

/// Returns who sends a request to a run: the user and the machine. With shared state, the text also contains the
/// caller's ARN from STS, because people on other machines read it.
pub async fn requester(plan: &Plan) -> String {
    let (owner, _) = owner::owner();
    if plan.state == StateLocation::Local || plan.account_id.is_empty() {
        return owner;
    }
    let balancer = connect::balancer_of(plan).await;
    match tokio::time::timeout(STS_TIMEOUT, connect::reads().read(1, balancer.inventory.caller())).await {
        Ok(Ok(caller)) => format!("{} ({owner})", caller.arn),
        _ => owner,
    }
}

/// Refuses credentials of another account. Accepts credentials whose account is unknown, because a rollback must not
/// depend on STS.
pub async fn check_account(plan: &Plan, ports: &Ports) -> Result<(), Failure> {
    match ports.balancer.inventory.caller().await {
        Ok(caller) if caller.account != plan.account_id => {
            let message = format!(
                "the credentials ({}) belong to account {}, but the run belongs to account {}",
                caller.arn, caller.account, plan.account_id
            );
            Err(Failure::new(Exit::Refused, message).next(format!(
                "nothing was changed; use credentials of account {} (AWS_PROFILE, `aws sso login`)",
                plan.account_id
            )))
        }
        _ => Ok(()),
    }
}
