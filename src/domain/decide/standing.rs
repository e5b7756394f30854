//! How the routes of a run stand to what is wanted of them, and what that comes to over all of them.

use jiff::Timestamp;

use super::context::Context;
use crate::domain::run::event::Write;
use crate::domain::run::state::Route;
use crate::domain::traffic::{Content, Reading};

/// How a route stands.
pub enum Standing {
    /// As it is to be, and read so.
    Right,
    /// Right by the last read, but until then an older write may still come.
    Open(Timestamp),
    /// To be written.
    Wrong(Write),
    /// Not read since the last thing that happened to it, and why.
    Unread(String),
    /// Not to be written as things are, and why: the run stays, for whoever changes that.
    Left(String),
    /// Nothing that this run could ever put right, and why: it ends without it.
    Lost(String),
}

/// How all of them stand.
#[derive(Default)]
pub struct Tally {
    /// What is to be written, in the order of the routes.
    pub writes: Vec<Write>,
    /// Until when older writes may still come.
    pub open: Option<Timestamp>,
    /// A route that was not read, and why.
    pub unread: Option<String>,
    /// Routes that are left alone, each with why.
    pub left: Vec<String>,
    /// Routes that are given up, each with why.
    pub lost: Vec<String>,
}

impl Tally {
    /// Counts the routes in their order.
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

/// The last reading of a route, if it is later than all that happened to it.
pub fn reading<'a>(c: &Context<'a>, route: &Route) -> Option<&'a Reading<Content>> {
    c.watch.routes.get(&route.start.id).filter(|r| r.at >= route.touched)
}
