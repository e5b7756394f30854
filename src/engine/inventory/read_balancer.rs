//! Reads a load balancer without a plan, for `status --load-balancer` and for a rollback without a journal. Changes
//! nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use crate::base::number::count;
use crate::domain::elb::balancer::{Listener, LiveRoute, LoadBalancer, TargetGroup};
use crate::domain::elb::other_type::other_type;
pub use crate::domain::elb::select::BalancerReadError;
use crate::domain::elb::select::{exactly_one_match, selector_text};
use crate::domain::emergency::balancer_tag::{self, BalancerTag};
use crate::domain::emergency::header_rules::may_be_header_rule;
use crate::domain::emergency::{LoadBalancerReading, route_tag};
use crate::domain::health::Target;
use crate::domain::traffic::{Tags, Unreadable};
use crate::domain::view::load_balancer::LoadBalancerView;
use crate::plan::model::Selector;
use crate::port::{Clock, Detail, Groups, LoadBalancerApi};

/// The time-out of reads that a rollback does not need.
const OPTIONAL_TIMEOUT: Duration = Duration::from_secs(3);

/// Reads a load balancer for an emergency, in as few rounds of calls as possible: the load balancer; its listeners,
/// tags and groups; rules and health. Only the listeners and rules must be readable. With `wants_tags`, one more round
/// reads the routes' tags, unless the load balancer's own tag contains the weights of its routes.
///
/// # Errors
/// Returns a [`BalancerReadError`] if the listeners or rules cannot be read.
pub async fn read_for_rollback(
    selector: &Selector,
    balancer: &LoadBalancerApi,
    clock: &dyn Clock,
    wants_tags: bool,
) -> Result<LoadBalancerReading, BalancerReadError> {
    let at = clock.now();
    let listed =
        async || exactly_one_match(selector, balancer.inventory.load_balancers(selector, Detail::Listed).await);
    let (load_balancer, parts) = if let Selector::Arn(arn) = selector {
        futures::join!(listed(), read_parts(arn, balancer, clock, wants_tags))
    } else {
        let load_balancer = listed().await?;
        let parts = read_parts(&load_balancer.arn, balancer, clock, wants_tags).await;
        (Ok(load_balancer), parts)
    };
    let mut parts = match (parts, &load_balancer) {
        // A rollback on a load balancer of another type is refused anyway.
        (Err(_), Ok(load_balancer)) if other_type(load_balancer).is_some() => BalancerParts::default(),
        (parts, _) => parts?,
    };
    let mut load_balancer = match (load_balancer, selector) {
        // The ARN alone is enough for a rollback.
        (Err(BalancerReadError::Unreadable { why, .. }), Selector::Arn(arn)) => {
            parts.skipped.push(format!("the load balancer itself cannot be read: {why}"));
            LoadBalancer::named(arn)
        }
        (load_balancer, _) => load_balancer?,
    };
    load_balancer.tags = std::mem::take(&mut parts.tags);
    let balancer_tag = parts.balancer_tag.take().filter(|tag| tag.add_route_tags(&mut parts.listeners));
    read_tags_and_health(&mut parts, balancer, clock, wants_tags, balancer_tag.as_ref()).await;
    let BalancerParts { listeners, groups, health, mut skipped, .. } = parts;
    if let Some(why) = health.values().find_map(|h| h.as_ref().err()) {
        skipped.push(format!("the health of some targets cannot be read and is ignored: {why}"));
    }
    Ok(LoadBalancerReading { at, load_balancer, listeners, groups, health, skipped })
}

/// Reads the tags of the routes that forward, if the load balancer has the weights tag of a run that does not contain
/// the weights of its routes. Tags that are not read within three seconds are missing.
pub async fn add_route_tags(seen: &mut LoadBalancerReading, balancer: &LoadBalancerApi, clock: &dyn Clock) {
    let own = seen.load_balancer.tags.get(route_tag::KEY);
    if own.is_none_or(|value| balancer_tag::read(value).is_some()) {
        return;
    }
    let ids: Vec<_> = seen.routes().filter(|r| r.forwards().is_some()).map(|r| r.id.id().to_owned()).collect();
    let mut tags = with_timeout(clock, balancer.tags.tags(&ids)).await.unwrap_or_default();
    for route in seen.listeners.iter_mut().flat_map(|(_, routes)| routes) {
        route.tags.extend(tags.remove(route.id.id()).unwrap_or_default());
    }
}

/// The resources that are read in addition to the description of a load balancer.
#[derive(Default)]
struct BalancerParts {
    tags: Tags,
    listeners: Vec<(Listener, Vec<LiveRoute>)>,
    groups: Vec<TargetGroup>,
    /// Whether the groups could be listed. Then the health of a group that is not in the list is read separately.
    listed: bool,
    health: BTreeMap<String, Result<Vec<Target>, Unreadable>>,
    balancer_tag: Option<BalancerTag>,
    skipped: Vec<String>,
}

async fn read_parts(
    arn: &String,
    balancer: &LoadBalancerApi,
    clock: &dyn Clock,
    wants_tags: bool,
) -> Result<BalancerParts, BalancerReadError> {
    let beside = async {
        let tags = balancer.tags.tags(std::slice::from_ref(arn));
        let tags = async { if wants_tags { tags.await } else { with_timeout(clock, tags).await } };
        let groups = with_timeout(clock, balancer.inventory.target_groups(Groups::Of(arn), Detail::Listed));
        let (tags, groups) = futures::join!(tags, groups);
        let mut skipped = Vec::new();
        let listed = groups.is_ok();
        let groups = groups.unwrap_or_else(|why| {
            skipped.push(format!(
                "the target groups cannot be listed; only those in the listeners' and rules' actions are known: {why}"
            ));
            Vec::new()
        });
        let tags = tags.map_or_else(
            |why| {
                skipped.push(format!(
                    "the tags of the load balancer cannot be read, so another run may own the load balancer: {why}"
                ));
                Tags::new()
            },
            |mut all| all.remove(arn).unwrap_or_default(),
        );
        let route_weights = weights_of_routes(&tags).filter(|_| wants_tags);
        let asked =
            groups.iter().map(|g| &g.arn).filter(|arn| route_weights.as_ref().is_none_or(|w| w.manages(arn))).cloned();
        let health = read_health_in_time(asked.collect(), balancer, clock).await;
        (tags, groups, listed, health, route_weights, skipped)
    };
    let (listeners, beside) = futures::join!(balancer.inventory.listeners(arn, Detail::Listed), beside);
    let listeners =
        listeners.map_err(|why| BalancerReadError::Unreadable { what: format!("listeners of {arn}"), why })?;
    let (tags, groups, listed, health, balancer_tag, skipped) = beside;
    Ok(BalancerParts { tags, listeners, groups, listed, health, balancer_tag, skipped })
}

/// Waits at most [`OPTIONAL_TIMEOUT`] for a response.
async fn with_timeout<T>(
    clock: &dyn Clock,
    answer: impl Future<Output = Result<T, Unreadable>>,
) -> Result<T, Unreadable> {
    tokio::select! {
        answer = answer => answer,
        () = clock.sleep(OPTIONAL_TIMEOUT) => {
            Err(Unreadable::Unavailable(format!("no response within {} s", OPTIONAL_TIMEOUT.as_secs())))
        }
    }
}

/// Reads the health of the groups. Groups without a response in time have an error.
async fn read_health_in_time(
    groups: Vec<String>,
    balancer: &LoadBalancerApi,
    clock: &dyn Clock,
) -> BTreeMap<String, Result<Vec<Target>, Unreadable>> {
    if groups.is_empty() {
        return BTreeMap::new();
    }
    let read = with_timeout(clock, async { Ok(balancer.traffic.health(&groups).await) }).await;
    read.unwrap_or_else(|why| groups.into_iter().map(|arn| (arn, Err(why.clone()))).collect())
}

/// Returns the weights in a load balancer's tag, if the run that put the tag is also the run in the marker. Without a
/// marker the tag may be old.
fn weights_of_routes(tags: &Tags) -> Option<BalancerTag> {
    let route_weights = balancer_tag::read(tags.get(route_tag::KEY)?)?;
    let marker = tags.get(crate::engine::marker::KEY)?.split(' ').next();
    (marker == Some(route_weights.route_tag.run.as_str())).then_some(route_weights)
}

/// Reads the resources that are known only after the routes: the routes' tags if `wants_tags`, and the health of groups
/// that was not read yet. If the load balancer's tag contains the weights of its routes (`route_weights`), reads
/// neither the routes' tags nor other groups. If the groups could not be listed, reads no health, because that call
/// would be refused too.
async fn read_tags_and_health(
    parts: &mut BalancerParts,
    balancer: &LoadBalancerApi,
    clock: &dyn Clock,
    wants_tags: bool,
    route_weights: Option<&BalancerTag>,
) {
    let wants_tags = wants_tags && route_weights.is_none();
    let forwards =
        || parts.listeners.iter().flat_map(|(_, routes)| routes).filter_map(|r| Some((&r.id, r.forwards()?)));
    let ids: Vec<_> = forwards().filter(|_| wants_tags).map(|(id, _)| id.id().to_owned()).collect();
    let used = forwards().flat_map(|(_, split)| split.ids());
    let open = |arn: &&String| {
        !parts.health.contains_key(*arn) && route_weights.is_none_or(|route_weights| route_weights.manages(arn))
    };
    let groups: BTreeSet<_> = used.chain(parts.groups.iter().map(|g| &g.arn)).filter(open).collect();
    let rest = if wants_tags || parts.listed { groups.into_iter().cloned().collect() } else { Vec::new() };
    let tags = async { if ids.is_empty() { Ok(BTreeMap::new()) } else { balancer.tags.tags(&ids).await } };
    let untagged: &[_] = if wants_tags { &[] } else { &parts.listeners };
    let header_tags = read_header_rule_tags(untagged, balancer, clock);
    let (tags, more, header_tags) = futures::join!(tags, read_health_in_time(rest, balancer, clock), header_tags);
    parts.health.extend(more);
    let (header_tags, unread) = header_tags;
    parts.skipped.extend(unread);
    let mut tags = tags.unwrap_or_else(|why| {
        parts.skipped.push(format!("the tags of the listeners and rules cannot be read: {why}"));
        BTreeMap::new()
    });
    for route in parts.listeners.iter_mut().flat_map(|(_, routes)| routes) {
        if let Some(own) = tags.remove(route.id.id()) {
            route.tags = own;
        }
        route.tags.extend(header_tags.get(route.id.id()).cloned().unwrap_or_default());
    }
}

/// Reads the tags of the rules that may be header rules, if there are any. Without tags, a header rule is restored like
/// a route and not removed; the second value says so.
async fn read_header_rule_tags(
    listeners: &[(Listener, Vec<LiveRoute>)],
    balancer: &LoadBalancerApi,
    clock: &dyn Clock,
) -> (BTreeMap<String, Tags>, Option<String>) {
    let rules = listeners.iter().flat_map(|(_, routes)| routes).filter(|route| may_be_header_rule(route));
    let ids: Vec<String> = rules.map(|route| route.id.id().to_owned()).collect();
    if ids.is_empty() {
        return (BTreeMap::new(), None);
    }
    match with_timeout(clock, balancer.tags.tags(&ids)).await {
        Ok(tags) => (tags, None),
        Err(why) => {
            let unread = format!(
                "the tags of {} with a condition on a header cannot be read: if a run made such a rule \
                 (`setHeaderRoute`), it is restored like a route, but not removed: {why}",
                count(ids.len(), "rule")
            );
            (BTreeMap::new(), Some(unread))
        }
    }
}

/// Reads a load balancer as it is at `now`. The health of a group may be unreadable; everything else must be readable.
///
/// # Errors
/// Returns a [`BalancerReadError`] if anything except health cannot be read.
pub async fn read_for_status(
    selector: &Selector,
    balancer: &LoadBalancerApi,
    now: Timestamp,
) -> Result<LoadBalancerView, BalancerReadError> {
    let name = selector_text(selector);
    let unreadable = |what: &str| {
        let what = format!("{what} {name}");
        move |why| BalancerReadError::Unreadable { what, why }
    };
    let inventory = &balancer.inventory;
    let load_balancer = &exactly_one_match(selector, inventory.load_balancers(selector, Detail::Full).await)?;
    let groups = inventory.target_groups(Groups::Of(&load_balancer.arn), Detail::Full);
    let (listeners, groups) = futures::join!(inventory.listeners(&load_balancer.arn, Detail::Full), groups);
    let (listeners, groups) =
        (listeners.map_err(unreadable("listeners of"))?, groups.map_err(unreadable("target groups of"))?);
    let arns: Vec<String> = groups.iter().map(|g| g.arn.clone()).collect();
    let health = balancer.traffic.health(&arns).await;
    Ok(LoadBalancerView::new(now, load_balancer, &listeners, &groups, &health))
}
