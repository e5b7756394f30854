//! `cutover init`: prints a plan for a live load balancer, or for a whole cluster, on standard output.

use clap::{ArgGroup, Args};
use futures::future::join_all;

use crate::adapter::haproxy::Haproxy;
use crate::app::connect;
use crate::app::exit::{Exit, Failure};
use crate::base::haproxy::{Backend, Group, is_glob, is_name};
use crate::cli::args::{Global, ReadOptions, value};
use crate::cli::reading::with_progress;
use crate::cli::term;
use crate::cli::verbs::rollback::existing_names;
use crate::domain::elb::select::BalancerReadError;
use crate::domain::traffic::Unreadable;
use crate::domain::view::init::cluster::ClusterInitRequest;
use crate::domain::view::init::haproxy::{self, HaproxyRequest};
use crate::domain::view::init::{InitError, InitRequest};
use crate::engine::inventory::{InitCluster, init, init_cluster};
use crate::plan::model::ServiceRef;
use crate::plan::{model::ClusterAccess, selector};
use crate::port::{Cluster, Detail, LoadBalancerApi};

/// The arguments of `cutover init`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Examples:
  cutover init --load-balancer alpha-webapp --from '*-a' --to '*-b' > plan.yaml
  cutover init --load-balancer alpha-webapp --from '*-a' --to '*-b' \\
    --from-cluster alpha-kr-a --to-cluster alpha-kr-b \\
    --service webapp/webapp:http > plan.yaml
  cutover init --from-cluster shop-blue --to-cluster shop-green > plan.yaml
  cutover init --haproxy tcp://10.0.1.10:9999 tcp://10.0.1.20:9999 \\
    --backend webapp --from 'a-*' --to 'b-*' > plan.yaml
  cutover init --haproxy tcp://10.0.1.10:9999 --map /etc/haproxy/shares.map \\
    --from webapp-a --to webapp-b > plan.yaml")]
#[command(group = ArgGroup::new("place").args(["load_balancer", "haproxy", "to_cluster"]).multiple(true).required(true))]
pub struct Init {
    /// Load balancer: name, ARN, or `tag:KEY=VALUE`
    #[arg(long, value_name = "LB", requires_all = ["from", "to"], conflicts_with = "haproxy")]
    pub load_balancer: Option<String>,
    /// HAProxy instances, with --backend or --map; --from and --to name servers, or backends
    #[arg(long, value_name = "ADDRESS", num_args = 1.., value_delimiter = ',', value_parser = value::runtime_api,
        requires_all = ["routes", "from", "to"], conflicts_with_all = ["from_cluster", "to_cluster", "service"])]
    pub haproxy: Vec<String>,
    /// Backend of HAProxy
    #[arg(long, value_name = "NAME", requires = "haproxy", group = "routes")]
    pub backend: Option<String>,
    /// Table of slots of HAProxy, as in its configuration
    #[arg(long, value_name = "FILE", requires = "haproxy", conflicts_with = "backend", group = "routes")]
    pub map: Option<String>,
    /// Target groups that have the traffic now (globs, in quotes)
    #[arg(long, value_name = "GROUPS", requires = "to", value_delimiter = ',')]
    pub from: Vec<String>,
    /// Target groups that will get the traffic (globs, in quotes)
    #[arg(long, value_name = "GROUPS", requires = "from", value_delimiter = ',')]
    pub to: Vec<String>,
    /// Old cluster: its EKS name, or `context:NAME` of the kubeconfig
    #[arg(long, value_name = "CLUSTER")]
    pub from_cluster: Option<String>,
    /// New cluster. With no --load-balancer, the plan has all bindings of --from-cluster
    #[arg(long, value_name = "CLUSTER")]
    pub to_cluster: Option<String>,
    /// Service in both clusters, as NAMESPACE/NAME:PORT
    #[arg(long, value_parser = value::service, value_name = "SERVICE", requires = "load_balancer")]
    pub service: Option<ServiceRef>,
    /// Name of the plan [default: the name of the load balancer or of the clusters]
    #[arg(long)]
    pub name: Option<String>,
    /// Options for reads.
    #[command(flatten)]
    pub reads: ReadOptions,
}

/// Runs `cutover init`.
pub async fn run(_: &Global, args: &Init) -> Result<Exit, Failure> {
    let Some(load_balancer) = &args.load_balancer else {
        return if args.haproxy.is_empty() {
            Box::pin(plan_of_cluster(args)).await
        } else {
            plan_of_haproxy(args).await
        };
    };
    let load_balancer =
        selector(load_balancer).map_err(|e| Failure::new(Exit::Usage, format!("--load-balancer: {e}")))?;
    let config = connect::aws_config_for(&load_balancer).await;
    let (from_cluster, to_cluster) = (access(args.from_cluster.as_deref()), access(args.to_cluster.as_deref()));
    let (from, to) = (connect::cluster_of(&from_cluster, &config), connect::cluster_of(&to_cluster, &config));
    let request = InitRequest {
        load_balancer,
        from: args.from.clone(),
        to: args.to.clone(),
        from_cluster,
        to_cluster,
        service: args.service.clone(),
        name: args.name.clone(),
    };
    let (from, to) = (from.as_deref().map(|c| c as &dyn Cluster), to.as_deref().map(|c| c as &dyn Cluster));
    let balancer = connect::balancer(&config);
    let text = match with_progress(0, init(&request, &*balancer.inventory, from, to)).await {
        Ok(text) => text,
        Err(error) => {
            let names = match &error {
                InitError::Look(BalancerReadError::NotOne { selector, .. }) => existing_names(&config, selector).await,
                _ => None,
            };
            return Err(names.into_iter().fold(init_failure(error), Failure::next));
        }
    };
    let _ = term::print(text.trim_end());
    term::print_error("plan written; review the plan, then type: cutover check PLAN");
    Ok(Exit::Done)
}

/// Prints a plan for all bindings of a cluster.
async fn plan_of_cluster(args: &Init) -> Result<Exit, Failure> {
    let (from_cluster, to_cluster) = (access(args.from_cluster.as_deref()), access(args.to_cluster.as_deref()));
    if [&from_cluster, &to_cluster].contains(&&ClusterAccess::None) {
        let what = "without --load-balancer, --from-cluster and --to-cluster must both name a cluster";
        return Err(Failure::new(Exit::Usage, what));
    }
    let config = connect::aws_config(None).await;
    if config.region().is_none() {
        let what = "no AWS region is set: set AWS_REGION to the region of the load balancers";
        return Err(Failure::new(Exit::Usage, what));
    }
    let reached =
        futures::join!(connect::whole_cluster(&from_cluster, &config), connect::whole_cluster(&to_cluster, &config));
    let unreachable = |option: &str| {
        let what = format!("the cluster given with --{option}");
        move |why| init_failure(InitError::Look(BalancerReadError::Unreadable { what, why }))
    };
    let (from, to) = (reached.0.map_err(unreachable("from-cluster"))?, reached.1.map_err(unreachable("to-cluster"))?);
    let from = InitCluster { cluster: &*from.0, objects: &*from.1 };
    let to = InitCluster { cluster: &*to.0, objects: &*to.1 };
    let request = ClusterInitRequest {
        from_cluster,
        to_cluster,
        from: args.from.clone(),
        to: args.to.clone(),
        name: args.name.clone(),
    };
    let balancer = connect::balancer(&config);
    let reads = init_cluster(&request, &*balancer.inventory, from, to);
    let text = with_progress(0, reads).await.map_err(init_failure)?;
    let _ = term::print(text.trim_end());
    term::print_error("plan written; review the plan, then type: cutover check PLAN");
    Ok(Exit::Done)
}

/// Prints a plan for a backend of HAProxy.
async fn plan_of_haproxy(args: &Init) -> Result<Exit, Failure> {
    let ([from], [to]) = (&args.from[..], &args.to[..]) else {
        return Err(Failure::new(
            Exit::Usage,
            "with --haproxy, --from and --to each take one glob of names of servers, or with --map one backend",
        ));
    };
    let name = args.backend.clone().unwrap_or_default();
    let is_valid = |side: &String| if args.map.is_some() { is_name(side) } else { is_glob(side) };
    let checked = [(&name, args.map.is_some() || is_name(&name)), (from, is_valid(from)), (to, is_valid(to))];
    if let Some(wrong) = checked.iter().find(|(_, ok)| !ok) {
        return Err(Failure::new(Exit::Usage, format!("`{}` is not a valid name in haproxy.cfg", wrong.0)));
    }
    let backend = |address: &String| match &args.map {
        Some(file) => Backend::of_map(address, file),
        None => Backend { address: address.clone(), name: name.clone() },
    };
    let backends: Vec<_> = args.haproxy.iter().map(backend).collect();
    let groups = backends
        .iter()
        .flat_map(|backend| [from, to].map(|glob| Group { backend: backend.clone(), glob: glob.clone() }));
    let api = LoadBalancerApi::new(Haproxy::new(groups));
    let read = async |backend: &Backend| api.inventory.listeners(&backend.id(), Detail::Listed).await;
    let mut routes = Vec::new();
    for (backend, found) in backends.iter().zip(join_all(backends.iter().map(read)).await) {
        let found = found.map_err(|why| Failure::new(Exit::Refused, format!("{}: {why}", backend.label())))?;
        routes.extend(found.into_iter().flat_map(|(_, routes)| routes));
    }
    let request = HaproxyRequest { backends, from: from.clone(), to: to.clone(), name: args.name.clone() };
    let text = haproxy::plan_text(&request, &routes).map_err(|why| Failure::new(Exit::Usage, why))?;
    let _ = term::print(text.trim_end());
    term::print_error("plan written; review the plan, then type: cutover check PLAN");
    Ok(Exit::Done)
}

/// Returns the failure of an `init`. A name that does not exist is an error of the command line, a resource that cannot
/// be read is not.
fn init_failure(error: InitError) -> Failure {
    let is_unreadable = matches!(
        &error,
        InitError::Look(BalancerReadError::Unreadable { why, .. }) if !matches!(why, Unreadable::NotFound(_))
    );
    let exit = if is_unreadable { Exit::Refused } else { Exit::Usage };
    Failure::new(exit, error)
}

/// Parses a cluster: `context:NAME` is a kubeconfig context; `eks:NAME` or any other name is an EKS cluster.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Regression test: a misspelled EKS name was an internal error (exit 1) and blamed `--from`.
    #[test]
    fn a_misspelt_cluster_is_an_error_of_the_command_line() {
        let failure = |why| {
            let what = "bindings of the cluster given with --from-cluster".to_owned();
            init_failure(InitError::Look(BalancerReadError::Unreadable { what, why }))
        };
        let unknown =
            failure(Unreadable::NotFound("eu-central-1 has no EKS cluster `shop-bleu`; its clusters are …".into()));
        assert_eq!(unknown.exit, Exit::Usage);
        assert!(unknown.to_string().contains("--from-cluster") && unknown.to_string().contains("its clusters are"));
        assert_eq!(failure(Unreadable::Denied("eks:ListClusters".into())).exit, Exit::Refused);
    }
}
