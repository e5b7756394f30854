//! The log, on standard error, above the bars.

use std::io::{self, Write};

use tracing_subscriber::EnvFilter;

use super::args::LogLevel;
use super::term;

/// Starts logging, once a process. Only this crate's own words follow `level`: below warnings the libraries would print requests, and with
/// them credentials.
pub fn start(level: LogLevel, ansi: bool) {
    let name = match level {
        LogLevel::Off => return,
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    };
    let filter = EnvFilter::new(format!("error,cutover={name}"));
    // A second start (tests in one process) changes nothing.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(ansi)
        .with_target(false)
        .with_writer(|| Above)
        .try_init();
}

/// Standard error, with the bars out of the way.
struct Above;

impl Write for Above {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        term::bars().suspend(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
