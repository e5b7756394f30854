//! Reads two clusters, and the load balancers that the bindings of the old one use, for `init`. Changes nothing. The
//! rules that write the plan are in [`crate::domain::view::init::cluster`].

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;

use crate::domain::compare::facts::{ClusterFacts, KINDS};
use crate::domain::elb::balancer::{Listener, LiveRoute};
use crate::domain::elb::select::BalancerReadError;
use crate::domain::traffic::Unreadable;
use crate::domain::view::init::cluster::{ClusterInitFacts, ClusterInitRequest, access_name, write};
use crate::domain::view::init::{InitError, InitFacts, cluster};
use crate::engine::compare::unreachable;
use crate::plan::model::{ClusterAccess, Selector};
use crate::port::{Cluster, ClusterObjects, Detail, Groups, Inventory};

/// One cluster that `init` reads.
#[derive(Clone, Copy)]
pub struct InitCluster<'a> {
    /// Reads the bindings.
    pub cluster: &'a dyn Cluster,
    /// Reads the Services, and what must not run twice.
    pub objects: &'a dyn ClusterObjects,
}

/// Returns the YAML of a plan for all bindings of the cluster `from`.
///
/// # Errors
/// Returns an [`InitError`] if the bindings or the target groups cannot be read, or if nothing can move.
pub async fn init_cluster(
    request: &ClusterInitRequest,
    inventory: &dyn Inventory,
    from: InitCluster<'_>,
    to: InitCluster<'_>,
) -> Result<String, InitError> {
    let unreadable = |what: String| move |why| InitError::from(BalancerReadError::Unreadable { what, why });
    let bindings = |option: &str| unreadable(format!("bindings of the cluster given with --{option}"));
    let all = Selector::Tags(BTreeMap::new());
    let (from_bindings, to_bindings, groups, identities, from_objects, to_objects) = futures::join!(
        from.cluster.bindings(),
        to.cluster.bindings(),
        inventory.target_groups(Groups::Matching(&all), Detail::Listed),
        identities(from, to),
        objects(from.objects, &request.from_cluster),
        objects(to.objects, &request.to_cluster),
    );
    let mut facts = ClusterInitFacts {
        is_one_cluster: matches!(identities, (Some(a), Some(b)) if a == b),
        from_bindings: from_bindings.map_err(bindings("from-cluster"))?,
        to_bindings: to_bindings.map_err(bindings("to-cluster"))?,
        groups: groups.map_err(unreadable("the account's target groups".to_owned()))?,
        balancers: Vec::new(),
        unread: Vec::new(),
        from_objects,
        to_objects,
    };
    facts.groups.sort_by(|a, b| (&a.name, &a.arn).cmp(&(&b.name, &b.arn)));
    read_balancers(inventory, &mut facts).await.map_err(unreadable("the account's load balancers".to_owned()))?;
    write(request, &facts)
}

/// Reads the load balancers of the bound groups. A load balancer whose listeners cannot be read is recorded.
async fn read_balancers(inventory: &dyn Inventory, facts: &mut ClusterInitFacts) -> Result<(), Unreadable> {
    let bound = facts.groups.iter().filter(|group| facts.from_bindings.iter().any(|binding| binding.binds(group)));
    let arns: BTreeSet<String> = bound.flat_map(|group| group.load_balancers.clone()).collect();
    if arns.is_empty() {
        return Ok(());
    }
    let mut found = inventory.load_balancers(&Selector::Tags(BTreeMap::new()), Detail::Listed).await?;
    found.retain(|balancer| arns.contains(&balancer.arn));
    found.sort_by(|a, b| (&a.name, &a.arn).cmp(&(&b.name, &b.arn)));
    let listeners = found.iter().map(|balancer| inventory.listeners(&balancer.arn, Detail::Listed));
    let listeners = join_all(listeners).await;
    for (load_balancer, listeners) in found.into_iter().zip(listeners) {
        match listeners.and_then(only_unrepresentable) {
            Ok(listeners) => facts.balancers.push(InitFacts {
                load_balancer,
                listeners,
                groups: Vec::new(),
                from_bindings: Vec::new(),
                to_bindings: Vec::new(),
            }),
            Err(why) => facts.unread.push((load_balancer.arn, why)),
        }
    }
    Ok(())
}

/// Returns an error if a route is unread for another reason than an element that this build does not know. Such a route
/// is left out of the plan.
fn only_unrepresentable(
    listeners: Vec<(Listener, Vec<LiveRoute>)>,
) -> Result<Vec<(Listener, Vec<LiveRoute>)>, Unreadable> {
    let mut unread = listeners.iter().flat_map(|(listener, _)| &listener.unread);
    match unread.find(|unread| !matches!(unread.why, Unreadable::Unrepresentable(_))) {
        Some(unread) => Err(unread.why.clone()),
        None => Ok(listeners),
    }
}

async fn identities(from: InitCluster<'_>, to: InitCluster<'_>) -> (Option<String>, Option<String>) {
    let (from, to) = futures::join!(from.cluster.identity(), to.cluster.identity());
    (from.ok().map(|identity| identity.uid), to.ok().map(|identity| identity.uid))
}

/// Reads the objects that a proposal needs, each kind with one list of the whole cluster.
async fn objects(reader: &dyn ClusterObjects, access: &ClusterAccess) -> ClusterFacts {
    let name = access_name(access).to_owned();
    let mut facts = unreachable(&name, &Unreadable::Setup("it was not read".to_owned()));
    facts.objects.clear();
    let wanted = KINDS.iter().filter(|api| cluster::KINDS.contains(&api.kind));
    let lists = wanted.map(|api| async move {
        match reader.objects(api, None).await {
            Err(Unreadable::NotFound(_)) if api.optional => (api.kind, Ok(Vec::new())),
            found => (api.kind, found),
        }
    });
    facts.objects.extend(join_all(lists).await);
    facts
}
