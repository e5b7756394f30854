//! What a scheduler's call does for a plan: begin its run, go on with it, or nothing. Safe to ask at any time, from anywhere, also twice at once.
//!
//! It decides nothing of a run: when there is only waiting left, [`decide`](crate::domain::decide) says.

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

/// What there is to do for a plan.
pub enum Due {
    /// Its run; those that it had before.
    Begin(Vec<RunSummary>),
    /// The rest of its unfinished run.
    GoOn(Box<Found>),
    /// Nothing: this run of it is over, and ended like this.
    Over(String, Exit),
}

/// A finished run of the same text is not done again, so that a scheduler that goes on calling does not begin a second one by itself.
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

/// How a run ended, unless it has not, or is being taken back.
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

/// Does what is due of an unfinished run, unless another process drives it.
pub async fn go_on(surface: &dyn Surface, found: &Found, store: Arc<dyn Store>, going: Going) -> Result<Exit, Failure> {
    let (plan, state) = (&found.plan, found.state()?);
    let (ports, settings) = taking(found, &state, store, going).await?;
    match hold::take(&ports, &settings, plan.marker, &found.run.id, &found.run.load_balancers, false).await {
        Ok(hold) => drive::drive(surface, plan, ports, settings, hold).await,
        Err(error) => elsewhere(surface, plan, &error).ok_or_else(|| drive::held_again(error, &state)),
    }
}

/// The run of the plan that somebody else has begun since `known` was read.
pub async fn just_begun<'a>(
    ports: &Ports,
    plan: &Plan,
    prepared: &'a Prepared,
    known: &[RunSummary],
) -> Option<&'a str> {
    let other = prepared.taken()?;
    ports.store.find(&plan.name).await.is_ok_and(|now| now.len() > known.len()).then_some(other)
}

/// Of two calls of a scheduler one begins the run, and the other has nothing to do.
///
/// # Errors
/// Any other reason why the run was not begun.
pub fn beaten(surface: &dyn Surface, plan: &Plan, error: NotBegun) -> Result<Exit, Failure> {
    match error {
        NotBegun::Unheld(error) => elsewhere(surface, plan, &error).ok_or_else(|| drive::held(error)),
        NotBegun::Refused(failure) => Err(failure),
    }
}

/// Where another call has this plan's run, or has just begun it, there is nothing to do; `None`: that is not why.
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

/// Says who drives a run.
pub fn in_hand(surface: &dyn Surface, holder: &Holder) -> Exit {
    let Holder { owner, host, pid, since, run } = holder;
    surface.say(&format!(
        "{owner} (process {pid} on {host}) has the run {run} in hand since {}",
        since.strftime("%F %T UTC")
    ));
    Exit::Waiting
}

/// Without `observeEvery` a pause would only count the time in which a call looks.
pub fn hint(surface: &dyn Surface, plan: &Plan, max_wait: Duration) {
    let longest = plan
        .strategy
        .steps
        .iter()
        .filter_map(|s| if let StepKind::Bake(time) = s.kind { Some(time) } else { None })
        .max();
    if plan.strategy.observe_every.is_none() && longest.is_some_and(|longest| longest > max_wait) {
        surface.say(
            "the plan has no `strategy.observeEvery`: its pauses count only the time in which a call looks (--max-wait), not the time between two calls",
        );
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::adapter::store::memory::Memory;
    use crate::domain::fixture;
    use crate::domain::run::event::{Outcome, Started};

    /// A store with a run of the plan that ended like this, and what there is to do.
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
        assert!(
            matches!(then(&plan, &changed, vec![over(Outcome::Completed, &[])]).await, Ok(Due::Begin(known)) if known.len() == 1)
        );
    }

    #[tokio::test]
    async fn an_unfinished_run_is_gone_on_with_unless_the_file_has_changed() {
        let text = std::fs::read_to_string("plans/canary.yaml").unwrap();
        let plan = crate::plan::lint("canary.yaml", text.as_bytes()).unwrap();
        assert!(matches!(then(&plan, &text, vec![]).await, Ok(Due::GoOn(_))));
        let back = Event::RollbackStarted {
            cause: String::new(),
            by: "bob".into(),
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
