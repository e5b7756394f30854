//! Tier `stack`: whole cutovers on what nobody here wrote: two real Kubernetes API servers, two real AWS Load Balancer Controllers, moto for AWS. No containers.
//!
//! All of them, from nothing: `tests/run stack`. One of them, once that has built the programs:
//!
//! ```sh
//! CUTOVER_VENV=~/.cache/cutover/venv CUTOVER_STACK=$(tests/stack/programs/build ~/.cache/cutover) cargo test --test wire stack_name_of_the_test -- --ignored --nocapture
//! ```
//!
//! One [`stack::Stack`] serves all tests of a process, and another one those that kill parts of it, one after the other: a stack takes some fifteen
//! seconds to start, and nothing of it outlives the process. A test begins with [`world::World::new`] (a namespace, a load balancer, target groups and a
//! plan of its own), or with [`world::World::alone`] if it kills something. Mostly they wait: many at a time take no longer than few.
//!
//! - `stack.rs` what runs · `cluster.rs`, `setup.rs` a cluster, its processes and its audit log · `kubelet.rs` what is said of pods
//! - `api.rs` a cluster's objects in JSON · `endpoint.rs` AWS: who asked for what, and faults · `authenticator.rs` EKS tokens · `world.rs` what a test has · `boto.rs` what it asks of AWS
//! - `report.rs` what there is when a world does not come to be · `keeper.rs` processes that die with the test
//!
//! What the real thing did otherwise than the lab, and what was changed for it (`answered.rs` asks both the same):
//! - A server-side apply of a field that the kind does not have is a 500, `failed to create typed patch object`, whatever validation was asked for; the
//!   lab said 400. The adapter took a 500 for an unanswered write and would have tried for ever: it is a refusal now.
//! - A Lease is created by replacing one that is not there, whatever version that names; a ConfigMap is not. The lab refused both.
//! - The controller's webhooks refuse a node selector with targets by IP, and name all bindings of a group that is bound already; the lab's now too.
//! - A `Status` has no `reason` for a 500 and no empty `details`; of an unsupported value it repeats the value.
//! - A token that is refused was kept for the rest of its 14 minutes: it is signed anew now.
//!
//! Left as they are: the real one answers a path that it does not have in plain text, a kind that was just defined with 429 for a moment, and a selector
//! that does not parse with 400; its webhooks ask AWS for a group's IP type, VPC and protocol, for which the lab's have nobody to ask.

mod answered;
mod answers;
mod api;
mod authenticator;
mod boto;
mod cluster;
mod endpoint;
mod environment;
mod gates;
mod ingress;
mod keeper;
mod killed;
mod kubelet;
mod permissions;
mod plugin;
mod report;
mod schedulers;
mod setup;
mod staged;
mod store;
mod tokens;
mod trouble;
mod watch;
mod webhooks;
mod world;
