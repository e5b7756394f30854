//! Follows the records of a run.

use serde_json::Value;

use crate::child::{ProcessResult, follow};
use crate::stack::fixture::StackFixture;

/// Runs a plan to its end and passes each record to `seen`.
pub fn run(fixture: &StackFixture, plan: &str, mut seen: impl FnMut(&Value)) -> ProcessResult {
    let mut command = fixture.cutover(&["run", plan, "--yes", "--output", "json"]);
    follow(&mut command, |line| seen(&serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))))
}

/// Whether the record is the start of this step.
pub fn begins(record: &Value, step: u64) -> bool {
    record["event"] == "stepStarted" && record["step"] == step
}

/// Whether the record is a wait whose message contains these words.
pub fn waits_for(record: &Value, words: &str) -> bool {
    let waits = || record["waits"].as_array().into_iter().flatten();
    record["event"] == "waiting" && waits().any(|w| w["message"].as_str().is_some_and(|m| m.contains(words)))
}
