//! Creates the TargetGroupBindings of a plan, and deletes the TargetGroupBindings that this tool created. An existing
//! TargetGroupBinding is only compared and never changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::arn::short;
use crate::domain::kubernetes::binding::Binding;
use crate::domain::run::event::{BindResult, BindingStart};
use crate::plan::model::ClusterName;
use crate::port::{Cluster, WriteError};

type Clusters = BTreeMap<ClusterName, Arc<dyn Cluster>>;

/// Creates a TargetGroupBinding, or compares the existing one with the plan. An error says why the step waits.
///
/// `pinned`: the UIDs of the clusters in the journal. A cluster with another UID is never written to.
pub async fn bind(
    clusters: &Clusters,
    wanted: &BindingStart,
    pinned: &BTreeMap<ClusterName, String>,
) -> Result<BindResult, String> {
    let (cluster, pinned) = cluster_and_uid(clusters, wanted, pinned)?;
    let name = wanted.binding.full_name();
    let bindings = cluster.bindings().await.map_err(|e| format!("cluster {}: {e}", wanted.cluster))?;
    if let Some(found) = bindings.iter().find(|b| same_group(b, &wanted.binding)) {
        let differences = wanted.binding.differences(found);
        return if differences.is_empty() {
            Ok(if wanted.create { BindResult::Already } else { BindResult::Verified })
        } else {
            Err(format!(
                "TargetGroupBinding {} in cluster {} differs from the plan: {}",
                found.full_name(),
                wanted.cluster,
                differences.join(", ")
            ))
        };
    }
    if !wanted.create {
        return Err(format!(
            "cluster {} has no TargetGroupBinding for target group {} yet; the owner of that object must create it",
            wanted.cluster,
            short(&wanted.binding.target_group_arn)
        ));
    }
    let identity = cluster.identity().await.map_err(|e| format!("cluster {}: {e}", wanted.cluster))?;
    if pinned.is_some_and(|uid| uid != identity.uid) {
        return Err(format!(
            "cluster {} is not the cluster that the run started with: its kube-system namespace has UID {}",
            wanted.cluster, identity.uid
        ));
    }
    match cluster.apply(&wanted.binding, false).await {
        Ok(_) => Ok(BindResult::Applied),
        Err(WriteError::Unanswered(why)) => Err(format!("{name} in cluster {}: no response ({why})", wanted.cluster)),
        Err(error) => Err(format!("{name} in cluster {}: {error}", wanted.cluster)),
    }
}

/// Deletes a TargetGroupBinding that this tool created. Returns `None` when the object is gone, or the reason why it is
/// kept. An error says why the result is not known yet.
pub async fn unbind(
    clusters: &Clusters,
    created: &BindingStart,
    pinned: &BTreeMap<ClusterName, String>,
) -> Result<Option<String>, String> {
    let (cluster, pinned) = cluster_and_uid(clusters, created, pinned)?;
    let name = format!("{} in cluster {}", created.binding.full_name(), created.cluster);
    let identity = cluster.identity().await.map_err(|e| format!("cluster {}: {e}", created.cluster))?;
    if pinned.is_none_or(|uid| uid != identity.uid) {
        return Ok(Some("the cluster is not the cluster that the run started with".into()));
    }
    let bindings = cluster.bindings().await.map_err(|e| format!("cluster {}: {e}", created.cluster))?;
    let Some(found) = bindings.iter().find(|b| b.full_name() == created.binding.full_name()) else { return Ok(None) };
    if !same_group(found, &created.binding) {
        return Ok(Some("the object binds another target group".into()));
    }
    if let Some(owner) = found.other_manager() {
        return Ok(Some(format!("{owner} also manages the object")));
    }
    match cluster.delete(found).await {
        Ok(()) | Err(WriteError::NotFound(_)) => {
            Err(format!("{name} is being deleted: the controller deregisters its targets"))
        }
        Err(error) => Err(format!("{name}: {error}")),
    }
}

/// Returns the cluster of a TargetGroupBinding, and the UID of that cluster in the journal.
fn cluster_and_uid<'a>(
    clusters: &'a Clusters,
    binding: &BindingStart,
    pinned: &'a BTreeMap<ClusterName, String>,
) -> Result<(&'a dyn Cluster, Option<&'a str>), String> {
    let name = &binding.cluster;
    let cluster = clusters.get(name).ok_or_else(|| format!("the plan gives no access to cluster {name}"))?;
    Ok((&**cluster, pinned.get(name).map(String::as_str)))
}

fn same_group(found: &Binding, wanted: &Binding) -> bool {
    let named = found.extra.get("targetGroupName").and_then(|v| v.as_str());
    found.target_group_arn == wanted.target_group_arn
        || (found.target_group_arn.is_empty() && named == Some(short(&wanted.target_group_arn)))
}
