//! Creates the TargetGroupBindings of a plan, and deletes the ones that this tool created. An existing binding is only
//! compared; it is never changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::arn::short;
use crate::domain::kubernetes::binding::Binding;
use crate::domain::run::event::{BindResult, BindingStart};
use crate::plan::model::ClusterName;
use crate::port::{Cluster, WriteError};

type Clusters = BTreeMap<ClusterName, Arc<dyn Cluster>>;

/// Creates a binding if it does not exist, or compares it with the existing one. An error says why the step waits.
///
/// `pinned`: the UIDs that the journal has for the clusters. A cluster with another UID is never written to.
pub async fn bind(
    clusters: &Clusters,
    wanted: &BindingStart,
    pinned: &BTreeMap<ClusterName, String>,
) -> Result<BindResult, String> {
    let (cluster, pinned) = access(clusters, wanted, pinned)?;
    let name = wanted.binding.full_name();
    let there = cluster.bindings().await.map_err(|e| format!("cluster {}: {e}", wanted.cluster))?;
    if let Some(found) = there.iter().find(|b| same_group(b, &wanted.binding)) {
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
            "cluster {} has no TargetGroupBinding for target group {} yet; its owner must create it",
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
        Err(WriteError::Unanswered(why)) => Err(format!("{name} in cluster {}: no answer ({why})", wanted.cluster)),
        Err(error) => Err(format!("{name} in cluster {}: {error}", wanted.cluster)),
    }
}

/// Deletes a binding that this tool created. Returns `None` when it is gone, or the reason why it is kept. An error
/// says why the result is not known yet.
pub async fn unbind(
    clusters: &Clusters,
    made: &BindingStart,
    pinned: &BTreeMap<ClusterName, String>,
) -> Result<Option<String>, String> {
    let (cluster, pinned) = access(clusters, made, pinned)?;
    let name = format!("{} in cluster {}", made.binding.full_name(), made.cluster);
    let identity = cluster.identity().await.map_err(|e| format!("cluster {}: {e}", made.cluster))?;
    if pinned.is_none_or(|uid| uid != identity.uid) {
        return Ok(Some("its cluster is not the cluster that the run started with".into()));
    }
    let there = cluster.bindings().await.map_err(|e| format!("cluster {}: {e}", made.cluster))?;
    let Some(found) = there.iter().find(|b| b.full_name() == made.binding.full_name()) else { return Ok(None) };
    if !same_group(found, &made.binding) {
        return Ok(Some("it binds another target group".into()));
    }
    if let Some(owner) = found.other_manager() {
        return Ok(Some(format!("it is also managed by {owner}")));
    }
    match cluster.delete(found).await {
        Ok(()) | Err(WriteError::NotFound(_)) => Err(format!("{name} is being deleted: its targets are deregistered")),
        Err(error) => Err(format!("{name}: {error}")),
    }
}

/// The cluster of a binding, and the UID that the journal has for it.
fn access<'a>(
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
