//! Paths of external programs, from the variables that the tiers of `tests/run` set. A test fails without its variable.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Returns the path in a variable that `tests/run` sets. `cargo test -- --ignored` also needs this variable.
pub fn variable(name: &str) -> PathBuf {
    let found = std::env::var_os(name).filter(|value| !value.is_empty());
    found
        .unwrap_or_else(|| panic!("{name} is not set: see ./tests/run, which sets it for the tiers that need it"))
        .into()
}

/// Returns a program of the virtual environment of `tests/requirements.txt`.
pub fn of_venv(name: &str) -> PathBuf {
    let program = variable("CUTOVER_VENV").join("bin").join(name);
    assert!(program.exists(), "{} does not exist: `./tests/run contract` creates it", program.display());
    program
}

/// Returns the path of the virtual environment's Python.
pub fn python() -> PathBuf {
    of_venv("python3")
}

/// Runs a Python script with these arguments and this input, and returns its output.
pub fn script(python: &Path, name: &str, args: &[&str], input: &str) -> Vec<u8> {
    let mut command = Command::new(python);
    command.arg(name).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = command.spawn().expect("Python should start");
    // A script that reads no input may have ended before this write.
    let written = child.stdin.take().expect("the process should have a standard input").write_all(input.as_bytes());
    let out = child.wait_with_output().expect("the process should end");
    assert!(out.status.success(), "{name} {args:?} {input} {written:?}");
    out.stdout
}
