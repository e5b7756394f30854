//! Rules about versions: the API servers, kubelets, served APIs, and the parts of the platform.

use std::collections::BTreeSet;

use super::context::Context;
use super::facts::{ClusterFacts, KINDS, Kind};
use super::object::{Object, text};
use super::pair::autoscaler;
use crate::base::finding::{Code, Finding, Severity};

/// Kubelets may be this many minor versions older than the API server. Source: the version skew policy of Kubernetes.
const KUBELET_SKEW: u32 = 3;

/// The parts of the platform whose versions are compared: the name in messages, and the end of the image's name.
const COMPONENTS: &[(&str, &str)] = &[
    ("the VPC CNI", "amazon-k8s-cni"),
    ("CoreDNS", "coredns"),
    ("kube-proxy", "kube-proxy"),
    ("the AWS Load Balancer Controller", "aws-load-balancer-controller"),
    ("istiod", "pilot"),
    ("the NGINX ingress controller", "ingress-nginx/controller"),
];

pub fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    api_server(context, findings);
    kubelets(context, findings);
    components(context, findings);
    mesh(context, findings);
    served(context, findings);
    metrics(context, findings);
}

/// Returns the minor version in a text such as `v1.33.4-eks-1`.
pub fn minor(version: &str) -> Option<u32> {
    let rest = version.strip_prefix('v').unwrap_or(version).strip_prefix("1.")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn api_server(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let Context { from, to, .. } = context;
    let (Ok(old), Ok(new)) = (&from.version, &to.version) else { return };
    let (Some(a), Some(b)) = (minor(old), minor(new)) else { return };
    if b < a {
        let message = format!("{} has Kubernetes {old}, {} has the older {new}", from.name, to.name);
        let help = "the new cluster may lack APIs and fields that the workloads use";
        findings.push(Finding::new(Code::CUT100, to.name.clone(), message).help(help).lowered(Severity::Warning));
    } else if b > a + 1 {
        let message = format!(
            "the cutover goes from Kubernetes 1.{a} to 1.{b} and skips {} minor version{}",
            b - a - 1,
            if b - a == 2 { "" } else { "s" }
        );
        let help = "read the release notes of the skipped versions, too: removed APIs and changed defaults add up";
        findings.push(Finding::new(Code::CUT100, to.name.clone(), message).help(help));
    }
}

fn kubelets(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let to = context.to;
    let Some(server) = to.version.as_ref().ok().and_then(|version| minor(version)) else { return };
    let of = |node: &Object| node.text("/status/nodeInfo/kubeletVersion").and_then(minor);
    let wrong = |node: &&Object| of(node).is_some_and(|kubelet| kubelet + KUBELET_SKEW < server || kubelet > server);
    let nodes: Vec<_> = to.all(Kind::Node).iter().filter(wrong).collect();
    let Some(first) = nodes.first() else { return };
    let message = format!(
        "{} of {} nodes of {} have a kubelet that does not fit its API server 1.{server}, such as {} with {}",
        nodes.len(),
        to.all(Kind::Node).len(),
        to.name,
        first.name,
        first.text("/status/nodeInfo/kubeletVersion").unwrap_or("?")
    );
    let help = "a kubelet may be up to three minor versions older, and never newer: replace these nodes";
    findings.push(Finding::new(Code::CUT102, to.name.clone(), message).help(help));
}

/// Returns the tag of the image whose name ends with `name`.
pub fn image_tag(cluster: &ClusterFacts, name: &str) -> Option<String> {
    let owners = [Kind::Deployment, Kind::DaemonSet].into_iter().flat_map(|kind| cluster.all(kind));
    let images =
        owners.flat_map(|owner| owner.list("/spec/template/spec/containers")).filter_map(|c| text(c, "/image"));
    images.map(|image| image.split('@').next().unwrap_or(image)).find_map(|image| {
        let (repository, tag) = image.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'))?;
        (repository == name || repository.ends_with(&format!("/{name}"))).then(|| tag.to_owned())
    })
}

fn components(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let Context { from, to, .. } = context;
    if !to.knows(Kind::Deployment) || !to.knows(Kind::DaemonSet) {
        return;
    }
    for (what, image) in COMPONENTS {
        let Some(old) = image_tag(from, image) else { continue };
        if runs_outside(to, image) {
            continue;
        }
        match image_tag(to, image) {
            None => {
                let message = format!("{what} runs in {} ({old}), but not in {}", from.name, to.name);
                findings.push(
                    Finding::new(Code::CUT106, *image, message)
                        .help("install it in the new cluster, or accept it if something else does its work"),
                );
            }
            Some(new) if new != old => {
                let (code, help) = match *image {
                    "aws-load-balancer-controller" => {
                        (Code::CUT108, "an older controller may lack features of bindings")
                    }
                    "pilot" => (Code::CUT109, "the sidecars of another version may treat requests differently"),
                    _ => (Code::CUT107, "check the compatibility of both versions with their clusters"),
                };
                let message = format!("{what} is {old} in {}, {new} in {}", from.name, to.name);
                let older = numbers(&new) < numbers(&old);
                let severity = if older { Severity::Warning } else { Severity::Info };
                findings.push(Finding::new(code, *image, message).help(help).lowered(severity));
            }
            Some(_) => {}
        }
    }
}

/// Returns whether EKS runs a part of the platform outside of the cluster's nodes, as in Auto Mode.
/// Source: <https://docs.aws.amazon.com/eks/latest/userguide/automode.html>.
fn runs_outside(cluster: &ClusterFacts, image: &str) -> bool {
    let auto_mode = cluster.platform.as_ref().and_then(|platform| platform.cluster.as_ref().ok());
    auto_mode.is_some_and(|cluster| cluster.auto_mode)
        && ["amazon-k8s-cni", "coredns", "kube-proxy", "aws-load-balancer-controller"].contains(&image)
}

/// Returns the numbers in a version, for a comparison.
fn numbers(version: &str) -> Vec<u64> {
    version.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
}

fn mesh(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let Context { from, to, pairs, .. } = context;
    if !from.knows(Kind::Namespace) || !to.knows(Kind::Namespace) {
        return;
    }
    let names: BTreeSet<_> = pairs.services.iter().map(|pair| (&pair.from.namespace, &pair.to.namespace)).collect();
    for (old_name, new_name) in names {
        let (Some(old), Some(new)) = (from.one(Kind::Namespace, "", old_name), to.one(Kind::Namespace, "", new_name))
        else {
            continue;
        };
        for key in ["istio-injection", "istio.io/rev", "linkerd.io/inject"] {
            let of = |namespace: &Object| namespace.label(key).or_else(|| namespace.annotation(key)).map(str::to_owned);
            let (a, b) = (of(old), of(new));
            if a != b {
                let shown =
                    |value: Option<String>| value.map_or_else(|| "not set".to_owned(), |value| format!("`{value}`"));
                let message = format!(
                    "namespace {new_name}: {key} is {} in {}, {} in {}",
                    shown(a),
                    from.name,
                    shown(b),
                    to.name
                );
                let help = "pods join another mesh, or none: encryption, identity and routing differ";
                findings.push(Finding::new(Code::CUT109, new_name.clone(), message).help(help));
            }
        }
    }
}

fn served(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let Context { from, to, pairs, .. } = context;
    let Ok(served) = &to.served else { return };
    let owners = pairs.workloads.iter().map(|pair| (pair.kind, pair.from)).chain(pairs.missing.iter().copied());
    let namespaces: BTreeSet<_> = pairs.services.iter().map(|pair| pair.from.namespace.as_str()).collect();
    let others = KINDS.iter().filter(|api| !super::pair::POD_OWNERS.contains(&api.kind) && api.kind != Kind::Pod);
    let others = others.flat_map(|api| from.all(api.kind).iter().map(|object| (api.kind, object)));
    let others = others.filter(|(_, object)| namespaces.contains(object.namespace.as_str()));
    let mut done = BTreeSet::new();
    for (kind, object) in owners.chain(others) {
        for field in object.list("/metadata/managedFields") {
            let Some(version) = text(field, "/apiVersion").filter(|version| !served.contains(*version)) else {
                continue;
            };
            let manager = text(field, "/manager").unwrap_or("an unknown client");
            if done.insert((version.to_owned(), manager.to_owned())) {
                let message = format!(
                    "{manager} writes {kind:?} {} in {} as {version}, which {} does not serve",
                    object.full_name(),
                    from.name,
                    to.name
                );
                let help = format!("this client cannot deploy to {}: update its manifests or charts", to.name);
                findings.push(Finding::new(Code::CUT111, object.full_name(), message).help(help));
            }
        }
    }
}

fn metrics(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let to = context.to;
    let Ok(served) = &to.served else { return };
    let serves = |group: &str| served.iter().any(|version| version.split('/').next() == Some(group));
    for pair in &context.pairs.workloads {
        let Some(scaler) = autoscaler(to, pair.kind, pair.to) else { continue };
        for metric in scaler.list("/spec/metrics") {
            let group = match text(metric, "/type") {
                Some("Resource" | "ContainerResource") => "metrics.k8s.io",
                Some("Pods" | "Object") => "custom.metrics.k8s.io",
                Some("External") => "external.metrics.k8s.io",
                _ => continue,
            };
            if !serves(group) {
                let name = scaler.full_name();
                let message = format!("the autoscaler {name} needs {group}, which {} does not serve", to.name);
                let help = "it does not scale: install the metrics server or adapter in the new cluster";
                findings.push(Finding::new(Code::CUT110, name, message).help(help));
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minor_version_is_read() {
        assert_eq!(minor("v1.33.4-eks-1"), Some(33));
        assert_eq!(minor("1.29+"), Some(29));
        assert_eq!(minor("two"), None);
    }
}
