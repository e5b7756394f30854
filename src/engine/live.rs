//! `status --load-balancer`: looks at a load balancer, read-only and without a plan.

use jiff::Timestamp;

use crate::adapter::{Balancer, Clock};
use crate::domain::alb::{LoadBalancer, Unreadable};
use crate::domain::emergency::Seen;
use crate::domain::live::Live;
use crate::domain::select::spelled;
use crate::plan::model::Selector;

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
pub async fn one(selector: &Selector, balancer: &dyn Balancer) -> Result<LoadBalancer, LookError> {
    let name = spelled(selector);
    let mut found = match balancer.load_balancers(selector).await {
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
pub async fn read(load_balancer: LoadBalancer, balancer: &dyn Balancer, clock: &dyn Clock) -> Result<Seen, LookError> {
    let at = clock.now();
    let groups = async {
        let groups = balancer.target_groups(Some(&load_balancer.arn)).await.unwrap_or_else(|why| {
            tracing::warn!("target groups of {} cannot be read: {why}", load_balancer.name);
            Vec::new()
        });
        let health = balancer.health(&groups.iter().map(|g| g.arn.clone()).collect::<Vec<_>>()).await;
        (groups, health)
    };
    let (listeners, (groups, health)) = futures::join!(balancer.listeners(&load_balancer.arn), groups);
    let listeners = listeners.map_err(|why| LookError::Unreadable { what: format!("listeners of {}", load_balancer.name), why })?;
    Ok(Seen { at, load_balancer, listeners, groups, health })
}

/// A load balancer as it is at `now`. Groups whose health cannot be read say so; everything else must be readable.
///
/// # Errors
/// [`LookError`].
pub async fn look(selector: &Selector, balancer: &dyn Balancer, now: Timestamp) -> Result<Live, LookError> {
    let name = spelled(selector);
    let unreadable = |what: &str| {
        let what = format!("{what} {name}");
        move |why| LookError::Unreadable { what, why }
    };
    let load_balancer = &one(selector, balancer).await?;
    let (listeners, groups) = futures::join!(balancer.listeners(&load_balancer.arn), balancer.target_groups(Some(&load_balancer.arn)));
    let (listeners, groups) = (listeners.map_err(unreadable("listeners of"))?, groups.map_err(unreadable("target groups of"))?);
    let arns: Vec<String> = groups.iter().map(|g| g.arn.clone()).collect();
    let health = balancer.health(&arns).await;
    Ok(Live::new(now, load_balancer, &listeners, &groups, &health))
}
