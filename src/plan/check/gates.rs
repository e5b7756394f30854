//! Checks the metric gates of the plan, the workloads and the steps, and converts them to the model.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Diagnostic, Placed, UniqueValues, note};
use crate::base::finding::Code;
use crate::plan::decode::list;
use crate::plan::file::{self, Spec};
use crate::plan::gate_fields;
use crate::plan::model::metric::{
    CloudWatch, CloudWatchMetric, ErrorRate, GateCondition, GateScope, Header, HeaderValue, Http, Latency,
    MetricCommand, MetricGate, MetricSource, NoData, Prometheus,
};
use crate::plan::scalar::Missing;

/// The period of CloudWatch's metrics.
const CLOUD_WATCH_PERIOD: Duration = Duration::from_mins(1);
/// The delay after which the metrics of CloudWatch are complete.
const CLOUD_WATCH_DELAY: Duration = Duration::from_mins(3);

/// Returns the metric gates of the workloads, the plan and the strategy's steps, in the order of the file, and those of
/// each wave's own steps.
pub(super) fn all(spec: &Spec, out: &mut Vec<Diagnostic>) -> (Vec<MetricGate>, Vec<Vec<MetricGate>>) {
    let mut found: Vec<(GateScope, &Placed<gate_fields::MetricGate>)> = Vec::new();
    for workload in spec.workloads.iter().flat_map(|w| &w.value) {
        let name = workload.value.name.as_ref().map(|n| n.value.0.clone()).unwrap_or_default();
        found
            .extend(workload.value.gates.iter().flat_map(|g| &g.value).map(|g| (GateScope::Workload(name.clone()), g)));
    }
    let strategy = spec.strategy.as_ref().map(|s| &s.value);
    let plan = strategy.and_then(|s| s.gates.as_ref()).and_then(|g| g.value.metrics.as_ref());
    found.extend(plan.iter().flat_map(|g| &g.value).map(|g| (GateScope::Plan, g)));
    found.extend(of_steps(strategy.and_then(|s| s.steps.as_ref())));
    let mut names = UniqueValues::new("gates are called", Code::CUT008);
    if let Some(gate) = strategy.and_then(|s| s.gates.as_ref()).and_then(|gates| gates.value.compare.as_ref()) {
        names.check_value("compare", gate.head, out);
    }
    let services =
        spec.workloads.iter().flat_map(|w| &w.value).any(|w| w.value.service.is_some() || w.value.services.is_some());
    let mut check = |found: Vec<(GateScope, &Placed<gate_fields::MetricGate>)>, out: &mut Vec<Diagnostic>| {
        let mut checked = Vec::new();
        for (scope, gate) in found {
            if let Some(name) = &gate.value.name {
                names.check_value(&name.value.0, name.place, out);
            }
            checked.extend(self::gate(scope, gate, services, out));
        }
        checked
    };
    let checked = check(found, out);
    let waves = spec.waves.iter().flat_map(|waves| &waves.value);
    let of_waves = waves.map(|wave| check(of_steps(wave.value.steps.as_ref()), out)).collect();
    (checked, of_waves)
}

fn of_steps(steps: Option<&Placed<Vec<Placed<file::Step>>>>) -> Vec<(GateScope, &Placed<gate_fields::MetricGate>)> {
    let steps = steps.into_iter().flat_map(|steps| &steps.value).enumerate();
    steps
        .flat_map(|(index, step)| {
            let gates = step.value.gates.iter().flat_map(|gates| &gates.value);
            gates.map(move |gate| (GateScope::Step(index + 1), gate))
        })
        .collect()
}

fn gate(
    scope: GateScope,
    at: &Placed<gate_fields::MetricGate>,
    services: bool,
    out: &mut Vec<Diagnostic>,
) -> Option<MetricGate> {
    let gate = &at.value;
    check_gate_placeholders(gate, &scope, out);
    let source = source(gate)?;
    let convert_condition = convert_condition(at, &source, out)?;
    let interval = gate.interval.as_ref()?.value.0;
    let default_delay = if matches!(source, MetricSource::CloudWatch(_)) { CLOUD_WATCH_DELAY } else { Duration::ZERO };
    let checked = MetricGate {
        name: gate.name.as_ref()?.value.0.clone(),
        scope,
        raise: gate.raise.as_ref()?.value.0,
        guard: gate.guard.as_ref()?.value.0,
        interval,
        initial_delay: gate.initial_delay.as_ref().map_or(Duration::ZERO, |d| d.value.0),
        window: gate.window.as_ref().map_or(interval, |w| w.value.0),
        delay: gate.delay.as_ref().map_or(default_delay, |d| d.value.0),
        no_data: match gate.no_data.as_ref()?.value {
            Missing::Pass => NoData::Pass,
            Missing::Hold => NoData::Hold,
            Missing::Fail => NoData::Fail,
        },
        min_requests: gate.min_requests.as_ref()?.value.0.into(),
        failure_limit: gate.failure_limit.as_ref()?.value.0,
        dry_run: gate.dry_run.as_ref()?.value.0,
        source,
        condition: convert_condition,
    };
    check_consistency(at, &checked, services, out);
    Some(checked)
}

/// Adds errors for settings of a gate that contradict each other.
fn check_consistency(
    at: &Placed<gate_fields::MetricGate>,
    gate: &MetricGate,
    services: bool,
    out: &mut Vec<Diagnostic>,
) {
    let mut wrong = |place, message: &str, help: &str| {
        note(out, Code::CUT031, place, message).help(help);
    };
    if let Some(window) = at.value.window.as_ref().filter(|w| gate.compares() && w.value.0 != gate.interval) {
        wrong(
            window.place,
            "`window` has no effect: the clusters are compared over windows of one `interval`",
            "remove `window`, and set `interval` to the value of `window`",
        );
    }
    if matches!(gate.source, MetricSource::CloudWatch(_))
        && !gate.interval.as_secs().is_multiple_of(CLOUD_WATCH_PERIOD.as_secs())
    {
        let place = at.value.interval.as_ref().map_or(at.head, |i| i.place);
        wrong(
            place,
            "the `interval` is not a number of full minutes, but CloudWatch counts in full minutes",
            "write `1m`, `2m`, …",
        );
    }
    if !gate.raise && !gate.guard {
        wrong(
            at.head,
            "a gate with `raise: false` and `guard: false` has no effect",
            "to record its results without acting on them, write `dryRun: true`",
        );
    }
    if matches!(gate.source, MetricSource::Kubernetes { .. }) && !services {
        wrong(
            at.head,
            "no workload has a `service`, so there is nothing to observe",
            "add `service` to a workload, or remove the gate",
        );
    }
}

/// Checks a gate's texts, and adds an error for each unknown placeholder.
fn check_gate_placeholders(gate: &gate_fields::MetricGate, scope: &GateScope, out: &mut Vec<Diagnostic>) {
    let names: &[&str] =
        if let GateScope::Workload(_) = scope { &["cluster", "workload", "window"] } else { &["cluster", "window"] };
    let prometheus = gate.prometheus.iter().map(|p| &p.value);
    let queries = prometheus.clone().flat_map(|p| [&p.query, &p.requests, &p.errors, &p.latency]).flatten();
    let urls =
        prometheus.filter_map(|p| p.address.as_ref()).chain(gate.http.iter().filter_map(|h| h.value.url.as_ref()));
    let command_words = gate.exec.iter().filter_map(|e| e.value.command.as_ref()).flat_map(|c| &c.value);
    let texts = queries.chain(command_words).map(|q| (&q.value.0, q.place)).chain(urls.map(|u| (&u.value.0, u.place)));
    for (text, place) in texts {
        super::notify::check_placeholders(text, place, names, out);
    }
}

fn source(gate: &gate_fields::MetricGate) -> Option<MetricSource> {
    if let Some(at) = &gate.prometheus {
        let p = &at.value;
        let query = |q: &Option<Placed<crate::plan::scalar::Query>>| q.as_ref().map(|q| q.value.0.clone());
        return Some(MetricSource::Prometheus(Prometheus {
            address: p.address.as_ref()?.value.0.trim_end_matches('/').to_owned(),
            headers: headers(p.headers.as_ref()?)?,
            timeout: p.timeout.as_ref()?.value.0,
            query: query(&p.query),
            requests: query(&p.requests),
            errors: query(&p.errors),
            latency: query(&p.latency),
        }));
    }
    if let Some(at) = &gate.http {
        let h = &at.value;
        return Some(MetricSource::Http(Http {
            url: h.url.as_ref()?.value.0.clone(),
            headers: headers(h.headers.as_ref()?)?,
            status: u16::try_from(h.status.as_ref()?.value.0).ok()?,
            body: h.body.as_ref().map(|b| b.value.0.clone()),
            timeout: h.timeout.as_ref()?.value.0,
        }));
    }
    if let Some(at) = &gate.exec {
        let command = at.value.command.as_ref()?.value.iter().map(|c| c.value.0.clone()).collect();
        return Some(MetricSource::Exec(MetricCommand { command, timeout: at.value.timeout.as_ref()?.value.0 }));
    }
    if let Some(names) = &gate.cloud_watch_alarms {
        return Some(MetricSource::CloudWatchAlarms(names.value.iter().map(|n| n.value.0.clone()).collect()));
    }
    if let Some(at) = &gate.cloud_watch {
        return cloud_watch(&at.value).map(MetricSource::CloudWatch);
    }
    let kubernetes = &gate.kubernetes.as_ref()?.value;
    Some(MetricSource::Kubernetes { max_restarts: kubernetes.max_restarts.as_ref().map(|r| r.value.0) })
}

pub(super) fn headers(headers: &Placed<Vec<Placed<gate_fields::Header>>>) -> Option<Vec<Header>> {
    let header = |at: &Placed<gate_fields::Header>| {
        let h = &at.value;
        let text = |t: &Placed<crate::plan::scalar::Line>| t.value.0.clone();
        let value = match (&h.value, &h.from_env, &h.from_file) {
            (Some(plain), _, _) => HeaderValue::Plain(text(plain)),
            (_, Some(name), _) => HeaderValue::Env(text(name)),
            (_, _, path) => HeaderValue::File(text(path.as_ref()?)),
        };
        Some(Header { name: h.name.as_ref()?.value.0.clone(), value })
    };
    headers.value.iter().map(header).collect()
}

fn cloud_watch(at: &gate_fields::CloudWatch) -> Option<CloudWatch> {
    let statistic = at.statistic.as_ref()?.value.0.clone();
    let metric = match (&at.namespace, &at.metric_name) {
        (Some(namespace), Some(name)) => Some(CloudWatchMetric {
            namespace: namespace.value.0.clone(),
            name: name.value.0.clone(),
            dimensions: at
                .dimensions
                .as_ref()?
                .value
                .iter()
                .map(|d| Some((d.value.name.as_ref()?.value.0.clone(), d.value.value.as_ref()?.value.0.clone())))
                .collect::<Option<_>>()?,
            statistic: statistic.clone(),
        }),
        _ => None,
    };
    Some(CloudWatch { metric, latency: statistic })
}

/// Returns the condition of a gate; adds an error if the source does not provide the values for the condition.
fn convert_condition(
    at: &Placed<gate_fields::MetricGate>,
    source: &MetricSource,
    out: &mut Vec<Diagnostic>,
) -> Option<GateCondition> {
    let gate = &at.value;
    let given = [
        ("errorRate", gate.error_rate.as_ref().map(|a| a.head)),
        ("latency", gate.latency.as_ref().map(|a| a.head)),
        ("share", gate.share.as_ref().map(|a| a.head)),
        ("successCondition", gate.success_condition.as_ref().map(|a| a.head)),
    ];
    let chosen: Vec<_> = given.iter().filter_map(|(key, place)| Some((*key, (*place)?))).collect();
    let possible = possible_conditions(source);
    match chosen[..] {
        [] if possible.contains("") => return Some(GateCondition::State),
        [] => {
            let names: Vec<_> = possible.iter().copied().filter(|a| !a.is_empty()).collect();
            let message = format!("the gate has no condition for the values of `{}`", source.kind());
            let help = if names.is_empty() {
                condition_help(source).to_owned()
            } else {
                format!("add one of {}", list(&names))
            };
            return note(out, Code::CUT030, at.head, message).help(help).without_value();
        }
        [(key, place)] if !possible.contains(key) => {
            let message = format!("`{key}` needs values that this `{}` source does not provide", source.kind());
            note(out, Code::CUT031, place, message).help(condition_help(source));
        }
        [_] => {}
        [_, (_, second), ..] => {
            let keys: Vec<_> = chosen.iter().map(|(key, _)| *key).collect();
            let message = format!("the gate has {} together, but a gate can have only one condition", list(&keys));
            return note(out, Code::CUT030, second, message)
                .help("keep one condition, and move the other condition to another gate")
                .without_value();
        }
    }
    convert_chosen_condition(gate, out)
}

fn convert_chosen_condition(gate: &gate_fields::MetricGate, out: &mut Vec<Diagnostic>) -> Option<GateCondition> {
    if let Some(at) = &gate.error_rate {
        let e = &at.value;
        return Some(GateCondition::ErrorRate(ErrorRate {
            ratio: e.ratio.as_ref()?.value.0,
            alpha: e.alpha.as_ref()?.value.0,
            max_difference: e.max_difference.as_ref()?.value.0 / 100.0,
            min_bake: e.min_bake.as_ref()?.value.0,
        }));
    }
    if let Some(at) = &gate.latency {
        return Some(GateCondition::Latency(Latency {
            ratio: at.value.ratio.as_ref()?.value.0,
            alpha: at.value.alpha.as_ref()?.value.0,
        }));
    }
    if let Some(at) = &gate.share {
        return Some(GateCondition::Share { tolerance: at.value.tolerance.as_ref()?.value.0 });
    }
    let at = gate.success_condition.as_ref()?;
    let (most, least) = (at.value.at_most.as_ref().map(|a| a.value.0), at.value.at_least.as_ref().map(|a| a.value.0));
    if at.complete && (most.is_none() && least.is_none() || most.zip(least).is_some_and(|(most, least)| most < least)) {
        note(out, Code::CUT031, at.head, "no value meets this condition, or every value does")
            .help("write `{atMost: N}`, `{atLeast: N}`, or both with the smaller as `atLeast`");
    }
    Some(GateCondition::Condition { at_most: most, at_least: least })
}

/// Returns the names of the conditions for which a source provides values. An empty name means that the source itself
/// reports success or failure.
fn possible_conditions(source: &MetricSource) -> BTreeSet<&'static str> {
    let when = |key: &'static str, can: bool| can.then_some(key);
    match source {
        MetricSource::Prometheus(p) => [
            when("successCondition", p.query.is_some()),
            when("errorRate", p.requests.is_some() && p.errors.is_some()),
            when("share", p.requests.is_some()),
            when("latency", p.latency.is_some()),
        ]
        .into_iter()
        .flatten()
        .collect(),
        MetricSource::CloudWatch(c) if c.metric.is_some() => ["successCondition"].into(),
        MetricSource::CloudWatch(_) => ["errorRate", "latency", "share"].into(),
        MetricSource::Exec(_) => ["", "successCondition", "errorRate", "latency", "share"].into(),
        MetricSource::Http(_) | MetricSource::CloudWatchAlarms(_) | MetricSource::Kubernetes { .. } => [""].into(),
    }
}

fn condition_help(source: &MetricSource) -> &'static str {
    match source {
        MetricSource::Prometheus(_) => {
            "`errorRate` needs `requests` and `errors`, `share` needs `requests`, `latency` needs `latency`, \
             `successCondition` needs `query`"
        }
        MetricSource::CloudWatch(_) => {
            "`successCondition` needs `namespace` and `metricName`; without them, use `errorRate`, `latency` or `share`"
        }
        _ => "the source itself reports success or failure: remove the condition",
    }
}
