//! A `cutover` process: what it said and how it ended.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

/// A process that ended.
pub struct Ended {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Ended {
    /// Standard output as JSON lines.
    pub fn records(&self) -> Vec<Value> {
        self.out.lines().map(record).collect()
    }

    /// Asserts the exit code, showing what was said otherwise.
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }
}

fn record(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))
}

/// Runs it to its end.
pub fn run(mut command: Command) -> Ended {
    follow(&mut command, |_| {})
}

/// Runs it to its end, and shows each line of its standard output as it comes.
pub fn follow(command: &mut Command, mut seen: impl FnMut(&str)) -> Ended {
    let mut child = command.spawn().expect("cutover starts");
    let alive = watch(&child);
    let mut stderr = child.stderr.take().expect("its stderr");
    let err = std::thread::spawn(move || {
        let mut text = String::new();
        stderr.read_to_string(&mut text).map(|_| text)
    });
    let mut out = String::new();
    for line in BufReader::new(child.stdout.take().expect("its stdout")).lines() {
        let line = line.expect("UTF-8");
        seen(&line);
        out = out + &line + "\n";
    }
    let status = child.wait().expect("it ends");
    drop(alive);
    let err = err.join().expect("read").expect("UTF-8");
    let code = status.code().unwrap_or_else(|| panic!("{status}\nstdout:\n{out}\nstderr:\n{err}"));
    Ended { code, out, err }
}

/// Kills a process that hangs, so that a broken build fails rather than waits.
fn watch(child: &Child) -> mpsc::Sender<()> {
    let (alive, ended) = mpsc::channel();
    let id = child.id().to_string();
    std::thread::spawn(move || {
        if ended.recv_timeout(Duration::from_mins(5)) == Err(mpsc::RecvTimeoutError::Timeout) {
            let _ = Command::new("kill").args(["-KILL", &id]).stdin(Stdio::null()).status();
        }
    });
    alive
}
