//! The binary from end to end against moto: a load balancer that boto3 made is moved and put back, and boto3 says what changed.
//!
//! Names begin with `moto_`: these need the virtual environment of `tests/requirements.txt` (see `tests/run`).

#[path = "moto_run/child.rs"]
mod child;
#[path = "moto_run/compare.rs"]
mod compare;
#[path = "moto_run/emergency.rs"]
mod emergency;
#[path = "moto_run/finalized.rs"]
mod finalized;
#[path = "moto_run/glass.rs"]
mod glass;
#[path = "moto_run/looking.rs"]
mod looking;
#[path = "support/moto.rs"]
mod moto;
#[expect(dead_code, reason = "the adapter's contract asks for more")]
#[path = "contract/proxy.rs"]
mod proxy;
#[path = "moto_run/refusals.rs"]
mod refusals;
#[path = "moto_run/staged.rs"]
mod staged;
#[path = "moto_run/world.rs"]
mod world;
