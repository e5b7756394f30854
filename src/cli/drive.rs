//! Driving a run from here: `^C`, the audience, and what the ending means for the exit code.

use super::args::Global;
use super::audience::audience;
use super::exit::{Exit, Failure};
use super::term;
use crate::adapter::store::Request;
use crate::domain::event::{Outcome, Stop};
use crate::domain::state::State;
use crate::engine::hold::{Hold, HoldError};
use crate::engine::{Ending, EngineError, Interrupt, Ports, Run, Settings, Subject};
use crate::plan::model::Plan;

/// Settings for a run that this process drives.
pub fn settings(plan: &Plan, state: &State) -> Settings {
    let (owner, host) = super::owner::owner();
    Settings::new(owner, host, Subject::of(plan, state).size())
}

/// Drives a run to its ending. `^C` once leaves it paused; twice leaves it at once.
pub async fn drive(global: &Global, plan: &Plan, ports: Ports, settings: Settings, hold: Hold) -> Result<Exit, Failure> {
    begin(global, plan, ports, settings, hold, None).await
}

/// The same, beginning with what this process was asked for: a rollback, which must not depend on a request that is left and found again.
pub async fn begin(
    global: &Global,
    plan: &Plan,
    ports: Ports,
    settings: Settings,
    hold: Hold,
    request: Option<&Request>,
) -> Result<Exit, Failure> {
    let run_id = hold.run().to_owned();
    let interrupt = Interrupt::default();
    let mut listener = audience(global, plan);
    // It names everything that later records are about, and was journalled before there was anybody to tell.
    if let Some(started) = ports.store.read(&run_id).ok().and_then(|records| records.into_iter().next()) {
        listener.record(&started);
    }
    let mut run = Run::take(plan, ports, settings, hold, interrupt.clone(), &mut *listener).map_err(|e| engine(e, false))?;
    if let Some(request) = request {
        run.begin(request).map_err(|e| engine(e, true))?.map_err(|why| Failure::new(Exit::Usage, why))?;
    }
    let ending = tokio::select! {
        ending = run.drive() => Some(ending),
        () = twice(&interrupt) => None,
    };
    let moved = run.state().first_write.is_some() || run.state().step > run.state().started.from_step;
    drop(run);
    drop(listener);
    match ending {
        None => {
            term::complain(&format!(
                "left at once; nobody watches the traffic now. Go on: cutover resume {run_id}   Go back: cutover rollback {run_id}"
            ));
            Ok(Exit::Interrupted)
        }
        Some(Err(error)) => Err(engine(error, moved).next(format!("Go back: cutover rollback {run_id}"))),
        Some(Ok(ending)) => Ok(said(&run_id, &ending)),
    }
}

/// What an ending means, in words on stderr and as an exit code.
pub fn said(run: &str, ending: &Ending) -> Exit {
    match ending {
        Ending::Finished(outcome, remarks) => {
            for remark in remarks {
                term::complain(remark);
            }
            match outcome {
                // Weights are back, but cookies still lead to the new cluster: a person must know.
                Outcome::RolledBack if !remarks.is_empty() => Exit::Stuck,
                Outcome::Completed => Exit::Done,
                Outcome::RolledBack | Outcome::Aborted => Exit::RolledBack,
            }
        }
        Ending::Stopped(stop, message) => {
            term::complain(&format!("{message}\nGo on:   cutover resume {run}\nGo back: cutover rollback {run}"));
            left(*stop)
        }
    }
}

/// The exit code of a process that left its run.
pub fn left(stop: Stop) -> Exit {
    match stop {
        Stop::Paused | Stop::Waiting => Exit::Waiting,
        Stop::Interrupted => Exit::Interrupted,
        Stop::Drift => Exit::Drift,
        Stop::Lock => Exit::Locked,
        Stop::Stuck => Exit::Stuck,
    }
}

/// Returns at the second `^C`; the first raises the flag.
pub async fn twice(interrupt: &Interrupt) {
    let mut presses = 0;
    loop {
        if tokio::signal::ctrl_c().await.is_err() {
            return std::future::pending().await;
        }
        presses += 1;
        if presses > 1 {
            return;
        }
        interrupt.raise(Stop::Interrupted, "interrupted; no new batch was begun, and nobody watches the traffic now");
        term::complain("^C: no new batch; leaving the run paused (again: leave now)");
    }
}

/// A run that could not go on: nothing was written, or a person is needed.
pub fn engine(error: EngineError, moved: bool) -> Failure {
    let exit = if moved { Exit::Stuck } else { Exit::Internal };
    Failure::new(exit, error)
}

/// A run that could not be held.
pub fn held(error: HoldError) -> Failure {
    let exit = match &error {
        HoldError::Lock(crate::adapter::store::LockError::HeldBy(_)) | HoldError::Marker(crate::engine::MarkerError::Other(_)) => {
            Exit::Locked
        }
        HoldError::Marker(_) => Exit::Refused,
        HoldError::Lock(_) | HoldError::Store(_) => Exit::Internal,
    };
    let stale = matches!(error, HoldError::Marker(crate::engine::MarkerError::Other(_)));
    let mut failure = Failure::new(exit, error);
    if exit == Exit::Locked {
        failure = failure.next("to put the traffic back all the same (they are stopped): cutover rollback --take-over");
    }
    if stale {
        let tag = crate::engine::marker::KEY;
        failure = failure.next(format!("if nobody runs that any more, remove the tag {tag} from the load balancer"));
    }
    failure
}
