//! Guesses which other actor changed a route, and advises how to prevent further changes. The detection of drift
//! belongs in `reconcile`.

use super::desired_split;
use crate::domain::run::state::Route;
use crate::domain::traffic::{ExternalOwner, OwnerTool, RouteContent};

/// The Terraform code that users add before a cutover, so that an apply does not revert the weights.
pub const IGNORE_CHANGES: &str = "resource \"aws_lb_listener\" \"…\" {\n\
    \x20 lifecycle { ignore_changes = [default_action] }\n}\n\
    resource \"aws_lb_listener_rule\" \"…\" {\n  lifecycle { ignore_changes = [action] }\n}\n\
    provider \"aws\" {\n  ignore_tags { key_prefixes = [\"cutover\"] }\n}";

impl OwnerTool {
    /// Returns the name of the tool, for messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Controller => "a load balancer controller",
            Self::Terraform => "Terraform",
            Self::CloudFormation => "CloudFormation",
            Self::Other => "another tool",
        }
    }

    /// Returns advice on how to prevent further changes by the tool.
    pub fn advice(self) -> String {
        match self {
            Self::Controller => {
                "a controller restores its own weights at every resync: roll back, and move this traffic \
                                 at a load balancer that no Ingress, Service or Gateway owns"
                    .into()
            }
            Self::Terraform => format!("before the next apply, add to the Terraform code:\n{IGNORE_CHANGES}"),
            Self::CloudFormation => "block updates of the stack until the cutover is finished \
                                     (a stack policy that denies Update:Modify)"
                .into(),
            Self::Other => "stop that tool's changes until the cutover is finished".into(),
        }
    }
}

/// Describes who probably changed a drifted route.
pub fn likely_cause(route: &Route) -> String {
    if has_restarted(route) {
        return "the load balancer was reloaded or restarted, which forgets the weights".into();
    }
    let manual_rollback = "this looks like a manual rollback";
    match (route.start.owners.first(), towards_start(route)) {
        (None, true) => manual_rollback.into(),
        // The configuration of these tools has the shares from before the cutover.
        (Some(ExternalOwner { tool, tag }), true) => format!("{manual_rollback}, or like {} (tag {tag})", tool.name()),
        (Some(ExternalOwner { tool, tag }), false) => format!("probably {} (tag {tag})", tool.name()),
        (None, false) => "probably a person: no tag names a tool".into(),
    }
}

/// Whether the load balancer was reloaded or restarted since the run last wrote or read the route.
pub fn has_restarted(route: &Route) -> bool {
    route.drifted_content().is_some_and(|live| route.confirmed.restarted_as(live))
}

/// Whether a change by another actor moves traffic towards the shares of the start.
pub fn towards_start(route: &Route) -> bool {
    let Some(live) = route.drifted_content().and_then(RouteContent::forward_split) else { return false };
    let (was, is) = (desired_split::shares_of(route, route.split()), desired_split::shares_of(route, live));
    let start = desired_split::shares_of(route, route.original());
    // A managed group still has traffic, and the sum of the differences from the start is smaller than before.
    let distance = |shares: &std::collections::BTreeMap<String, f64>| -> f64 {
        start.keys().map(|cluster| (start[cluster] - shares.get(cluster).copied().unwrap_or(0.0)).abs()).sum()
    };
    !is.is_empty() && distance(&is) < distance(&was)
}

#[cfg(test)]
mod tests;
