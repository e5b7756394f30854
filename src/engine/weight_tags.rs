//! Puts the original weights as tags on listeners and rules at the start of a run, and again if a rollback from another
//! machine removed them. [`untag`](super::untag) removes these tags at the end of the run.

use std::collections::BTreeMap;
use std::slice;

use super::retry::retry;
use crate::base::retry::TAG_WEIGHTS;
use crate::domain::emergency::balancer_tag;
use crate::domain::emergency::route_tag::{KEY, value};
use crate::domain::run::event::{Event, Started};
use crate::domain::traffic::{RouteId, Tags};
use crate::port::{Clock, TagStore, WriteError};

/// The maximum number of resources in one call.
const BATCH_SIZE: usize = 20;

/// Puts the weights of every route as a tag. Routes with the same weights share a call. The returned event names the
/// routes whose tag could not be put. A run does not depend on the tags.
pub async fn put(tag_store: &dyn TagStore, clock: &dyn Clock, run: &str, started: &Started) -> Event {
    let mut missing = BTreeMap::new();
    let mut values: BTreeMap<String, Vec<RouteId>> = BTreeMap::new();
    for route in &started.routes {
        match value(run, started, route) {
            Some(text) => values.entry(text).or_default().push(route.id.clone()),
            None => drop(missing.insert(route.id.clone(), "the weights are too long for a tag".to_owned())),
        }
    }
    let mut denied = None;
    for (text, routes) in values {
        let tags: Tags = [(KEY.to_owned(), text)].into();
        for some in routes.chunks(BATCH_SIZE) {
            let arns: Vec<_> = some.iter().map(|id| id.id().to_owned()).collect();
            // A call that lacks a permission is not repeated for every route.
            let done = match &denied {
                Some(why) => some.iter().map(|id| (id.clone(), String::clone(why))).collect(),
                None => put_some(tag_store, clock, &arns, &tags, some, &mut denied).await,
            };
            missing.extend(done);
        }
    }
    // The load balancer's tag is only a shortcut to the routes' tags, which a reader finds without it. Its write may
    // fail.
    for load_balancer in started.load_balancers.iter().filter(|_| denied.is_none()) {
        let text =
            balancer_tag::value(run, started, load_balancer).unwrap_or_else(|| balancer_tag::run_only_value(run));
        let tags: Tags = [(KEY.to_owned(), text)].into();
        if let Err(error) =
            retry(TAG_WEIGHTS, clock, is_temporary, || tag_store.put(slice::from_ref(load_balancer), &tags)).await
        {
            tracing::warn!("the tag {KEY} cannot be put on {load_balancer}: {error}");
        }
    }
    Event::WeightsTagged { routes: started.routes.len() - missing.len(), missing }
}

/// Puts the tags on the resources of one call. Returns the routes without a tag, each with the reason. A rule that was
/// deleted meanwhile does not keep the tag from the other rules.
async fn put_some(
    tag_store: &dyn TagStore,
    clock: &dyn Clock,
    arns: &[String],
    tags: &Tags,
    routes: &[RouteId],
    denied: &mut Option<String>,
) -> Vec<(RouteId, String)> {
    let put = async |arns: &[String]| retry(TAG_WEIGHTS, clock, is_temporary, || tag_store.put(arns, tags)).await;
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
    let tags = tag_store.tags(arns).await.unwrap_or_default();
    arns.iter().all(|arn| {
        let value = tags.get(arn).and_then(|tags| tags.get(KEY));
        value.is_some_and(|value| balancer_tag::run_of(value) == run)
    })
}

/// Returns whether a retry of the write may succeed.
fn is_temporary(error: &WriteError) -> bool {
    matches!(error, WriteError::Throttled | WriteError::NotSent(_) | WriteError::Unanswered(_))
}
