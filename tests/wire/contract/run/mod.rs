//! The program from end to end against moto: it moves a load balancer that boto3 created and restores it, and boto3
//! reads what
//! changed.

mod break_glass;
mod compare;
mod emergency;
mod finalized;
mod fixture;
mod read_only;
mod refusals;
mod staged;
