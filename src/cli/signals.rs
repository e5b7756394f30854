//! The signals that ask a process to stop: SIGINT (`^C`), SIGTERM, and SIGHUP (a closed terminal).

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Listens for the signals that ask a process to stop.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    /// Starts to listen. From now on these signals no longer end the process.
    ///
    /// # Errors
    /// Returns an error if the operating system does not permit a signal handler.
    pub fn listen() -> io::Result<Self> {
        let [interrupt, terminate, hangup] =
            [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
        Ok(Self { interrupt: interrupt?, terminate: terminate?, hangup: hangup? })
    }

    /// Waits for the next signal.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => super::term::erase_interrupt_echo(),
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}
