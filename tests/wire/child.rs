//! Runs `cutover` as a child process and returns its output and exit code.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

/// The result of a process.
pub struct ProcessResult {
    /// The exit code of the process.
    pub code: i32,
    /// The standard output of the process.
    pub out: String,
    /// The standard error of the process.
    pub err: String,
}

impl ProcessResult {
    /// Parses each line of the standard output as JSON.
    pub fn records(&self) -> Vec<Value> {
        self.out.lines().map(record).collect()
    }

    /// Asserts the exit code; a failure shows the output.
    pub fn assert_exit(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }
}

fn record(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))
}

/// Runs a command to its end.
pub fn run(mut command: Command) -> ProcessResult {
    follow(&mut command, |_| {})
}

/// Runs a command to its end and passes each line of its standard output to `seen`.
pub fn follow(command: &mut Command, mut seen: impl FnMut(&str)) -> ProcessResult {
    follow_process(command, |_, line| seen(line))
}

/// Runs a command; interrupts it, as `^C` does, after this many lines of its standard output that have this text.
pub fn interrupt_after(lines: usize, text: &str, mut command: Command) -> ProcessResult {
    let mut count = 0;
    follow_process(&mut command, |id, line| {
        count += usize::from(line.contains(text));
        if count == lines && line.contains(text) {
            let _ = Command::new("kill").args(["-s", "INT", &id.to_string()]).status();
        }
    })
}

/// Passes the process's id and each line of its standard output to `seen`.
fn follow_process(command: &mut Command, mut seen: impl FnMut(u32, &str)) -> ProcessResult {
    let mut child = command.spawn().expect("cutover should start");
    let alive = kill_when_hanging(&child);
    let mut stderr = child.stderr.take().expect("the process should have a standard error");
    let err = std::thread::spawn(move || {
        let mut text = String::new();
        stderr.read_to_string(&mut text).map(|_| text)
    });
    let mut out = String::new();
    for line in BufReader::new(child.stdout.take().expect("the process should have a standard output")).lines() {
        let line = line.expect("the output should be UTF-8");
        seen(child.id(), &line);
        out = out + &line + "\n";
    }
    let status = child.wait().expect("the process should end");
    drop(alive);
    let err = err.join().expect("standard error should be read").expect("the output should be UTF-8");
    let code = status.code().unwrap_or_else(|| panic!("{status}\nstdout:\n{out}\nstderr:\n{err}"));
    ProcessResult { code, out, err }
}

/// Kills a process that hangs, so that a defect fails the test instead of blocking it. The limit is no
/// measure of speed: other programs may use all processors.
fn kill_when_hanging(child: &Child) -> mpsc::Sender<()> {
    let (alive, ended) = mpsc::channel();
    let id = child.id().to_string();
    std::thread::spawn(move || {
        if ended.recv_timeout(Duration::from_hours(1)) == Err(mpsc::RecvTimeoutError::Timeout) {
            let _ = Command::new("kill").args(["-KILL", &id]).stdin(Stdio::null()).status();
        }
    });
    alive
}
