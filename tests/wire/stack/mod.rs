//! Tier `stack`: complete cutovers with two real Kubernetes API servers, two real AWS Load Balancer Controllers, and
//! moto as AWS. There are no containers.
//!
//! `tests/run stack` builds everything and runs all tests. To run one test after that:
//!
//! ```sh
//! export CUTOVER_VENV=~/.cache/cutover/venv CUTOVER_STACK=$(tests/stack/programs/build ~/.cache/cutover)
//! cargo test --test wire stack_name_of_the_test -- --ignored --nocapture
//! ```
//!
//! One [`environment::Stack`] serves most tests of a process. Another stack serves the tests that kill parts of it, one
//! after the other. A stack takes about fifteen seconds to start, and ends with the process. A test begins with
//! [`fixture::StackFixture::new`] (a separate namespace, load balancer, target groups and plan), or with
//! [`fixture::StackFixture::with_own_stack`] if it kills something. Tests mostly wait, so that many at a time take no
//! longer than few.
//!
//! - `environment.rs`: the stacks
//! - `cluster.rs`, `setup.rs`: a cluster, its processes and its audit log
//! - `kubelet.rs`: the status of the pods
//! - `api.rs`: the objects of a cluster in JSON
//! - `endpoint`: AWS, with recorded requests and faults
//! - `authenticator.rs`: EKS tokens
//! - `fixture.rs`: the resources of a test; `boto.rs`: its calls of AWS
//! - `compare.rs`, `compare_platform.rs`: `cutover compare`, its facts of Kubernetes, and those of AWS and dry-runs;
//!   `compare_scale.rs`: with many objects, also for `tests/bench/compare`
//! - `hand_over`: CronJobs and workers, whose program is killed at its calls
//! - `report.rs`: the state when a wait fails
//! - `processes.rs`: processes that end with the tests
//!
//! `tests/CONTRACTS.md` lists the differences between the real servers and the lab that were found; `lab_comparison.rs`
//! compares the lab with a real server.

mod api;
mod api_server_column;
mod authenticator;
mod boto;
mod cluster;
mod cluster_changes;
mod compare;
mod compare_gate;
mod compare_memory;
mod compare_platform;
mod compare_scale;
mod endpoint;
mod endpoint_watch;
mod environment;
mod fixture;
mod gates;
mod hand_over;
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
