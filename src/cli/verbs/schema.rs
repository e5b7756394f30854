//! `cutover schema`: prints the JSON Schema of plans, generated from the types that parse them.

use crate::app::exit::{Exit, Failure};
use crate::cli::term;

/// Runs `cutover schema`.
pub fn run() -> Result<Exit, Failure> {
    let text = serde_json::to_string_pretty(&crate::plan::schema()).map_err(|e| Failure::new(Exit::Internal, e))?;
    let _ = term::print(&text);
    Ok(Exit::Done)
}
