//! Checks the load balancers of a plan: type, state, quotas, DNS failover, and the tag of a break-glass script.

use std::collections::BTreeSet;

use super::context::{Context, finding, unread_finding};
use super::haproxy::is_haproxy;
use super::network_balancer;
use crate::base::finding::{Code, Finding};
use crate::base::number;
use crate::domain::elb::balancer::LoadBalancer;
use crate::domain::elb::other_type::{ADVICE, kind_name, kind_of, refusal};
use crate::domain::run::script_use::{self, ScriptUse};
use crate::plan::place;

/// Maximum number of target groups per Application Load Balancer. AWS does not raise this quota.
const MAX_ATTACHED: usize = 100;
/// Default quota of targets per Application Load Balancer. AWS can raise this quota.
const TARGET_QUOTA: u32 = 1000;

pub(super) fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for (arn, load_balancer) in context.facts.selection.load_balancers.iter().filter(|(_, lb)| !is_haproxy(lb)) {
        check_type(context, load_balancer, findings);
        check_trace(load_balancer, findings);
        // A Network Load Balancer has other quotas of groups and targets.
        if !context.is_network(arn) {
            check_quotas(context, arn, load_balancer, findings);
        }
    }
    check_groups_per_action(context, findings);
    for (_, group) in context.groups().filter(|(_, g)| context.is_raised(&g.cluster)) {
        check_dns_failover(context, group, findings);
    }
}

fn check_type(context: &Context<'_>, load_balancer: &LoadBalancer, findings: &mut Vec<Finding>) {
    let name = &load_balancer.name;
    let kind = match kind_of(load_balancer) {
        Ok(kind) => kind,
        Err(other) => return findings.push(finding(Code::CUT059, name, refusal(name, other), ADVICE)),
    };
    let entries = context.facts.selection.entries.iter().filter(|entry| entry.load_balancer == load_balancer.arn);
    if let Some(entry) = entries.into_iter().find(|entry| entry.kind != kind) {
        let message =
            format!("{name} is a {}, but the plan has it under the key `{}`", kind_name(kind), entry.kind.key());
        let help = format!("write `{}:` in place of `{}:` (`cutover help nlb`)", kind.key(), entry.kind.key());
        let place = place::in_workload(context.plan, &entry.workload, &[entry.kind.key()]);
        findings.push(finding(Code::CUT059, name, message, help).at(place));
    } else if !matches!(load_balancer.state.as_str(), "active" | "active_impaired" | "") {
        let message = format!("load balancer {name} is {}", load_balancer.state);
        findings.push(finding(Code::CUT059, name, message, "wait until the load balancer is active"));
    }
}

fn check_trace(load_balancer: &LoadBalancer, findings: &mut Vec<Finding>) {
    let Some(used) = ScriptUse::of(&load_balancer.tags) else { return };
    let help = format!(
        "find out why the script was used, before you move the traffic again. On the machine where the run {} was \
         started, end that run: cutover rollback {}. The end of the next run removes the tag {}",
        used.run,
        used.run,
        script_use::KEY
    );
    findings.push(finding(Code::CUT309, &load_balancer.name, used.text(), help));
}

fn check_quotas(context: &Context<'_>, arn: &str, load_balancer: &LoadBalancer, findings: &mut Vec<Finding>) {
    let name = &load_balancer.name;
    let groups = match context.facts.attached.get(arn) {
        Some(Ok(groups)) => groups,
        Some(Err(why)) => return findings.push(unread_finding(name, &format!("target groups of {name}"), why)),
        None => return,
    };
    let mut all: BTreeSet<&str> = groups.iter().map(|g| g.arn.as_str()).collect();
    let before = all.len();
    all.extend(context.groups().filter(|(_, g)| g.load_balancer == arn).map(|(a, _)| a));
    if all.len() > MAX_ATTACHED {
        let message = format!(
            "{name} has {before} target groups and would have {}; the maximum is {MAX_ATTACHED} and cannot be raised",
            all.len()
        );
        findings.push(finding(
            Code::CUT064,
            name,
            message,
            "detach unused target groups, or split the cutover into several plans",
        ));
    }
    let registered: u32 = all.iter().filter_map(|a| context.facts.registered(a)).sum();
    let additional: u32 = context
        .pairs()
        .iter()
        .filter(|(entry, _, _)| entry.load_balancer == arn)
        .map(|(_, old, new)| {
            let has = |g: &str| context.facts.registered(g).unwrap_or(0);
            has(&old.group.arn).saturating_sub(has(&new.group.arn))
        })
        .sum();
    if registered + additional > TARGET_QUOTA {
        let message = format!(
            "{name} has {registered} targets and would have about {} with both clusters at equal size; the default \
             quota is {TARGET_QUOTA}",
            registered + additional
        );
        let help = "check \"Targets per Application Load Balancer\" in Service Quotas, and request an increase before \
            the cutover";
        findings.push(finding(Code::CUT066, name, message, help));
    }
}

/// Checks the number of groups of each action after the plan's groups are attached.
fn check_groups_per_action(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for selected in context.facts.selection.routes.iter().filter(|_| context.binds()) {
        let Some(forward) = selected.route.forwards() else { continue };
        let mut arns: BTreeSet<&str> = forward.ids().map(String::as_str).collect();
        let before = arns.len();
        arns.extend(selected.groups.iter().filter(|(c, _)| context.is_raised(c)).map(|(_, arn)| arn.as_str()));
        if context.is_network(&selected.load_balancer) {
            network_balancer::check_group_quota(context, selected, (before, arns.len()), findings);
        }
        let most = selected.route.limits.max_members;
        if arns.len() > most {
            let label = selected.route.label();
            let message = format!(
                "{label} forwards to {} and would forward to {}; the maximum is {most} and cannot be raised",
                number::count(before, "group"),
                arns.len(),
            );
            findings.push(finding(
                Code::CUT063,
                &label,
                message,
                "first remove a target group with weight 0 from the action",
            ));
        }
    }
}

/// Checks `target_group_health.dns_failover` of a new group. AWS evaluates each group alone, so a group with few
/// targets can take a zone of the whole load balancer out of DNS.
fn check_dns_failover(
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
    let too_few_targets = count > 1 && healthy < wanted;
    // In a group with very few targets, one unhealthy target is a large percentage.
    let too_low_percentage = percent > 1 && (healthy * 100 < percent * registered || (registered as usize) < 2 * zones);
    if !too_few_targets && !too_low_percentage {
        return;
    }
    let bound =
        if percent > 1 { format!("{percent} % of the targets") } else { number::count(count as usize, "target") };
    let message = format!(
        "{} has {healthy} healthy targets; if fewer than {bound} of this group are healthy in a zone, DNS failover \
         takes this zone out of service for the whole load balancer",
        group.name
    );
    let help = format!(
        "change this for the duration of the cutover: aws elbv2 modify-target-group-attributes --target-group-arn {} --attributes \
         Key=target_group_health.dns_failover.minimum_healthy_targets.count,Value=1 \
         Key=target_group_health.dns_failover.minimum_healthy_targets.percentage,Value=off",
        group.arn
    );
    findings.push(finding(Code::CUT065, &group.name, message, help));
}
