//! Texts about load balancers that are not Application Load Balancers. cutover can read them, but does not write to
//! them.

use super::balancer::LoadBalancer;
use crate::base::arn;

/// Returns the type of a load balancer that is not an Application Load Balancer, such as `network`. Uses the ARN if the
/// load balancer itself could not be read. `None` for an Application Load Balancer or an unknown type.
pub fn other_type(load_balancer: &LoadBalancer) -> Option<&str> {
    let kind = match load_balancer.kind.as_str() {
        "" => type_of_arn(&load_balancer.arn)?,
        kind => kind,
    };
    (kind != "application").then_some(kind)
}

fn type_of_arn(arn: &str) -> Option<&'static str> {
    match arn::resource(arn).split('/').nth(1)? {
        "net" => Some("network"),
        "gwy" => Some("gateway"),
        _ => None,
    }
}

/// Returns the sentence that refuses a load balancer of another type.
pub fn refusal(name: &str, kind: &str) -> String {
    format!(
        "{name} is a {kind} load balancer; this version of cutover moves traffic on Application Load Balancers only"
    )
}

/// Returns what an operator can do instead.
pub fn advice(kind: &str) -> &'static str {
    if kind == "network" {
        "AWS has weighted target groups on Network Load Balancers, but cutover does not write them yet: change \
         the weights with `aws elbv2 modify-listener`, or put an Application Load Balancer in front"
    } else {
        "AWS has no weighted target groups on this type of load balancer: use an Application Load Balancer"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_is_that_of_the_description_or_of_the_arn() {
        let arn =
            |kind: &str| format!("arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/{kind}/web/50");
        for (described, in_arn, expected) in [
            ("application", "app", None),
            ("network", "net", Some("network")),
            ("gateway", "gwy", Some("gateway")),
            ("", "net", Some("network")),
            ("", "gwy", Some("gateway")),
            ("", "app", None),
        ] {
            let load_balancer = LoadBalancer { kind: described.into(), ..LoadBalancer::named(&arn(in_arn)) };
            assert_eq!(other_type(&load_balancer), expected, "{described} {in_arn}");
        }
    }
}
