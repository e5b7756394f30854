//! Whose credentials these are: of the run's account, before it is gone on with; and of whom, for those who read the journal.

use std::time::Duration;

use super::exit::{Exit, Failure};
use super::{owner, world};
use crate::engine::Ports;
use crate::plan::model::{Plan, StatePlace};

/// A request does not wait for STS longer than this.
const SOON: Duration = Duration::from_secs(5);

/// Who asks something of a run: the user and the machine, and before them, where others on other machines read it, the caller that STS names.
pub async fn asker(plan: &Plan) -> String {
    let (owner, _) = owner::owner();
    if plan.state == StatePlace::Local {
        return owner;
    }
    let balancer = world::patient(&world::aws(Some(&plan.region)).await);
    match tokio::time::timeout(SOON, balancer.inventory.caller()).await {
        Ok(Ok(caller)) => format!("{} ({owner})", caller.arn),
        _ => owner,
    }
}

/// Refuses credentials of another account. Unknown is no evidence: a rollback must not wait for STS.
pub async fn account(plan: &Plan, ports: &Ports) -> Result<(), Failure> {
    match ports.balancer.inventory.caller().await {
        Ok(caller) if caller.account != plan.account_id => {
            let message = format!(
                "the credentials ({}) are of account {}, the run is of {}",
                caller.arn, caller.account, plan.account_id
            );
            Err(Failure::new(Exit::Refused, message)
                .next("nothing was touched; use credentials of that account (AWS_PROFILE, `aws sso login`)"))
        }
        _ => Ok(()),
    }
}
