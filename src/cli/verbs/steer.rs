//! `promote`, `pause`, `resume`, `approve`, `abort`: steering a run. A live process is asked; without one, the verb takes the lock and acts itself.

use std::sync::Arc;

use jiff::Timestamp;

use crate::base::time::later;
use crate::cli::args::{Abort, Global, Named, Promote, Resume, Steer};
use crate::cli::exit::{Exit, Failure};
use crate::cli::find::Found;
use crate::cli::render::parts::standing;
use crate::cli::render::style::Style;
use crate::cli::render::view::View;
use crate::cli::verbs::rollback_live;
use crate::cli::verbs::run::{leaves, step};
use crate::cli::{drive, find, follow, identity, owner, place, term, world};
use crate::domain::decide::Orders;
use crate::domain::run::event::ResumeMode;
use crate::domain::run::state::{Phase, State};
use crate::domain::run::watch::Marker;
use crate::engine::{Settings, Subject, hold, request, seen};
use crate::port::store::{Request, Store};

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
    let to_step = step(&found.plan, args.to_step.as_ref())?;
    let (by, _) = owner::owner();
    let request = Request::Abort { by, to_step };
    if let Some(why) = request::refusal(&found.plan, &state(&found)?, &request) {
        return Err(Failure::new(Exit::Usage, why).next(format!("to put all of it back: cutover abort {}", found.run.id)));
    }
    confirm(&args.steer, &format!("Abort the run {} and put the traffic back?", found.run.id))?;
    if store.holder(&found.run.id).await.is_some() {
        store.put_request(&found.run.id, &request).await.map_err(|e| Failure::new(Exit::Internal, e))?;
        if let Some(exit) = follow::to_the_end(global, &store, &found).await? {
            return Ok(exit);
        }
    }
    restoring(global, store, &found, false, &request).await
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
    confirm(&args.steer, &format!("{question} the run {}?", found.run.id))?;
    let state = state(&found)?;
    let (by, _) = owner::owner();
    if state.phase != Phase::RollingBack && (state.held() || mode != ResumeMode::Plain) {
        store.put_request(&found.run.id, &Request::Resume { by, mode }).await.map_err(|e| Failure::new(Exit::Internal, e))?;
    }
    if let Some(holder) = store.holder(&found.run.id).await {
        return follow::heard(global, &store, &found, &holder).await;
    }
    let until = step(&found.plan, args.until.as_ref())?;
    let ports = world::ports(&found.plan, store).await;
    identity::account(&found.plan, &ports).await?;
    let calls = Subject::of(&found.plan, &state).size();
    let settings = drive::settings(&found.plan, &state).spending(args.api_budget, calls);
    let leave = args.max_wait.map(|most| later(ports.clock.now(), most));
    let settings = Settings { orders: Orders { until, leave }, leave_when_frozen: leaves(args.on_freeze), ..settings };
    term::complain(&drive::often(&settings, calls));
    let hold = hold::take(&ports, &settings, found.plan.marker, &found.run.id, &found.run.load_balancers, false).await;
    let hold = hold.map_err(|e| drive::held_again(e, &state))?;
    drive::drive(global, &found.plan, ports, settings, hold).await
}

/// Leaves a request; typing the verb is all the confirmation that one needs. Without a live holder it is journalled by this process, which then leaves the run as it is.
async fn ask(global: &Global, named: &Named, verb: &str, request: impl FnOnce(String) -> Request) -> Result<Exit, Failure> {
    let (store, found) = target(global, named).await?;
    let request = request(identity::asker(&found.plan).await);
    let state = state(&found)?;
    if request::refusal(&found.plan, &state, &request).is_some() {
        return Err(nothing_to(verb, &found, &state));
    }
    store.put_request(&found.run.id, &request).await.map_err(|e| Failure::new(Exit::Internal, e))?;
    match store.holder(&found.run.id).await {
        Some(holder) => follow::heard(global, &store, &found, &holder).await,
        None => follow::journal_requests(&found, &store).await.map(|()| Exit::Done),
    }
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

/// Drives a run whose rollback has been asked for, as an emergency: nothing but another owner stops it. The verb itself exits 0 then.
pub async fn restoring(global: &Global, store: Arc<dyn Store>, found: &Found, take_over: bool, request: &Request) -> Result<Exit, Failure> {
    let state = state(found)?;
    // Where everything was seen a moment ago, nothing is asked before the first write: what it writes to names account and region itself.
    let seen = seen(&*store, &found.records, &state, Timestamp::now()).await.is_some();
    let ports = world::balancer_of(&found.plan, store).await;
    if !seen {
        identity::account(&found.plan, &ports).await?;
    }
    let settings = drive::settings(&found.plan, &state);
    let there = seen.then_some(Marker::Ours);
    let hold = hold::take_to_restore(&ports, &settings, found.plan.marker, &found.run.id, &found.run.load_balancers, take_over, there);
    let hold = hold
        .await
        .map_err(|e| rollback_live::over(drive::held_again(e, &state), &format!("cutover rollback {} --take-over", found.run.id)))?;
    let asked = ports.clone();
    let exit = drive::begin(global, &found.plan, ports, settings, hold, Some(request)).await.map(done_if_back)?;
    if exit != Exit::Done && seen {
        identity::account(&found.plan, &asked).await?;
    }
    Ok(exit)
}

/// The verbs `abort` and `rollback` exit 0 when the traffic is back.
pub fn done_if_back(exit: Exit) -> Exit {
    if exit == Exit::RolledBack { Exit::Done } else { exit }
}

async fn target(global: &Global, named: &Named) -> Result<(Arc<dyn Store>, Found), Failure> {
    let store = place::named(global, Some(&named.target)).await?;
    let found = find::run(&*store, Some(&named.target), term::style_err(global.color).color).await?;
    if found.run.finished.is_some() {
        let failure = Failure::new(Exit::Usage, format!("the run {} is over", found.run.id));
        let last = state(&found).is_ok_and(|state| state.detach.is_some());
        return Err(if last { failure } else { failure.next(format!("to take it back: cutover rollback {}", found.run.id)) });
    }
    Ok((store, found))
}

/// The state that a run's records fold to.
pub fn state(found: &Found) -> Result<State, Failure> {
    let folded = State::fold(&found.records).map_err(|e| Failure::new(Exit::Stuck, e))?;
    folded.ok_or_else(|| Failure::new(Exit::Stuck, format!("the run {} has no records", found.run.id)))
}

/// Verbs that write ask first.
pub fn confirm(args: &Steer, question: &str) -> Result<(), Failure> {
    if args.yes || term::confirm(question).map_err(|e| Failure::new(Exit::Usage, e))? {
        return Ok(());
    }
    Err(Failure::new(Exit::Usage, "nothing was changed"))
}
