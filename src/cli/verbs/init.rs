//! `cutover init`: writes a plan from a live load balancer, on standard output.

use crate::app::exit::{Exit, Failure};
use crate::app::world;
use crate::cli::args::{Global, Init};
use crate::cli::term;
use crate::domain::elb::init::{InitError, Request};
use crate::engine::init::init;
use crate::plan::{model::ClusterAccess, selector};
use crate::port::Cluster;

/// Runs the verb.
pub async fn run(_: &Global, args: &Init) -> Result<Exit, Failure> {
    let load_balancer = selector(&args.load_balancer).map_err(|e| Failure::new(Exit::Usage, format!("--load-balancer: {e}")))?;
    let config = world::aws_of(&load_balancer).await;
    let (from_cluster, to_cluster) = (access(args.from_cluster.as_deref()), access(args.to_cluster.as_deref()));
    let (from, to) = (world::reach(&from_cluster, &config).await, world::reach(&to_cluster, &config).await);
    let request = Request {
        load_balancer,
        from: args.from.clone(),
        to: args.to.clone(),
        from_cluster,
        to_cluster,
        service: args.service.clone(),
        name: args.name.clone(),
    };
    let (from, to) = (from.as_deref().map(|c| c as &dyn Cluster), to.as_deref().map(|c| c as &dyn Cluster));
    let text = init(&request, &*world::patient(&config).inventory, from, to).await.map_err(failed)?;
    let _ = term::print(text.trim_end());
    term::complain("written; look it over, then: cutover check PLAN");
    Ok(Exit::Done)
}

/// Nothing is wrong with the command line where AWS does not answer.
fn failed(error: InitError) -> Failure {
    let exit = if matches!(error, InitError::Unreadable { .. }) { Exit::Internal } else { Exit::Usage };
    Failure::new(exit, error)
}

/// `context:NAME` is a kubeconfig context; anything else (or `eks:NAME`) an EKS cluster.
fn access(text: Option<&str>) -> ClusterAccess {
    match text {
        None | Some("none") => ClusterAccess::None,
        Some(text) => match text.split_once(':') {
            Some(("context", name)) => ClusterAccess::KubeContext(name.into()),
            Some(("eks", name)) => ClusterAccess::Eks(name.into()),
            _ => ClusterAccess::Eks(text.into()),
        },
    }
}
