//! Reads routes: all routes of a load balancer, or some routes by ARN. Do not add writes here.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_elasticloadbalancingv2::types as sdk;
use futures::{StreamExt, TryStreamExt, stream};

use super::failure::Failure;
use super::read::{self, BATCH_SIZE, ElementCheck, MAX_PARALLEL};
use super::{Alb, view};
use crate::domain::elb;
use crate::domain::elb::balancer::{Listener, LiveRoute};
use crate::domain::traffic::{RouteId, RouteKind, UnreadRoute, Unreadable};

type Found = BTreeMap<RouteId, Result<LiveRoute, Failure>>;

impl Alb {
    /// Reads every listener with its default action first, then its rules by priority, with tags. An unreadable route
    /// does not block the others.
    pub(super) async fn all_routes(&self, load_balancer: &str) -> Result<Vec<(Listener, Vec<LiveRoute>)>, Failure> {
        let mut all = self.untagged_routes(load_balancer).await?;
        self.add_tags(&mut all).await?;
        Ok(all)
    }

    /// Reads every listener with its routes, without tags.
    pub(super) async fn untagged_routes(
        &self,
        load_balancer: &str,
    ) -> Result<Vec<(Listener, Vec<LiveRoute>)>, Failure> {
        let (found, separately_read) = match read::listeners(&self.elb, load_balancer, ElementCheck::Reject).await {
            Err(Failure::Unrepresentable(_)) => {
                let named = read::listeners(&self.elb, load_balancer, ElementCheck::Ignore).await?;
                let ids: Vec<_> = named.iter().filter_map(|l| l.listener_arn().map(RouteId::default_route)).collect();
                (named, self.routes_by_arn(&ids).await)
            }
            found => (found?, Found::new()),
        };
        let complete_listeners = found.iter().map(|l| self.with_rules(l, &separately_read)).collect::<Vec<_>>();
        let mut all: Vec<_> = stream::iter(complete_listeners).buffered(MAX_PARALLEL).try_collect().await?;
        all.sort_by(|(a, _), (b, _)| (a.port, &a.arn).cmp(&(b.port, &b.arn)));
        Ok(all)
    }

    async fn with_rules(
        &self,
        found: &sdk::Listener,
        separately_read: &Found,
    ) -> Result<(Listener, Vec<LiveRoute>), Failure> {
        let mut listener = view::listener(found)?;
        self.remember(&listener.arn, listener.port);
        let default = separately_read
            .get(&RouteId::default_route(&listener.arn))
            .cloned()
            .unwrap_or_else(|| view::default_route(found));
        let mut read = vec![default.map_err(|why| view::unread_default(found, why))];
        match self.rules_of(&listener).await {
            Ok(rules) => read.extend(rules),
            // These errors also affect all other calls.
            Err(Failure::Credentials(why)) => return Err(Failure::Credentials(why)),
            Err(why) => {
                let label = format!("{} rules", listener.port);
                listener.unread.push(UnreadRoute {
                    id: RouteId::default_route(&listener.arn),
                    label,
                    groups: Vec::new(),
                    why: why.into(),
                });
            }
        }
        let mut routes = Vec::new();
        for one in read {
            match one {
                Ok(route) => routes.push(route),
                // The rule was deleted between two calls.
                Err(UnreadRoute { why: Unreadable::NotFound(_), .. }) => {}
                Err(unread) => listener.unread.push(unread),
            }
        }
        routes.sort_by_key(|r| r.priority);
        Ok((listener, routes))
    }

    /// Reads the rules of a listener. If one rule has an unknown element, reads each rule separately.
    async fn rules_of(&self, listener: &Listener) -> Result<Vec<Result<LiveRoute, UnreadRoute>>, Failure> {
        let port = listener.port;
        let (found, mut separately_read) = match read::rules(&self.elb, &listener.arn, ElementCheck::Reject).await {
            Err(Failure::Unrepresentable(_)) => {
                let named = read::rules(&self.elb, &listener.arn, ElementCheck::Ignore).await?;
                let ids: Vec<_> = named.iter().filter_map(|r| r.rule_arn().map(RouteId::rule)).collect();
                (named, self.routes_by_arn(&ids).await)
            }
            found => (found?, Found::new()),
        };
        let one = |rule: &sdk::Rule| {
            let read = rule
                .rule_arn()
                .and_then(|arn| separately_read.remove(&RouteId::rule(arn)))
                .unwrap_or_else(|| view::rule(rule, port));
            read.map_err(|why| view::unread_rule(rule, port, why))
        };
        Ok(found.iter().map(one).collect())
    }

    async fn add_tags(&self, all: &mut [(Listener, Vec<LiveRoute>)]) -> Result<(), Failure> {
        // A listener's default route has the same ARN as the listener.
        let rules = all.iter().flat_map(|(_, routes)| routes.iter().map(|r| r.id.id().to_owned()));
        let arns: BTreeSet<_> = all.iter().map(|(l, _)| l.arn.clone()).chain(rules).collect();
        let tags = match read::tags(&self.elb, &arns.into_iter().collect::<Vec<_>>()).await {
            Ok(tags) => tags,
            Err(Failure::Credentials(why)) => return Err(Failure::Credentials(why)),
            Err(why) => {
                for (listener, _) in all {
                    listener.tags_unread = Some(why.clone().into());
                }
                return Ok(());
            }
        };
        for (listener, routes) in all {
            listener.tags = tags.get(&listener.arn).cloned().unwrap_or_default();
            for route in routes {
                route.tags = tags.get(route.id.id()).cloned().unwrap_or_default();
            }
        }
        Ok(())
    }

    /// Reads routes by ARN. Returns a result for each ARN. If a batch fails because of one route, reads each route
    /// separately.
    pub(super) async fn routes_by_arn(&self, ids: &[RouteId]) -> Found {
        let distinct: BTreeSet<_> = ids.iter().cloned().collect();
        let (rules, listeners): (Vec<_>, Vec<_>) =
            distinct.into_iter().partition(|id: &RouteId| id.kind() == RouteKind::Rule);
        let chunks =
            rules.chunks(BATCH_SIZE).chain(listeners.chunks(BATCH_SIZE)).map(<[_]>::to_vec).collect::<Vec<_>>();
        stream::iter(chunks).map(|chunk| self.read_chunk(chunk)).buffered(MAX_PARALLEL).concat().await
    }

    async fn read_chunk(&self, ids: Vec<RouteId>) -> Found {
        match self.read_batch(ids.clone()).await {
            Ok(found) => found,
            Err(Failure::NotFound(_) | Failure::Unrepresentable(_) | Failure::Refused(_)) if ids.len() > 1 => {
                let alone = async |id: RouteId| {
                    let found = self.read_batch(vec![id.clone()]).await;
                    found.unwrap_or_else(|e| BTreeMap::from([(id, Err(e))]))
                };
                // Several chunks may be read one by one at the same time, so each makes fewer concurrent calls.
                stream::iter(ids).map(alone).buffered(MAX_PARALLEL / 2).concat().await
            }
            Err(e) => ids.into_iter().map(|id| (id, Err(e.clone()))).collect(),
        }
    }

    /// Sends one call for up to [`BATCH_SIZE`] ARNs of one kind. ARNs that the response omits do not exist.
    async fn read_batch(&self, ids: Vec<RouteId>) -> Result<Found, Failure> {
        let mut found: Found = ids.iter().map(|id| (id.clone(), Err(Failure::NotFound(id.to_string())))).collect();
        let rules = ids.iter().any(|id| id.kind() == RouteKind::Rule);
        let arns = ids.iter().map(|id| id.id().to_owned()).collect();
        if rules {
            for rule in read::rules_by_arn(&self.elb, arns).await? {
                let id = RouteId::rule(rule.rule_arn().unwrap_or_default());
                let port = self.port(&elb::listener(&id));
                found.entry(id).and_modify(|r| *r = view::rule(&rule, port));
            }
        } else {
            for listener in read::listeners_by_arn(&self.elb, arns).await? {
                let id = RouteId::default_route(listener.listener_arn().unwrap_or_default());
                found.entry(id).and_modify(|r| *r = view::default_route(&listener));
            }
        }
        Ok(found)
    }
}
