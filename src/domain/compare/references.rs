//! Rules about what the pod templates reference: ConfigMaps, service accounts, volumes, classes, custom resources and
//! admission webhooks.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::context::Context;
use super::facts::{ClusterFacts, Kind};
use super::normal::{base_name, normal};
use super::object::{Object, at, list, text};
use super::pair::containers;
use crate::base::finding::{Code, Finding, Severity};

pub fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    config_maps(context, findings);
    service_accounts(context, findings);
    storage(context, findings);
    classes(context, findings);
    custom_resources(context, findings);
    webhooks(context, findings);
}

/// Returns the names that a pod template references, each with whether the pods start without it.
fn config_map_names(owner: &Object) -> BTreeMap<String, bool> {
    let mut names = BTreeMap::new();
    let mut add = |reference: &Value| {
        if let Some(name) = text(reference, "/name") {
            let optional = at(reference, "/optional") == true;
            let known = names.entry(name.to_owned()).or_insert(optional);
            *known = *known && optional;
        }
    };
    for volume in owner.list("/spec/template/spec/volumes") {
        add(at(volume, "/configMap"));
        for source in list(volume, "/projected/sources") {
            add(at(source, "/configMap"));
        }
    }
    for container in containers(owner) {
        for source in list(container, "/envFrom") {
            add(at(source, "/configMapRef"));
        }
        for variable in list(container, "/env") {
            add(at(variable, "/valueFrom/configMapKeyRef"));
        }
    }
    names
}

fn config_maps(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let Context { from, to, pairs, .. } = context;
    if !from.knows(Kind::ConfigMap) || !to.knows(Kind::ConfigMap) {
        return;
    }
    let mut done = BTreeSet::new();
    for pair in &pairs.workloads {
        let old_names = config_map_names(pair.from);
        for (name, optional) in config_map_names(pair.to) {
            let namespace = &pair.to.namespace;
            let full_name = format!("{namespace}/{name}");
            let Some(new) = to.one(Kind::ConfigMap, namespace, &name) else {
                if !optional && done.insert(full_name.clone()) {
                    let message = format!(
                        "{:?} {} needs ConfigMap {full_name}, which {} does not have",
                        pair.kind,
                        pair.to.full_name(),
                        to.name
                    );
                    findings.push(
                        Finding::new(Code::CUT141, full_name, message)
                            .help("its pods do not start: create the ConfigMap"),
                    );
                }
                continue;
            };
            let same = old_names.keys().find(|old| base_name(old) == base_name(&name));
            let Some(old) = same.and_then(|old| from.one(Kind::ConfigMap, &pair.from.namespace, old)) else { continue };
            let content =
                |object: &Object, cluster| ["/data", "/binaryData"].map(|path| normal(object.at(path), cluster));
            if content(old, from) != content(new, to) && done.insert(full_name.clone()) {
                let keys = differing_keys(&content(old, from), &content(new, to));
                let message = format!(
                    "ConfigMap {full_name} of {:?} {} has other content in {} than in {}, in: {}",
                    pair.kind,
                    pair.to.full_name(),
                    from.name,
                    to.name,
                    keys.join(", ")
                );
                let help = "the pods behave differently: make the content equal, or accept the difference";
                findings.push(Finding::new(Code::CUT140, full_name, message).help(help));
            }
        }
    }
}

fn differing_keys(old: &[Value; 2], new: &[Value; 2]) -> Vec<String> {
    let keys = |value: &Value| value.as_object().map(|map| map.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
    let mut differing = BTreeSet::new();
    for (old, new) in old.iter().zip(new) {
        differing.extend(keys(old).into_iter().chain(keys(new)).filter(|key| old.get(key) != new.get(key)));
    }
    differing.into_iter().collect()
}

fn service_accounts(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let to = context.to;
    if !to.knows(Kind::ServiceAccount) {
        return;
    }
    for pair in &context.pairs.workloads {
        let Some(name) = pair.to.text("/spec/template/spec/serviceAccountName").filter(|name| *name != "default")
        else {
            continue;
        };
        if to.one(Kind::ServiceAccount, &pair.to.namespace, name).is_none() {
            let subject = format!("{}/{name}", pair.to.namespace);
            let message = format!(
                "{:?} {} needs service account {subject}, which {} does not have",
                pair.kind,
                pair.to.full_name(),
                to.name
            );
            findings.push(
                Finding::new(Code::CUT148, subject, message).help("its pods are not created: create the account"),
            );
        }
    }
}

// --- storage ---

/// Returns the storage classes that the templates and claims of an object name.
fn storage_class_names(cluster: &ClusterFacts, owner: &Object) -> BTreeSet<String> {
    let templates = owner.list("/spec/volumeClaimTemplates").iter().filter_map(|t| text(t, "/spec/storageClassName"));
    let volumes = owner.list("/spec/template/spec/volumes").iter();
    let claims = volumes.filter_map(|volume| text(volume, "/persistentVolumeClaim/claimName"));
    let claims = claims.filter_map(|name| cluster.one(Kind::PersistentVolumeClaim, &owner.namespace, name));
    let classes = claims.filter_map(|claim| claim.text("/spec/storageClassName"));
    templates.chain(classes).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn storage(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let Context { from, to, pairs, .. } = context;
    if from.knows(Kind::StorageClass) && to.knows(Kind::StorageClass) {
        let used = pairs.workloads.iter().flat_map(|pair| storage_class_names(from, pair.from));
        for name in used.collect::<BTreeSet<_>>() {
            let what =
                |class: &Object, cluster| ["/provisioner", "/parameters"].map(|path| normal(class.at(path), cluster));
            let difference = match (from.one(Kind::StorageClass, "", &name), to.one(Kind::StorageClass, "", &name)) {
                (Some(_), None) => format!("{} does not have it", to.name),
                (Some(old), Some(new)) if what(old, from) != what(new, to) => {
                    "its provisioner or parameters differ".to_owned()
                }
                _ => continue,
            };
            let message = format!("StorageClass {name} of the plan's workloads: {difference}");
            let help = "new volumes are not created, or on other storage: create the same class in both clusters";
            findings.push(Finding::new(Code::CUT143, name, message).help(help));
        }
    }
    shared_volumes(context, findings);
}

/// Returns the storage behind a PersistentVolume.
fn volume_handle(volume: &Object) -> Option<String> {
    let csi = || Some(format!("{}/{}", volume.text("/spec/csi/driver")?, volume.text("/spec/csi/volumeHandle")?));
    let ebs = || {
        volume
            .text("/spec/awsElasticBlockStore/volumeID")
            .map(|id| format!("ebs.csi.aws.com/{}", id.rsplit('/').next().unwrap_or(id)))
    };
    csi().or_else(ebs)
}

fn shared_volumes(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let Context { from, to, .. } = context;
    for old in from.all(Kind::PersistentVolume) {
        let Some(handle) = volume_handle(old) else { continue };
        let same = to.all(Kind::PersistentVolume).iter().find(|new| volume_handle(new).as_ref() == Some(&handle));
        let Some(new) = same else { continue };
        let many = |volume: &Object| volume.list("/spec/accessModes").iter().any(|mode| mode == "ReadWriteMany");
        let read_only = |volume: &Object| volume.list("/spec/accessModes").iter().all(|mode| mode == "ReadOnlyMany");
        let severity = match () {
            () if read_only(old) && read_only(new) => Severity::Info,
            () if many(old) && many(new) => Severity::Warning,
            () => Severity::Error,
        };
        let message = format!(
            "the volume {handle} is PersistentVolume {} in {} and {} in {}",
            old.name, from.name, new.name, to.name
        );
        let help = "two clusters that write one volume can destroy its data: give each cluster its own volume, or move \
                    the workload while it is stopped";
        findings.push(Finding::new(Code::CUT144, new.name.clone(), message).help(help).lowered(severity));
    }
}

// --- classes, custom resources, webhooks ---

fn classes(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let Context { from, to, pairs, .. } = context;
    if from.knows(Kind::Ingress) && to.knows(Kind::IngressClass) {
        let used = from.all(Kind::Ingress).iter().filter_map(|ingress| ingress.text("/spec/ingressClassName"));
        for name in used.collect::<BTreeSet<_>>() {
            if to.one(Kind::IngressClass, "", name).is_none() {
                let message = format!("IngressClass {name} is used in {}; {} does not have it", from.name, to.name);
                let help = "no controller serves these Ingresses in the new cluster: install the ingress controller";
                findings.push(Finding::new(Code::CUT145, name, message).help(help));
            }
        }
    }
    if to.knows(Kind::PriorityClass) {
        let used = pairs.workloads.iter().filter_map(|pair| pair.to.text("/spec/template/spec/priorityClassName"));
        for name in used.filter(|name| !name.starts_with("system-")).collect::<BTreeSet<_>>() {
            if to.one(Kind::PriorityClass, "", name).is_none() {
                let message =
                    format!("PriorityClass {name} is used by the plan's workloads; {} does not have it", to.name);
                let help = "the API refuses the pods: create the PriorityClass";
                findings.push(Finding::new(Code::CUT149, name, message).help(help));
            }
        }
    }
}

fn served_versions(crd: &Object) -> BTreeSet<&str> {
    let served = crd.list("/spec/versions").iter().filter(|version| version.get("served") == Some(&Value::Bool(true)));
    served.filter_map(|version| text(version, "/name")).collect()
}

fn custom_resources(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let Context { from, to, .. } = context;
    if !from.knows(Kind::CustomResourceDefinition) || !to.knows(Kind::CustomResourceDefinition) {
        return;
    }
    for old in from.all(Kind::CustomResourceDefinition) {
        let difference = match to.one(Kind::CustomResourceDefinition, "", &old.name) {
            None => format!("exists in {}, but not in {}", from.name, to.name),
            Some(new) => {
                let (old, new) = (served_versions(old), served_versions(new));
                let missing: Vec<_> = old.difference(&new).copied().collect();
                if missing.is_empty() {
                    continue;
                }
                format!("serves {} in {}, but not in {}", missing.join(", "), from.name, to.name)
            }
        };
        let message = format!("the custom resource {} {difference}", old.name);
        let help = "objects of this kind cannot be created in the new cluster: install the CRD, or accept it if unused";
        findings.push(Finding::new(Code::CUT146, old.name.clone(), message).help(help));
    }
}

fn webhooks(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let Context { from, to, .. } = context;
    for kind in [Kind::MutatingWebhookConfiguration, Kind::ValidatingWebhookConfiguration] {
        if !from.knows(kind) || !to.knows(kind) {
            continue;
        }
        for (cluster, other) in [(from, to), (to, from)] {
            for webhook in cluster.all(kind) {
                if other.one(kind, "", &webhook.name).is_some() {
                    continue;
                }
                let message =
                    format!("{kind:?} {} exists in {}, but not in {}", webhook.name, cluster.name, other.name);
                let help =
                    "objects are changed or refused in only one of the clusters: install it in both, or accept it";
                findings.push(Finding::new(Code::CUT115, webhook.name.clone(), message).help(help));
            }
        }
    }
}
