//! The HPA controller. The desired replicas come from the scenario, or from the share of traffic that the cluster has.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::lab::model::World;
use crate::lab::model::queue::LabEvent;
use crate::lab::objects::{Kind, meta_text};

/// Interval between two evaluations.
const EVALUATION_INTERVAL: Duration = Duration::from_secs(15);

/// Kubernetes's default stabilization window for scaling down.
const STABILIZATION_WINDOW: SignedDuration = SignedDuration::from_mins(5);

impl World {
    pub(in crate::lab::model) fn autoscale(&mut self, cluster: usize) {
        let all: Vec<Value> = self.clusters[cluster].objects.list(Kind::HorizontalPodAutoscaler, None).collect();
        if !all.is_empty() {
            let share = self.written_share_range(cluster).map_or(0.0, |(_, highest)| highest);
            for hpa in &all {
                self.scale_by(cluster, hpa, share);
            }
        }
        if !all.is_empty() {
            self.schedule_controllers(cluster);
        }
        self.schedule_in(EVALUATION_INTERVAL, LabEvent::Autoscale(cluster));
    }

    fn scale_by(&mut self, cluster: usize, hpa: &Value, share: f64) {
        let (namespace, target) = (
            meta_text(hpa, "namespace").to_owned(),
            hpa["spec"]["scaleTargetRef"]["name"].as_str().unwrap_or_default().to_owned(),
        );
        let key = (namespace.clone(), target.clone());
        let number = |v: &Value, default: u64| u32::try_from(v.as_u64().unwrap_or(default)).unwrap_or(u32::MAX);
        let (min, max) = (number(&hpa["spec"]["minReplicas"], 1), number(&hpa["spec"]["maxReplicas"], 1));
        let Some(behaviour) = self.clusters[cluster].deployments.get(&key) else { return };
        let (full_replicas, desired_replicas) = (behaviour.full_replicas, behaviour.desired_replicas);
        let need = desired_replicas.unwrap_or_else(|| {
            (1..full_replicas).find(|n| f64::from(*n) >= f64::from(full_replicas) * share).unwrap_or(full_replicas)
        });
        let desired = need.max(min).min(max.max(1));
        let now = self.now;
        let current = self.clusters[cluster]
            .objects
            .get(Kind::Deployment, &namespace, &target)
            .map_or(0, |d| number(&d["spec"]["replicas"], 1));
        let since = self.clusters[cluster].deployments.get_mut(&key).and_then(|b| {
            b.surplus_since = (desired < current).then(|| b.surplus_since.unwrap_or(now));
            b.surplus_since
        });
        let objects = &mut self.clusters[cluster].objects;
        if desired > current || since.is_some_and(|s| now.duration_since(s) >= STABILIZATION_WINDOW) {
            objects.update(Kind::Deployment, &namespace, &target, now, |d| d["spec"]["replicas"] = desired.into());
        }
        let status = json!({
            "currentReplicas": current, "desiredReplicas": desired, "observedGeneration": hpa["metadata"]["generation"],
        });
        objects
            .update(Kind::HorizontalPodAutoscaler, &namespace, meta_text(hpa, "name"), now, |o| o["status"] = status);
    }
}
