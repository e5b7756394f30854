//! A balancer whose reads try again: for whoever looks once and not in a loop (`check`, `init`, the start of a run). The engine does not
//! need it: it looks again anyway, and freezes when it cannot.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::domain::elb::action::Action;
use crate::domain::elb::balancer::{Listener, LiveRoute, LoadBalancer, Tags, Target, TargetGroup};
use crate::domain::traffic::{RouteId, Unreadable};
use crate::plan::model::Selector;
use crate::port::{Balancer, Caller, Clock, WriteError};

/// Pauses between tries, about eight seconds in all.
const PAUSES: [Duration; 4] = [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];

/// See the module.
pub struct Patient {
    inner: Arc<dyn Balancer>,
    clock: Arc<dyn Clock>,
}

impl Patient {
    /// Over a balancer; waits on this clock.
    pub fn new(inner: Arc<dyn Balancer>, clock: Arc<dyn Clock>) -> Self {
        Self { inner, clock }
    }
}

/// A read, tried again while that may help.
macro_rules! again {
    ($self:ident, $call:expr) => {{
        for pause in PAUSES {
            match $call.await {
                Err(why) if passes(&why) => $self.clock.sleep(pause).await,
                other => return other,
            }
        }
        $call.await
    }};
}

/// A read of many things, those of them tried again that may help.
macro_rules! each {
    ($self:ident, $keys:ident, $call:expr) => {{
        let call = $call;
        let mut all = call($keys.to_vec()).await;
        for pause in PAUSES {
            let again: Vec<_> = all.iter().filter(|(_, v)| v.as_ref().is_err_and(passes)).map(|(k, _)| k.clone()).collect();
            if again.is_empty() {
                break;
            }
            $self.clock.sleep(pause).await;
            all.extend(call(again).await);
        }
        all
    }};
}

/// Listeners with their routes, tried again while a part of them may come.
macro_rules! whole {
    ($self:ident, $call:expr) => {{
        let mut read = $call.await;
        for pause in PAUSES {
            let again = read.as_ref().map_or_else(passes, |all| all.iter().any(|(listener, _)| partial(listener)));
            if !again {
                break;
            }
            $self.clock.sleep(pause).await;
            let next = $call.await;
            // A part is more than nothing.
            if next.is_ok() || read.is_err() {
                read = next;
            }
        }
        read
    }};
}

/// Whether trying again may help.
fn passes(why: &Unreadable) -> bool {
    matches!(why, Unreadable::Throttled | Unreadable::Unavailable(_))
}

/// Whether something of a listener was not read that another try may read.
fn partial(listener: &Listener) -> bool {
    listener.unread.iter().map(|u| &u.why).chain(&listener.tags_unread).any(passes)
}

#[async_trait]
impl Balancer for Patient {
    async fn caller(&self) -> Result<Caller, Unreadable> {
        again!(self, self.inner.caller())
    }

    async fn load_balancers(&self, selector: &Selector) -> Result<Vec<LoadBalancer>, Unreadable> {
        again!(self, self.inner.load_balancers(selector))
    }

    async fn marked(&self, key: &str) -> Result<Vec<LoadBalancer>, Unreadable> {
        again!(self, self.inner.marked(key))
    }

    async fn listeners(&self, load_balancer: &str) -> Result<Vec<(Listener, Vec<LiveRoute>)>, Unreadable> {
        whole!(self, self.inner.listeners(load_balancer))
    }

    async fn listed(&self, selector: &Selector) -> Result<Vec<LoadBalancer>, Unreadable> {
        again!(self, self.inner.listed(selector))
    }

    async fn untagged_listeners(&self, load_balancer: &str) -> Result<Vec<(Listener, Vec<LiveRoute>)>, Unreadable> {
        whole!(self, self.inner.untagged_listeners(load_balancer))
    }

    async fn listed_groups(&self, load_balancer: &str) -> Result<Vec<TargetGroup>, Unreadable> {
        again!(self, self.inner.listed_groups(load_balancer))
    }

    async fn tags_of(&self, arns: &[String]) -> Result<BTreeMap<String, Tags>, Unreadable> {
        again!(self, self.inner.tags_of(arns))
    }

    async fn routes(&self, ids: &[RouteId]) -> BTreeMap<RouteId, Result<LiveRoute, Unreadable>> {
        each!(self, ids, async |keys: Vec<String>| self.inner.routes(&keys).await)
    }

    async fn target_groups(&self, load_balancer: Option<&str>) -> Result<Vec<TargetGroup>, Unreadable> {
        again!(self, self.inner.target_groups(load_balancer))
    }

    async fn find_target_groups(&self, selector: &Selector) -> Result<Vec<TargetGroup>, Unreadable> {
        again!(self, self.inner.find_target_groups(selector))
    }

    async fn health(&self, groups: &[String]) -> BTreeMap<String, Result<Vec<Target>, Unreadable>> {
        each!(self, groups, async |keys: Vec<String>| self.inner.health(&keys).await)
    }

    async fn set(&self, id: &RouteId, actions: &[Action], deadline: Duration) -> Result<(), WriteError> {
        self.inner.set(id, actions, deadline).await
    }

    async fn tags(&self, arn: &str) -> Result<Tags, Unreadable> {
        again!(self, self.inner.tags(arn))
    }

    async fn tag(&self, arn: &str, tags: &Tags) -> Result<(), WriteError> {
        self.inner.tag(arn, tags).await
    }

    async fn tag_all(&self, arns: &[String], tags: &Tags) -> Result<(), WriteError> {
        self.inner.tag_all(arns, tags).await
    }

    async fn untag_all(&self, arns: &[String], keys: &[String]) -> Result<(), WriteError> {
        self.inner.untag_all(arns, keys).await
    }

    async fn untag(&self, arn: &str, keys: &[String]) -> Result<(), WriteError> {
        self.inner.untag(arn, keys).await
    }
}
