//! Writes the plan for the facts that were read.

use super::model::{InitError, InitFacts, InitRequest};
use super::{pairs, yaml};

/// The plan's YAML, with comments at the top.
///
/// # Errors
/// The facts do not fit the request.
pub fn write(request: &InitRequest, seen: &InitFacts) -> Result<String, InitError> {
    let found = pairs::find(request, seen)?;
    yaml::write(request, seen, &found)
}
