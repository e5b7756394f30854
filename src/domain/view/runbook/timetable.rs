//! The timetable of a runbook: what happens when, what each step waits for, and the shares after it.

use std::time::Duration;

use jiff::{Timestamp, Zoned};

use super::input::{RunbookInput, and, put, row};
use crate::base::duration::format_exact;
use crate::base::time::later;
use crate::domain::decide::{command_line, hand_over_text};
use crate::domain::view::hours::in_words;
use crate::plan::model::{BindingMode, Plan, Shares, Step, StepKind};
use crate::plan::schedule;

/// Appends the section.
pub(super) fn write(input: &RunbookInput<'_>, out: &mut String) {
    let (plan, routes) = (input.plan, input.routes());
    put(out, "## What happens when\n");
    let estimate = format_exact(schedule::min_duration(plan, routes));
    let begins = match &input.start {
        Some(start) => format!("The run starts at {}.", start.strftime("%H:%M on %A, %-d %B %Y (%Z)")),
        None => "Times are counted from the start of the run, in hours and minutes: `T+0:30`.".to_owned(),
    };
    put(
        out,
        &format!(
            "{begins} It takes at least {estimate}. All times are the earliest possible: a step waits for its gates."
        ),
    );
    if plan.strategy.steps.iter().any(is_open) {
        put(out, "A time with ≥ is after a step whose length nobody knows (an approval or a command).");
    }
    put(out, "\n| from | until | step | what happens | shares | goes on when |\n|---|---|--:|---|---|---|");
    let clock = Clock::new(input);
    let mut shares = plan.strategy.start.clone();
    let mut open = false;
    for step in &plan.strategy.steps {
        if let StepKind::Shares(next) = &step.kind {
            shares = Some(next.clone());
        }
        let end = if is_open(step) { "it is done".to_owned() } else { clock.end(step, open) };
        let name = step.name.as_ref().map_or_else(String::new, |name| format!("{name}: "));
        let now = shares.as_ref().map_or_else(|| "as they were".to_owned(), shares_text);
        let what = format!("{name}{}", what(plan, step));
        row(
            out,
            &[&clock.begin(step.number, open), &end, &step.number.to_string(), &what, &now, &goes_on(input, step)],
        );
        open |= is_open(step);
    }
    let end = clock.begin(plan.strategy.steps.len() + 1, open);
    let last = shares.as_ref().map_or_else(String::new, shares_text);
    row(out, &[&end, "", "", "**The run is finished.** Nobody guards the traffic from now on", &last, ""]);
    let hours = in_words(plan);
    if !hours.is_empty() {
        put(out, "\nHours of the plan:\n");
        for line in hours {
            put(out, &format!("- {line}"));
        }
        if input.start.is_none() {
            put(out, "\nThe times above do not contain waits for these hours. `cutover runbook PLAN --at TIME` does.");
        }
    }
}

/// Whether nobody knows how long a step takes.
fn is_open(step: &Step) -> bool {
    matches!(step.kind, StepKind::Approval(_) | StepKind::Exec(_) | StepKind::HandOver(_) | StepKind::Unknown)
}

/// Formats shares, such as `a 95 %, b 5 %`.
pub(super) fn shares_text(shares: &Shares) -> String {
    shares.iter().map(|(cluster, share)| format!("{cluster} {share} %")).collect::<Vec<_>>().join(", ")
}

fn what(plan: &Plan, step: &Step) -> String {
    let to = &plan.strategy.to;
    match &step.kind {
        StepKind::Bind => {
            let services = plan.workloads.iter().filter(|workload| workload.has_service());
            let modes: Vec<_> = services.map(|workload| workload.binding.mode).collect();
            let create = modes.contains(&BindingMode::Create).then_some(", create missing TargetGroupBindings");
            let verify = modes.contains(&BindingMode::Verify).then_some(", check the TargetGroupBindings of others");
            let bindings = format!("{}{}", create.unwrap_or_default(), verify.unwrap_or_default());
            format!("attach the target groups of {to} at weight 0{bindings}. No traffic moves")
        }
        StepKind::Shares(shares) => format!("**write {}**", shares_text(shares)),
        StepKind::Bake(time) => format!("wait {} and watch", format_exact(*time)),
        StepKind::Approval(Some(text)) => format!("**a person decides**: {text}"),
        StepKind::Approval(None) => "**a person decides** whether to go on".to_owned(),
        StepKind::Exec(exec) => format!("run `{}`", command_line(&exec.command)),
        StepKind::HeaderRoute(headers) if headers.is_empty() => "remove the rules of the header route".to_owned(),
        StepKind::HeaderRoute(headers) => {
            let headers: Vec<_> = headers.iter().map(|h| format!("`{}: {}`", h.name, h.value)).collect();
            format!("make rules that send requests with {} to {to}. No share moves", headers.join(" and "))
        }
        StepKind::HandOver(step) => {
            let who = if step.verify { "wait until the owner has stopped and started" } else { "**stop, then start**" };
            format!("{who} {}: out of {}, into {to}. No traffic moves", hand_over_text(step), plan.strategy.from)
        }
        StepKind::Unknown => "a step that this version does not know".to_owned(),
    }
}

fn goes_on(input: &RunbookInput<'_>, step: &Step) -> String {
    let strategy = &input.plan.strategy;
    let to = &strategy.to;
    match &step.kind {
        StepKind::Bind => format!("the target groups of {to} pass the raise gate for the first share"),
        StepKind::Shares(_) => {
            let before =
                if schedule::raises(strategy, step.number) { "before: the raise gates pass; after: " } else { "" };
            format!("{before}every route is read back, and {} have passed", format_exact(strategy.longest_settle))
        }
        StepKind::Bake(time) => format!("{} were observed and no guard failed", format_exact(*time)),
        StepKind::Approval(_) => {
            let limit = step
                .approval_timeout
                .map(|limit| format!("; not within {}: {}", format_exact(limit.after), limit.then.word()));
            format!("someone types `{}`{}", input.command("approve"), limit.unwrap_or_default())
        }
        StepKind::HandOver(step) => format!(
            "nothing of it runs in {} (at most {}), and it is started in {to}",
            strategy.from,
            format_exact(step.drain)
        ),
        StepKind::Exec(exec) => format!("it exits with 0 (at most {} a try)", format_exact(exec.timeout)),
        StepKind::HeaderRoute(headers) => {
            let gates = if headers.is_empty() { "" } else { "before: the raise gates pass; after: " };
            format!("{gates}every rule is read back, and {} have passed", format_exact(strategy.settle))
        }
        StepKind::Unknown => "never: a newer version is needed".to_owned(),
    }
}

/// The times of the steps.
struct Clock<'a> {
    input: &'a RunbookInput<'a>,
    /// The earliest beginnings of the steps and the end of the plan, of a run with a planned start.
    times: Vec<Timestamp>,
}

impl<'a> Clock<'a> {
    fn new(input: &'a RunbookInput<'a>) -> Self {
        let starts = |start: &Zoned| schedule::earliest_starts(input.plan, start.timestamp(), input.routes());
        Self { input, times: input.start.as_ref().map(starts).unwrap_or_default() }
    }

    /// Returns when a step begins; `open` if a step before it has no known length.
    fn begin(&self, step: usize, open: bool) -> String {
        self.text(step, Duration::ZERO, open)
    }

    fn end(&self, step: &Step, open: bool) -> String {
        let long = schedule::min_step_duration(&self.input.plan.strategy, step, self.input.routes());
        self.text(step.number, long, open)
    }

    fn text(&self, step: usize, after: Duration, open: bool) -> String {
        let mark = if open { "≥ " } else { "" };
        let Some(start) = &self.input.start else {
            let strategy = &self.input.plan.strategy;
            let before = strategy.steps.iter().take(step - 1);
            let long = |step| schedule::min_step_duration(strategy, step, self.input.routes());
            let minutes = (before.map(long).sum::<Duration>() + after).as_secs() / 60;
            return format!("{mark}T+{}:{:02}", minutes / 60, minutes % 60);
        };
        let Some(at) = self.times.get(step - 1) else { return "never: no window is long enough".to_owned() };
        let at = later(*at, after).to_zoned(start.time_zone().clone());
        let format = if at.date() == start.date() { "%H:%M" } else { "%a %-d %b %H:%M" };
        format!("{mark}{}", at.strftime(format))
    }
}

/// Returns the names of the workloads, for the head of the document.
pub(super) fn workloads(plan: &Plan) -> String {
    and(&plan.workloads.iter().map(|workload| format!("`{}`", workload.name)).collect::<Vec<_>>())
}
