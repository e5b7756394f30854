//! `cutover finalize`: checks whether the old cluster can be retired, and with `--detach` retires it. The conditions
//! are in `domain::decide::finalize`.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::app::exit::{Exit, Failure};
use crate::app::find::StoredRun;
use crate::app::{connect, drive, find, identity, owner, state_store};
use crate::base::number::count;
use crate::cli::args::{Global, Output, help_text, value};
use crate::cli::render::style::{Style, Tone};
use crate::cli::render::wrap::hang;
use crate::cli::term;
use crate::domain::decide::finalize::{ConditionStatus, FinalizeCondition, blocked_by_run, judge, worst_status};
use crate::domain::run::state::{Phase, State};
use crate::engine::{Ports, finalize, ownership};
use crate::port::store::Request;

/// The arguments of `cutover finalize`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = help_text("Without --detach, nothing is changed. The exit code is 0 if the old cluster can
be retired, 8 if not yet, 3 if not, 7 on drift.
After --detach, the run can no longer be rolled back.

Examples:
  cutover finalize alpha-webapp                      check only
  cutover finalize alpha-webapp --detach             detach the target groups
  cutover finalize alpha-webapp --detach --bindings  also delete the bindings",
    &[
        Exit::Done,
        Exit::Internal,
        Exit::Usage,
        Exit::Refused,
        Exit::Stuck,
        Exit::Locked,
        Exit::Drift,
        Exit::Waiting,
        Exit::Interrupted,
    ]))]
pub struct Finalize {
    /// Run id, plan name or plan file (its newest run)
    #[arg(value_name = "RUN|PLAN")]
    pub target: String,
    /// Retire the old cluster: detach its target groups from the routes
    #[arg(long)]
    pub detach: bool,
    /// Also delete the old cluster's bindings that only cutover created and changed
    #[arg(long, requires = "detach")]
    pub bindings: bool,
    /// How long the old target groups must have had no requests
    #[arg(long, value_parser = value::duration, default_value = "15m", value_name = "TIME")]
    pub quiet_for: Duration,
    /// Detach even if a condition is unknown
    #[arg(long, requires = "detach")]
    pub force: bool,
    /// Do not ask
    #[arg(long, short, requires = "detach")]
    pub yes: bool,
}

/// Runs `cutover finalize`.
pub async fn run(global: &Global, args: &Finalize) -> Result<Exit, Failure> {
    let store = state_store::open_for_target(&global.state_options(), Some(&args.target)).await?;
    let found = find::run(&*store, Some(&args.target), term::style_err(global.color).color).await?;
    let state = found.state()?;
    let retirement_started = state.phase == Phase::Retiring;
    let ports = connect::ports(&found.plan, store).await;
    identity::check_account(&found.plan, &ports).await?;
    let items = if retirement_started {
        vec![unfinished_retirement(&state)]
    } else {
        read_conditions(args, &found, &state, &ports).await
    };
    if !args.detach {
        show(global, &found, &items);
        return Ok(exit(worst_status(&items)));
    }
    term::print_error(&text(&found, &items, true, &term::style_err(global.color)));
    if !retirement_started && let Some(refusal) = refusal(&items, args.force) {
        return Err(refusal);
    }
    if !args.yes && !term::confirm(&question(args, &found, &state)).map_err(|e| Failure::new(Exit::Usage, e))? {
        return Err(Failure::declined("the old cluster is not retired; nothing was changed"));
    }
    let settings = drive::settings(&found.plan, &state);
    let ownership =
        ownership::acquire(&ports, &settings, found.plan.marker, &found.run.id, &found.run.load_balancers, false).await;
    let (by, _) = owner::owner();
    let request = (!retirement_started).then_some(Request::Detach { by, bindings: args.bindings });
    drive::Drive {
        request: request.as_ref(),
        ..drive::Drive::new(&found.plan, ports, settings, ownership.map_err(drive::start_failure)?)
    }
    .run(global)
    .await
}

async fn read_conditions(args: &Finalize, found: &StoredRun, state: &State, ports: &Ports) -> Vec<FinalizeCondition> {
    if let Some(unfit) = blocked_by_run(&found.plan, state) {
        return vec![unfit];
    }
    let facts = finalize::read_facts(&found.plan, state, ports, args.quiet_for).await;
    judge(&found.plan, state, &found.records, &facts, args.quiet_for, ports.clock.now())
}

fn unfinished_retirement(state: &State) -> FinalizeCondition {
    let message = format!(
        "retiring the old cluster has started and is not finished; to continue: cutover finalize {} --detach",
        state.run
    );
    FinalizeCondition { what: "run", stands: ConditionStatus::Wait, message, until: None }
}

fn show(global: &Global, found: &StoredRun, items: &[FinalizeCondition]) {
    let shown = match global.output {
        Output::Json => {
            let last = worst_status(items);
            json!({
                "run": found.run.id,
                "plan": found.plan.name,
                "cluster": found.plan.strategy.from,
                "canRetire": last == ConditionStatus::Yes,
                "items": items,
            })
            .to_string()
        }
        _ => text(found, items, false, &term::style(global.color)),
    };
    let _ = term::print(&shown);
}

/// Returns when to try again and what to type then; empty if no time is known.
fn later_command(found: &StoredRun, items: &[FinalizeCondition]) -> String {
    let times = items.iter().filter(|item| item.stands == ConditionStatus::Wait).map(|item| item.until);
    let last = times.collect::<Option<Vec<_>>>().and_then(|times| times.into_iter().max());
    last.map_or_else(String::new, |at| {
        let at = at.strftime("%F %T UTC");
        format!("; if nothing changes, at the latest at {at}: cutover finalize {} --detach", found.run.id)
    })
}

fn text(found: &StoredRun, items: &[FinalizeCondition], detach: bool, style: &Style) -> String {
    let line = |item: &FinalizeCondition| condition(item, style);
    let from = &found.plan.strategy.from;
    let sum = match worst_status(items) {
        ConditionStatus::Yes if detach => format!("cluster {from} can be retired"),
        ConditionStatus::Yes => format!("cluster {from} can be retired: cutover finalize {} --detach", found.run.id),
        ConditionStatus::Unknown => format!("unknown whether cluster {from} can be retired"),
        ConditionStatus::Wait => format!("cluster {from} cannot be retired yet{}", later_command(found, items)),
        ConditionStatus::No | ConditionStatus::Drift => format!("cluster {from} cannot be retired"),
    };
    items.iter().map(line).chain([hang("", 2, &sum, style.width)]).collect::<Vec<_>>().join("\n")
}

/// Returns a condition with its mark, wrapped at words.
fn condition(item: &FinalizeCondition, style: &Style) -> String {
    let (tone, mark) = match item.stands {
        ConditionStatus::Yes => (Tone::Good, "✓"),
        ConditionStatus::Unknown => (Tone::Warn, "?"),
        ConditionStatus::Wait => (Tone::Warn, "·"),
        ConditionStatus::No | ConditionStatus::Drift => (Tone::Bad, "✗"),
    };
    let until = item.until.map_or(String::new(), |until| format!("; over at {}", until.strftime("%F %T UTC")));
    hang(&format!("{} ", style.paint(tone, mark)), 2, &format!("{}{until}", item.message), style.width)
}

fn exit(worst: ConditionStatus) -> Exit {
    match worst {
        ConditionStatus::Yes => Exit::Done,
        ConditionStatus::Wait => Exit::Waiting,
        ConditionStatus::Unknown | ConditionStatus::No => Exit::Refused,
        ConditionStatus::Drift => Exit::Drift,
    }
}

fn refusal(items: &[FinalizeCondition], force: bool) -> Option<Failure> {
    let worst = worst_status(items);
    if worst == ConditionStatus::Yes || (force && worst == ConditionStatus::Unknown) {
        return None;
    }
    let failure = Failure::new(exit(worst), "the old cluster is not retired; nothing was changed");
    Some(if worst == ConditionStatus::Unknown {
        failure.next("if you know that the unknown conditions are met: add --force")
    } else {
        failure
    })
}

fn question(args: &Finalize, found: &StoredRun, state: &State) -> String {
    let from = &found.plan.strategy.from;
    let routes = count(state.routes.values().filter(|route| !route.is_deleted()).count(), "route");
    let also = if args.bindings { ", and delete its bindings" } else { "" };
    format!("Detach the target groups of {from} from {routes}{also}? A rollback is not possible afterwards.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixture;
    use crate::port::store::RunSummary;

    /// Regression test: the conditions broke in the middle of a word.
    #[test]
    fn a_condition_is_wrapped_at_words() {
        let message = "the deregistration delay of the old target groups (deregistration 5m) has not passed".to_owned();
        let until = Some(jiff::Timestamp::UNIX_EPOCH);
        let item = FinalizeCondition { what: "time", stands: ConditionStatus::Wait, message, until };
        let text = condition(&item, &Style { width: Some(60), ..Style::plain() });
        assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
        assert!(text.contains("\n  (deregistration 5m) has not passed"), "{text}");
    }

    /// Regression test: while the quiet time is not over, `finalize` said neither when it is nor what to type then.
    #[test]
    fn the_last_line_says_when_the_old_cluster_can_be_retired_and_with_which_command() {
        let run = RunSummary::of("alpha-1", &[]);
        let found = StoredRun { run, records: Vec::new().into(), plan: fixture::plan() };
        let item = |stands, seconds| FinalizeCondition {
            what: "requests",
            stands,
            message: "shop: a got 3 requests".to_owned(),
            until: jiff::Timestamp::from_second(seconds).ok(),
        };
        let shown = |items: &[FinalizeCondition]| text(&found, items, false, &Style::plain());
        let wait = shown(&[item(ConditionStatus::Wait, 60), item(ConditionStatus::Wait, 90)]);
        let expected = "not be retired yet; if nothing changes, at the latest at 1970-01-01 00:01:30 UTC: cutover \
                        finalize alpha-1 --detach";
        assert!(wait.ends_with(expected) && wait.contains("over at 1970-01-01 00:01:00 UTC"), "{wait}");
        let never = FinalizeCondition { until: None, ..item(ConditionStatus::Wait, 0) };
        assert!(shown(&[never]).ends_with("cannot be retired yet"));
        let yes = FinalizeCondition { until: None, ..item(ConditionStatus::Yes, 0) };
        assert!(shown(&[yes]).ends_with("can be retired: cutover finalize alpha-1 --detach"));
    }
}
