//! Compares the routes of a run with their targets, and sums the results up. Shared by rollback and detach.

use jiff::Timestamp;

use super::context::Context;
use crate::domain::run::event::Write;
use crate::domain::run::state::Route;
use crate::domain::traffic::{Content, Reading};

/// How a route compares with its target.
pub enum Standing {
    /// It has its target, confirmed by a reading.
    Right,
    /// It had its target at the last reading, but until this time an older write may still take effect.
    Open(Timestamp),
    /// It has to be written.
    Wrong(Write),
    /// It was not read since its last event; the reason.
    Unread(String),
    /// It cannot be written now, and why. The run stays open until an operator fixes that.
    Left(String),
    /// It can never be written by this run, and why. The run ends without it.
    Lost(String),
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
    pub left: Vec<String>,
    /// Routes that this run gives up, each with the reason.
    pub lost: Vec<String>,
}

impl Tally {
    /// Sums the routes up, in their order.
    pub fn of<'a>(routes: impl IntoIterator<Item = &'a Route>, standing: impl Fn(&Route) -> Standing) -> Self {
        let mut tally = Self::default();
        for route in routes {
            let named = |why: String| format!("{}: {why}", route.start.label);
            match standing(route) {
                Standing::Right => {}
                Standing::Open(until) => tally.open = tally.open.max(Some(until)),
                Standing::Wrong(write) => tally.writes.push(write),
                Standing::Unread(why) => tally.unread = Some(named(why)),
                Standing::Left(why) => tally.left.push(named(why)),
                Standing::Lost(why) => tally.lost.push(named(why)),
            }
        }
        tally
    }
}

/// The last reading of a route, if it is newer than the route's last event.
pub fn reading<'a>(c: &Context<'a>, route: &Route) -> Option<&'a Reading<Content>> {
    c.watch.routes.get(&route.start.id).filter(|r| r.at >= route.touched)
}
