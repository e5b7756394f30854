//! Finds the targets that get no requests because the load balancer has not enabled their zone.

use super::context::Context;
use crate::domain::elb::balancer::LoadBalancer;
use crate::domain::elb::select::SelectedGroup;
use crate::domain::health::{Target, TargetState};

/// The reason code of AWS for a target that gets no requests because the group is not attached or the zone is not
/// enabled.
pub(super) const NOT_IN_USE: &str = "Target.NotInUse";
/// The zone that AWS reports for a target outside of the VPC, which gets requests from all zones.
const EVERY_ZONE: &str = "all";

/// Returns the targets of a group that get no requests because of their zone.
pub(super) fn outside<'a>(context: &Context<'a>, selected: &SelectedGroup) -> Vec<&'a Target> {
    let load_balancer = context.facts.selection.load_balancers.get(&selected.load_balancer);
    let targets = context.facts.health.get(&selected.group.arn).and_then(|health| health.as_ref().ok());
    let (Some(load_balancer), Some(targets)) = (load_balancer, targets) else { return Vec::new() };
    let attached = selected.group.load_balancers.contains(&load_balancer.arn);
    targets.iter().filter(|t| is_outside(t, load_balancer, attached)).collect()
}

/// Returns the number of registered targets that AWS checks and that can get requests.
pub(super) fn usable(context: &Context<'_>, new: &SelectedGroup) -> u32 {
    let outside = outside(context, new);
    let registered = outside.iter().filter(|t| t.state != TargetState::Draining).count();
    let all = context.facts.registered(&new.group.arn).unwrap_or(0);
    all.saturating_sub(u32::try_from(registered).unwrap_or(u32::MAX))
}

/// Whether a target gets no requests because of its zone. For a target without a zone, the reason code of AWS decides.
fn is_outside(target: &Target, load_balancer: &LoadBalancer, attached: bool) -> bool {
    let enabled = &load_balancer.zones;
    match &target.zone {
        Some(zone) if zone != EVERY_ZONE && !enabled.is_empty() && !enabled.contains(zone) => true,
        None => attached && target.state == TargetState::Unused && target.reason.as_deref() == Some(NOT_IN_USE),
        Some(_) => false,
    }
}
