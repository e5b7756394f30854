//! The seams to the world: narrow traits in domain types. What stands behind them is in [`adapter`](crate::adapter) and [`lab`](crate::lab).

pub mod store;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;

use crate::domain::elb::action::Action;
use crate::domain::elb::balancer::{Listener, LiveRoute, LoadBalancer, Tags, Target, TargetGroup};
use crate::domain::kubernetes::binding::Binding;
use crate::domain::kubernetes::workload::{Identity, WorkloadView};
use crate::domain::metric::gate::{Question, Seen};
use crate::domain::run::hook::Errand;
use crate::domain::traffic::{RouteId, Unreadable};
use crate::plan::model::{Selector, ServiceRef};

/// A load balancer's API: observe and set. A read that is throttled may be tried again behind it; a write is sent once. Nothing here decides.
#[async_trait]
pub trait Balancer: Send + Sync {
    /// The account and the caller's ARN, as STS names them.
    async fn caller(&self) -> Result<Caller, Unreadable>;
    /// The load balancers that a selector matches, with attributes and tags.
    async fn load_balancers(&self, selector: &Selector) -> Result<Vec<LoadBalancer>, Unreadable>;
    /// The load balancers of the region that have a tag with this key, with their tags; attributes may be missing.
    async fn marked(&self, key: &str) -> Result<Vec<LoadBalancer>, Unreadable> {
        let mut all = self.load_balancers(&Selector::Tags(BTreeMap::new())).await?;
        all.retain(|lb| lb.tags.contains_key(key));
        Ok(all)
    }
    /// The listeners of a load balancer, each with its default action first and then its rules by priority, all tags read. What cannot be read
    /// of one is told there ([`Listener::unread`], [`Listener::tags_unread`]) and holds up none of the others.
    async fn listeners(&self, load_balancer: &str) -> Result<Vec<(Listener, Vec<LiveRoute>)>, Unreadable>;
    /// These routes as they are now, a result each; one that fails does not hold up the others. Tags are left empty, and the
    /// port of a rule is 0 where its listener was not seen before.
    async fn routes(&self, ids: &[RouteId]) -> BTreeMap<RouteId, Result<LiveRoute, Unreadable>>;
    /// Target groups of a load balancer with attributes and tags, or with `None` all of the account and region (without attributes).
    async fn target_groups(&self, load_balancer: Option<&str>) -> Result<Vec<TargetGroup>, Unreadable>;
    /// The target groups that a selector matches, with attributes and tags.
    async fn find_target_groups(&self, selector: &Selector) -> Result<Vec<TargetGroup>, Unreadable>;
    /// Targets and their health, a result for each group.
    async fn health(&self, groups: &[String]) -> BTreeMap<String, Result<Vec<Target>, Unreadable>>;
    /// Replaces a route's actions, and nothing else of it: ModifyListener for a listener's ARN, ModifyRule for a rule's. No retries.
    async fn set(&self, id: &RouteId, actions: &[Action], deadline: Duration) -> Result<(), WriteError>;
    /// The tags of one resource.
    async fn tags(&self, arn: &str) -> Result<Tags, Unreadable>;
    /// Adds or replaces tags of one resource.
    async fn tag(&self, arn: &str, tags: &Tags) -> Result<(), WriteError>;
    /// Removes tags by key.
    async fn untag(&self, arn: &str, keys: &[String]) -> Result<(), WriteError>;

    /// The load balancers that a selector matches, as they are listed: attributes and tags may be missing. For whoever is in a hurry.
    async fn listed(&self, selector: &Selector) -> Result<Vec<LoadBalancer>, Unreadable> {
        self.load_balancers(selector).await
    }

    /// The same as [`Balancer::listeners`]; tags may be missing.
    async fn untagged_listeners(&self, load_balancer: &str) -> Result<Vec<(Listener, Vec<LiveRoute>)>, Unreadable> {
        self.listeners(load_balancer).await
    }

    /// The target groups of a load balancer, as they are listed: attributes and tags may be missing.
    async fn listed_groups(&self, load_balancer: &str) -> Result<Vec<TargetGroup>, Unreadable> {
        self.target_groups(Some(load_balancer)).await
    }

    /// The tags of many resources, by ARN.
    async fn tags_of(&self, arns: &[String]) -> Result<BTreeMap<String, Tags>, Unreadable> {
        let mut all = BTreeMap::new();
        for arn in arns {
            all.insert(arn.clone(), self.tags(arn).await?);
        }
        Ok(all)
    }

    /// Adds or replaces tags of up to 20 resources at once; after an error any of them may have them.
    async fn tag_all(&self, arns: &[String], tags: &Tags) -> Result<(), WriteError> {
        for arn in arns {
            self.tag(arn, tags).await?;
        }
        Ok(())
    }

    /// Removes tags by key of up to 20 resources at once; after an error any of them may still have them.
    async fn untag_all(&self, arns: &[String], keys: &[String]) -> Result<(), WriteError> {
        for arn in arns {
            self.untag(arn, keys).await?;
        }
        Ok(())
    }
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

/// Why a write did not happen, or may not have.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum WriteError {
    /// Answered: not now. Nothing was changed.
    #[error("throttled")]
    Throttled,
    /// Answered: no. Nothing was changed.
    #[error("{0}")]
    Refused(String),
    /// Never sent: no connection. Nothing was changed.
    #[error("not sent: {0}")]
    NotSent(String),
    /// Answered: no such thing. Nothing was changed.
    #[error("not found: {0}")]
    NotFound(String),
    /// Answered or found before sending: credentials missing or expired. Nothing was changed.
    #[error("credentials: {0}")]
    Credentials(String),
    /// Sent, and no answer, or one that does not tell: it may yet be applied, until the deadline.
    #[error("no answer: {0}")]
    Unknown(String),
}

/// One Kubernetes cluster.
#[async_trait]
pub trait Cluster: Send + Sync {
    /// Who it is.
    async fn identity(&self) -> Result<Identity, Unreadable>;
    /// What some workloads have there, in their order. What belongs to a whole namespace is asked for once.
    async fn workloads(&self, services: &[&ServiceRef]) -> Vec<Result<WorkloadView, Unreadable>>;
    /// What a workload has there.
    async fn workload(&self, service: &ServiceRef) -> Result<WorkloadView, Unreadable> {
        let only = self.workloads(&[service]).await.pop();
        only.unwrap_or_else(|| Err(Unreadable::Unavailable("no answer about a workload".to_owned())))
    }
    /// Every binding of the cluster, in all namespaces.
    async fn bindings(&self) -> Result<Vec<Binding>, Unreadable>;
    /// Server-side apply without force, under our own field manager; `dry_run` runs the webhooks and changes nothing.
    async fn apply(&self, binding: &Binding, dry_run: bool) -> Result<(), WriteError>;
    /// Deletes a binding that was just read, if it is still as it was. It is there until its controller has deregistered its targets.
    async fn delete(&self, found: &Binding) -> Result<(), WriteError> {
        Err(WriteError::Refused(format!("{} cannot be deleted from here", found.full_name())))
    }
}

/// Where the numbers of metric gates come from. Nothing here judges: what cannot be told is an answer, too.
#[async_trait]
pub trait Metrics: Send + Sync {
    /// What is seen of each question, in their order.
    async fn ask(&self, questions: &[Question]) -> Vec<Seen>;
}

/// What is done outside for a run: commands and requests. Nothing here decides, and nothing is tried twice.
#[async_trait]
pub trait Hooks: Send + Sync {
    /// Does it; what it said, or why it did not go well. Dropped in its middle, it is ended.
    async fn call(&self, errand: &Errand) -> Result<String, String>;
}

/// Wall and monotonic time.
#[async_trait]
pub trait Clock: Send + Sync {
    /// The wall clock; a lab's runs faster.
    fn now(&self) -> jiff::Timestamp;
    /// Waits for this long on that clock.
    async fn sleep(&self, duration: Duration);
    /// How long a real duration, such as an HTTP deadline's, is on that clock.
    fn of_real(&self, real: Duration) -> Duration {
        real
    }
}
