//! A command: its exit code, and what it says as JSON on stdout. No shell, no input, and an end.

use serde::Deserialize;

use super::fill::fill;
use super::{clipped, unreadable};
use crate::adapter::process::{self as command, Line};
use crate::domain::metric::gate::{Question, Seen};
use crate::domain::metric::verdict::Count;
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
    let variables = vec![
        ("CUTOVER_GATE", question.gate.name.clone()),
        ("CUTOVER_OLD", question.old.cluster.clone()),
        ("CUTOVER_NEW", question.new.cluster.clone()),
        ("CUTOVER_SINCE", question.from.to_string()),
        ("CUTOVER_UNTIL", question.to.to_string()),
    ];
    match command::run(Line { words: &words, variables, input: String::new(), timeout: source.timeout }).await {
        Ok((code, stdout)) => seen(&question.gate.judge, code, &stdout),
        Err(why) => unreadable(why),
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
    let nothing =
        |what: &str| Seen::Nothing { message: message.clone().unwrap_or_else(|| format!("its output has no {what}")) };
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
