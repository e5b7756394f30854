//! `cutover completions`: prints a completion script on standard output.

use clap::Args;

use crate::app::exit::{Exit, Failure};
use crate::cli::term;

/// The arguments of `cutover completions`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Completions {
    /// The shell
    pub shell: clap_complete::Shell,
}

/// Prints the completion script for a shell.
///
/// # Errors
/// Returns a failure if standard output cannot be written.
pub fn run(args: &Completions, mut definition: clap::Command) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut definition, "cutover", &mut script);
    term::print(String::from_utf8_lossy(&script).trim_end()).map_err(|e| Failure::new(Exit::Internal, e))?;
    Ok(Exit::Done)
}
