//! Reads a load balancer and the TargetGroupBindings of two clusters for `init`. Changes nothing. The rules that write
//! the plan are in [`crate::domain::view::init`].

use std::collections::BTreeMap;

use crate::domain::elb::select::{BalancerReadError, exactly_one_match};
use crate::domain::kubernetes::binding::Binding;
use crate::domain::traffic::Unreadable;
use crate::domain::view::init::{InitError, InitFacts, InitRequest, write};
use crate::plan::model::Selector;
use crate::port::{Cluster, Detail, Groups, Inventory};

/// Returns the YAML of a plan for the live load balancer. `from` and `to` are the clusters that the request names, if
/// any.
///
/// # Errors
/// Returns an [`InitError`] that says what was found if the request does not match the live resources.
pub async fn init(
    request: &InitRequest,
    inventory: &dyn Inventory,
    from: Option<&dyn Cluster>,
    to: Option<&dyn Cluster>,
) -> Result<String, InitError> {
    let unreadable = |what: &str| {
        let what = what.to_owned();
        move |why| BalancerReadError::Unreadable { what, why }
    };
    let found = inventory.load_balancers(&request.load_balancer, Detail::Full).await;
    let load_balancer = exactly_one_match(&request.load_balancer, found)?;
    let all = Selector::Tags(BTreeMap::new());
    let (listeners, attached, known, from_bindings, to_bindings) = futures::join!(
        inventory.listeners(&load_balancer.arn, Detail::Full),
        inventory.target_groups(Groups::Of(&load_balancer.arn), Detail::Full),
        inventory.target_groups(Groups::Matching(&all), Detail::Listed),
        bindings(from, "from-cluster"),
        bindings(to, "to-cluster"),
    );
    let mut groups = attached.map_err(unreadable("the load balancer's target groups"))?;
    let free =
        known.map_err(unreadable("the account's target groups"))?.into_iter().filter(|g| g.load_balancers.is_empty());
    groups.extend(free);
    let listeners = listeners.map_err(unreadable("the load balancer's listeners"))?;
    // A route with an element that this build does not support is left out, and the plan says so.
    let unread = || listeners.iter().flat_map(|(l, _)| &l.unread);
    if let Some(unread) = unread().find(|u| !matches!(u.why, Unreadable::Unrepresentable(_))) {
        let what = format!("the action {}", unread.label);
        return Err(BalancerReadError::Unreadable { what, why: unread.why.clone() }.into());
    }
    let facts =
        InitFacts { load_balancer, listeners, groups, from_bindings: from_bindings?, to_bindings: to_bindings? };
    write(request, &facts)
}

async fn bindings(cluster: Option<&dyn Cluster>, option: &str) -> Result<Vec<Binding>, InitError> {
    match cluster {
        None => Ok(Vec::new()),
        Some(cluster) => cluster.bindings().await.map_err(|why| {
            BalancerReadError::Unreadable { what: format!("bindings of the cluster given with --{option}"), why }.into()
        }),
    }
}
