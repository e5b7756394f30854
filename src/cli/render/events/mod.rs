//! A line for each event, for people: what `run` and `rehearse` print where there is no dashboard, and above it where there is one.

mod batch;

use std::collections::BTreeMap;

use super::style::{Style, Tone};
use crate::app::names::{Names, shares};
use crate::base::duration::brief;
use crate::base::number::{count, percent};
use crate::domain::health::Counts;
use crate::domain::metric::verdict::judge::Call;
use crate::domain::run::event::{Event, Measured, Outcome, Record, ResumeMode, RouteStart, Started, Wait, WaitReason};
use crate::domain::run::hook::{HookId, HookResult, Occasion};
use crate::domain::traffic::{Content, RouteId};
use batch::Tally;
use jiff::SignedDuration;

/// Turns a run's records, one after the other, into lines. Writes are summed up; what went wrong with one of them is named.
#[derive(Debug, Clone)]
pub struct Lines {
    style: Style,
    names: Names,
    tally: Tally,
    health: BTreeMap<String, Counts>,
    waits: Vec<Wait>,
    commands: bool,
}

impl Lines {
    /// For a run whose `started` record is still to come.
    pub fn new(style: Style) -> Self {
        Self {
            style,
            names: Names::default(),
            tally: Tally::default(),
            health: BTreeMap::new(),
            waits: Vec::new(),
            commands: false,
        }
    }

    /// With the command to type where a person is waited for: of a run that other terminals can reach.
    #[must_use]
    pub fn with_commands(self) -> Self {
        Self { commands: true, ..self }
    }

    /// The names learnt from `started`.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// The lines that a record adds, without newlines; often none.
    pub fn take(&mut self, record: &Record) -> Vec<String> {
        if let Event::Started(started) = &record.event {
            self.names = Names::of(started);
        }
        if let Event::Appeared { route } = &record.event {
            self.names.learn(route);
        }
        let mut texts = self.tally.take(record, &self.names);
        texts.extend(match &record.event {
            Event::Intended { .. } | Event::Outcome { .. } => None,
            Event::Waiting { waits } => self.waiting(waits, &record.run),
            Event::Health { groups } => self.changed(groups),
            other => text(other, &record.run, &self.names, &self.style),
        });
        texts.into_iter().map(|t| t.line(record, &self.style)).collect()
    }

    fn waiting(&mut self, waits: &[Wait], run: &str) -> Option<Text> {
        // The pause, the freeze or the command itself has just been said.
        let said = |w: &Wait| {
            matches!(w.reason, WaitReason::Paused | WaitReason::Frozen | WaitReason::Hook) || self.waits.contains(w)
        };
        let command = |w: &Wait| {
            let approval = self.commands && w.reason == WaitReason::Approval;
            if approval { format!("   cutover approve {run}") } else { String::new() }
        };
        let fresh = waits.iter().filter(|w| !said(w)).map(|w| wait(w, &self.style) + &command(w)).collect::<Vec<_>>();
        self.waits = waits.to_vec();
        (!fresh.is_empty()).then(|| Text::new(Tone::Faint, "·", fresh.join("; ")))
    }

    fn changed(&mut self, groups: &BTreeMap<String, Counts>) -> Option<Text> {
        let changed: BTreeMap<_, _> =
            groups.iter().filter(|(arn, c)| self.health.get(*arn) != Some(c)).map(|(a, c)| (a.clone(), *c)).collect();
        self.health.extend(groups.clone());
        (!changed.is_empty()).then(|| health(&changed, &self.names))
    }
}

/// One event as one line (a message may span several), `None` where it says nothing to people. Health and waits are shown whole.
pub fn line(record: &Record, names: &Names, style: &Style) -> Option<String> {
    text(&record.event, &record.run, names, style).map(|t| t.line(record, style))
}

/// The same without time and mark.
pub fn words(record: &Record, names: &Names, style: &Style) -> Option<String> {
    text(&record.event, &record.run, names, style).map(|t| t.words)
}

/// A line before it is dressed.
#[derive(Debug)]
struct Text {
    tone: Tone,
    mark: &'static str,
    words: String,
}

impl Text {
    fn new(tone: Tone, mark: &'static str, words: impl Into<String>) -> Self {
        Self { tone, mark, words: words.into() }
    }

    fn line(&self, record: &Record, style: &Style) -> String {
        let mark = if style.unicode { self.mark } else { ascii(self.mark) };
        let words = self.words.trim_end().replace('\n', "\n            ");
        let time = style.paint(Tone::Faint, &style.time(record.time));
        format!("{time}  {}", style.paint(self.tone, &format!("{mark} {words}")))
    }
}

fn ascii(mark: &str) -> &'static str {
    match mark {
        "▸" => ">",
        "✓" => "+",
        "✗" => "x",
        "⏸" => "=",
        "↩" => "<",
        "·" => ".",
        _ => "!",
    }
}

fn text(event: &Event, run: &str, names: &Names, style: &Style) -> Option<Text> {
    Some(match event {
        Event::Started(s) => Text::new(Tone::Strong, "▸", started(s, run)),
        Event::Claimed { owner, pid, tool, .. } => {
            Text::new(Tone::Faint, "·", format!("{owner} has the run in hand (process {pid}, cutover {tool})"))
        }
        Event::StepStarted { step, label, .. } => Text::new(Tone::Strong, "▸", format!("step {step}  {label}")),
        Event::Bound { cluster, binding, result } => {
            Text::new(Tone::Good, "✓", format!("binding {binding} in {cluster}: {}", result.word()))
        }
        Event::Intended { writes, .. } => {
            Text::new(Tone::Faint, "·", format!("writing {}", count(writes.len(), "route")))
        }
        Event::Outcome { route, result, live, detail } => {
            return Some(batch::outcome(route, *result, live.as_ref(), detail.as_deref(), names));
        }
        Event::Settled { step } => Text::new(Tone::Faint, "·", format!("step {step}  settled")),
        Event::StepDone { step } => Text::new(Tone::Good, "✓", format!("step {step}  done")),
        Event::Baked { gap: 0, .. } | Event::Sampled { .. } => return None,
        Event::Baked { gap, .. } => Text::new(
            Tone::Warn,
            "!",
            format!("nobody looked for {}: the bake is that much longer", brief(millis(*gap))),
        ),
        Event::Approved { step, by, .. } => Text::new(Tone::Good, "✓", format!("step {step}  approved by {by}")),
        Event::TimedOut { step, after, then } => {
            let what = format!("step {step}  nobody approved within {}: {}", brief(millis(*after)), then.word());
            Text::new(Tone::Warn, "!", what)
        }
        Event::Promoted { step, full: false, by, .. } => {
            Text::new(Tone::Good, "✓", format!("step {step}  promoted by {by}: this pause is over"))
        }
        Event::Promoted { by, .. } => {
            Text::new(Tone::Good, "✓", format!("promoted by {by}: no more pauses in this run"))
        }
        Event::Paused { by, reason, .. } => Text::new(Tone::Warn, "⏸", paused(by, reason)),
        Event::Resumed { by, mode, .. } => Text::new(Tone::Strong, "▸", resumed(by, *mode)),
        Event::Frozen { message, .. } => Text::new(Tone::Warn, "⏸", format!("frozen, nothing is raised: {message}")),
        Event::Thawed {} => Text::new(Tone::Strong, "▸", "the reason is gone: going on"),
        Event::Drifted { route, expected, live } => drifted(route, expected, live.as_deref(), names),
        Event::Appeared { route } => Text::new(Tone::Warn, "!", appeared(route)),
        Event::Judged { gate, call, why, dry_run } => judged(gate, *call, why, *dry_run),
        // A metric gate is about more than one group.
        Event::GateFailed { gate, group, message } if group.is_empty() => {
            Text::new(Tone::Bad, "✗", format!("{} gate failed: {message}", gate.word()))
        }
        Event::GateFailed { gate, group, message } => {
            Text::new(Tone::Bad, "✗", format!("{} gate failed on {}: {message}", gate.word(), names.group(group)))
        }
        Event::RollbackStarted { cause, by, to_step, force, .. } => {
            Text::new(Tone::Bad, "↩", rollback(cause, by, *to_step, *force))
        }
        Event::RampStarted { cause, by, ramp, force, .. } => {
            let parts = ramp.percents.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
            let every = brief(millis(ramp.every.saturating_mul(1000)));
            let whole = rollback(cause, by, None, *force);
            Text::new(
                Tone::Bad,
                "↩",
                format!("{whole}; in parts, {parts} % of the way, each {every} after the one before"),
            )
        }
        Event::Ramped { percent, early: None } => Text::new(Tone::Strong, "↩", format!("{percent} % of the way back")),
        Event::Ramped { early: Some(why), .. } => {
            Text::new(Tone::Bad, "↩", format!("all of the way back at once: {why}"))
        }
        Event::HookStarted { what, .. } => Text::new(Tone::Faint, "·", what),
        Event::HookEnded { hook, result, message } => ended(*hook, *result, message),
        Event::DetachStarted { by, bindings, .. } => {
            let also = if *bindings { ", and its bindings are deleted" } else { "" };
            Text::new(
                Tone::Strong,
                "▸",
                format!("the old cluster is let go, by {by}: its groups are taken out of the actions{also}"),
            )
        }
        Event::Unbound { cluster, binding, gone: true, .. } => {
            Text::new(Tone::Good, "✓", format!("binding {binding} in {cluster}: gone"))
        }
        Event::Unbound { cluster, binding, why, .. } => {
            Text::new(Tone::Warn, "!", format!("binding {binding} in {cluster}: left there, {why}"))
        }
        Event::Waiting { waits } if waits.is_empty() => return None,
        Event::Waiting { waits } => {
            Text::new(Tone::Faint, "·", waits.iter().map(|w| wait(w, style)).collect::<Vec<_>>().join("; "))
        }
        Event::Health { groups } => health(groups, names),
        Event::Notice { message, .. } => Text::new(Tone::Warn, "!", message),
        Event::Finished { outcome, remarks, left } => finished(*outcome, remarks, left),
        Event::Kept { missing, .. } if missing.is_empty() => return None,
        Event::Kept { missing, .. } => {
            let why = missing.values().next().map_or("", String::as_str);
            let routes = count(missing.len(), "route");
            Text::new(
                Tone::Warn,
                "!",
                format!(
                    "the original weights are not in the tags of {routes}; the journal and the script have them ({why})"
                ),
            )
        }
        Event::Stopped { message, .. } => Text::new(Tone::Warn, "⏸", message),
        Event::Unknown { kind } => Text::new(
            Tone::Warn,
            "!",
            format!("`{kind}`: an event of a newer version, which this cutover does not know"),
        ),
        Event::Measured(m) => measured(m),
        Event::Notified { to, about, text } => {
            Text::new(Tone::Faint, "·", format!("would tell {to} ({about}): {text}"))
        }
    })
}

fn started(s: &Started, run: &str) -> String {
    let whole = s.start.as_ref().map(|s| {
        format!("; a rollback goes to {}", shares(&s.iter().map(|(c, p)| (c.clone(), f64::from(*p))).collect()))
    });
    format!(
        "run {run} of plan {}, by {}: {}{}",
        s.plan,
        s.owner,
        count(s.routes.len(), "route"),
        whole.unwrap_or_default()
    )
}

fn ended(hook: HookId, result: HookResult, message: &str) -> Text {
    let place = match hook.at {
        Occasion::Command => format!("step {}  command", hook.step),
        Occasion::Undo => format!("step {}  undo", hook.step),
        at => format!("hook {} ({})", hook.number, at.name()),
    };
    let (tone, mark, words) = match result {
        HookResult::Well => (Tone::Good, "✓", "well"),
        HookResult::Failed => (Tone::Bad, "✗", "FAILED"),
        HookResult::Ended => (Tone::Warn, "!", "ended before it was over"),
    };
    let message = if message.is_empty() { String::new() } else { format!(": {message}") };
    Text::new(tone, mark, format!("{place} {words}{message}"))
}

fn judged(gate: &str, call: Call, why: &str, dry_run: bool) -> Text {
    let watched = if dry_run { " (only watched)" } else { "" };
    let (tone, mark, verb) = match call {
        Call::Pass => (Tone::Good, "✓", "passes"),
        Call::Hold => (Tone::Faint, "·", "holds"),
        Call::Fail if dry_run => (Tone::Warn, "!", "fails"),
        Call::Fail => (Tone::Bad, "✗", "fails"),
    };
    Text::new(tone, mark, format!("gate {gate}{watched} {verb}: {why}"))
}

fn paused(by: &str, reason: &str) -> String {
    if reason.is_empty() { format!("paused by {by}") } else { format!("paused by {by}: {reason}") }
}

fn resumed(by: &str, mode: ResumeMode) -> String {
    let drift = match mode {
        ResumeMode::Plain => "",
        ResumeMode::KeepLive => "; what is live now is the new truth",
        ResumeMode::IncludeNew => "; rules that were made since the start are moved along",
        ResumeMode::Reassert => "; what others changed is written again as it was",
    };
    format!("resumed by {by}{drift}")
}

fn appeared(route: &RouteStart) -> String {
    let conditions = if route.conditions.is_empty() { String::new() } else { format!(" ({})", route.conditions) };
    format!(
        "{}{conditions}: someone made this rule, and it forwards to the old groups; to move it too: cutover resume --include-new",
        route.label
    )
}

fn drifted(route: &RouteId, expected: &Content, live: Option<&Content>, names: &Names) -> Text {
    let label = names.route(route);
    let Some(live) = live else { return Text::new(Tone::Bad, "✗", format!("{label}: someone deleted the rule")) };
    match names.change(route, expected, live) {
        Some(change) => Text::new(Tone::Bad, "✗", format!("{label}: someone else changed it: {change}")),
        None => Text::new(Tone::Good, "✓", format!("{label}: is again as we last saw it")),
    }
}

fn rollback(cause: &str, by: &str, to_step: Option<usize>, force: bool) -> String {
    let goal = to_step.map_or_else(|| "to where it started".into(), |s| format!("to the shares of step {s}"));
    let force = if force { ", whatever the way back looks like" } else { "" };
    format!("rolling back {goal}{force}, by {by}: {cause}")
}

fn finished(outcome: Outcome, remarks: &[String], left: &[String]) -> Text {
    let (tone, mark, words) = match outcome {
        Outcome::Completed if !left.is_empty() => {
            (Tone::Bad, "✗", "over, and a person is needed: these are not as they were to be")
        }
        _ if !left.is_empty() => {
            (Tone::Bad, "✗", "over, and a person is needed: every other route is back and was read back, these are NOT")
        }
        Outcome::Completed => (Tone::Good, "✓", "completed: every step done, every route read back"),
        Outcome::RolledBack => {
            (Tone::Warn, "↩", "rolled back: traffic is back where it started, every route read back")
        }
        Outcome::Aborted => (Tone::Warn, "↩", "aborted: traffic is back as asked, every route read back"),
    };
    Text::new(
        tone,
        mark,
        std::iter::once(words).chain(left.iter().chain(remarks).map(String::as_str)).collect::<Vec<_>>().join("\n"),
    )
}

fn measured(m: &Measured) -> Text {
    let part = |(cluster, c): (&String, &crate::domain::run::event::MeasuredCluster)| {
        format!("{cluster} {} % (plan {})", percent(c.seen), percent(c.planned))
    };
    let parts: Vec<_> = m.clusters.iter().map(part).collect();
    let errors = if m.client_errors == 0 {
        "no client error".into()
    } else {
        count(usize::try_from(m.client_errors).unwrap_or(usize::MAX), "client error")
    };
    let tone = if m.client_errors == 0 { Tone::Faint } else { Tone::Warn };
    Text::new(
        tone,
        "·",
        format!("step {}  clients saw {}; {} requests, {errors}", m.step, parts.join(", "), m.requests),
    )
}

/// Up to four groups by name, more by cluster.
fn health(groups: &BTreeMap<String, Counts>, names: &Names) -> Text {
    let parts: Vec<_> = if groups.len() <= 4 {
        groups.iter().map(|(arn, c)| format!("{}: {}", names.group(arn), counts(*c))).collect()
    } else {
        by_cluster(groups, names)
            .into_iter()
            .map(|(cluster, (n, c))| format!("{cluster} ({}): {}", count(n, "group"), counts(c)))
            .collect()
    };
    Text::new(Tone::Faint, "·", parts.join("; "))
}

/// Sums of targets by cluster, with the number of groups.
fn by_cluster<'a>(groups: &'a BTreeMap<String, Counts>, names: &'a Names) -> BTreeMap<&'a str, (usize, Counts)> {
    let mut sums: BTreeMap<&str, (usize, Counts)> = BTreeMap::new();
    for (arn, c) in groups {
        let (n, sum) = sums.entry(names.cluster(arn).unwrap_or("others")).or_default();
        *n += 1;
        *sum = add(*sum, *c);
    }
    sums
}

/// The targets of two groups together.
pub fn add(a: Counts, b: Counts) -> Counts {
    Counts {
        healthy: a.healthy + b.healthy,
        initial: a.initial + b.initial,
        unhealthy: a.unhealthy + b.unhealthy,
        unused: a.unused + b.unused,
        draining: a.draining + b.draining,
        unavailable: a.unavailable + b.unavailable,
    }
}

/// `18 healthy, 2 initial`; states without targets are left out, healthy is always there.
pub fn counts(c: Counts) -> String {
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

/// `baking for 10m, until 14:12:11`.
pub fn wait(wait: &Wait, style: &Style) -> String {
    // A window may be days away, and its message says so.
    match wait.until.filter(|_| wait.reason != WaitReason::Window) {
        Some(until) => format!("{}, until {}", wait.message, style.time(until)),
        None => wait.message.clone(),
    }
}

fn millis(n: u64) -> SignedDuration {
    SignedDuration::from_millis(i64::try_from(n).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
