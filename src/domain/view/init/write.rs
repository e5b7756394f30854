//! Writes the plan for a request and the facts that were read.

use super::model::{InitError, InitFacts, InitRequest};
use super::{pairs, yaml};
use crate::domain::elb::balancer::LoadBalancer;

/// Returns the plan's YAML, with comments at the top.
///
/// # Errors
/// The facts do not fit the request.
pub fn write(request: &InitRequest, seen: &InitFacts) -> Result<String, InitError> {
    let LoadBalancer { name, kind, .. } = &seen.load_balancer;
    if kind != "application" {
        return Err(InitError::OtherType { load_balancer: name.clone(), kind: kind.clone() });
    }
    let found = pairs::find(request, seen)?;
    yaml::write(request, seen, &found)
}
