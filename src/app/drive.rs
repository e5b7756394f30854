//! Driving a run from here: `^C`, the audience, and what the ending means for the exit code.

use futures::StreamExt;
use jiff::Timestamp;

use super::audience::Company;
use super::exit::{Exit, Failure};
use super::notify::Bells;
use super::owner;
use super::surface::Surface;
use super::telemetry::Telemetry;
use super::view::View;
use crate::domain::decide::goal;
use crate::domain::run::event::{Event, Outcome, Stop};
use crate::domain::run::state::State;
use crate::engine::hold::{Hold, HoldError};
use crate::engine::{Ending, EngineError, Interrupt, Ports, Run, Settings, Subject};
use crate::plan::model::Plan;
use crate::port::store::{LockError, Request, StoreError, emergency};

/// Settings for a run that this process drives.
pub fn settings(plan: &Plan, state: &State) -> Settings {
    let (owner, host) = owner::owner();
    let calls = Subject::of(plan, state).size();
    Settings::new(owner, host, calls).spending(plan.api_budget, calls)
}

/// How often a run looks, and what it takes.
pub fn often(settings: &Settings, calls: usize) -> String {
    let seconds = settings.poll.as_secs_f64();
    #[allow(clippy::cast_precision_loss)] // a number of calls
    let rate = calls as f64 / seconds;
    format!(
        "looks every {seconds:.0}s: {calls} describe calls each time, {rate:.1} a second (spec.aws.apiBudget, --api-budget)"
    )
}

/// Drives a run to its ending. `^C` once leaves it paused; twice leaves it at once.
pub async fn drive(
    surface: &dyn Surface,
    plan: &Plan,
    ports: Ports,
    settings: Settings,
    hold: Hold,
) -> Result<Exit, Failure> {
    begin(surface, plan, ports, settings, hold, None, &[]).await
}

/// The same, beginning with what this process was asked for: a rollback, which must not depend on a request that is left and found again.
/// `unknown`: routes that are not the run's, of which nobody knows whether they are right, each with why.
pub async fn begin(
    surface: &dyn Surface,
    plan: &Plan,
    ports: Ports,
    settings: Settings,
    hold: Hold,
    request: Option<&Request>,
    unknown: &[String],
) -> Result<Exit, Failure> {
    Box::pin(followed(surface, plan, ports, settings, hold, request, unknown)).await
}

/// From the first word to the last, with everybody who follows.
async fn followed(
    surface: &dyn Surface,
    plan: &Plan,
    ports: Ports,
    settings: Settings,
    hold: Hold,
    request: Option<&Request>,
    unknown: &[String],
) -> Result<Exit, Failure> {
    let interrupt = Interrupt::default();
    let stays = settings.orders.leave.is_none();
    let mut listener = surface.audience(plan);
    let mut bells = Bells::of(plan, surface.words());
    bells.warn();
    // It names everything that later records are about, and was journalled before there was anybody to tell.
    let before = ports.store.read(hold.run()).await.unwrap_or_default();
    before.iter().take_while(|r| !matches!(r.event, Event::Claimed { .. })).for_each(|record| listener.record(record));
    bells.before(&before);
    let mut telemetry = Telemetry::begin(plan, surface.outlets()).await;
    telemetry.before(&before);
    let mut company = Company(vec![&mut *listener, &mut bells, &mut telemetry]);
    // What only memory keeps is found by no later process.
    let lost = if ports.store.lasts() { None } else { Some(emergency(&before)) };
    drop(before);
    let mut run =
        Run::take(plan, ports, settings, hold, interrupt.clone(), &mut company).await.map_err(|e| engine(e, false))?;
    if let Some(request) = request {
        let begun = run.begin(request).await;
        begun.map_err(|e| engine(e, written(run.state())))?.map_err(|why| Failure::new(Exit::Usage, why))?;
    }
    let ending = tokio::select! {
        ending = run.drive() => Some(ending),
        () = twice(surface, &interrupt, stays) => None,
    };
    let moved = written(run.state());
    let view = View { without_journal: lost, ..View::of(plan, run.state(), None, &[], Timestamp::now()) };
    run.release().await;
    drop(run);
    drop(listener);
    let Some(ending) = ending else {
        surface.say(&format!("left at once, as asked\n{}", surface.left(&view).join("\n")));
        return Ok(Exit::Interrupted);
    };
    let exit = told(surface, ending, moved, &view, unknown);
    tokio::select! {
        _ = async { tokio::join!(bells.finish(), telemetry.finish()) } => {}
        // Whoever is at the terminal has seen how it ended.
        () = again(surface) => {}
    }
    exit
}

/// What came of a run, said to whoever is at this process.
fn told(
    surface: &dyn Surface,
    ending: Result<Ending, EngineError>,
    moved: bool,
    view: &View,
    unknown: &[String],
) -> Result<Exit, Failure> {
    match ending {
        Err(error) => {
            let left = surface.left(view);
            Err(left.iter().fold(engine(error, moved), |failure, line| failure.next(line.trim_start_matches("  "))))
        }
        Ok(ending) => Ok(said(surface, &ending, view, unknown)),
    }
}

/// Whether the run may have written to a route.
fn written(state: &State) -> bool {
    state.first_write.is_some() || state.step > state.started.from_step || goal::moved(state)
}

/// What an ending means: on stderr what is live now and what to type next, and the exit code.
pub fn said(surface: &dyn Surface, ending: &Ending, view: &View, unknown: &[String]) -> Exit {
    surface.ended(ending);
    surface.say(&surface.left(view).join("\n"));
    for route in unknown {
        surface.say(&format!("NOT known to be back: {route}"));
    }
    if let Ending::Finished { tags, .. } = ending {
        for left in tags {
            surface.say(&format!("the tag {} may stay ({}); to remove it: {}", left.key, left.why, left.command()));
        }
    }
    match exit(ending) {
        Exit::Done | Exit::RolledBack if !unknown.is_empty() => Exit::Stuck,
        exit => exit,
    }
}

/// The exit code of an ending.
pub fn exit(ending: &Ending) -> Exit {
    match ending {
        // A route is not where it should be; the run can do no more about it.
        Ending::Finished { left, .. } if !left.is_empty() => Exit::Stuck,
        // Weights are back, but cookies still lead to the new cluster: a person must know.
        Ending::Finished { outcome: Outcome::RolledBack, remarks, .. } if !remarks.is_empty() => Exit::Stuck,
        Ending::Finished { outcome: Outcome::Completed, .. } => Exit::Done,
        Ending::Finished { outcome: Outcome::RolledBack | Outcome::Aborted, .. } => Exit::RolledBack,
        Ending::Stopped(Stop::Waiting, _) => Exit::Waiting,
        Ending::Stopped(Stop::Interrupted, _) => Exit::Interrupted,
        Ending::Stopped(Stop::Drift, _) => Exit::Drift,
        Ending::Stopped(Stop::Lock, _) => Exit::Locked,
        Ending::Stopped(Stop::Stuck, _) => Exit::Stuck,
    }
}

/// Returns at the second request to stop; the first raises the flag. `pauses`: the run is left paused then.
pub async fn twice(surface: &dyn Surface, interrupt: &Interrupt, pauses: bool) {
    let mut stops = surface.stops();
    stops.next().await;
    interrupt.raise(Stop::Interrupted, "interrupted: no new batch was begun");
    let left = if pauses { "the run is left paused" } else { "the next call goes on" };
    surface.say(&format!("stopping: no new batch, and {left} (^C again: leave at once)"));
    stops.next().await;
}

/// Returns at the next request to stop.
async fn again(surface: &dyn Surface) {
    surface.stops().next().await;
}

/// A run that could not go on: nothing was written, or a person is needed.
pub fn engine(error: EngineError, moved: bool) -> Failure {
    let exit = if moved { Exit::Stuck } else { Exit::Internal };
    Failure::new(exit, error)
}

/// A run that was begun before and could not be held: this process wrote nothing, but the traffic is where the run left it.
pub fn held_again(error: HoldError, state: &State) -> Failure {
    let run = &state.run;
    let failure = unheld(error, &format!("cutover rollback {run} --take-over"));
    if failure.exit == Exit::Locked {
        return failure;
    }
    if !goal::moved(state) {
        return failure.next("the run has moved no traffic yet").next(format!("Go on:   cutover resume {run}"));
    }
    let failure = Failure { exit: Exit::Stuck, ..failure };
    failure
        .next("the traffic is where the run left it, and nobody watches it")
        .next(format!("Go on:   cutover resume {run}"))
        .next(format!("Go back: cutover rollback {run}"))
}

/// A new run that could not be held.
pub fn held(error: HoldError) -> Failure {
    unheld(error, "cutover rollback --take-over")
}

/// A run that could not be held. `back` is the command that puts the traffic back all the same.
pub fn unheld(error: HoldError, back: &str) -> Failure {
    let exit = match &error {
        HoldError::Lock(LockError::HeldBy(_))
        | HoldError::Marker(crate::engine::MarkerError::Other(_))
        | HoldError::Begun(_) => Exit::Locked,
        HoldError::Marker(_)
        | HoldError::Lock(LockError::Io(StoreError::Unusable { .. }))
        | HoldError::Store(StoreError::Unusable { .. }) => Exit::Refused,
        HoldError::Lock(_) | HoldError::Store(_) => Exit::Internal,
    };
    let stale = matches!(error, HoldError::Marker(crate::engine::MarkerError::Other(_)));
    let mut failure = Failure::new(exit, error);
    if exit == Exit::Locked {
        failure = failure.next(format!("to put the traffic back all the same (their process stops): {back}"));
    }
    if stale {
        let tag = crate::engine::marker::KEY;
        failure = failure.next(format!("if nobody runs that any more, remove the tag {tag} from the load balancer"));
    }
    failure
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixture;
    use crate::domain::run::event::{Event, Record};
    use crate::engine::MarkerError;

    #[test]
    fn a_begun_run_whose_marker_cannot_be_put_exits_as_its_traffic_stands() {
        let error = || HoldError::Marker(MarkerError::Read("throttled".into()));
        assert_eq!(held(error()).exit, Exit::Refused, "nothing was touched, where the run was to begin");
        let record = Record {
            seq: 1,
            time: Timestamp::UNIX_EPOCH,
            run: "alpha-1".into(),
            event: Event::Started(Box::new(fixture::started(4))),
            newer: None,
        };
        let mut state = State::fold(&[record]).ok().flatten().expect("a state");
        assert_eq!(held_again(error(), &state).exit, Exit::Refused, "nothing was moved");
        for route in state.routes.values_mut() {
            route.known = fixture::forward(&[("webapp-a", 95), ("webapp-b", 5)]);
        }
        let failure = held_again(error(), &state);
        assert_eq!(failure.exit, Exit::Stuck);
        assert!(failure.to_string().contains("cutover rollback alpha-1"), "{failure}");
        let other = HoldError::Marker(MarkerError::Other("beta-1".into()));
        assert_eq!(held_again(other, &state).exit, Exit::Locked);
    }
}
