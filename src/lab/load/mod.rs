//! The load generator: clients that request every route of the lab, and counters of the results by cluster and group.

pub mod clients;
pub mod live;
pub mod meter;
pub mod virtual_time;
