//! A metric source that reads the workloads of a cluster: whether they are rolled out and every pod is ready.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Cluster, unreadable};
use crate::domain::kubernetes::workload::WorkloadView;
use crate::domain::metric::gate::{MeasuredValue, MeasurementRequest};
use crate::plan::model::metric::GateScope;
use crate::plan::model::{ClusterName, ServiceRef};

/// Reads the workloads of the new cluster.
pub async fn measure(
    clusters: &BTreeMap<ClusterName, Arc<dyn Cluster>>,
    services: &BTreeMap<String, BTreeMap<ClusterName, ServiceRef>>,
    max_restarts: Option<u32>,
    measurement: &MeasurementRequest,
) -> MeasuredValue {
    let name = &measurement.new.cluster;
    let Some(cluster) = clusters.get(name) else { return unreadable(format!("the plan gives no access to {name}")) };
    let wanted = |workload: &str| !matches!(&measurement.gate.scope, GateScope::Workload(own) if own != workload);
    let (names, services): (Vec<_>, Vec<_>) = services
        .iter()
        .filter(|(workload, _)| wanted(workload))
        .filter_map(|(workload, by_cluster)| Some((workload, by_cluster.get(name)?)))
        .unzip();
    if services.is_empty() {
        return unreadable(format!("the workload has no Service in {name}"));
    }
    let mut pods = 0;
    for (workload, view) in names.iter().zip(cluster.workloads(&services).await) {
        match view {
            Err(why) => return unreadable(why),
            Ok(view) => {
                if let Some(message) = workload_problem(&view, max_restarts, measurement) {
                    return MeasuredValue::State { well: false, message: format!("{workload} in {name}: {message}") };
                }
                pods += view.pods.len();
            }
        }
    }
    MeasuredValue::State {
        well: true,
        message: format!(
            "{} in {name} rolled out, {pods} pods ready",
            names.iter().map(|n| n.as_str()).collect::<Vec<_>>().join(", ")
        ),
    }
}

/// Returns the first problem of a workload; `None` if the workload is rolled out and ready.
fn workload_problem(
    view: &WorkloadView,
    max_restarts: Option<u32>,
    measurement: &MeasurementRequest,
) -> Option<String> {
    if view.service.is_none() {
        return Some("the Service does not exist".into());
    }
    if view.pods.is_empty() {
        return Some("the Service selects no pods".into());
    }
    if let Some(owner) =
        view.owners.iter().find(|o| o.ready < o.replicas || o.updated.is_some_and(|updated| updated < o.replicas))
    {
        let updated = owner.updated.map_or(String::new(), |n| format!(", {n} of the current version"));
        return Some(format!(
            "{} {} has {} of {} pods ready{updated}",
            owner.kind, owner.name, owner.ready, owner.replicas
        ));
    }
    let unready = view.pods.iter().filter(|p| !p.ready).count();
    if unready > 0 {
        return Some(format!("{unready} of {} pods are not ready", view.pods.len()));
    }
    let restarted = |pod: &&crate::domain::kubernetes::workload::Pod| {
        pod.restarts > 0 && pod.restarted.is_none_or(|at| at >= measurement.from)
    };
    let restarts: u32 = view.pods.iter().filter(restarted).map(|p| p.restarts).sum();
    max_restarts
        .filter(|most| restarts > *most)
        .map(|most| format!("pods that restarted in the window have {restarts} restarts; at most {most} are allowed"))
}
