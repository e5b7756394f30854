//! Checks the AWS caller, the account, the region, the access to clusters, and the marker setting.

use std::collections::{BTreeMap, BTreeSet};

use super::context::{Context, finding, named_arns, reachable, unread_finding};
use crate::base::arn;
use crate::base::duration::format_exact;
use crate::base::finding::{Code, Finding, Severity};
use crate::base::text::list;
use crate::domain::traffic::Unreadable;
use crate::plan::model::{ClusterAccess, MarkerMode, StateLocation};
use crate::plan::{place, schedule};

pub(super) fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    check_account(context, findings);
    check_regions(context, findings);
    check_credentials(context, findings);
    check_clusters(context, findings);
    check_distinct_clusters(context, findings);
    check_marker(context, findings);
}

fn check_account(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let wanted = &context.plan.account_id;
    if wanted.is_empty() {
        return;
    }
    match &context.facts.caller {
        Err(why) => findings.push(unread_finding("aws", "the caller's identity", why)),
        Ok(caller) if caller.account != *wanted => {
            let message = format!(
                "the credentials ({}) belong to account {}, but the plan is for {wanted}",
                caller.arn, caller.account
            );
            let help = format!(
                "use credentials of account {wanted} (AWS_PROFILE, `aws sso login`), or correct `spec.aws.accountId`"
            );
            let place = place::of(context.plan, &["aws", "accountId"]);
            findings.push(finding(Code::CUT054, "aws", message, help).at(place));
        }
        Ok(_) => {}
    }
}

/// Checks the account and the region of every ARN in the plan and of every resource that was found.
fn check_regions(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let written = context.plan.workloads.iter().flat_map(|w| &w.routes).flat_map(named_arns);
    let selection = &context.facts.selection;
    let found = selection.load_balancers.keys().chain(selection.groups.keys()).map(String::as_str);
    let arns: BTreeSet<&str> = written.chain(found).filter(|id| arn::begins(id)).collect();
    let (region, account) = (context.plan.region.as_str(), context.plan.account_id.as_str());
    let elsewhere: Vec<&str> = arns.iter().copied().filter(|arn| arn::region(arn) != region).collect();
    if !elsewhere.is_empty() {
        let message =
            format!("the plan is for {region}, but these resources are in another region: {}", list(&elsewhere));
        let place = place::of(context.plan, &["aws", "region"]);
        findings.push(finding(Code::CUT055, "aws", message, "correct `spec.aws.region`, or the ARNs").at(place));
    }
    let others: Vec<&str> = arns.into_iter().filter(|arn| arn::account(arn) != account).collect();
    if !others.is_empty() {
        let message = format!(
            "the plan is for account {account}, but these resources belong to another account: {}",
            list(&others)
        );
        let place = place::of(context.plan, &["aws", "accountId"]);
        findings.push(finding(Code::CUT054, "aws", message, "correct `spec.aws.accountId`, or the ARNs").at(place));
    }
}

fn check_credentials(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let Ok(caller) = &context.facts.caller else { return };
    let routes = context.facts.selection.routes.len();
    let end = schedule::earliest_starts(context.plan, context.now, routes).last().copied();
    let duration =
        end.map_or(schedule::min_duration(context.plan, routes), |end| end.duration_since(context.now).unsigned_abs());
    if let (Some(expires), Some(end)) = (caller.expires, end)
        && expires < end
    {
        let message = format!(
            "the credentials expire at {expires}, but the plan takes at least {}, until {end}",
            format_exact(duration)
        );
        let help = "log in again just before the start, or use credentials that are renewed automatically (an instance profile, \
                             IRSA). When credentials expire, the run freezes; it continues after you log in \
                             again";
        findings.push(finding(Code::CUT056, "aws", message, help));
    }
}

fn check_clusters(context: &Context<'_>, findings: &mut Vec<Finding>) {
    clusters_without_access(context, findings);
    for name in reachable(context.plan) {
        let Some(cluster) = context.cluster(name) else { continue };
        let needed = context.is_raised(name) && context.has_service(name);
        let severity = if needed { Severity::Error } else { Severity::Warning };
        let help = |why: &Unreadable| match why {
            Unreadable::Denied(_) => {
                "grant the permission in the cluster, or add the caller's access entry to a Kubernetes group that has it"
            }
            Unreadable::NotFound(_) if context.eks_name(name).is_some() => "correct `eks` of that cluster in the plan",
            _ => {
                "check the endpoint of the cluster, your network and VPN, and whether the caller has an access entry (`aws eks \
                 list-access-entries`)"
            }
        };
        if let Err(why) = &cluster.identity {
            let eks_name = context.eks_name(name).filter(|_| matches!(why, Unreadable::NotFound(_)));
            let place = eks_name.and_then(|eks| place::of(context.plan, &["clusters", "eks", eks]));
            let message = format!("cluster {name} cannot be reached: {why}");
            findings.push(finding(Code::CUT058, name, message, help(why)).at(place).lowered(severity));
            continue;
        }
        if let Err(why) = &cluster.bindings {
            findings.push(
                finding(Code::CUT058, name, format!("the bindings of cluster {name} cannot be read: {why}"), help(why))
                    .lowered(severity),
            );
        }
        for (workload, view) in &cluster.workloads {
            if let Err(why) = view {
                let message = format!("workload {workload} of cluster {name} cannot be read: {why}");
                findings.push(finding(Code::CUT058, name, message, help(why)).lowered(severity));
            }
        }
    }
}

/// Reports clusters in which `bind` must create bindings, but to which the plan gives no access.
fn clusters_without_access(context: &Context<'_>, findings: &mut Vec<Finding>) {
    if !context.binds() {
        return;
    }
    let without = context.plan.clusters.iter().filter(|c| c.access == ClusterAccess::None);
    for cluster in without.filter(|c| context.has_service(&c.name) && context.plan.strategy.peak(&c.name) > 0) {
        let name = &cluster.name;
        let message = format!(
            "workloads have a `service`, but cluster {name} has neither `eks` nor `kubeContext`, so the bindings of the cluster \
             cannot be accessed"
        );
        findings.push(finding(
            Code::CUT058,
            name,
            message,
            "set `eks` or `kubeContext` in `spec.clusters`; or use `services` to name the Service in the other cluster only; or \
             remove `service` from the workloads",
        ));
    }
}

fn check_distinct_clusters(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let mut by_uid: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, cluster) in &context.facts.clusters {
        if let Ok(identity) = &cluster.identity {
            by_uid.entry(&identity.uid).or_default().push(name);
        }
    }
    for (uid, names) in by_uid.into_iter().filter(|(_, names)| names.len() > 1) {
        let message =
            format!("clusters {} are the same cluster: the UID of kube-system is {uid} in each", names.join(" and "));
        findings.push(finding(Code::CUT057, names[0], message, "correct `eks` or `kubeContext` in `spec.clusters`"));
    }
}

fn check_marker(context: &Context<'_>, findings: &mut Vec<Finding>) {
    if context.plan.marker != MarkerMode::None {
        return;
    }
    let (lock, agreement) = match &context.plan.state {
        StateLocation::Local => {
            ("the lock file of this machine's state directory", "agree to run cutover on one machine only")
        }
        StateLocation::Kubernetes { .. } => {
            ("the Lease in the plan's shared state", "agree to use only plans with this shared state")
        }
    };
    findings.push(finding(
        Code::CUT088,
        "lock",
        format!("`marker: none`: only {lock} prevents a second run"),
        format!(
            "a second run that stores its state elsewhere is not refused. Each run then sees only the drift that the \
             other run causes, and freezes. Allow elasticloadbalancing:AddTags and RemoveTags on the load balancer, or \
             {agreement}"
        ),
    ));
}
