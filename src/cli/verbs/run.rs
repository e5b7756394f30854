//! `cutover run`: the staged cutover, in the foreground.

use crate::cli::args::{Global, OnFreeze, Run, StepRef};
use crate::cli::exit::{Exit, Failure};
use crate::cli::prepare::{Prepared, calls, prepare};
use crate::cli::verbs::detach::{Taker, taker};
use crate::cli::verbs::step::elsewhere;
use crate::cli::{drive, find, owner, place, render, term, world};
use crate::domain::decide::Orders;
use crate::engine::marker::{self, KEY};
use crate::engine::{Ports, Settings, hold};
use crate::plan::model::{Plan, Shares};
use crate::port::store::{RunSummary, Store, run_id};

/// Runs the verb.
pub async fn run(global: &Global, args: &Run) -> Result<Exit, Failure> {
    let style = term::style_err(global.color);
    let plan = find::plan(&args.plan, style.color)?;
    let store = place::of(global, &plan).await?;
    let known = store.find(&plan.name).await.map_err(place::unusable)?;
    unfinished(&*store, &known).await?;
    let from_step = step(&plan, args.from_step.as_ref())?.unwrap_or(1);
    let until = step(&plan, args.until.as_ref())?;
    let taker = taker(global, args, &plan).await?;
    let ports = world::ports(&plan, store).await;
    let prepared = prepare(&plan, &ports, from_step).await;
    may_begin(global, &ports, &prepared, args.yes).await?;
    let start = baseline(&plan, from_step, args.baseline.clone())?;
    let beginning = Beginning { from_step, start, known: &known, taker };
    begin(global, &plan, ports, &prepared, beginning, |settings, things| Settings {
        orders: Orders { until, ..Orders::default() },
        leave_when_frozen: leaves(args.on_freeze),
        ..settings.spending(args.api_budget, things)
    })
    .await
}

/// Shows what a new run would do; refuses where the preflight or another run does, or a person who is asked.
pub(super) async fn may_begin(global: &Global, ports: &Ports, prepared: &Prepared, yes: bool) -> Result<(), Failure> {
    if let Some(other) = prepared.taken()
        && !marker::abandoned(&*ports.store, other).await
    {
        let failure = Failure::new(Exit::Locked, format!("this load balancer is being moved by another run: {other}"));
        return Err(
            failure.next(format!("what is live: cutover status --load-balancer NAME; a marker that nobody owns any more is the tag {KEY}"))
        );
    }
    term::complain(&render::check::text(&prepared.report, &term::style_err(global.color)));
    if let Some(refusal) = prepared.refusal() {
        return Err(refusal);
    }
    if !yes && !term::confirm("Begin?").map_err(|e| Failure::new(Exit::Usage, e))? {
        return Err(Failure::new(Exit::Usage, "not begun; nothing was touched"));
    }
    Ok(())
}

/// How a run begins.
pub(super) struct Beginning<'a> {
    /// Its first step, from 1.
    pub from_step: usize,
    /// Where a rollback goes, where that is not what each route has now.
    pub start: Option<Shares>,
    /// The runs of the plan that there were when it was decided to begin another one.
    pub known: &'a [RunSummary],
    /// Who goes on with it, where not this process.
    pub taker: Option<Taker<'a>>,
}

/// Begins the run and drives it.
pub(super) async fn begin(
    global: &Global,
    plan: &Plan,
    ports: Ports,
    prepared: &Prepared,
    beginning: Beginning<'_>,
    adjust: impl FnOnce(Settings, usize) -> Settings,
) -> Result<Exit, Failure> {
    let Beginning { from_step, start, known, taker } = beginning;
    let (owner, host) = owner::owner();
    let started = prepared.started(plan, &owner, from_step, start)?;
    let things = calls(started.groups.len(), started.routes.len(), started.load_balancers.len());
    let settings = adjust(Settings::new(owner, host, things).spending(plan.api_budget, things), things);
    term::complain(&drive::often(&settings, things));
    let run = run_id(&plan.name, ports.clock.now(), &mut fastrand::Rng::new());
    let hold = match hold::begin_where(&ports, &settings, plan.marker, &run, started, Some(known)).await {
        // Of two calls of a scheduler one goes on, and the other has nothing to do.
        Err(error) if settings.orders.leave.is_some() => return elsewhere(plan, &error).ok_or_else(|| drive::held(error)),
        held => held.map_err(drive::held)?,
    };
    if let Some(script) = hold.script() {
        term::complain(&format!("without this program, everything goes back with: {script}"));
    }
    match taker {
        Some(taker) => taker.take(global, hold).await,
        None => drive::drive(global, plan, ports, settings, hold).await,
    }
}

/// A frozen run is guarded for as long as somebody may be looking.
pub fn leaves(on_freeze: Option<OnFreeze>) -> bool {
    on_freeze.map_or_else(|| !term::stderr(), |choice| choice == OnFreeze::Exit)
}

/// The number of a step that the command line names.
pub fn step(plan: &Plan, reference: Option<&StepRef>) -> Result<Option<usize>, Failure> {
    let Some(reference) = reference else { return Ok(None) };
    let steps = &plan.strategy.steps;
    let found = reference.find(steps);
    let names = || steps.iter().filter_map(|s| s.name.as_deref()).collect::<Vec<_>>().join(", ");
    found.map(Some).ok_or_else(|| {
        Failure::new(Exit::Usage, format!("no step {reference}: the plan has 1 to {}, and the names {}", steps.len(), names()))
    })
}

/// Where a rollback goes: what each route has now, or for a run that begins in the middle, all on `from` unless said otherwise.
fn baseline(plan: &Plan, from_step: usize, given: Option<Shares>) -> Result<Option<Shares>, Failure> {
    let whole = |cluster: &str| plan.clusters.iter().map(|c| (c.name.clone(), if c.name == cluster { 100 } else { 0 })).collect();
    let Some(mut shares) = given else { return Ok((from_step > 1).then(|| whole(&plan.strategy.from))) };
    if let Some(unknown) = shares.keys().find(|name| plan.clusters.iter().all(|c| c.name != **name)) {
        return Err(Failure::new(Exit::Usage, format!("--baseline names `{unknown}`, which is no cluster of the plan")));
    }
    for cluster in &plan.clusters {
        shares.entry(cluster.name.clone()).or_insert(0);
    }
    Ok(Some(shares))
}

/// `run` refuses while a run of that plan is unfinished.
async fn unfinished(store: &dyn Store, runs: &[RunSummary]) -> Result<(), Failure> {
    let Some(open) = runs.iter().find(|r| r.finished.is_none()) else { return Ok(()) };
    let (exit, who) = match store.holder(&open.id).await {
        Some(h) => (
            Exit::Locked,
            format!("and {} (process {} on {}) has it in hand since {}", h.owner, h.pid, h.host, h.since.strftime("%F %T UTC")),
        ),
        None => (Exit::Refused, "and nobody has it in hand".into()),
    };
    let failure = Failure::new(exit, format!("the run {} of this plan is unfinished, {who}; nothing was touched", open.id));
    Err(failure
        .next(format!("see it: cutover status {}", open.id))
        .next(format!("go on: cutover resume {}", open.id))
        .next(format!("go back: cutover rollback {}", open.id)))
}
