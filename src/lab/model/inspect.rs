//! Reads the state of the model directly, without an API call and therefore without delays and faults.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::World;
use super::cluster::Cluster;
use super::group::LabTargetState;
use super::pod::Phase;
use crate::lab::objects::{Kind, meta_text};

/// The state of the model at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    /// Actions of every existing route, by the ARN of the listener or rule, with the field names of the API.
    pub routes: BTreeMap<String, Vec<Value>>,
    /// The number of healthy targets, by target group ARN.
    pub healthy: BTreeMap<String, u32>,
    /// Tags of the load balancers, by ARN.
    pub tags: BTreeMap<String, BTreeMap<String, String>>,
}

impl World {
    /// Returns the state after the last call.
    pub fn snapshot(&self) -> Snapshot {
        let routes = self.routes.iter().filter(|r| !r.deleted).map(|r| (r.arn.to_string(), r.actions.clone()));
        let healthy = self.groups.iter().map(|g| {
            let count = g.targets.values().filter(|t| t.state == LabTargetState::Healthy).count();
            (g.arn.to_string(), u32::try_from(count).unwrap_or(u32::MAX))
        });
        let tags = self.balancers.iter().map(|b| (b.arn.to_string(), b.tags.clone()));
        Snapshot { routes: routes.collect(), healthy: healthy.collect(), tags: tags.collect() }
    }
}

/// A Job that a CronJob of the lab started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRun {
    /// The cluster of the Job.
    pub cluster: String,
    /// The CronJob as `namespace/name`.
    pub cron_job: String,
    /// The time of the schedule.
    pub scheduled: Timestamp,
    /// When the Job started.
    pub started: Timestamp,
    /// When the Job ended; `None` while it runs.
    pub ended: Option<Timestamp>,
}

impl World {
    /// Returns the Jobs of the CronJobs in all clusters.
    pub fn job_runs(&self) -> Vec<JobRun> {
        let time = |value: &Value| value.as_str().and_then(|at| at.parse().ok());
        let of = |cluster: &Cluster, job: &Value| {
            let annotations = &job["metadata"]["annotations"];
            let owner = job["metadata"]["ownerReferences"][0]["name"].as_str()?;
            Some(JobRun {
                cluster: cluster.name.to_string(),
                cron_job: format!("{}/{owner}", meta_text(job, "namespace")),
                scheduled: time(&annotations["batch.kubernetes.io/cronjob-scheduled-timestamp"])?,
                started: time(&job["status"]["startTime"])?,
                ended: time(&job["status"]["completionTime"]),
            })
        };
        let all = self.clusters.iter().flat_map(|cluster| {
            cluster.objects.list(Kind::Job, None).filter_map(move |job| of(cluster, &job)).collect::<Vec<_>>()
        });
        all.collect()
    }

    /// Returns the number of pods of a Deployment or StatefulSet whose processes run, by cluster.
    pub fn running_pods(&self, namespace: &str, name: &str) -> BTreeMap<String, usize> {
        let mut all = BTreeMap::new();
        for pod in self.pods.iter().filter(|pod| pod.namespace == namespace && pod.deployment == name) {
            if let Some(cluster) = pod.cluster.filter(|_| !matches!(pod.phase, Phase::Gone)) {
                *all.entry(self.clusters[cluster].name.to_string()).or_default() += 1;
            }
        }
        all
    }

    /// Returns an object of a cluster; `None` if it does not exist.
    pub fn object(&self, cluster: &str, kind: Kind, namespace: &str, name: &str) -> Option<Value> {
        self.clusters.iter().find(|c| &*c.name == cluster)?.objects.get(kind, namespace, name)
    }

    /// Changes an object of a cluster, as someone else would.
    pub fn change_object(
        &mut self,
        cluster: &str,
        (kind, namespace, name): (Kind, &str, &str),
        change: impl FnOnce(&mut Value),
    ) {
        let now = self.now;
        let Some(place) = self.clusters.iter().position(|c| &*c.name == cluster) else { return };
        self.clusters[place].objects.update(kind, namespace, name, now, change);
        self.schedule_controllers(place);
    }
}
