//! Forwards the records of one run to several subscribers.

use jiff::Timestamp;

use crate::domain::run::event::{Record, Wait};
use crate::domain::run::observation::Observed;
use crate::domain::run::state::State;
use crate::engine::Audience;

/// Several subscribers to one run. Each gets every record and every loop iteration, in this order.
pub struct Audiences<'a>(pub Vec<&'a mut dyn Audience>);

impl Audience for Audiences<'_> {
    fn record(&mut self, record: &Record) {
        self.0.iter_mut().for_each(|one| one.record(record));
    }

    fn turn(&mut self, state: &State, watch: &Observed, waits: &[Wait], now: Timestamp) {
        self.0.iter_mut().for_each(|one| one.turn(state, watch, waits, now));
    }
}
