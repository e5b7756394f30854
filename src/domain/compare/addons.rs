//! Rules about the add-ons that EKS manages.

use super::context::Context;
use super::facts::{ClusterFacts, Kind};
use super::versions::{image_tag, minor};
use crate::base::finding::{Code, Finding};

/// Add-ons that are parts of a cluster in EKS Auto Mode.
/// Source: <https://docs.aws.amazon.com/eks/latest/userguide/eks-add-ons.html> ("Considerations for Auto Mode").
const IN_AUTO_MODE: &[&str] =
    &["vpc-cni", "coredns", "kube-proxy", "aws-ebs-csi-driver", "eks-pod-identity-agent", "eks-node-monitoring-agent"];

/// Add-ons whose Deployment or DaemonSet the rule about versions compares by its image, managed by EKS or not.
const COMPARED_BY_IMAGE: &[&str] = &["vpc-cni", "coredns", "kube-proxy"];

/// The states of an add-on that works or is being changed.
/// Source: <https://docs.aws.amazon.com/eks/latest/APIReference/API_Addon.html>.
const FINE: &[&str] = &["ACTIVE", "CREATING", "UPDATING"];

pub fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    missing(context, findings);
    unhealthy(context, findings);
    incompatible(context, findings);
}

/// Returns whether a cluster runs the program of an add-on that EKS does not manage there; also if that is unknown.
fn runs_without_eks(cluster: &ClusterFacts, name: &str) -> bool {
    !cluster.knows(Kind::Deployment) || !cluster.knows(Kind::DaemonSet) || image_tag(cluster, name).is_some()
}

fn missing(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let Context { from, to, .. } = context;
    let (Some(old), Some(new)) = (&from.platform, &to.platform) else { return };
    let (Ok(old), Ok(names)) = (&old.addon_names, &new.addon_names) else { return };
    let built_in = |name: &str| match &new.cluster {
        Ok(cluster) => cluster.auto_mode && IN_AUTO_MODE.contains(&name),
        Err(_) => true,
    };
    for name in old.difference(names) {
        if COMPARED_BY_IMAGE.contains(&name.as_str()) || built_in(name) || runs_without_eks(to, name) {
            continue;
        }
        let message = format!("the EKS add-on {name} is installed in {}, but not in {}", from.name, to.name);
        let help = "what uses it fails in the new cluster: install it there, or accept it if something else does its \
                    work";
        findings.push(Finding::new(Code::CUT106, name.clone(), message).help(help));
    }
}

fn unhealthy(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let to = context.to;
    let Some(Ok(addons)) = to.platform.as_ref().map(|platform| &platform.addons) else { return };
    for addon in addons {
        if FINE.contains(&addon.status.as_str()) && addon.issues.is_empty() {
            continue;
        }
        let issues = if addon.issues.is_empty() { String::new() } else { format!(": {}", addon.issues.join("; ")) };
        let message = format!("the EKS add-on {} of {} is {}{issues}", addon.name, to.name, addon.status);
        let help = format!(
            "pods may lack addresses, names or volumes: correct it before traffic moves (`kubectl get pods -n \
             kube-system`, `aws eks describe-addon --addon-name {}`)",
            addon.name
        );
        findings.push(Finding::new(Code::CUT104, addon.name.clone(), message).help(help));
    }
}

fn incompatible(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let to = context.to;
    let Some(platform) = &to.platform else { return };
    let (Ok(addons), Ok(offered)) = (&platform.addons, &platform.addon_versions) else { return };
    let Some(version) = to.version.as_ref().ok().and_then(|version| minor(version)) else { return };
    for addon in addons {
        let Some(offered) = offered.get(&addon.name).filter(|offered| !offered.is_empty()) else { continue };
        if offered.contains(&addon.version) {
            continue;
        }
        let message = format!(
            "EKS does not offer version {} of the add-on {} for Kubernetes 1.{version}, which {} has",
            addon.version, addon.name, to.name
        );
        let help = "it may fail with this Kubernetes version: update the add-on before traffic moves";
        findings.push(Finding::new(Code::CUT105, addon.name.clone(), message).help(help));
    }
}
