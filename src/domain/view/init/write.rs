//! The plan over what was found.

use super::model::{InitError, Request, Seen};
use super::{pairs, yaml};

/// The plan's YAML, with comments on top.
///
/// # Errors
/// [`InitError`] says what was found where the request does not fit.
pub fn write(request: &Request, seen: &Seen) -> Result<String, InitError> {
    let found = pairs::find(request, seen)?;
    yaml::write(request, seen, &found)
}
