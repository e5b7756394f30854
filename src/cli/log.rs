//! The log on standard error, printed above the dashboard.

use std::io::{self, Write};

use tracing_subscriber::EnvFilter;

use super::args::LogLevel;
use super::render::wrap::hang;
use super::term;
use crate::base::redact;

/// Starts the log; later calls have no effect. `level` applies only to this crate: libraries log only errors, because
/// their more detailed levels print requests with credentials.
pub fn start(level: LogLevel, ansi: bool) {
    let name = match level {
        LogLevel::Off => return,
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    };
    let filter = EnvFilter::new(directives(name));
    // A second start (several tests in one process) changes nothing.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(ansi)
        .with_target(false)
        .with_writer(|| LogWriter)
        .try_init();
}

/// Returns the filter. The runtime of the AWS SDK logs an error for each response with status 5xx, because connections
/// of this process are not its own.
fn directives(level: &str) -> String {
    format!("error,aws_smithy_runtime=off,cutover={level}")
}

/// Writes the log to standard error with credentials removed. Suspends the dashboard during each write.
struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let clean = String::from_utf8_lossy(bytes);
        let text = wrapped(&redact::clean(&clean), term::error_columns());
        term::bars().suspend(|| io::stderr().write_all(text.as_bytes()))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Wraps a record of the log, which ends with a newline; further lines are indented.
fn wrapped(record: &str, width: Option<usize>) -> String {
    match record.strip_suffix('\n') {
        Some(line) => hang("", 4, line, width) + "\n",
        None => record.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runtime_of_the_aws_sdk_logs_nothing() {
        let filter: EnvFilter = directives("info").parse().expect("a valid filter");
        assert!(filter.to_string().contains("aws_smithy_runtime=off"), "{filter}");
    }

    #[test]
    fn records_are_wrapped_at_words() {
        let record = "2026-03-01T14:02:09Z  WARN the tag cutover.dev/run on arn:aws:x cannot be removed: throttled\n";
        let text = wrapped(record, Some(60));
        assert_eq!(
            text,
            "2026-03-01T14:02:09Z  WARN the tag cutover.dev/run on\n    arn:aws:x cannot be removed: throttled\n"
        );
        assert_eq!(wrapped(record, None), record);
    }
}
