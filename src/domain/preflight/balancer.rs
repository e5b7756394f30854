//! The load balancer itself: its kind, its quotas, its DNS failover.

use std::collections::BTreeSet;

use super::context::{Context, finding, unread};
use crate::base::finding::{Code, Finding};
use crate::base::number;
use crate::domain::elb::LIMITS;
use crate::domain::elb::balancer::LoadBalancer;

/// Target groups of an Application Load Balancer; not adjustable.
const MAX_ATTACHED: usize = 100;
/// Targets of an Application Load Balancer, by default; adjustable.
const TARGET_QUOTA: u32 = 1000;

pub(super) fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for (arn, load_balancer) in &context.facts.selection.load_balancers {
        kind(load_balancer, findings);
        attached(context, arn, load_balancer, findings);
    }
    groups_per_action(context, findings);
    for (_, group) in context.groups().filter(|(_, g)| context.is_raised(&g.cluster)) {
        dns_failover(context, group, findings);
    }
}

fn kind(load_balancer: &LoadBalancer, findings: &mut Vec<Finding>) {
    let name = &load_balancer.name;
    if load_balancer.kind != "application" {
        let message = format!("{name} is a {} load balancer", load_balancer.kind);
        findings.push(finding(
            Code::CUT059,
            name,
            message,
            "only an Application Load Balancer has weighted forward actions",
        ));
    } else if !matches!(load_balancer.state.as_str(), "active" | "active_impaired" | "") {
        let message = format!("load balancer {name} is {}", load_balancer.state);
        findings.push(finding(Code::CUT059, name, message, "wait until it is active"));
    }
}

fn attached(context: &Context<'_>, arn: &str, load_balancer: &LoadBalancer, findings: &mut Vec<Finding>) {
    let name = &load_balancer.name;
    let there = match context.facts.attached.get(arn) {
        Some(Ok(groups)) => groups,
        Some(Err(why)) => return findings.push(unread(name, &format!("target groups of {name}"), why)),
        None => return,
    };
    let mut all: BTreeSet<&str> = there.iter().map(|g| g.arn.as_str()).collect();
    let before = all.len();
    all.extend(context.groups().filter(|(_, g)| g.load_balancer == arn).map(|(a, _)| a));
    if all.len() > MAX_ATTACHED {
        let message = format!(
            "{name} has {before} target groups and would have {}; {MAX_ATTACHED} is the most, and not adjustable",
            all.len()
        );
        findings.push(finding(
            Code::CUT064,
            name,
            message,
            "detach groups that nothing uses any more, or move in several plans",
        ));
    }
    let registered: u32 = all.iter().filter_map(|a| context.facts.registered(a)).sum();
    let coming: u32 = context
        .pairs()
        .iter()
        .filter(|(entry, _, _)| entry.load_balancer == arn)
        .map(|(_, old, new)| {
            let has = |g: &str| context.facts.registered(g).unwrap_or(0);
            has(&old.group.arn).saturating_sub(has(&new.group.arn))
        })
        .sum();
    if registered + coming > TARGET_QUOTA {
        let message = format!(
            "{name} has {registered} targets and would have about {} at parity; {TARGET_QUOTA} is the default quota",
            registered + coming
        );
        let help =
            "look at \"Targets per Application Load Balancer\" in Service Quotas, and ask for more before the cutover";
        findings.push(finding(Code::CUT066, name, message, help));
    }
}

/// How many groups an action has once the plan's groups are attached.
fn groups_per_action(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for selected in context.facts.selection.routes.iter().filter(|_| context.binds()) {
        let Some(forward) = selected.route.forwards() else { continue };
        let mut arns: BTreeSet<&str> = forward.ids().map(String::as_str).collect();
        let before = arns.len();
        arns.extend(selected.groups.iter().filter(|(c, _)| context.is_raised(c)).map(|(_, arn)| arn.as_str()));
        if arns.len() > LIMITS.max_members {
            let label = selected.route.label();
            let message = format!(
                "{label} forwards to {} and would have {}; {} is the most, and not adjustable",
                number::count(before, "group"),
                arns.len(),
                LIMITS.max_members
            );
            findings.push(finding(
                Code::CUT063,
                &label,
                message,
                "take a group that carries nothing out of the action first",
            ));
        }
    }
}

/// `target_group_health.dns_failover` looks at each group alone: a new one with few targets can take a zone of the whole load balancer out.
fn dns_failover(
    context: &Context<'_>,
    selected: &crate::domain::elb::select::SelectedGroup,
    findings: &mut Vec<Finding>,
) {
    let group = &selected.group;
    let attribute = |what: &str| {
        let value =
            group.attributes.get(&format!("target_group_health.dns_failover.minimum_healthy_targets.{what}"))?;
        value.parse::<u32>().ok()
    };
    let (count, percent) = (attribute("count").unwrap_or(1), attribute("percentage").unwrap_or(0));
    let zones =
        context.facts.selection.load_balancers.get(&selected.load_balancer).map_or(1, |lb| lb.zones.len().max(1));
    let healthy = context.facts.healthy(&group.arn).unwrap_or(0);
    let wanted = count.saturating_mul(u32::try_from(zones).unwrap_or(u32::MAX));
    let registered = context.facts.registered(&group.arn).unwrap_or(0);
    let few = count > 1 && healthy < wanted;
    // One sick target of very few is a large part of them.
    let steep = percent > 1 && (healthy * 100 < percent * registered || (registered as usize) < 2 * zones);
    if !few && !steep {
        return;
    }
    let bound =
        if percent > 1 { format!("{percent} % of its targets") } else { number::count(count as usize, "target") };
    let message = format!(
        "{} has {healthy} healthy targets, and a zone of the whole load balancer leaves DNS where fewer than {bound} of it are healthy there",
        group.name
    );
    let help = format!(
        "until the cutover is over: aws elbv2 modify-target-group-attributes --target-group-arn {} --attributes \
         Key=target_group_health.dns_failover.minimum_healthy_targets.count,Value=1 \
         Key=target_group_health.dns_failover.minimum_healthy_targets.percentage,Value=off",
        group.arn
    );
    findings.push(finding(Code::CUT065, &group.name, message, help));
}
