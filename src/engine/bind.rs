//! Creates the TargetGroupBindings of a plan, and deletes the TargetGroupBindings that this tool created. An existing
//! TargetGroupBinding is only compared and never changed.

use std::collections::BTreeMap;

use crate::base::arn::short;
use crate::domain::run::event::{BindResult, BindingStart};
use crate::plan::model::ClusterName;
use crate::port::{Cluster, WriteError};

use super::binding_list::{BindingLists, same_group};

/// Creates a TargetGroupBinding, or compares the existing TargetGroupBinding with the plan. An error says why the step
/// waits.
///
/// `pinned` has the UIDs of the clusters in the journal. A cluster with another UID is never written to.
pub async fn bind(
    lists: &mut BindingLists<'_>,
    wanted: &BindingStart,
    pinned: &BTreeMap<ClusterName, String>,
) -> Result<BindResult, String> {
    let (cluster, pinned) = cluster_and_uid(lists, wanted, pinned)?;
    let name = wanted.binding.full_name();
    let list = lists.of(&wanted.cluster).await?;
    if let Some(found) = list.of_group(&wanted.binding) {
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
            "cluster {} has no TargetGroupBinding for target group {} yet; the owner of the bindings must create it",
            wanted.cluster,
            short(&wanted.binding.target_group_arn)
        ));
    }
    let uid = lists.uid(&wanted.cluster).await?;
    if pinned.is_some_and(|pinned| pinned != uid) {
        return Err(format!(
            "cluster {} is not the cluster that the run started with: its kube-system namespace has UID {uid}",
            wanted.cluster
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
    lists: &mut BindingLists<'_>,
    created: &BindingStart,
    pinned: &BTreeMap<ClusterName, String>,
) -> Result<Option<String>, String> {
    let (cluster, pinned) = cluster_and_uid(lists, created, pinned)?;
    let name = format!("{} in cluster {}", created.binding.full_name(), created.cluster);
    let uid = lists.uid(&created.cluster).await?;
    if pinned.is_none_or(|pinned| pinned != uid) {
        return Ok(Some("the cluster is not the cluster that the run started with".into()));
    }
    let list = lists.of(&created.cluster).await?;
    let Some(found) = list.named(&created.binding.full_name()) else { return Ok(None) };
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
    lists: &BindingLists<'a>,
    binding: &BindingStart,
    pinned: &'a BTreeMap<ClusterName, String>,
) -> Result<(&'a dyn Cluster, Option<&'a str>), String> {
    let name = &binding.cluster;
    let cluster = lists.cluster(name).ok_or_else(|| format!("the plan gives no access to cluster {name}"))?;
    Ok((cluster, pinned.get(name).map(String::as_str)))
}
