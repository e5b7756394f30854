//! The terminal of this process, if there is one: what it can do, questions to the operator, and printing that
//! tolerates a closed pipe.

use std::io::{self, BufRead, IsTerminal, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::{MultiProgress, ProgressDrawTarget};
use jiff::tz::TimeZone;

use super::render::fit::Screen;
use super::render::style::{Color, Style};
use super::render::wrap::wrap;
use super::state_option;
use crate::base::redact;

/// The error of a question that cannot be asked because there is no terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this command asks before it writes, but there is no terminal: add --yes")]
pub struct NoTerminal;

/// Returns whether standard output is a terminal.
pub fn stdout() -> bool {
    io::stdout().is_terminal()
}

/// Returns whether standard error is a terminal. Progress and questions are written to standard error.
pub fn stderr() -> bool {
    io::stderr().is_terminal()
}

/// Whether standard input is a terminal.
pub fn stdin() -> bool {
    io::stdin().is_terminal()
}

/// Returns the style of standard output, by `--color`, `NO_COLOR` and `TERM`. Times are in the time zone of the
/// machine.
pub fn style(color: Color) -> Style {
    style_for(color, stdout(), &console::Term::stdout())
}

/// Returns the style of standard error, by `--color`, `NO_COLOR` and `TERM`. Times are in the time zone of the machine.
pub fn style_err(color: Color) -> Style {
    style_for(color, stderr(), &console::Term::stderr())
}

fn style_for(color: Color, terminal: bool, screen: &console::Term) -> Style {
    let variable = |name| std::env::var(name).ok().filter(|v| !v.is_empty());
    let (no_color, term) = (variable("NO_COLOR"), variable("TERM"));
    let width = screen.size_checked().filter(|_| terminal).map(|(_, columns)| usize::from(columns));
    Style { zone: TimeZone::system(), width, ..Style::of(color, terminal, no_color.is_some(), term.as_deref()) }
}

/// Returns the size of the terminal on standard error, at least 40 columns; 100 by 24 without a terminal.
pub fn screen() -> Screen {
    console::Term::stderr().size_checked().map_or(Screen { width: 100, height: 24 }, |(rows, columns)| Screen {
        width: usize::from(columns).max(40),
        height: usize::from(rows),
    })
}

/// Returns the number of columns of the terminal on standard error; `None` without a terminal.
pub fn error_columns() -> Option<usize> {
    let size = console::Term::stderr().size_checked().filter(|_| stderr());
    size.map(|(_, columns)| usize::from(columns))
}

/// Returns the number of columns of the terminal on standard output; 80 without a terminal.
pub fn columns() -> usize {
    console::Term::stdout().size_checked().map_or(80, |(_, columns)| usize::from(columns))
}

/// Returns the number of lines of the terminal on standard output; 24 without a terminal.
pub fn rows() -> usize {
    console::Term::stdout().size_checked().map_or(24, |(rows, _)| usize::from(rows))
}

/// Returns the progress bars of this process, which are drawn on standard error and hidden if it is not a terminal.
pub fn bars() -> &'static MultiProgress {
    static BARS: OnceLock<MultiProgress> = OnceLock::new();
    BARS.get_or_init(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr()))
}

/// Returns whether a dashboard can be shown: both streams are terminals, and the terminal can move its cursor.
pub fn can_show_dashboard() -> bool {
    stdout() && stderr() && std::env::var("TERM").is_ok_and(|term| !term.is_empty() && term != "dumb")
}

/// Whether the dashboard is on the screen now, with its last line filled to the right edge.
static DASHBOARD_SHOWN: AtomicBool = AtomicBool::new(false);

/// Records whether the dashboard is on the screen.
pub fn set_dashboard_shown(shown: bool) {
    DASHBOARD_SHOWN.store(shown, Ordering::Relaxed);
}

/// Erases the `^C` that the terminal writes on a new line below the dashboard. Otherwise the dashboard would be one
/// line lower than expected, and its first line would stay on the screen.
pub fn erase_interrupt_echo() {
    if DASHBOARD_SHOWN.load(Ordering::Relaxed) && io::stdin().is_terminal() {
        let _ = write!(io::stderr().lock(), "\r\x1b[2K\x1b[1A");
    }
}

/// Prints a text and a newline on standard output, above the dashboard, with credentials removed. A closed pipe is not
/// a failure.
///
/// # Errors
/// Returns an error if standard output cannot be written for another reason, such as a full disk.
pub fn print(text: &str) -> io::Result<()> {
    bars().suspend(|| ignore_closed_pipe(writeln!(io::stdout().lock(), "{}", state_option::add(&redact::clean(text)))))
}

/// Prints a text and a newline on standard output as it is. Only for text whose credentials are made up: the lab's.
///
/// # Errors
/// As [`print()`].
pub fn print_as_is(text: &str) -> io::Result<()> {
    bars().suspend(|| ignore_closed_pipe(writeln!(io::stdout().lock(), "{text}")))
}

/// Prints a text and a newline on standard error, above the dashboard, with credentials removed, and wrapped at words.
/// Failures are ignored.
pub fn print_error(text: &str) {
    let text = wrap(&state_option::add(&redact::clean(text)), error_columns()).join("\n");
    let _ = bars().suspend(|| writeln!(io::stderr().lock(), "{text}"));
}

fn ignore_closed_pipe(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Asks a question on standard error and reads the answer from standard input; both must be terminals. Only `y` and
/// `yes` confirm.
///
/// # Errors
/// Returns [`NoTerminal`] if there is no terminal; the question was not asked.
pub fn confirm(question: &str) -> Result<bool, NoTerminal> {
    if !(io::stdin().is_terminal() && stderr()) {
        return Err(NoTerminal);
    }
    let question = wrap(question, Some(screen().width.saturating_sub(" [y/N] ".len()))).join("\n");
    Ok(bars().suspend(|| ask(&question, &mut io::stdin().lock(), &mut io::stderr().lock())).unwrap_or(false))
}

/// Asks for a word on standard error, and returns whether the answer is this word. Both streams must be terminals.
///
/// # Errors
/// Returns [`NoTerminal`] if there is no terminal; the question was not asked.
pub fn confirm_word(question: &str, word: &str) -> Result<bool, NoTerminal> {
    if !(io::stdin().is_terminal() && stderr()) {
        return Err(NoTerminal);
    }
    let question = wrap(question, Some(screen().width)).join("\n");
    Ok(bars().suspend(|| ask_word(&question, word, &mut io::stdin().lock(), &mut io::stderr().lock())).unwrap_or(false))
}

/// Asks a question on standard error, and returns the answer without spaces around it; empty at the end of the input.
/// Both streams must be terminals.
///
/// # Errors
/// Returns [`NoTerminal`] if there is no terminal; the question was not asked.
pub fn answer(question: &str) -> Result<String, NoTerminal> {
    if !(io::stdin().is_terminal() && stderr()) {
        return Err(NoTerminal);
    }
    let question = wrap(question, Some(screen().width)).join("\n");
    let read = || read_answer(&question, &mut io::stdin().lock(), &mut io::stderr().lock());
    Ok(bars().suspend(read).unwrap_or_default())
}

fn read_answer(question: &str, input: &mut impl BufRead, output: &mut impl Write) -> io::Result<String> {
    write!(output, "{question}\n> ")?;
    output.flush()?;
    let mut answer = String::new();
    input.read_line(&mut answer)?;
    Ok(answer.trim().to_owned())
}

fn ask_word(question: &str, word: &str, input: &mut impl BufRead, output: &mut impl Write) -> io::Result<bool> {
    Ok(read_answer(question, input, output)? == word)
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
    fn only_y_or_yes_confirms() {
        let answer = |text: &str| ask("Go?", &mut text.as_bytes(), &mut Vec::new()).unwrap();
        assert!(answer("y\n") && answer("YES\n"));
        assert!(!answer("\n") && !answer("") && !answer("yep\n") && !answer("no\n"));
    }

    #[test]
    fn only_the_word_confirms() {
        let answer = |text: &str| ask_word("Name?", "shop-b", &mut text.as_bytes(), &mut Vec::new()).unwrap();
        assert!(answer("shop-b\n") && answer(" shop-b \n"));
        assert!(!answer("y\n") && !answer("yes\n") && !answer("shop-a\n") && !answer("\n") && !answer(""));
    }

    #[test]
    fn closed_pipe_is_not_a_failure() {
        assert!(ignore_closed_pipe(Err(io::ErrorKind::BrokenPipe.into())).is_ok());
        assert!(ignore_closed_pipe(Err(io::ErrorKind::StorageFull.into())).is_err());
    }
}
