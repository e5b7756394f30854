//! The signals that ask a process to end: `^C`, a polite end from whoever started it, and a terminal that was closed.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Listens from when it was made.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    /// Begins to listen; from now on these signals do not end the process by themselves.
    ///
    /// # Errors
    /// The system refuses.
    pub fn listen() -> io::Result<Self> {
        let [interrupt, terminate, hangup] =
            [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
        Ok(Self { interrupt: interrupt?, terminate: terminate?, hangup: hangup? })
    }

    /// The next one of them.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => super::term::unecho(),
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}
