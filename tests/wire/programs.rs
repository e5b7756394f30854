//! Programs of others, where the tier of `tests/run` that needs them says they are. A test that is run without its variable fails.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What `tests/run` sets in its tier, and `cargo test -- --ignored` needs.
pub fn variable(name: &str) -> PathBuf {
    let found = std::env::var_os(name).filter(|value| !value.is_empty());
    found
        .unwrap_or_else(|| panic!("{name} is not set: see ./tests/run, which sets it for the tiers that need it"))
        .into()
}

/// A program of the virtual environment with `tests/requirements.txt`.
pub fn of_venv(name: &str) -> PathBuf {
    let program = variable("CUTOVER_VENV").join("bin").join(name);
    assert!(program.exists(), "there is no {}: `./tests/run contract` makes it", program.display());
    program
}

/// The virtual environment's Python.
pub fn python() -> PathBuf {
    of_venv("python3")
}

/// What a script with these arguments prints for this input.
pub fn script(python: &Path, name: &str, args: &[&str], input: &str) -> Vec<u8> {
    let mut command = Command::new(python);
    command.arg(name).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = command.spawn().expect("python runs");
    // One that takes no input may have ended before it is given none.
    let written = child.stdin.take().expect("its stdin").write_all(input.as_bytes());
    let out = child.wait_with_output().expect("it ends");
    assert!(out.status.success(), "{name} {args:?} {input} {written:?}");
    out.stdout
}
