//! The binary from end to end against moto: a load balancer that boto3 made is moved and put back, and boto3 says what changed.

mod compare;
mod emergency;
mod finalized;
mod glass;
mod looking;
mod refusals;
mod staged;
mod world;
