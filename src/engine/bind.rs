//! Creates the TargetGroupBindings of a plan, and deletes the ones that this tool created. An existing binding is only
//! compared; it is never changed.

use crate::base::arn::short;
use crate::domain::kubernetes::binding::Binding;
use crate::domain::run::event::{BindResult, BindingStart};
use crate::port::{Cluster, WriteError};

/// Creates a binding if it does not exist, or compares it with the existing one. An error says why the step waits.
///
/// `pinned`: the UID that the journal has for this cluster. A cluster with another UID is never written to.
pub async fn bind(cluster: &dyn Cluster, wanted: &BindingStart, pinned: Option<&str>) -> Result<BindResult, String> {
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
        Ok(()) => Ok(BindResult::Applied),
        Err(WriteError::Unanswered(why)) => Err(format!("{name} in cluster {}: no answer ({why})", wanted.cluster)),
        Err(error) => Err(format!("{name} in cluster {}: {error}", wanted.cluster)),
    }
}

/// Deletes a binding that this tool created. Returns `None` when it is gone, or the reason why it is kept. An error
/// says why the result is not known yet.
pub async fn unbind(
    cluster: &dyn Cluster,
    made: &BindingStart,
    pinned: Option<&str>,
) -> Result<Option<String>, String> {
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

fn same_group(found: &Binding, wanted: &Binding) -> bool {
    let named = found.extra.get("targetGroupName").and_then(|v| v.as_str());
    found.target_group_arn == wanted.target_group_arn
        || (found.target_group_arn.is_empty() && named == Some(short(&wanted.target_group_arn)))
}
