//! Converts load balancers, listeners, rules, target groups and targets from the SDK's types to the domain's types.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_elasticloadbalancingv2::types as sdk;
use aws_sdk_elasticloadbalancingv2::types::TargetHealthStateEnum as State;

use super::failure::Failure;
use super::{action, condition, rule_config};
use crate::domain::elb;
use crate::domain::elb::balancer::{HealthCheck, Listener, LiveRoute, LoadBalancer, TargetGroup};
use crate::domain::elb::rule::RuleConfig;
use crate::domain::health::{Target, TargetState};
use crate::domain::traffic::{RouteId, Tags, UnreadRoute};

fn text(value: Option<&str>) -> String {
    value.unwrap_or_default().to_owned()
}

fn number<T: TryFrom<i32> + Default>(value: Option<i32>) -> T {
    value.and_then(|v| T::try_from(v).ok()).unwrap_or_default()
}

/// Returns the ARN of a resource. Fails for a resource without an ARN.
fn arn_of(arn: Option<&str>, what: &str) -> Result<String, Failure> {
    arn.map(str::to_owned).ok_or_else(|| Failure::Unknown(format!("the response contains {what} without an ARN")))
}

/// Converts a load balancer. The caller adds attributes and tags.
pub(super) fn load_balancer(lb: &sdk::LoadBalancer) -> Result<LoadBalancer, Failure> {
    Ok(LoadBalancer {
        arn: arn_of(lb.load_balancer_arn(), "a load balancer")?,
        name: text(lb.load_balancer_name()),
        dns_name: text(lb.dns_name()),
        kind: text(lb.r#type().map(sdk::LoadBalancerTypeEnum::as_str)),
        scheme: text(lb.scheme().map(sdk::LoadBalancerSchemeEnum::as_str)),
        state: text(lb.state().and_then(|s| s.code()).map(sdk::LoadBalancerStateEnum::as_str)),
        vpc_id: text(lb.vpc_id()),
        ip_address_type: text(lb.ip_address_type().map(sdk::IpAddressType::as_str)),
        zones: lb.availability_zones().iter().filter_map(|z| z.zone_name().map(str::to_owned)).collect(),
        attributes: BTreeMap::new(),
        tags: Tags::new(),
    })
}

/// Converts a listener. The caller adds tags.
pub(super) fn listener(l: &sdk::Listener) -> Result<Listener, Failure> {
    Ok(Listener {
        arn: arn_of(l.listener_arn(), "a listener")?,
        load_balancer: text(l.load_balancer_arn()),
        port: number(l.port()),
        protocol: text(l.protocol().map(sdk::ProtocolEnum::as_str)),
        tags: Tags::new(),
        unread: Vec::new(),
        tags_unread: None,
    })
}

/// Converts a listener's default action.
pub(super) fn default_route(l: &sdk::Listener) -> Result<LiveRoute, Failure> {
    let arn = arn_of(l.listener_arn(), "a listener")?;
    let actions = action::from_sdk(l.default_actions()).map_err(|e| Failure::Unrepresentable(format!("{arn}: {e}")))?;
    Ok(LiveRoute {
        content: elb::content(&actions),
        id: RouteId::default_route(&arn),
        listener: arn,
        port: number(l.port()),
        priority: None,
        conditions: String::new(),
        rule: RuleConfig::default(),
        tags: Tags::new(),
        limits: elb::LIMITS,
        name: None,
    })
}

/// Converts a rule to a live route. `port` is the port of its listener, which AWS does not return with the rule.
pub(super) fn rule(r: &sdk::Rule, port: u16) -> Result<LiveRoute, Failure> {
    let arn = arn_of(r.rule_arn(), "a rule")?;
    let actions = action::from_sdk(r.actions()).map_err(|e| Failure::Unrepresentable(format!("{arn}: {e}")))?;
    let id = RouteId::rule(arn);
    Ok(LiveRoute {
        content: elb::content(&actions),
        listener: elb::listener(&id),
        id,
        port,
        priority: r.priority().and_then(|p| p.parse().ok()),
        conditions: condition::conditions_text(r.conditions()),
        rule: rule_config::from_sdk(r),
        tags: Tags::new(),
        limits: elb::LIMITS,
        name: None,
    })
}

/// Describes a default action that cannot be represented, with the parts that are known.
pub(super) fn unread_default(l: &sdk::Listener, why: Failure) -> UnreadRoute {
    let port: u16 = number(l.port());
    let id = RouteId::default_route(text(l.listener_arn()));
    UnreadRoute { id, label: format!("{port} default"), groups: groups(l.default_actions()), why: why.into() }
}

/// Describes a rule that cannot be represented, with the parts that are known.
pub(super) fn unread_rule(r: &sdk::Rule, port: u16, why: Failure) -> UnreadRoute {
    let label = format!("{port} rule {}", r.priority().unwrap_or("?"));
    UnreadRoute { id: RouteId::rule(text(r.rule_arn())), label, groups: groups(r.actions()), why: why.into() }
}

/// Returns the target groups of actions that may lack elements.
fn groups(actions: &[sdk::Action]) -> Vec<String> {
    let tuples =
        actions.iter().filter_map(sdk::Action::forward_config).flat_map(sdk::ForwardActionConfig::target_groups);
    let tuples = tuples.filter_map(sdk::TargetGroupTuple::target_group_arn);
    actions.iter().filter_map(sdk::Action::target_group_arn).chain(tuples).map(str::to_owned).collect()
}

/// Converts a target group. The caller adds attributes and tags.
pub(super) fn target_group(g: &sdk::TargetGroup) -> Result<TargetGroup, Failure> {
    Ok(TargetGroup {
        arn: arn_of(g.target_group_arn(), "a target group")?,
        name: text(g.target_group_name()),
        protocol: text(g.protocol().map(sdk::ProtocolEnum::as_str)),
        protocol_version: text(g.protocol_version()),
        port: number(g.port()),
        target_type: text(g.target_type().map(sdk::TargetTypeEnum::as_str)),
        vpc_id: text(g.vpc_id()),
        ip_address_type: text(g.ip_address_type().map(sdk::TargetGroupIpAddressTypeEnum::as_str)),
        health_check: health_check(g),
        load_balancers: g.load_balancer_arns().iter().collect::<BTreeSet<_>>().into_iter().cloned().collect(),
        attributes: BTreeMap::new(),
        tags: Tags::new(),
    })
}

fn health_check(g: &sdk::TargetGroup) -> HealthCheck {
    HealthCheck {
        enabled: g.health_check_enabled().unwrap_or(true),
        protocol: text(g.health_check_protocol().map(sdk::ProtocolEnum::as_str)),
        port: text(g.health_check_port()),
        path: text(g.health_check_path()),
        matcher: text(g.matcher().and_then(|m| m.http_code().or(m.grpc_code()))),
        interval_seconds: number(g.health_check_interval_seconds()),
        timeout_seconds: number(g.health_check_timeout_seconds()),
        healthy_threshold: number(g.healthy_threshold_count()),
        unhealthy_threshold: number(g.unhealthy_threshold_count()),
    }
}

/// Converts a target. A target without health, or in a state that this build does not know, is not healthy.
pub(super) fn target(t: &sdk::TargetHealthDescription) -> Target {
    let health = t.target_health();
    let description = t.target();
    Target {
        id: text(description.map(sdk::TargetDescription::id).unwrap_or_default()),
        port: number(description.and_then(sdk::TargetDescription::port)),
        zone: description.and_then(|d| d.availability_zone()).map(str::to_owned),
        state: health.and_then(|h| h.state()).map_or(TargetState::Unavailable, state),
        reason: health.and_then(|h| h.reason()).map(|r| r.as_str().to_owned()),
        explanation: health.and_then(|h| h.description()).map(|text| text.trim_end_matches('.').to_owned()),
    }
}

fn state(state: &State) -> TargetState {
    match state {
        State::Healthy => TargetState::Healthy,
        State::Initial => TargetState::Initial,
        // A load balancer that deregisters unhealthy targets reports them as `UnhealthyDraining`.
        State::Unhealthy | State::UnhealthyDraining => TargetState::Unhealthy,
        State::Unused => TargetState::Unused,
        State::Draining => TargetState::Draining,
        _ => TargetState::Unavailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_target_state_is_not_healthy() {
        let described = |s: &str| {
            sdk::TargetHealthDescription::builder()
                .target_health(sdk::TargetHealth::builder().state(s.into()).build())
                .build()
        };
        assert_eq!(target(&described("healthy")).state, TargetState::Healthy);
        assert_eq!(target(&described("glowing")).state, TargetState::Unavailable);
        assert_eq!(target(&sdk::TargetHealthDescription::builder().build()).state, TargetState::Unavailable);
    }
}
