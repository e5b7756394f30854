//! Sums up writes: a step over a hundred routes is one line, and each route whose write failed has its own line.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::line::EventText;
use crate::app::names::Names;
use crate::base::number::count;
use crate::cli::render::style::Tone;
use crate::domain::run::event::{Event, Record, Write, WriteResult};
use crate::domain::traffic::{RouteId, Split};

/// Time after which a long batch shows its progress.
const PROGRESS_INTERVAL: SignedDuration = SignedDuration::from_secs(5);
/// Maximum number of routes that a summary names as not written; the others are counted.
const NAMED_ROUTES: usize = 4;

/// The outcomes of the writes since the start of the step or the rollback.
#[derive(Debug, Clone, Default)]
pub(super) struct WriteSummary {
    restore: bool,
    open: BTreeMap<RouteId, Write>,
    /// Routes that were read back as written: for each, whether `cutover` wrote it, and its shares.
    done: BTreeMap<RouteId, (bool, String)>,
    /// Routes whose last write was sent and got no response.
    unanswered: BTreeSet<RouteId>,
    /// Routes whose last write was rejected, or that could not be written.
    not_written: BTreeSet<RouteId>,
    /// Whether an outcome has arrived since the last line.
    changed: bool,
    last_line_at: Option<Timestamp>,
    /// The messages shown so far, because the same message about a route is shown only once.
    shown: BTreeSet<(Option<RouteId>, String)>,
}

impl WriteSummary {
    /// Returns the lines that must be shown after this record.
    pub fn take(&mut self, record: &Record, names: &Names) -> Vec<EventText> {
        match &record.event {
            Event::Intended { restore, writes, .. } => {
                self.restore = *restore;
                self.last_line_at.get_or_insert(record.time);
                // A write that is sent again is not missing.
                self.not_written.retain(|route| writes.iter().all(|write| write.route != *route));
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
            let written = self.unanswered.remove(route) || result == WriteResult::Applied;
            let before = self.done.get(route).is_some_and(|(written, _)| *written);
            self.done.insert(route.clone(), (written || before, shares));
            self.not_written.remove(route);
            self.changed = true;
            let all_done = self.done.len() >= names.routes();
            let is_slow =
                self.last_line_at.is_some_and(|last_line_at| time.duration_since(last_line_at) >= PROGRESS_INTERVAL);
            return if self.open.is_empty() && (all_done || is_slow) {
                self.summary_line(time, names).into_iter().collect()
            } else {
                Vec::new()
            };
        }
        // A hundred throttled routes are one line, and throttling is not a failure: the write is sent again.
        let throttled = self.restore && result == WriteResult::Failed && detail == Some("throttled");
        match result {
            WriteResult::Unknown => {
                self.unanswered.insert(route.clone());
            }
            _ if throttled => {}
            _ => {
                self.not_written.insert(route.clone());
            }
        }
        let text = if throttled {
            EventText::new(
                Tone::Warn,
                "!",
                "AWS throttles the writes: throttled writes are sent again until AWS accepts them",
            )
        } else {
            outcome(route, result, live, detail, names)
        };
        let route = (!throttled).then(|| route.clone());
        if self.shown.insert((route, text.message.clone())) { vec![text] } else { Vec::new() }
    }

    /// Returns the summary line, such as `36 of 36 routes written, read back: a 95 %, b 5 %`. The line counts only
    /// routes that were read back as written, and names the others.
    fn summary_line(&mut self, time: Timestamp, names: &Names) -> Option<EventText> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        self.last_line_at = Some(time);
        let mut shares: BTreeMap<&str, usize> = BTreeMap::new();
        for (_, s) in self.done.values() {
            *shares.entry(s).or_default() += 1;
        }
        let shares = match shares.len() {
            1 => shares.into_keys().collect::<String>(),
            _ => shares.into_iter().map(|(s, n)| format!("{n} at {s}")).collect::<Vec<_>>().join("; "),
        };
        let verb = if self.restore { "restored" } else { "written" };
        let written = self.done.values().filter(|(written, _)| *written).count();
        let all = count(names.routes().max(self.done.len()), "route");
        let counts = match self.done.len() - written {
            0 => format!("{written} of {all} {verb}"),
            already if written == 0 => format!("{already} of {all} needed no write"),
            already => format!("{written} of {all} {verb}, {already} needed no write"),
        };
        let missing = self.missing(names);
        let (tone, mark) = if missing.is_empty() { (Tone::Good, "✓") } else { (Tone::Warn, "!") };
        Some(EventText::new(tone, mark, format!("{counts}, read back: {shares}{missing}")))
    }

    /// Returns the names of the routes that were not written. A batch with such routes is shown as incomplete.
    fn missing(&self, names: &Names) -> String {
        let (shown, more) =
            (self.not_written.iter().take(NAMED_ROUTES), self.not_written.len().saturating_sub(NAMED_ROUTES));
        let shown = shown.map(|route| names.route(route)).collect::<Vec<_>>().join(", ");
        match (shown.is_empty(), more) {
            (true, _) => String::new(),
            (false, 0) => format!("; NOT {}: {shown}", if self.restore { "restored" } else { "written" }),
            (false, more) => {
                format!("; NOT {}: {shown}, and {more} more", if self.restore { "restored" } else { "written" })
            }
        }
    }
}

/// Returns one outcome as text.
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
    let is = shares.as_ref().map_or_else(String::new, |s| format!(", the route now has {s}"));
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
