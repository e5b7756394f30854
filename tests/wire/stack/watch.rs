//! Following a run: records as they come, and what a test does when it sees one.

use serde_json::Value;

use crate::child::{Ended, follow};
use crate::stack::world::World;

/// Runs a plan to its end, and shows each record as it comes.
pub fn run(world: &World, plan: &str, mut seen: impl FnMut(&Value)) -> Ended {
    let mut command = world.cutover(&["run", plan, "--yes", "--output", "json"]);
    follow(&mut command, |line| seen(&serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))))
}

/// Whether it says that this step has begun.
pub fn begins(record: &Value, step: u64) -> bool {
    record["event"] == "stepStarted" && record["step"] == step
}

/// Whether it says that the run waits, in words that hold these.
pub fn waits_for(record: &Value, words: &str) -> bool {
    let waits = || record["waits"].as_array().into_iter().flatten();
    record["event"] == "waiting" && waits().any(|w| w["message"].as_str().is_some_and(|m| m.contains(words)))
}
