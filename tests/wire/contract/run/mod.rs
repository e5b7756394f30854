//! The program against moto: it moves the traffic of a load balancer that boto3 created and restores it, and boto3
//! reads the changes.

mod break_glass;
mod compare;
mod emergency;
mod finalized;
mod fixture;
mod header_route;
mod network;
mod read_only;
mod refusals;
mod staged;
