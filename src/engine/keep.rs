//! The original weights as tags on listeners and rules, put at the start of a run and removed at its end.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::elb::balancer::Tags;
use crate::domain::emergency::weights::{KEY, value};
use crate::domain::emergency::whole;
use crate::domain::run::event::{Event, Started};
use crate::domain::traffic::RouteId;
use crate::port::{Balancer, Clock, WriteError};

/// Resources in a call.
const BATCH: usize = 20;
/// Tries of a call that is throttled or not answered.
const TRIES: u32 = 5;

/// Keeps the weights of every route; routes with the same weights share a call. What cannot be kept is named: a run does not depend on it.
pub async fn put(balancer: &dyn Balancer, clock: &dyn Clock, run: &str, started: &Started) -> Event {
    let mut missing = BTreeMap::new();
    let mut values: BTreeMap<String, Vec<RouteId>> = BTreeMap::new();
    for route in &started.routes {
        match value(run, started, route) {
            Some(text) => values.entry(text).or_default().push(route.id.clone()),
            None => drop(missing.insert(route.id.clone(), "its weights do not fit into a tag".to_owned())),
        }
    }
    let mut denied = None;
    for (text, routes) in values {
        let tags: Tags = [(KEY.to_owned(), text)].into();
        for some in routes.chunks(BATCH) {
            // What is not allowed once is not asked for a hundred times.
            let done = match &denied {
                Some(why) => Err(String::clone(why)),
                None => again(clock, async || balancer.tag_all(some, &tags).await).await.map_err(|e| e.to_string()),
            };
            if let Err(why) = done {
                missing.extend(some.iter().map(|id| (id.clone(), why.clone())));
                denied = Some(why);
            }
        }
    }
    // Only a shortcut to what the routes' own tags say: it need not succeed.
    for load_balancer in started.load_balancers.iter().filter(|_| denied.is_none()) {
        if let Some(text) = whole::value(run, started, load_balancer) {
            let tags: Tags = [(KEY.to_owned(), text)].into();
            if let Err(error) = again(clock, async || balancer.tag(load_balancer, &tags).await).await {
                tracing::warn!("no tag {KEY} on {load_balancer}: {error}");
            }
        }
    }
    Event::Kept { routes: started.routes.len() - missing.len(), missing }
}

/// Removes them, as far as AWS lets us.
pub async fn remove(balancer: &dyn Balancer, clock: &dyn Clock, started: &Started) {
    let ids: Vec<_> = started.routes.iter().map(|r| r.id.clone()).collect();
    for some in started.load_balancers.chunks(BATCH).chain(ids.chunks(BATCH)) {
        let keys = [KEY.to_owned()];
        let all = again(clock, async || balancer.untag_all(some, &keys).await).await;
        // One that was deleted meanwhile must not leave the others tagged.
        for id in some.iter().filter(|_| all.is_err()) {
            match again(clock, async || balancer.untag(id, &keys).await).await {
                Ok(()) | Err(WriteError::NotFound(_)) => {}
                Err(error) => tracing::warn!("the tag {KEY} stays on {id}: {error}"),
            }
        }
    }
}

/// Calls again what may pass.
async fn again<F: AsyncFn() -> Result<(), WriteError>>(clock: &dyn Clock, call: F) -> Result<(), WriteError> {
    for attempt in 0..TRIES {
        match call().await {
            Err(WriteError::Throttled | WriteError::NotSent(_) | WriteError::Unknown(_)) => {}
            other => return other,
        }
        clock.sleep(Duration::from_millis(300 << attempt)).await;
    }
    call().await
}
