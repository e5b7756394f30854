//! `cutover completions`: a completion script on standard output.

use crate::app::exit::{Exit, Failure};
use crate::cli::args::{Completions, Cutover};
use crate::cli::term;

/// Prints the script for a shell.
///
/// # Errors
/// Where standard output cannot be written.
pub fn run(args: &Completions) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cutover::definition("cutover".as_ref()), "cutover", &mut script);
    term::print(String::from_utf8_lossy(&script).trim_end()).map_err(|e| Failure::new(Exit::Internal, e))?;
    Ok(Exit::Done)
}
