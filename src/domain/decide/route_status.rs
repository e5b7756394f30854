//! Summarizes how the routes of a run compare with their target splits. Used by rollback and detach.

use jiff::Timestamp;

use super::context::Context;
use crate::domain::run::event::Write;
use crate::domain::run::state::Route;
use crate::domain::traffic::{Reading, RouteContent};

/// How a route compares with its target split.
pub enum RouteStatus {
    /// The route has the target split, confirmed by a reading.
    Reached,
    /// The route had the target split at the last reading, but an older write may still take effect until this time.
    OpenWrite(Timestamp),
    /// The route must be written.
    Pending(Write),
    /// The route was not read since its last event, for this reason.
    Unread(String),
    /// The route cannot be written now, for this reason. The run does not end until an operator fixes the reason.
    Blocked(String),
    /// The run can never write the route, for this reason. The run ends without this route.
    Abandoned(String),
}

/// The statuses of all routes, grouped by kind.
#[derive(Default)]
pub struct GroupedStatuses {
    /// The writes to send, in the order of the routes.
    pub writes: Vec<Write>,
    /// The latest time at which an older write may still take effect.
    pub open: Option<Timestamp>,
    /// One route that was not read, with the reason.
    pub unread: Option<String>,
    /// Routes that cannot be written now, each with the reason.
    pub blocked: Vec<String>,
    /// Routes that the run can never write, each with the reason.
    pub abandoned: Vec<String>,
}

impl GroupedStatuses {
    /// Groups the statuses of the routes, in the order of the routes.
    pub fn of<'a>(routes: impl IntoIterator<Item = &'a Route>, status: impl Fn(&Route) -> RouteStatus) -> Self {
        let mut statuses = Self::default();
        for route in routes {
            let named = |why: String| format!("{}: {why}", route.start.label);
            match status(route) {
                RouteStatus::Reached => {}
                RouteStatus::OpenWrite(until) => statuses.open = statuses.open.max(Some(until)),
                RouteStatus::Pending(write) => statuses.writes.push(write),
                RouteStatus::Unread(why) => statuses.unread = Some(named(why)),
                RouteStatus::Blocked(why) => statuses.blocked.push(named(why)),
                RouteStatus::Abandoned(why) => statuses.abandoned.push(named(why)),
            }
        }
        statuses
    }
}

/// Returns the last reading of a route, if this reading is newer than the route's last event.
pub fn fresh_reading<'a>(c: &Context<'a>, route: &Route) -> Option<&'a Reading<RouteContent>> {
    c.observed.routes.get(&route.start.id).filter(|r| r.at >= route.last_event_at)
}
