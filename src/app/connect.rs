//! Connects the ports of a plan to AWS and the clusters, through the adapters.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use futures::future::BoxFuture;
use tokio::sync::OnceCell;

use crate::adapter::aws::elb::Alb;
use crate::adapter::aws::platform::EksPlatform;
use crate::adapter::aws::{SdkConfig, eks};
use crate::adapter::network::Network;
use crate::adapter::process::Folder;
use crate::adapter::{Balancers, aws, clock, hook, kubernetes as kube, metric, plan_secrets};
use crate::domain::traffic::Unreadable;
use crate::engine::Ports;
use crate::engine::inventory::ReadPacer;
use crate::engine::items::ItemPorts;
use crate::plan::model::{ClusterAccess, ClusterName, Plan, Selector};
use crate::port::store::Store;
use crate::port::{
    AccessReview, Cluster, ClusterConnections, ClusterItems, ClusterObjects, ClusterPlatform, ComparedCluster,
    LoadBalancerApi,
};

/// Loads the AWS configuration by the SDK's standard provider chain, for this region; `None` means the region of the
/// chain.
pub async fn aws_config(region: Option<&str>) -> SdkConfig {
    aws::config(&aws::Settings { region: region.map(str::to_owned), ..aws::Settings::default() }).await
}

/// Loads the AWS configuration for the region in this load balancer's ARN. Without an ARN, uses the region of the
/// chain.
pub async fn aws_config_for(load_balancer: &Selector) -> SdkConfig {
    aws_config(region(load_balancer)).await
}

/// Returns the region in an ARN.
fn region(selector: &Selector) -> Option<&str> {
    let Selector::Arn(arn) = selector else { return None };
    Some(crate::base::arn::region(arn)).filter(|region| !region.is_empty())
}

/// Builds the load balancer API, for commands without a plan.
pub fn balancer(config: &SdkConfig) -> LoadBalancerApi {
    LoadBalancerApi::new(Alb::new(config))
}

/// Loads the AWS configuration of a plan. Without `spec.aws`, reads neither the environment nor files.
pub async fn aws_config_of(plan: &Plan) -> SdkConfig {
    if plan.region.is_empty() { SdkConfig::builder().build() } else { aws_config(Some(&plan.region)).await }
}

/// Builds the API of all load balancers of a plan.
pub async fn balancer_of(plan: &Plan) -> LoadBalancerApi {
    Balancers::connect(plan, &aws_config_of(plan).await)
}

/// Returns the pace of the reads of this process.
pub fn reads() -> &'static ReadPacer {
    static READS: LazyLock<ReadPacer> = LazyLock::new(|| ReadPacer::new(Arc::new(clock::SystemClock)));
    &READS
}

/// Connects all ports of a plan.
pub async fn ports(plan: &Plan, store: Arc<dyn Store>) -> Ports {
    plan_secrets::remember(plan);
    let config = aws_config_of(plan).await;
    let (clusters, compared) = (clusters(plan, &config), compared(plan, &config));
    let metrics = Arc::new(metric::Sources::new(plan, &config, &clusters));
    let hooks = Arc::new(hook::HookRunner::in_folder(Folder::of(plan)));
    Ports {
        balancer: Balancers::connect(plan, &config),
        clusters,
        compared,
        items: items(plan, &config),
        metrics,
        hooks,
        clock: Arc::new(clock::SystemClock),
        reads: reads().clone(),
        store,
    }
}

/// Connects the ports that a rollback needs: the load balancers, and the hooks that undo commands.
pub async fn rollback_ports(plan: &Plan, store: Arc<dyn Store>) -> Ports {
    plan_secrets::remember(plan);
    let config = aws_config_of(plan).await;
    let (balancer, items) = (Balancers::connect(plan, &config), items(plan, &config));
    let metrics = Arc::new(metric::AfterRollback::new(&config));
    let hooks = Arc::new(hook::HookRunner::in_folder(Folder::of(plan)));
    let (clusters, clock, reads) = (BTreeMap::new(), Arc::new(clock::SystemClock), reads().clone());
    Ports { balancer, clusters, compared: BTreeMap::new(), items, metrics, hooks, clock, reads, store }
}

/// Creates the clusters of a plan. Each connects at its first call.
fn clusters(plan: &Plan, config: &SdkConfig) -> BTreeMap<ClusterName, Arc<dyn Cluster>> {
    let all = plan.clusters.iter();
    all.filter_map(|cluster| Some((cluster.name.clone(), cluster_of(&cluster.access, config)?))).collect()
}

/// Creates the access to the items of hand-overs in the clusters of a plan. Each connects at its first call.
fn items(plan: &Plan, config: &SdkConfig) -> ItemPorts {
    let of = |access: &ClusterAccess| {
        let (access, config) = (access.clone(), config.clone());
        let connect = move || -> BoxFuture<'static, _> {
            let (access, config) = (access.clone(), config.clone());
            Box::pin(async move { kubernetes(&access, &config).await })
        };
        Arc::new(kube::LazyItems::new(Box::new(connect))) as Arc<dyn ClusterItems>
    };
    let reached = plan.clusters.iter().filter(|cluster| !matches!(cluster.access, ClusterAccess::None));
    reached.map(|cluster| (cluster.name.clone(), of(&cluster.access))).collect()
}

/// Creates a cluster, which connects at its first call. Returns `None` for [`ClusterAccess::None`].
pub fn cluster_of(access: &ClusterAccess, config: &SdkConfig) -> Option<Arc<dyn Cluster>> {
    if matches!(access, ClusterAccess::None) {
        return None;
    }
    let (access, config) = (access.clone(), config.clone());
    Some(Arc::new(kube::LazyCluster::new(Box::new(move || Box::pin(connect_cluster(access.clone(), config.clone()))))))
}

/// Connects to a cluster, to read its bindings and other objects.
pub async fn whole_cluster(
    access: &ClusterAccess,
    config: &SdkConfig,
) -> Result<(Arc<dyn Cluster>, Arc<dyn ClusterObjects>), Unreadable> {
    let cluster = Arc::new(kubernetes(access, config).await?);
    Ok((Arc::clone(&cluster) as _, cluster))
}

/// Connects to a cluster, to ask its API server about permissions.
pub async fn access_review(access: &ClusterAccess, config: &SdkConfig) -> Result<Box<dyn AccessReview>, Unreadable> {
    Ok(Box::new(kubernetes(access, config).await?))
}

async fn connect_cluster(access: ClusterAccess, config: SdkConfig) -> Result<Arc<dyn Cluster>, Unreadable> {
    Ok(Arc::new(kubernetes(&access, &config).await?))
}

/// Creates the clusters of a plan for a comparison. Each connects when it is compared first.
pub fn compared(plan: &Plan, config: &SdkConfig) -> BTreeMap<ClusterName, Arc<dyn ComparedCluster>> {
    let reached = plan.clusters.iter().filter(|cluster| !matches!(cluster.access, ClusterAccess::None));
    let of = |access: &ClusterAccess| LazyComparedCluster {
        access: access.clone(),
        account: plan.account_id.clone(),
        config: config.clone(),
        connected: OnceCell::new(),
    };
    reached.map(|cluster| (cluster.name.clone(), Arc::new(of(&cluster.access)) as _)).collect()
}

/// A cluster that is connected when it is compared first, and again after a failure.
struct LazyComparedCluster {
    access: ClusterAccess,
    account: String,
    config: SdkConfig,
    connected: OnceCell<ClusterConnections>,
}

#[async_trait]
impl ComparedCluster for LazyComparedCluster {
    async fn connect(&self) -> ClusterConnections {
        let connect = || async {
            match kubernetes(&self.access, &self.config).await {
                Ok(cluster) => {
                    let platform = self.platform(cluster.eks_name());
                    Ok(ClusterConnections { objects: Ok(Arc::new(cluster)), platform })
                }
                Err(why) => Err(ClusterConnections { objects: Err(why), platform: self.platform(None) }),
            }
        };
        self.connected.get_or_try_init(connect).await.cloned().unwrap_or_else(|failed| failed)
    }
}

impl LazyComparedCluster {
    /// Returns the client for the facts that AWS has about the cluster; `None` if the cluster is not known to be an EKS
    /// cluster. `eks_name` is the name and the region of the cluster in EKS, if its kubeconfig has them.
    fn platform(&self, eks_name: Option<(String, Option<String>)>) -> Option<Arc<dyn ClusterPlatform>> {
        let (name, region) = match &self.access {
            ClusterAccess::Eks(name) => (name.clone(), None),
            _ => eks_name?,
        };
        let config = match region {
            Some(region) => self.config.to_builder().region(aws::Region::new(region)).build(),
            None => self.config.clone(),
        };
        let connector = aws::connector(&Network::process());
        Some(Arc::new(EksPlatform::new(&config, &name, &self.account, connector)))
    }
}

async fn kubernetes(access: &ClusterAccess, config: &SdkConfig) -> Result<kube::K8s, Unreadable> {
    match access {
        ClusterAccess::None => Err(Unreadable::Setup("the plan gives no access to the cluster".to_owned())),
        ClusterAccess::Eks(name) => eks::connect(config, name, None).await,
        ClusterAccess::KubeContext(context) => kube::from_context(Some(context)).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn region_is_read_from_the_arn_of_the_load_balancer() {
        let arn = "arn:aws:elasticloadbalancing:ap-northeast-2:123456789012:loadbalancer/app/web/0123456789abcdef";
        assert_eq!(region(&Selector::Arn(arn.into())), Some("ap-northeast-2"));
        assert_eq!(region(&Selector::Arn("arn:aws:elasticloadbalancing".into())), None);
        assert_eq!(region(&Selector::Name("web".into())), None);
    }
}
