//! Distinguishes the kinds of load balancers. cutover can read every type, but moves traffic at Application and Network
//! Load Balancers only.

use super::balancer::LoadBalancer;
use crate::base::arn;
use crate::plan::model::BalancerKind;

/// Returns the kind of a load balancer. Uses the ARN if the load balancer itself could not be read. A load balancer of
/// unknown type counts as an Application Load Balancer.
///
/// # Errors
/// The type of a load balancer whose traffic cutover does not move, such as `gateway`.
pub fn kind_of(load_balancer: &LoadBalancer) -> Result<BalancerKind, &str> {
    let named = match load_balancer.kind.as_str() {
        "" => type_of_arn(&load_balancer.arn),
        kind => kind,
    };
    match named {
        "application" => Ok(BalancerKind::Alb),
        "network" => Ok(BalancerKind::Nlb),
        other if other == BalancerKind::Haproxy.key() => Ok(BalancerKind::Haproxy),
        other => Err(other),
    }
}

/// Whether a load balancer is a Network Load Balancer.
pub fn is_network(load_balancer: &LoadBalancer) -> bool {
    kind_of(load_balancer) == Ok(BalancerKind::Nlb)
}

/// Returns the type of a load balancer whose traffic cutover does not move; `None` for the other types.
pub fn other_type(load_balancer: &LoadBalancer) -> Option<&str> {
    kind_of(load_balancer).err()
}

fn type_of_arn(arn: &str) -> &'static str {
    match arn::resource(arn).split('/').nth(1) {
        Some("net") => "network",
        Some("gwy") => "gateway",
        _ => "application",
    }
}

/// Returns the name of a kind in messages.
pub fn kind_name(kind: BalancerKind) -> &'static str {
    match kind {
        BalancerKind::Alb => "Application Load Balancer",
        BalancerKind::Nlb => "Network Load Balancer",
        BalancerKind::Haproxy => "backend of HAProxy",
    }
}

/// Returns the sentence that refuses a load balancer of another type.
pub fn refusal(name: &str, kind: &str) -> String {
    format!(
        "{name} is a {kind} load balancer; this version of cutover moves traffic on Application and Network Load \
         Balancers only"
    )
}

/// The advice for an operator whose load balancer has a different type.
pub const ADVICE: &str = "AWS has no weighted target groups on this type of load balancer: use an Application or \
                          Network Load Balancer";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_is_that_of_the_description_or_of_the_arn() {
        let arn =
            |kind: &str| format!("arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/{kind}/web/50");
        for (described, in_arn, expected) in [
            ("application", "app", Ok(BalancerKind::Alb)),
            ("network", "net", Ok(BalancerKind::Nlb)),
            ("gateway", "gwy", Err("gateway")),
            ("", "net", Ok(BalancerKind::Nlb)),
            ("", "gwy", Err("gateway")),
            ("", "app", Ok(BalancerKind::Alb)),
            ("quantum", "app", Err("quantum")),
        ] {
            let load_balancer = LoadBalancer { kind: described.into(), ..LoadBalancer::named(&arn(in_arn)) };
            assert_eq!(kind_of(&load_balancer), expected, "{described} {in_arn}");
        }
    }
}
