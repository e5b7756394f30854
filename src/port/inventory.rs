//! Lists load balancers, listeners and target groups, and names the caller, for preflight, `init`, `status` and the
//! emergency command.

use async_trait::async_trait;

use crate::domain::elb::balancer::{Listener, LiveRoute, LoadBalancer, TargetGroup};
use crate::domain::traffic::Unreadable;
use crate::plan::model::Selector;

/// How much to read of each resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// The fields of the list response, with the fewest calls. Attributes and tags may be missing.
    Listed,
    /// All fields, with tags and attributes.
    Full,
}

/// The target groups to read.
#[derive(Debug, Clone, Copy)]
pub enum Groups<'a> {
    /// The groups attached to the load balancer with this ARN. [`Unreadable::NotFound`] if the load balancer does not
    /// exist.
    Of(&'a str),
    /// The groups that a selector matches; an empty list if the selector matches none.
    Matching(&'a Selector),
}

/// Lists resources for preflight and `init`. A selector without tags matches every resource of the account and region.
/// A write to a route needs none of these reads.
#[async_trait]
pub trait Inventory: Send + Sync {
    /// Reads the account and the caller's ARN from STS.
    async fn caller(&self) -> Result<Caller, Unreadable>;
    /// Reads the load balancers that a selector matches. A selector by tags always reads tags.
    async fn load_balancers(&self, selector: &Selector, detail: Detail) -> Result<Vec<LoadBalancer>, Unreadable>;
    /// Reads the listeners of a load balancer, each with its default action first, then its rules by priority. An
    /// unreadable part of a listener is recorded in that listener ([`Listener::unread`], [`Listener::tags_unread`]) and
    /// does not affect the other listeners.
    async fn listeners(
        &self,
        load_balancer: &str,
        detail: Detail,
    ) -> Result<Vec<(Listener, Vec<LiveRoute>)>, Unreadable>;
    /// Reads target groups. A selector by tags always reads tags.
    async fn target_groups(&self, groups: Groups<'_>, detail: Detail) -> Result<Vec<TargetGroup>, Unreadable>;
    /// Reads a quota of the account by its name.
    async fn quota(&self, name: &str) -> Result<u32, Unreadable>;
}

/// The identity of the caller in AWS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The account id, twelve digits.
    pub account: String,
    /// The ARN of the user or assumed role.
    pub arn: String,
    /// When the credentials expire, if known.
    pub expires: Option<jiff::Timestamp>,
}
