//! Computes how many targets the traffic of a group needs. Which groups have traffic is computed in `run::state`;
//! whether the groups are healthy enough is decided in `gates` and `guard`.

use super::context::Context;

/// Returns the number of healthy targets needed for 100 % of the traffic of a group's routes: the larger of the
/// baseline and the current total of the groups that had the traffic at the start. The new groups are not counted,
/// because this would require twice the capacity.
pub fn targets_for_all_traffic(c: &Context<'_>, group: &str) -> u32 {
    let Some(returns) = c.state.return_groups(group) else { return 0 };
    let current: u32 = returns.arns.iter().filter_map(|arn| c.observed.healthy(arn)).sum();
    returns.baseline.max(current)
}
