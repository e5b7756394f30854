//! Several audiences of one run.

use jiff::Timestamp;

use crate::domain::run::event::{Record, Wait};
use crate::domain::run::state::State;
use crate::domain::run::watch::Watch;
use crate::engine::Audience;

/// Several audiences. Each gets everything, in this order.
pub struct Company<'a>(pub Vec<&'a mut dyn Audience>);

impl Audience for Company<'_> {
    fn record(&mut self, record: &Record) {
        self.0.iter_mut().for_each(|one| one.record(record));
    }

    fn turn(&mut self, state: &State, watch: &Watch, waits: &[Wait], now: Timestamp) {
        self.0.iter_mut().for_each(|one| one.turn(state, watch, waits, now));
    }
}
