//! Drives a run from this process: handles `^C`, connects the audiences, and turns the ending into a message and an
//! exit code. Decisions about the run are in `domain::decide`.

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

/// The settings for a run that this process drives.
pub fn settings(plan: &Plan, state: &State) -> Settings {
    let (owner, host) = owner::owner();
    let calls = Subject::of(plan, state).size();
    Settings::new(owner, host, calls).spending(plan.api_budget, calls)
}

/// How often a run observes, and how many calls that takes, for people.
pub fn often(settings: &Settings, calls: usize) -> String {
    let seconds = settings.poll.as_secs_f64();
    #[allow(clippy::cast_precision_loss)] // a number of calls
    let rate = calls as f64 / seconds;
    format!(
        "observes every {seconds:.0}s: {calls} describe calls each time, {rate:.1} a second \
         (spec.aws.apiBudget, --api-budget)"
    )
}

/// A run that this process drives.
pub struct Drive<'a> {
    /// The run's plan.
    pub plan: &'a Plan,
    /// The world.
    pub ports: Ports,
    /// How it is driven.
    pub settings: Settings,
    /// The right to drive it.
    pub hold: Hold,
    /// The request that this process was started with. It is carried out first: a rollback must not depend on a
    /// request in the store.
    pub request: Option<&'a Request>,
    /// Routes outside the run that may need a rollback too, each with the reason.
    pub unknown: &'a [String],
}

impl<'a> Drive<'a> {
    /// Without a request and without unknown routes.
    pub fn new(plan: &'a Plan, ports: Ports, settings: Settings, hold: Hold) -> Self {
        Self { plan, ports, settings, hold, request: None, unknown: &[] }
    }

    /// Drives the run to its ending. `^C` once pauses the run; twice exits at once.
    pub async fn run(self, surface: &dyn Surface) -> Result<Exit, Failure> {
        Box::pin(drive(surface, self)).await
    }
}

/// Connects all audiences, drives the run, and reports its ending.
async fn drive(surface: &dyn Surface, run: Drive<'_>) -> Result<Exit, Failure> {
    let Drive { plan, ports, settings, hold, request, unknown } = run;
    let interrupt = Interrupt::default();
    let stays = settings.orders.leave.is_none();
    let mut listener = surface.audience(plan);
    let mut bells = Bells::of(plan, surface.words());
    bells.warn();
    // The first records name everything that later records refer to. They were journalled before the audience existed.
    let before = ports.store.read(hold.run()).await.unwrap_or_default();
    before.iter().take_while(|r| !matches!(r.event, Event::Claimed { .. })).for_each(|record| listener.record(record));
    bells.before(&before);
    let mut telemetry = Telemetry::begin(plan, surface.outlets()).await;
    telemetry.before(&before);
    let mut company = Company(vec![&mut *listener, &mut bells, &mut telemetry]);
    // A later process does not find a run that is only in memory.
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
        surface.say(&format!("stopped at once, as requested\n{}", surface.left(&view).join("\n")));
        return Ok(Exit::Interrupted);
    };
    let exit = told(surface, ending, moved, &view, unknown);
    tokio::select! {
        _ = async { tokio::join!(bells.finish(), telemetry.finish()) } => {}
        // The operator has already seen how the run ended.
        () = again(surface) => {}
    }
    exit
}

/// Reports the ending of a run to the operator of this process.
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

/// Reports an ending (the live shares and what to type next) and returns its exit code.
pub fn said(surface: &dyn Surface, ending: &Ending, view: &View, unknown: &[String]) -> Exit {
    surface.ended(ending);
    surface.say(&surface.left(view).join("\n"));
    for route in unknown {
        surface.say(&format!("NOT known to be rolled back: {route}"));
    }
    if let Ending::Finished { tags, .. } = ending {
        for left in tags {
            surface.say(&format!(
                "the tag {} may still be there ({}); to remove it: {}",
                left.key,
                left.why,
                left.command()
            ));
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
        // A route does not have its shares, and the run cannot write it any more.
        Ending::Finished { left, .. } if !left.is_empty() => Exit::Stuck,
        // Weights are restored, but sticky clients stay on the new cluster: the operator must know.
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

/// Returns at the second request to stop; the first asks the run to stop. `pauses`: the run is then paused.
pub async fn twice(surface: &dyn Surface, interrupt: &Interrupt, pauses: bool) {
    let mut stops = surface.stops();
    stops.next().await;
    interrupt.raise(Stop::Interrupted, "interrupted: no new batch was started");
    let left = if pauses { "the run is paused" } else { "the next call continues" };
    surface.say(&format!("stopping: no new batch is started, {left} (^C again: exit at once)"));
    stops.next().await;
}

/// Returns at the next request to stop.
async fn again(surface: &dyn Surface) {
    surface.stops().next().await;
}

/// The failure of a run that could not continue. `moved`: the run may have written to a route.
pub fn engine(error: EngineError, moved: bool) -> Failure {
    let exit = if moved { Exit::Stuck } else { Exit::Internal };
    Failure::new(exit, error)
}

/// The failure of an existing run that could not be acquired: this process wrote nothing, but the run may have moved
/// traffic before.
pub fn held_again(error: HoldError, state: &State) -> Failure {
    let run = &state.run;
    let failure = unheld(error, &format!("cutover rollback {run} --take-over"));
    if failure.exit == Exit::Locked {
        return failure;
    }
    if !goal::moved(state) {
        return failure.next("the run has not moved any traffic yet").next(format!("continue: cutover resume {run}"));
    }
    let failure = Failure { exit: Exit::Stuck, ..failure };
    failure
        .next("the traffic stays where the run left it, and no process guards it")
        .next(format!("continue: cutover resume {run}"))
        .next(format!("roll back: cutover rollback {run}"))
}

/// The failure of a new run that could not be acquired.
pub fn held(error: HoldError) -> Failure {
    unheld(error, "cutover rollback --take-over")
}

/// The failure of a run that could not be acquired. `back`: the command that rolls back in spite of it.
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
        failure = failure.next(format!("to roll back anyway (their process stops): {back}"));
    }
    if stale {
        let tag = crate::engine::marker::KEY;
        failure =
            failure.next(format!("if that run does not exist any more, remove the tag {tag} from the load balancer"));
    }
    failure
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixture;
    use crate::engine::MarkerError;

    #[test]
    fn a_begun_run_whose_marker_cannot_be_put_exits_as_its_traffic_stands() {
        let error = || HoldError::Marker(MarkerError::Read("throttled".into()));
        assert_eq!(held(error()).exit, Exit::Refused, "nothing was touched, where the run was to begin");
        let mut state = fixture::state(fixture::started(4));
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
