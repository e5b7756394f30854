//! Checks ARNs of Elastic Load Balancing: kind of resource, account and region.

use super::{Diagnostic, Place, PlanContext, note};
use crate::base::arn::Arn;
use crate::base::finding::Code;
use crate::plan::decode::clip;
use crate::plan::model::BalancerKind;

/// A kind of ARN: the kind's name in messages, the prefix of the resource, and the number of segments of the resource.
pub(super) struct ArnKind(&'static str, &'static str, usize);

pub(super) const TARGET_GROUP: ArnKind = ArnKind("a target group", "targetgroup/", 3);

/// Returns the kind of the ARNs of load balancers of a kind.
pub(super) fn load_balancer(kind: BalancerKind) -> ArnKind {
    match kind {
        BalancerKind::Alb | BalancerKind::Haproxy => ArnKind("an Application Load Balancer", "loadbalancer/app/", 4),
        BalancerKind::Nlb => ArnKind("a Network Load Balancer", "loadbalancer/net/", 4),
    }
}

/// Returns the kind of the ARNs of listeners of a kind of load balancer.
pub(super) fn listener(kind: BalancerKind) -> ArnKind {
    match kind {
        BalancerKind::Alb | BalancerKind::Haproxy => {
            ArnKind("a listener of an Application Load Balancer", "listener/app/", 5)
        }
        BalancerKind::Nlb => ArnKind("a listener of a Network Load Balancer", "listener/net/", 5),
    }
}

/// Returns the kind of the ARNs of rules of a kind of load balancer.
pub(super) fn rule(kind: BalancerKind) -> ArnKind {
    match kind {
        BalancerKind::Alb | BalancerKind::Haproxy => {
            ArnKind("a rule of an Application Load Balancer", "listener-rule/app/", 6)
        }
        BalancerKind::Nlb => ArnKind("a rule of a Network Load Balancer", "listener-rule/net/", 6),
    }
}

/// Checks an ARN that must be of one of `kinds`, and adds errors.
pub(super) fn check(arn: &str, kinds: &[ArnKind], place: Place, scope: &PlanContext, out: &mut Vec<Diagnostic>) {
    let parsed = Arn::parse(arn).filter(|arn| arn.service == "elasticloadbalancing");
    let Some(Arn { partition, region, account, resource, .. }) = parsed else {
        let what = kinds.first().map_or("", |k| k.0);
        let help = "write an ARN such as `arn:aws:elasticloadbalancing:REGION:ACCOUNT:…`";
        note(out, Code::CUT016, place, format!("`{}` is not a valid ARN of {what}", clip(arn))).help(help);
        return;
    };
    let segments = |r: &str| r.split('/').count();
    let segments_complete = resource.split('/').all(|s| !s.is_empty());
    let known = kinds.iter().find(|k| resource.starts_with(k.1) && segments(resource) == k.2 && segments_complete);
    if known.is_none() || !partition.starts_with("aws") {
        let wanted: Vec<&str> = kinds.iter().map(|k| k.0).collect();
        let shapes: Vec<String> = kinds.iter().map(|k| format!("…:{}…", k.1)).collect();
        let other = match resource.split('/').nth(1) {
            Some("app") if !resource.starts_with("targetgroup/") => {
                " but of an Application Load Balancer, whose key is `alb`"
            }
            Some("net") if !resource.starts_with("targetgroup/") => {
                " but of a Network Load Balancer, whose key is `nlb`"
            }
            Some("gwy") => " but of a Gateway Load Balancer, which has no weights",
            _ => "",
        };
        let message = format!("the ARN of `{}` is not the ARN of {}{other}", clip(resource), wanted.join(" or "));
        note(out, Code::CUT016, place, message).help(format!("the ARN must have the form {}", shapes.join(" or ")));
    }
    for (what, found, wanted) in [("account", account, &scope.account), ("region", region, &scope.region)] {
        if let Some(wanted) = wanted.as_deref().filter(|w| *w != found) {
            note(
                out,
                Code::CUT016,
                place,
                format!("the ARN has {what} `{}`, but the plan has `{wanted}`", clip(found)),
            )
            .help(format!("correct the ARN, or `spec.aws`: a plan has one {what}"));
        }
    }
}
