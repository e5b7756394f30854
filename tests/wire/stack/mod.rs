//! Tier `stack`: complete cutovers with two real Kubernetes API servers and two real AWS Load Balancer Controllers;
//! moto for AWS.
//! No containers.
//!
//! `tests/run stack` builds everything and runs all tests. One test, after that:
//!
//! ```sh
//! export CUTOVER_VENV=~/.cache/cutover/venv CUTOVER_STACK=$(tests/stack/programs/build ~/.cache/cutover)
//! cargo test --test wire stack_name_of_the_test -- --ignored --nocapture
//! ```
//!
//! One [`environment::Stack`] serves most tests of a process, and another one those that kill parts of it, one after
//! the other. A
//! stack takes about fifteen seconds to start, and ends with the process. A test begins with [`world::World::new`] (its
//! own
//! namespace, load balancer, target groups and plan), or with [`world::World::alone`] if it kills something. Tests
//! mostly wait, so
//! many at a time take no longer than few.
//!
//! - `environment.rs` the stacks · `cluster.rs`, `setup.rs` a cluster, its processes and its audit log · `kubelet.rs`
//!   the pods'
//!   status
//! - `api.rs` a cluster's objects in JSON · `endpoint` AWS: recorded requests, and faults · `authenticator.rs` EKS
//!   tokens ·
//!   `world.rs` a test's resources · `boto.rs` its calls of AWS
//! - `report.rs` the state when a wait fails · `keeper.rs` processes that end with the test
//!
//! Differences between the real servers and the lab, and what was changed (`answered.rs` compares both):
//! - A server-side apply of a field that the kind does not have is a 500, `failed to create typed patch object`, with
//!   any
//!   validation; the lab answered 400. The adapter took a 500 for an unanswered write and retried without end: now it
//!   is a refusal.
//! - Replacing a Lease that does not exist creates it, with any version; a ConfigMap is not created. The lab refused
//!   both.
//! - The controller's webhooks refuse a node selector with targets by IP, and name all bindings of a group that is
//!   already bound;
//!   now the lab's do too.
//! - A `Status` has no `reason` for a 500 and no empty `details`; for an unsupported value it repeats the value.
//! - A refused token was used for the rest of its 14 minutes: now it is replaced.
//!
//! Differences that remain: the real server answers an unknown path in plain text, a newly defined kind with 429 for a
//! moment, and
//! an invalid selector with 400; its webhooks read a group's IP type, VPC and protocol from AWS, which the lab's do
//! not.

mod api;
mod api_server_column;
mod authenticator;
mod boto;
mod cluster;
mod cluster_changes;
mod endpoint;
mod environment;
mod fixture;
mod gates;
mod ingress;
mod killed;
mod kubelet;
mod lab_comparison;
mod permissions;
mod plugin;
mod processes;
mod report;
mod schedulers;
mod setup;
mod staged;
mod store;
mod tokens;
mod watch;
mod webhooks;
