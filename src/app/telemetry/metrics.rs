//! Renders the metrics of a run and its process: in OpenMetrics 1.0 for scraping, and in the older text format of
//! Prometheus for the files of node_exporter. The two formats name counters differently.

use std::collections::BTreeMap;
use std::fmt::Write;

use jiff::Timestamp;

use crate::adapter::calls;
use crate::adapter::telemetry::{MetricsFormat, MetricsPage};
use crate::app::names::balancer;
use crate::app::view;
use crate::domain::health::HealthCounts;
use crate::domain::metric::verdict::judge::GateResult;
use crate::domain::run::event::WaitReason;
use crate::domain::run::state::{GateHistory, Phase, State};
use crate::domain::traffic::{RouteId, Split};
use crate::plan::model::Plan;

/// The values of all metrics.
#[derive(Debug, Clone)]
pub struct RunMetrics {
    /// The plan's name, `from`, `to`, and the number of steps.
    pub plan: (String, String, String, usize),
    /// The state of the run after its last record.
    pub state: State,
    /// The splits that the run last wrote, by route. Routes that the run has not written are missing.
    pub written: BTreeMap<RouteId, Split>,
    /// The splits that the last complete observation read, by route.
    pub read: BTreeMap<RouteId, Split>,
    /// The number of targets by state, by target group.
    pub health: BTreeMap<String, HealthCounts>,
    /// The time of the last complete observation.
    pub observed_at: Option<Timestamp>,
    /// The current wait reasons.
    pub waits: Vec<WaitReason>,
    /// Seconds that this process has waited, by reason.
    pub waited: BTreeMap<WaitReason, f64>,
    /// The number of writes by this process, by result.
    pub writes: BTreeMap<&'static str, u64>,
    /// The counts and durations of the API calls by this process.
    pub calls: calls::Counts,
}

impl RunMetrics {
    /// Creates the metrics of a run before its first observation.
    pub fn new(plan: &Plan, state: State) -> Self {
        Self {
            plan: (plan.name.clone(), plan.strategy.from.clone(), plan.strategy.to.clone(), plan.strategy.steps.len()),
            state,
            written: BTreeMap::new(),
            read: BTreeMap::new(),
            health: BTreeMap::new(),
            observed_at: None,
            waits: Vec::new(),
            waited: BTreeMap::new(),
            writes: BTreeMap::new(),
            calls: calls::Counts::default(),
        }
    }
}

impl MetricsPage for RunMetrics {
    fn text(&self, dialect: MetricsFormat) -> String {
        text(self, dialect)
    }
}

/// The types of metric families in the text formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MetricType {
    Info,
    Gauge,
    Counter,
    Summary,
}

/// A writer that builds the text of the metrics.
struct MetricsText {
    dialect: MetricsFormat,
    plan: String,
    text: String,
}

type Labels<'a> = Vec<(&'a str, &'a str)>;

impl MetricsText {
    /// Writes a metric family and its samples. `name` has no suffix for the type of the family. `unit` is the last word
    /// of `name` if that word is a unit, else empty.
    fn write_family<'a>(
        &mut self,
        name: &str,
        kind: MetricType,
        unit: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'a>, f64)>,
    ) {
        self.write_head(name, kind, unit, help);
        let suffix = match kind {
            MetricType::Info => "_info",
            MetricType::Counter => "_total",
            MetricType::Gauge | MetricType::Summary => "",
        };
        for (labels, value) in samples {
            self.write_sample(&format!("{name}{suffix}"), &labels, value);
        }
    }

    fn write_head(&mut self, name: &str, kind: MetricType, unit: &str, help: &str) {
        let (name, kind) = match (self.dialect, kind) {
            (MetricsFormat::OpenMetrics, MetricType::Info) => (name.to_owned(), "info"),
            (MetricsFormat::OpenMetrics, MetricType::Counter) => (name.to_owned(), "counter"),
            (MetricsFormat::Prometheus, MetricType::Info) => (format!("{name}_info"), "gauge"),
            (MetricsFormat::Prometheus, MetricType::Counter) => (format!("{name}_total"), "counter"),
            (_, MetricType::Gauge) => (name.to_owned(), "gauge"),
            (_, MetricType::Summary) => (name.to_owned(), "summary"),
        };
        let _ = writeln!(self.text, "# TYPE {name} {kind}");
        if self.dialect == MetricsFormat::OpenMetrics && !unit.is_empty() {
            let _ = writeln!(self.text, "# UNIT {name} {unit}");
        }
        let _ = writeln!(self.text, "# HELP {name} {help}");
    }

    fn write_sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let plan = [("plan", self.plan.as_str())];
        let labels: Vec<_> = plan.iter().chain(labels).map(|(k, v)| format!("{k}=\"{}\"", escape_label(v))).collect();
        let _ = writeln!(self.text, "{name}{{{}}} {value}", labels.join(","));
    }
}

fn escape_label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

const PHASES: [Phase; 10] = [
    Phase::Ready,
    Phase::Shifting,
    Phase::Baking,
    Phase::AwaitingApproval,
    Phase::RunningCommand,
    Phase::RoutingHeaders,
    Phase::HandingOver,
    Phase::RollingBack,
    Phase::Finished,
    Phase::Retiring,
];

/// Renders all metrics as text.
pub fn text(gauges: &RunMetrics, dialect: MetricsFormat) -> String {
    let (plan, from, to, steps) = &gauges.plan;
    let mut page = MetricsText { dialect, plan: plan.clone(), text: String::new() };
    let state = &gauges.state;
    let one = |value: f64| [(Vec::new(), value)];
    page.write_family(
        "cutover_build",
        MetricType::Info,
        "",
        "The version of this program.",
        [(vec![("version", env!("CARGO_PKG_VERSION"))], 1.0)],
    );
    let run: Labels = vec![("run", &state.run), ("from", from), ("to", to)];
    page.write_family(
        "cutover_run",
        MetricType::Info,
        "",
        "The run, and the clusters between which it moves traffic.",
        [(run, 1.0)],
    );
    page.write_family(
        "cutover_run_start_timestamp_seconds",
        MetricType::Gauge,
        "seconds",
        "When the run started.",
        one(seconds(state.started_at)),
    );
    if let Some(observed_at) = gauges.observed_at {
        page.write_family(
            "cutover_last_observation_timestamp_seconds",
            MetricType::Gauge,
            "seconds",
            "When the last complete observation was made.",
            one(seconds(observed_at)),
        );
    }
    page.write_family(
        "cutover_step",
        MetricType::Gauge,
        "",
        "The current step, or the next one, counted from 1.",
        one(number(state.step.min(*steps))),
    );
    page.write_family("cutover_steps", MetricType::Gauge, "", "Steps of the plan.", one(number(*steps)));
    let phases = PHASES.iter().map(|phase| (vec![("phase", view::phase(*phase))], flag(state.phase == *phase)));
    page.write_family("cutover_phase", MetricType::Gauge, "", "1 for the current phase of the run.", phases);
    let held = [("paused", state.paused.is_some()), ("frozen", state.frozen.is_some())];
    let held = held.into_iter().map(|(reason, is)| (vec![("reason", reason)], flag(is)));
    page.write_family(
        "cutover_raises_stopped",
        MetricType::Gauge,
        "",
        "1 if no share is raised, because the run is paused or frozen.",
        held,
    );
    write_traffic(gauges, &mut page);
    write_gate_verdicts(state, &mut page);
    let waits: Vec<_> =
        gauges.waited.keys().map(|reason| (reason_name(*reason), flag(gauges.waits.contains(reason)))).collect();
    let waits = waits.iter().map(|(reason, is)| (vec![("reason", reason.as_str())], *is));
    page.write_family(
        "cutover_waiting",
        MetricType::Gauge,
        "",
        "1 for each current wait reason, 0 for earlier wait reasons of this process.",
        waits,
    );
    write_process_metrics(gauges, &mut page);
    if dialect == MetricsFormat::OpenMetrics {
        page.text += "# EOF\n";
    }
    page.text
}

fn write_traffic(gauges: &RunMetrics, page: &mut MetricsText) {
    let state = &gauges.state;
    for (name, help, source) in [
        (
            "cutover_route_weight_written",
            "Weight of a cluster's target group on a route, as the run last wrote it.",
            &gauges.written,
        ),
        (
            "cutover_route_weight_read",
            "Weight of a cluster's target group on a route, as it was last read.",
            &gauges.read,
        ),
    ] {
        page.write_head(name, MetricType::Gauge, "", help);
        for (id, route) in &state.routes {
            let split = source.get(id).unwrap_or(route.split());
            for (cluster, arn) in &route.start.groups {
                // A group that is not attached to the route has no weight.
                let Some(weight) = split.weight(arn) else { continue };
                let labels = [
                    ("load_balancer", balancer(&route.start.load_balancer)),
                    ("route", &*route.start.label),
                    ("cluster", cluster),
                ];
                page.write_sample(name, &labels, f64::from(weight));
            }
        }
    }
    page.write_head("cutover_targets", MetricType::Gauge, "", "Targets of a target group, by health state.");
    for (arn, group) in &state.started.groups {
        let Some(counts) = gauges.health.get(arn) else { continue };
        let HealthCounts { healthy, initial, unhealthy, unused, draining, unavailable } = *counts;
        let states = [
            ("healthy", healthy),
            ("initial", initial),
            ("unhealthy", unhealthy),
            ("unused", unused),
            ("draining", draining),
            ("unavailable", unavailable),
        ];
        for (word, count) in states {
            page.write_sample(
                "cutover_targets",
                &[("target_group", &group.name), ("cluster", &group.cluster), ("state", word)],
                f64::from(count),
            );
        }
    }
}

fn write_gate_verdicts(state: &State, page: &mut MetricsText) {
    page.write_head(
        "cutover_gate_verdict",
        MetricType::Gauge,
        "",
        "1 for the verdict of a metric gate on the current shares.",
    );
    for (gate, GateHistory { last_verdict, .. }) in &state.gates {
        for (call, word) in [(GateResult::Pass, "pass"), (GateResult::Hold, "hold"), (GateResult::Fail, "fail")] {
            page.write_sample(
                "cutover_gate_verdict",
                &[("gate", gate), ("verdict", word)],
                flag(*last_verdict == Some(call)),
            );
        }
    }
}

fn write_process_metrics(gauges: &RunMetrics, page: &mut MetricsText) {
    let waited: Vec<_> = gauges.waited.iter().map(|(reason, seconds)| (reason_name(*reason), *seconds)).collect();
    let waited = waited.iter().map(|(reason, seconds)| (vec![("reason", reason.as_str())], *seconds));
    page.write_family(
        "cutover_waited_seconds",
        MetricType::Counter,
        "seconds",
        "Time that this process has waited, by reason.",
        waited,
    );
    let writes = gauges.writes.iter().map(|(result, n)| (vec![("result", *result)], count(*n)));
    page.write_family(
        "cutover_writes",
        MetricType::Counter,
        "",
        "Writes of routes by this process, by result.",
        writes,
    );
    let calls = gauges.calls.calls.iter().map(|((service, operation, outcome), n)| {
        (vec![("service", service.as_str()), ("operation", operation.as_str()), ("outcome", outcome.name())], count(*n))
    });
    page.write_family(
        "cutover_api_calls",
        MetricType::Counter,
        "",
        "API calls by this process; each retry counts.",
        calls,
    );
    let name = "cutover_api_call_duration_seconds";
    page.write_head(name, MetricType::Summary, "seconds", "Duration of these API calls.");
    for ((service, operation), (n, took)) in &gauges.calls.durations {
        let labels = [("service", service.as_str()), ("operation", operation.as_str())];
        page.write_sample(&format!("{name}_count"), &labels, count(*n));
        page.write_sample(&format!("{name}_sum"), &labels, took.as_secs_f64());
    }
}

/// Returns the name of a wait reason, as records contain it.
fn reason_name(reason: WaitReason) -> String {
    serde_json::to_value(reason).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

fn seconds(time: Timestamp) -> f64 {
    time.duration_since(Timestamp::UNIX_EPOCH).as_secs_f64()
}

fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}

fn number(n: usize) -> f64 {
    count(u64::try_from(n).unwrap_or(u64::MAX))
}

#[allow(clippy::cast_precision_loss)] // a count
fn count(n: u64) -> f64 {
    n as f64
}
