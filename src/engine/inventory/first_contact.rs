//! Remembers whether an API has responded to a process that reads once. Each read of an unresponsive API takes full time-outs,
//! so only the first reads are repeated. Do not retry calls here.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::domain::traffic::Unreadable;

/// The time after which the second try of a read is the last try, if the API has not responded yet.
const GIVE_UP: Duration = Duration::from_secs(8);

/// Whether an API has responded.
#[derive(Debug, Default)]
pub struct FirstContact(Mutex<State>);

#[derive(Debug, Default)]
enum State {
    #[default]
    Unknown,
    Responded,
    /// The API did not respond to several tries, for this reason.
    Unresponsive(Unreadable),
}

impl FirstContact {
    /// Allows reads of an API that did not respond.
    pub fn forget_unresponsive(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, State::Unresponsive(_)) {
            *state = State::Unknown;
        }
    }

    /// Returns the reason for which further reads fail at once; `None` if a read may be tried.
    pub fn unresponsive_reason(&self) -> Option<Unreadable> {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            State::Unresponsive(why) => Some(why.clone()),
            _ => None,
        }
    }

    /// Records the failure of a try, or with `None` its success. `tries` is the number of tries of this read, which
    /// took `spent`. Returns whether no further try should follow.
    pub fn is_unresponsive(&self, failure: Option<&Unreadable>, tries: usize, spent: Duration) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*state, failure) {
            (State::Responded, _) => false,
            (_, Some(why @ Unreadable::Unavailable(_))) if tries > 1 && spent > GIVE_UP => {
                *state = State::Unresponsive(why.clone());
                true
            }
            (_, Some(Unreadable::Unavailable(_))) => false,
            _ => {
                *state = State::Responded;
                false
            }
        }
    }
}
