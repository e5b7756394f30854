//! `status --load-balancer`: looks at a load balancer, read-only and without a plan.

use jiff::Timestamp;

use crate::adapter::Balancer;
use crate::domain::alb::Unreadable;
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
    let found = match balancer.load_balancers(selector).await {
        Err(Unreadable::NotFound(_)) => Vec::new(),
        other => other.map_err(unreadable("load balancer"))?,
    };
    let [load_balancer] = found.as_slice() else {
        return Err(LookError::NotOne { selector: name, found: found.into_iter().map(|lb| lb.name).collect() });
    };
    let (listeners, groups) = futures::join!(balancer.listeners(&load_balancer.arn), balancer.target_groups(Some(&load_balancer.arn)));
    let (listeners, groups) = (listeners.map_err(unreadable("listeners of"))?, groups.map_err(unreadable("target groups of"))?);
    let arns: Vec<String> = groups.iter().map(|g| g.arn.clone()).collect();
    let health = balancer.health(&arns).await;
    Ok(Live::new(now, load_balancer, &listeners, &groups, &health))
}
