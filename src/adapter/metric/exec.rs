//! A metric source that runs a command and reads the exit code and JSON from standard output. The command has no shell,
//! no input and a time limit.
//!
//! Do not judge the result here.

use serde::Deserialize;

use super::fill::fill;
use super::{clipped, unreadable};
use crate::adapter::process::{self as command, CommandLine, CommandResult, Folder};
use crate::domain::metric::gate::{MeasuredValue, MeasurementRequest};
use crate::domain::metric::verdict::RequestCount;
use crate::plan::model::metric::{GateCondition, MetricCommand};

/// The JSON output of a command.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ExecOutput {
    message: Option<String>,
    value: Option<f64>,
    old: Option<SideOutput>,
    new: Option<SideOutput>,
}

/// The numbers of one cluster in the output.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(default)]
struct SideOutput {
    requests: u64,
    errors: u64,
    latency: Option<f64>,
}

/// Runs the command and returns the measured value.
pub async fn measure(source: &MetricCommand, folder: &Folder, measurement: &MeasurementRequest) -> MeasuredValue {
    let argv: Vec<String> =
        source.command.iter().map(|word| fill(word, measurement, &measurement.new.cluster)).collect();
    let variables = vec![
        ("CUTOVER_GATE", measurement.gate.name.clone()),
        ("CUTOVER_OLD", measurement.old.cluster.clone()),
        ("CUTOVER_NEW", measurement.new.cluster.clone()),
        ("CUTOVER_SINCE", measurement.from.to_string()),
        ("CUTOVER_UNTIL", measurement.to.to_string()),
    ];
    let (input, timeout) = (String::new(), source.timeout);
    match command::run(CommandLine { argv: &argv, variables, input, timeout, folder }).await {
        Ok(ended) => value_from_output(&measurement.gate.condition, &ended),
        Err(why) => unreadable(why),
    }
}

fn value_from_output(judge: &GateCondition, ended: &CommandResult) -> MeasuredValue {
    let output = serde_json::from_slice::<ExecOutput>(&ended.stdout).ok();
    let message = output.as_ref().and_then(|s| s.message.as_deref()).map(clipped);
    if *judge == GateCondition::State {
        return MeasuredValue::State {
            well: ended.code == 0,
            message: message.unwrap_or_else(|| clipped(&ended.failure())),
        };
    }
    if ended.code != 0 {
        return unreadable(message.unwrap_or_else(|| clipped(&ended.failure())));
    }
    let Some(output) = output else { return unreadable("the output of the command is not a JSON object") };
    let nothing = |what: &str| MeasuredValue::Nothing {
        message: message.clone().unwrap_or_else(|| format!("the output of the command has no {what}")),
    };
    let count = |half: SideOutput| RequestCount { requests: half.requests, errors: half.errors.min(half.requests) };
    match judge {
        GateCondition::ErrorRate(_) | GateCondition::Share { .. } => match (output.old, output.new) {
            (Some(old), Some(new)) => MeasuredValue::Counts { old: count(old), new: count(new) },
            _ => nothing("`old` and `new`"),
        },
        GateCondition::Latency(_) => match (output.old.and_then(|h| h.latency), output.new.and_then(|h| h.latency)) {
            (Some(old), Some(new)) => MeasuredValue::Latencies { old, new },
            _ => nothing("`latency` of both clusters"),
        },
        GateCondition::Condition { .. } | GateCondition::State => output
            .value
            .filter(|v| v.is_finite())
            .map_or_else(|| nothing("`value`"), |value| MeasuredValue::Value { value }),
    }
}
