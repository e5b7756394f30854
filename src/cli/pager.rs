//! Shows a long text on a terminal with the user's pager. Texts that a person must see at once (questions, errors,
//! progress) must not use the pager.

use std::io::{self, Write};
use std::process::{Command, Stdio};

use super::signals::Signals;
use super::term;

/// Options of `less` if the user has set none: exit at once if the text fits the screen, show colors, leave the text on
/// the screen.
const LESS_OPTIONS: &str = "FRX";

/// Prints a text on standard output. If standard output is a terminal and the text does not fit, shows the text with
/// `$PAGER` (default `less`). An empty `PAGER`, or `cat`, disables the pager.
///
/// # Errors
/// Returns an error if standard output cannot be written.
pub fn show(text: &str) -> io::Result<()> {
    if !term::stdout() || text.lines().count() < term::rows() {
        return term::print(text);
    }
    let pager = std::env::var("PAGER").unwrap_or_else(|_| "less".into());
    if pager.trim().is_empty() || pager.trim() == "cat" || !pipe(&["sh", "-c", &pager], text) {
        return term::print(text);
    }
    Ok(())
}

/// Runs a program with this text as its standard input and waits until it ends. Returns `false` if the program cannot
/// be started or is not found by the shell.
pub fn pipe(command: &[&str], text: &str) -> bool {
    // `^C` is for the pager: this process must continue until the pager has left the terminal.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let _guard = runtime.as_ref().ok().map(tokio::runtime::Runtime::enter);
    let _signals = Signals::listen();
    let [program, arguments @ ..] = command else { return false };
    let mut child = Command::new(program);
    child.args(arguments).stdin(Stdio::piped());
    if std::env::var_os("LESS").is_none() {
        child.env("LESS", LESS_OPTIONS);
    }
    let Ok(mut child) = child.spawn() else { return false };
    if let Some(mut input) = child.stdin.take() {
        // The pager may exit before it has read everything.
        let _ = input.write_all(text.as_bytes()).and_then(|()| input.write_all(b"\n"));
    }
    // The exit codes 126 and 127 mean that the shell found no such program.
    child.wait().is_ok_and(|status| !matches!(status.code(), Some(126 | 127)))
}
