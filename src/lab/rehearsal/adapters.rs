//! Creates the production adapters for a lab.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::RehearsalError;
use crate::adapter::aws;
use crate::adapter::aws::eks;
use crate::adapter::aws::elb::Alb;
use crate::adapter::kubernetes::{K8s, service};
use crate::adapter::network::Network;
use crate::lab::{live, virtual_time};
use crate::plan::model::{ClusterAccess, ClusterName, Plan};
use crate::port::{Cluster, ClusterObjects, LoadBalancerApi};

/// The production adapters, connected to a lab.
pub struct Adapters {
    pub balancer: LoadBalancerApi,
    pub clusters: BTreeMap<ClusterName, Arc<dyn Cluster>>,
    pub objects: BTreeMap<ClusterName, Arc<dyn ClusterObjects>>,
}

/// The clusters that the plan gives access to.
#[derive(Default)]
struct Reached {
    clusters: BTreeMap<ClusterName, Arc<dyn Cluster>>,
    objects: BTreeMap<ClusterName, Arc<dyn ClusterObjects>>,
}

impl Reached {
    fn add(&mut self, name: &ClusterName, cluster: K8s) {
        let cluster = Arc::new(cluster);
        self.clusters.insert(name.clone(), Arc::clone(&cluster) as _);
        self.objects.insert(name.clone(), cluster);
    }

    fn with(self, balancer: Alb) -> Adapters {
        Adapters { balancer: LoadBalancerApi::new(balancer), clusters: self.clusters, objects: self.objects }
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
        all.add(&cluster.name, reached);
    }
    // The SDK's back-off takes real time: five attempts would take half an hour of the lab's time.
    Ok(all.with(Alb::with_speed(&config, speed)))
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
        all.add(&cluster.name, reached);
    }
    Ok(all.with(Alb::new(&config)))
}

fn at(network: &Arc<Network>, url: &str) -> Result<K8s, RehearsalError> {
    let config = kube::Config::new(url.parse().map_err(client_error)?);
    let service = service(network, config, None, None).map_err(client_error)?;
    Ok(K8s::new(kube::Client::new(service, "default")))
}

fn client_error(error: impl std::fmt::Display) -> RehearsalError {
    RehearsalError::Client(error.to_string())
}
