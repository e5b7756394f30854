//! Shows what a command will do, and asks for confirmation before the command writes.

use jiff::SignedDuration;

use super::args::Global;
use super::moves::Moves;
use super::{render, term};
use crate::app::exit::{Exit, Failure};
use crate::app::prepare::Preparation;
use crate::app::start::refuse_other_owner;
use crate::base::time::later;
use crate::domain::view::check::{CheckReport, HookLine};
use crate::engine::Ports;

/// Asks the operator to confirm, unless `yes` is set.
///
/// # Errors
/// Returns a failure if the operator declines (with the message `declined`), or if there is no terminal (exit 2).
pub fn confirm(yes: bool, question: &str, declined: &str) -> Result<(), Failure> {
    if yes || term::confirm(question).map_err(|e| Failure::new(Exit::Usage, e))? {
        return Ok(());
    }
    Err(Failure::declined(declined))
}

/// The question names a wait for a window only if the wait is at least this long.
const SHORTEST_WAIT_SHOWN: SignedDuration = SignedDuration::from_mins(1);

/// Maximum number of hooks that the question of `run` names.
const MAX_HOOKS: usize = 4;

/// How a command asks before a new run.
#[derive(Debug, Clone, Copy)]
pub struct StartQuestion<'a> {
    /// The command, for its summary.
    pub command: &'a str,
    /// Whether to list every route with its weights.
    pub verbose: bool,
    /// Whether the command line answers.
    pub yes: bool,
}

/// Shows what a new run would do, and asks the operator to confirm.
///
/// # Errors
/// Returns a failure if the preflight or another run prevents the start, or if the operator declines.
pub async fn confirm_start(
    global: &Global,
    ports: &Ports,
    prepared: &Preparation,
    StartQuestion { command, verbose, yes }: StartQuestion<'_>,
) -> Result<(), Failure> {
    show_start(global, ports, prepared, StartQuestion { command, verbose, yes }).await?;
    confirm(yes, &start_question(&prepared.report), NOT_STARTED)
}

/// The message after the operator has declined to start a run.
const NOT_STARTED: &str = "not started; nothing was changed";

/// Shows what a new run would do. Refuses to start it if the preflight or another run prevents it.
async fn show_start(
    global: &Global,
    ports: &Ports,
    prepared: &Preparation,
    StartQuestion { command, verbose, .. }: StartQuestion<'_>,
) -> Result<(), Failure> {
    refuse_other_owner(ports, prepared).await?;
    let (report, style) = (&prepared.report, term::style_err(global.color));
    term::print_error(&if verbose {
        render::check::text(report, true, &style)
    } else {
        render::check::summary(report, &format!("cutover {command} {} --verbose", report.source), &style)
    });
    prepared.refusal().map_or(Ok(()), Err)
}

/// A wave that would begin, with what was read for its preflight.
pub struct WaveStart {
    /// The name of the wave.
    pub name: String,
    /// The run of the wave that was rolled back before.
    pub rolled_back: Option<String>,
    /// The ports of the wave's run.
    pub ports: Ports,
    /// The result of the wave's preflight.
    pub preparation: Preparation,
}

/// Shows what the runs of several waves would do, one after the other, and asks the operator once to confirm all.
///
/// # Errors
/// Returns a failure if the preflight of a wave or another run prevents the start, or if the operator declines.
pub async fn confirm_waves(global: &Global, waves: &[WaveStart], question: StartQuestion<'_>) -> Result<(), Failure> {
    for wave in waves {
        show_start(global, &wave.ports, &wave.preparation, question).await?;
    }
    confirm(question.yes, &waves_question(waves), NOT_STARTED)
}

/// Returns the question about waves: their order, which of them were rolled back before, and what the first one does.
fn waves_question(waves: &[WaveStart]) -> String {
    let [first, later @ ..] = waves else { return String::new() };
    let begin = |wave: &WaveStart| match &wave.rolled_back {
        Some(run) => format!("{} (again: {run} was rolled back)", wave.name),
        None => wave.name.clone(),
    };
    let names = [first].into_iter().chain(later).map(begin).collect::<Vec<_>>().join(", then ");
    format!("Wave {names}. {}", start_question(&first.preparation.report))
}

/// Returns the question of `run`: where it moves traffic, from which cluster to which, the first share, and what else
/// it starts or sends.
fn start_question(report: &CheckReport) -> String {
    let ((from, to), (account, region)) = (&report.clusters, &report.aws);
    let then = Moves::first_of(report).and_then(|(step, moves)| Some((step, moves.forward()?)));
    let then = then.and_then(|(step, text)| {
        let held = held_until(report, step).map_or_else(String::new, |at| format!(", not before {at}"));
        Some(format!(" Step {step} then moves {}{held}.", text.strip_prefix("Move ")?))
    });
    let list = |verb: &str, names: Vec<&str>| {
        if names.is_empty() { String::new() } else { format!(" {verb} {}.", names.join(", ")) }
    };
    let hooks: Vec<_> = report.hooks.iter().map(HookLine::title).collect();
    let hooks = match hooks.len() {
        0..=MAX_HOOKS => list("It executes these hooks on this machine:", hooks.iter().map(String::as_str).collect()),
        many => format!(" It executes {many} hooks on this machine."),
    };
    let place = if account.is_empty() { String::new() } else { format!(", in account {account}, {region}") };
    let mut targets: Vec<_> = report.notifications.iter().map(|n| n.to.as_str()).collect();
    targets.dedup();
    format!("Start the run, {from} to {to}{place}?{}{hooks}{}", then.unwrap_or_default(), list("It notifies:", targets))
}

/// Returns when a step may begin at the earliest, if the step must wait for the plan's hours; `None` if it need not
/// wait.
fn held_until(report: &CheckReport, step: usize) -> Option<&str> {
    let line = report.steps.iter().find(|line| line.number == step)?;
    let free = later(report.at?, line.begins);
    let held = line.earliest.is_none_or(|at| at.duration_since(free) >= SHORTEST_WAIT_SHOWN);
    line.clock.as_deref().filter(|_| held)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::render::fixture::rich_plan;
    use crate::domain::view::check::{RouteLine, Weights};

    /// Returns a route whose new cluster gets one percent in step 2.
    fn route_line() -> RouteLine {
        let weights = |step, a, b| Weights { step, groups: Ok(vec![("shop-a".into(), a), ("shop-b".into(), b)]) };
        RouteLine {
            load_balancer: "shop".into(),
            workload: "shop".into(),
            id: "arn".into(),
            label: "443 default".into(),
            conditions: String::new(),
            weights: vec![weights(0, 100, 0), weights(2, 99, 1)],
            clusters: std::collections::BTreeMap::new(),
        }
    }

    #[test]
    fn the_question_of_a_run_says_what_it_moves_runs_and_sends() {
        let plan = rich_plan();
        let report = CheckReport { routes: vec![route_line(); 3], ..CheckReport::offline(&plan, Vec::new()) };
        let question = start_question(&report);
        for part in [
            &format!("Start the run, a to b, in account {}, {}?", plan.account_id, plan.region),
            "Step 2 then moves 3 routes of shop from shop-a (100 % → 99 %) to shop-b (0 % → 1 %).",
            "on this machine: scale-up (before shift)",
            "It notifies: slack, webhook, exec.",
        ] {
            assert!(question.contains(part), "{part}\n{question}");
        }
        let many = CheckReport { hooks: vec![report.hooks[0].clone(); 9], ..report };
        assert!(start_question(&many).contains("It executes 9 hooks on this machine."));
        let plain = CheckReport::offline(&crate::domain::fixture::plan(), Vec::new());
        assert!(!start_question(&plain).contains("It "), "{}", start_question(&plain));
    }

    /// Regression test: nothing before the start said that the hours of the plan hold the first raise until tomorrow.
    #[test]
    fn the_question_says_until_when_the_hours_hold_the_first_raise() {
        let plan = rich_plan();
        let now: jiff::Timestamp = "2026-11-30T20:00:00Z".parse().expect("a time");
        let offline = CheckReport::offline(&plan, Vec::new());
        let report = CheckReport { routes: vec![route_line()], at: Some(now), ..offline }.with_start(&plan, now);
        let question = start_question(&report);
        assert!(question.contains("(0 % → 1 %), not before Tue 2026-12-01 09:00 CET (08:00 UTC)."), "{question}");
        let open: jiff::Timestamp = "2026-12-01T08:00:00Z".parse().expect("a time");
        let question = start_question(&CheckReport { at: Some(open), ..report }.with_start(&plan, open));
        assert!(!question.contains("not before"), "{question}");
    }
}
