//! `promote`, `pause`, `resume`, `approve`, `abort`: steering a run. A live process is asked; without one, the verb takes the lock and acts itself.

use std::sync::Arc;

use jiff::Timestamp;

use crate::app::exit::{Exit, Failure};
use crate::app::find::Found;
use crate::app::steer::{self, Going};
use crate::app::view::View;
use crate::app::{find, identity, owner, place};
use crate::base::time::later;
use crate::cli::args::{Abort, Global, Named, OnFreeze, Promote, Resume, number};
use crate::cli::ask::confirm;
use crate::cli::render::parts::standing;
use crate::cli::render::style::Style;
use crate::cli::term;
use crate::domain::run::event::ResumeMode;
use crate::domain::run::state::State;
use crate::engine::request;
use crate::port::store::{Request, Store};

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
        return Err(Failure::new(Exit::Usage, why).next(format!("to put all of it back: cutover abort {}", found.run.id)));
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
async fn ask(global: &Global, named: &Named, verb: &str, request: impl FnOnce(String) -> Request) -> Result<Exit, Failure> {
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
    let failure = Failure::new(Exit::Usage, format!("there is nothing to {verb} in the run {}: nothing was asked for", view.run));
    failure.next(format!("it stands at step {step} of {of}, {label}: {stands}")).next(format!("see: cutover status {}", view.run))
}

async fn target(global: &Global, named: &Named) -> Result<(Arc<dyn Store>, Found), Failure> {
    let store = place::named(&global.kept(), Some(&named.target)).await?;
    let found = find::run(&*store, Some(&named.target), term::style_err(global.color).color).await?;
    if found.run.finished.is_some() {
        let failure = Failure::new(Exit::Usage, format!("the run {} is over", found.run.id));
        let last = found.state().is_ok_and(|state| state.detach.is_some());
        return Err(if last { failure } else { failure.next(format!("to take it back: cutover rollback {}", found.run.id)) });
    }
    Ok((store, found))
}
