//! Determines what a scheduler's call does for a plan: start its run, continue it, or nothing. It is safe to call at
//! any time, from anywhere, also twice at once.
//!
//! It takes no decisions within a run: [`decide`](crate::domain::decide) says when only waiting is left.

use std::sync::Arc;
use std::time::Duration;

use super::begin::NotBegun;
use super::drive;
use super::exit::{Exit, Failure, unusable};
use super::find::{self, Found};
use super::prepare::Prepared;
use super::steer::{Going, taking};
use super::surface::Surface;
use crate::domain::run::event::{Event, Record};
use crate::engine::hold::{self, HoldError};
use crate::engine::{Ending, Ports};
use crate::plan::model::{Plan, StepKind};
use crate::port::store::{Holder, LockError, RunSummary, Store, is_of};

/// What a call must do for a plan.
pub enum Due {
    /// Start a run. Contains the plan's earlier runs.
    Begin(Vec<RunSummary>),
    /// Continue the unfinished run.
    GoOn(Box<Found>),
    /// Nothing: this run is finished, with this exit code.
    Over(String, Exit),
}

/// Determines what is due for a plan. A finished run of the same plan text is not repeated, so that a scheduler that
/// keeps calling does not start a second run.
pub async fn due(store: &dyn Store, plan: &Plan) -> Result<Due, Failure> {
    let runs = store.find(&plan.name).await.map_err(unusable)?;
    let Some(newest) = runs.iter().find(|r| r.finished.is_none()).or(runs.first()) else { return Ok(Due::Begin(runs)) };
    let found = find::open(store, newest.clone()).await?;
    match over(&found.records) {
        None if found.plan.hash != plan.hash => Err(find::changed(&found.plan, plan)),
        None => Ok(Due::GoOn(Box::new(found))),
        Some(exit) if found.plan.hash == plan.hash => Ok(Due::Over(found.run.id, exit)),
        Some(_) => Ok(Due::Begin(runs)),
    }
}

/// The exit code of a finished run; `None` if it is unfinished or is being rolled back.
pub fn over(records: &[Record]) -> Option<Exit> {
    let last = records.iter().rev().find(|r| {
        matches!(r.event, Event::Finished { .. } | Event::RollbackStarted { .. } | Event::RampStarted { .. })
    })?;
    match &last.event {
        Event::Finished { outcome, remarks, left } => Some(drive::exit(&Ending::Finished {
            outcome: *outcome,
            remarks: remarks.clone(),
            left: left.clone(),
            tags: Vec::new(),
        })),
        _ => None,
    }
}

/// Continues an unfinished run, unless another process is driving it.
pub async fn go_on(surface: &dyn Surface, found: &Found, store: Arc<dyn Store>, going: Going) -> Result<Exit, Failure> {
    let (plan, state) = (&found.plan, found.state()?);
    let (ports, settings) = taking(found, &state, store, going).await?;
    match hold::take(&ports, &settings, plan.marker, &found.run.id, &found.run.load_balancers, false).await {
        Ok(hold) => drive::Drive::new(plan, ports, settings, hold).run(surface).await,
        Err(error) => elsewhere(surface, plan, &error).ok_or_else(|| drive::held_again(error, &state)),
    }
}

/// The marker of a run of the plan that another call has started since `known` was read.
pub async fn just_begun<'a>(
    ports: &Ports,
    plan: &Plan,
    prepared: &'a Prepared,
    known: &[RunSummary],
) -> Option<&'a str> {
    let other = prepared.taken()?;
    ports.store.find(&plan.name).await.is_ok_and(|now| now.len() > known.len()).then_some(other)
}

/// The result of a call that lost the race to start a run: another call starts it, so there is nothing to do.
///
/// # Errors
/// Any other reason why the run was not started.
pub fn beaten(surface: &dyn Surface, plan: &Plan, error: NotBegun) -> Result<Exit, Failure> {
    match error {
        NotBegun::Unheld(error) => elsewhere(surface, plan, &error).ok_or_else(|| drive::held(error)),
        NotBegun::Refused(failure) => Err(failure),
    }
}

/// Exit 8 if another call is driving this plan's run or has just started it; `None` for any other error.
fn elsewhere(surface: &dyn Surface, plan: &Plan, error: &HoldError) -> Option<Exit> {
    match error {
        HoldError::Lock(LockError::HeldBy(holder)) if is_of(&holder.run, &plan.name) => Some(in_hand(surface, holder)),
        HoldError::Begun(_) => {
            surface.say(&error.to_string());
            Some(Exit::Waiting)
        }
        _ => None,
    }
}

/// Reports which process is driving a run.
pub fn in_hand(surface: &dyn Surface, holder: &Holder) -> Exit {
    let Holder { owner, host, pid, since, run } = holder;
    surface.say(&format!(
        "{owner} (process {pid} on {host}) has been driving the run {run} since {}",
        since.strftime("%F %T UTC")
    ));
    Exit::Waiting
}

/// Warns if a bake takes longer than a call: without `observeEvery`, only the time during calls counts.
pub fn hint(surface: &dyn Surface, plan: &Plan, max_wait: Duration) {
    let longest = plan
        .strategy
        .steps
        .iter()
        .filter_map(|s| if let StepKind::Bake(time) = s.kind { Some(time) } else { None })
        .max();
    if plan.strategy.observe_every.is_none() && longest.is_some_and(|longest| longest > max_wait) {
        surface.say(
            "the plan has no `strategy.observeEvery`: its pauses count only the time during a call (--max-wait), \
             not the time between two calls",
        );
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::adapter::store::memory::Memory;
    use crate::domain::fixture;
    use crate::domain::run::event::{Outcome, Started, Trigger};

    /// What is due in a store with a run of the plan that ended like this.
    async fn then(plan: &Plan, begun: &str, end: Vec<Event>) -> Result<Due, Failure> {
        let store = Memory::new();
        store.create("alpha-1").await.unwrap();
        let started = Started { text: begun.into(), hash: String::new(), ..fixture::started(4) };
        let events =
            std::iter::once(Event::Started(Box::new(Started { plan: plan.name.clone(), ..started }))).chain(end);
        for event in events {
            store.append("alpha-1", Timestamp::UNIX_EPOCH, &event).await.unwrap();
        }
        due(&store, plan).await
    }

    fn over(outcome: Outcome, left: &[&str]) -> Event {
        Event::Finished { outcome, remarks: vec![], left: left.iter().map(|&l| l.to_owned()).collect() }
    }

    #[tokio::test]
    async fn a_run_that_is_over_is_never_begun_again_by_itself() {
        let text = std::fs::read_to_string("plans/canary.yaml").unwrap();
        let plan = crate::plan::lint("canary.yaml", text.as_bytes()).unwrap();
        let ends = [
            (Outcome::Completed, Exit::Done),
            (Outcome::RolledBack, Exit::RolledBack),
            (Outcome::Aborted, Exit::RolledBack),
        ];
        for (outcome, exit) in ends {
            assert!(
                matches!(then(&plan, &text, vec![over(outcome, &[])]).await, Ok(Due::Over(_, e)) if e == exit),
                "{outcome:?}"
            );
        }
        let stuck = then(&plan, &text, vec![over(Outcome::RolledBack, &["443 rule 15"])]).await;
        assert!(matches!(stuck, Ok(Due::Over(_, Exit::Stuck))));
        let changed = format!("{text}# once more\n");
        assert!(matches!(
            then(&plan, &changed, vec![over(Outcome::Completed, &[])]).await,
            Ok(Due::Begin(known)) if known.len() == 1
        ));
    }

    #[tokio::test]
    async fn an_unfinished_run_is_gone_on_with_unless_the_file_has_changed() {
        let text = std::fs::read_to_string("plans/canary.yaml").unwrap();
        let plan = crate::plan::lint("canary.yaml", text.as_bytes()).unwrap();
        assert!(matches!(then(&plan, &text, vec![]).await, Ok(Due::GoOn(_))));
        let back = Event::RollbackStarted {
            cause: String::new(),
            by: "bob".into(),
            trigger: Trigger::Operator,
            to_step: None,
            force: false,
            request: None,
        };
        assert!(
            matches!(then(&plan, &text, vec![over(Outcome::Completed, &[]), back]).await, Ok(Due::GoOn(_))),
            "it is being taken back"
        );
        let failure = then(&plan, &format!("{text}# changed\n"), vec![]).await.err().expect("refused");
        assert_eq!(failure.exit, Exit::Usage);
    }
}
