//! The binary: parse, run, print the error chain, exit code; nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    cutover::cli::run(std::env::args_os()).into()
}
