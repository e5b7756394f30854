//! Proposes hand-overs: CronJobs, workers without a Service and objects of KEDA that run in the old cluster, and exist
//! and are stopped in the new one.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::names::ClusterNames;
use crate::domain::compare::facts::{ClusterFacts, Kind};
use crate::domain::compare::{Object, has_service, is_paused, replicas};
use crate::domain::kubernetes::binding::gitops_owner;

/// The kinds of objects that `init` reads in both clusters.
pub const KINDS: [Kind; 6] =
    [Kind::Service, Kind::CronJob, Kind::Deployment, Kind::StatefulSet, Kind::ScaledObject, Kind::ScaledJob];

/// The proposed steps by namespace, and a sentence for each object that is left out.
#[derive(Default)]
pub struct Proposal {
    pub steps: BTreeMap<String, Value>,
    pub left_out: Vec<String>,
}

/// Proposes a step `handOver` for each of these namespaces.
pub fn propose<'a>(
    from: &ClusterFacts,
    to: &ClusterFacts,
    names: &ClusterNames,
    namespaces: impl IntoIterator<Item = &'a str>,
) -> Proposal {
    let mut proposal = Proposal::default();
    for (cluster, name) in [(from, &names.from.planned), (to, &names.to.planned)] {
        for kind in KINDS {
            if let Some(Err(why)) = cluster.objects.get(&kind) {
                proposal.left_out.push(format!("{kind:?} objects of {name} cannot be read: {why}"));
            }
        }
    }
    for namespace in namespaces {
        let (mut cron_jobs, mut workers) = (Vec::new(), Vec::new());
        for kind in KINDS {
            for object in from.within(kind, namespace).filter(|object| is_active(from, kind, object)) {
                match (obstacle(to, names, kind, object), kind) {
                    (Some(why), _) => proposal.left_out.push(format!("{kind:?} {}: {why}", object.full_name())),
                    (None, Kind::CronJob) => cron_jobs.push(json!({"namespace": namespace, "name": object.name})),
                    (None, _) => {
                        let kind = format!("{kind:?}");
                        workers.push(json!({"namespace": namespace, "kind": kind, "name": object.name}));
                    }
                }
            }
        }
        let mut step = serde_json::Map::new();
        for (field, items) in [("cronJobs", cron_jobs), ("workers", workers)] {
            if !items.is_empty() {
                step.insert(field.to_owned(), Value::Array(items));
            }
        }
        if !step.is_empty() {
            proposal.steps.insert(namespace.to_owned(), json!({"handOver": step, "name": "hand-over"}));
        }
    }
    proposal
}

/// Returns whether an object does work that must not be done in two clusters. An object behind a Service moves with the
/// traffic, and the scaler of a worker stands for the worker.
fn is_active(cluster: &ClusterFacts, kind: Kind, object: &Object) -> bool {
    match kind {
        Kind::CronJob => object.at("/spec/suspend") != true,
        Kind::Deployment | Kind::StatefulSet => {
            let is_scaled = cluster.within(Kind::ScaledObject, &object.namespace).any(|s| scales(s, kind, object));
            runs(object) && !has_service(cluster, object) && !is_scaled
        }
        Kind::ScaledObject => {
            let targets = [Kind::Deployment, Kind::StatefulSet];
            let mut targets =
                targets.into_iter().flat_map(|kind| cluster.within(kind, &object.namespace).map(move |o| (kind, o)));
            !is_paused(object)
                && !targets.any(|(kind, target)| scales(object, kind, target) && has_service(cluster, target))
        }
        Kind::ScaledJob => !is_paused(object),
        _ => false,
    }
}

fn scales(scaler: &Object, kind: Kind, target: &Object) -> bool {
    let scaled = scaler.text("/spec/scaleTargetRef/kind").unwrap_or("Deployment");
    scaled == format!("{kind:?}") && scaler.text("/spec/scaleTargetRef/name") == Some(&target.name)
}

fn runs(object: &Object) -> bool {
    replicas(object).is_none_or(|replicas| replicas > 0)
}

/// Returns why an object cannot be handed over without a decision of the operator.
fn obstacle(to: &ClusterFacts, names: &ClusterNames, kind: Kind, object: &Object) -> Option<String> {
    let (old, new) = (&names.from.planned, &names.to.planned);
    if kind == Kind::StatefulSet {
        return Some("its data does not move; add it to a `handOver` step if it has none".to_owned());
    }
    if !to.knows(kind) {
        return Some(format!("its state in {new} is not known"));
    }
    let Some(other) = to.one(kind, &object.namespace, &object.name) else {
        return Some(format!("it runs in {old} and does not exist in {new}"));
    };
    let is_running = match kind {
        Kind::CronJob => other.at("/spec/suspend") != true,
        Kind::Deployment => runs(other),
        _ => !is_paused(other),
    };
    if is_running {
        return Some(format!("it runs in both clusters; stop it in {new}, then add it to a `handOver` step"));
    }
    let owner = owner(object).or_else(|| owner(other))?;
    Some(format!("{owner} owns it and would undo a change; add it to a `handOver` step with `mode: verify`"))
}

fn owner(object: &Object) -> Option<&'static str> {
    let texts = |path| {
        let map = object.at(path).as_object().into_iter().flatten();
        map.map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
    };
    gitops_owner(&texts("/metadata/labels"), &texts("/metadata/annotations"))
}
