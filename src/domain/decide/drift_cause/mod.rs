//! Other actors that write to a route: who probably changed it, and what to do about that. Detecting drift belongs in
//! `reconcile`.

use super::desired_split;
use crate::domain::run::state::Route;
use crate::domain::traffic::{ExternalOwner, OwnerTool, RouteContent};

/// The code that Terraform users add before a cutover.
pub const IGNORE_CHANGES: &str = "resource \"aws_lb_listener\" \"…\" {\n\
    \x20 lifecycle { ignore_changes = [default_action] }\n}\n\
    resource \"aws_lb_listener_rule\" \"…\" {\n  lifecycle { ignore_changes = [action] }\n}\n\
    provider \"aws\" {\n  ignore_tags { key_prefixes = [\"cutover\"] }\n}";

impl OwnerTool {
    /// Its name, for messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Controller => "a load balancer controller",
            Self::Terraform => "Terraform",
            Self::CloudFormation => "CloudFormation",
            Self::Other => "another tool",
        }
    }

    /// Returns how to prevent further changes by it.
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

/// Returns who probably changed a drifted route, as text.
pub fn likely_cause(route: &Route) -> String {
    let home = "this looks like a manual rollback";
    match (route.start.owners.first(), towards_start(route)) {
        (None, true) => home.into(),
        // The code of these tools has the shares from before the cutover.
        (Some(ExternalOwner { tool, tag }), true) => format!("{home}, or like {} (tag {tag})", tool.name()),
        (Some(ExternalOwner { tool, tag }), false) => format!("probably {} (tag {tag})", tool.name()),
        (None, false) => "probably a person: no tag names a tool".into(),
    }
}

/// Whether a drift moves traffic back towards the shares of the start.
pub fn towards_start(route: &Route) -> bool {
    let Some(live) = route.drifted_content().and_then(RouteContent::forward_split) else { return false };
    let (was, is) = (desired_split::shares_of(route, route.split()), desired_split::shares_of(route, live));
    let start = desired_split::shares_of(route, route.original());
    // Some managed group still carries traffic, and the sum of differences to the start shrinks.
    let distance = |shares: &std::collections::BTreeMap<String, f64>| -> f64 {
        start.keys().map(|cluster| (start[cluster] - shares.get(cluster).copied().unwrap_or(0.0)).abs()).sum()
    };
    !is.is_empty() && distance(&is) < distance(&was)
}

#[cfg(test)]
mod tests;
