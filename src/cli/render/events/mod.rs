//! Renders each event as a line for people. `run` and `rehearse` print these lines, above the dashboard if there is
//! one.

mod batch;
mod comparison;
mod drift;
mod ending;
mod freeze;
mod header_rules;
mod items;
mod line;

use std::collections::BTreeMap;

use super::style::{Style, Tone};
use crate::app::names::{Names, shares};
use crate::base::duration::format_elapsed;
use crate::base::number::{count, percent};
use crate::domain::health::HealthCounts;
use crate::domain::metric::verdict::judge::GateResult;
use crate::domain::run::event::{
    ClientMeasurement, DriftPolicy, Event, GateKind, IgnoredHours, MeasuredTime, Ramp, Record, ResumeMode, RouteStart,
    Started, Wait, WaitReason,
};
use crate::domain::run::hook::HookResult;
use crate::domain::traffic::RouteId;
use batch::WriteSummary;
use drift::DriftSummary;
use ending::{finished, rollback};
use jiff::{SignedDuration, Timestamp};
use line::EventText;

/// Converts the records of a run, one after the other, to lines. Writes are summed up; failed writes are named.
#[derive(Debug, Clone)]
pub struct EventLines {
    style: Style,
    names: Names,
    tally: WriteSummary,
    drift: DriftSummary,
    health: BTreeMap<String, HealthCounts>,
    waits: Vec<Wait>,
    /// The message of the last freeze, which is not repeated when the process stops.
    freeze: String,
    commands: bool,
    /// The plan that commands name instead of the run, if no command can reach the run (a rehearsal).
    plan: Option<String>,
}

impl EventLines {
    /// Creates an empty state. Must be called before the record `started`.
    pub fn new(style: Style) -> Self {
        Self {
            style,
            names: Names::default(),
            tally: WriteSummary::default(),
            drift: DriftSummary::default(),
            health: BTreeMap::new(),
            waits: Vec::new(),
            freeze: String::new(),
            commands: false,
            plan: None,
        }
    }

    /// Adds the command to each wait for an operator. Only for a run that commands from other terminals can reach.
    #[must_use]
    pub fn with_commands(self) -> Self {
        Self { commands: true, ..self }
    }

    /// Makes the commands name a plan. For a rehearsal, because no command can reach its run.
    #[must_use]
    pub fn of_rehearsal(self, plan: String) -> Self {
        Self { plan: Some(plan), ..self }
    }

    /// Returns the names from the record `started`.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Reads the names and the routes of a run from the records before the first line.
    pub fn learn(&mut self, earlier: &[Record]) {
        for record in earlier {
            self.names.update(&record.event);
        }
    }

    /// Returns the lines that a record adds, without newlines. Many records add no line.
    pub fn lines_for(&mut self, record: &Record) -> Vec<String> {
        self.names.update(&record.event);
        if let Event::Drifted { route, expected, live } = &record.event {
            self.drift.add(record, route, expected, live.as_deref(), &self.names);
            return Vec::new();
        }
        let mut lines = self.pending_lines();
        let mut texts = self.tally.take(record, &self.names);
        texts.extend(match &record.event {
            Event::Intended { .. } | Event::Outcome { .. } => None,
            Event::Waiting { waits } => self.waiting(waits, &record.run),
            Event::Health { groups } => self.changed(groups),
            Event::Frozen { message, .. } if !self.commands => Some(frozen(message)),
            Event::Stopped { message, .. } if *message == self.freeze => {
                Some(EventText::new(Tone::Warn, "⏸", "this process stops; the run stays frozen"))
            }
            Event::Approved { step, by, .. } => Some(approved(*step, by, &open_gates(&self.waits))),
            other => text(other, &record.run, &self.names, &self.style),
        });
        if let Event::Frozen { message, .. } = &record.event {
            self.freeze.clone_from(message);
        }
        if let Some(plan) = self.plan.as_ref().filter(|_| !matches!(record.event, Event::Started(_))) {
            for text in &mut texts {
                text.message = text.message.replace(&record.run, plan);
            }
        }
        lines.extend(texts.into_iter().map(|t| t.line(record, &self.style)));
        lines
    }

    /// Returns the lines of earlier records that were delayed to sum up records of the same kind. They are due at the
    /// next record, or at the end of a loop iteration.
    pub fn pending_lines(&mut self) -> Vec<String> {
        let Some((record, texts)) = self.drift.take() else { return Vec::new() };
        texts.iter().map(|text| text.line(&record, &self.style)).collect()
    }

    fn waiting(&mut self, waits: &[Wait], run: &str) -> Option<EventText> {
        // The pause, the freeze or the command already has its own line.
        let is_shown = |w: &Wait| {
            matches!(w.reason, WaitReason::Paused | WaitReason::Frozen | WaitReason::Hook) || self.waits.contains(w)
        };
        let command = |w: &Wait| {
            let approval = self.commands && w.reason == WaitReason::Approval;
            if approval { format!("   cutover approve {run}") } else { String::new() }
        };
        let new_texts =
            waits.iter().filter(|w| !is_shown(w)).map(|w| wait(w, &self.style) + &command(w)).collect::<Vec<_>>();
        self.waits = waits.to_vec();
        (!new_texts.is_empty()).then(|| EventText::new(Tone::Faint, "·", new_texts.join("; ")))
    }

    fn changed(&mut self, groups: &BTreeMap<String, HealthCounts>) -> Option<EventText> {
        let changed: BTreeMap<_, _> =
            groups.iter().filter(|(arn, c)| self.health.get(*arn) != Some(c)).map(|(a, c)| (a.clone(), *c)).collect();
        self.health.extend(groups.clone());
        (!changed.is_empty()).then(|| health(&changed, &self.names))
    }
}

/// Returns one event as a line (a message may have several lines); `None` if people do not need the event. Health and
/// waits are complete, not only the changes.
pub fn line(record: &Record, names: &Names, style: &Style) -> Option<String> {
    text(&record.event, &record.run, names, style).map(|t| t.line(record, style))
}

/// Returns the text of one event, without time and mark.
pub fn event_text(record: &Record, names: &Names, style: &Style) -> Option<String> {
    text(&record.event, &record.run, names, style).map(|t| t.message)
}

fn text(event: &Event, run: &str, names: &Names, style: &Style) -> Option<EventText> {
    Some(match event {
        Event::Started(s) => EventText::new(Tone::Strong, "▸", started(s, run)),
        Event::ProcessStarted { owner, pid, tool, .. } => EventText::driver(owner, *pid, tool, style),
        Event::StepStarted { step, label, .. } => EventText::new(Tone::Strong, "▸", format!("step {step}  {label}")),
        Event::BindingDone { cluster, binding, result } => {
            EventText::new(Tone::Good, "✓", format!("binding {binding} in {cluster}: {}", result.text()))
        }
        Event::Intended { writes, .. } => {
            EventText::new(Tone::Faint, "·", format!("writing {}", count(writes.len(), "route")))
        }
        Event::Outcome { route, result, live, detail } => {
            return Some(batch::outcome(route, *result, live.as_ref(), detail.as_deref(), names));
        }
        Event::Settled { step } => EventText::new(Tone::Faint, "·", format!("step {step}  settled")),
        Event::StepDone { step } => EventText::new(Tone::Good, "✓", format!("step {step}  done")),
        Event::Baked { gap: 0, .. } | Event::GateMeasured { .. } => return None,
        Event::Baked { gap, .. } => EventText::new(
            Tone::Warn,
            "!",
            format!("no observation for {}: the pause is extended by this time", format_elapsed(millis(*gap))),
        ),
        Event::Approved { step, by, .. } => approved(*step, by, ""),
        Event::TimedOut { step, after, then } => {
            let what =
                format!("step {step}  nobody approved within {}: {}", format_elapsed(millis(*after)), then.name());
            EventText::new(Tone::Warn, "!", what)
        }
        Event::Promoted { step, full: false, by, .. } => {
            EventText::new(Tone::Good, "✓", format!("step {step}  promoted by {by}: this pause ends"))
        }
        Event::Promoted { by, .. } => {
            EventText::new(Tone::Good, "✓", format!("promoted by {by}: the run skips all its pauses"))
        }
        Event::Paused { by, reason, .. } => EventText::new(Tone::Warn, "⏸", paused(by, reason)),
        Event::Resumed { by, mode, ignore_hours, .. } => {
            EventText::new(Tone::Strong, "▸", resumed(by, *mode, ignore_hours.as_ref()))
        }
        Event::LeftOut { by, routes, .. } => {
            let labels: Vec<_> = routes.iter().map(|id| names.route(id)).collect();
            let what =
                format!("left out by {by}: {}; the steps go on, and a rollback tries to restore it", labels.join(", "));
            EventText::new(Tone::Warn, "!", what)
        }
        Event::Frozen { reason, message } => frozen(&format!("{message}{}", freeze::commands(*reason, message, run))),
        Event::Unfrozen {} => EventText::new(Tone::Strong, "▸", "no longer frozen: the run continues"),
        Event::Drifted { route, expected, live } => drift::one(route, expected, live.as_deref(), names),
        Event::ConditionsChanged { route, before, after } => conditions_changed(route, before, after, run, names),
        Event::RuleCreated { route, replaces } => {
            EventText::new(Tone::Warn, "!", rule_created(route, replaces.as_ref(), run, names))
        }
        Event::VerdictChanged { gate, verdict: call, why, dry_run } => verdict_changed(gate, *call, why, *dry_run),
        Event::Compared(verdict) => comparison::text(verdict),
        Event::GateFailed { gate, group, message } => gate_failed(*gate, group, message, names),
        Event::RollbackStarted { cause, by, to_step, force, .. } => {
            EventText::new(Tone::Bad, "↩", rollback(cause, by, *to_step, *force))
        }
        Event::RampStarted { cause, by, ramp, force, .. } => {
            EventText::new(Tone::Bad, "↩", format!("{}; {}", rollback(cause, by, None, *force), stages(ramp)))
        }
        Event::Ramped { percent, early } => ramped(*percent, early.as_deref()),
        Event::HookStarted { action: what, .. } => EventText::new(Tone::Faint, "·", what),
        Event::HookEnded { hook, result, message } => hook_ended(&names.hook(*hook), *result, message),
        Event::HeaderRules(change) => return header_rules::text(change, names),
        Event::RetireStarted { by, bindings, .. } => EventText::new(Tone::Strong, "▸", retiring(by, *bindings)),
        Event::BindingRemoved { cluster, binding, deleted: true, .. } => {
            EventText::new(Tone::Good, "✓", format!("binding {binding} in {cluster}: deleted"))
        }
        Event::BindingRemoved { cluster, binding, why, .. } => {
            EventText::new(Tone::Warn, "!", format!("binding {binding} in {cluster}: not deleted, {why}"))
        }
        Event::ItemIntended(intent) => items::intended(intent),
        Event::ItemOutcome(outcome) => items::outcome(outcome),
        Event::ItemDrained(drained) => items::drained(drained),
        Event::Waiting { waits } if waits.is_empty() => return None,
        Event::Waiting { waits } => {
            EventText::new(Tone::Faint, "·", waits.iter().map(|w| wait(w, style)).collect::<Vec<_>>().join("; "))
        }
        Event::Health { groups } => health(groups, names),
        Event::Notice { message, .. } => EventText::new(Tone::Warn, "!", message),
        Event::Finished { outcome, remarks, unresolved: left, accepted, notes } => {
            let remarks = [remarks.as_slice(), notes].concat();
            finished(*outcome, &remarks, left, accepted, names.is_evacuation())
        }
        Event::WeightsTagged { missing, .. } if missing.is_empty() => return None,
        Event::WeightsTagged { missing, .. } => EventText::new(Tone::Warn, "!", untagged(missing)),
        Event::Stopped { message, .. } => EventText::new(Tone::Warn, "⏸", message),
        Event::Unknown { kind } => EventText::new(
            Tone::Warn,
            "!",
            format!("`{kind}`: an event of a newer version of cutover, which this version does not know"),
        ),
        Event::ClientsMeasured(m) => measured(m),
        Event::Notified { to, about, text } => {
            EventText::new(Tone::Faint, "·", format!("would notify {to} ({about}): {text}"))
        }
    })
}

fn gate_failed(gate: GateKind, group: &str, message: &str, names: &Names) -> EventText {
    // A metric gate is about more than one group.
    let on = if group.is_empty() { String::new() } else { format!(" on {}", names.group(group)) };
    EventText::new(Tone::Bad, "✗", format!("{} gate failed{on}: {message}", gate.name()))
}

fn ramped(percent: u32, early: Option<&str>) -> EventText {
    match early {
        None => EventText::new(Tone::Strong, "↩", format!("rolling back {percent} % of the shares")),
        Some(why) => EventText::new(Tone::Bad, "↩", format!("rolling back all shares at once: {why}")),
    }
}

fn retiring(by: &str, bindings: bool) -> String {
    let also = if bindings { ", its bindings are deleted" } else { "" };
    format!("retiring the old cluster, by {by}: its target groups are detached from the routes{also}")
}

fn stages(ramp: &Ramp) -> String {
    let stages = ramp.percents.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    format!("in stages: {stages} %, one every {}", format_elapsed(millis(ramp.every.saturating_mul(1000))))
}

fn untagged(missing: &BTreeMap<RouteId, String>) -> String {
    let why = missing.values().next().map_or("", String::as_str);
    let routes = count(missing.len(), "route");
    format!(
        "the original weights cannot be put in the tags of {routes} ({why}); \
         the journal and the break-glass script have them"
    )
}

fn started(s: &Started, run: &str) -> String {
    let rollback_text = s.start.as_ref().map(|s| {
        format!("; a rollback restores {}", shares(&s.iter().map(|(c, p)| (c.clone(), f64::from(*p))).collect()))
    });
    let by = if s.owner.is_empty() { String::new() } else { format!(", by {}", s.owner) };
    let plan = if s.has_no_plan() { String::new() } else { format!(" of plan {}", s.plan) };
    format!("run {run}{plan}{by}: {}{}", count(s.routes.len(), "route"), rollback_text.unwrap_or_default())
}

fn hook_ended(hook: &str, result: HookResult, message: &str) -> EventText {
    let (tone, mark, result_text) = match result {
        HookResult::Succeeded => (Tone::Good, "✓", "succeeded"),
        HookResult::Failed => (Tone::Bad, "✗", "FAILED"),
        HookResult::Interrupted => (Tone::Warn, "!", "interrupted"),
    };
    if let Some(why) = message.strip_prefix("skipped: ") {
        return EventText::new(Tone::Faint, "·", format!("{hook} skipped: {why}"));
    }
    let message = if message.is_empty() { String::new() } else { format!(": {message}") };
    EventText::new(tone, mark, format!("{hook} {result_text}{message}"))
}

fn verdict_changed(gate: &str, call: GateResult, why: &str, dry_run: bool) -> EventText {
    let dry_run_note = if dry_run { " (dry run)" } else { "" };
    let (tone, mark, verb) = match call {
        GateResult::Pass => (Tone::Good, "✓", "passes"),
        GateResult::Hold => (Tone::Faint, "·", "holds"),
        GateResult::Fail if dry_run => (Tone::Warn, "!", "fails"),
        GateResult::Fail => (Tone::Bad, "✗", "fails"),
    };
    EventText::new(tone, mark, format!("gate {gate}{dry_run_note} {verb}: {why}"))
}

fn approved(step: usize, by: &str, although: &str) -> EventText {
    EventText::new(Tone::Good, "✓", format!("step {step}  approved by {by}{although}"))
}

/// Says which gates did not pass when an operator approved: the wait for the approval names each with its verdict.
fn open_gates(waits: &[Wait]) -> String {
    let parts = waits.iter().filter(|w| w.reason == WaitReason::Approval).flat_map(|w| w.message.split("; "));
    let open: Vec<_> = parts.filter(|part| part.starts_with("gate ") && !part.ends_with(" passes")).collect();
    if open.is_empty() { String::new() } else { format!(", although {}", open.join(", ")) }
}

fn paused(by: &str, reason: &str) -> String {
    if reason.is_empty() { format!("paused by {by}") } else { format!("paused by {by}: {reason}") }
}

fn frozen(message: &str) -> EventText {
    EventText::new(Tone::Warn, "⏸", format!("frozen, no share is raised: {message}"))
}

fn resumed(by: &str, mode: ResumeMode, ignored: Option<&IgnoredHours>) -> String {
    let drift = match mode.drift {
        DriftPolicy::Leave => "",
        DriftPolicy::KeepLive => "; the changes by others are accepted",
        DriftPolicy::Reassert => "; the routes that others changed are written again",
    };
    let new = if mode.include_new { "; rules created after the start are also moved" } else { "" };
    let hours = ignored.map_or_else(String::new, |ignored| {
        format!("; outside of the plan's hours, step {} only: {}", ignored.step, ignored.reason)
    });
    format!("resumed by {by}{drift}{new}{hours}")
}

fn rule_created(route: &RouteStart, replaces: Option<&RouteId>, run: &str, names: &Names) -> String {
    let label = &route.label;
    let conditions = if route.conditions.is_empty() { String::new() } else { format!(" ({})", route.conditions) };
    match replaces {
        Some(deleted) => format!(
            "{label}{conditions}: someone created this rule with the conditions of {}, which was deleted; \
             to move this rule in its place: cutover resume {run} --keep-live --include-new",
            names.route(deleted)
        ),
        None => format!(
            "{label}{conditions}: someone created this rule, which forwards to the old groups; \
             to also move this rule: cutover resume {run} --include-new"
        ),
    }
}

fn conditions_changed(route: &RouteId, before: &str, after: &str, run: &str, names: &Names) -> EventText {
    let label = names.route(route);
    if before == after {
        return EventText::new(Tone::Good, "✓", format!("{label}: the conditions are as before the change again"));
    }
    let text = format!(
        "{label}: someone else changed the conditions from `{before}` to `{after}`, \
         so the rule handles other requests; \
         to accept this: cutover resume {run} --keep-live"
    );
    EventText::new(Tone::Bad, "✗", text)
}

fn measured(m: &ClientMeasurement) -> EventText {
    let part = |(cluster, c): (&String, &crate::domain::run::event::ClusterMeasurement)| {
        // During a rollback the shares change.
        let planned =
            if m.during == MeasuredTime::Rollback { String::new() } else { format!(" (plan {})", percent(c.planned)) };
        format!("{cluster} {} %{planned}", percent(c.measured))
    };
    let parts: Vec<_> = m.clusters.iter().map(part).collect();
    let errors = if m.client_errors == 0 {
        "no client error".into()
    } else {
        count(usize::try_from(m.client_errors).unwrap_or(usize::MAX), "client error")
    };
    let tone = if m.client_errors == 0 { Tone::Faint } else { Tone::Warn };
    EventText::new(
        tone,
        "·",
        format!("{}  clients saw {}; {} requests, {errors}", m.during.text(m.step), parts.join(", "), m.requests),
    )
}

/// Returns the health of each group by name, or of each cluster if there are more than four groups.
fn health(groups: &BTreeMap<String, HealthCounts>, names: &Names) -> EventText {
    let parts: Vec<_> = if groups.len() <= 4 {
        groups.iter().map(|(arn, c)| format!("{}: {}", names.group(arn), counts(*c))).collect()
    } else {
        by_cluster(groups, names)
            .into_iter()
            .map(|(cluster, (n, c))| format!("{cluster} ({}): {}", count(n, "group"), counts(c)))
            .collect()
    };
    EventText::new(Tone::Faint, "·", parts.join("; "))
}

/// Returns the sums of targets by cluster, with the number of groups.
fn by_cluster<'a>(
    groups: &'a BTreeMap<String, HealthCounts>,
    names: &'a Names,
) -> BTreeMap<&'a str, (usize, HealthCounts)> {
    let mut sums: BTreeMap<&str, (usize, HealthCounts)> = BTreeMap::new();
    for (arn, c) in groups {
        let (n, sum) = sums.entry(names.cluster(arn).unwrap_or("other groups")).or_default();
        *n += 1;
        *sum = sum.plus(*c);
    }
    sums
}

/// Returns counts as text, such as `18 healthy, 2 initial`. States without targets are left out, except healthy.
pub fn counts(c: HealthCounts) -> String {
    let others = [
        (c.initial, "initial"),
        (c.unhealthy, "unhealthy"),
        (c.unused, "unused"),
        (c.draining, "draining"),
        (c.unavailable, "unavailable"),
    ];
    let others = others.iter().filter(|(n, _)| *n > 0).map(|(n, state)| format!(", {n} {state}"));
    format!("{} healthy{}", c.healthy, others.collect::<String>())
}

/// Returns a wait as text, such as `baking for 10m, until 14:12:11`. The line has the time of its event before it.
fn wait(wait: &Wait, style: &Style) -> String {
    wait_text(wait, |until| style.time(until))
}

/// Returns a wait as text that stands alone, such as `baking for 10m, until 14:12:11 UTC`.
pub fn wait_in_zone(wait: &Wait, style: &Style) -> String {
    wait_text(wait, |until| style.time_in_zone(until))
}

fn wait_text(wait: &Wait, time: impl Fn(Timestamp) -> String) -> String {
    let is_gate = matches!(wait.reason, WaitReason::RaiseGate | WaitReason::MetricGate);
    // A window may be days away, and its message contains the date.
    match wait.until.filter(|_| wait.reason != WaitReason::Window) {
        Some(until) if wait.reason == WaitReason::Compare => format!("{}, next at {}", wait.message, time(until)),
        // The time-out of the gates, unless the targets need only stay healthy.
        Some(until) if is_gate && !wait.message.ends_with("for a while") => {
            format!("{}; waits until {} at most", wait.message, time(until))
        }
        Some(until) => format!("{}, until {}", wait.message, time(until)),
        None => wait.message.clone(),
    }
}

fn millis(n: u64) -> SignedDuration {
    SignedDuration::from_millis(i64::try_from(n).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
