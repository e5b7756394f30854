//! A command: its exit code, and what it says as JSON on stdout. No shell, no input, and an end.

use std::process::Stdio;

use serde::Deserialize;
use tokio::process::{Child, Command};

use super::fill::fill;
use super::{clipped, unreadable};
use crate::domain::gate::metric::{Question, Seen};
use crate::domain::verdict::Count;
use crate::plan::model::metric::{Exec, Judge};

/// What a command may say.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Said {
    message: Option<String>,
    value: Option<f64>,
    old: Option<Half>,
    new: Option<Half>,
}

/// What it says of a side.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(default)]
struct Half {
    requests: u64,
    errors: u64,
    latency: Option<f64>,
}

/// Answers a question.
pub async fn ask(source: &Exec, question: &Question) -> Seen {
    let words: Vec<String> = source.command.iter().map(|word| fill(word, question, &question.new.cluster)).collect();
    let Some((program, arguments)) = words.split_first() else { return unreadable("there is no command") };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true).process_group(0);
    command.env("CUTOVER_GATE", &question.gate.name).env("CUTOVER_OLD", &question.old.cluster).env("CUTOVER_NEW", &question.new.cluster);
    command.env("CUTOVER_SINCE", question.from.to_string()).env("CUTOVER_UNTIL", question.to.to_string());
    let child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return unreadable(format!("{program}: {error}")),
    };
    let family = Family::of(&child);
    let output = tokio::time::timeout(source.timeout, child.wait_with_output()).await;
    drop(family);
    match output {
        Err(_) => unreadable(format!("{program} takes longer than {} s", source.timeout.as_secs())),
        Ok(Err(error)) => unreadable(format!("{program}: {error}")),
        Ok(Ok(output)) => match output.status.code() {
            None => unreadable(format!("{program} was killed")),
            Some(code) => seen(&question.gate.judge, code, &output.stdout),
        },
    }
}

/// A command's process group: what it started ends with it.
pub struct Family(Option<u32>);

impl Family {
    /// Of a child that leads a group of its own.
    pub fn of(child: &Child) -> Self {
        Self(child.id())
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        let pid = self.0.and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
        }
    }
}

fn seen(judge: &Judge, code: i32, stdout: &[u8]) -> Seen {
    let said = serde_json::from_slice::<Said>(stdout).ok();
    let message = said.as_ref().and_then(|s| s.message.as_deref()).map(clipped);
    if *judge == Judge::State {
        return Seen::State { well: code == 0, message: message.unwrap_or_else(|| format!("exit code {code}")) };
    }
    if code != 0 {
        return unreadable(message.unwrap_or_else(|| format!("exit code {code}")));
    }
    let Some(said) = said else { return unreadable("its output is no JSON object") };
    let nothing = |what: &str| Seen::Nothing { message: message.clone().unwrap_or_else(|| format!("its output has no {what}")) };
    let count = |half: Half| Count { requests: half.requests, errors: half.errors.min(half.requests) };
    match judge {
        Judge::ErrorRate(_) | Judge::Share { .. } => match (said.old, said.new) {
            (Some(old), Some(new)) => Seen::Counts { old: count(old), new: count(new) },
            _ => nothing("`old` and `new`"),
        },
        Judge::Latency(_) => match (said.old.and_then(|h| h.latency), said.new.and_then(|h| h.latency)) {
            (Some(old), Some(new)) => Seen::Latencies { old, new },
            _ => nothing("`latency` of both sides"),
        },
        Judge::Condition { .. } | Judge::State => {
            said.value.filter(|v| v.is_finite()).map_or_else(|| nothing("`value`"), |value| Seen::Value { value })
        }
    }
}
