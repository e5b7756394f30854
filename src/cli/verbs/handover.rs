//! `cutover run --detach`: starts a run from this terminal, where an operator sees the preflight, and hands it over to
//! a Job that continues the run.

use std::time::Duration;

use clap::Args;

use crate::adapter::kubernetes::job::{DetachedRun, create};
use crate::app::exit::{Exit, Failure};
use crate::app::state_store::{self, StateNamespace};
use crate::base::duration::format_exact;
use crate::cli::args::{Global, Output};
use crate::cli::term;
use crate::engine::ownership::Ownership;
use crate::plan::model::{ClusterAccess, Plan, StateLocation};
use crate::port::WriteError;

/// Options for a run that a Job continues.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct HandoverOptions {
    /// Start the run and hand it over to a Job in the namespace of its state (`spec.state`); exits with 8
    #[arg(long, requires = "image", conflicts_with = "until")]
    pub detach: bool,
    /// Image of the Job, with `cutover` on its PATH
    #[arg(long, requires = "detach")]
    pub image: Option<String>,
    /// Service account of the Job; its role must have the run's permissions
    #[arg(long, default_value = "cutover", value_name = "NAME")]
    pub service_account: String,
}

/// Everything that is needed to hand a run over to a Job in a namespace.
pub struct Handover<'a> {
    args: &'a HandoverOptions,
    /// The options of this command line that the Job gets too.
    arguments: Vec<String>,
    region: &'a str,
    state: StateLocation,
    namespace: StateNamespace,
}

/// Returns the handover that the options request, after a check that the Job may be created; `None` without `--detach`.
pub async fn prepare_handover<'a>(
    global: &Global,
    args: &'a HandoverOptions,
    api_budget: Option<f64>,
    plan: &'a Plan,
) -> Result<Option<Handover<'a>>, Failure> {
    if !args.detach {
        return Ok(None);
    }
    let state = state_store::location_of(&global.state_options(), plan)?;
    let wrong = |why: String| Failure::new(Exit::Usage, why);
    let StateLocation::Kubernetes { access, namespace } = &state else {
        return Err(wrong(
            "--detach needs runs that are stored in a cluster: set `spec.state` in the plan, or \
             --state eks:CLUSTER/NAMESPACE"
                .into(),
        ));
    };
    let context =
        |access: &ClusterAccess| if let ClusterAccess::KubeContext(name) = access { Some(name.clone()) } else { None };
    if let Some(context) = plan.clusters.iter().map(|c| &c.access).chain([access]).find_map(context) {
        return Err(wrong(format!("--detach cannot use the kubeconfig context {context}: a Job has no kubeconfig"))
            .next("name the cluster by `eks: NAME`, or adapt examples/schedulers/job.yaml"));
    }
    let namespace = state_store::connect(access, namespace, Some(&plan.region)).await?;
    let arguments = job_arguments(api_budget, global.max_read_time);
    let handover = Handover { args, arguments, region: &plan.region, state, namespace };
    // Check this before the run starts, so that no run starts that cannot be handed over.
    let refused = |e: WriteError| {
        Failure::new(Exit::Refused, format!("a Job cannot be created in {}: {e}", handover.namespace.place))
            .next("nothing was changed")
    };
    handover
        .create_job(&format!("{}-00000000-000000-xxxx", plan.name.to_ascii_lowercase()), true)
        .await
        .map_err(refused)?;
    Ok(Some(handover))
}

/// Returns the options of `resume` with which the Job continues the run.
fn job_arguments(api_budget: Option<f64>, max_read_time: Option<Duration>) -> Vec<String> {
    let budget = api_budget.map(|calls| ["--api-budget".to_owned(), calls.to_string()]);
    let time = max_read_time.map(|time| ["--max-read-time".to_owned(), format_exact(time)]);
    budget.into_iter().chain(time).flatten().collect()
}

impl Handover<'_> {
    async fn create_job(&self, run: &str, dry: bool) -> Result<String, WriteError> {
        let HandoverOptions { image, service_account, .. } = self.args;
        let handed = DetachedRun {
            run,
            state: &self.state.to_string(),
            region: self.region,
            image: image.as_deref().unwrap_or_default(),
            account: service_account,
            arguments: &self.arguments,
        };
        create(&self.namespace.cluster, &self.namespace.name, &handed, dry).await.map(|()| handed.name())
    }

    /// Releases the locks and creates the Job.
    pub async fn hand_over(&self, global: &Global, ownership: Ownership) -> Result<Exit, Failure> {
        let run = ownership.run().to_owned();
        ownership.release().await;
        let StateNamespace { name: namespace, place, kubectl, .. } = &self.namespace;
        let job = self.create_job(&run, false).await.map_err(|e| {
            Failure::new(
                Exit::Refused,
                format!("the run {run} has started and moved no traffic, but its Job was not created in {place}: {e}"),
            )
            .next(format!("to continue here: cutover resume {run} --state {}", self.state))
            .next(format!("to end the run: cutover abort {run} --state {}", self.state))
        })?;
        if global.output == Output::Json {
            let _ = term::print(
                &serde_json::json!({"run": run, "namespace": namespace, "job": job, "state": self.state.to_string()})
                    .to_string(),
            );
        } else {
            let _ = term::print(&format!("{run} was handed over to job.batch/{job} in {place}"));
        }
        let state = &self.state;
        term::print_error(&format!(
            "  status:    cutover status {run} --state {state} --watch\n  log:       {kubectl} logs -f job/{job}\n  \
             roll back: cutover rollback {run} --state {state}"
        ));
        Ok(Exit::Waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn job_gets_the_limits_of_the_command_line() {
        let arguments = job_arguments(Some(2.5), Some(Duration::from_hours(2)));
        assert_eq!(arguments, ["--api-budget", "2.5", "--max-read-time", "2h"]);
        assert!(job_arguments(None, None).is_empty());
    }
}
