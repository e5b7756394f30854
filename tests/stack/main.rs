//! Whole cutovers on what nobody here wrote: two real Kubernetes API servers, two real AWS Load Balancer Controllers, moto for AWS. No containers.
//!
//! Names begin with `stack_`. All of them, from nothing: `tests/run stack`. One of them, once that has built the programs:
//!
//! ```sh
//! CUTOVER_VENV=~/.cache/cutover/venv CUTOVER_STACK=$(tests/stack/programs/build ~/.cache/cutover) cargo test --test stack stack_name_of_the_test -- --nocapture
//! ```
//!
//! One [`stack::Stack`] serves all tests of a process: it takes some twenty seconds to start, and nothing of it outlives the process. A test begins
//! with [`world::World::new`] (a namespace, a load balancer, target groups and a plan of its own, on the shared stack), or with
//! [`world::World::alone`] if it kills something that others use.
//!
//! - `stack.rs` what runs · `cluster.rs`, `setup.rs` a cluster, its processes and its audit log · `kubelet.rs` what is said of pods
//! - `api.rs` a cluster's objects in JSON · `endpoint.rs` AWS: who asked for what, and faults · `authenticator.rs` EKS tokens · `world.rs` what a test has
//! - `child.rs` (of `moto_run`) the binary · `keeper.rs` processes that die with the test

#[allow(dead_code, reason = "a test takes what it needs of it")]
mod api;
mod authenticator;
#[allow(dead_code, reason = "a test takes what it needs of it")]
#[path = "../moto_run/child.rs"]
mod child;
#[allow(dead_code, reason = "a test takes what it needs of it")]
mod cluster;
#[allow(dead_code, reason = "a test takes what it needs of it")]
mod endpoint;
mod gates;
mod ingress;
mod keeper;
mod killed;
mod kubelet;
mod setup;
mod stack;
mod staged;
mod tokens;
mod trouble;
mod watch;
mod webhooks;
#[allow(dead_code, reason = "a test takes what it needs of it")]
mod world;
