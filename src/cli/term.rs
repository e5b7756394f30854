//! The terminal, as far as the process has one: what it can show, asking a person, printing without dying of a closed pipe.

use std::io::{self, BufRead, IsTerminal, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::{MultiProgress, ProgressDrawTarget};
use jiff::tz::TimeZone;

use super::render::style::{Color, Style};

/// Nobody can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this asks before it writes, and there is no terminal to ask on: add --yes")]
pub struct NoTerminal;

/// Whether a person reads standard output as it comes.
pub fn stdout() -> bool {
    io::stdout().is_terminal()
}

/// Whether a person reads standard error as it comes: where progress and questions go.
pub fn stderr() -> bool {
    io::stderr().is_terminal()
}

/// How to write on standard output, by `--color`, `NO_COLOR` and `TERM`; times are in the machine's zone.
pub fn style(color: Color) -> Style {
    style_for(color, stdout())
}

/// The same for standard error.
pub fn style_err(color: Color) -> Style {
    style_for(color, stderr())
}

fn style_for(color: Color, terminal: bool) -> Style {
    let variable = |name| std::env::var(name).ok().filter(|v| !v.is_empty());
    let (no_color, term) = (variable("NO_COLOR"), variable("TERM"));
    Style { zone: TimeZone::system(), ..Style::of(color, terminal, no_color.is_some(), term.as_deref()) }
}

/// Columns of the terminal on standard error; 100 where there is none.
pub fn width() -> usize {
    console::Term::stderr().size_checked().map_or(100, |(_, columns)| usize::from(columns).max(40))
}

/// The bars of this process, drawn on standard error and hidden where that is no terminal.
pub fn bars() -> &'static MultiProgress {
    static BARS: OnceLock<MultiProgress> = OnceLock::new();
    BARS.get_or_init(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr()))
}

/// Whether a picture that changes can be shown: both streams are the same person's terminal, and it can move its cursor.
pub fn pictures() -> bool {
    stdout() && stderr() && std::env::var("TERM").is_ok_and(|term| !term.is_empty() && term != "dumb")
}

/// Whether such a picture is on the screen now, its last line filled to the edge.
static PICTURE: AtomicBool = AtomicBool::new(false);

/// Says whether a picture is on the screen.
pub fn picture(shown: bool) {
    PICTURE.store(shown, Ordering::Relaxed);
}

/// Takes back the `^C` that the terminal itself has written behind the picture, on a line of its own: the picture would be a line lower than
/// it is thought to be, and leave its first one behind.
pub fn unecho() {
    if PICTURE.load(Ordering::Relaxed) && io::stdin().is_terminal() {
        let _ = write!(io::stderr().lock(), "\r\x1b[2K\x1b[1A");
    }
}

/// Prints a text and a newline on standard output, above the bars if there are any. A reader that went away is no failure.
///
/// # Errors
/// Where standard output cannot be written for another reason (a full disk).
pub fn print(text: &str) -> io::Result<()> {
    bars().suspend(|| tolerate(writeln!(io::stdout().lock(), "{text}")))
}

/// Prints a text and a newline on standard error, above the bars. There is nobody left to tell where that fails.
pub fn complain(text: &str) {
    let _ = bars().suspend(|| writeln!(io::stderr().lock(), "{text}"));
}

fn tolerate(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Asks on standard error and reads standard input, which must both be terminals; only `y` or `yes` is a yes.
///
/// # Errors
/// [`NoTerminal`]; then nothing was asked.
pub fn confirm(question: &str) -> Result<bool, NoTerminal> {
    if !(io::stdin().is_terminal() && stderr()) {
        return Err(NoTerminal);
    }
    Ok(bars().suspend(|| ask(question, &mut io::stdin().lock(), &mut io::stderr().lock())).unwrap_or(false))
}

fn ask(question: &str, input: &mut impl BufRead, output: &mut impl Write) -> io::Result<bool> {
    write!(output, "{question} [y/N] ")?;
    output.flush()?;
    let mut answer = String::new();
    input.read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_a_yes() {
        let answer = |text: &str| ask("Go?", &mut text.as_bytes(), &mut Vec::new()).unwrap();
        assert!(answer("y\n") && answer("YES\n"));
        assert!(!answer("\n") && !answer("") && !answer("yep\n") && !answer("no\n"));
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure() {
        assert!(tolerate(Err(io::ErrorKind::BrokenPipe.into())).is_ok());
        assert!(tolerate(Err(io::ErrorKind::StorageFull.into())).is_err());
    }
}
