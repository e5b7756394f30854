//! The controllers in a cluster: Deployments create pods, Services get endpoints, HPAs scale Deployments, bindings
//! register targets.
//!
//! The controllers act shortly after a change, on all objects at once, because the clusters of a lab are small.

mod binding;
mod deployment;
mod hpa;
mod service;

pub(super) use binding::AUTO_MODE_TAG;

use super::World;
use super::pod::Phase;
use crate::lab::objects::Kind;

impl World {
    pub(super) fn reconcile(&mut self, cluster: usize) {
        self.clusters[cluster].reconcile_scheduled = false;
        self.end_deleted_pods(cluster);
        self.reconcile_deployments(cluster);
        self.reconcile_services(cluster);
        self.reconcile_bindings(cluster);
        self.clusters[cluster].reconciled_revision = self.clusters[cluster].objects.revision();
    }

    /// Terminates pods whose objects have been deleted.
    fn end_deleted_pods(&mut self, cluster: usize) {
        let mut ended = Vec::new();
        for (index, pod) in (0..).zip(&self.pods) {
            let alive = pod.cluster == Some(cluster) && matches!(pod.phase, Phase::Starting | Phase::Running);
            if alive && !self.clusters[cluster].objects.has(Kind::Pod, &pod.namespace, &pod.name) {
                ended.push(super::PodId(index));
            }
        }
        for pod in ended {
            self.end_pod(pod);
        }
    }
}
