//! moto in the virtual environment.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The script that creates, prepares and reads load balancers.
pub const ELBV2: &str = "tests/support/elbv2.py";

/// A moto process, which is stopped when the value is dropped.
pub struct Moto {
    /// The URL of the moto process.
    pub url: String,
    child: Child,
}

impl Moto {
    /// Returns the running moto that concurrent tests share, or starts a new moto.
    pub fn shared(python: &Path) -> Arc<Self> {
        static RUNNING: Mutex<Weak<Moto>> = Mutex::new(Weak::new());
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(moto) = running.upgrade() {
            return moto;
        }
        let moto = Arc::new(Self::start(python));
        *running = Arc::downgrade(&moto);
        moto
    }

    /// Starts a new moto process.
    pub fn start(python: &Path) -> Self {
        let mut command = Command::new(python);
        command.arg("tests/support/serve_moto.py").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("moto should start");
        let mut url = String::new();
        BufReader::new(child.stdout.take().expect("the process should have a standard output"))
            .read_line(&mut url)
            .expect("moto should print its URL");
        assert!(url.starts_with("http://127.0.0.1:"), "moto should print a URL on 127.0.0.1");
        Self { url: url.trim().to_owned(), child }
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
