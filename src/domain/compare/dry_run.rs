//! The dry-run of the plan's workloads in the new cluster: which objects are sent, and what the results mean.

use serde_json::{Map, Value};

use super::context::Context;
use super::facts::{Candidate, ClusterFacts, DryRun, KINDS, Kind};
use super::object::{Object, list, text};
use super::pair::{POD_OWNERS, containers, find};
use crate::base::finding::{Code, Finding};
use crate::plan::model::Plan;

/// Annotations that a controller or a client sets for one object.
const OWN_ANNOTATIONS: &[&str] =
    &["deployment.kubernetes.io/revision", "kubectl.kubernetes.io/last-applied-configuration"];

/// Returns the objects behind the plan's Services in the old cluster, as they are sent to the new one.
pub fn candidates(plan: &Plan, from: &ClusterFacts, to: &ClusterFacts) -> Vec<Candidate> {
    let pairs = find(plan, from, to);
    let both = pairs.workloads.iter().map(|pair| (pair.kind, pair.from, Some(pair.to.namespace.as_str())));
    let missing = pairs.missing.iter().map(|(kind, object)| {
        let service = pairs.services.iter().find(|service| service.from.namespace == object.namespace);
        (*kind, *object, service.map(|service| service.to.namespace.as_str()))
    });
    let sent = both.chain(missing).filter(|(kind, ..)| POD_OWNERS.contains(kind));
    sent.filter_map(|(kind, object, namespace)| Some(candidate(kind, object, namespace?))).collect()
}

fn candidate(kind: Kind, object: &Object, namespace: &str) -> Candidate {
    let mut metadata = Map::new();
    metadata.insert("name".to_owned(), object.name.clone().into());
    metadata.insert("namespace".to_owned(), namespace.into());
    for field in ["labels", "annotations"] {
        if let Some(values) = object.at(&format!("/metadata/{field}")).as_object() {
            let kept = values.iter().filter(|(key, _)| !OWN_ANNOTATIONS.contains(&key.as_str()));
            metadata.insert(field.to_owned(), Value::Object(kept.map(|(k, v)| (k.clone(), v.clone())).collect()));
        }
    }
    let version = KINDS.iter().find(|api| api.kind == kind).map_or("", |api| api.version);
    let body = serde_json::json!({
        "apiVersion": version, "kind": format!("{kind:?}"), "metadata": metadata, "spec": object.at("/spec"),
    });
    Candidate { kind, namespace: namespace.to_owned(), name: object.name.clone(), body }
}

/// Returns a message of the API server without the values of the object's environment variables.
fn without_values(message: &str, object: &Object) -> String {
    let variables = containers(object).flat_map(|container| list(container, "/env"));
    let values = variables.filter_map(|variable| text(variable, "/value")).filter(|value| value.len() > 3);
    values.fold(message.to_owned(), |message, value| message.replace(value, "…"))
}

pub fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let Context { from, to, .. } = context;
    for (candidate, result) in &to.dry_runs {
        let name = format!("{}/{}", candidate.namespace, candidate.name);
        let what = format!("{:?} {name} of {}", candidate.kind, from.name);
        let sent = Object {
            namespace: candidate.namespace.clone(),
            name: candidate.name.clone(),
            body: candidate.body.clone(),
        };
        match result {
            Ok(DryRun::UnknownFields(fields)) => {
                let message =
                    format!("{} does not know fields of {what}, and would drop them: {}", to.name, fields.join(", "));
                let help = "the object behaves differently in the new cluster: its version of Kubernetes or of the CRD is \
                            another";
                findings.push(Finding::new(Code::CUT114, name, message).help(help));
            }
            Ok(DryRun::Refused(why)) => {
                let message = format!("{} refuses {what} in a dry-run: {}", to.name, without_values(why, &sent));
                let help =
                    "the next deployment to the new cluster fails: correct the object, or the policy that refuses it";
                findings.push(Finding::new(Code::CUT113, name, message).help(help));
            }
            _ => {}
        }
    }
}
