//! `cutover step`: do what is due now, then leave. For schedulers: safe to call at any time, from anywhere, also twice at once.
//!
//! It decides nothing: what is due, and when there is only waiting left, [`decide`](crate::domain::decide) says, as to `run` and `resume`.

use std::path::Path;
use std::sync::Arc;

use crate::base::time::later;
use crate::cli::args::{Global, Step};
use crate::cli::exit::{Exit, Failure};
use crate::cli::find::Found;
use crate::cli::prepare::prepare;
use crate::cli::verbs::run::{Beginning, begin, may_begin};
use crate::cli::verbs::steer::state;
use crate::cli::{drive, find, identity, place, term, world};
use crate::domain::decide::Orders;
use crate::domain::run::event::{Event, Record};
use crate::engine::hold::{self, HoldError};
use crate::engine::{Ending, Ports, Settings, Subject};
use crate::plan::model::{Plan, StepKind};
use crate::port::store::{Holder, LockError, RunSummary, Store, is_of};

/// Runs the verb.
pub async fn run(global: &Global, args: &Step) -> Result<Exit, Failure> {
    if is_run(&args.plan) && !Path::new(&args.plan).exists() {
        return of_run(global, args).await;
    }
    let plan = find::plan(&args.plan, term::style_err(global.color).color)?;
    let store = place::of(global, &plan).await?;
    match due(&*store, &plan).await? {
        Due::Begin(known) => {
            if let Some(last) = known.first() {
                term::complain(&format!("{} has changed since the run {} of it, which is over: a new one begins", plan.source, last.id));
            }
            let ports = world::ports(&plan, store).await;
            first(global, args, &plan, ports, &known).await
        }
        Due::GoOn(found) => go_on(global, args, &found, store).await,
        Due::Over(run, exit) => {
            term::complain(&format!("the run {run} of this plan is over: {}; nothing to do", exit.meaning()));
            term::complain("to do the plan once more: cutover run; or change the file, its text is what tells two plans apart");
            Ok(exit)
        }
    }
}

/// The same for a run that was begun: a call of this never begins one.
async fn of_run(global: &Global, args: &Step) -> Result<Exit, Failure> {
    let store = place::named(global, Some(&args.plan)).await?;
    let found = find::run(&*store, Some(&args.plan), term::style_err(global.color).color).await?;
    let Some(ending) = ended(&found.records) else { return go_on(global, args, &found, store).await };
    let exit = drive::exit(&ending);
    term::complain(&format!("the run {} is over: {}; nothing to do", found.run.id, exit.meaning()));
    Ok(exit)
}

/// Whether this is a run's id rather than a file's name.
fn is_run(text: &str) -> bool {
    let plan = text.rsplitn(4, '-').nth(3);
    plan.is_some_and(|plan| is_of(text, plan))
}

async fn go_on(global: &Global, args: &Step, found: &Found, store: Arc<dyn Store>) -> Result<Exit, Failure> {
    match store.holder(&found.run.id).await {
        Some(holder) => Ok(in_hand(&holder)),
        None => next(global, args, found, store).await,
    }
}

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
    let runs = store.find(&plan.name).await.map_err(place::unusable)?;
    let Some(newest) = runs.iter().find(|r| r.finished.is_none()).or(runs.first()) else { return Ok(Due::Begin(runs)) };
    let found = find::open(store, newest.clone()).await?;
    match ended(&found.records) {
        None if found.plan.hash != plan.hash => Err(find::changed(&found.plan, plan)),
        None => Ok(Due::GoOn(Box::new(found))),
        Some(ending) if found.plan.hash == plan.hash => {
            let exit = drive::exit(&ending);
            Ok(Due::Over(found.run.id, exit))
        }
        Some(_) => Ok(Due::Begin(runs)),
    }
}

/// How a run ended, unless it has not, or is being taken back.
fn ended(records: &[Record]) -> Option<Ending> {
    let last = records
        .iter()
        .rev()
        .find(|r| matches!(r.event, Event::Finished { .. } | Event::RollbackStarted { .. } | Event::RampStarted { .. }))?;
    match &last.event {
        Event::Finished { outcome, remarks, left } => {
            Some(Ending::Finished { outcome: *outcome, remarks: remarks.clone(), left: left.clone() })
        }
        _ => None,
    }
}

/// Begins the plan's run, and does what is due of it.
async fn first(global: &Global, args: &Step, plan: &Plan, ports: Ports, known: &[RunSummary]) -> Result<Exit, Failure> {
    let orders = orders(args, &ports);
    let prepared = prepare(plan, &ports, 1).await;
    if let Some(other) = prepared.taken()
        && ports.store.find(&plan.name).await.is_ok_and(|now| now.len() > known.len())
    {
        term::complain(&format!("a run of this plan was begun by somebody else a moment ago: {other}"));
        return Ok(Exit::Waiting);
    }
    may_begin(global, &ports, &prepared, args.yes).await?;
    hint(plan, args);
    let beginning = Beginning { from_step: 1, start: None, known, taker: None };
    begin(global, plan, ports, &prepared, beginning, |settings, things| Settings { orders, ..settings.spending(args.api_budget, things) })
        .await
}

/// Takes the unfinished run in hand, and does what is due of it.
async fn next(global: &Global, args: &Step, found: &Found, store: Arc<dyn Store>) -> Result<Exit, Failure> {
    if !args.yes && !term::confirm(&format!("Go on with the run {}?", found.run.id)).map_err(|e| Failure::new(Exit::Usage, e))? {
        return Err(Failure::new(Exit::Usage, "nothing was changed"));
    }
    let (plan, state) = (&found.plan, state(found)?);
    let ports = world::ports(plan, store).await;
    identity::account(plan, &ports).await?;
    let orders = orders(args, &ports);
    let settings = drive::settings(plan, &state).spending(args.api_budget, Subject::of(plan, &state).size());
    let settings = Settings { orders, ..settings };
    let hold = hold::take(&ports, &settings, plan.marker, &found.run.id, &found.run.load_balancers, false).await;
    match hold {
        Ok(hold) => drive::drive(global, plan, ports, settings, hold).await,
        Err(error) => elsewhere(plan, &error).ok_or_else(|| drive::held_again(error, &state)),
    }
}

fn orders(args: &Step, ports: &Ports) -> Orders {
    Orders { until: None, leave: Some(later(ports.clock.now(), args.max_wait)) }
}

/// Without `observeEvery` a pause would only count the time in which a call looks.
fn hint(plan: &Plan, args: &Step) {
    let longest = plan.strategy.steps.iter().filter_map(|s| if let StepKind::Bake(time) = s.kind { Some(time) } else { None }).max();
    if plan.strategy.observe_every.is_none() && longest.is_some_and(|longest| longest > args.max_wait) {
        term::complain(
            "the plan has no `strategy.observeEvery`: its pauses count only the time in which a call looks (--max-wait), not the time between two calls",
        );
    }
}

/// Where another call has this plan's run, or has just begun it, there is nothing to do; `None`: that is not why.
pub(super) fn elsewhere(plan: &Plan, error: &HoldError) -> Option<Exit> {
    match error {
        HoldError::Lock(LockError::HeldBy(holder)) if is_of(&holder.run, &plan.name) => Some(in_hand(holder)),
        HoldError::Begun(_) => {
            term::complain(&error.to_string());
            Some(Exit::Waiting)
        }
        _ => None,
    }
}

fn in_hand(holder: &Holder) -> Exit {
    let Holder { owner, host, pid, since, run } = holder;
    term::complain(&format!("{owner} (process {pid} on {host}) has the run {run} in hand since {}", since.strftime("%F %T UTC")));
    Exit::Waiting
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
        let events = std::iter::once(Event::Started(Box::new(Started { plan: plan.name.clone(), ..started }))).chain(end);
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
        let plan = crate::plan::parse("canary.yaml", text.as_bytes()).unwrap();
        let ends = [(Outcome::Completed, Exit::Done), (Outcome::RolledBack, Exit::RolledBack), (Outcome::Aborted, Exit::RolledBack)];
        for (outcome, exit) in ends {
            assert!(matches!(then(&plan, &text, vec![over(outcome, &[])]).await, Ok(Due::Over(_, e)) if e == exit), "{outcome:?}");
        }
        let stuck = then(&plan, &text, vec![over(Outcome::RolledBack, &["443 rule 15"])]).await;
        assert!(matches!(stuck, Ok(Due::Over(_, Exit::Stuck))));
        let changed = format!("{text}# once more\n");
        assert!(matches!(then(&plan, &changed, vec![over(Outcome::Completed, &[])]).await, Ok(Due::Begin(known)) if known.len() == 1));
    }

    #[tokio::test]
    async fn an_unfinished_run_is_gone_on_with_unless_the_file_has_changed() {
        let text = std::fs::read_to_string("plans/canary.yaml").unwrap();
        let plan = crate::plan::parse("canary.yaml", text.as_bytes()).unwrap();
        assert!(matches!(then(&plan, &text, vec![]).await, Ok(Due::GoOn(_))));
        let back = Event::RollbackStarted { cause: String::new(), by: "bob".into(), to_step: None, force: false, request: None };
        assert!(matches!(then(&plan, &text, vec![over(Outcome::Completed, &[]), back]).await, Ok(Due::GoOn(_))), "it is being taken back");
        let failure = then(&plan, &format!("{text}# changed\n"), vec![]).await.err().expect("refused");
        assert_eq!(failure.exit, Exit::Usage);
    }
}
