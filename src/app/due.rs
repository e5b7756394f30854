//! Determines what one call of `cutover step` does for a plan: start the run, continue the run, or nothing. The call is
//! safe at any time, on any machine, and also while another call is running.
//!
//! Do not decide here what a run does: [`decide`](crate::domain::decide) says when the run only waits.

use std::sync::Arc;
use std::time::Duration;

use super::drive;
use super::exit::{Exit, Failure, store_failure};
use super::find::{self, StoredRun};
use super::prepare::Preparation;
use super::start::StartError;
use super::steer::{DriveOptions, connect_to_run};
use super::surface::Surface;
use crate::domain::run::event::{Event, Record};
use crate::domain::run::state::State;
use crate::engine::ownership::{self, OwnershipError};
use crate::engine::{Ending, Ports};
use crate::plan::model::{Plan, StepKind};
use crate::port::store::{LockError, LockOwner, RunSummary, Store, is_run_of};

/// The action of one call of `cutover step` for a plan.
pub enum Due {
    /// Start a run. The value contains the plan's earlier runs.
    Start(Vec<RunSummary>),
    /// Continue the unfinished run.
    Continue(Box<StoredRun>),
    /// Do nothing: the run with this id is finished and has this exit code.
    Finished(String, Exit),
}

/// Determines what is due for a plan. A finished run of the same plan text is not repeated, so that repeated calls of a
/// scheduler do not start a second run.
pub async fn due(store: &dyn Store, plan: &Plan) -> Result<Due, Failure> {
    let runs = store.find(&plan.name).await.map_err(store_failure)?;
    let Some(newest) = runs.iter().find(|r| r.finished.is_none()).or(runs.first()) else { return Ok(Due::Start(runs)) };
    let found = find::open(store, newest.clone()).await?;
    match exit_of_finished(&found.records) {
        None if found.plan.hash != plan.hash => Err(find::changed_plan(&found.plan, plan)),
        None => Ok(Due::Continue(Box::new(found))),
        Some(exit) if found.plan.hash == plan.hash => Ok(Due::Finished(found.run.id, exit)),
        Some(_) => Ok(Due::Start(runs)),
    }
}

/// Returns the exit code of a finished run; `None` if the run is unfinished or is being rolled back.
pub fn exit_of_finished(records: &[Record]) -> Option<Exit> {
    let last = records.iter().rev().find(|r| {
        matches!(r.event, Event::Finished { .. } | Event::RollbackStarted { .. } | Event::RampStarted { .. })
    })?;
    let Event::Finished { outcome, remarks, unresolved: left, accepted, notes: _ } = &last.event else { return None };
    let exit = drive::exit_of(&Ending::Finished {
        outcome: *outcome,
        remarks: remarks.clone(),
        left: left.clone(),
        accepted: accepted.clone(),
        tags: Vec::new(),
    });
    let kept = State::fold(records).ok().flatten().is_some_and(|state| drive::keeps_share(&state));
    Some(drive::exit_with_share_left(exit, kept))
}

/// Continues an unfinished run, unless another process is driving it.
pub async fn continue_run(
    surface: &dyn Surface,
    found: &StoredRun,
    store: Arc<dyn Store>,
    going: DriveOptions,
) -> Result<Exit, Failure> {
    let (plan, state) = (&found.plan, found.state()?);
    let (ports, settings) = connect_to_run(found, &state, store, going).await?;
    match ownership::acquire(&ports, &settings, plan.marker, &found.run.id, &found.run.load_balancers, false).await {
        Ok(ownership) => drive::Drive::new(plan, ports, settings, ownership).run(surface).await,
        Err(error) => {
            exit_if_driven_elsewhere(surface, plan, &error).ok_or_else(|| drive::resume_failure(error, &state))
        }
    }
}

/// Returns the marker of the plan's run if another call has started that run since `known` was read.
pub async fn started_by_other<'a>(
    ports: &Ports,
    plan: &Plan,
    prepared: &'a Preparation,
    known: &[RunSummary],
) -> Option<&'a str> {
    let other = prepared.other_marker()?;
    ports.store.find(&plan.name).await.is_ok_and(|now| now.len() > known.len()).then_some(other)
}

/// Reports a lost race to start a run. Another call starts the run, so this call has nothing to do.
///
/// # Errors
/// Returns any other reason why the run was not started.
pub fn lost_race(surface: &dyn Surface, plan: &Plan, error: StartError) -> Result<Exit, Failure> {
    match error {
        StartError::NotOwned(error) => {
            exit_if_driven_elsewhere(surface, plan, &error).ok_or_else(|| drive::start_failure(error))
        }
        StartError::Refused(failure) => Err(failure),
    }
}

/// Returns exit code 8 if another call is driving this plan's run or has just started it; `None` for any other error.
fn exit_if_driven_elsewhere(surface: &dyn Surface, plan: &Plan, error: &OwnershipError) -> Option<Exit> {
    match error {
        OwnershipError::Lock(LockError::HeldBy(holder)) if is_run_of(&holder.run, &plan.name) => {
            Some(report_driver(surface, holder))
        }
        OwnershipError::AlreadyStarted(_) => {
            surface.show(&error.to_string());
            Some(Exit::Waiting)
        }
        _ => None,
    }
}

/// Reports which process is driving a run.
pub fn report_driver(surface: &dyn Surface, holder: &LockOwner) -> Exit {
    let LockOwner { owner, host, pid, since, run } = holder;
    surface.show(&format!(
        "{owner} (process {pid} on {host}) has been driving the run {run} since {}",
        since.strftime("%F %T UTC")
    ));
    Exit::Waiting
}

/// Warns if a bake takes longer than a call. Without `observeEvery`, only the time during calls counts.
pub fn warn_about_pauses(surface: &dyn Surface, plan: &Plan, max_wait: Duration) {
    let longest = plan
        .strategy
        .steps
        .iter()
        .filter_map(|s| if let StepKind::Bake(time) = s.kind { Some(time) } else { None })
        .max();
    if plan.strategy.observe_every.is_none() && longest.is_some_and(|longest| longest > max_wait) {
        surface.show(
            "the plan has no `strategy.observeEvery`: pauses count only the time during a call (--max-wait), \
             not the time between two calls",
        );
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::adapter::store::memory::MemoryStore;
    use crate::domain::fixture;
    use crate::domain::run::event::{RunOutcome, Started, Trigger};

    /// Determines what is due in a store with one run of the plan that ended with these events.
    async fn due_after(plan: &Plan, plan_text: &str, end: Vec<Event>) -> Result<Due, Failure> {
        let store = MemoryStore::new();
        store.create("alpha-1").await.unwrap();
        let started = Started { text: plan_text.into(), hash: String::new(), ..fixture::started(4) };
        let events =
            std::iter::once(Event::Started(Box::new(Started { plan: plan.name.clone(), ..started }))).chain(end);
        for event in events {
            store.append("alpha-1", Timestamp::UNIX_EPOCH, &event).await.unwrap();
        }
        due(&store, plan).await
    }

    fn finished(outcome: RunOutcome, left: &[&str]) -> Event {
        Event::Finished {
            outcome,
            remarks: vec![],
            unresolved: left.iter().map(|&l| l.to_owned()).collect(),
            accepted: vec![],
            notes: Vec::new(),
        }
    }

    #[tokio::test]
    async fn finished_run_is_repeated_only_after_its_plan_changes() {
        let text = std::fs::read_to_string("plans/canary.yaml").unwrap();
        let plan = crate::plan::lint("canary.yaml", text.as_bytes()).unwrap();
        let ends = [
            (RunOutcome::Completed, Exit::Done),
            (RunOutcome::RolledBack, Exit::RolledBack),
            (RunOutcome::Aborted, Exit::RolledBack),
        ];
        for (outcome, exit) in ends {
            let due = due_after(&plan, &text, vec![finished(outcome, &[])]).await;
            assert!(matches!(due, Ok(Due::Finished(_, e)) if e == exit), "{outcome:?}");
        }
        let stuck = due_after(&plan, &text, vec![finished(RunOutcome::RolledBack, &["443 rule 15"])]).await;
        assert!(matches!(stuck, Ok(Due::Finished(_, Exit::Stuck))));
        let changed = format!("{text}# once more\n");
        assert!(matches!(
            due_after(&plan, &changed, vec![finished(RunOutcome::Completed, &[])]).await,
            Ok(Due::Start(known)) if known.len() == 1
        ));
    }

    #[tokio::test]
    async fn unfinished_run_continues_unless_its_plan_file_has_changed() {
        let text = std::fs::read_to_string("plans/canary.yaml").unwrap();
        let plan = crate::plan::lint("canary.yaml", text.as_bytes()).unwrap();
        assert!(matches!(due_after(&plan, &text, vec![]).await, Ok(Due::Continue(_))));
        let back = Event::RollbackStarted {
            cause: String::new(),
            by: "bob".into(),
            trigger: Trigger::Operator,
            to_step: None,
            force: false,
            break_stickiness: false,
            request: None,
        };
        assert!(
            matches!(
                due_after(&plan, &text, vec![finished(RunOutcome::Completed, &[]), back]).await,
                Ok(Due::Continue(_))
            ),
            "a run that is being rolled back must be continued"
        );
        let failure = due_after(&plan, &format!("{text}# changed\n"), vec![])
            .await
            .err()
            .expect("a changed plan file must be refused");
        assert_eq!(failure.exit, Exit::Usage);
    }
}
