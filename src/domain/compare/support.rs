//! The rule about how long EKS supports the Kubernetes version of the new cluster.

use jiff::Timestamp;

use super::context::Context;
use super::versions::minor;
use crate::base::finding::{Code, Finding, Severity};

/// An end of support that is nearer than this number of days is reported.
const NOTICE_DAYS: i64 = 60;

pub fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let to = context.to;
    let Some(platform) = &to.platform else { return };
    let (Ok(Some(support)), Ok(cluster)) = (&platform.support, &platform.cluster) else { return };
    let Some(version) = to.version.as_ref().ok().and_then(|version| minor(version)) else { return };
    let now = platform.read_at;
    let near = |end: Option<Timestamp>| end.filter(|end| end.as_second() - now.as_second() < NOTICE_DAYS * 86_400);
    let upgraded = "EKS then upgrades the control plane by itself: move to a cluster with a newer version, or plan the \
                    upgrade";
    let (end, which, severity, help) = match (near(support.extended_end), near(support.standard_end)) {
        (Some(end), _) => (end, "extended support", Severity::Warning, upgraded),
        (None, Some(end)) if cluster.standard_support => (end, "standard support", Severity::Warning, upgraded),
        (None, Some(end)) => {
            (end, "standard support", Severity::Info, "the extended support costs more for each hour of the cluster")
        }
        (None, None) => return,
    };
    let tense = if end <= now { "ended" } else { "ends" };
    let day = end.strftime("%Y-%m-%d");
    let message = format!("the {which} of Kubernetes 1.{version}, which {} has, {tense} on {day}", to.name);
    findings.push(Finding::new(Code::CUT101, to.name.clone(), message).help(help).lowered(severity));
}
