//! Looking at a load balancer without a plan, read-only: for `status --load-balancer`, and for a rollback that has no journal.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::domain::elb::balancer::{Listener, LiveRoute, LoadBalancer, Tags, Target, TargetGroup};
use crate::domain::elb::select::spelled;
use crate::domain::emergency::whole::{self, Whole};
use crate::domain::emergency::{Seen, weights};
use crate::domain::traffic::Unreadable;
use crate::domain::view::live::Live;
use crate::plan::model::Selector;
use crate::port::{Balancer, Clock, Detail, Groups, Inventory};

/// Why a load balancer cannot be shown.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum LookError {
    /// The selector is not exactly one.
    #[error("`{selector}` names {}", match found.as_slice() {
        [] => "no load balancer of this account in this region".to_owned(),
        found => format!("{} load balancers, and must name one: {}", found.len(), found.join(", ")),
    })]
    NotOne {
        /// As asked for.
        selector: String,
        /// Names of those found.
        found: Vec<String>,
    },
    /// Something could not be read.
    #[error("{what} cannot be read: {why}")]
    Unreadable {
        /// What.
        what: String,
        /// Why.
        why: Unreadable,
    },
}

/// The one load balancer that a selector names.
///
/// # Errors
/// [`LookError`].
pub async fn one(selector: &Selector, inventory: &dyn Inventory) -> Result<LoadBalancer, LookError> {
    only(selector, inventory.load_balancers(selector, Detail::Whole).await)
}

fn only(selector: &Selector, found: Result<Vec<LoadBalancer>, Unreadable>) -> Result<LoadBalancer, LookError> {
    let name = spelled(selector);
    let mut found = match found {
        Err(Unreadable::NotFound(_)) => Vec::new(),
        other => other.map_err(|why| LookError::Unreadable { what: format!("load balancer {name}"), why })?,
    };
    match (found.pop(), found.is_empty()) {
        (Some(one), true) => Ok(one),
        (last, _) => Err(LookError::NotOne { selector: name, found: found.into_iter().chain(last).map(|lb| lb.name).collect() }),
    }
}

/// All of a load balancer that a rollback without a journal needs. Groups that cannot be read are none: what is written does not depend on them.
///
/// # Errors
/// [`LookError`].
pub async fn read(load_balancer: LoadBalancer, balancer: &Balancer, clock: &dyn Clock) -> Result<Seen, LookError> {
    let at = clock.now();
    let groups = async {
        let groups = balancer.inventory.target_groups(Groups::Of(&load_balancer.arn), Detail::Whole).await.unwrap_or_else(|why| {
            tracing::warn!("target groups of {} cannot be read: {why}", load_balancer.name);
            Vec::new()
        });
        let health = balancer.traffic.health(&groups.iter().map(|g| g.arn.clone()).collect::<Vec<_>>()).await;
        (groups, health)
    };
    let (listeners, (groups, health)) = futures::join!(balancer.inventory.listeners(&load_balancer.arn, Detail::Whole), groups);
    let listeners = listeners.map_err(|why| LookError::Unreadable { what: format!("listeners of {}", load_balancer.name), why })?;
    Ok(Seen { at, load_balancer, listeners, groups, health })
}

/// What is read of a load balancer for a rollback, beside itself.
struct Around {
    tags: Tags,
    listeners: Vec<(Listener, Vec<LiveRoute>)>,
    groups: Vec<TargetGroup>,
    health: BTreeMap<String, Result<Vec<Target>, Unreadable>>,
    whole: Option<Whole>,
}

/// The same in as few rounds as can be, for whoever waits for it while traffic is lost: the load balancer; its listeners, tags and groups;
/// rules and health. Where `tags` are wanted and the load balancer's own do not speak for the routes, theirs are a round more.
///
/// # Errors
/// [`LookError`].
pub async fn read_fast(selector: &Selector, balancer: &Balancer, clock: &dyn Clock, tags: bool) -> Result<Seen, LookError> {
    let at = clock.now();
    let listed = async || only(selector, balancer.inventory.load_balancers(selector, Detail::Listed).await);
    let (load_balancer, parts) = if let Selector::Arn(arn) = selector {
        futures::join!(listed(), parts(arn, balancer, tags))
    } else {
        let load_balancer = listed().await?;
        let parts = parts(&load_balancer.arn, balancer, tags).await;
        (Ok(load_balancer), parts)
    };
    let (mut load_balancer, mut parts) = (load_balancer?, parts?);
    load_balancer.tags = std::mem::take(&mut parts.tags);
    let spoken = parts.whole.take().is_some_and(|whole| whole.spread(&mut parts.listeners));
    if tags && !spoken {
        own_tags(&mut parts, balancer).await;
    }
    let Around { listeners, groups, health, .. } = parts;
    Ok(Seen { at, load_balancer, listeners, groups, health })
}

async fn parts(arn: &String, balancer: &Balancer, wants_tags: bool) -> Result<Around, LookError> {
    let unreadable = |what: &str| {
        let what = format!("{what} of {arn}");
        move |why| LookError::Unreadable { what, why }
    };
    let beside = async {
        let (tags, groups) = futures::join!(
            balancer.marks.tags(std::slice::from_ref(arn)),
            balancer.inventory.target_groups(Groups::Of(arn), Detail::Listed)
        );
        let groups = groups.unwrap_or_else(|why| {
            tracing::warn!("target groups of {arn} cannot be read: {why}");
            Vec::new()
        });
        let tags = tags.map(|mut all| all.remove(arn).unwrap_or_default());
        let whole = tags.as_ref().ok().and_then(spoken_for).filter(|_| wants_tags);
        let asked = groups.iter().map(|g| &g.arn).filter(|arn| whole.as_ref().is_none_or(|w| w.manages(arn))).cloned();
        let health = balancer.traffic.health(&asked.collect::<Vec<_>>()).await;
        (tags, groups, health, whole)
    };
    let (listeners, (tags, groups, health, whole)) = futures::join!(balancer.inventory.listeners(arn, Detail::Listed), beside);
    let (listeners, tags) = (listeners.map_err(unreadable("listeners"))?, tags.map_err(unreadable("tags"))?);
    Ok(Around { tags, listeners, groups, health, whole })
}

/// What a load balancer's tag says of its routes, where the run that left it is the one that its marker names: one without a marker may be old.
fn spoken_for(tags: &Tags) -> Option<Whole> {
    let whole = whole::read(tags.get(weights::KEY)?)?;
    let marker = tags.get(super::marker::KEY)?.split(' ').next();
    (marker == Some(whole.kept.run.as_str())).then_some(whole)
}

/// The tags of the routes that forward somewhere, and the health that was not asked for yet. Tags that cannot be read tell nothing.
async fn own_tags(parts: &mut Around, balancer: &Balancer) {
    let routes = parts.listeners.iter().flat_map(|(_, routes)| routes);
    let ids: Vec<_> = routes.filter(|r| r.forward().is_some()).map(|r| r.id.clone()).collect();
    let rest: Vec<_> = parts.groups.iter().map(|g| g.arn.clone()).filter(|arn| !parts.health.contains_key(arn)).collect();
    let (tags, health) = futures::join!(balancer.marks.tags(&ids), balancer.traffic.health(&rest));
    parts.health.extend(health);
    let mut tags = tags.unwrap_or_else(|why| {
        tracing::warn!("the tags of the routes cannot be read: {why}");
        BTreeMap::new()
    });
    for route in parts.listeners.iter_mut().flat_map(|(_, routes)| routes) {
        route.tags = tags.remove(&route.id).unwrap_or_default();
    }
}

/// A load balancer as it is at `now`. Groups whose health cannot be read say so; everything else must be readable.
///
/// # Errors
/// [`LookError`].
pub async fn look(selector: &Selector, balancer: &Balancer, now: Timestamp) -> Result<Live, LookError> {
    let name = spelled(selector);
    let unreadable = |what: &str| {
        let what = format!("{what} {name}");
        move |why| LookError::Unreadable { what, why }
    };
    let load_balancer = &one(selector, &*balancer.inventory).await?;
    let (listeners, groups) = futures::join!(
        balancer.inventory.listeners(&load_balancer.arn, Detail::Whole),
        balancer.inventory.target_groups(Groups::Of(&load_balancer.arn), Detail::Whole)
    );
    let (listeners, groups) = (listeners.map_err(unreadable("listeners of"))?, groups.map_err(unreadable("target groups of"))?);
    let arns: Vec<String> = groups.iter().map(|g| g.arn.clone()).collect();
    let health = balancer.traffic.health(&arns).await;
    Ok(Live::new(now, load_balancer, &listeners, &groups, &health))
}
