//! Checks that the load balancer can use the new target groups: the IP address type, the protocol, and the zones of the
//! targets.

use std::collections::{BTreeMap, BTreeSet};

use super::capacity::{ShortStep, short_steps};
use super::context::{Context, finding};
use super::network_balancer;
use super::zones::{NOT_IN_USE, outside, usable};
use crate::base::finding::{Code, Finding};
use crate::base::text::list;
use crate::domain::elb::balancer::LoadBalancer;
use crate::domain::elb::select::SelectedGroup;
use crate::plan::model::BalancerKind;

/// The protocol versions to which only an HTTPS listener can forward.
const HTTPS_ONLY: [&str; 2] = ["GRPC", "HTTP2"];

pub(super) fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for (arn, selected) in context.groups().filter(|(_, g)| context.is_raised(&g.cluster)) {
        let load_balancer = context.facts.selection.load_balancers.get(&selected.load_balancer);
        // Another check reports load balancers of another type.
        if let Some((load_balancer, kind)) = load_balancer.zip(context.kind(&selected.load_balancer)) {
            match kind {
                BalancerKind::Alb => check_protocol(context, arn, selected, findings),
                BalancerKind::Nlb => network_balancer::check_protocol(context, arn, selected, findings),
                BalancerKind::Haproxy => continue,
            }
            check_address_type(load_balancer, selected, findings);
            check_zones(context, load_balancer, selected, findings);
        }
    }
}

fn check_address_type(load_balancer: &LoadBalancer, selected: &SelectedGroup, findings: &mut Vec<Finding>) {
    let group = &selected.group;
    if load_balancer.ip_address_type != "ipv4" || group.ip_address_type != "ipv6" {
        return;
    }
    let message = format!(
        "{} has IP address type ipv6, but load balancer {} is ipv4: AWS refuses to attach the group",
        group.name, load_balancer.name
    );
    let help = format!(
        "an IPv6 target group needs a dual-stack load balancer. Give its subnets IPv6 CIDR blocks, then run:\n\
         aws elbv2 set-ip-address-type --load-balancer-arn {} --ip-address-type dualstack",
        load_balancer.arn
    );
    findings.push(finding(Code::CUT068, &group.name, message, help));
}

fn check_protocol(context: &Context<'_>, arn: &str, selected: &SelectedGroup, findings: &mut Vec<Finding>) {
    let group = &selected.group;
    if !matches!(group.protocol.as_str(), "HTTP" | "HTTPS" | "") {
        let message = format!(
            "{} has protocol {}, but an Application Load Balancer forwards to HTTP and HTTPS target groups only",
            group.name, group.protocol
        );
        let help = "the protocol of a target group is immutable: create a target group with protocol HTTP or HTTPS";
        return findings.push(finding(Code::CUT068, &group.name, message, help));
    }
    if !HTTPS_ONLY.contains(&group.protocol_version.as_str()) {
        return;
    }
    let routes = context.facts.selection.routes.iter();
    let used: BTreeSet<&str> =
        routes.filter(|r| r.groups.values().any(|g| g == arn)).map(|r| r.route.listener.as_str()).collect();
    let listeners = context.facts.live.listeners.values().flatten().flatten().map(|(listener, _)| listener);
    let http_ports: Vec<String> = listeners
        .filter(|l| l.protocol == "HTTP" && used.contains(l.arn.as_str()))
        .map(|l| l.port.to_string())
        .collect();
    if http_ports.is_empty() {
        return;
    }
    let message = format!(
        "{} has protocol version {}, to which only an HTTPS listener can forward; HTTP listeners of the plan: {}",
        group.name,
        group.protocol_version,
        list(&http_ports)
    );
    let help = "AWS refuses to attach the group to these listeners: leave them out of `listeners`, or use a target group with \
        protocol version HTTP1 (the protocol version is immutable)";
    findings.push(finding(Code::CUT068, &group.name, message, help));
}

fn check_zones(
    context: &Context<'_>,
    load_balancer: &LoadBalancer,
    selected: &SelectedGroup,
    findings: &mut Vec<Finding>,
) {
    let group = &selected.group;
    let Some(Ok(targets)) = context.facts.health.get(&group.arn) else { return };
    let outside = outside(context, selected);
    if outside.is_empty() {
        return;
    }
    let mut by_zone: BTreeMap<&str, u32> = BTreeMap::new();
    for target in &outside {
        *by_zone.entry(target.zone.as_deref().unwrap_or("a zone that AWS does not name")).or_default() += 1;
    }
    let named: Vec<String> = by_zone.iter().map(|(zone, count)| format!("{count} in {zone}")).collect();
    let message = format!(
        "{} of {} targets of {} are outside of the zones that load balancer {} has enabled ({}): {}. AWS neither checks \
         these targets nor sends requests to them ({NOT_IN_USE}){}",
        outside.len(),
        targets.len(),
        group.name,
        load_balancer.name,
        load_balancer.zones.join(", "),
        named.join(", "),
        first_failing_gate(context, selected)
    );
    let help = format!(
        "enable these zones with a subnet in each (the list must include the current subnets):\n\
         aws elbv2 set-subnets --load-balancer-arn {} --subnets SUBNET…\n\
         or run the new targets in the enabled zones only",
        load_balancer.arn
    );
    findings.push(finding(Code::CUT300, &group.name, message, help));
}

/// Returns the first step whose gate the targets in the enabled zones do not pass, as the end of a sentence; empty if
/// the targets are enough for all steps.
fn first_failing_gate(context: &Context<'_>, selected: &SelectedGroup) -> String {
    let usable = usable(context, selected);
    let pairs = context.pairs();
    let own = pairs.iter().filter(|(_, _, new)| new.group.arn == selected.group.arn);
    let short = own.filter_map(|(entry, _, new)| short_steps(context, entry, new, usable).into_iter().next());
    let first = short.min_by_key(|short| short.step);
    first.map_or_else(String::new, |ShortStep { step, share, need }| {
        format!(
            ". The gate before step {step} ({share} % to {}) does not pass: it needs {need} healthy targets, and \
             {usable} of the registered targets can become healthy",
            selected.cluster
        )
    })
}
