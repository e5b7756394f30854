//! The binary: parses the command line, runs the command, prints the error chain and returns the exit code. Do not add
//! anything else.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cutover::cli::run(std::env::args_os()).into()
}
