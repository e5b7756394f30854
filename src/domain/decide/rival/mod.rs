//! Who else writes to a route, and what a change that was not ours looks like.

use super::goal;
use crate::domain::run::state::Route;
use crate::domain::traffic::{Content, Owner, Tool};

/// What Terraform users put into their code before a cutover.
pub const IGNORE_CHANGES: &str = "resource \"aws_lb_listener\" \"…\" {\n  lifecycle { ignore_changes = [default_action] }\n}\n\
    resource \"aws_lb_listener_rule\" \"…\" {\n  lifecycle { ignore_changes = [action] }\n}\n\
    provider \"aws\" {\n  ignore_tags { key_prefixes = [\"cutover\"] }\n}";

impl Tool {
    /// Its name, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Controller => "a load balancer controller",
            Self::Terraform => "Terraform",
            Self::CloudFormation => "CloudFormation",
            Self::Other => "another tool",
        }
    }

    /// What keeps it from doing it again.
    pub fn advice(self) -> String {
        match self {
            Self::Controller => "a controller puts its own weights back at every resync: roll back, and move this traffic on a load balancer that no Ingress, \
                                 Service or Gateway owns"
                .into(),
            Self::Terraform => format!("before its next apply, put into the code:\n{IGNORE_CHANGES}"),
            Self::CloudFormation => "hold the stack's updates until the cutover is over (a stack policy that denies Update:Modify)".into(),
            Self::Other => "hold that tool's changes until the cutover is over".into(),
        }
    }
}

/// Who probably changed a drifted route, in words.
pub fn suspect(route: &Route) -> String {
    let home = "this looks like a person who takes the traffic back";
    match (route.start.owners.first(), homeward(route)) {
        (None, true) => home.into(),
        // Its code has the shares of before the cutover.
        (Some(Owner { tool, tag }), true) => format!("{home}, or like {} (tag {tag})", tool.name()),
        (Some(Owner { tool, tag }), false) => format!("probably {} (tag {tag})", tool.name()),
        (None, false) => "probably a person: no tag names a tool".into(),
    }
}

/// Whether a drift moves traffic back to where it was at the start.
pub fn homeward(route: &Route) -> bool {
    let Some(live) = route.changed().and_then(Content::forwards) else { return false };
    let (was, is) = (goal::shares_of(route, route.split()), goal::shares_of(route, live));
    let start = goal::shares_of(route, route.original());
    // Further from nothing and nearer to the start, cluster by cluster.
    let distance = |shares: &std::collections::BTreeMap<String, f64>| -> f64 {
        start.keys().map(|cluster| (start[cluster] - shares.get(cluster).copied().unwrap_or(0.0)).abs()).sum()
    };
    !is.is_empty() && distance(&is) < distance(&was)
}

#[cfg(test)]
mod tests;
