//! The log on standard error, above the dashboard.

use std::io::{self, Write};

use tracing_subscriber::EnvFilter;

use super::args::LogLevel;
use super::term;
use crate::base::redact;

/// Starts logging, once a process. `level` applies only to this crate: libraries log errors only, because their more
/// detailed levels print requests with credentials.
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
        .with_writer(|| LogWriter)
        .try_init();
}

/// Standard error, without credentials; the dashboard is suspended while it writes.
struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let clean = String::from_utf8_lossy(bytes);
        let clean = redact::clean(&clean);
        term::bars().suspend(|| io::stderr().write_all(clean.as_bytes()))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
