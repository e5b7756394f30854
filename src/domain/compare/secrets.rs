//! Rules about the Secrets that the pod templates reference. Only the number of their keys is known.

use std::collections::BTreeSet;

use serde_json::Value;

use super::context::Context;
use super::facts::{ClusterFacts, Kind};
use super::normal::base_name;
use super::object::{Object, at, list, text};
use super::pair::{containers, owners};
use crate::base::finding::{Code, Finding, Severity};
use crate::plan::model::Plan;

/// A reference to a Secret.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Reference {
    name: String,
    /// Whether the pods start without the Secret.
    optional: bool,
    /// Whether the Secret has the login of a registry.
    pulls: bool,
}

/// Returns the Secrets that a pod template and its service account reference.
fn references(cluster: &ClusterFacts, owner: &Object) -> BTreeSet<Reference> {
    let mut found = BTreeSet::new();
    let mut add = |reference: &Value, field: &str, pulls: bool| {
        if let Some(name) = text(reference, field) {
            let optional = at(reference, "/optional") == true;
            found.insert(Reference { name: name.to_owned(), optional, pulls });
        }
    };
    let template = owner.at("/spec/template/spec");
    for volume in list(template, "/volumes") {
        add(at(volume, "/secret"), "/secretName", false);
        for source in list(volume, "/projected/sources") {
            add(at(source, "/secret"), "/name", false);
        }
    }
    for container in containers(owner) {
        for source in list(container, "/envFrom") {
            add(at(source, "/secretRef"), "/name", false);
        }
        for variable in list(container, "/env") {
            add(at(variable, "/valueFrom/secretKeyRef"), "/name", false);
        }
    }
    let account = text(template, "/serviceAccountName").unwrap_or("default");
    let account = cluster.one(Kind::ServiceAccount, &owner.namespace, account);
    let of_account = account.map_or(&[][..], |account| account.list("/imagePullSecrets"));
    for pull in list(template, "/imagePullSecrets").iter().chain(of_account) {
        add(pull, "/name", true);
    }
    found
}

/// Returns the namespaces and names of the Secrets that the plan's workloads reference in a cluster.
pub fn names(plan: &Plan, cluster: &ClusterFacts) -> BTreeSet<(String, String)> {
    let owners = owners(plan, cluster);
    let of = |owner: &&Object| {
        let namespace = owner.namespace.clone();
        references(cluster, owner).into_iter().map(move |reference| (namespace.clone(), reference.name))
    };
    owners.iter().flat_map(of).collect()
}

pub fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let Context { from, to, pairs, .. } = context;
    let mut done = BTreeSet::new();
    for pair in &pairs.workloads {
        let old = references(from, pair.from);
        for Reference { name, optional, pulls } in references(to, pair.to) {
            let full_name = format!("{}/{name}", pair.to.namespace);
            let keys = |cluster: &ClusterFacts, namespace: &str, name: &str| {
                cluster.secrets.get(&(namespace.to_owned(), name.to_owned()))?.clone().ok()
            };
            let Some(new_keys) = keys(to, &pair.to.namespace, &name) else { continue };
            let same = old.iter().find(|reference| base_name(&reference.name) == base_name(&name));
            let old_keys = same.and_then(|reference| keys(from, &pair.from.namespace, &reference.name)).flatten();
            let owner = format!("{:?} {}", pair.kind, pair.to.full_name());
            let finding = match (new_keys, old_keys) {
                (None, _) if optional => continue,
                (None, _) if pulls => Finding::new(
                    Code::CUT147,
                    full_name.clone(),
                    format!("{owner} pulls images with Secret {full_name}, which {} does not have", to.name),
                )
                .help("its images cannot be pulled from a private registry: create the Secret"),
                (None, _) => Finding::new(
                    Code::CUT142,
                    full_name.clone(),
                    format!("{owner} needs Secret {full_name}, which {} does not have", to.name),
                )
                .help("its pods do not start: create the Secret"),
                (Some(new), Some(old)) if new != old => Finding::new(
                    Code::CUT142,
                    full_name.clone(),
                    format!("Secret {full_name} of {owner} has {old} keys in {}, {new} in {}", from.name, to.name),
                )
                .help("a key may be missing: make the Secrets equal")
                .lowered(Severity::Warning),
                _ => continue,
            };
            if done.insert(full_name) {
                findings.push(finding);
            }
        }
    }
}
