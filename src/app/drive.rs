//! Drives a run from this process: handles `^C`, connects the subscribers, and converts the ending to a message and an
//! exit code. Decisions about the run are in `domain::decide`.

use futures::StreamExt;
use jiff::Timestamp;

use super::connections;
use super::exit::{Exit, Failure};
use super::notify::Notifier;
use super::owner;
use super::subscriber::Subscribers;
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

/// Returns the settings for a run that this process drives.
pub fn settings(plan: &Plan, state: &State) -> Settings {
    let (owner, host) = owner::owner();
    let calls = WatchList::of(plan, state).calls();
    Settings::new(owner, host, calls).for_plan(plan).with_api_budget(plan.api_budget, calls)
}

/// Describes for people how often a run observes, and how many calls one observation takes.
pub fn observation_text(settings: &Settings, calls: usize) -> String {
    let seconds = settings.poll.as_secs_f64();
    #[allow(clippy::cast_precision_loss)] // a number of calls
    let rate = calls as f64 / seconds;
    format!(
        "observes every {seconds:.0}s: {calls} describe calls each time, {rate:.1} a second \
         (spec.aws.apiBudget, --api-budget)"
    )
}

/// A run that this process drives, with everything that driving it needs.
pub struct Drive<'a> {
    /// The plan of the run.
    pub plan: &'a Plan,
    /// The ports to AWS, Kubernetes, the store and the clock.
    pub ports: Ports,
    /// How the run is driven.
    pub settings: Settings,
    /// The locks and the marker of the run.
    pub ownership: Ownership,
    /// The request that this process was started with. This process carries it out first, because a rollback must not
    /// depend on a request in the store.
    pub request: Option<&'a Request>,
    /// Routes outside the run that may also need a rollback, each with the reason.
    pub unknown: &'a [String],
}

impl<'a> Drive<'a> {
    /// Creates a drive without a request and without unknown routes.
    pub fn new(plan: &'a Plan, ports: Ports, settings: Settings, ownership: Ownership) -> Self {
        Self { plan, ports, settings, ownership, request: None, unknown: &[] }
    }

    /// Drives the run to its end. One `^C` pauses the run; a second `^C` exits at once.
    pub async fn run(self, surface: &dyn Surface) -> Result<Exit, Failure> {
        Box::pin(drive(surface, self)).await
    }
}

/// Connects all subscribers, drives the run, and reports how the run ended.
async fn drive(surface: &dyn Surface, run: Drive<'_>) -> Result<Exit, Failure> {
    let Drive { plan, ports, settings, ownership, request, unknown } = run;
    let interrupt = Interrupt::default();
    let stays = settings.orders.exit_after.is_none();
    let before = ports.store.read(ownership.run()).await.unwrap_or_default();
    let mut listener = surface.subscriber(plan, &before);
    let mut notifier = Notifier::for_plan(plan, surface.record_text());
    notifier.warn_unreachable();
    // The first records name everything that later records refer to. An earlier process journalled them.
    before
        .iter()
        .take_while(|r| !matches!(r.event, Event::ProcessStarted { .. }))
        .for_each(|record| listener.record(record));
    notifier.process_earlier(&before);
    let mut telemetry = Telemetry::begin(plan, surface.metric_outlets()).await;
    telemetry.process_earlier(&before);
    let mut subscribers = Subscribers(vec![&mut *listener, &mut notifier, &mut telemetry]);
    // A run that is only in memory cannot be found by a later process.
    let lost = if ports.store.is_durable() { None } else { Some(emergency_command(&before)) };
    drop(before);
    let ports_after_end = ports.clone();
    let mut run = RunLoop::open(plan, ports, settings, ownership, interrupt.clone(), &mut subscribers)
        .await
        .map_err(|e| engine_failure(e, false))?;
    if let Some(request) = request {
        let carried_out = run.carry_out(request).await;
        carried_out
            .map_err(|e| engine_failure(e, may_have_written(run.state())))?
            .map_err(|why| Failure::new(Exit::Usage, why))?;
    }
    let ending = tokio::select! {
        ending = run.drive() => Some(ending),
        () = second_stop(surface, &interrupt, stays) => None,
    };
    let moved = may_have_written(run.state());
    let kept = keeps_share(run.state());
    let view = RunView {
        without_journal: lost,
        way_back: run.way_back().into_iter().map(Into::into).collect(),
        ..RunView::of(plan, run.state(), None, &[], Timestamp::now())
    };
    run.release().await;
    let state = run.state().clone();
    drop(run);
    drop(listener);
    let Some(ending) = ending else {
        surface.show(&format!("stopped at once, as requested\n{}", surface.final_lines(&view).join("\n")));
        return Ok(Exit::Interrupted);
    };
    let exit = report_result(surface, ending, moved, &view, unknown);
    for line in connections::open_after_rollback(plan, &state, &ports_after_end).await {
        surface.show(&line);
    }
    // The verbs `abort` and `rollback` themselves did what was asked.
    let exit = exit.map(|exit| if request.is_none() { exit_with_share_left(exit, kept) } else { exit });
    tokio::select! {
        _ = async { tokio::join!(notifier.finish(), telemetry.finish()) } => {}
        // The operator has already seen how the run ended.
        () = wait_for_next_stop(surface) => {}
    }
    exit
}

/// Reports to the operator of this process how the run ended.
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

/// Returns whether the run may have written to a route.
fn may_have_written(state: &State) -> bool {
    state.first_write.is_some() || state.step > state.started.from_step || desired_split::has_moved(state)
}

/// Reports how the run ended (the live shares and what to type next) and returns the exit code.
pub fn report_ending(surface: &dyn Surface, ending: &Ending, view: &RunView, unknown: &[String]) -> Exit {
    surface.show_ending(ending);
    surface.show(&surface.final_lines(view).join("\n"));
    for route in unknown {
        surface.show(&format!("possibly not rolled back: {route}"));
    }
    if let Ending::Finished { tags, .. } = ending {
        for left in tags {
            surface.show(&format!(
                "the tag {} may still exist ({}); to remove the tag: {}",
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

/// Whether a run ended at the shares of an earlier step (`abort --to-step`) that are not those of its start: a share
/// stays on the new cluster, and nothing guards it.
pub fn keeps_share(state: &State) -> bool {
    let partial = state.rollback.as_ref().is_some_and(|rollback| rollback.to_step.is_some());
    state.finished == Some(RunOutcome::Aborted) && partial && desired_split::has_moved(state)
}

/// Returns the exit code of a run that ended with `exit`. With a share left on the new cluster, the traffic is not back
/// where it started, and a person is needed.
pub fn exit_with_share_left(exit: Exit, kept: bool) -> Exit {
    if kept && exit == Exit::RolledBack { Exit::Stuck } else { exit }
}

/// Returns the exit code for an ending.
pub fn exit_of(ending: &Ending) -> Exit {
    match ending {
        // A route does not have the intended shares, and the run can no longer write to it.
        Ending::Finished { left, .. } if !left.is_empty() => Exit::Stuck,
        // Weights are restored, but sticky clients stay on the new cluster: the operator must know.
        Ending::Finished { outcome: RunOutcome::RolledBack | RunOutcome::Aborted, remarks, .. }
            if !remarks.is_empty() =>
        {
            Exit::Stuck
        }
        Ending::Finished { outcome: RunOutcome::Completed, .. } => Exit::Done,
        Ending::Finished { outcome: RunOutcome::RolledBack | RunOutcome::Aborted, .. } => Exit::RolledBack,
        Ending::Stopped(StopReason::Waiting, _) => Exit::Waiting,
        Ending::Stopped(StopReason::Interrupted, _) => Exit::Interrupted,
        Ending::Stopped(StopReason::Drift, _) => Exit::Drift,
        Ending::Stopped(StopReason::Lock, _) => Exit::Locked,
        Ending::Stopped(StopReason::Stuck, _) => Exit::Stuck,
    }
}

/// Waits for the second request to stop. The first request asks the run to stop. `pauses` says whether the run is then
/// paused.
pub async fn second_stop(surface: &dyn Surface, interrupt: &Interrupt, pauses: bool) {
    let mut stops = surface.stop_requests();
    stops.next().await;
    interrupt.request(StopReason::Interrupted, "interrupted: no new batch was started");
    let left = if pauses { "the run is paused" } else { "run the same command again to continue" };
    surface.show(&format!("stopping: no new batch is started, {left} (^C again: exit at once)"));
    stops.next().await;
}

/// Waits for the next request to stop.
async fn wait_for_next_stop(surface: &dyn Surface) {
    surface.stop_requests().next().await;
}

/// Builds the failure of a run that could not continue. `moved` says whether the run may have written to a route.
pub fn engine_failure(error: EngineError, moved: bool) -> Failure {
    let exit = if moved { Exit::Stuck } else { Exit::Internal };
    Failure::new(exit, error)
}

/// Builds the failure of an existing run whose locks or marker could not be acquired. This process wrote nothing, but
/// the run may have moved traffic before.
pub fn resume_failure(error: OwnershipError, state: &State) -> Failure {
    let run = &state.run;
    let failure = ownership_failure(error, &format!("cutover rollback {run} --take-over"));
    if failure.exit == Exit::Locked {
        return failure;
    }
    if !desired_split::has_moved(state) {
        return failure
            .next("the run has not moved any traffic yet")
            .next(format!("to continue: cutover resume {run}"));
    }
    let failure = Failure { exit: Exit::Stuck, ..failure };
    failure
        .next("the traffic stays where the run left it, and no process guards it")
        .next(format!("to continue: cutover resume {run}"))
        .next(format!("to roll back: cutover rollback {run}"))
}

/// Builds the failure of a new run whose locks or marker could not be acquired.
pub fn start_failure(error: OwnershipError) -> Failure {
    ownership_failure(error, "cutover rollback --take-over")
}

/// Builds the failure of a run whose locks or marker could not be acquired. `back` is the command that rolls back
/// anyway.
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
        failure = failure.next(format!("to roll back anyway (this stops the process that drives the run): {back}"));
    }
    if stale {
        let tag = crate::engine::marker::KEY;
        failure = failure.next(format!("if that run no longer exists, remove the tag {tag} from the load balancer"));
    }
    failure
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixture;
    use crate::engine::MarkerError;

    #[test]
    fn marker_failure_exits_5_only_if_the_run_has_moved_traffic() {
        let error = || OwnershipError::Marker(MarkerError::Read("throttled".into()));
        assert_eq!(start_failure(error()).exit, Exit::Refused, "a run that did not start changed nothing");
        let mut state = fixture::state(fixture::started(4));
        assert_eq!(resume_failure(error(), &state).exit, Exit::Refused, "a run that moved no traffic exits 3");
        for route in state.routes.values_mut() {
            route.confirmed = fixture::forward(&[("webapp-a", 95), ("webapp-b", 5)]);
        }
        let failure = resume_failure(error(), &state);
        assert_eq!(failure.exit, Exit::Stuck);
        assert!(failure.to_string().contains("cutover rollback alpha-1"), "{failure}");
        let other = OwnershipError::Marker(MarkerError::Other("beta-1".into()));
        assert_eq!(resume_failure(other, &state).exit, Exit::Locked);
    }

    /// Regression test: the process of a run that another terminal ended with `abort --to-step` exited with 4, "traffic
    /// is back", while the new cluster kept a share that nothing guards.
    #[test]
    fn a_run_that_ended_with_a_share_left_needs_a_person() {
        use crate::domain::run::event::Trigger;
        let mut state = fixture::state(fixture::started(4));
        let start = |to_step| Event::RollbackStarted {
            cause: "aborted".into(),
            by: "bob@pc".into(),
            trigger: Trigger::Operator,
            to_step,
            force: false,
            break_stickiness: false,
            request: None,
        };
        state.apply(Timestamp::UNIX_EPOCH, &start(Some(2))).expect("a legal event");
        state.finished = Some(RunOutcome::Aborted);
        assert!(!keeps_share(&state), "the earlier step had no share for the new cluster");
        for route in state.routes.values_mut() {
            route.confirmed = fixture::forward(&[("webapp-a", 95), ("webapp-b", 5)]);
        }
        assert!(keeps_share(&state));
        state.rollback.as_mut().expect("a rollback").to_step = None;
        assert!(!keeps_share(&state), "a whole rollback that left something says so by its routes");
        assert_eq!(exit_with_share_left(Exit::RolledBack, true), Exit::Stuck);
        assert_eq!(exit_with_share_left(Exit::RolledBack, false), Exit::RolledBack);
        assert_eq!(exit_with_share_left(Exit::Interrupted, true), Exit::Interrupted);
    }
}
