//! The load generator: clients that ask for every route of the world, and what they saw, by cluster and group.

pub mod clients;
pub mod live;
pub mod meter;
pub mod paused;
