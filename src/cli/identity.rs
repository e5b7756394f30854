//! Before a run that exists is gone on with: are the credentials still of its account?

use super::exit::{Exit, Failure};
use crate::engine::Ports;
use crate::plan::model::Plan;

/// Refuses credentials of another account. Unknown is no evidence: a rollback must not wait for STS.
pub async fn account(plan: &Plan, ports: &Ports) -> Result<(), Failure> {
    match ports.balancer.caller().await {
        Ok(caller) if caller.account != plan.account_id => {
            let message = format!("the credentials ({}) are of account {}, the run is of {}", caller.arn, caller.account, plan.account_id);
            Err(Failure::new(Exit::Refused, message)
                .next("nothing was touched; use credentials of that account (AWS_PROFILE, `aws sso login`)"))
        }
        _ => Ok(()),
    }
}
