//! boto3 in a separate process (`boto.py`) for all tests. The process ends when its pipe is closed.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

/// The boto3 process, which handles one call at a time.
pub struct Boto {
    pipes: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    _child: Child,
}

impl Boto {
    /// Starts the process with this Python.
    pub fn start(python: &Path) -> Self {
        let mut command = Command::new(python);
        let mut child = command
            .arg("tests/wire/stack/boto.py")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python should start");
        let pipes = (
            child.stdin.take().expect("the process should have a standard input"),
            BufReader::new(child.stdout.take().expect("the process should have a standard output")),
        );
        Self { pipes: Mutex::new(pipes), _child: child }
    }

    /// Makes the calls `[[service, method, parameters], ...]` at `url`, and returns the responses.
    pub fn call(&self, url: &str, calls: &Value) -> Vec<Value> {
        let answers = self.ask(&json!({"url": url, "calls": calls}));
        answers.as_array().expect("the responses should be a list").clone()
    }

    /// Creates at `url` the resources of `create` in `tests/support/elbv2.py`.
    pub fn create(&self, url: &str, prefix: &str) {
        self.ask(&json!({"url": url, "create": prefix}));
    }

    fn ask(&self, question: &Value) -> Value {
        let mut answer = String::new();
        {
            let mut pipes = self.pipes.lock().unwrap_or_else(PoisonError::into_inner);
            writeln!(pipes.0, "{question}").expect("the boto3 process should read its input");
            pipes.1.read_line(&mut answer).expect("the boto3 process should respond");
        }
        let mut answer: Value = serde_json::from_str(&answer).unwrap_or_else(|e| panic!("{question}: {e}: {answer:?}"));
        assert!(answer["error"].is_null(), "{question}: {}", answer["error"].as_str().unwrap_or_default());
        answer["answers"].take()
    }
}
