//! Says after a rollback how many connections are still open at Network Load Balancers, where CloudWatch tells. The
//! rollback itself does not depend on it.

use std::time::Duration;

use crate::base::arn::short;
use crate::base::number::count;
use crate::domain::decide::groups_with_connections;
use crate::domain::run::event::RunOutcome;
use crate::domain::run::state::State;
use crate::engine::Ports;
use crate::plan::model::{BalancerKind, Plan};

/// The maximum time to read the counts. The operator already knows how the rollback ended.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Returns a line for each target group of the new cluster, or its load balancer, with open connections; none if the
/// run was not rolled back, if no route keeps its connections, or if the counts cannot be read.
pub async fn open_after_rollback(plan: &Plan, state: &State, ports: &Ports) -> Vec<String> {
    if !matches!(state.finished, Some(RunOutcome::RolledBack | RunOutcome::Aborted)) {
        return Vec::new();
    }
    let groups: Vec<_> = groups_with_connections(plan, state).into_iter().collect();
    if groups.is_empty() {
        return Vec::new();
    }
    let counts = ports.metrics.open_connections(&groups, ports.clock.now());
    let counts = tokio::time::timeout(TIMEOUT, counts).await.ok().and_then(Result::ok).unwrap_or_default();
    counts.into_iter().map(|(arn, open)| line(&arn, open)).collect()
}

fn line(arn: &str, open: u64) -> String {
    let open = count(usize::try_from(open).unwrap_or(usize::MAX), "connection");
    if BalancerKind::of_arn(arn) == BalancerKind::Nlb {
        let name = super::names::balancer(arn);
        format!("CloudWatch counts {open} at {name}, a few minutes ago; it does not count them by target group")
    } else {
        format!("CloudWatch counts {open} to {}, a few minutes ago", short(arn))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_says_to_what_it_belongs() {
        let arn = |what: &str| format!("arn:aws:elasticloadbalancing:eu-central-1:123456789012:{what}");
        assert_eq!(
            line(&arn("loadbalancer/net/edge/00000000000000aa"), 12),
            "CloudWatch counts 12 connections at edge, a few minutes ago; it does not count them by target group"
        );
        assert_eq!(
            line(&arn("targetgroup/tcp-b/00000000000000aa"), 1),
            "CloudWatch counts 1 connection to tcp-b, a few minutes ago"
        );
    }
}
