//! Shows a long text on a terminal through the user's pager. Nothing that a person must see at once (questions, errors, progress) goes this way.

use std::io::{self, Write};
use std::process::{Command, Stdio};

use super::signals::Signals;
use super::term;

/// Options of `less` where the user has set none: leave at once if the text fits the screen, show colours, leave the text on the screen.
const LESS: &str = "FRX";

/// Prints a text on standard output; on a terminal that it does not fit, through `$PAGER` (else `less`). An empty `PAGER`, or `cat`, means no pager.
///
/// # Errors
/// Standard output cannot be written.
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

/// Gives a program a text on its standard input and waits for its end. `false`: the program could not be started, or knew nothing to do with it.
pub fn pipe(command: &[&str], text: &str) -> bool {
    // `^C` is for the pager: this process must stay until the pager has left the terminal.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let _guard = runtime.as_ref().ok().map(tokio::runtime::Runtime::enter);
    let _signals = Signals::listen();
    let [program, arguments @ ..] = command else { return false };
    let mut child = Command::new(program);
    child.args(arguments).stdin(Stdio::piped());
    if std::env::var_os("LESS").is_none() {
        child.env("LESS", LESS);
    }
    let Ok(mut child) = child.spawn() else { return false };
    if let Some(mut input) = child.stdin.take() {
        // The reader may leave before it has read everything.
        let _ = input.write_all(text.as_bytes()).and_then(|()| input.write_all(b"\n"));
    }
    // 126 and 127: the shell found no such program.
    child.wait().is_ok_and(|status| !matches!(status.code(), Some(126 | 127)))
}
