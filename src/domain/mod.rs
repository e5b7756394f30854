//! The rules of a cutover, as pure functions over plain values.
//!
//! No async, no I/O, no clock, no SDK type may enter here: time is an argument, and what is to be done is returned as data.

pub mod action;
pub mod alb;
pub mod binding;
pub mod decide;
pub mod emergency;
pub mod event;
pub mod facts;
pub mod finalize;
pub mod finding;
pub mod gate;
pub mod goal;
pub mod history;
pub mod hook;
pub mod hours;
pub mod init;
pub mod journal;
pub mod kube;
pub mod live;
pub mod permission;
pub mod preflight;
pub mod report;
pub mod rival;
pub mod select;
pub mod shares;
pub mod state;
pub mod trace;
pub mod verdict;
pub mod watch;

#[cfg(test)]
pub(crate) mod fixture;
