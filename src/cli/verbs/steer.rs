//! `promote`, `pause`, `resume`, `approve`, `abort`: steer a run. The process that drives the run carries out the
//! request; if there is none, the command acquires the lock and acts itself.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;

use crate::app::exit::{Exit, Failure};
use crate::app::find::StoredRun;
use crate::app::finished_waves::{exit_after, guard_while};
use crate::app::steer::{self, DriveOptions};
use crate::app::view::RunView;
use crate::app::{break_glass, elsewhere, find, identity, owner, state_store, waves};
use crate::base::text::list;
use crate::base::time::later;
use crate::cli::args::{
    ConfirmedRunArg, Global, MetricOptions, OnFreeze, ReadOptions, RunArg, StepRef, help_text, step_number, value,
};
use crate::cli::ask::confirm;
use crate::cli::render::status;
use crate::cli::term;
use crate::cli::verbs::refusal;
use crate::cli::verbs::run_question::RunQuestion;
use crate::domain::decide::{drift_text, hours};
use crate::domain::run::event::{DriftPolicy, ResumeMode};
use crate::domain::run::state::State;
use crate::engine::request;
use crate::plan::model::{Plan, Step, StepKind};
use crate::port::store::{Request, Store};

/// The arguments of `cutover abort`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = help_text("Examples:
  cutover abort alpha-webapp
  cutover abort alpha-webapp --to-step first-traffic  to that step's shares only",
    &[Exit::Done, Exit::Internal, Exit::Usage, Exit::Stuck, Exit::Locked]))]
pub struct Abort {
    /// The run.
    #[command(flatten)]
    pub steer: ConfirmedRunArg,
    /// Roll back only to the shares of this earlier step (number or name)
    #[arg(long, value_name = "STEP")]
    pub to_step: Option<StepRef>,
}

/// The arguments of `cutover resume`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = help_text("If another process is driving the run, that process continues and this command
returns.

Examples:
  cutover resume alpha-webapp
  cutover resume alpha-webapp --keep-live     someone changed a route on purpose
  cutover resume alpha-webapp --without tcp://10.0.1.20:9999
                                              an instance of HAProxy is lost
  cutover resume alpha-webapp --ignore-hours CHG-1234
                                              start the next raise outside of the plan's hours
  cutover resume alpha-webapp --keep-live --include-new
                                              a rule was deleted and created again", &Exit::ALL))]
pub struct Resume {
    /// The run.
    #[command(flatten)]
    pub steer: ConfirmedRunArg,
    /// Someone changed or deleted a route: accept what is live and continue from there
    #[arg(long, conflicts_with = "reassert")]
    pub keep_live: bool,
    /// Someone created a rule that forwards to the old groups: move it, too
    #[arg(long, conflicts_with = "reassert")]
    pub include_new: bool,
    /// Someone changed the shares of a route: write ours again
    #[arg(long)]
    pub reassert: bool,
    /// This instance of HAProxy is lost: go on without it. A rollback tries it and names it
    #[arg(long, value_name = "ADDRESS")]
    pub without: Vec<String>,
    /// Start the next step that raises a share outside of the plan's hours, once; the reason is journalled
    #[arg(long, value_name = "REASON", value_parser = value::reason)]
    pub ignore_hours: Option<String>,
    /// Stop after this step (number or name)
    #[arg(long, value_name = "STEP")]
    pub until: Option<StepRef>,
    /// Exit after this time, once only waiting is left, such as 0s or 10m; `step` can continue
    #[arg(long, value_parser = value::duration_or_zero, value_name = "TIME")]
    pub max_wait: Option<Duration>,
    /// Describe calls a second for observations; fewer calls mean fewer observations [default: 10]
    #[arg(long, value_parser = value::speed, value_name = "N")]
    pub api_budget: Option<f64>,
    /// If frozen by drift (exit 7), a failure (exit 5) or a gate time-out (exit 8): exit, or stay and guard
    /// [default: wait on a terminal]
    #[arg(long, value_enum, hide_possible_values = true, value_name = "exit|wait")]
    pub on_freeze: Option<OnFreeze>,
    /// Take the run over from the process that drives it, also on another machine; that process exits (exit 6)
    #[arg(long)]
    pub take_over: bool,
    /// Options for reads.
    #[command(flatten)]
    pub reads: ReadOptions,
    /// Options for metrics.
    #[command(flatten)]
    pub metrics: MetricOptions,
}

/// The arguments of `cutover promote`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Promote {
    /// The run.
    #[command(flatten)]
    pub named: ConfirmedRunArg,
    /// End this pause and skip all later ones
    #[arg(long)]
    pub full: bool,
}

/// The message after the operator has declined a question.
const UNCHANGED_MESSAGE: &str = "nothing was changed";

/// Runs `cutover promote`.
pub async fn promote(global: &Global, args: &Promote) -> Result<Exit, Failure> {
    let request = |by| Request::Promote { by, full: args.full };
    Box::pin(send(global, &args.named.named, args.named.yes, ("promote", Some("End this pause early")), request)).await
}

/// Runs `cutover pause`.
pub async fn pause(global: &Global, args: &RunArg) -> Result<Exit, Failure> {
    Box::pin(send(global, args, true, ("pause", None), |by| Request::Pause { by, reason: String::new() })).await
}

/// Runs `cutover approve`.
pub async fn approve(global: &Global, args: &ConfirmedRunArg) -> Result<Exit, Failure> {
    let request = |by| Request::Approve { by };
    Box::pin(send(global, &args.named, args.yes, ("approve", Some("Approve this step")), request)).await
}

/// Runs `cutover abort`.
pub async fn abort(global: &Global, args: &Abort) -> Result<Exit, Failure> {
    let (store, found) = target(global, &args.steer.named).await?;
    let to_step = step_number(&found.plan, args.to_step.as_ref())?;
    let (by, _) = owner::owner();
    let request = Request::Abort { by, to_step };
    if let Some(why) = request::refusal(&found.plan, &found.state()?, &request) {
        return Err(
            Failure::new(Exit::Usage, why).next(format!("to roll back to the start: cutover abort {}", found.run.id))
        );
    }
    if !args.steer.yes {
        let state = found.state()?;
        confirm(false, &RunQuestion::read(&found, &state).await.abort(to_step), UNCHANGED_MESSAGE)?;
    }
    steer::roll_back(global, store, &found, &request).await
}

/// Runs `cutover resume`: continues the run in the foreground, or through the process that drives the run.
pub async fn resume(global: &Global, args: &Resume) -> Result<Exit, Failure> {
    let (store, found) = target(global, &args.steer.named).await?;
    let drift = match (args.keep_live, args.reassert) {
        (true, _) => DriftPolicy::KeepLive,
        (_, true) => DriftPolicy::Reassert,
        _ => DriftPolicy::Leave,
    };
    let mode = ResumeMode { drift, include_new: args.include_new };
    if let Some(why) = drift_text::not_reassertable(&found.state()?).filter(|_| drift == DriftPolicy::Reassert) {
        return Err(Failure::new(Exit::Usage, format!("nothing was changed: {why}")));
    }
    let left_out = steer::routes_at(&found.state()?, &args.without)?;
    let (by, _) = owner::owner();
    let asked = Request::Resume { by, mode, ignore_hours: args.ignore_hours.clone() };
    let refused = request::refusal(&found.plan, &found.state()?, &asked);
    if let Some(why) = refused.filter(|_| args.ignore_hours.is_some()) {
        return Err(Failure::new(Exit::Usage, format!("nothing was changed: {why}")));
    }
    // Without another change, a process that takes a run over continues it as it is.
    if left_out.is_empty()
        && !args.take_over
        && let Some(refusal) = refusal::idle_resume(&*store, &found, &asked).await?
    {
        return Err(refusal);
    }
    let script = break_glass::warning(&found.run).await;
    if let Some(warning) = &script {
        term::print_error(warning);
    }
    if !args.steer.yes {
        let state = found.state()?;
        let hours = hours_question(&found.plan, &state, args.ignore_hours.is_some());
        let hours = format!("{}{hours}", without_question(&args.without));
        let question = RunQuestion::read(&found, &state).await;
        if script.is_none() {
            question.warn_if_put_back();
        }
        show_verdicts(global, &found, &state, &question);
        let after = request::state_after(&found.plan, &state, &asked);
        confirm(false, &question.resume(mode, &hours, &after), UNCHANGED_MESSAGE)?;
    }
    let options = DriveOptions {
        until: step_number(&found.plan, args.until.as_ref())?,
        leave: args.max_wait.map(|most| later(Timestamp::now(), most)),
        api_budget: args.api_budget,
        exit_when_frozen: OnFreeze::exits(args.on_freeze, term::stderr()),
        take_over: args.take_over,
    };
    steer::leave_out(&*store, &found, left_out).await?;
    let work = steer::resume(global, Arc::clone(&store), &found, mode, args.ignore_hours.clone(), options);
    let (exit, rolled_back) = Box::pin(guard_while(global, &store, &found.plan, work)).await?;
    let exit = exit_after(global, exit?, &rolled_back);
    if found.run.wave.is_some() {
        let (_, text) = waves::after_wave(&*store, &found.plan, exit).await?;
        if let Some(text) = text {
            term::print_error(&text);
        }
    }
    Ok(exit)
}

/// Returns the text that `--without` adds to the question.
fn without_question(lost: &[String]) -> String {
    if lost.is_empty() { String::new() } else { format!(" without {}", list(lost)) }
}

/// Returns the text that `--ignore-hours` adds to the question.
fn hours_question(plan: &Plan, state: &State, ignored: bool) -> String {
    let step = hours::next_bound_step(&plan.strategy, state).filter(|_| ignored);
    step.map_or_else(String::new, |step| format!(", and start step {step} outside of the plan's hours"))
}

/// Sends a request to the run without a question, because the command itself is the confirmation. With `question`, the
/// request moves the run forward: the live shares and the verdicts of the metric gates are shown first. Without `yes`,
/// the operator is then asked if something speaks against the request.
async fn send(
    global: &Global,
    named: &RunArg,
    yes: bool,
    (verb, question): (&str, Option<&str>),
    request: impl FnOnce(String) -> Request,
) -> Result<Exit, Failure> {
    let (store, found) = target(global, named).await?;
    let request = request(identity::requester(&found.plan).await);
    let state = found.state()?;
    if request::refusal(&found.plan, &state, &request).is_some() {
        return Err(refusal::inapplicable(verb, &*store, &found, &state).await);
    }
    if let Some(question) = question {
        confirm_verdicts(global, &found, &state, &request, question, yes).await?;
    }
    steer::send_request(global, &store, &found, &request).await
}

/// Shows the live shares and the gates' verdicts that an operator approves, and what the next move still waits for.
/// Asks if a gate does not pass, if the request skips an approval, or if someone else put the traffic back. Without a
/// terminal, such a request needs `--yes`, like every question.
async fn confirm_verdicts(
    global: &Global,
    found: &StoredRun,
    state: &State,
    request: &Request,
    question: &str,
    yes: bool,
) -> Result<(), Failure> {
    let live = RunQuestion::read(found, state).await;
    let view = show_verdicts(global, found, state, &live);
    if view.put_back.is_some() {
        term::print_error(&format!("to end the run instead: cutover rollback {}", view.run));
    }
    let open: Vec<_> = view.gates.iter().filter(|gate| gate.is_open()).map(|gate| gate.gate.as_str()).collect();
    let gates = (!open.is_empty()).then(|| format!("these gates do not pass: {}", open.join(", ")));
    let back = view.put_back.as_ref().map(|_| "someone else put the traffic back".to_owned());
    let skipped = skipped_approvals(&found.plan, state, request);
    let doubts: Vec<_> = back.into_iter().chain(skipped).chain(gates).collect();
    let is_asked = !yes && !doubts.is_empty();
    let then = live.then(|route| live.now(route), &request::state_after(&found.plan, state, request));
    if !is_asked && !then.is_empty() {
        term::print_error(then.trim_start());
    }
    let doubts = doubts.join(", and ");
    let asked = confirm(!is_asked, &format!("{question}, although {doubts}?{then}"), UNCHANGED_MESSAGE);
    // Without a terminal, the question was not shown.
    asked.map_err(|failure| if failure.exit == Exit::Usage { failure.next(format!("note: {doubts}")) } else { failure })
}

/// Returns a text with the approvals that a promotion skips. The journal then has no approver for them. `None` if it
/// skips none.
fn skipped_approvals(plan: &Plan, state: &State, request: &Request) -> Option<String> {
    let Request::Promote { full, .. } = request else { return None };
    let asks = |step: &&Step| matches!(step.kind, StepKind::Approval(Some(_)));
    let steps = plan.strategy.steps.iter().filter(asks).map(|step| step.number);
    let skipped = steps.filter(|number| *number == state.step || (*full && *number > state.step));
    let skipped: Vec<_> = skipped.map(|number| number.to_string()).collect();
    match skipped.as_slice() {
        [] => None,
        [one] => Some(format!("it skips the approval of step {one}")),
        many => Some(format!("it skips the approvals of steps {}", many.join(", "))),
    }
}

/// Shows the facts that an operator needs before a question that moves the run forward: the step, the live shares, the
/// verdicts of the gates, and whether the next raise must wait for the hours.
fn show_verdicts(global: &Global, found: &StoredRun, state: &State, live: &RunQuestion<'_>) -> RunView {
    let now = Timestamp::now();
    // The verdicts are those of the journal, because this process has not queried the sources of the gates.
    let gates = RunView::of(&found.plan, state, None, &[], now).gates;
    let view = RunView { gates, ..RunView::of(&found.plan, state, Some(live.live()), &[], now) };
    term::print_error(&status::approval_lines(&view, &term::style_err(global.color)).join("\n"));
    view
}

async fn target(global: &Global, named: &RunArg) -> Result<(Arc<dyn Store>, StoredRun), Failure> {
    let target = named.target.as_deref();
    let store = state_store::open_for_target(&global.state_options(), target).await?;
    let found = find::run(&*store, target, term::style_err(global.color).color).await;
    let found = elsewhere::or_say_where(found, target.unwrap_or_default()).await?;
    if target.is_none() {
        term::print_error(&format!("the only unfinished run: {}", found.run.id));
    }
    if found.run.finished.is_some() {
        let failure = Failure::new(Exit::Usage, format!("the run {} is finished", found.run.id));
        let retired = found.state().is_ok_and(|state| state.retirement.is_some());
        return Err(if retired {
            failure
        } else {
            failure.next(format!("to roll back the run: cutover rollback {}", found.run.id))
        });
    }
    Ok((store, found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixture;

    /// Regression test: `promote` ended an approval, and its question did not say so.
    #[test]
    fn promote_says_which_approvals_it_skips() {
        let (mut plan, mut state) = (fixture::plan(), fixture::state(fixture::started(4)));
        let skipped = |plan: &Plan, state: &State, full| {
            skipped_approvals(plan, state, &Request::Promote { by: "bob@pc".into(), full })
        };
        state.step = 5;
        assert_eq!(skipped(&plan, &state, true), None, "a pause without an approval asks nobody");
        plan.strategy.steps[4].kind = StepKind::Approval(Some("dashboards".into()));
        assert_eq!(skipped(&plan, &state, false).as_deref(), Some("it skips the approval of step 5"));
        plan.strategy.steps[6].kind = StepKind::Approval(Some("old one".into()));
        state.step = 3;
        assert_eq!(skipped(&plan, &state, false), None);
        assert_eq!(skipped(&plan, &state, true).as_deref(), Some("it skips the approvals of steps 5, 7"));
        assert_eq!(skipped_approvals(&plan, &state, &Request::Approve { by: "bob@pc".into() }), None);
    }
}
