//! Computes the trace of a run from its records: returns spans (run, steps, rollback, hooks, batches of writes) when
//! they end. The ids are derived from the run's id, so the spans of several processes form one trace. Do not send spans
//! here; this belongs in an adapter.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::domain::run::event::{Event, Record, RunOutcome, StepType, WriteResult};
use crate::domain::run::hook::HookResult;
use crate::domain::traffic::RouteId;

/// The attributes of a span.
pub type Attributes = Vec<(&'static str, Value)>;

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A number.
    Number(u64),
    /// A Boolean.
    Flag(bool),
}

/// A span of OpenTelemetry: a part of a run with start and end.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// The id of the trace.
    pub trace: [u8; 16],
    /// The id of the span.
    pub id: [u8; 8],
    /// The id of the parent span; `None` for the span of the run.
    pub parent: Option<[u8; 8]>,
    /// The name of the span.
    pub name: String,
    /// Whether the span is a call of another service.
    pub client: bool,
    /// The start of the span.
    pub start: Timestamp,
    /// The end of the span.
    pub end: Timestamp,
    /// The attributes of the span.
    pub attributes: Attributes,
    /// The events of the span, as time, name and attributes.
    pub events: Vec<(Timestamp, &'static str, Attributes)>,
    /// The error, if the span failed.
    pub error: Option<String>,
}

/// A span that has not ended.
#[derive(Debug, Clone)]
struct OpenSpan {
    id: [u8; 8],
    name: String,
    start: Timestamp,
    attributes: Attributes,
    events: Vec<(Timestamp, &'static str, Attributes)>,
}

/// A batch that is being written.
#[derive(Debug, Clone)]
struct Batch {
    open: OpenSpan,
    routes: BTreeSet<RouteId>,
    results: BTreeMap<&'static str, u64>,
}

/// The state of a run's trace.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    run: String,
    root: Option<OpenSpan>,
    /// Whether the span of the run was returned. A later rollback adds spans to the same trace.
    run_ended: bool,
    step: Option<OpenSpan>,
    /// Whether the current step is a bake or an approval, which may take days.
    in_pause: bool,
    rollback: Option<OpenSpan>,
    batch: Option<Batch>,
    hook: Option<OpenSpan>,
}

impl Trace {
    /// Adds a record, and returns the spans that end with this record.
    pub fn add(&mut self, record: &Record) -> Vec<Span> {
        let time = record.time;
        self.add_span_event(record);
        match &record.event {
            Event::Started(started) => {
                self.run.clone_from(&record.run);
                let attributes = vec![
                    text("cutover.plan", &started.plan),
                    text("cutover.run", &record.run),
                    text("cutover.owner", &started.owner),
                ];
                self.root =
                    Some(OpenSpan { attributes, ..self.open_span("run", format!("run {}", started.plan), time) });
                Vec::new()
            }
            Event::StepStarted { step, kind, label } => {
                let number = u64::try_from(*step).unwrap_or_default();
                let attributes = vec![("cutover.step", Value::Number(number)), text("cutover.label", label)];
                let ended = self.end_step(time, None);
                self.step = Some(OpenSpan {
                    attributes,
                    ..self.open_span(&format!("step {}", record.seq), format!("step {step}"), time)
                });
                self.in_pause = matches!(kind, StepType::Bake | StepType::Approval);
                ended
            }
            Event::StepDone { .. } => self.end_step(time, None),
            Event::Intended { restore, writes, .. } => {
                let ended = self.end_batch(time);
                let open = self.open_span(
                    &format!("batch {}", record.seq),
                    if *restore { "restore" } else { "write" }.into(),
                    time,
                );
                let routes = writes.iter().map(|w| w.route.clone()).collect();
                self.batch = Some(Batch { open, routes, results: BTreeMap::new() });
                ended
            }
            Event::Outcome { route, result, .. } => {
                let Some(batch) = &mut self.batch else { return Vec::new() };
                if batch.routes.remove(route) {
                    *batch.results.entry(result_name(*result)).or_default() += 1;
                }
                if batch.routes.is_empty() { self.end_batch(time) } else { Vec::new() }
            }
            Event::RollbackStarted { cause, by, .. } | Event::RampStarted { cause, by, .. } => {
                let mut ended = self.end_step(time, Some(cause.clone()));
                ended.extend(self.end_rollback(time, None));
                let attributes = vec![text("cutover.cause", cause), text("cutover.by", by)];
                self.rollback = Some(OpenSpan {
                    attributes,
                    ..self.open_span(&format!("rollback {}", record.seq), "rollback".into(), time)
                });
                ended
            }
            Event::HookStarted { hook, action: what } => {
                let attributes = vec![text("cutover.hook", what)];
                self.hook = Some(OpenSpan {
                    attributes,
                    ..self.open_span(&format!("hook {}", record.seq), format!("hook {}", hook.at.name()), time)
                });
                Vec::new()
            }
            Event::HookEnded { result, message, .. } => {
                let Some(open) = self.hook.take() else { return Vec::new() };
                let error = (*result != HookResult::Succeeded).then(|| message.clone());
                let parent = self.rollback.as_ref().or(self.step.as_ref()).or(self.root.as_ref()).map(|open| open.id);
                vec![self.close_span(open, parent, time, error)]
            }
            Event::Finished { outcome, unresolved: left, .. } => self.end_run(time, *outcome, left),
            _ => Vec::new(),
        }
    }

    /// Returns the id of the parent span for a call that starts now.
    pub fn parent(&self) -> Option<[u8; 8]> {
        let batch = self.batch.as_ref().map(|b| &b.open);
        batch.or(self.rollback.as_ref()).or(self.step.as_ref()).or(self.root.as_ref()).map(|open| open.id)
    }

    /// Whether the run is in a bake or an approval.
    pub fn is_pausing(&self) -> bool {
        self.in_pause && self.step.is_some() && self.rollback.is_none()
    }

    /// Returns the run's id.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// Returns the id of the trace.
    pub fn id(&self) -> [u8; 16] {
        trace_id(&self.run)
    }

    fn open_span(&self, key: &str, name: String, start: Timestamp) -> OpenSpan {
        let id = span_id(&self.run, &format!("{key} {}", start.as_nanosecond()));
        OpenSpan { id, name, start, attributes: Vec::new(), events: Vec::new() }
    }

    fn close_span(&self, open: OpenSpan, parent: Option<[u8; 8]>, end: Timestamp, error: Option<String>) -> Span {
        let OpenSpan { id, name, start, attributes, events } = open;
        Span { trace: self.id(), id, parent, name, client: false, start, end, attributes, events, error }
    }

    fn end_batch(&mut self, time: Timestamp) -> Vec<Span> {
        let Some(Batch { mut open, routes, results }) = self.batch.take() else { return Vec::new() };
        let bad: u64 = results.iter().filter(|(word, _)| !["applied", "already"].contains(*word)).map(|(_, n)| n).sum();
        let error = (bad > 0 || !routes.is_empty())
            .then(|| format!("routes that were not written: {}", bad + routes.len() as u64));
        open.attributes.extend(results.into_iter().map(|(word, n)| (word, Value::Number(n))));
        let parent = self.parent();
        vec![self.close_span(open, parent, time, error)]
    }

    fn end_step(&mut self, time: Timestamp, error: Option<String>) -> Vec<Span> {
        let mut ended = self.end_batch(time);
        if let Some(open) = self.step.take() {
            let root = self.root.as_ref().map(|r| r.id);
            ended.push(self.close_span(open, root, time, error));
        }
        ended
    }

    fn end_rollback(&mut self, time: Timestamp, error: Option<String>) -> Vec<Span> {
        let mut ended = self.end_batch(time);
        if let Some(open) = self.rollback.take() {
            let root = self.root.as_ref().map(|r| r.id);
            ended.push(self.close_span(open, root, time, error));
        }
        ended
    }

    fn end_run(&mut self, time: Timestamp, outcome: RunOutcome, left: &[String]) -> Vec<Span> {
        let stuck = (!left.is_empty()).then(|| left.join("; "));
        let mut ended = self.end_step(time, None);
        ended.extend(self.end_rollback(time, stuck.clone()));
        let Some(root) = self.root.clone().filter(|_| !self.run_ended) else { return ended };
        self.run_ended = true;
        let error = stuck.or_else(|| (outcome == RunOutcome::RolledBack).then(|| "rolled back".to_owned()));
        let mut span = self.close_span(root, None, time, error);
        let word = match outcome {
            RunOutcome::Completed => "completed",
            RunOutcome::RolledBack => "rolledBack",
            RunOutcome::Aborted => "aborted",
        };
        span.attributes.push(text("cutover.outcome", word));
        ended.push(span);
        ended
    }

    /// Adds an event to the current span.
    fn add_span_event(&mut self, record: &Record) {
        let (name, words) = match &record.event {
            Event::Frozen { message, .. } => ("frozen", message),
            Event::GateFailed { message, .. } => ("gateFailed", message),
            Event::Paused { by, .. } => ("paused", by),
            Event::Resumed { by, .. } => ("resumed", by),
            Event::LeftOut { by, .. } => ("leftOut", by),
            Event::Approved { by, .. } => ("approved", by),
            Event::Promoted { by, .. } => ("promoted", by),
            Event::Drifted { route, .. } => ("drifted", &route.to_string()),
            Event::ConditionsChanged { route, .. } => ("conditionsChanged", &route.to_string()),
            _ => return,
        };
        if let Some(open) = self.rollback.as_mut().or(self.step.as_mut()).or(self.root.as_mut()) {
            open.events.push((record.time, name, vec![text("message", words)]));
        }
    }
}

/// Returns the id of a run's trace.
fn trace_id(run: &str) -> [u8; 16] {
    let mut id = [0; 16];
    id.copy_from_slice(&Sha256::digest(run)[..16]);
    id
}

/// Returns the id of a span, from the run and a key.
pub fn span_id(run: &str, key: &str) -> [u8; 8] {
    let mut id = [0; 8];
    id.copy_from_slice(&Sha256::digest(format!("{run} {key}"))[..8]);
    id
}

fn text(key: &'static str, value: &str) -> (&'static str, Value) {
    (key, Value::Text(value.to_owned()))
}

/// Returns the name of a write's result in records.
pub fn result_name(result: WriteResult) -> &'static str {
    match result {
        WriteResult::Applied => "applied",
        WriteResult::Already => "already",
        WriteResult::Unknown => "unknown",
        WriteResult::Failed => "failed",
        WriteResult::Unreadable => "unreadable",
        WriteResult::Deleted => "deleted",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixture;
    use crate::domain::run::event::{Trigger, Write};
    use crate::domain::traffic::Split;

    fn records(events: Vec<Event>) -> Vec<Record> {
        let at = |n: u64| {
            Timestamp::from_second(i64::try_from(n).expect("the number must be small"))
                .expect("the test's timestamp must be valid")
        };
        (1..).zip(events).map(|(seq, event)| Record::new(seq, at(seq), "alpha-1", event)).collect()
    }

    #[test]
    fn each_span_is_returned_once_and_every_process_gets_the_same_spans() {
        let started = fixture::started(4);
        let ids: Vec<_> = started.routes.iter().map(|r| r.id.clone()).collect();
        let set = Split::default();
        let writes: Vec<_> = ids.iter().map(|id| Write { route: id.clone(), expect: None, set: set.clone() }).collect();
        let outcome = |id: &RouteId, result| Event::Outcome { route: id.clone(), result, live: None, detail: None };
        let intended =
            |restore| Event::Intended { restore, deadline: Timestamp::UNIX_EPOCH, writes: writes[..2].to_vec() };
        let mut events = vec![
            Event::Started(Box::new(started)),
            Event::StepStarted { step: 1, kind: StepType::Shares, label: "setWeight: 5".into() },
            intended(false),
            outcome(&ids[0], WriteResult::Applied),
            outcome(&ids[1], WriteResult::Unknown),
            Event::StepDone { step: 1 },
            Event::StepStarted { step: 2, kind: StepType::Bake, label: "pause 10m".into() },
            Event::GateFailed {
                gate: crate::domain::run::event::GateKind::Guard,
                group: String::new(),
                message: "dead".into(),
            },
        ];
        let back = Event::RollbackStarted {
            cause: "dead".into(),
            by: "cutover".into(),
            trigger: Trigger::Gate,
            to_step: None,
            force: false,
            break_stickiness: false,
            request: None,
        };
        events.extend([
            back,
            intended(true),
            outcome(&ids[0], WriteResult::Applied),
            outcome(&ids[1], WriteResult::Already),
        ]);
        events.push(Event::Finished {
            outcome: RunOutcome::RolledBack,
            remarks: Vec::new(),
            unresolved: Vec::new(),
            accepted: Vec::new(),
            notes: Vec::new(),
        });
        let records = records(events);
        let mut trace = Trace::default();
        let spans: Vec<_> = records.iter().flat_map(|r| trace.add(r)).collect();
        let span_summaries: Vec<_> = spans
            .iter()
            .map(|s| (s.name.as_str(), s.start.as_second(), s.end.as_second(), s.error.as_deref()))
            .collect();
        let expected = [
            ("write", 3, 5, Some("routes that were not written: 1")),
            ("step 1", 2, 6, None),
            ("step 2", 7, 9, Some("dead")),
            ("restore", 10, 12, None),
            ("rollback", 9, 13, None),
            ("run alpha", 1, 13, Some("rolled back")),
        ];
        assert_eq!(span_summaries, expected);
        let of = |name: &str| spans.iter().find(|s| s.name == name).expect(name);
        assert_eq!((of("write").parent, of("restore").parent), (Some(of("step 1").id), Some(of("rollback").id)));
        assert_eq!((of("step 2").parent, of("run alpha").parent), (Some(of("run alpha").id), None));
        assert_eq!(of("step 2").events[0].1, "gateFailed");
        // Another process that reads the same journal returns the same spans.
        let mut second = Trace::default();
        let again: Vec<_> = records.iter().flat_map(|r| second.add(r)).collect();
        assert_eq!(again, spans);
        let back = Record::new(14, records[12].time, "alpha-1", records[8].event.clone());
        let end = Record { seq: 15, ..records[12].clone() };
        let later: Vec<_> = [back, end].iter().flat_map(|r| second.add(r)).map(|s| s.name).collect();
        assert_eq!(later, ["rollback"], "the span of the run must not be returned twice");
    }
}
