//! `cutover run --detach`: begins a run here, with a person looking at the preflight, and hands it to a Job that goes on with it.

use clap::Args;

use crate::adapter::kubernetes::job::{Handed, create};
use crate::app::exit::{Exit, Failure};
use crate::app::place::{self, Namespace};
use crate::cli::args::{Global, Output};
use crate::cli::term;
use crate::engine::hold::Hold;
use crate::plan::model::{ClusterAccess, Plan, StatePlace};
use crate::port::WriteError;

/// Who goes on with a run that was begun here.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Detach {
    /// Begin the run, and hand it to a Job in the namespace that keeps it (`spec.state`); exits with 8
    #[arg(long, requires = "image", conflicts_with = "until")]
    pub detach: bool,
    /// The Job's image, with `cutover` on its PATH
    #[arg(long, requires = "detach")]
    pub image: Option<String>,
    /// The Job's service account, whose role is the one that the run needs
    #[arg(long, default_value = "cutover", value_name = "NAME")]
    pub service_account: String,
}

/// The way to the namespace that takes a run over.
pub struct Taker<'a> {
    args: &'a Detach,
    api_budget: Option<f64>,
    region: &'a str,
    state: StatePlace,
    namespace: Namespace,
}

/// The taker that a person asks for, who may make Jobs there; `None`: nobody asks.
pub async fn taker<'a>(
    global: &Global,
    args: &'a Detach,
    api_budget: Option<f64>,
    plan: &'a Plan,
) -> Result<Option<Taker<'a>>, Failure> {
    if !args.detach {
        return Ok(None);
    }
    let state = place::said(&global.kept(), plan)?;
    let wrong = |why: String| Failure::new(Exit::Usage, why);
    let StatePlace::Kubernetes { access, namespace } = &state else {
        return Err(wrong(
            "--detach needs a run that is kept in a cluster: `spec.state` in the plan, or --state eks:CLUSTER/NAMESPACE".into(),
        ));
    };
    let context =
        |access: &ClusterAccess| if let ClusterAccess::KubeContext(name) = access { Some(name.clone()) } else { None };
    if let Some(context) = plan.clusters.iter().map(|c| &c.access).chain([access]).find_map(context) {
        return Err(wrong(format!("--detach cannot use the kubeconfig context {context}: a Job has no kubeconfig"))
            .next("name the cluster by `eks: NAME`, or adapt examples/schedulers/job.yaml"));
    }
    let namespace = place::reach(access, namespace, Some(&plan.region)).await?;
    let taker = Taker { args, api_budget, region: &plan.region, state, namespace };
    // Asked before the run begins, so that none is begun that nobody can take.
    let refused = |e: WriteError| {
        Failure::new(Exit::Refused, format!("no Job can be made in {}: {e}", taker.namespace.place))
            .next("nothing was touched")
    };
    taker.make(&format!("{}-00000000-000000-xxxx", plan.name.to_ascii_lowercase()), true).await.map_err(refused)?;
    Ok(Some(taker))
}

impl Taker<'_> {
    async fn make(&self, run: &str, dry: bool) -> Result<String, WriteError> {
        let Detach { image, service_account, .. } = self.args;
        let arguments: Vec<_> =
            self.api_budget.iter().flat_map(|n| ["--api-budget".to_owned(), n.to_string()]).collect();
        let handed = Handed {
            run,
            state: &self.state.to_string(),
            region: self.region,
            image: image.as_deref().unwrap_or_default(),
            account: service_account,
            arguments: &arguments,
        };
        create(&self.namespace.cluster, &self.namespace.name, &handed, dry).await.map(|()| handed.name())
    }

    /// Gives the locks back, and makes the Job.
    pub async fn take(&self, global: &Global, hold: Hold) -> Result<Exit, Failure> {
        let run = hold.run().to_owned();
        hold.leave().await;
        let Namespace { name: namespace, place, kubectl, .. } = &self.namespace;
        let job = self.make(&run, false).await.map_err(|e| {
            Failure::new(
                Exit::Refused,
                format!("the run {run} is begun and has moved nothing, but no Job was made in {place}: {e}"),
            )
            .next(format!("go on here: cutover resume {run} --state {}", self.state))
            .next(format!("end it: cutover abort {run} --state {}", self.state))
        })?;
        if global.output == Output::Json {
            let _ = term::print(
                &serde_json::json!({"run": run, "namespace": namespace, "job": job, "state": self.state.to_string()})
                    .to_string(),
            );
        } else {
            let _ = term::print(&format!("{run} is handed to job.batch/{job} in {place}"));
        }
        let state = &self.state;
        term::complain(&format!(
            "  Watch:   cutover status {run} --state {state} --watch\n  Its log: {kubectl} logs -f job/{job}\n  Go back: cutover rollback {run} --state {state}"
        ));
        Ok(Exit::Waiting)
    }
}
