//! The lab and what surrounds a run over real sockets, and the same in virtual time.

#![allow(clippy::large_futures)] // a test's one future may be as large as it likes

mod metrics;
mod shells;
