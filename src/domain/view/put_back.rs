//! Recognizes that someone else put the traffic of an unfinished run back: with a rollback from another machine, with
//! the break-glass script, or by hand. The decisions of the run do not depend on it.

use std::collections::BTreeMap;

use crate::domain::decide::desired_split;
use crate::domain::run::observation::Observed;
use crate::domain::run::state::{Phase, Route, State};
use crate::domain::traffic::{ClusterName, RouteContent};

/// Whether the journal says that the run moved traffic, and every route has its shares from before the run now. Without
/// a reading of a route that is newer than its last event, the change in the journal counts. A load balancer that forgot
/// its weights when it restarted does not count.
pub fn is_put_back(state: &State, watch: Option<&Observed>) -> bool {
    let stepping = !matches!(state.phase, Phase::RollingBack | Phase::Retiring | Phase::Finished);
    let routes = || state.routes.values().filter(|route| !route.is_deleted());
    let restored = |route: &Route| desired_split::restored_shares(state, route);
    let has_moved = |route: &Route| !equal(&desired_split::shares_of(route, route.split()), &restored(route));
    // A reload is not a decision of anyone.
    let restarted = |route: &Route| live(route, watch).is_some_and(|live| route.confirmed.restarted_as(live));
    stepping
        && routes().any(has_moved)
        && !routes().any(restarted)
        && routes().all(|route| {
            live(route, watch)
                .and_then(RouteContent::forward_split)
                .is_some_and(|split| equal(&desired_split::shares_of(route, split), &restored(route)))
        })
}

fn live<'a>(route: &'a Route, watch: Option<&'a Observed>) -> Option<&'a RouteContent> {
    match watch.and_then(|watch| watch.routes.get(&route.start.id)).filter(|reading| reading.at >= route.last_event_at)
    {
        Some(reading) => reading.value.as_ref().ok(),
        None => Some(route.drifted_content().unwrap_or(&route.confirmed)),
    }
}

fn equal(some: &BTreeMap<ClusterName, f64>, other: &BTreeMap<ClusterName, f64>) -> bool {
    let share = |all: &BTreeMap<ClusterName, f64>, cluster: &ClusterName| all.get(cluster).copied().unwrap_or(0.0);
    some.keys().chain(other.keys()).all(|cluster| (share(some, cluster) - share(other, cluster)).abs() < 0.005)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::*;
    use crate::domain::fixture;
    use crate::domain::run::observation::Observation;
    use crate::domain::traffic::{Reading, Unreadable};

    type Content = Result<RouteContent, Unreadable>;

    /// Returns a run with 5 % on `b`, and a reading of all routes with this content.
    fn moved(read: impl Fn(&Route) -> Content) -> (State, Observed) {
        let mut state = fixture::state(fixture::started(4));
        let now = Timestamp::now();
        for route in state.routes.values_mut() {
            route.confirmed = fixture::forward(&[("webapp-a", 95), ("webapp-b", 5)]);
        }
        let reading = |route: &Route| (route.start.id.clone(), Reading { at: now, value: read(route) });
        let routes = state.routes.values().map(reading).collect();
        let mut watch = Observed::new(now, Duration::from_secs(5), Duration::from_mins(1));
        watch.add(now, Observation { routes, ..Observation::default() }, false);
        (state, watch)
    }

    #[test]
    fn a_run_whose_routes_all_have_their_original_shares_is_put_back() {
        let original = |route: &Route| -> Content { Ok(route.start.content.clone()) };
        let (state, watch) = moved(original);
        assert!(is_put_back(&state, Some(&watch)));
        assert!(!is_put_back(&state, None), "the journal alone must say the opposite");
        let (state, watch) = moved(|route| Ok(route.confirmed.clone()));
        assert!(!is_put_back(&state, Some(&watch)));
        let (state, watch) = moved(|_| Err(Unreadable::Throttled));
        assert!(!is_put_back(&state, Some(&watch)), "an unreadable route must not count as put back");
        let (_, watch) = moved(original);
        let state = fixture::state(fixture::started(4));
        assert!(!is_put_back(&state, Some(&watch)), "a run that moved nothing must not be put back");
    }
}
