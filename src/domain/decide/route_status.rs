//! Compares the routes of a run with their targets, and sums the results up. Shared by rollback and detach.

use jiff::Timestamp;

use super::context::Context;
use crate::domain::run::event::Write;
use crate::domain::run::state::Route;
use crate::domain::traffic::{Reading, RouteContent};

/// How a route compares with its target.
pub enum RouteStatus {
    /// It has its target, confirmed by a reading.
    Reached,
    /// It had its target at the last reading, but until this time an older write may still take effect.
    OpenWrite(Timestamp),
    /// It has to be written.
    Pending(Write),
    /// It was not read since its last event; the reason.
    Unread(String),
    /// It cannot be written now, and why. The run stays open until an operator fixes that.
    Blocked(String),
    /// It can never be written by this run, and why. The run ends without it.
    Abandoned(String),
}

/// The sum over all routes.
#[derive(Default)]
pub struct Tally {
    /// The writes, in the order of the routes.
    pub writes: Vec<Write>,
    /// The latest time at which an older write may still take effect.
    pub open: Option<Timestamp>,
    /// A route that was not read, and why.
    pub unread: Option<String>,
    /// Routes that cannot be written now, each with the reason.
    pub blocked: Vec<String>,
    /// Routes that this run gives up, each with the reason.
    pub abandoned: Vec<String>,
}

impl Tally {
    /// Sums the routes up, in their order.
    pub fn of<'a>(routes: impl IntoIterator<Item = &'a Route>, standing: impl Fn(&Route) -> RouteStatus) -> Self {
        let mut tally = Self::default();
        for route in routes {
            let named = |why: String| format!("{}: {why}", route.start.label);
            match standing(route) {
                RouteStatus::Reached => {}
                RouteStatus::OpenWrite(until) => tally.open = tally.open.max(Some(until)),
                RouteStatus::Pending(write) => tally.writes.push(write),
                RouteStatus::Unread(why) => tally.unread = Some(named(why)),
                RouteStatus::Blocked(why) => tally.blocked.push(named(why)),
                RouteStatus::Abandoned(why) => tally.abandoned.push(named(why)),
            }
        }
        tally
    }
}

/// Returns the last reading of a route, if it is newer than the route's last event.
pub fn fresh_reading<'a>(c: &Context<'a>, route: &Route) -> Option<&'a Reading<RouteContent>> {
    c.observed.routes.get(&route.start.id).filter(|r| r.at >= route.last_event_at)
}
