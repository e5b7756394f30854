//! Puts the original weights as tags on listeners and rules at the start of a run. [`untag`](super::untag) removes
//! these tags at the end of the run.

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
                Some(why) => Err(String::clone(why)),
                None => retry(TAG_WEIGHTS, clock, is_temporary, || tag_store.put(&arns, &tags))
                    .await
                    .map_err(|e| e.to_string()),
            };
            if let Err(why) = done {
                missing.extend(some.iter().map(|id| (id.clone(), why.clone())));
                denied = Some(why);
            }
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

/// Returns whether a retry of the write may succeed.
fn is_temporary(error: &WriteError) -> bool {
    matches!(error, WriteError::Throttled | WriteError::NotSent(_) | WriteError::Unanswered(_))
}
