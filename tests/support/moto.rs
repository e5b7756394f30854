//! A moto in the virtual environment of `tests/requirements.txt`, and the scripts that furnish it.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Makes, furnishes and shows load balancers.
pub const ELBV2: &str = "tests/support/elbv2.py";

/// What a script with these arguments prints for this input.
pub fn script(python: &Path, name: &str, args: &[&str], input: &str) -> Vec<u8> {
    let mut command = Command::new(python);
    command.arg(name).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = command.spawn().expect("python runs");
    // One that takes no input may have ended before it is given none.
    let written = child.stdin.take().expect("its stdin").write_all(input.as_bytes());
    let out = child.wait_with_output().expect("it ends");
    assert!(out.status.success(), "{name} {args:?} {input} {written:?}");
    out.stdout
}

/// The virtual environment's Python; without one the test says so and passes, except in CI.
pub fn python() -> Option<PathBuf> {
    let cache = || {
        let base =
            std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
        std::env::var_os("CUTOVER_CACHE").map(PathBuf::from).or_else(|| Some(base?.join("cutover"))).map(|c| c.join("venv"))
    };
    let python = std::env::var_os("CUTOVER_VENV").map(PathBuf::from).or_else(cache).map(|venv| venv.join("bin/python3"));
    if let Some(found) = python.filter(|p| p.exists()) {
        return Some(found);
    }
    let reason = "no virtual environment with tests/requirements.txt in $CUTOVER_VENV or the cache; tests/run makes one";
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{reason}");
    println!("SKIPPED: {reason}");
    None
}

/// A moto of this process, stopped with the last test that uses it.
pub struct Moto {
    /// Its endpoint.
    pub url: String,
    child: Child,
}

impl Moto {
    /// The one that runs, or a new one.
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

    fn start(python: &Path) -> Self {
        let mut command = Command::new(python);
        command.arg("tests/support/serve_moto.py").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("moto starts");
        let mut url = String::new();
        BufReader::new(child.stdout.take().expect("its stdout")).read_line(&mut url).expect("moto says its URL");
        assert!(url.starts_with("http://127.0.0.1:"), "moto did not start");
        Self { url: url.trim().to_owned(), child }
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
