//! Forwards the records of one run to several subscribers.

use jiff::Timestamp;

use crate::domain::run::event::{Record, Wait};
use crate::domain::run::observation::Observed;
use crate::domain::run::state::State;
use crate::engine::Subscriber;

/// Several subscribers to one run. Each gets every record and every loop iteration, in this order.
pub struct Subscribers<'a>(pub Vec<&'a mut dyn Subscriber>);

impl Subscriber for Subscribers<'_> {
    fn record(&mut self, record: &Record) {
        self.0.iter_mut().for_each(|one| one.record(record));
    }

    fn iteration_ended(&mut self, state: &State, watch: &Observed, waits: &[Wait], now: Timestamp) {
        self.0.iter_mut().for_each(|one| one.iteration_ended(state, watch, waits, now));
    }
}
