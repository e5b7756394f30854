//! Starts a run: checks that no other run prevents it, determines its first step and its baseline, and acquires its
//! locks and marker. The preflight is in [`super::prepare`].

use std::time::Duration;

use super::drive::{observation_text, start_failure};
use super::exit::{Exit, Failure};
use super::names::balancer;
use super::prepare::{Preparation, describe_calls};
use super::steer::DriveOptions;
use super::surface::Surface;
use super::view::PUT_BACK;
use super::{find, live, owner};
use crate::base::duration::format_exact;
use crate::domain::emergency::script;
use crate::engine::marker::{self, KEY};
use crate::engine::ownership::{self, Ownership, OwnershipError};
use crate::engine::{Ports, Settings};
use crate::plan::model::{Plan, Shares};
use crate::port::store::{RunSummary, Store, run_id};

/// The delay from which the start of a run tells the operator that the tags with the original weights take time.
const SHOWN_TAGGING_TIME: Duration = Duration::from_secs(10);

/// An unfinished run that prevents the start of another run of its plan.
pub struct UnfinishedRun {
    /// The exit code: 6 if a process is driving the run, else 3.
    pub exit: Exit,
    /// The text that names the unfinished run and the process that drives it.
    pub message: String,
    /// The next steps of the operator, one line each.
    pub next: Vec<String>,
}

/// Returns the unfinished run among the `runs` of a plan.
pub async fn unfinished(store: &dyn Store, runs: &[RunSummary]) -> Option<UnfinishedRun> {
    let open = runs.iter().find(|r| r.finished.is_none())?;
    let id = &open.id;
    let status = format!("to show the run: cutover status {id}");
    let put_back = match find::open(store, open.clone()).await {
        Ok(found) => live::put_back_by_other(&found).await,
        Err(_) => false,
    };
    let next = if put_back {
        vec![PUT_BACK.to_owned(), format!("to end the run (no share changes): cutover rollback {id}"), status]
    } else {
        vec![status, continue_command(id), rollback_command(id)]
    };
    if let Some(h) = store.lock_owner(id).await {
        let who = format!("{} (process {} on {})", h.owner, h.pid, h.host);
        let since = h.since.strftime("%F %T UTC");
        return Some(UnfinishedRun {
            exit: Exit::Locked,
            message: format!(
                "the run {id} of this plan is unfinished, and {who} has been driving the run since {since}"
            ),
            next,
        });
    }
    let message = format!("the run {id} of this plan is unfinished, and no process is driving the run");
    Some(UnfinishedRun { exit: Exit::Refused, message, next })
}

fn continue_command(run: &str) -> String {
    format!("to continue the run: cutover resume {run}")
}

fn rollback_command(run: &str) -> String {
    format!("to roll the run back: cutover rollback {run}")
}

/// Refuses to start while a run of the plan is unfinished. `runs` are the runs of the plan.
///
/// # Errors
/// Returns exit code 6 if a process is driving that run, else 3.
pub async fn refuse_unfinished(store: &dyn Store, runs: &[RunSummary]) -> Result<(), Failure> {
    let Some(UnfinishedRun { exit, message, next }) = unfinished(store, runs).await else { return Ok(()) };
    Err(next.into_iter().fold(Failure::new(exit, format!("{message}; nothing was changed")), Failure::next))
}

/// Refuses to start if another run's marker is on one of the load balancers.
///
/// # Errors
/// Returns exit code 6.
pub async fn refuse_other_owner(ports: &Ports, prepared: &Preparation) -> Result<(), Failure> {
    match prepared.marked_balancer() {
        Some((arn, other)) if !marker::is_unstarted_or_finished(&*ports.store, other).await => {
            let balancer = balancer(arn);
            let why = format!("another run owns the load balancer {balancer} (run, owner, since): {other}");
            Err(Failure::new(Exit::Locked, why)
                .next("nothing was changed")
                .next(format!("to show it: cutover status --load-balancer {balancer}"))
                .next(format!("if that run no longer exists: {}", script::untag(KEY, std::slice::from_ref(arn)))))
        }
        _ => Ok(()),
    }
}

/// Returns the shares that a rollback restores; `None` means the current shares of each route. A run that starts at a
/// later step restores all traffic to `from`, unless `given` contains other shares.
///
/// # Errors
/// Fails if `given` names a cluster that the plan does not have (exit 2).
pub fn baseline(plan: &Plan, from_step: usize, given: Option<Shares>) -> Result<Option<Shares>, Failure> {
    let all_traffic_to = |cluster: &str| {
        plan.clusters.iter().map(|c| (c.name.clone(), if c.name == cluster { 100 } else { 0 })).collect()
    };
    let Some(mut shares) = given else { return Ok((from_step > 1).then(|| all_traffic_to(&plan.strategy.from))) };
    if let Some(unknown) = shares.keys().find(|name| plan.clusters.iter().all(|c| c.name != **name)) {
        return Err(Failure::new(
            Exit::Usage,
            format!("--baseline names `{unknown}`, which is not a cluster of the plan"),
        ));
    }
    for cluster in &plan.clusters {
        shares.entry(cluster.name.clone()).or_insert(0);
    }
    Ok(Some(shares))
}

/// The options for the start of a run.
pub struct StartOptions<'a> {
    /// The first step of the run, counted from 1.
    pub from_step: usize,
    /// The shares that a rollback restores; `None` means the current shares of each route.
    pub start: Option<Shares>,
    /// The runs of the plan that existed when the caller decided to start another one.
    pub known: &'a [RunSummary],
    /// The migration to which a wave belongs; `None` if the run begins a migration, or if the plan has no waves.
    pub migration: Option<String>,
}

/// A run that has started and that this process owns.
pub struct StartedRun {
    /// The settings with which this process drives the run.
    pub settings: Settings,
    /// The locks and the marker of the run.
    pub ownership: Ownership,
}

/// The reason why a run was not started.
pub enum StartError {
    /// A check failed before anything was written.
    Refused(Failure),
    /// The locks or the marker of the run could not be acquired.
    NotOwned(OwnershipError),
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Refused(failure) => failure,
            StartError::NotOwned(error) => start_failure(error),
        }
    }
}

/// Starts the run: creates its journal and acquires its locks and its marker.
///
/// # Errors
/// Fails if something cannot be read before the start, or if the locks or the marker cannot be acquired.
pub async fn start_run(
    surface: &dyn Surface,
    plan: &Plan,
    ports: &Ports,
    prepared: &Preparation,
    options: StartOptions<'_>,
    going: DriveOptions,
) -> Result<StartedRun, StartError> {
    let StartOptions { from_step, start, known, migration } = options;
    let (owner, host) = owner::owner();
    let mut started = prepared.started_event(plan, &owner, from_step, start).map_err(StartError::Refused)?;
    let things = describe_calls(started.groups.len(), started.routes.len(), started.load_balancers.len());
    let settings = Settings::new(owner, host, things).for_plan(plan).with_api_budget(plan.api_budget, things);
    let settings = going.settings(settings, things);
    surface.show(&observation_text(&settings, things));
    let run = run_id(&plan.name, ports.clock.now(), &mut fastrand::Rng::new());
    started.join_migration(migration.as_deref().unwrap_or(&run));
    let tagging_time = ownership::tagging_time(&*ports.balancer.tags, plan.marker, &run, &started);
    if tagging_time >= SHOWN_TAGGING_TIME {
        let time = format_exact(tagging_time);
        surface.show(&format!("the original weights are written into tags; then the run starts, in about {time}"));
    }
    let ownership = ownership::own_new_run_checked(ports, &settings, plan.marker, &run, started, Some(known))
        .await
        .map_err(StartError::NotOwned)?;
    if let Some(script) = ownership.script() {
        surface.show(&format!("to roll back without this program: {script}"));
    }
    Ok(StartedRun { settings, ownership })
}
