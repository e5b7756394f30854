//! `promote`, `pause`, `resume`, `approve`, `abort`: steering a run. A live process is asked; without one, the verb takes the lock and acts itself.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;

use crate::app::exit::{Exit, Failure};
use crate::app::find::Found;
use crate::app::steer::{self, Going};
use crate::app::view::View;
use crate::app::{find, identity, owner, place};
use crate::base::time::later;
use crate::cli::args::{Global, Metrics, Named, OnFreeze, Steer, StepRef, help, number, value};
use crate::cli::ask::confirm;
use crate::cli::render::parts::standing;
use crate::cli::render::style::Style;
use crate::cli::term;
use crate::domain::run::event::ResumeMode;
use crate::domain::run::state::State;
use crate::engine::request;
use crate::port::store::{Request, Store};

/// `abort`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = help("Examples:
  cutover abort alpha-webapp
  cutover abort alpha-webapp --to-step first-traffic  back to that step's shares only",
    &[Exit::Done, Exit::Internal, Exit::Usage, Exit::Stuck, Exit::Locked]))]
pub struct Abort {
    /// Which run.
    #[command(flatten)]
    pub steer: Steer,
    /// Back to the shares of this earlier step, not to the start: number or name
    #[arg(long, value_name = "STEP")]
    pub to_step: Option<StepRef>,
}

/// `resume`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = help("Where another process has the run in hand, that one is told to go on, and this one returns.

Examples:
  cutover resume alpha-webapp
  cutover resume alpha-webapp --keep-live             someone changed a route on purpose", &Exit::ALL))]
pub struct Resume {
    /// Which run.
    #[command(flatten)]
    pub steer: Steer,
    /// Someone changed a route: keep what is live now, and go on from there
    #[arg(long, conflicts_with_all = ["reassert", "include_new"])]
    pub keep_live: bool,
    /// Someone made a rule that forwards to the old groups: move it along with the others from now on
    #[arg(long, conflicts_with = "reassert")]
    pub include_new: bool,
    /// Someone changed a route: write our shares over it
    #[arg(long)]
    pub reassert: bool,
    /// Stop after this step: number or name
    #[arg(long, value_name = "STEP")]
    pub until: Option<StepRef>,
    /// Leave the rest to a scheduler's `step`, once this long has passed and nothing is in the middle: 0s, 10m
    #[arg(long, value_parser = value::span, value_name = "TIME")]
    pub max_wait: Option<Duration>,
    /// Describe calls a second to spend on looking; more routes and groups are looked at less often [default: 10]
    #[arg(long, value_parser = value::speed, value_name = "N")]
    pub api_budget: Option<f64>,
    /// When frozen by drift (exit 7) or a failure (exit 5): leave, or keep guarding [default: wait on a terminal]
    #[arg(long, value_enum, hide_possible_values = true, value_name = "exit|wait")]
    pub on_freeze: Option<OnFreeze>,
    /// What is told to machines.
    #[command(flatten)]
    pub metrics: Metrics,
}

/// `promote`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Promote {
    /// Which run.
    #[command(flatten)]
    pub named: Named,
    /// End this pause and all that are still to come
    #[arg(long)]
    pub full: bool,
}

/// What a declined question says.
const UNCHANGED: &str = "nothing was changed";

/// `cutover promote`.
pub async fn promote(global: &Global, args: &Promote) -> Result<Exit, Failure> {
    ask(global, &args.named, "promote", |by| Request::Promote { by, full: args.full }).await
}

/// `cutover pause`.
pub async fn pause(global: &Global, args: &Named) -> Result<Exit, Failure> {
    ask(global, args, "pause", |by| Request::Pause { by, reason: String::new() }).await
}

/// `cutover approve`.
pub async fn approve(global: &Global, args: &Named) -> Result<Exit, Failure> {
    ask(global, args, "approve", |by| Request::Approve { by }).await
}

/// `cutover abort`.
pub async fn abort(global: &Global, args: &Abort) -> Result<Exit, Failure> {
    let (store, found) = target(global, &args.steer.named).await?;
    let to_step = number(&found.plan, args.to_step.as_ref())?;
    let (by, _) = owner::owner();
    let request = Request::Abort { by, to_step };
    if let Some(why) = request::refusal(&found.plan, &found.state()?, &request) {
        return Err(
            Failure::new(Exit::Usage, why).next(format!("to put all of it back: cutover abort {}", found.run.id))
        );
    }
    confirm(args.steer.yes, &format!("Abort the run {} and put the traffic back?", found.run.id), UNCHANGED)?;
    steer::restore(global, store, &found, &request).await
}

/// `cutover resume`: takes the run in hand and goes on, in the foreground; or lets the process that has it go on.
pub async fn resume(global: &Global, args: &Resume) -> Result<Exit, Failure> {
    let (store, found) = target(global, &args.steer.named).await?;
    let mode = match (args.keep_live, args.reassert, args.include_new) {
        (true, ..) => ResumeMode::KeepLive,
        (_, true, _) => ResumeMode::Reassert,
        (.., true) => ResumeMode::IncludeNew,
        _ => ResumeMode::Plain,
    };
    let question = match mode {
        ResumeMode::Plain => "Go on with",
        ResumeMode::KeepLive => "Take what is live as the new truth, and go on with",
        ResumeMode::IncludeNew => "Move the rules that appeared along with the others, and go on with",
        ResumeMode::Reassert => "Write our shares over someone else's, and go on with",
    };
    confirm(args.steer.yes, &format!("{question} the run {}?", found.run.id), UNCHANGED)?;
    let going = Going {
        until: number(&found.plan, args.until.as_ref())?,
        leave: args.max_wait.map(|most| later(Timestamp::now(), most)),
        api_budget: args.api_budget,
        leave_when_frozen: OnFreeze::leaves(args.on_freeze, term::stderr()),
    };
    steer::resume(global, store, &found, mode, going).await
}

/// Leaves a request; typing the verb is all the confirmation that one needs.
async fn ask(
    global: &Global,
    named: &Named,
    verb: &str,
    request: impl FnOnce(String) -> Request,
) -> Result<Exit, Failure> {
    let (store, found) = target(global, named).await?;
    let request = request(identity::asker(&found.plan).await);
    let state = found.state()?;
    if request::refusal(&found.plan, &state, &request).is_some() {
        return Err(nothing_to(verb, &found, &state));
    }
    steer::ask(global, &store, &found, &request).await
}

/// A request that means nothing where the run stands.
fn nothing_to(verb: &str, found: &Found, state: &State) -> Failure {
    let view = View::of(&found.plan, state, None, &[], Timestamp::now());
    let (step, of) = view.place();
    let (_, stands) = standing(&view, &Style::plain());
    let label = view.steps.get(step.saturating_sub(1)).map_or("", String::as_str);
    let failure =
        Failure::new(Exit::Usage, format!("there is nothing to {verb} in the run {}: nothing was asked for", view.run));
    failure
        .next(format!("it stands at step {step} of {of}, {label}: {stands}"))
        .next(format!("see: cutover status {}", view.run))
}

async fn target(global: &Global, named: &Named) -> Result<(Arc<dyn Store>, Found), Failure> {
    let store = place::named(&global.kept(), Some(&named.target)).await?;
    let found = find::run(&*store, Some(&named.target), term::style_err(global.color).color).await?;
    if found.run.finished.is_some() {
        let failure = Failure::new(Exit::Usage, format!("the run {} is over", found.run.id));
        let last = found.state().is_ok_and(|state| state.detach.is_some());
        return Err(if last {
            failure
        } else {
            failure.next(format!("to take it back: cutover rollback {}", found.run.id))
        });
    }
    Ok((store, found))
}
