//! Writes the plan for a request and the facts that were read.

use super::model::{InitError, InitFacts, InitRequest};
use super::{pairs, yaml};
use crate::domain::elb::other_type::{other_type, refusal};

/// Returns the plan's YAML, with comments at the top.
///
/// # Errors
/// The facts do not fit the request.
pub fn write(request: &InitRequest, seen: &InitFacts) -> Result<String, InitError> {
    let load_balancer = &seen.load_balancer;
    if let Some(kind) = other_type(load_balancer) {
        return Err(InitError::OtherType(refusal(&load_balancer.name, kind)));
    }
    let found = pairs::find(request, seen)?;
    yaml::write(request, seen, &found)
}
