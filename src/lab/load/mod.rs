//! The load generator: clients that send requests to every managed route of the lab, and counters of the results by
//! cluster and target group.

pub mod clients;
pub mod live;
pub mod meter;
pub mod virtual_time;
