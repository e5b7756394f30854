//! Processes that end with this process: `keeper.py` starts them, and kills them when its pipe is closed for any
//! reason.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

/// Starts and kills processes by name. The output of a process is in `FOLDER/NAME.log`.
pub struct Processes {
    /// The working folder, which is removed at the end.
    pub folder: PathBuf,
    pipes: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    _child: Child,
}

impl Processes {
    /// Creates an empty set of processes with a new working folder.
    pub fn new(python: &Path) -> Self {
        let folder =
            tempfile::Builder::new().prefix("cutover-stack-").tempdir().expect("the folder should be created").keep();
        let mut command = Command::new(python);
        command.arg("tests/wire/stack/keeper.py").arg(&folder).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("Python should start");
        let pipes = (
            child.stdin.take().expect("the process should have a standard input"),
            BufReader::new(child.stdout.take().expect("the process should have a standard output")),
        );
        Self { folder, pipes: Mutex::new(pipes), _child: child }
    }

    /// Starts a program with only these environment variables.
    pub fn start(&self, name: &str, argv: &[String], env: &[(&str, String)]) {
        let env: serde_json::Map<_, _> = env.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect();
        self.ask(&json!({"start": name, "argv": argv, "env": env}));
    }

    /// Kills a process (`kill -9`) and waits for its end.
    pub fn kill(&self, name: &str) {
        self.ask(&json!({"kill": name}));
    }

    /// Stops a process until [`Self::thaw`]: the process exists and does not respond.
    pub fn freeze(&self, name: &str) {
        self.ask(&json!({"stop": name}));
    }

    /// Continues a process after [`Self::freeze`].
    pub fn thaw(&self, name: &str) {
        self.ask(&json!({"continue": name}));
    }

    /// Panics with the end of the log if the process has ended.
    pub fn assert_running(&self, name: &str) {
        let ended = self.ended(name);
        assert!(ended.is_none(), "{name} ended with {ended:?}:\n{}", self.tail(name));
    }

    /// Returns the exit code of a process that ended; negative for a signal.
    pub fn ended(&self, name: &str) -> Option<i64> {
        self.ask(&json!({"ended": name}))["code"].as_i64()
    }

    /// Returns the last lines of a process's log.
    pub fn tail(&self, name: &str) -> String {
        let log = self.log(name);
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    /// Returns the complete log of a process, including earlier starts.
    pub fn log(&self, name: &str) -> String {
        String::from_utf8_lossy(&std::fs::read(self.folder.join(format!("{name}.log"))).unwrap_or_default())
            .into_owned()
    }

    fn ask(&self, question: &Value) -> Value {
        let mut pipes = self.pipes.lock().unwrap_or_else(PoisonError::into_inner);
        let (stdin, stdout) = &mut *pipes;
        writeln!(stdin, "{question}").expect("the keeper should read its input");
        let mut answer = String::new();
        stdout.read_line(&mut answer).expect("the keeper should respond");
        serde_json::from_str(&answer).unwrap_or_else(|e| panic!("{question}: {e}: {answer:?}"))
    }
}
