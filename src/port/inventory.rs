//! What preflight, `init`, `status` and the emergency look at: which load balancers, listeners and groups there are, and who asks.

use async_trait::async_trait;

use crate::domain::elb::balancer::{Listener, LiveRoute, LoadBalancer, TargetGroup};
use crate::domain::traffic::Unreadable;
use crate::plan::model::Selector;

/// How much of each thing is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// As it is listed: attributes and tags may be missing. The fewest calls.
    Listed,
    /// With tags and attributes.
    Whole,
}

/// Which target groups to read.
#[derive(Debug, Clone, Copy)]
pub enum Groups<'a> {
    /// Those attached to the load balancer with this ARN. One that does not exist is [`Unreadable::NotFound`].
    Of(&'a str),
    /// Those that a selector matches; none is an empty list.
    Matching(&'a Selector),
}

/// Lists what there is; a selector of no tags matches all of the account and region. Nothing here is needed to write a route.
#[async_trait]
pub trait Inventory: Send + Sync {
    /// The account and the caller's ARN, as STS names them.
    async fn caller(&self) -> Result<Caller, Unreadable>;
    /// The load balancers that a selector matches. Tags are always read where the selector is of tags.
    async fn load_balancers(&self, selector: &Selector, detail: Detail) -> Result<Vec<LoadBalancer>, Unreadable>;
    /// The listeners of a load balancer, each with its default action first and then its rules by priority. What cannot be read
    /// of one is told there ([`Listener::unread`], [`Listener::tags_unread`]) and holds up none of the others.
    async fn listeners(
        &self,
        load_balancer: &str,
        detail: Detail,
    ) -> Result<Vec<(Listener, Vec<LiveRoute>)>, Unreadable>;
    /// Target groups. Tags are always read where they are selected by tags.
    async fn target_groups(&self, groups: Groups<'_>, detail: Detail) -> Result<Vec<TargetGroup>, Unreadable>;
}

/// Who we are to AWS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Twelve digits.
    pub account: String,
    /// ARN of the user or assumed role.
    pub arn: String,
    /// When the credentials end, where they say so.
    pub expires: Option<jiff::Timestamp>,
}
