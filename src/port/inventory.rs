//! Lists load balancers, listeners and target groups, and names the caller, for preflight, `init`, `status` and the
//! emergency command.

use async_trait::async_trait;

use crate::domain::elb::balancer::{Listener, LiveRoute, LoadBalancer, TargetGroup};
use crate::domain::traffic::Unreadable;
use crate::plan::model::Selector;

/// How much of each resource is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// As listed, with the fewest calls: attributes and tags may be missing.
    Listed,
    /// With tags and attributes.
    Full,
}

/// Which target groups to read.
#[derive(Debug, Clone, Copy)]
pub enum Groups<'a> {
    /// Groups attached to the load balancer with this ARN. [`Unreadable::NotFound`] if the load balancer does not
    /// exist.
    Of(&'a str),
    /// Groups that a selector matches; an empty list if there is none.
    Matching(&'a Selector),
}

/// Lists resources. A selector without tags matches all of the account and region. Writing a route needs none of this.
#[async_trait]
pub trait Inventory: Send + Sync {
    /// The account and the caller's ARN, as STS names them.
    async fn caller(&self) -> Result<Caller, Unreadable>;
    /// The load balancers that a selector matches. A selector by tags always reads tags.
    async fn load_balancers(&self, selector: &Selector, detail: Detail) -> Result<Vec<LoadBalancer>, Unreadable>;
    /// The listeners of a load balancer, each with its default action first and then its rules by priority. What cannot
    /// be read of a listener is recorded in it ([`Listener::unread`], [`Listener::tags_unread`]) and does not affect
    /// the others.
    async fn listeners(
        &self,
        load_balancer: &str,
        detail: Detail,
    ) -> Result<Vec<(Listener, Vec<LiveRoute>)>, Unreadable>;
    /// Target groups. A selector by tags always reads tags.
    async fn target_groups(&self, groups: Groups<'_>, detail: Detail) -> Result<Vec<TargetGroup>, Unreadable>;
}

/// The identity of the caller in AWS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Twelve digits.
    pub account: String,
    /// ARN of the user or assumed role.
    pub arn: String,
    /// When the credentials expire, if known.
    pub expires: Option<jiff::Timestamp>,
}
