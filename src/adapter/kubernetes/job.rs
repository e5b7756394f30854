//! A Job that goes on with a run, in the namespace that keeps it.

use k8s_openapi::api::batch::v1::Job;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;

use super::K8s;
use super::error::write;
use crate::port::WriteError;

/// What such a Job is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetachedRun<'a> {
    /// The run's id.
    pub run: &'a str,
    /// Where it is kept, as `--state` takes it.
    pub state: &'a str,
    /// AWS region.
    pub region: &'a str,
    /// An image with `cutover` on its PATH.
    pub image: &'a str,
    /// The service account.
    pub account: &'a str,
    /// More arguments.
    pub arguments: &'a [String],
}

/// Longest name of an object of which pods are named.
const LONGEST: usize = 63;
/// How long a call stays, the longest that `step` takes: the pod after it stays as long again.
const MAX_WAIT: &str = "720h";

impl DetachedRun<'_> {
    /// Its name: the run's, shortened in front.
    pub fn name(&self) -> String {
        let id = self.run.get(self.run.len().saturating_sub(LONGEST - "cutover-".len())..).unwrap_or(self.run);
        format!("cutover-{}", id.trim_start_matches('-'))
    }

    /// The object, as `examples/schedulers/job.yaml` has it.
    ///
    /// # Errors
    /// Never: its shape is the API's.
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

/// Makes it. `dry`: asks only whether it may be made; nothing is.
///
/// # Errors
/// The API's; one that is there already is refused.
pub async fn create(cluster: &K8s, namespace: &str, handed: &DetachedRun<'_>, dry: bool) -> Result<(), WriteError> {
    let job = handed.job().map_err(|e| WriteError::Refused(e.to_string()))?;
    let params = PostParams { dry_run: dry, field_manager: Some(super::FIELD_MANAGER.to_owned()) };
    let api = Api::namespaced(cluster.client(), namespace);
    let made = tokio::time::timeout(super::DEADLINE, api.create(&params, &job));
    made.await
        .map_err(|_| WriteError::Unanswered("the Kubernetes API did not answer in time".into()))?
        .map(drop)
        .map_err(|e| write(&e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handed(run: &str) -> DetachedRun<'_> {
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
    fn it_is_the_example_but_for_the_run() {
        let example: Job = serde_json::from_value(
            serde_yaml::from_str(&std::fs::read_to_string("examples/schedulers/job.yaml").expect("the example"))
                .expect("YAML"),
        )
        .expect("a Job");
        let job = handed("web-20261121-060000-bcdf").job().expect("a Job");
        let (job, example) = (job.spec.expect("a spec"), example.spec.expect("a spec"));
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
    fn its_name_is_one_of_a_pod() {
        let name = handed(&format!("{}-20261121-060000-bcdf", "long".repeat(15))).name();
        assert!(
            name.len() <= LONGEST && name.starts_with("cutover-") && name.ends_with("-20261121-060000-bcdf"),
            "{name}"
        );
    }
}
