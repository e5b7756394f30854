//! Checks that each target group is bound by one cluster only, with a TargetGroupBinding that matches the plan.

use std::collections::BTreeMap;

use super::context::{Context, finding};
use crate::base::arn;
use crate::base::finding::{Code, Finding, Severity};
use crate::base::number::count;
use crate::domain::elb::select::SelectedGroup;
use crate::domain::kubernetes::binding::Binding;
use crate::domain::preflight::facts::{ClusterFacts, DryRunError};
use crate::plan::model::{BindingMode, ClusterAccess, Workload};

/// The key of the tag with the name of the EKS cluster whose Auto Mode may register targets in a group.
const AUTO_MODE_TAG: &str = "eks:eks-cluster-name";
/// The effect of a missing tag.
const AUTO_MODE_NEEDS_TAG: &str = "by its managed policy, EKS Auto Mode registers targets only in target groups with \
    this tag; without it, no target appears and the run waits at `bind`";
/// The API group and version of bindings in EKS Auto Mode.
pub(super) const AUTO_MODE: &str = "eks.amazonaws.com/v1";

pub(super) fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for (name, cluster) in &context.facts.clusters {
        check_api(context, name, cluster, findings);
    }
    for (arn, selected) in context.groups().filter(|(arn, _)| arn::begins(arn)) {
        check_single_cluster(context, selected, findings);
        let Some(workload) = context.workload(&selected.workload) else { continue };
        let (Some(wanted), Some(cluster)) =
            (Binding::for_group(workload, &selected.cluster, &selected.group), context.cluster(&selected.cluster))
        else {
            continue;
        };
        check_auto_mode_tag(context, cluster, selected, findings);
        let Ok(bindings) = &cluster.bindings else { continue };
        match bindings.iter().find(|b| b.binds(&selected.group)) {
            Some(found) => check_existing(context, workload, selected, &wanted, found, findings),
            None => check_missing(context, workload, selected, &wanted, bindings, findings),
        }
        match cluster.dry_runs.get(arn) {
            Some(Err(DryRunError::NoAnswer(why))) => {
                let message =
                    format!("binding {} could not be tried in cluster {}: {why}", wanted.full_name(), selected.cluster);
                let help = "the server-side dry-run got no answer, so it is unknown whether the cluster accepts the \
                    binding. Nothing was written. Check again; if this finding stays, look for an admission webhook \
                    that does not answer: kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations";
                findings.push(finding(Code::CUT058, &selected.cluster, message, help));
            }
            Some(Err(DryRunError::Refused(why))) => {
                let message = format!("cluster {} refuses binding {}: {why}", selected.cluster, wanted.full_name());
                let help = "the server-side dry-run failed: check the controller's webhook, your RBAC for \
                    targetgroupbindings, and `binding.spec`";
                findings.push(finding(Code::CUT075, &selected.cluster, message, help));
            }
            Some(Ok(left_out)) if !left_out.is_empty() => report_older_api(selected, &wanted, left_out, findings),
            _ => {}
        }
    }
}

fn check_api(context: &Context<'_>, name: &str, cluster: &ClusterFacts, findings: &mut Vec<Finding>) {
    let Ok(identity) = &cluster.identity else { return };
    let with_service = context.has_service(name);
    match identity.binding_api.as_deref() {
        Some(AUTO_MODE) => findings.push(finding(
            Code::CUT078,
            name,
            format!("cluster {name} uses EKS Auto Mode: the API group of its bindings is {AUTO_MODE}"),
            "bindings are created and read in that API group",
        )),
        None if with_service => {
            let severity = if context.is_raised(name) { Severity::Error } else { Severity::Warning };
            let message =
                format!("cluster {name} has no TargetGroupBinding API (neither elbv2.k8s.aws/v1beta1 nor {AUTO_MODE})");
            findings.push(
                finding(Code::CUT079, name, message, "install the AWS Load Balancer Controller in this cluster")
                    .lowered(severity),
            );
        }
        _ => {}
    }
}

/// Reports fields that the binding will not have, because the API of the cluster does not have them yet.
fn report_older_api(selected: &SelectedGroup, wanted: &Binding, left_out: &[String], findings: &mut Vec<Finding>) {
    let cluster = &selected.cluster;
    let fields: Vec<String> = left_out.iter().map(|field| format!("`{field}`")).collect();
    let message = format!(
        "the TargetGroupBinding API of cluster {cluster} does not have {}: binding {} is created without these fields",
        fields.join(" and "),
        wanted.full_name()
    );
    let help = "the controller gets these values from the target group. The CRD is older than the controller, or the \
        controller is old: apply the CRDs of the controller's version (Helm does not update CRDs)";
    findings.push(finding(Code::CUT301, cluster, message, help));
}

/// Checks the tag that EKS Auto Mode needs on target groups that it did not create. The managed policy of AWS allows
/// Auto Mode to register targets only in groups with this tag. Another policy may allow more, so a group with
/// registered targets is not reported.
fn check_auto_mode_tag(
    context: &Context<'_>,
    cluster: &ClusterFacts,
    selected: &SelectedGroup,
    findings: &mut Vec<Finding>,
) {
    let auto_mode = cluster.identity.as_ref().is_ok_and(|i| i.binding_api.as_deref() == Some(AUTO_MODE));
    if !auto_mode || context.plan.strategy.peak(&selected.cluster) == 0 {
        return;
    }
    let (group, name) = (&selected.group, context.eks_name(&selected.cluster));
    let found = group.tags.get(AUTO_MODE_TAG);
    let bound = cluster.bindings.as_ref().is_ok_and(|all| all.iter().any(|b| b.binds(group)));
    if (found.is_some() && found.map(String::as_str) == name)
        || (bound && context.facts.registered(&group.arn).unwrap_or(0) > 0)
    {
        return;
    }
    let Some(name) = name else { return findings.push(unknown_auto_mode_tag(context, selected, found)) };
    let message = match found {
        Some(other) => {
            format!("{} has the tag {AUTO_MODE_TAG}={other}, but the cluster of the group is {name}", group.name)
        }
        None => format!("{} does not have the tag {AUTO_MODE_TAG}={name}", group.name),
    };
    let help = format!(
        "{AUTO_MODE_NEEDS_TAG}:\naws elbv2 add-tags --resource-arns {} --tags Key={AUTO_MODE_TAG},Value={name}",
        group.arn
    );
    findings.push(finding(Code::CUT302, &group.name, message, help));
}

/// Reports the tag of a group whose cluster has no known name in EKS. Without the name, there is no command to paste.
fn unknown_auto_mode_tag(context: &Context<'_>, selected: &SelectedGroup, found: Option<&String>) -> Finding {
    let (group, cluster) = (&selected.group.name, &selected.cluster);
    let place = match context.plan.clusters.iter().find(|c| c.name == *cluster).map(|c| &c.access) {
        Some(ClusterAccess::KubeContext(name)) => format!("kubeContext {name}"),
        _ => format!("cluster {cluster}"),
    };
    let names = format!("`aws eks list-clusters --region {}` lists the names", context.plan.region);
    let Some(value) = found else {
        let message = format!("{group} does not have the tag {AUTO_MODE_TAG}");
        let help = format!(
            "{AUTO_MODE_NEEDS_TAG}. Its value is the name of the cluster in EKS, which {place} does not contain: \
             {names}. Write `eks: NAME` for cluster {cluster} into the plan, then the check shows the command"
        );
        return finding(Code::CUT302, group, message, help);
    };
    let message =
        format!("{group} has the tag {AUTO_MODE_TAG}={value}; {place} does not say whether this is cluster {cluster}");
    let help = format!("compare the value with the name of the cluster in EKS: {names}. {AUTO_MODE_NEEDS_TAG}");
    finding(Code::CUT302, group, message, help).lowered(Severity::Info)
}

/// Checks that only one cluster binds a group, because two controllers on one group deregister each other's targets.
fn check_single_cluster(context: &Context<'_>, selected: &SelectedGroup, findings: &mut Vec<Finding>) {
    let mut by_cluster: BTreeMap<&str, &Binding> = BTreeMap::new();
    for (name, cluster) in &context.facts.clusters {
        let bindings = cluster.bindings.iter().flatten();
        if let Some(binding) = bindings.into_iter().find(|b| b.binds(&selected.group)) {
            by_cluster.insert(name, binding);
        }
    }
    let foreign = by_cluster.keys().any(|c| **c != selected.cluster);
    if !foreign {
        return;
    }
    let group = &selected.group.name;
    let shared = by_cluster.values().all(|b| b.multi_cluster());
    let bound_from: Vec<String> = by_cluster.iter().map(|(c, b)| format!("{c} ({})", b.full_name())).collect();
    let message = format!(
        "target group {group} belongs to cluster {}, but is bound from {}",
        selected.cluster,
        bound_from.join(" and ")
    );
    let severity = if shared { Severity::Warning } else { Severity::Error };
    let help = "two controllers on one target group deregister each other's targets. Delete the wrong binding only \
        after you set `multiClusterTargetGroup: true` on it: deleting an ordinary binding deregisters all targets of \
        the group";
    findings.push(finding(Code::CUT071, group, message, help).lowered(severity));
}

fn check_existing(
    context: &Context<'_>,
    workload: &Workload,
    selected: &SelectedGroup,
    wanted: &Binding,
    found: &Binding,
    findings: &mut Vec<Finding>,
) {
    let (cluster, name) = (&selected.cluster, found.full_name());
    let differences = wanted.differences(found);
    if !differences.is_empty() {
        let severity = if context.is_raised(cluster) { Severity::Error } else { Severity::Warning };
        let message = format!("binding {name} of cluster {cluster} differs from the plan: {}", differences.join("; "));
        let help = "correct the plan or the binding. The fields targetGroupARN, targetType, ipAddressType and vpcID \
            are immutable, and deleting a binding deregisters its targets";
        findings.push(finding(Code::CUT073, cluster, message, help).lowered(severity));
    }
    if found.created_by_controller() {
        let message = format!(
            "the load balancer controller created binding {name} of cluster {cluster} for an Ingress or Service"
        );
        let help = "the controller may delete and recreate the binding at any time; use a target group that no Ingress or Service owns";
        findings.push(finding(Code::CUT060, &selected.group.name, message, help));
    } else if let Some(owner) = found.gitops_owner().filter(|_| workload.binding.mode == BindingMode::Create) {
        let message =
            format!("binding {name} of cluster {cluster} belongs to {owner}, but the plan has `mode: create`");
        findings.push(finding(
            Code::CUT074,
            cluster,
            message,
            "use `binding: {mode: verify}`: the binding is then read and compared, but never written",
        ));
    }
}

fn check_missing(
    context: &Context<'_>,
    workload: &Workload,
    selected: &SelectedGroup,
    wanted: &Binding,
    bindings: &[Binding],
    findings: &mut Vec<Finding>,
) {
    let (cluster, group, name) = (&selected.cluster, &selected.group.name, wanted.full_name());
    if context.plan.strategy.peak(cluster) == 0 {
        return;
    }
    if workload.binding.mode == BindingMode::Verify {
        let severity = if context.is_raised(cluster) { Severity::Error } else { Severity::Warning };
        let message = format!("cluster {cluster} has no binding for {group}, and with `mode: verify` none is created");
        let help = format!(
            "ask the owner of the bindings to create one for service {}/{} port {}, or use `mode: create`",
            wanted.namespace, wanted.service, wanted.port
        );
        findings.push(finding(Code::CUT091, cluster, message, help).lowered(severity));
        return;
    }
    if !context.binds() {
        return;
    }
    if let Some(other) = bindings.iter().find(|b| b.namespace == wanted.namespace && b.name == wanted.name) {
        let message = format!("binding {name} of cluster {cluster} already exists for {}", other.target_group_arn);
        findings.push(finding(
            Code::CUT073,
            cluster,
            message,
            "a binding's target group is immutable: rename the binding, or use another name for the plan's target \
             group",
        ));
    }
    let registered = context.facts.registered(&selected.group.arn).unwrap_or(0);
    if registered > 0 {
        let message = format!(
            "{group} has {} that no binding of cluster {cluster} registered; with binding {name}, the controller would \
             deregister them",
            count(registered as usize, "target")
        );
        let help = "find out who registers these targets (a binding of another cluster, Terraform, an Auto Scaling group). If \
            they belong to this cluster, create the binding yourself and watch the targets. If no binding should register \
            them, remove the workload's `service` for this cluster (`services` lists the clusters that have a Service)";
        findings.push(finding(Code::CUT072, group, message, help));
    }
}
