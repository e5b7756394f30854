//! The program from end to end against moto: it moves a load balancer that boto3 created and restores it, and boto3
//! reads what
//! changed.

mod compare;
mod emergency;
mod finalized;
mod glass;
mod looking;
mod refusals;
mod staged;
mod world;
