//! Puts the original weights as tags on listeners and rules at the start of a run, and again if a rollback from another
//! machine removed them. [`untag`](super::untag) removes these tags at the end of the run.

use std::collections::BTreeMap;
use std::slice;

use super::marker::taggable;
use super::tag_calls::TagCalls;
use crate::base::retry::TAG_WEIGHTS;
use crate::domain::emergency::balancer_tag;
use crate::domain::emergency::route_tag::{KEY, value};
use crate::domain::run::event::{Event, Started};
use crate::domain::traffic::{RouteId, Tags};
use crate::port::{Clock, TAG_BATCH_SIZE, TagStore, WriteError};

/// Puts the weights of every route as a tag. Routes with the same weights share a call. The returned event names the
/// routes whose tag could not be put. A run does not depend on the tags.
pub async fn put(tag_store: &dyn TagStore, clock: &dyn Clock, run: &str, started: &Started) -> Event {
    let mut missing = BTreeMap::new();
    let mut values: BTreeMap<String, Vec<RouteId>> = BTreeMap::new();
    let tagged = || started.routes.iter().filter(|route| tag_store.has_tags(route.id.id()));
    for route in tagged() {
        match value(run, started, route) {
            Some(text) => values.entry(text).or_default().push(route.id.clone()),
            None => drop(missing.insert(route.id.clone(), "the weights are too long for a tag".to_owned())),
        }
    }
    // The calls are sent one after the other. If a call lacks a permission, no further calls are sent.
    let calls = TagCalls::new(clock, TAG_WEIGHTS);
    let mut denied = None;
    for (text, routes) in values {
        let tags: Tags = [(KEY.to_owned(), text)].into();
        for some in routes.chunks(TAG_BATCH_SIZE) {
            let arns: Vec<_> = some.iter().map(|id| id.id().to_owned()).collect();
            let done = match &denied {
                Some(why) => some.iter().map(|id| (id.clone(), String::clone(why))).collect(),
                None => put_some(tag_store, &calls, &arns, &tags, some, &mut denied).await,
            };
            missing.extend(done);
        }
    }
    if denied.is_none() {
        put_on_balancers(tag_store, &calls, run, started).await;
    }
    Event::WeightsTagged { routes: tagged().count() - missing.len(), missing }
}

/// Returns the number of calls of [`put`], if none of them fails.
pub fn call_count(tag_store: &dyn TagStore, run: &str, started: &Started) -> usize {
    let mut routes: BTreeMap<String, usize> = BTreeMap::new();
    let tagged = started.routes.iter().filter(|route| tag_store.has_tags(route.id.id()));
    for text in tagged.filter_map(|route| value(run, started, route)) {
        *routes.entry(text).or_default() += 1;
    }
    routes.values().map(|count| count.div_ceil(TAG_BATCH_SIZE)).sum::<usize>()
        + taggable(tag_store, &started.load_balancers).len().div_ceil(TAG_BATCH_SIZE)
}

/// Puts a tag on the load balancers. This write may fail, because a reader finds the same weights in the tags of the
/// routes.
async fn put_on_balancers(tag_store: &dyn TagStore, calls: &TagCalls<'_>, run: &str, started: &Started) {
    let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for arn in &taggable(tag_store, &started.load_balancers) {
        let text = balancer_tag::value(run, started, arn).unwrap_or_else(|| balancer_tag::run_only_value(run));
        values.entry(text).or_default().push(arn.clone());
    }
    for (text, arns) in values {
        let tags: Tags = [(KEY.to_owned(), text)].into();
        let put = async |arns: &[String]| {
            let put = calls.send(|| tag_store.put(arns, &tags)).await;
            put.inspect_err(|error| {
                tracing::warn!(
                    "the tag {KEY} cannot be put on {}: {error}; the run does not need this tag",
                    arns.join(", ")
                );
            })
        };
        for some in arns.chunks(TAG_BATCH_SIZE) {
            if let Err(WriteError::NotFound(_)) = put(some).await {
                for arn in some.iter().filter(|_| some.len() > 1) {
                    let _ = put(slice::from_ref(arn)).await;
                }
            }
        }
    }
}

/// Puts the tags on the resources of one call. Returns the routes without a tag, each with the reason. If a rule was
/// deleted meanwhile, the other rules still get the tag.
async fn put_some(
    tag_store: &dyn TagStore,
    calls: &TagCalls<'_>,
    arns: &[String],
    tags: &Tags,
    routes: &[RouteId],
    denied: &mut Option<String>,
) -> Vec<(RouteId, String)> {
    let put = async |arns: &[String]| calls.send(|| tag_store.put(arns, tags)).await;
    match put(arns).await {
        Ok(()) => Vec::new(),
        Err(WriteError::NotFound(_)) => {
            let mut missing = Vec::new();
            for (arn, id) in arns.iter().zip(routes) {
                missing.extend(put(slice::from_ref(arn)).await.err().map(|why| (id.clone(), why.to_string())));
            }
            missing
        }
        Err(why) => {
            *denied = Some(why.to_string());
            routes.iter().map(|id| (id.clone(), why.to_string())).collect()
        }
    }
}

/// Returns whether each of these load balancers, listeners and rules has a weights tag of this run. An unreadable tag
/// counts as missing.
pub async fn is_put(tag_store: &dyn TagStore, run: &str, arns: &[String]) -> bool {
    let arns = taggable(tag_store, arns);
    if arns.is_empty() {
        return true;
    }
    let tags = tag_store.tags(&arns).await.unwrap_or_default();
    arns.iter().all(|arn| {
        let value = tags.get(arn).and_then(|tags| tags.get(KEY));
        value.is_some_and(|value| balancer_tag::run_of(value) == run)
    })
}
