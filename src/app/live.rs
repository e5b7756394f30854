//! Reads the live routes of a run for a command that shows or asks something before it writes. The reading has a
//! time-out; a route that was not read in time is unreadable.

use std::time::Duration;

use jiff::Timestamp;

use super::connect;
use super::find::StoredRun;
use crate::domain::run::observation::{Observation, Observed};
use crate::domain::run::state::State;
use crate::domain::traffic::{Reading, Unreadable};
use crate::domain::view::put_back::is_put_back;

/// The maximum time of the reading.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Reads the routes of a run.
pub async fn routes(found: &StoredRun, state: &State) -> Observed {
    let balancer = connect::balancer_of(&found.plan).await;
    let ids: Vec<_> = state.routes.keys().cloned().collect();
    let at = Timestamp::now();
    let read = tokio::time::timeout(TIMEOUT, connect::reads().read(0, balancer.traffic.routes(&ids)))
        .await
        .unwrap_or_default();
    let late = || Err(Unreadable::Unavailable(format!("no response within {} s", TIMEOUT.as_secs())));
    let reading = |id: &_| Reading { at, value: read.get(id).cloned().unwrap_or_else(late) };
    let routes = ids.iter().map(|id| (id.clone(), reading(id))).collect();
    let mut observed = Observed::new(at, Duration::from_secs(5), Duration::from_mins(1));
    observed.add(Timestamp::now(), Observation { routes, ..Observation::default() }, false);
    observed
}

/// Returns whether someone else put the traffic of an unfinished run back. Returns `false` if the journal or a route
/// cannot be read.
pub async fn put_back_by_other(found: &StoredRun) -> bool {
    let Ok(state) = found.state() else { return false };
    is_put_back(&state, Some(&routes(found, &state).await))
}
