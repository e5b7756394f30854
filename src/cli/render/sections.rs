//! The sections that the dashboard and `status` share. A section is a heading with lines.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::events::{counts, wait_in_zone};
use super::style::{Style, Tone};
use super::wrap::{wrap, wrap_below};
use crate::app::view::{
    DriftView, GroupHealth, Guard, PUT_BACK, PutBack, RouteGroup, RunView, UnreadTraffic, WayBackView,
};
use crate::base::duration::format_elapsed;
use crate::base::number::{count, percent};
use crate::base::text::list;
use crate::domain::health::HealthCounts;
use crate::domain::metric::verdict::judge::GateResult;
use crate::domain::run::event::{FreezeReason, NotMoved, RunOutcome, StopReason, Wait, WaitReason};
use crate::domain::run::state::Phase;
use crate::domain::view::gates::GateView;
use crate::domain::view::hooks::HookView;
use crate::domain::view::hours::IgnoredHoursView;
use crate::port::store::{NoticedBy, OldestHealth};

/// Maximum number of groups that are listed; more groups are summed up by cluster.
const LISTED_GROUPS: usize = 8;

/// Columns of the headings.
const HEADING: usize = 10;

/// Returns the text about the guard of a run that ended at the shares of an earlier step.
pub(super) fn kept_share(view: &RunView) -> String {
    let shares = view.traffic.first().map_or(&[][..], |split| &split.shares);
    let kept: Vec<_> = shares.iter().skip(1).map(|(c, share)| format!("{c} keeps {} %", percent(*share))).collect();
    format!("UNGUARDED: the run is finished, {}, and nothing rolls that back", kept.join(", "))
}

/// Whether a run was aborted to an earlier step, and no later run has moved back the share that this left.
pub(super) fn keeps_share(view: &RunView) -> bool {
    let mut shares = view.traffic.iter().flat_map(|group| group.shares.iter().skip(1));
    view.aborted_to.is_some() && shares.any(|(_, share)| *share > 0.0)
}

/// A section: the heading and its lines.
pub(super) type Section = (&'static str, Vec<String>);

/// Returns all sections below the headline, without empty ones. `all` means that every drifted route is named.
pub(super) fn sections(view: &RunView, style: &Style, all: bool) -> Vec<Section> {
    let parts = [
        ("traffic", traffic(view, style)),
        ("drift", drift(view, style, all)),
        ("not moved", new_rules(view, style)),
        ("health", health(view, style)),
        ("gates", gates(view, style)),
        ("hooks", hooks(view, style, all)),
        ("hours", hours(view, style, all)),
        ("waits", waits(view, style)),
        ("way back", view.way_back.iter().map(|b| way_back(b, style)).collect()),
        ("guard", vec![guard(view, style)]),
        ("owner", other_owner(view, style)),
        ("notifies", if all { notifications(view) } else { Vec::new() }),
    ];
    parts.into_iter().filter(|(_, lines): &Section| !lines.is_empty()).collect()
}

/// Wraps the lines for the terminal.
pub(super) fn wrapped(parts: Vec<Section>, style: &Style) -> Vec<Section> {
    let room = style.width.map(|columns| columns.saturating_sub(HEADING + 2));
    let all = |head, lines: Vec<String>| lines.iter().flat_map(|line| wrap_line(head, line, room)).collect();
    parts.into_iter().map(|(head, lines)| (head, all(head, lines))).collect()
}

/// Wraps a line of a section. A group without a mark begins with a space, and is not a snippet to copy.
pub(super) fn wrap_line(heading: &str, line: &str, room: Option<usize>) -> Vec<String> {
    if heading != "health" {
        return wrap(line, room);
    }
    wrap_below(line, room).iter().flat_map(|line| line.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// Formats sections in two columns: headings on the left, lines on the right.
pub(super) fn lay_out(parts: &[Section], style: &Style) -> Vec<String> {
    let rows = parts.iter().flat_map(|(heading, lines)| {
        let heads = std::iter::once(*heading).chain(std::iter::repeat(""));
        heads
            .zip(lines)
            .map(|(head, line)| format!("  {}{line}", style.paint(Tone::Faint, &format!("{head:<HEADING$}"))))
    });
    rows.collect()
}

/// Returns the state of the run in one line, and how severe this state is.
pub fn state_line(view: &RunView, style: &Style) -> (Tone, String) {
    if let Some(outcome) = view.outcome {
        return match outcome {
            RunOutcome::Completed if view.retired => (Tone::Good, "completed, the old cluster is retired".into()),
            RunOutcome::Completed => (Tone::Good, "completed".into()),
            RunOutcome::RolledBack => (Tone::Warn, with_cause("rolled back", view)),
            RunOutcome::Aborted => match view.aborted_to {
                Some(step) => {
                    let left = if keeps_share(view) { "; the traffic is not all back" } else { "" };
                    (Tone::Warn, format!("aborted to the shares of step {step}{left}"))
                }
                // A run that has completed is after its last step.
                None if view.step > view.steps.len() => {
                    (Tone::Warn, with_cause("completed, then rolled back on request", view))
                }
                None => (Tone::Warn, with_cause("rolled back on request", view)),
            },
        };
    }
    if view.phase == Phase::RollingBack {
        return (Tone::Bad, with_cause("rolling back", view));
    }
    if let Some(frozen) = &view.frozen {
        let since = style.since(frozen.since, view.now);
        return (Tone::Bad, format!("FROZEN since {since} ({}): {}", freeze_text(frozen.reason), frozen.message));
    }
    if let Some(paused) = &view.paused {
        let reason = if paused.reason.is_empty() { String::new() } else { format!(": {}", paused.reason) };
        return (Tone::Warn, format!("paused by {}{reason}", paused.by));
    }
    if let Some(stop) = view.stopped {
        return (Tone::Warn, stop_text(stop).into());
    }
    let text = match view.phase {
        Phase::Ready | Phase::Shifting if waits_for(view, &[WaitReason::Window]) => "waiting for the hours of the plan",
        Phase::Shifting if is_bind(view) && waits_for(view, &GATES) => "waiting for healthy targets",
        Phase::Shifting if is_bind(view) => "attaching the new target groups",
        Phase::Shifting | Phase::RoutingHeaders if waits_for(view, &GATES) => "waiting for the gates of the step",
        Phase::Shifting if waits_for(view, &[WaitReason::Hook]) => "running a hook",
        Phase::Shifting if waits_for(view, &[WaitReason::Settle]) => "written, settling",
        Phase::Shifting => "shifting",
        Phase::Baking if !is_baking(view) => "the pause is over",
        Phase::Baking if view.step >= view.steps.len() => "baking; the run completes after this step",
        Phase::Baking => "baking",
        Phase::AwaitingApproval => "waiting for an approval",
        Phase::RunningCommand => "running a command",
        Phase::RoutingHeaders => "changing the header rules",
        Phase::HandingOver => "handing over CronJobs and workers",
        Phase::Retiring => "detaching the old target groups",
        Phase::Ready if view.step > view.steps.len() => "every step is done, completing the run",
        Phase::Ready | Phase::RollingBack | Phase::Finished => "between two steps",
    };
    match view.guard {
        Guard::Unguarded { .. } => (Tone::Bad, format!("{text}, but no process drives the run")),
        _ => (Tone::Strong, text.into()),
    }
}

/// The waits for gates, before anything moves.
const GATES: [WaitReason; 3] = [WaitReason::RaiseGate, WaitReason::MetricGate, WaitReason::Compare];

fn waits_for(view: &RunView, reasons: &[WaitReason]) -> bool {
    view.waits.iter().any(|wait| reasons.contains(&wait.reason))
}

/// Whether the current step only attaches target groups and waits for their targets.
fn is_bind(view: &RunView) -> bool {
    let label = view.step.checked_sub(1).and_then(|place| view.steps.get(place));
    label.is_some_and(|label| label == "bind" || label.ends_with(" (bind)"))
}

/// Returns whether the current step still bakes. Without waits, as in `status`, its end is unknown.
fn is_baking(view: &RunView) -> bool {
    let over = |wait: &Wait| wait.reason == WaitReason::Bake && wait.until.is_some_and(|until| until <= view.now);
    !view.waits.iter().any(over)
}

fn with_cause(what: &str, view: &RunView) -> String {
    // The request alone is not a cause.
    let cause = view.rollback_cause.as_ref().filter(|cause| !["rollback", "aborted"].contains(&cause.as_str()));
    cause.map_or_else(|| what.into(), |cause| format!("{what}: {cause}"))
}

fn freeze_text(freeze: FreezeReason) -> &'static str {
    match freeze {
        FreezeReason::Drift => "drift",
        FreezeReason::Unreadable => "unreadable",
        FreezeReason::GateTimeout => "gates not passed in time",
        FreezeReason::GuardFailed => "guard failed",
        FreezeReason::HookFailed => "a command failed",
        FreezeReason::FromUnhealthy => "the old cluster is unhealthy",
        FreezeReason::WriteFailed => "a write failed",
        FreezeReason::NoWayBack => "no way back",
        FreezeReason::LockLost => "lock lost",
    }
}

fn stop_text(stop: StopReason) -> &'static str {
    match stop {
        StopReason::Waiting => "waiting, no process is driving the run",
        StopReason::Interrupted => "interrupted",
        StopReason::Drift => "stopped: someone else changed a route",
        StopReason::Lock => "stopped: someone else took over the lock",
        StopReason::Stuck => "STUCK: traffic is not where it should be",
    }
}

/// Returns the shares of each set of routes, and the number of routes with an unconfirmed write.
pub(super) fn traffic(view: &RunView, style: &Style) -> Vec<String> {
    splits(&view.traffic, style).into_iter().chain(unread(view, style)).chain(open(view, style)).collect()
}

/// Says that someone else put the traffic back.
pub(super) fn put_back(view: &RunView, style: &Style) -> Vec<String> {
    let text = |back: &PutBack| match back.by_script_at {
        Some(at) => {
            format!("the break-glass script of run {} put the traffic back at {}", view.run, style.time_in_zone(at))
        }
        None => PUT_BACK.to_owned(),
    };
    view.put_back.iter().map(|back| style.paint(Tone::Bad, &text(back))).collect()
}

/// Returns a line for each metric gate with its verdict: first the gates that fail, then the other gates in force that
/// do not pass, then all other gates.
pub(super) fn gates(view: &RunView, style: &Style) -> Vec<String> {
    let mut gates: Vec<_> = view.gates.iter().collect();
    gates.sort_by_key(|gate| (!gate.is_open(), gate.verdict != Some(GateResult::Fail)));
    gates.into_iter().map(|gate| gate_line(gate, style)).collect()
}

fn gate_line(gate: &GateView, style: &Style) -> String {
    let tone = match gate.verdict {
        Some(GateResult::Pass) => Tone::Good,
        Some(GateResult::Fail) if !gate.dry_run => Tone::Bad,
        Some(GateResult::Fail) => Tone::Warn,
        Some(GateResult::Hold) | None => Tone::Plain,
    };
    let dry = if gate.dry_run { " (dry run)" } else { "" };
    format!("{}{dry}  {}", gate.gate, style.paint(tone, &gate.words()))
}

/// Returns a line for each command and hook that has started. Without `all` (the dashboard), only for those that are
/// running or failed.
fn hooks(view: &RunView, style: &Style, all: bool) -> Vec<String> {
    let line = |hook: &HookView| {
        let why = hook.why.as_ref().map_or_else(String::new, |why| format!(": {why}"));
        let tone = if hook.why.is_some() { Tone::Bad } else { Tone::Plain };
        style.paint(tone, &format!("{}  {}{why}", hook.hook, hook.state))
    };
    view.hooks.iter().filter(|hook| all || hook.state != "succeeded").map(line).collect()
}

/// Returns one line with the targets of the notifications.
fn notifications(view: &RunView) -> Vec<String> {
    if view.notifications.is_empty() || view.outcome.is_some() {
        return Vec::new();
    }
    vec![view.notifications.join(", ")]
}

/// Returns how the plan's hours delay the next step, if no wait reason says it, and whether an operator ignores the
/// hours.
fn hours(view: &RunView, style: &Style, all: bool) -> Vec<String> {
    let waits = view.waits.iter().any(|wait| wait.reason == WaitReason::Window);
    let next = view.hours.iter().filter(|_| all && !waits).cloned();
    let were = if view.outcome.is_some() { "were " } else { "" };
    let text = |ignored: &IgnoredHoursView| {
        let IgnoredHoursView { by, reason, step } = ignored;
        style.paint(Tone::Warn, &format!("{were}ignored for step {step} only, by {by}: {reason}"))
    };
    next.chain(view.ignored_hours.iter().map(text)).collect()
}

/// Returns the wait reasons of an unfinished run. Pause and freeze are left out, because the state shows them.
fn waits(view: &RunView, style: &Style) -> Vec<String> {
    let waits = view
        .waits
        .iter()
        .filter(|w| view.outcome.is_none() && !matches!(w.reason, WaitReason::Paused | WaitReason::Frozen));
    // The gates have separate lines, with their numbers.
    let (gates, others): (Vec<&Wait>, Vec<&Wait>) =
        waits.partition(|w| w.reason == WaitReason::MetricGate && gate_of(w, view).is_some());
    let names: Vec<_> = gates.iter().filter_map(|w| gate_of(w, view)).collect();
    let gates = gates.first().map(|first| {
        let message = format!("{} to pass: {}", if names.len() == 1 { "a gate" } else { "gates" }, names.join(", "));
        with_remaining_time(view, &Wait { message, ..(*first).clone() }, style)
    });
    others.into_iter().map(|w| with_remaining_time(view, w, style)).chain(gates).collect()
}

/// Returns the gate that a wait is about, if the gate has a separate line.
fn gate_of<'a>(wait: &Wait, view: &'a RunView) -> Option<&'a str> {
    let about =
        |name: &&str| wait.message.strip_prefix("gate ").is_some_and(|rest| rest.starts_with(&format!("{name} ")));
    view.gates.iter().map(|gate| gate.gate.as_str()).find(about)
}

/// Formats sets of routes with equal shares in columns, such as `36 routes  a 95 % ▕███████░▏ b 5 %`.
fn splits(splits: &[RouteGroup], style: &Style) -> Vec<String> {
    let names: Vec<_> = splits.iter().map(routes).collect();
    let share = |(cluster, share): &(String, f64)| format!("{cluster} {} %", percent(*share));
    let first = |split: &RouteGroup| split.shares.first().map(share).unwrap_or_default();
    let width = |texts: &mut dyn Iterator<Item = String>| texts.map(|t| t.chars().count()).max().unwrap_or(0);
    let (wide, wide_first) = (width(&mut names.iter().cloned()), width(&mut splits.iter().map(first)));
    let line = |(split, who): (&RouteGroup, &String)| {
        let shares = match split.shares.as_slice() {
            [] => style.paint(Tone::Warn, "no traffic to the plan's groups"),
            [from, to] => format!("{:wide_first$} {} {}", share(from), style.bar(from.1, 20), share(to)),
            many => many.iter().map(share).collect::<Vec<_>>().join(", "),
        };
        let sticky = match split.sticky {
            0 => String::new(),
            n if n == split.routes.len() => style.paint(Tone::Faint, "  sticky"),
            n => style.paint(Tone::Faint, &format!("  {n} sticky")),
        };
        format!("{who:wide$}  {shares}{}{sticky}", split.outside_text())
    };
    splits.iter().zip(&names).map(line).collect()
}

/// Returns one or two routes by name, more by their number.
fn routes(split: &RouteGroup) -> String {
    if split.routes.len() <= 2 { split.routes.join(", ") } else { count(split.routes.len(), "route") }
}

/// Says that the shares are not live.
fn unread(view: &RunView, style: &Style) -> Option<String> {
    let UnreadTraffic { routes, why, known_at } = view.unread_traffic.as_ref()?;
    let (routes, since) = (count(*routes, "route"), style.since(*known_at, view.now));
    let text = format!("NOT LIVE: {routes} cannot be read ({why}); these are the journal's shares of {since}");
    Some(style.paint(Tone::Bad, &text))
}

fn open(view: &RunView, style: &Style) -> Option<String> {
    let text = format!("{} with an unconfirmed write", count(view.unconfirmed.len(), "route"));
    (!view.unconfirmed.is_empty()).then(|| style.paint(Tone::Warn, &text))
}

pub(super) fn drift(view: &RunView, style: &Style, all: bool) -> Vec<String> {
    let groups = equal_drift(&view.drift);
    // Only `status` and the last lines of a process have room to say who changed the route and what to do.
    let by = |d: &DriftView| match d.accepted {
        true => "; accepted".to_owned(),
        false if all => format!("; {}", d.by),
        false => String::new(),
    };
    let line = |(d, routes): &(&DriftView, Vec<&str>)| {
        let tone = if d.accepted { Tone::Warn } else { Tone::Bad };
        let who = if routes.len() == 1 { routes[0].to_owned() } else { count_and_list(routes) };
        style.paint(tone, &format!("{who}: {}{}", d.change, by(d)))
    };
    let mut lines: Vec<_> = groups.iter().map(line).collect();
    let advice: BTreeSet<_> = view.drift.iter().filter(|_| all).filter_map(|d| d.advice.as_deref()).collect();
    lines.extend(advice.into_iter().flat_map(str::lines).map(str::to_owned));
    lines
}

/// Groups routes with the same change, in the order of the first route of each group.
fn equal_drift(drift: &[DriftView]) -> Vec<(&DriftView, Vec<&str>)> {
    let mut groups: Vec<(&DriftView, Vec<&str>)> = Vec::new();
    for one in drift {
        let same =
            |d: &DriftView| (d.kind, &d.change, d.accepted, &d.by) == (one.kind, &one.change, one.accepted, &one.by);
        match groups.iter_mut().find(|(known, _)| same(known)) {
            Some((_, routes)) => routes.push(&one.route),
            None => groups.push((one, vec![&one.route])),
        }
    }
    groups
}

fn count_and_list(routes: &[&str]) -> String {
    format!("{} ({})", count(routes.len(), "route"), list(routes))
}

fn new_rules(view: &RunView, style: &Style) -> Vec<String> {
    let line = |route: &String| {
        style.paint(Tone::Warn, &format!("{route}: created after the start, forwards to the old groups"))
    };
    let unread = |route: &NotMoved| {
        style.paint(Tone::Warn, &format!("{}: {}; accepted by the plan, forwards as before", route.label, route.reason))
    };
    view.new_rules.iter().map(line).chain(view.not_moved.iter().map(unread)).collect()
}

/// Returns a line for each group. If there are many groups, returns a line for each group that needs attention, and a
/// line for each cluster.
fn health(view: &RunView, style: &Style) -> Vec<String> {
    if view.health.iter().all(|h| h.targets.is_none() && h.unreadable.is_none()) {
        return Vec::new();
    }
    let mut groups: Vec<_> = view.health.iter().collect();
    groups.sort_by_key(|h| (&h.cluster, &h.group));
    if groups.len() <= LISTED_GROUPS {
        return groups.into_iter().map(|h| group(h, view, style)).collect();
    }
    let ill = groups.into_iter().filter(|h| is_ill(h, view));
    ill.map(|h| group(h, view, style)).chain(by_cluster(&view.health, style)).collect()
}

/// Formats a group, such as `✗ b  webapp-b: 0 healthy, 4 unhealthy`. The mark says the same as the color.
fn group(h: &GroupHealth, view: &RunView, style: &Style) -> String {
    let unreadable =
        h.unreadable.as_ref().map_or_else(String::new, |why| style.paint(Tone::Warn, &format!("  unreadable: {why}")));
    let targets = h.targets.map_or_else(
        || style.paint(Tone::Warn, "unknown"),
        |c| {
            if c == HealthCounts::default() && !is_ill(h, view) {
                "no targets".into()
            } else {
                painted_counts(c, style)
            }
        },
    );
    let unused = h.unused.as_ref().map_or_else(String::new, |why| format!(" ({why})"));
    let mark = match h.targets {
        _ if !is_ill(h, view) => " ".to_owned(),
        Some(HealthCounts { healthy: 0, .. }) => style.paint(Tone::Bad, style.mark("✗", "x")),
        _ => style.paint(Tone::Warn, "!"),
    };
    format!("{mark} {}  {}: {targets}{unused}{unreadable}", h.cluster, h.group)
}

/// Returns whether a group needs attention: it cannot be read, has unhealthy targets, or none for the traffic of its cluster.
fn is_ill(h: &GroupHealth, view: &RunView) -> bool {
    let has_traffic = || {
        let shares = view.traffic.iter().flat_map(|split| &split.shares);
        shares.into_iter().any(|(cluster, share)| *cluster == h.cluster && *share > 0.0)
    };
    let ill = |c: HealthCounts| c.unhealthy + c.unavailable > 0 || (c.healthy == 0 && has_traffic());
    h.unreadable.is_some() || h.targets.is_some_and(ill)
}

fn by_cluster(groups: &[GroupHealth], style: &Style) -> Vec<String> {
    let mut sums: BTreeMap<&str, (usize, HealthCounts, usize)> = BTreeMap::new();
    for h in groups {
        let (n, sum, unreadable) = sums.entry(&h.cluster).or_default();
        *n += 1;
        *unreadable += usize::from(h.unreadable.is_some());
        *sum = h.targets.map_or(*sum, |c| sum.plus(c));
    }
    sums.into_iter()
        .map(|(cluster, (n, sum, unreadable))| {
            let unreadable = if unreadable > 0 {
                style.paint(Tone::Warn, &format!("  {unreadable} unreadable"))
            } else {
                String::new()
            };
            format!("  {cluster}  {}: {}{unreadable}", count(n, "group"), painted_counts(sum, style))
        })
        .collect()
}

fn painted_counts(c: HealthCounts, style: &Style) -> String {
    let tone = match c {
        HealthCounts { healthy: 0, .. } => Tone::Bad,
        HealthCounts { unhealthy: 0, unavailable: 0, .. } => Tone::Good,
        _ => Tone::Warn,
    };
    style.paint(tone, &counts(c))
}

fn with_remaining_time(view: &RunView, w: &Wait, style: &Style) -> String {
    let rest = w.until.filter(|u| *u > view.now).map(|u| format!(" ({})", format_elapsed(u.duration_since(view.now))));
    format!("{}{}", wait_in_zone(w, style), rest.unwrap_or_default())
}

/// Formats the way back to a cluster, such as `a: 31 healthy targets, 40 at the start`.
fn way_back(back: &WayBackView, style: &Style) -> String {
    let healthy = back.healthy.map_or_else(|| "unknown".into(), |n| n.to_string());
    let text = format!("{}: {healthy} healthy targets, {} at the start", back.cluster, back.baseline);
    let tone = match back.healthy {
        Some(0) => Tone::Bad,
        Some(n) if n >= back.baseline => Tone::Plain,
        _ => Tone::Warn,
    };
    style.paint(tone, &text)
}

/// Describes the group whose health was read longest ago, and how soon a change is noticed.
fn oldest_health(oldest: &OldestHealth, now: Timestamp) -> String {
    let read = oldest
        .at
        .map_or_else(|| "not read yet".to_owned(), |at| format!("read {} ago", format_elapsed(now.duration_since(at))));
    let noticed = match oldest.noticed_by {
        NoticedBy::Endpoints => "its EndpointSlices show a change within seconds",
        NoticedBy::CloudWatch => "CloudWatch shows a change after one to three minutes",
        NoticedBy::Rounds => "a change shows only when it is read",
    };
    format!("the oldest health is that of {}, {read}; {noticed}", oldest.group)
}

/// Returns a line about another run whose marker is on a load balancer of this run.
fn other_owner(view: &RunView, style: &Style) -> Vec<String> {
    let line =
        |marker: &String| format!("another run owns a load balancer of this run now (run, owner, since): {marker}");
    view.other_owner.iter().map(|marker| style.paint(Tone::Warn, &line(marker))).collect()
}

fn guard(view: &RunView, style: &Style) -> String {
    match &view.guard {
        Guard::Watched { by, at, every, oldest } => {
            let what = if oldest.is_some() { "reads some groups" } else { "observes" };
            let every = every.map_or_else(String::new, |seconds| format!(", {what} every {seconds}s"));
            let oldest =
                oldest.as_ref().map_or_else(String::new, |oldest| format!("; {}", oldest_health(oldest, view.now)));
            format!("{by}, last observation {} ago{every}{oldest}", format_elapsed(view.now.duration_since(*at)))
        }
        Guard::Unguarded { since } => {
            style.paint(Tone::Bad, &format!("UNGUARDED since {}", style.since(*since, view.now)))
        }
        Guard::Over if keeps_share(view) => style.paint(Tone::Bad, &kept_share(view)),
        Guard::Over => "none, the run is finished".into(),
    }
}
