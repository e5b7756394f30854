//! Checks the target groups: attachment, network, health, and whether the new group has the same settings as the old
//! group.

use super::context::{Context, finding, unread_finding};
use super::haproxy::is_haproxy;
use crate::base::arn;
use crate::base::finding::{Code, Finding};
use crate::domain::elb::balancer::TargetGroup;
use crate::domain::elb::select::{SelectedGroup, short_name};

/// The target type of a group whose only target is an AWS Lambda function.
const LAMBDA: &str = "lambda";
/// The target type of a group whose only target is an Application Load Balancer.
const ALB: &str = "alb";

pub(super) fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let of_elb = |selected: &SelectedGroup| {
        let balancer = context.facts.selection.load_balancers.get(&selected.load_balancer);
        !balancer.is_some_and(is_haproxy)
    };
    for (arn, selected) in context.groups() {
        if of_elb(selected) {
            check_attachment(selected, findings);
            check_network(context, selected, findings);
        }
        if let Some(Err(why)) = context.facts.health.get(arn) {
            findings.push(unread_finding(&selected.group.name, &format!("health of {}", selected.group.name), why));
        }
        if context.is_raised(&selected.cluster) {
            check_raised(context, selected, findings);
        } else if selected.cluster == context.plan.strategy.from && context.facts.has_no_healthy(arn) {
            let message = format!(
                "{} has no healthy target: a rollback to {} would send traffic to no target",
                selected.group.name, selected.cluster
            );
            findings.push(finding(
                Code::CUT093,
                &selected.group.name,
                message,
                "repair the old cluster first, or accept this finding if the cutover is the repair",
            ));
        }
    }
    for (_, old, new) in context.pairs().into_iter().filter(|(_, old, _)| of_elb(old)) {
        check_parity(&old.group, &new.group, findings);
    }
}

fn check_attachment(selected: &SelectedGroup, findings: &mut Vec<Finding>) {
    let group = &selected.group;
    for other in
        group.load_balancers.iter().filter(|lb| **lb != selected.load_balancer && !selected.load_balancer.is_empty())
    {
        let message = format!(
            "{} is attached to load balancer {}, but the plan uses {}",
            group.name,
            short_name(other),
            short_name(&selected.load_balancer)
        );
        findings.push(finding(
            Code::CUT067,
            &group.name,
            message,
            "a target group can be attached to one load balancer only: create another target group, or correct the \
             plan",
        ));
    }
}

fn check_network(context: &Context<'_>, selected: &SelectedGroup, findings: &mut Vec<Finding>) {
    let group = &selected.group;
    let mut wrong = |message: String, help: &str| findings.push(finding(Code::CUT068, &group.name, message, help));
    let network = context.is_network(&selected.load_balancer);
    let other = if network { ALB } else { LAMBDA };
    if !["ip", "instance", other].contains(&group.target_type.as_str()) {
        return wrong(
            format!("{} has target type {}", group.name, group.target_type),
            if network {
                "a Network Load Balancer forwards to target groups of type ip, instance and alb"
            } else {
                "an Application Load Balancer forwards to target groups of type ip, instance and lambda"
            },
        );
    }
    if let Some(load_balancer) = context.facts.selection.load_balancers.get(&selected.load_balancer)
        && !group.vpc_id.is_empty()
        && group.vpc_id != load_balancer.vpc_id
    {
        let message = format!(
            "{} is in {}, but load balancer {} is in {}",
            group.name, group.vpc_id, load_balancer.name, load_balancer.vpc_id
        );
        wrong(
            message,
            "create the target group in the load balancer's VPC (targets of type ip may be in a peered VPC)",
        );
    }
    // Only groups of the new cluster must match `binding`. The targets of the old group are already registered.
    if let Some(workload) = context.workload(&selected.workload).filter(|w| w.service(&selected.cluster).is_some())
        && context.is_raised(&selected.cluster)
        && workload.binding.target_type.name() != group.target_type
    {
        let message = format!(
            "{} has target type {}, but the plan's binding has {}",
            group.name,
            group.target_type,
            workload.binding.target_type.name()
        );
        wrong(message, "correct `binding.targetType`; the type of a target group is immutable");
    }
}

fn check_raised(context: &Context<'_>, selected: &SelectedGroup, findings: &mut Vec<Finding>) {
    let group = &selected.group;
    if !group.health_check.enabled {
        let message = format!(
            "health checks of {} are off: its targets never become healthy, so the raise gate can never pass",
            group.name
        );
        let help = if arn::begins(&group.arn) {
            format!("aws elbv2 modify-target-group --target-group-arn {} --health-check-enabled", group.arn)
        } else {
            "add `check` to the lines of these servers, and reload HAProxy".to_owned()
        };
        findings.push(finding(Code::CUT085, &group.name, message, help));
    }
    let Some(Ok(targets)) = context.facts.health.get(&group.arn) else { return };
    let timed_out = targets.iter().filter(|t| t.reason.as_deref() == Some("Target.Timeout")).count();
    if timed_out > 0 {
        let message = format!(
            "{timed_out} of {} targets of {} do not respond to health checks (Target.Timeout)",
            targets.len(),
            group.name
        );
        let help = "the usual cause is a security group: allow traffic from the load balancer's security group to the \
            security group of the pods (or nodes) on the target and health check ports, or set `networking` in `binding`";
        findings.push(finding(Code::CUT080, &group.name, message, help));
    }
    let serviceless = context.workload(&selected.workload).is_some_and(|w| w.service(&selected.cluster).is_none());
    if serviceless && targets.is_empty() {
        let message = format!(
            "{} has no targets, and workload {} has no Service in cluster {} whose pods a binding could register",
            group.name, selected.workload, selected.cluster
        );
        let help = "register targets, or set the workload's `service` (`services` if the clusters differ)";
        findings.push(finding(Code::CUT092, &group.name, message, help));
    }
}

/// Returns the settings that should be equal in both groups, by name.
fn settings(group: &TargetGroup) -> Vec<(&'static str, String)> {
    let check = &group.health_check;
    let attribute = |key: &str, default: &str| group.attributes.get(key).map_or(default, String::as_str).to_owned();
    let mut all = vec![
        ("protocol", group.protocol.clone()),
        ("protocol version", group.protocol_version.clone()),
        ("target type", group.target_type.clone()),
        ("IP address type", group.ip_address_type.clone()),
        ("health check protocol", check.protocol.clone()),
        ("health check path", check.path.clone()),
        ("matcher", check.matcher.clone()),
        ("health check interval", check.interval_seconds.to_string()),
        ("health check time-out", check.timeout_seconds.to_string()),
        ("healthy threshold", check.healthy_threshold.to_string()),
        ("unhealthy threshold", check.unhealthy_threshold.to_string()),
        ("deregistration delay", attribute("deregistration_delay.timeout_seconds", "300")),
        ("slow start", attribute("slow_start.duration_seconds", "0")),
        ("cross-zone", attribute("load_balancing.cross_zone.enabled", "use_load_balancer_configuration")),
        ("algorithm", attribute("load_balancing.algorithm.type", "round_robin")),
        ("target stickiness", attribute("stickiness.enabled", "false")),
        // Only groups of Network Load Balancers have these attributes.
        ("client IP preservation", attribute("preserve_client_ip.enabled", "not set")),
        ("proxy protocol", attribute("proxy_protocol_v2.enabled", "false")),
        ("connection termination", attribute("deregistration_delay.connection_termination.enabled", "false")),
    ];
    if attribute("stickiness.enabled", "false") == "true" {
        all.push(("stickiness type", attribute("stickiness.type", "lb_cookie")));
        all.push(("stickiness duration", attribute("stickiness.lb_cookie.duration_seconds", "86400")));
    }
    all
}

fn check_parity(old: &TargetGroup, new: &TargetGroup, findings: &mut Vec<Finding>) {
    let (mut left, right) = (settings(old), settings(new));
    if [old, new].iter().any(|g| g.target_type == LAMBDA) {
        // A group with a Lambda function has none of the other settings.
        left.retain(|(what, _)| *what == "target type");
    }
    let differences: Vec<String> = left
        .iter()
        .filter_map(|(what, a)| {
            right.iter().find(|(w, b)| w == what && a != b).map(|(_, b)| format!("{what} {a} and {b}"))
        })
        .collect();
    if !differences.is_empty() {
        let message = format!("{} and {} differ: {}", old.name, new.name, differences.join("; "));
        let help = "make the settings equal (`aws elbv2 modify-target-group`, `modify-target-group-attributes`), or accept \
            this finding with the reason for the difference";
        findings.push(finding(Code::CUT069, &new.name, message, help));
    }
}
