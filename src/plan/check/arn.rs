//! Checks ARNs of Elastic Load Balancing: kind of resource, account and region.

use super::{Diagnostic, Place, PlanContext, note};
use crate::base::arn::Arn;
use crate::base::finding::Code;
use crate::plan::decode::clip;

/// A kind of ARN: the kind's name in messages, the prefix of the resource, and the number of segments of the resource.
pub(super) struct ArnKind(&'static str, &'static str, usize);

pub(super) const LOAD_BALANCER: ArnKind = ArnKind("an Application Load Balancer", "loadbalancer/app/", 4);
pub(super) const TARGET_GROUP: ArnKind = ArnKind("a target group", "targetgroup/", 3);
pub(super) const LISTENER: ArnKind = ArnKind("a listener of an Application Load Balancer", "listener/app/", 5);
pub(super) const RULE: ArnKind = ArnKind("a rule of an Application Load Balancer", "listener-rule/app/", 6);

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
            Some("net") => " but of a Network Load Balancer, whose weights cutover does not write",
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
