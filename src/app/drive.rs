//! Drives a run from this process: handles `^C`, connects the audiences, and turns the ending into a message and an
//! exit code. Decisions about the run are in `domain::decide`.

use futures::StreamExt;
use jiff::Timestamp;

use super::audience::Audiences;
use super::exit::{Exit, Failure};
use super::notify::Notifier;
use super::owner;
use super::surface::Surface;
use super::telemetry::Telemetry;
use super::view::RunView;
use crate::domain::decide::desired_split;
use crate::domain::run::event::{Event, RunOutcome, StopReason};
use crate::domain::run::state::State;
use crate::engine::ownership::{Ownership, OwnershipError};
use crate::engine::{Ending, EngineError, Interrupt, Ports, RunLoop, Settings, WatchList};
use crate::plan::model::Plan;
use crate::port::store::{LockError, Request, StoreError, emergency_command};

/// The settings for a run that this process drives.
pub fn settings(plan: &Plan, state: &State) -> Settings {
    let (owner, host) = owner::owner();
    let calls = WatchList::of(plan, state).calls();
    Settings::new(owner, host, calls).with_api_budget(plan.api_budget, calls)
}

/// How often a run observes, and how many calls that takes, for people.
pub fn observation_text(settings: &Settings, calls: usize) -> String {
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
    pub ownership: Ownership,
    /// The request that this process was started with. It is carried out first: a rollback must not depend on a
    /// request in the store.
    pub request: Option<&'a Request>,
    /// Routes outside the run that may need a rollback too, each with the reason.
    pub unknown: &'a [String],
}

impl<'a> Drive<'a> {
    /// Without a request and without unknown routes.
    pub fn new(plan: &'a Plan, ports: Ports, settings: Settings, ownership: Ownership) -> Self {
        Self { plan, ports, settings, ownership, request: None, unknown: &[] }
    }

    /// Drives the run to its ending. `^C` once pauses the run; twice exits at once.
    pub async fn run(self, surface: &dyn Surface) -> Result<Exit, Failure> {
        Box::pin(drive(surface, self)).await
    }
}

/// Connects all audiences, drives the run, and reports its ending.
async fn drive(surface: &dyn Surface, run: Drive<'_>) -> Result<Exit, Failure> {
    let Drive { plan, ports, settings, ownership, request, unknown } = run;
    let interrupt = Interrupt::default();
    let stays = settings.orders.exit_after.is_none();
    let before = ports.store.read(ownership.run()).await.unwrap_or_default();
    let mut listener = surface.audience(plan, &before);
    let mut notifier = Notifier::for_plan(plan, surface.record_text());
    notifier.warn_unreachable();
    // The first records name everything that later records refer to. They were journalled before the audience existed.
    before
        .iter()
        .take_while(|r| !matches!(r.event, Event::ProcessStarted { .. }))
        .for_each(|record| listener.record(record));
    notifier.process_earlier(&before);
    let mut telemetry = Telemetry::begin(plan, surface.metric_outlets()).await;
    telemetry.before(&before);
    let mut company = Audiences(vec![&mut *listener, &mut notifier, &mut telemetry]);
    // A later process does not find a run that is only in memory.
    let lost = if ports.store.is_durable() { None } else { Some(emergency_command(&before)) };
    drop(before);
    let mut run = RunLoop::open(plan, ports, settings, ownership, interrupt.clone(), &mut company)
        .await
        .map_err(|e| engine_failure(e, false))?;
    if let Some(request) = request {
        let begun = run.carry_out(request).await;
        begun
            .map_err(|e| engine_failure(e, may_have_written(run.state())))?
            .map_err(|why| Failure::new(Exit::Usage, why))?;
    }
    let ending = tokio::select! {
        ending = run.drive() => Some(ending),
        () = second_stop(surface, &interrupt, stays) => None,
    };
    let moved = may_have_written(run.state());
    let view = RunView { without_journal: lost, ..RunView::of(plan, run.state(), None, &[], Timestamp::now()) };
    run.release().await;
    drop(run);
    drop(listener);
    let Some(ending) = ending else {
        surface.show(&format!("stopped at once, as requested\n{}", surface.final_lines(&view).join("\n")));
        return Ok(Exit::Interrupted);
    };
    let exit = report_result(surface, ending, moved, &view, unknown);
    tokio::select! {
        _ = async { tokio::join!(notifier.finish(), telemetry.finish()) } => {}
        // The operator has already seen how the run ended.
        () = next_stop(surface) => {}
    }
    exit
}

/// Reports the ending of a run to the operator of this process.
fn report_result(
    surface: &dyn Surface,
    ending: Result<Ending, EngineError>,
    moved: bool,
    view: &RunView,
    unknown: &[String],
) -> Result<Exit, Failure> {
    match ending {
        Err(error) => {
            let left = surface.final_lines(view);
            Err(left
                .iter()
                .fold(engine_failure(error, moved), |failure, line| failure.next(line.trim_start_matches("  "))))
        }
        Ok(ending) => Ok(report_ending(surface, &ending, view, unknown)),
    }
}

/// Whether the run may have written to a route.
fn may_have_written(state: &State) -> bool {
    state.first_write.is_some() || state.step > state.started.from_step || desired_split::has_moved(state)
}

/// Reports an ending (the live shares and what to type next) and returns its exit code.
pub fn report_ending(surface: &dyn Surface, ending: &Ending, view: &RunView, unknown: &[String]) -> Exit {
    surface.show_ending(ending);
    surface.show(&surface.final_lines(view).join("\n"));
    for route in unknown {
        surface.show(&format!("NOT known to be rolled back: {route}"));
    }
    if let Ending::Finished { tags, .. } = ending {
        for left in tags {
            surface.show(&format!(
                "the tag {} may still be there ({}); to remove it: {}",
                left.key,
                left.why,
                left.command()
            ));
        }
    }
    match exit_of(ending) {
        Exit::Done | Exit::RolledBack if !unknown.is_empty() => Exit::Stuck,
        exit => exit,
    }
}

/// The exit code of an ending.
pub fn exit_of(ending: &Ending) -> Exit {
    match ending {
        // A route does not have its shares, and the run cannot write it any more.
        Ending::Finished { left, .. } if !left.is_empty() => Exit::Stuck,
        // Weights are restored, but sticky clients stay on the new cluster: the operator must know.
        Ending::Finished { outcome: RunOutcome::RolledBack, remarks, .. } if !remarks.is_empty() => Exit::Stuck,
        Ending::Finished { outcome: RunOutcome::Completed, .. } => Exit::Done,
        Ending::Finished { outcome: RunOutcome::RolledBack | RunOutcome::Aborted, .. } => Exit::RolledBack,
        Ending::Stopped(StopReason::Waiting, _) => Exit::Waiting,
        Ending::Stopped(StopReason::Interrupted, _) => Exit::Interrupted,
        Ending::Stopped(StopReason::Drift, _) => Exit::Drift,
        Ending::Stopped(StopReason::Lock, _) => Exit::Locked,
        Ending::Stopped(StopReason::Stuck, _) => Exit::Stuck,
    }
}

/// Returns at the second request to stop; the first asks the run to stop. `pauses`: the run is then paused.
pub async fn second_stop(surface: &dyn Surface, interrupt: &Interrupt, pauses: bool) {
    let mut stops = surface.stop_requests();
    stops.next().await;
    interrupt.request(StopReason::Interrupted, "interrupted: no new batch was started");
    let left = if pauses { "the run is paused" } else { "the next call continues" };
    surface.show(&format!("stopping: no new batch is started, {left} (^C again: exit at once)"));
    stops.next().await;
}

/// Returns at the next request to stop.
async fn next_stop(surface: &dyn Surface) {
    surface.stop_requests().next().await;
}

/// The failure of a run that could not continue. `moved`: the run may have written to a route.
pub fn engine_failure(error: EngineError, moved: bool) -> Failure {
    let exit = if moved { Exit::Stuck } else { Exit::Internal };
    Failure::new(exit, error)
}

/// The failure of an existing run that could not be acquired: this process wrote nothing, but the run may have moved
/// traffic before.
pub fn resume_failure(error: OwnershipError, state: &State) -> Failure {
    let run = &state.run;
    let failure = ownership_failure(error, &format!("cutover rollback {run} --take-over"));
    if failure.exit == Exit::Locked {
        return failure;
    }
    if !desired_split::has_moved(state) {
        return failure.next("the run has not moved any traffic yet").next(format!("continue: cutover resume {run}"));
    }
    let failure = Failure { exit: Exit::Stuck, ..failure };
    failure
        .next("the traffic stays where the run left it, and no process guards it")
        .next(format!("continue: cutover resume {run}"))
        .next(format!("roll back: cutover rollback {run}"))
}

/// The failure of a new run that could not be acquired.
pub fn start_failure(error: OwnershipError) -> Failure {
    ownership_failure(error, "cutover rollback --take-over")
}

/// The failure of a run that could not be acquired. `back`: the command that rolls back in spite of it.
pub fn ownership_failure(error: OwnershipError, back: &str) -> Failure {
    let exit = match &error {
        OwnershipError::Lock(LockError::HeldBy(_))
        | OwnershipError::Marker(crate::engine::MarkerError::Other(_))
        | OwnershipError::AlreadyStarted(_) => Exit::Locked,
        OwnershipError::Marker(_)
        | OwnershipError::Lock(LockError::Io(StoreError::Unusable { .. }))
        | OwnershipError::Store(StoreError::Unusable { .. }) => Exit::Refused,
        OwnershipError::Lock(_) | OwnershipError::Store(_) => Exit::Internal,
    };
    let stale = matches!(error, OwnershipError::Marker(crate::engine::MarkerError::Other(_)));
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
        let error = || OwnershipError::Marker(MarkerError::Read("throttled".into()));
        assert_eq!(start_failure(error()).exit, Exit::Refused, "nothing was touched, where the run was to begin");
        let mut state = fixture::state(fixture::started(4));
        assert_eq!(resume_failure(error(), &state).exit, Exit::Refused, "nothing was moved");
        for route in state.routes.values_mut() {
            route.confirmed = fixture::forward(&[("webapp-a", 95), ("webapp-b", 5)]);
        }
        let failure = resume_failure(error(), &state);
        assert_eq!(failure.exit, Exit::Stuck);
        assert!(failure.to_string().contains("cutover rollback alpha-1"), "{failure}");
        let other = OwnershipError::Marker(MarkerError::Other("beta-1".into()));
        assert_eq!(resume_failure(other, &state).exit, Exit::Locked);
    }
}
