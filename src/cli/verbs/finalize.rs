//! `cutover finalize`: checks whether the old cluster can be retired, and with `--detach` retires it. The conditions
//! are in `domain::decide::finalize`.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::app::exit::{Exit, Failure};
use crate::app::find::StoredRun;
use crate::app::waves::WaveRuns;
use crate::app::{connect, drive, find, identity, owner, state_store};
use crate::base::haproxy::{Backend, Group};
use crate::base::number::count;
use crate::base::text::shell_word;
use crate::cli::args::{Global, Output, help_text, value};
use crate::cli::render;
use crate::cli::render::style::{Style, Tone};
use crate::cli::render::wrap::hang;
use crate::cli::term;
use crate::domain::decide::finalize::{ConditionStatus, FinalizeCondition, blocked_by_run, judge, worst_status};
use crate::domain::run::state::{Phase, Route, State};
use crate::domain::view::final_weights::final_weights;
use crate::domain::waves::WaveStatus;
use crate::engine::{Ports, finalize, ownership};
use crate::plan::model::Plan;
use crate::port::store::{Request, Store};

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

/// A run whose old cluster may be retired, with its conditions.
struct Candidate {
    found: StoredRun,
    state: State,
    ports: Ports,
    items: Vec<FinalizeCondition>,
}

impl Candidate {
    fn retirement_started(&self) -> bool {
        self.state.phase == Phase::Retiring
    }
}

/// Runs `cutover finalize`. The old cluster of a plan with waves is judged, and retired, for all waves together.
pub async fn run(global: &Global, args: &Finalize) -> Result<Exit, Failure> {
    let store = state_store::open_for_target(&global.state_options(), Some(&args.target)).await?;
    let mut candidates = Vec::new();
    for found in runs_to_retire(&store, args, term::style_err(global.color).color).await? {
        candidates.push(candidate(args, found, &store).await?);
    }
    let worst = candidates.iter().map(|candidate| worst_status(&candidate.items)).max();
    let worst = worst.ok_or_else(|| Failure::new(Exit::Refused, "the old cluster of every wave is already retired"))?;
    if !args.detach {
        for candidate in &candidates {
            show(global, candidate);
        }
        return Ok(exit(worst));
    }
    for Candidate { found, items, .. } in &candidates {
        term::print_error(&text(found, items, true, &term::style_err(global.color)));
    }
    let mut judged = candidates.iter().filter(|candidate| !candidate.retirement_started());
    if let Some(refusal) = judged.find_map(|candidate| refusal(&candidate.items, args.force)) {
        return Err(refusal);
    }
    if !args.yes && !term::confirm(&question(args, &candidates)).map_err(|e| Failure::new(Exit::Usage, e))? {
        return Err(Failure::declined("the old cluster is not retired; nothing was changed"));
    }
    let mut last = Exit::Done;
    for candidate in candidates {
        last = retire(global, args, candidate).await?;
        if last != Exit::Done {
            break;
        }
    }
    Ok(last)
}

async fn candidate(args: &Finalize, found: StoredRun, store: &Arc<dyn Store>) -> Result<Candidate, Failure> {
    let state = found.state()?;
    let ports = connect::ports(&found.plan, Arc::clone(store)).await;
    identity::check_account(&found.plan, &ports).await?;
    let items = if state.phase == Phase::Retiring {
        vec![unfinished_retirement(&state)]
    } else {
        read_conditions(args, &found, &state, &ports).await
    };
    Ok(Candidate { found, state, ports, items })
}

/// Returns the runs whose old cluster is to be retired: the run that the command line names, or the runs of all waves
/// that are not retired yet.
///
/// # Errors
/// Fails if a wave of the plan is not done: then the old cluster is still needed (exit 3, or 8 while it runs).
async fn runs_to_retire(store: &Arc<dyn Store>, args: &Finalize, color: bool) -> Result<Vec<StoredRun>, Failure> {
    let named = find::run_to_roll_back(&**store, Some(&args.target), color).await?;
    if named.run.wave.is_none() {
        return Ok(vec![find::run(&**store, Some(&args.target), color).await?]);
    }
    // A wave stays done when the plan file changes, and waves that were added to the file must be done too.
    let file = std::path::Path::new(&args.target).is_file().then(|| find::plan_file(&args.target, color));
    let plan = file.transpose()?.unwrap_or_else(|| named.plan.clone());
    let runs = WaveRuns::read(&**store, &plan).await?;
    let migration = runs.migration(&plan, false);
    let open: Vec<_> = migration.open().collect();
    if let Some(first) = open.first() {
        let running = open.iter().any(|wave| wave.status == WaveStatus::Running);
        let list = open.iter().map(|wave| format!("{} ({})", wave.name, wave.status.text())).collect::<Vec<_>>();
        let from = &plan.strategy.from;
        let why = format!(
            "cluster {from} is still needed, because not every wave of {} is done: {}; nothing was changed",
            plan.name,
            list.join(", ")
        );
        let exit = if running { Exit::Waiting } else { Exit::Refused };
        return Err(Failure::new(exit, why).next(format!("the next wave is {}: cutover run PLAN", first.name)));
    }
    let mut found = Vec::new();
    let done = migration.waves.iter().filter_map(|wave| runs.summary(&wave.run?.id));
    for run in done.filter(|run| !run.wave.as_ref().is_some_and(|wave| wave.retired) || run.finished.is_none()) {
        found.push(find::open(&**store, run.clone()).await?);
    }
    Ok(found)
}

/// Retires the old cluster of a run.
async fn retire(global: &Global, args: &Finalize, candidate: Candidate) -> Result<Exit, Failure> {
    let retirement_started = candidate.retirement_started();
    let Candidate { found, state, ports, .. } = candidate;
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
    let mut items = judge(&found.plan, state, &found.records, &facts, args.quiet_for, ports.clock.now());
    let left_out = items.iter_mut().filter(|item| item.what == "leftOut").zip(state.left_out.values());
    for (item, route) in left_out.filter(|(item, _)| item.stands != ConditionStatus::Yes) {
        if let Some(command) = move_command(&found.plan, route) {
            let to = &found.plan.strategy.to;
            item.message = format!("{}; to move it to {to} when it answers: {command}", item.message);
        }
    }
    items
}

/// Returns the command that gives the new cluster the traffic of an instance that was left out.
fn move_command(plan: &Plan, route: &Route) -> Option<String> {
    let glob = |cluster| Some(Group::parse(route.start.groups.get(cluster)?)?.glob);
    let (old, new) = (glob(&plan.strategy.from)?, glob(&plan.strategy.to)?);
    let backend = Backend::parse(route.start.id.id())?;
    let table = match backend.map_file() {
        Some(file) => format!("--map {}", shell_word(&file)),
        None => format!("--backend {}", shell_word(&backend.name)),
    };
    let [address, new, old] = [backend.address, new, old].map(|word| shell_word(&word));
    Some(format!("cutover rollback --haproxy {address} {table} --back-to {new} --away-from {old}"))
}

fn unfinished_retirement(state: &State) -> FinalizeCondition {
    let message = format!(
        "retiring the old cluster has started and is not finished; to continue: cutover finalize {} --detach",
        state.run
    );
    FinalizeCondition { what: "run", stands: ConditionStatus::Wait, message, until: None }
}

fn show(global: &Global, Candidate { found, state, items, .. }: &Candidate) {
    let weights =
        if worst_status(items) == ConditionStatus::Yes { final_weights(&found.plan, state) } else { Vec::new() };
    let shown = match global.output {
        Output::Json => {
            let last = worst_status(items);
            json!({
                "run": found.run.id,
                "plan": found.plan.name,
                "cluster": found.plan.strategy.from,
                "canRetire": last == ConditionStatus::Yes,
                "items": items,
                "finalWeights": weights,
            })
            .to_string()
        }
        _ => format!(
            "{}\n{}",
            text(found, items, false, &term::style(global.color)),
            render::final_weights::text(&weights)
        ),
    };
    let _ = term::print(shown.trim_end());
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
        failure.next("if you checked yourself the conditions that could not be read: add --force")
    } else {
        failure
    })
}

fn question(args: &Finalize, candidates: &[Candidate]) -> String {
    let from = candidates.first().map_or("", |candidate| candidate.found.plan.strategy.from.as_str());
    let routes = candidates.iter().flat_map(|candidate| candidate.state.routes.values());
    let routes = count(routes.filter(|route| !route.is_deleted()).count(), "route");
    let also = if args.bindings { ", and delete its TargetGroupBindings" } else { "" };
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
