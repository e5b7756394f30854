//! Guards the waves that are done while a later wave of the same plan is driven. A failed guard acts on its own wave only,
//! as the plan's `onFailure` says. What fails is decided in [`crate::domain::decide`].

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::connect;
use super::drive::{self, Drive};
use super::exit::{Exit, Failure};
use super::find::{self, StoredRun};
use super::surface::Surface;
use super::waves::WaveRuns;
use crate::domain::decide::{Context, FailureAfterEnd, failure_after_end};
use crate::domain::run::event::{Event, RunOutcome, Trigger};
use crate::domain::run::observation::Observed;
use crate::domain::run::state::{AUTOMATIC, State};
use crate::domain::waves::WaveStatus;
use crate::engine::ownership::{self, Ownership, OwnershipError};
use crate::engine::{Ports, Settings, WatchList, observation};
use crate::plan::model::{MarkerMode, Plan};
use crate::port::store::{LockError, Store};

/// How long samples are kept beyond the time for which a group may be unhealthy.
const KEPT: Duration = Duration::from_mins(1);

/// The waves whose guard failed after their end, each with the exit code of its rollback.
pub type RolledBackWaves = Vec<(String, Exit)>;

/// Does `work`, which drives a run of a plan, and guards the waves of the plan that are done. Returns the result of the
/// work, and the waves that were rolled back meanwhile.
///
/// # Errors
/// Fails if the runs of the plan cannot be read; then the work has not begun.
pub async fn guard_while<T>(
    surface: &dyn Surface,
    store: &Arc<dyn Store>,
    plan: &Plan,
    work: impl Future<Output = T>,
) -> Result<(T, RolledBackWaves), Failure> {
    let mut done = Vec::new();
    for found in done_runs(&**store, plan).await? {
        let ports = connect::ports(&found.plan, Arc::clone(store)).await;
        done.push((found, ports));
    }
    Ok(Box::pin(guard_runs_while(surface, done, work)).await)
}

/// Opens the runs of the waves that are done and not retired.
///
/// # Errors
/// Fails if the runs of the plan cannot be read.
pub async fn done_runs(store: &dyn Store, plan: &Plan) -> Result<Vec<StoredRun>, Failure> {
    if plan.waves.is_empty() {
        return Ok(Vec::new());
    }
    let runs = WaveRuns::read(store, plan).await?;
    let migration = runs.migration(plan, false);
    let done = migration.waves.iter().filter(|wave| wave.status == WaveStatus::Done);
    let mut found = Vec::new();
    for run in done.filter_map(|wave| runs.summary(&wave.run?.id)) {
        if !run.wave.as_ref().is_some_and(|wave| wave.retired) {
            found.push(find::open(store, run.clone()).await?);
        }
    }
    Ok(found)
}

/// Does `work`, and guards these completed runs until the work has ended. Each run is observed at least once.
pub async fn guard_runs_while<T>(
    surface: &dyn Surface,
    runs: Vec<(StoredRun, Ports)>,
    work: impl Future<Output = T>,
) -> (T, RolledBackWaves) {
    let waves: Vec<_> = runs.into_iter().filter_map(|(found, ports)| FinishedWave::new(found, ports)).collect();
    if waves.is_empty() {
        return (work.await, Vec::new());
    }
    let ended = Notify::new();
    let work = async {
        let result = work.await;
        ended.notify_one();
        result
    };
    futures::join!(work, guard(surface, waves, &ended))
}

async fn guard(surface: &dyn Surface, mut waves: Vec<FinishedWave>, ended: &Notify) -> RolledBackWaves {
    let (mut rolled_back, mut first) = (Vec::new(), true);
    loop {
        for wave in &mut waves {
            tokio::select! {
                biased;
                () = ended.notified(), if !first => return rolled_back,
                () = wave.observe() => {}
            }
            // A rollback that has begun is completed, also if the work ends meanwhile.
            if let Some(exit) = wave.react(surface).await {
                rolled_back.push((wave.name().to_owned(), exit));
            }
        }
        waves.retain(|wave| !wave.is_over);
        first = false;
        let Some(clock) = waves.first().map(|wave| Arc::clone(&wave.ports.clock)) else { return rolled_back };
        let poll = waves.iter().map(|wave| wave.settings.poll).sum();
        tokio::select! {
            () = ended.notified() => return rolled_back,
            () = clock.sleep(poll) => {}
        }
    }
}

/// A completed run that is guarded.
struct FinishedWave {
    found: StoredRun,
    state: State,
    ports: Ports,
    settings: Settings,
    observed: Observed,
    /// Whether the failure that does not cause a rollback was reported.
    is_reported: bool,
    /// Whether the run is no longer guarded.
    is_over: bool,
}

impl FinishedWave {
    fn new(found: StoredRun, ports: Ports) -> Option<Self> {
        let state = found.state().ok()?;
        let settings = drive::settings(&found.plan, &state);
        let keep = found.plan.strategy.gates.guard.for_ + KEPT;
        let observed = Observed::new(ports.clock.now(), settings.poll, keep);
        Some(Self { found, state, ports, settings, observed, is_reported: false, is_over: false })
    }

    fn name(&self) -> &str {
        self.found.plan.wave_name().unwrap_or_default()
    }

    async fn observe(&mut self) {
        let list = WatchList::of(&self.found.plan, &self.state);
        let Ports { balancer, clusters, clock, .. } = &self.ports;
        let seen = observation::observe_all(&list, balancer, clusters, &**clock).await;
        self.observed.add(clock.now(), seen, true);
    }

    /// Reacts to a failed guard. Returns the exit code of the rollback; `None` if the wave is not rolled back.
    async fn react(&mut self, surface: &dyn Surface) -> Option<Exit> {
        let (plan, now) = (&self.found.plan, self.ports.clock.now());
        let context = Context { plan, state: &self.state, observed: &self.observed, now };
        let FailureAfterEnd { message, rolls_back } = failure_after_end(&context)?;
        let (name, run) = (self.name().to_owned(), &self.found.run.id);
        if !rolls_back {
            if !self.is_reported {
                surface.show(&format!("the finished wave {name}: {message}; to roll it back: cutover rollback {run}"));
            }
            self.is_reported = true;
            return None;
        }
        surface.show(&format!("the finished wave {name}: {message}; rolling this wave back"));
        self.is_over = true;
        let exit = self.roll_back(surface, message).await.unwrap_or_else(|failure| {
            surface.show(&failure.to_string());
            Exit::Stuck
        });
        if exit == Exit::Done {
            return None;
        }
        if exit == Exit::Locked {
            // The process that owns the lock guards the wave too, or an operator rolls it back now.
            self.is_over = false;
            return None;
        }
        if exit != Exit::RolledBack {
            surface.show(&format!("the wave {name} is NOT rolled back; to try again: cutover rollback {run}"));
        }
        Some(exit)
    }

    /// Whether nobody has rolled the run back or retired its old cluster since the guard began.
    async fn is_still_completed(&self) -> bool {
        let records = self.ports.store.read(&self.found.run.id).await;
        let state = records.ok().and_then(|records| State::fold(&records).ok().flatten());
        state.is_some_and(|s| s.finished == Some(RunOutcome::Completed) && s.retirement.is_none())
    }

    /// Rolls the run back: exit 4. Returns exit 6 if another process owns the lock, and 0 if the run is already rolled back
    /// or retired. The marker of the later wave stays where both waves share a load balancer.
    async fn roll_back(&self, surface: &dyn Surface, cause: String) -> Result<Exit, Failure> {
        let plan = Plan { marker: MarkerMode::None, ..self.found.plan.clone() };
        let (ports, settings, run) = (&self.ports, &self.settings, &self.found.run);
        let balancers = &run.load_balancers;
        let owned =
            ownership::acquire_to_restore(ports, settings, MarkerMode::None, &run.id, balancers, false, None).await;
        let ownership = match owned {
            Err(OwnershipError::Lock(LockError::HeldBy(owner)))
                if owner.pid == settings.pid && owner.host == settings.host =>
            {
                Ownership::through_other_run(&run.id)
            }
            Err(OwnershipError::Lock(LockError::HeldBy(_))) => return Ok(Exit::Locked),
            owned => owned.map_err(|error| drive::resume_failure(error, &self.state))?,
        };
        if !self.is_still_completed().await {
            ownership.release().await;
            return Ok(Exit::Done);
        }
        let started = Event::RollbackStarted {
            cause,
            by: AUTOMATIC.into(),
            trigger: Trigger::Gate,
            to_step: None,
            force: false,
            break_stickiness: false,
            request: None,
        };
        let journalled = ports.store.append(&run.id, ports.clock.now(), &started).await;
        journalled.map_err(|error| Failure::new(Exit::Internal, error))?;
        Drive::new(&plan, ports.clone(), settings.clone(), ownership).run(surface).await
    }
}

/// Returns the exit code of a command that has driven a run to this exit code while finished waves were rolled back: 4 if
/// the run is completed, 5 if a rollback did not end. Shows which waves.
pub fn exit_after(surface: &dyn Surface, exit: Exit, rolled_back: &RolledBackWaves) -> Exit {
    if rolled_back.is_empty() {
        return exit;
    }
    let names = rolled_back.iter().map(|(wave, _)| wave.as_str()).collect::<Vec<_>>().join(", ");
    surface.show(&format!("the guard of finished waves failed meanwhile, and acted on {names}"));
    let stuck = rolled_back.iter().any(|(_, exit)| *exit != Exit::RolledBack);
    match exit {
        _ if stuck => Exit::Stuck,
        Exit::Done => Exit::RolledBack,
        exit => exit,
    }
}
