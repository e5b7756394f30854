//! The CronJob controller, and the Jobs that it starts. As in Kubernetes, a CronJob that is resumed starts its latest
//! missed schedule at once, counted from `status.lastScheduleTime`, else from its creation.
//!
//! A Job takes as long as the annotation [`JOB_DURATION`] of its CronJob says. CronJobs without this annotation do
//! nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::base::cron::Schedule;
use crate::base::duration;
use crate::base::time::earlier;
use crate::lab::model::World;
use crate::lab::model::cluster::NamespacedName;
use crate::lab::model::queue::LabEvent;
use crate::lab::objects::{Kind, timestamp};

/// The annotation with the time that a Job takes, such as `90s`.
pub(in crate::lab::model) const JOB_DURATION: &str = "lab.cutover.dev/job-duration";

impl World {
    pub(super) fn reconcile_cron_jobs(&mut self, cluster: usize, cron_jobs: &BTreeSet<NamespacedName>) {
        for key in cron_jobs {
            self.sync_cron_job(cluster, key);
        }
    }

    /// Handles the time of a CronJob's schedule.
    pub(in crate::lab::model) fn sync_cron_job(&mut self, cluster: usize, (namespace, name): &NamespacedName) {
        let Some(object) = self.clusters[cluster].objects.get(Kind::CronJob, namespace, name) else { return };
        let Some(takes) = job_duration(&object) else { return };
        let spec = &object["spec"];
        let zone = spec["timeZone"].as_str();
        let Some(schedule) = Schedule::parse(spec["schedule"].as_str().unwrap_or_default(), zone) else { return };
        if spec["suspend"] == true {
            return;
        }
        let time = |value: &Value| value.as_str().and_then(|at| at.parse().ok());
        let created = time(&object["metadata"]["creationTimestamp"]).unwrap_or(self.now);
        let mut base = time(&object["status"]["lastScheduleTime"]).map_or(created, |last| created.max(last));
        if let Some(seconds) = spec["startingDeadlineSeconds"].as_u64() {
            base = base.max(earlier(self.now, Duration::from_secs(seconds)));
        }
        let busy = spec["concurrencyPolicy"] == "Forbid" && self.running_jobs(cluster, &object) > 0;
        if let Some(due) = schedule.latest(base, self.now).filter(|_| !busy) {
            self.start_job(cluster, &object, due, takes);
        }
        if let Some(next) = schedule.next(self.now) {
            let key = (namespace.clone(), name.clone());
            let planned = self.clusters[cluster].cron_ticks.insert(key.clone(), next);
            if planned != Some(next) {
                self.queue.schedule(next, LabEvent::CronJobDue(cluster, key));
            }
        }
    }

    fn start_job(&mut self, cluster: usize, cron_job: &Value, due: jiff::Timestamp, takes: Duration) {
        let now = self.now;
        let (namespace, name) = key_of(cron_job);
        let job = format!("{name}-{}", due.as_second() / 60);
        let owner = json!({
            "apiVersion": "batch/v1", "kind": "CronJob", "name": name, "uid": cron_job["metadata"]["uid"],
            "controller": true,
        });
        let metadata = json!({
            "name": job, "namespace": namespace, "ownerReferences": [owner],
            "annotations": {"batch.kubernetes.io/cronjob-scheduled-timestamp": timestamp(due)},
        });
        let object = json!({
            "metadata": metadata, "spec": cron_job["spec"]["jobTemplate"]["spec"],
            "status": {"active": 1, "startTime": timestamp(now)},
        });
        self.clusters[cluster].objects.without_randomness(|objects| {
            objects.put(Kind::Job, object, now);
            objects.update(Kind::CronJob, &namespace, &name, now, |o| {
                o["status"]["lastScheduleTime"] = timestamp(due);
            });
        });
        self.schedule_in(takes, LabEvent::JobEnded(cluster, (namespace, job)));
    }

    /// Ends a Job. Its CronJob may then start the next one.
    pub(in crate::lab::model) fn end_job(&mut self, cluster: usize, (namespace, job): &NamespacedName) {
        let now = self.now;
        let condition = json!({"type": "Complete", "status": "True", "lastTransitionTime": timestamp(now)});
        let ended = self.clusters[cluster].objects.update(Kind::Job, namespace, job, now, |o| {
            let started = o["status"]["startTime"].clone();
            o["status"] = json!({
                "succeeded": 1, "startTime": started, "completionTime": timestamp(now), "conditions": [condition],
            });
        });
        let owner = ended.and_then(|job| job["metadata"]["ownerReferences"][0]["name"].as_str().map(str::to_owned));
        if let Some(owner) = owner {
            self.sync_cron_job(cluster, &(namespace.clone(), owner));
        }
    }

    /// Returns the number of the Jobs of a CronJob that have not ended.
    pub(in crate::lab::model) fn running_jobs(&self, cluster: usize, cron_job: &Value) -> usize {
        let (namespace, _) = key_of(cron_job);
        let jobs = self.clusters[cluster].objects.list(Kind::Job, Some(&namespace));
        let uid = &cron_job["metadata"]["uid"];
        jobs.filter(|job| job["metadata"]["ownerReferences"][0]["uid"] == *uid && job["status"]["active"] == 1).count()
    }
}

fn key_of(object: &Value) -> NamespacedName {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    (text("namespace"), text("name"))
}

fn job_duration(cron_job: &Value) -> Option<Duration> {
    duration::parse(cron_job["metadata"]["annotations"][JOB_DURATION].as_str()?).ok()
}
