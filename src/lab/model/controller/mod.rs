//! The controllers in a cluster: Deployments create pods, Services get endpoints, HPAs scale Deployments, bindings
//! register targets.
//!
//! The controllers act shortly after a change, on the objects that the change concerns ([`index`]).

mod binding;
mod cron_job;
mod deployment;
mod hpa;
mod index;
mod service;

use std::collections::BTreeSet;

use super::World;
use super::cluster::NamespacedName;
use super::pod::Phase;
use crate::lab::objects::{Kind, ObjectKey};
pub(super) use binding::AUTO_MODE_TAG;
pub(super) use cron_job::JOB_DURATION;
pub(super) use index::ControllerIndex;

impl World {
    pub(super) fn reconcile(&mut self, cluster: usize) {
        let cluster_state = &mut self.clusters[cluster];
        cluster_state.reconcile_scheduled = false;
        let changed = cluster_state.objects.take_changed();
        cluster_state.index.note_changes(&cluster_state.objects, &changed);
        self.end_deleted_pods(cluster);
        // The next reconciliation examines the objects that the controllers change here.
        self.reconcile_cron_jobs(cluster, &keys(&changed, Kind::CronJob).collect());
        let pods = std::mem::take(&mut self.clusters[cluster].index.touched);
        let workers = keys(&changed, Kind::Deployment).chain(keys(&changed, Kind::StatefulSet));
        let deployments = workers.chain(pods.iter().map(|pod| self.owner(*pod))).collect();
        self.reconcile_deployments(cluster, &deployments);
        let pods: BTreeSet<_> = pods.union(&self.clusters[cluster].index.touched).copied().collect();
        let selected = pods.iter().flat_map(|pod| self.clusters[cluster].index.services_of(&self.pods[pod.0 as usize]));
        let services = keys(&changed, Kind::Service).chain(selected).collect();
        self.reconcile_services(cluster, &services);
        let retried = std::mem::take(&mut self.clusters[cluster].index.retried_bindings);
        let bound = services.iter().flat_map(|service| self.clusters[cluster].index.bindings_of(service));
        let bindings = keys(&changed, Kind::TargetGroupBinding).chain(bound).chain(retried).collect();
        self.reconcile_bindings(cluster, bindings);
        self.clusters[cluster].reconciled_revision = self.clusters[cluster].objects.revision();
    }

    /// Returns the namespace and the name of the Deployment of a pod.
    fn owner(&self, pod: super::PodId) -> NamespacedName {
        let pod = &self.pods[pod.0 as usize];
        (pod.namespace.clone(), pod.deployment.clone())
    }

    /// Terminates pods whose objects have been deleted.
    fn end_deleted_pods(&mut self, cluster: usize) {
        let cluster_state = &self.clusters[cluster];
        let deleted = cluster_state.index.touched.iter().copied().filter(|id| {
            let pod = &self.pods[id.0 as usize];
            matches!(pod.phase, Phase::Starting | Phase::Running)
                && !cluster_state.objects.has(Kind::Pod, &pod.namespace, &pod.name)
        });
        for pod in deleted.collect::<Vec<_>>() {
            self.end_pod(pod);
        }
    }
}

fn keys(changed: &BTreeSet<ObjectKey>, wanted: Kind) -> impl Iterator<Item = NamespacedName> {
    let of_kind = changed.iter().filter(move |(kind, ..)| *kind == wanted);
    of_kind.map(|(_, namespace, name)| (namespace.clone(), name.clone()))
}
