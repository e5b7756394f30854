//! Builds the items of the plan's hand-overs: active in the old cluster, stopped in the new one.

use serde_json::{Value, json};

use crate::lab::model::World;
use crate::lab::model::controller::JOB_DURATION;
use crate::lab::objects::{Kind, Objects};
use crate::plan::model::{ItemKind, ItemRef, ItemSelector, Plan, StepKind};

/// The schedule of the lab's CronJobs.
const SCHEDULE: &str = "*/2 * * * *";
/// The number of pods of the lab's workers.
const REPLICAS: u32 = 2;

impl World {
    /// Builds the items of every `handOver` step of a plan in a cluster.
    pub(super) fn build_items(&mut self, cluster: usize, plan: &Plan) {
        let now = self.now;
        let active = *self.clusters[cluster].name == *plan.strategy.from;
        let objects = &mut self.clusters[cluster].objects;
        for item in items(plan) {
            if !objects.has(Kind::Namespace, "", &item.namespace) {
                objects.put(Kind::Namespace, json!({"metadata": {"name": item.namespace}}), now);
            }
            for (name, labels) in names(&item) {
                build(objects, &item, &name, &labels, active, now);
            }
        }
    }
}

/// Returns the items of the plan and of its waves, each once.
fn items(plan: &Plan) -> Vec<ItemRef> {
    let mut all: Vec<ItemRef> = Vec::new();
    for step in plan.runs().iter().flat_map(|run| &run.strategy.steps) {
        if let StepKind::HandOver(hand_over) = &step.kind {
            all.extend(hand_over.items.iter().filter(|item| !all.contains(item)).cloned().collect::<Vec<_>>());
        }
    }
    all
}

/// Returns the name and the labels of an item; two of them for a selector.
fn names(item: &ItemRef) -> Vec<(String, Value)> {
    match &item.select {
        ItemSelector::Name(name) => vec![(name.clone(), json!({"app": name}))],
        ItemSelector::Labels(selector) => {
            let pairs = selector.split(',').filter_map(|pair| pair.split_once('='));
            let labels: serde_json::Map<_, _> =
                pairs.map(|(key, value)| (key.trim_end_matches('=').to_owned(), json!(value))).collect();
            let first = labels.values().next().and_then(Value::as_str).unwrap_or("item").to_owned();
            let of = |number: u8| {
                let mut own = labels.clone();
                own.insert("lab.cutover.dev/item".into(), number.to_string().into());
                (format!("{first}-{number}"), Value::Object(own))
            };
            vec![of(1), of(2)]
        }
    }
}

fn build(objects: &mut Objects, item: &ItemRef, name: &str, labels: &Value, active: bool, now: jiff::Timestamp) {
    let container = json!({"name": name, "image": format!("registry.example.com/{name}:1")});
    let mut template = json!({"metadata": {"labels": labels}, "spec": {"containers": [container]}});
    let metadata = json!({"name": name, "namespace": item.namespace, "labels": labels});
    match item.kind {
        ItemKind::CronJob => {
            template["spec"]["restartPolicy"] = "Never".into();
            let mut object = json!({"metadata": metadata, "spec": {
                "schedule": SCHEDULE, "suspend": !active, "concurrencyPolicy": "Forbid",
                "jobTemplate": {"spec": {"template": template}},
            }});
            object["metadata"]["annotations"][JOB_DURATION] = "40s".into();
            objects.put(Kind::CronJob, object, now);
        }
        ItemKind::Deployment | ItemKind::StatefulSet => {
            let replicas = if active { REPLICAS } else { 0 };
            let mut object = json!({"metadata": metadata, "spec": {
                "replicas": replicas, "selector": {"matchLabels": labels}, "template": template,
            }});
            let kind = if item.kind == ItemKind::StatefulSet { Kind::StatefulSet } else { Kind::Deployment };
            if kind == Kind::StatefulSet {
                object["spec"]["serviceName"] = name.into();
            }
            objects.put(kind, object, now);
        }
        // The lab has no objects of KEDA.
        ItemKind::ScaledObject | ItemKind::ScaledJob => {}
    }
}
