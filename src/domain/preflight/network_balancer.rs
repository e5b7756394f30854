//! Checks what applies to Network Load Balancers only: connections that outlive a weight, protocols, stickiness, and the
//! quota of target groups per action.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::context::{Context, finding};
use crate::base::duration;
use crate::base::finding::{Code, Finding};
use crate::base::number::count;
use crate::base::text::list;
use crate::domain::elb::balancer::{Listener, TargetGroup};
use crate::domain::elb::select::{SelectedGroup, SelectedRoute};
use crate::domain::traffic::RouteContent;
use crate::plan::model::{BalancerKind, Plan, Workload};

/// The name of the quota in DescribeAccountLimits.
const GROUP_QUOTA: &str = "target-groups-per-action-on-network-load-balancer";

/// How long Amazon ECS waits after each shift of weights at a Network Load Balancer, because the weights and the data
/// plane can differ:
/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/nlb-resources-for-blue-green.html>.
const ECS_WAIT: Duration = Duration::from_mins(10);

/// Returns the names of the quotas that the checks need.
pub(super) fn needed_quotas(plan: &Plan) -> Vec<&'static str> {
    let mut entries = plan.workloads.iter().flat_map(|w| &w.routes);
    if entries.any(|entry| entry.kind == BalancerKind::Nlb) { vec![GROUP_QUOTA] } else { Vec::new() }
}

/// Returns the findings that need no facts.
pub(super) fn notes(plan: &Plan) -> Vec<Finding> {
    let entries = plan.workloads.iter().flat_map(|w| w.routes.iter().map(move |entry| (w, entry)));
    let short = entries.filter_map(|(w, entry)| Some((w, entry.settle.filter(|settle| *settle < ECS_WAIT)?)));
    let note = |(workload, settle): (&Workload, Duration)| {
        let message = format!(
            "the settle of workload {} at its Network Load Balancer is {}",
            workload.name,
            duration::format_exact(settle)
        );
        let help = "configured weights and the data plane of a Network Load Balancer can differ for minutes: Amazon ECS \
                    waits 10m after each shift. The next step and the gates may use traffic from before the new weights";
        finding(Code::CUT335, &workload.name, message, help)
    };
    short.map(note).collect()
}

pub(super) fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    findings.extend(notes(context.plan));
    let balancers = context.facts.selection.load_balancers.iter();
    let names: Vec<&str> =
        balancers.filter(|(arn, _)| context.is_network(arn)).map(|(_, balancer)| balancer.name.as_str()).collect();
    let Some(first) = names.first() else { return };
    let message = format!(
        "new connections through {} follow the weights; existing connections stay with their target until they close",
        list(&names)
    );
    let help = "a client with a long connection moves when it connects again, in both directions: after a rollback, too, \
                existing connections to the new cluster remain until they close. To move them sooner, close them at the \
                clients or at the servers";
    findings.push(finding(Code::CUT334, first, message, help));
    report_unknown_quota(context, findings);
    for selected in context.facts.selection.routes.iter().filter(|r| context.is_network(&r.load_balancer)) {
        check_groups_of_action(context, selected, findings);
        check_stickiness_on_tls(context, selected, findings);
    }
    report_stickiness(context, findings);
}

fn report_unknown_quota(context: &Context<'_>, findings: &mut Vec<Finding>) {
    if let Some(Err(why)) = context.facts.quotas.get(GROUP_QUOTA) {
        let message = format!("the quota {GROUP_QUOTA} cannot be read: {why}");
        let help = "AWS refuses to attach more groups to an action than the quota allows, so the step `bind` might fail. \
                    Grant elasticloadbalancing:DescribeAccountLimits, or look the quota up in Service Quotas";
        findings.push(finding(Code::CUT333, GROUP_QUOTA, message, help));
    }
}

/// Checks the number of groups of an action (now, and after `bind`) against the quota of the account. The groups that
/// the action has already are within the quota.
pub(super) fn check_group_quota(
    context: &Context<'_>,
    selected: &SelectedRoute,
    (before, after): (usize, usize),
    findings: &mut Vec<Finding>,
) {
    let Some(Ok(quota)) = context.facts.quotas.get(GROUP_QUOTA) else { return };
    let quota = *quota as usize;
    if after <= quota.max(before) {
        return;
    }
    let label = selected.route.label();
    let message = format!(
        "{label} forwards to {} and would forward to {after}, but the account's quota is {quota} ({GROUP_QUOTA})",
        count(before, "group")
    );
    let help = "request an increase of this quota in Service Quotas, or first remove a target group without traffic from \
                the action";
    findings.push(finding(Code::CUT063, &label, message, help));
}

/// Returns the groups that an action has now or gets by `bind`, without groups that could not be read.
fn groups_of_action<'a>(context: &Context<'a>, selected: &'a SelectedRoute) -> Vec<&'a TargetGroup> {
    let attached = context.facts.attached.get(&selected.load_balancer).into_iter().flatten().flatten();
    let known: BTreeMap<&str, &TargetGroup> = attached
        .map(|group| (group.arn.as_str(), group))
        .chain(context.groups().map(|(arn, selected)| (arn, &selected.group)))
        .collect();
    let raised = selected.groups.iter().filter(|(cluster, _)| context.is_raised(cluster)).map(|(_, arn)| arn);
    let arns: BTreeSet<&String> = selected.route.content.split.ids().chain(raised).collect();
    arns.into_iter().filter_map(|arn| known.get(arn.as_str()).copied()).collect()
}

/// Checks that all groups of an action have one protocol and one IP address type, as the user guide asks:
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-listeners.html>.
fn check_groups_of_action(context: &Context<'_>, selected: &SelectedRoute, findings: &mut Vec<Finding>) {
    let groups = groups_of_action(context, selected);
    let protocol: fn(&TargetGroup) -> &str = |group| &group.protocol;
    let address_type: fn(&TargetGroup) -> &str = |group| &group.ip_address_type;
    for (what, value) in [("protocol", protocol), ("IP address type", address_type)] {
        let distinct: BTreeSet<&str> = groups.iter().map(|group| value(group)).filter(|v| !v.is_empty()).collect();
        if distinct.len() < 2 {
            continue;
        }
        let each: Vec<String> = groups.iter().map(|group| format!("{} {}", group.name, value(group))).collect();
        let label = selected.route.label();
        let message = format!("the target groups of {label} differ in the {what}: {}", each.join(", "));
        let help = format!(
            "all target groups of an action of a Network Load Balancer have the same {what}, which is immutable: create \
             the new target group with that of the old one"
        );
        findings.push(finding(Code::CUT330, &label, message, help));
    }
}

/// Returns the protocols of the target groups to which a listener of a Network Load Balancer can forward; `None` for a
/// protocol that this build does not know. Source:
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-target-groups.html>.
fn fitting_protocols(listener: &str) -> Option<&'static [&'static str]> {
    match listener {
        "TCP" => Some(&["TCP", "TCP_UDP"]),
        "TLS" => Some(&["TCP", "TLS"]),
        "UDP" => Some(&["UDP", "TCP_UDP"]),
        "TCP_UDP" => Some(&["TCP_UDP"]),
        "QUIC" => Some(&["QUIC", "TCP_QUIC"]),
        "TCP_QUIC" => Some(&["TCP_QUIC"]),
        _ => None,
    }
}

/// Checks that the listeners of a group's routes can forward to the group.
pub(super) fn check_protocol(context: &Context<'_>, arn: &str, selected: &SelectedGroup, findings: &mut Vec<Finding>) {
    let group = &selected.group;
    let routes = context.facts.selection.routes.iter().filter(|r| r.groups.values().any(|g| g == arn));
    let listeners: BTreeSet<(u16, &str)> = routes
        .filter_map(|r| listener(context, &r.route.listener))
        .map(|listener| (listener.port, listener.protocol.as_str()))
        .collect();
    for (port, protocol) in listeners {
        let Some(fitting) = fitting_protocols(protocol).filter(|all| !all.contains(&group.protocol.as_str())) else {
            continue;
        };
        let message = format!("{} has protocol {}, but listener {port} has {protocol}", group.name, group.protocol);
        let help = format!(
            "AWS refuses to attach the group: a {protocol} listener forwards to groups with protocol {}. The protocol of a \
             target group is immutable: create another target group, or leave the listener out of `listeners`",
            fitting.join(" or ")
        );
        findings.push(finding(Code::CUT331, &group.name, message, help));
    }
}

fn listener<'a>(context: &Context<'a>, arn: &str) -> Option<&'a Listener> {
    let listeners = context.facts.live.listeners.values().flatten().flatten();
    listeners.map(|(listener, _)| listener).find(|listener| listener.arn == arn)
}

/// Checks that neither the action nor a group of a TLS listener has stickiness.
fn check_stickiness_on_tls(context: &Context<'_>, selected: &SelectedRoute, findings: &mut Vec<Finding>) {
    if listener(context, &selected.route.listener).is_none_or(|listener| listener.protocol != "TLS") {
        return;
    }
    let sticky = |group: &&TargetGroup| group.attributes.get("stickiness.enabled").is_some_and(|on| on == "true");
    let groups: Vec<&str> =
        groups_of_action(context, selected).into_iter().filter(sticky).map(|group| group.name.as_str()).collect();
    let label = selected.route.label();
    let message = if !groups.is_empty() {
        format!("{label} is on a TLS listener, but these target groups have stickiness: {}", groups.join(", "))
    } else if selected.route.content.sticky().is_some() {
        format!("{label} is on a TLS listener, but its action has group stickiness")
    } else {
        return;
    };
    let help = "a Network Load Balancer has no stickiness on TLS listeners, and AWS refuses a write of such an action: turn \
                stickiness off (for a target group: aws elbv2 modify-target-group-attributes --target-group-arn ARN \
                --attributes Key=stickiness.enabled,Value=false)";
    findings.push(finding(Code::CUT332, &label, message, help));
}

/// Reports group stickiness, which has no duration on a Network Load Balancer.
fn report_stickiness(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let endless = |content: &RouteContent| content.sticky().is_some_and(|sticky| sticky.seconds.is_none());
    let routes = context.facts.selection.routes.iter().filter(|r| r.route.forwards().is_some());
    let labels: Vec<String> = routes.filter(|r| endless(&r.route.content)).map(|r| r.route.label()).collect();
    if labels.is_empty() {
        return;
    }
    let message = format!(
        "{} has group stickiness, which has no duration on a Network Load Balancer: known clients stay with their group",
        list(&labels)
    );
    let help = "weights apply to new clients only, also at 100 % and after a rollback, unless the rollback detaches the new \
                group (`strategy.rollback.stickiness: break`, the default). Accept this finding in the plan, or turn off \
                stickiness first";
    findings.push(finding(Code::CUT042, "stickiness", message, help));
}
