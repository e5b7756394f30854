//! A run: its events, the journal of them, and the state as a fold over it; and what is observed of the world meanwhile.

pub mod event;
pub mod frozen;
pub mod hook;
pub mod journal;
pub mod state;
pub mod watch;
