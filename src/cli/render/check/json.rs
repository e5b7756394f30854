//! Renders the report of `check` as JSON: one object per line, each with an `event`.

use serde_json::{Map, Value, json as object};

use crate::base::finding::Severity;
use crate::domain::view::check::{CheckReport, RouteLine, StepLine};

/// Returns the lines, each with a newline at the end. Events: `step`, `hook`, `gate`, `notification`, `hours`, `finding`,
/// `route`, `skipped`, and at the end `summary`.
pub fn json(report: &CheckReport) -> String {
    let mut lines: Vec<Value> = report.steps.iter().map(step).collect();
    lines.extend(report.hooks.iter().map(|h| event("hook", h)));
    lines.extend(report.gates.iter().map(|gate| event("gate", gate)));
    lines.extend(report.notifications.iter().map(|n| event("notification", n)));
    lines.extend((!report.hours.is_empty()).then(|| object!({"event": "hours", "text": report.hours})));
    lines.extend(report.findings.iter().map(|f| event("finding", f)));
    lines.extend(report.routes.iter().map(route));
    lines.extend(report.skipped.iter().map(|s| {
        let mut line = event("skipped", s);
        line["text"] = Value::String(s.reason.to_string());
        line
    }));
    lines.push(summary(report));
    let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
    lines.join("\n") + "\n"
}

/// Returns an object with the name of the event, then the fields of the value.
fn event(name: &str, value: &impl serde::Serialize) -> Value {
    let mut fields = Map::from_iter([("event".to_owned(), Value::from(name))]);
    if let Ok(Value::Object(own)) = serde_json::to_value(value) {
        fields.extend(own);
    }
    Value::Object(fields)
}

fn step(step: &StepLine) -> Value {
    object!({
        "event": "step",
        "step": step.number,
        "name": step.name,
        "action": step.action,
        "startsAfterSeconds": step.begins.as_secs(),
        "earliest": step.earliest,
        "clock": step.clock,
    })
}

fn route(line: &RouteLine) -> Value {
    let weights: Vec<Value> = line
        .weights
        .iter()
        .map(|w| match &w.groups {
            Ok(groups) => {
                let groups = groups.iter().map(|(n, w)| (n.clone(), Value::from(*w))).collect::<Map<_, _>>();
                object!({"step": w.step, "groups": groups})
            }
            Err(why) => object!({"step": w.step, "error": why}),
        })
        .collect();
    object!({
        "event": "route",
        "loadBalancer": line.load_balancer,
        "workload": line.workload,
        "id": line.id,
        "route": line.label,
        "conditions": line.conditions,
        "weights": weights,
    })
}

fn summary(report: &CheckReport) -> Value {
    let mut summary = object!({
        "event": "summary",
        "plan": report.plan,
        "source": report.source,
        "from": report.clusters.0,
        "to": report.clusters.1,
        "offline": report.at.is_none(),
        "checkedAt": report.at,
        "atLeastSeconds": report.estimate.as_secs(),
        "endsAt": report.ends,
        "observesEverySeconds": report.observation_cost.map(|(_, every)| every.as_secs_f64()),
        "describeCallsPerObservation": report.observation_cost.map(|(calls, _)| calls),
        "routes": report.routes.len(),
        "skipped": report.skipped.len(),
        "errors": report.count(Severity::Error),
        "warnings": report.count(Severity::Warning),
        "notes": report.count(Severity::Info),
        "accepted": report.findings.iter().filter(|f| f.accepted.is_some()).count(),
        "refuses": report.is_refused(),
    });
    if let Some(wave) = &report.wave {
        summary["wave"] = Value::from(wave.as_str());
    }
    summary
}
