//! Publishes the telemetry of a process: metrics in a file or at a port, and traces. Telemetry is off by default and
//! independent of the engine. A failure to write, serve or send is only logged.

pub mod metrics;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use crate::adapter::calls::{self, Call, CallOutcome};
use crate::adapter::http::DeliveryQueue;
use crate::adapter::telemetry::otlp::{self, Collector};
use crate::adapter::telemetry::{Outlets, Publisher};
use crate::base::time::later;
use crate::domain::run::event::{Event, Record, Wait};
use crate::domain::run::observation::Observed;
use crate::domain::run::state::State;
use crate::domain::view::trace;
use crate::domain::view::trace::{Span, Trace, Value, span_id};
use crate::engine::Subscriber;
use crate::plan::model::Plan;
use metrics::RunMetrics;

/// The shortest time between two updates of the metrics.
const UPDATE_INTERVAL: Duration = Duration::from_millis(500);

/// How long a process waits for unsent traces before it exits.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// The subscriber that publishes a run's metrics and traces.
pub struct Telemetry {
    meter: Option<MetricsSubscriber>,
    tracer: Option<TraceSubscriber>,
}

impl Telemetry {
    /// Starts to publish the metrics of the surface, and the traces that the environment configures.
    pub async fn begin(plan: &Plan, outlets: &Outlets) -> Self {
        let collector = Collector::of(|name| std::env::var(name).ok()).unwrap_or_else(|why| {
            tracing::warn!("no traces are sent: {why}; the run continues without traces");
            None
        });
        Self { tracer: collector.map(TraceSubscriber::new), ..Self::metrics(plan, outlets).await }
    }

    /// Starts to publish metrics only. A trace cannot show the accelerated time of a rehearsal.
    pub async fn metrics(plan: &Plan, outlets: &Outlets) -> Self {
        let meter = if *outlets == Outlets::default() {
            None
        } else {
            Some(MetricsSubscriber::new(plan, Publisher::start(outlets).await))
        };
        Self { meter, tracer: None }
    }

    /// Processes the records that were journalled before this process.
    pub fn process_earlier(&mut self, records: &[Record]) {
        for record in records {
            if let Some(meter) = &mut self.meter {
                meter.record(record);
            }
            if let Some(tracer) = &mut self.tracer {
                tracer.trace.add(record);
            }
        }
        if let Some(meter) = &mut self.meter {
            // The writes in these records were made by another process.
            meter.writes.clear();
        }
    }

    /// Publishes the last values. Takes a limited time.
    pub async fn finish(self) {
        if let Some(meter) = self.meter {
            meter.finish().await;
        }
        if let Some(tracer) = self.tracer {
            tracer.finish().await;
        }
    }
}

impl Subscriber for Telemetry {
    fn record(&mut self, record: &Record) {
        if let Some(meter) = &mut self.meter {
            meter.record(record);
        }
        if let Some(tracer) = &mut self.tracer {
            tracer.record(record);
        }
    }

    fn iteration_ended(&mut self, _: &State, watch: &Observed, waits: &[Wait], now: Timestamp) {
        if let Some(meter) = &mut self.meter {
            meter.iteration_ended(watch, waits, now);
        }
        if let Some(tracer) = &mut self.tracer {
            tracer.send_calls();
        }
    }
}

/// The subscriber that updates and publishes the metrics.
struct MetricsSubscriber {
    plan: Plan,
    gauges: Option<RunMetrics>,
    writes: BTreeMap<&'static str, u64>,
    /// The time of the last loop iteration.
    since: Option<Timestamp>,
    /// When the metrics were last published, in real time. The clock of a rehearsal may run faster.
    published_at: Option<Instant>,
    publisher: Publisher,
}

impl MetricsSubscriber {
    fn new(plan: &Plan, publisher: Publisher) -> Self {
        Self { plan: plan.clone(), gauges: None, writes: BTreeMap::new(), since: None, published_at: None, publisher }
    }

    fn record(&mut self, record: &Record) {
        match (&mut self.gauges, &record.event) {
            (none @ None, Event::Started(_)) => {
                let state = State::fold(std::slice::from_ref(record)).ok().flatten();
                *none = state.map(|state| RunMetrics::new(&self.plan, state));
            }
            (Some(gauges), event) => {
                // A rehearsal adds records that do not belong to the run. The state ignores these records.
                let _ = gauges.state.apply_record(record);
                match event {
                    Event::Intended { writes, .. } => {
                        gauges.written.extend(writes.iter().map(|w| (w.route.clone(), w.set.clone())));
                    }
                    Event::Outcome { result, .. } => *self.writes.entry(trace::result_name(*result)).or_default() += 1,
                    Event::Health { groups } => {
                        gauges.health.extend(groups.iter().map(|(arn, counts)| (arn.clone(), *counts)));
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }

    fn iteration_ended(&mut self, watch: &Observed, waits: &[Wait], now: Timestamp) {
        let Some(gauges) = &mut self.gauges else { return };
        let passed = self
            .since
            .replace(now)
            .map_or(SignedDuration::ZERO, |since| now.duration_since(since))
            .as_secs_f64()
            .max(0.0);
        for reason in &gauges.waits {
            *gauges.waited.entry(*reason).or_default() += passed;
        }
        gauges.waits = waits.iter().map(|w| w.reason).collect();
        gauges.waits.sort_unstable();
        gauges.waits.dedup();
        for reason in &gauges.waits {
            gauges.waited.entry(*reason).or_default();
        }
        if self.published_at.is_some_and(|published_at| published_at.elapsed() < UPDATE_INTERVAL) {
            return;
        }
        gauges.observed_at = watch.last_full;
        let read_splits = watch
            .routes
            .iter()
            .filter_map(|(id, r)| Some((id.clone(), r.value.as_ref().ok()?.forward_split()?.clone())));
        gauges.read = read_splits.collect();
        self.publish();
    }

    fn publish(&mut self) {
        let Some(gauges) = &mut self.gauges else { return };
        self.published_at = Some(Instant::now());
        gauges.calls = calls::counts();
        gauges.writes.clone_from(&self.writes);
        self.publisher.publish(Arc::new(gauges.clone()));
    }

    async fn finish(mut self) {
        if let Some(gauges) = &mut self.gauges {
            // The last writes are newer than the last observation.
            gauges.read.retain(|id, _| gauges.state.routes.get(id).is_some_and(|r| r.drift.is_some()));
            gauges.waits.clear();
        }
        self.publish();
        self.publisher.finish().await;
    }
}

/// The subscriber that sends the spans of a run.
struct TraceSubscriber {
    trace: Trace,
    queue: DeliveryQueue<Span>,
}

impl TraceSubscriber {
    fn new(collector: Collector) -> Self {
        calls::start_recording();
        Self { trace: Trace::default(), queue: collector.delivery_queue(otlp::QUEUE_LIMITS) }
    }

    fn record(&mut self, record: &Record) {
        self.send_calls();
        for span in self.trace.add(record) {
            self.queue.add(span);
        }
    }

    /// Sends one span for each API call since the last time. During a pause, which may take days, only writes and
    /// failed calls get a span.
    fn send_calls(&mut self) {
        let Some(parent) = self.trace.parent() else { return };
        for call in calls::take_recorded() {
            if !self.trace.is_pausing() || call.is_write() || call.outcome != CallOutcome::Ok {
                let span = self.span(call, parent);
                self.queue.add(span);
            }
        }
    }

    fn span(&self, call: Call, parent: [u8; 8]) -> Span {
        let Call { service, operation, outcome, started: started_at, duration } = call;
        let end = later(started_at, duration);
        let key = format!("{service} {operation} {} {}", started_at.as_nanosecond(), fastrand::u64(..));
        Span {
            trace: self.trace.id(),
            id: span_id(self.trace.run(), &key),
            parent: Some(parent),
            name: format!("{service} {operation}"),
            client: true,
            start: started_at,
            end,
            error: (outcome != CallOutcome::Ok).then(|| outcome.name().to_owned()),
            attributes: vec![
                ("rpc.service", Value::Text(service)),
                ("rpc.method", Value::Text(operation)),
                ("cutover.outcome", Value::Text(outcome.name().to_owned())),
            ],
            events: Vec::new(),
        }
    }

    async fn finish(mut self) {
        self.send_calls();
        self.queue.finish(tokio::time::Instant::now() + DRAIN_TIMEOUT).await;
    }
}
