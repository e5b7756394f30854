//! Creates a Job that continues a run, in the namespace that stores the run.

use k8s_openapi::api::batch::v1::Job;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;

use super::K8s;
use super::error::write;
use crate::port::WriteError;

/// The parameters of a Job that continues a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetachedRun<'a> {
    /// The id of the run.
    pub run: &'a str,
    /// The location of the run, as a value of `--state`.
    pub state: &'a str,
    /// The AWS region of the run.
    pub region: &'a str,
    /// The image, with `cutover` on its PATH.
    pub image: &'a str,
    /// The name of the service account.
    pub account: &'a str,
    /// Additional arguments of `cutover step`.
    pub arguments: &'a [String],
}

/// The maximum length of the name of a Job, because pods get names from it.
const MAX_NAME_LENGTH: usize = 63;
/// The time limit of one call, which is the longest time that `cutover step` accepts. The next pod continues for the
/// same time.
const MAX_WAIT: &str = "720h";

impl DetachedRun<'_> {
    /// Returns the name of the Job: the end of the run's id.
    pub fn name(&self) -> String {
        let id = self.run.get(self.run.len().saturating_sub(MAX_NAME_LENGTH - "cutover-".len())..).unwrap_or(self.run);
        format!("cutover-{}", id.trim_start_matches('-'))
    }

    /// Builds the Job as in `examples/schedulers/job.yaml`.
    ///
    /// # Errors
    /// Never fails: the shape of the object is fixed.
    fn job(&self) -> Result<Job, serde_json::Error> {
        let mut arguments =
            vec!["step", self.run, "--state", self.state, "--yes", "--max-wait", MAX_WAIT, "--output", "json"];
        arguments.extend(self.arguments.iter().map(String::as_str));
        let labels = json!({"app.kubernetes.io/name": "cutover", "app.kubernetes.io/managed-by": "cutover"});
        let container = json!({
            "name": "cutover", "image": self.image, "command": ["cutover"], "args": arguments,
            "env": [{"name": "AWS_REGION", "value": self.region}, {"name": "HOME", "value": "/tmp"}],
            "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
            "securityContext": {
                "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                "runAsNonRoot": true, "runAsUser": 65532, "capabilities": {"drop": ["ALL"]},
            },
            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
        });
        serde_json::from_value(json!({
            "metadata": {"name": self.name(), "labels": labels, "annotations": {"cutover.dev/run": self.run}},
            "spec": {
                "backoffLimit": 20,
                "podFailurePolicy": {"rules": [
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                    {"action": "FailJob", "onExitCodes": {"containerName": "cutover", "operator": "In", "values": [2, 3, 4, 5, 7]}},
                ]},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "serviceAccountName": self.account, "restartPolicy": "Never", "terminationGracePeriodSeconds": 60,
                        "containers": [container], "volumes": [{"name": "tmp", "emptyDir": {}}],
                    },
                },
            },
        }))
    }
}

/// Creates the Job. With `dry`, only asks the API whether the Job may be created.
///
/// # Errors
/// Returns the error of the API. A Job that already exists is refused.
pub async fn create(
    cluster: &K8s,
    namespace: &str,
    detached_run: &DetachedRun<'_>,
    dry: bool,
) -> Result<(), WriteError> {
    let job = detached_run.job().map_err(|e| WriteError::Refused(e.to_string()))?;
    let params = PostParams { dry_run: dry, field_manager: Some(super::FIELD_MANAGER.to_owned()) };
    let api = Api::namespaced(cluster.client(), namespace);
    let made = tokio::time::timeout(super::REQUEST_TIMEOUT, api.create(&params, &job));
    made.await
        .map_err(|_| WriteError::Unanswered("the Kubernetes API did not respond in time".into()))?
        .map(drop)
        .map_err(|e| write(&e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detached_run(run: &str) -> DetachedRun<'_> {
        DetachedRun {
            run,
            state: "eks:tools/cutover",
            region: "eu-central-1",
            image: "i",
            account: "cutover",
            arguments: &[],
        }
    }

    #[test]
    fn job_matches_the_example_except_for_the_run() {
        let example: Job = serde_json::from_value(
            serde_yaml::from_str(&std::fs::read_to_string("examples/schedulers/job.yaml").expect("read the example"))
                .expect("the example must be YAML"),
        )
        .expect("the example must have a Job");
        let job = detached_run("web-20261121-060000-bcdf").job().expect("build the Job");
        let (job, example) = (job.spec.expect("a spec of the Job"), example.spec.expect("a spec of the example"));
        assert_eq!((job.backoff_limit, job.pod_failure_policy), (example.backoff_limit, example.pod_failure_policy));
        let (pod, example) = (job.template.spec.expect("a pod"), example.template.spec.expect("a pod"));
        assert_eq!(pod.termination_grace_period_seconds, example.termination_grace_period_seconds);
        let (one, other) = (&pod.containers[0], &example.containers[0]);
        assert_eq!(
            (&one.env, &one.security_context, &one.resources),
            (&other.env, &other.security_context, &other.resources)
        );
    }

    #[test]
    fn job_name_is_valid_for_pods() {
        let name = detached_run(&format!("{}-20261121-060000-bcdf", "long".repeat(15))).name();
        assert!(
            name.len() <= MAX_NAME_LENGTH && name.starts_with("cutover-") && name.ends_with("-20261121-060000-bcdf"),
            "{name}"
        );
    }
}
