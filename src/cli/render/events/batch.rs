//! Sums up writes: a step over a hundred routes is one line; each route whose write failed has its own line.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::line::EventText;
use crate::app::names::Names;
use crate::base::number::count;
use crate::cli::render::style::Tone;
use crate::domain::run::event::{Event, Record, Write, WriteResult};
use crate::domain::traffic::{RouteId, Split};

/// How often a long batch shows its progress.
const PROGRESS: SignedDuration = SignedDuration::from_secs(5);

/// The outcomes of the writes since the start of the step or the rollback.
#[derive(Debug, Clone, Default)]
pub(super) struct WriteSummary {
    restore: bool,
    open: BTreeMap<RouteId, Write>,
    done: BTreeMap<RouteId, String>,
    /// Whether something has changed since the last line.
    changed: bool,
    last_line_at: Option<Timestamp>,
    /// The messages shown so far: the same message about a route is shown once.
    shown: BTreeSet<(Option<RouteId>, String)>,
}

impl WriteSummary {
    /// The lines that this record makes due.
    pub fn take(&mut self, record: &Record, names: &Names) -> Vec<EventText> {
        match &record.event {
            Event::Intended { restore, writes, .. } => {
                self.restore = *restore;
                self.last_line_at.get_or_insert(record.time);
                self.open.extend(writes.iter().map(|w| (w.route.clone(), w.clone())));
                Vec::new()
            }
            Event::Outcome { route, result, live, detail } => {
                self.outcome(record.time, route, *result, live.as_ref(), detail.as_deref(), names)
            }
            Event::WeightsTagged { .. }
            | Event::Health { .. }
            | Event::Waiting { .. }
            | Event::Notice { .. }
            | Event::Unknown { .. }
            | Event::ClientsMeasured(_)
            | Event::Notified { .. } => Vec::new(),
            other => {
                let due = self.summary_line(record.time, names);
                if matches!(
                    other,
                    Event::StepStarted { .. }
                        | Event::RollbackStarted { .. }
                        | Event::RampStarted { .. }
                        | Event::Ramped { .. }
                ) {
                    *self = Self::default();
                }
                due.into_iter().collect()
            }
        }
    }

    fn outcome(
        &mut self,
        time: Timestamp,
        route: &RouteId,
        result: WriteResult,
        live: Option<&Split>,
        detail: Option<&str>,
        names: &Names,
    ) -> Vec<EventText> {
        let intended = self.open.remove(route);
        if matches!(result, WriteResult::Applied | WriteResult::Already) {
            let shares =
                live.or(intended.as_ref().map(|w| &w.set)).map_or_else(String::new, |f| names.shares(route, f));
            self.done.insert(route.clone(), shares);
            self.changed = true;
            let whole = self.done.len() >= names.routes();
            let long = self.last_line_at.is_some_and(|told| time.duration_since(told) >= PROGRESS);
            return if self.open.is_empty() && (whole || long) {
                self.summary_line(time, names).into_iter().collect()
            } else {
                Vec::new()
            };
        }
        // A hundred throttled routes are one line, and not a failure.
        let throttled = self.restore && result == WriteResult::Failed && detail == Some("throttled");
        let text = if throttled {
            EventText::new(Tone::Warn, "!", "AWS throttles the writes: they are sent again until AWS accepts them")
        } else {
            outcome(route, result, live, detail, names)
        };
        let route = (!throttled).then(|| route.clone());
        if self.shown.insert((route, text.words.clone())) { vec![text] } else { Vec::new() }
    }

    /// The summary line: `36 of 36 routes written, read back: a 95 %, b 5 %`.
    fn summary_line(&mut self, time: Timestamp, names: &Names) -> Option<EventText> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        self.last_line_at = Some(time);
        let mut shares: BTreeMap<&str, usize> = BTreeMap::new();
        for s in self.done.values() {
            *shares.entry(s).or_default() += 1;
        }
        let shares = match shares.len() {
            1 => shares.into_keys().collect::<String>(),
            _ => shares.into_iter().map(|(s, n)| format!("{n} at {s}")).collect::<Vec<_>>().join("; "),
        };
        let verb = if self.restore { "restored" } else { "written" };
        let (done, all) = (self.done.len(), names.routes());
        Some(EventText::new(Tone::Good, "✓", format!("{done} of {} {verb}, read back: {shares}", count(all, "route"))))
    }
}

/// One outcome as text.
pub(super) fn outcome(
    route: &RouteId,
    result: WriteResult,
    live: Option<&Split>,
    detail: Option<&str>,
    names: &Names,
) -> EventText {
    let label = names.route(route);
    let shares = live.map(|f| names.shares(route, f));
    let detail = detail.map_or_else(String::new, |d| format!(": {d}"));
    let is = shares.as_ref().map_or_else(String::new, |s| format!(", it has {s} now"));
    match result {
        WriteResult::Applied => EventText::new(
            Tone::Good,
            "✓",
            format!("{label} written, read back{}", shares.map_or_else(String::new, |s| format!(": {s}"))),
        ),
        WriteResult::Already => EventText::new(
            Tone::Good,
            "✓",
            format!("{label} needed no write{}", shares.map_or_else(String::new, |s| format!(": {s}"))),
        ),
        WriteResult::Unknown => {
            EventText::new(Tone::Warn, "!", format!("{label}: the write is not confirmed yet{is}{detail}"))
        }
        WriteResult::Failed | WriteResult::Unreadable => {
            EventText::new(Tone::Warn, "!", format!("{label} not written{detail}"))
        }
        WriteResult::Deleted => {
            EventText::new(Tone::Bad, "✗", format!("{label} not written: the rule was deleted{detail}"))
        }
    }
}
