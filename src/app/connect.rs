//! Connects the ports of a plan to AWS and the clusters, through the adapters.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::adapter::aws::elb::Alb;
use crate::adapter::aws::{SdkConfig, eks};
use crate::adapter::{aws, clock, hook, kubernetes as kube, metric};
use crate::domain::traffic::Unreadable;
use crate::engine::{Ports, inventory};
use crate::plan::model::{ClusterAccess, ClusterName, Plan, Selector};
use crate::port::store::Store;
use crate::port::{Clock, Cluster, LoadBalancerApi};

/// The AWS configuration from the SDK's standard chain, in this region (`None`: the chain's own).
pub async fn aws_config(region: Option<&str>) -> SdkConfig {
    aws::config(&aws::Settings { region: region.map(str::to_owned), ..aws::Settings::default() }).await
}

/// The AWS configuration in the region of this load balancer if its ARN says it; else in the chain's own.
pub async fn aws_config_for(load_balancer: &Selector) -> SdkConfig {
    aws_config(region(load_balancer)).await
}

/// The region that an ARN names.
fn region(selector: &Selector) -> Option<&str> {
    let Selector::Arn(arn) = selector else { return None };
    Some(crate::base::arn::region(arn)).filter(|region| !region.is_empty())
}

/// The load balancer API with retried reads, for commands that read once.
pub fn retrying_balancer(config: &SdkConfig) -> LoadBalancerApi {
    let clock: Arc<dyn Clock> = Arc::new(clock::SystemClock);
    inventory::with_retries(&LoadBalancerApi::new(Alb::new(config)), &clock)
}

/// All ports of a plan.
pub async fn ports(plan: &Plan, store: Arc<dyn Store>) -> Ports {
    let config = aws_config(Some(&plan.region)).await;
    let clusters = clusters(plan, &config).await;
    let metrics = Arc::new(metric::Sources::new(plan, &config, &clusters));
    let hooks = Arc::new(hook::HookRunner::default());
    Ports {
        balancer: LoadBalancerApi::new(Alb::new(&config)),
        clusters,
        metrics,
        hooks,
        clock: Arc::new(clock::SystemClock),
        store,
    }
}

/// The ports that a rollback needs: the load balancers, and the hooks that undo commands.
pub async fn rollback_ports(plan: &Plan, store: Arc<dyn Store>) -> Ports {
    let config = aws_config(Some(&plan.region)).await;
    let balancer = LoadBalancerApi::new(Alb::new(&config));
    let (metrics, hooks) = (Arc::new(metric::NoMetrics), Arc::new(hook::HookRunner::default()));
    Ports { balancer, clusters: BTreeMap::new(), metrics, hooks, clock: Arc::new(clock::SystemClock), store }
}

/// The clusters of a plan. A cluster that cannot be reached returns the reason as the error of every call.
async fn clusters(plan: &Plan, config: &SdkConfig) -> BTreeMap<ClusterName, Arc<dyn Cluster>> {
    let mut all: BTreeMap<ClusterName, Arc<dyn Cluster>> = BTreeMap::new();
    for cluster in &plan.clusters {
        if let Some(reached) = connect_cluster(&cluster.access, config).await {
            all.insert(cluster.name.clone(), reached);
        }
    }
    all
}

/// Connects to a cluster; `None` for [`ClusterAccess::None`].
pub async fn connect_cluster(access: &ClusterAccess, config: &SdkConfig) -> Option<Arc<dyn Cluster>> {
    let reached: Result<_, Unreadable> = match access {
        ClusterAccess::None => return None,
        ClusterAccess::Eks(name) => eks::connect(config, name, None).await,
        ClusterAccess::KubeContext(context) => kube::from_context(Some(context)).await,
    };
    Some(match reached {
        Ok(cluster) => Arc::new(cluster),
        Err(why) => Arc::new(kube::Unreached(why)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_says_in_which_region_its_load_balancer_is() {
        let arn = "arn:aws:elasticloadbalancing:ap-northeast-2:123456789012:loadbalancer/app/web/0123456789abcdef";
        assert_eq!(region(&Selector::Arn(arn.into())), Some("ap-northeast-2"));
        assert_eq!(region(&Selector::Arn("arn:aws:elasticloadbalancing".into())), None);
        assert_eq!(region(&Selector::Name("web".into())), None);
    }
}
