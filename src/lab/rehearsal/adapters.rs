//! Creates the production adapters for a lab.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_smithy_runtime_api::client::http::SharedHttpConnector;

use super::RehearsalError;
use crate::adapter::Balancers;
use crate::adapter::aws;
use crate::adapter::aws::eks;
use crate::adapter::aws::elb::Alb;
use crate::adapter::aws::platform::EksPlatform;
use crate::adapter::haproxy::RuntimeApi;
use crate::adapter::kubernetes::{K8s, service};
use crate::adapter::network::Network;
use crate::engine::items::ItemPorts;
use crate::lab::runtime_api::Instances;
use crate::lab::shared_model::SharedModel;
use crate::lab::{live, virtual_time};
use crate::plan::model::{ClusterAccess, ClusterName, Plan};
use crate::port::{Cluster, ClusterConnections, ComparedCluster, LoadBalancerApi};

/// The production adapters, connected to a lab.
pub struct Adapters {
    pub balancer: LoadBalancerApi,
    pub clusters: BTreeMap<ClusterName, Arc<dyn Cluster>>,
    pub compared: BTreeMap<ClusterName, Arc<dyn ComparedCluster>>,
    pub items: ItemPorts,
}

/// The clusters that the plan gives access to.
#[derive(Default)]
struct Reached {
    clusters: BTreeMap<ClusterName, Arc<dyn Cluster>>,
    compared: BTreeMap<ClusterName, Arc<dyn ComparedCluster>>,
    items: ItemPorts,
}

impl Reached {
    fn add(&mut self, name: &ClusterName, cluster: K8s, platform: Option<EksPlatform>) {
        let cluster = Arc::new(cluster);
        let platform = platform.map(|platform| Arc::new(platform) as _);
        let connections = ClusterConnections { objects: Ok(Arc::clone(&cluster) as _), platform };
        self.items.insert(name.clone(), Arc::clone(&cluster) as _);
        self.clusters.insert(name.clone(), cluster);
        self.compared.insert(name.clone(), Arc::new(connections));
    }

    fn with(self, plan: &Plan, model: &SharedModel, aws: impl FnOnce() -> Alb) -> Adapters {
        let runtime_api = RuntimeApi::over(Instances(model.clone()));
        let balancer = Balancers::over(plan, aws, runtime_api);
        Adapters { balancer, clusters: self.clusters, compared: self.compared, items: self.items }
    }
}

/// Connects the adapters over sockets. The lab's clock runs `speed` times as fast as the clients' clocks.
pub async fn live(plan: &Plan, lab: &live::LiveLab, speed: f64) -> Result<Adapters, RehearsalError> {
    let network = Network::alone();
    let settings = aws::Settings { network: Some(Arc::clone(&network)), ..lab.aws_settings() };
    let config = aws::config(&settings).await;
    let mut all = Reached::default();
    for cluster in &plan.clusters {
        let reached = match &cluster.access {
            ClusterAccess::None => continue,
            ClusterAccess::Eks(name) => eks::connect_over(&network, &config, name, None).await.map_err(client_error)?,
            ClusterAccess::KubeContext(_) => at(&network, &lab.cluster_url(&cluster.name).unwrap_or_default())?,
        };
        let platform = platform(plan, &cluster.access, &config, || aws::connector(&network));
        all.add(&cluster.name, reached, platform);
    }
    // The SDK's back-off takes real time: five attempts would take half an hour of the lab's time.
    Ok(all.with(plan, lab.model(), || Alb::with_speed(&config, speed)))
}

/// Connects the adapters without sockets.
pub async fn paused(plan: &Plan, lab: &virtual_time::VirtualLab) -> Result<Adapters, RehearsalError> {
    let config = aws::config(&lab.aws_settings()).await;
    let mut all = Reached::default();
    for cluster in &plan.clusters {
        let transport = lab.kube_transport(&cluster.name);
        let reached = match &cluster.access {
            ClusterAccess::None => continue,
            ClusterAccess::Eks(name) => eks::connect(&config, name, Some(transport)).await.map_err(client_error)?,
            ClusterAccess::KubeContext(_) => K8s::new(kube::Client::new(transport, "default")),
        };
        let platform = platform(plan, &cluster.access, &config, || lab.aws_connector());
        all.add(&cluster.name, reached, platform);
    }
    Ok(all.with(plan, lab.model(), || Alb::new(&config)))
}

/// Returns the client for the facts that AWS has about a cluster; `None` if the plan does not name it as an EKS
/// cluster.
fn platform(
    plan: &Plan,
    access: &ClusterAccess,
    config: &aws::SdkConfig,
    connector: impl FnOnce() -> SharedHttpConnector,
) -> Option<EksPlatform> {
    let ClusterAccess::Eks(name) = access else { return None };
    Some(EksPlatform::new(config, name, &plan.account_id, connector()))
}

fn at(network: &Arc<Network>, url: &str) -> Result<K8s, RehearsalError> {
    let config = kube::Config::new(url.parse().map_err(client_error)?);
    let service = service(network, config, None, None).map_err(client_error)?;
    Ok(K8s::new(kube::Client::new(service, "default")))
}

fn client_error(error: impl std::fmt::Display) -> RehearsalError {
    RehearsalError::Client(error.to_string())
}
