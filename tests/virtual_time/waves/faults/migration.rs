//! A migration with faults: processes as `run` or `step` start them, until nothing is due; then the rollback of all waves.
//! What is next follows from the plan and its runs only.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cutover::adapter::Balancers;
use cutover::adapter::aws;
use cutover::adapter::aws::elb::Alb;
use cutover::adapter::clock::LabClock;
use cutover::adapter::haproxy::RuntimeApi;
use cutover::adapter::hook::NoHooks;
use cutover::adapter::kubernetes::K8s;
use cutover::adapter::metric::NoMetrics;
use cutover::adapter::store::memory::MemoryStore;
use cutover::app::exit::Exit;
use cutover::app::find::StoredRun;
use cutover::app::finished_waves::{done_runs, exit_after, guard_runs_while};
use cutover::app::prepare::prepare;
use cutover::app::waves::{WaveDue, WaveRuns, WaveToBegin, after_wave, due};
use cutover::app::{drive, find, owner};
use cutover::base::time::later;
use cutover::domain::decide::ProcessOptions;
use cutover::domain::run::event::ResumeMode;
use cutover::engine::inventory::ReadPacer;
use cutover::engine::ownership::{self, Ownership, OwnershipError};
use cutover::engine::{Interrupt, Ports, RunLoop, Settings};
use cutover::lab::virtual_time::VirtualLab;
use cutover::plan::model::{ClusterAccess, Plan};
use cutover::port::store::{Request, Store, run_id};
use cutover::port::{Clock, Cluster, ClusterItems};
use jiff::Timestamp;

use super::bugs::{BlindItems, Bug};
use super::checker::Checker;
use super::line::{AwsLine, Fault, HaproxyLine, KubeLine, Lines, Process};
use super::plan;
use super::store::StoreLine;
use crate::waves::migration::{SilentSubscriber, SilentSurface};

const START: Timestamp = Timestamp::constant(1_774_656_000, 0);
/// The most processes of a migration, and of its rollback.
const MAX_PROCESSES: usize = 120;
/// How often a run whose gate does not pass is resumed.
const MAX_RESUMES: usize = 3;
/// The time after a failure until an operator, or the scheduler, tries again.
const RETRY: Duration = Duration::from_secs(30);

/// How a migration ended, and what was wrong.
#[derive(Debug, Clone)]
pub struct MigrationEnd {
    /// The exit of the last process before the rollback; `None` if the faults left the migration unfinished.
    pub exit: Option<Exit>,
    pub violations: Vec<String>,
    /// The names of all calls.
    pub names: Vec<String>,
    /// The number of calls before the rollback of all waves.
    pub forward: u64,
    /// The waves in the order in which they went back.
    pub back: Vec<usize>,
    pub routes: usize,
    pub header_rules: usize,
    pub processes: usize,
    /// What the processes said, for a failure.
    pub log: Vec<String>,
}

pub struct Migration {
    plan: Plan,
    lab: VirtualLab,
    clock: LabClock,
    memory: MemoryStore,
    lines: Arc<Lines>,
    /// Whether each process does only what is due, as `step` does.
    steps: bool,
    seed: u64,
    log: Vec<String>,
}

impl Migration {
    /// Creates the lab. Must be called inside a runtime whose time is paused.
    pub fn new(faults: Vec<Fault>, steps: bool, bug: Option<Bug>, engine_plan: Plan) -> Self {
        let clock = LabClock::new(START, 1.0);
        let lab = VirtualLab::start(plan::world(START), clock.clone());
        let checker = Arc::new(Checker::new(plan::plan(), lab.model()));
        let lines = Lines::new(lab.model().clone(), checker, faults, bug);
        Self { plan: engine_plan, lab, clock, memory: MemoryStore::new(), lines, steps, seed: 0, log: Vec::new() }
    }

    pub async fn run(mut self) -> MigrationEnd {
        let mut processes = 0;
        let exit = self.go_forward(&mut processes).await;
        let forward = self.lines.calls();
        let checker = Arc::clone(&self.lines.checker);
        // A write that is late arrives.
        tokio::time::sleep(RETRY).await;
        if exit.is_some() {
            checker.look_at_end(self.lab.model(), false);
        }
        let is_found = self.lines.bug.is_some() && !checker.violations().is_empty();
        if !is_found && !self.go_back(&mut processes).await {
            self.log.push("the rollback of all waves did not end".into());
        }
        tokio::time::sleep(RETRY).await;
        checker.look_at_end(self.lab.model(), true);
        let result = MigrationEnd {
            exit,
            violations: checker.violations(),
            names: self.lines.names(),
            forward,
            back: checker.back(),
            routes: checker.routes(),
            header_rules: checker.header_rules(),
            processes,
            log: self.log,
        };
        self.lab.stop().await;
        result
    }

    /// Starts processes until every wave is done, or one failed.
    async fn go_forward(&mut self, processes: &mut usize) -> Option<Exit> {
        let (checker, mut rolled_back, mut resumed) = (Arc::clone(&self.lines.checker), false, 0);
        for _ in 0..MAX_PROCESSES {
            *processes += 1;
            let process = Process::new(&self.lines);
            let end = tokio::select! {
                biased;
                () = process.died.notified() => None,
                () = checker.found.notified(), if self.lines.bug.is_some() => return None,
                end = Box::pin(self.do_due(&process)) => Some(end),
            };
            self.log.push(format!("{} call {}: {end:?}", self.clock.now(), self.lines.calls()));
            match end {
                None => tokio::time::sleep(Duration::from_secs(1)).await,
                Some(Ok(Exit::Done)) => return Some(Exit::Done),
                // The next call must not begin a wave, nor repeat this one.
                Some(Ok(Exit::RolledBack)) if !rolled_back => rolled_back = true,
                Some(Ok(Exit::RolledBack)) => return Some(Exit::RolledBack),
                Some(Ok(Exit::Waiting)) => {
                    resumed += usize::from(self.resume(ResumeMode::PLAIN).await);
                    if resumed > MAX_RESUMES {
                        return None;
                    }
                    tokio::time::sleep(if self.steps { 2 * RETRY } else { Duration::from_secs(1) }).await;
                }
                Some(Ok(Exit::Drift)) => {
                    self.resume(ResumeMode::REASSERT).await;
                }
                Some(_) => tokio::time::sleep(RETRY).await,
            }
        }
        None
    }

    /// Asks the unfinished run to go on. Returns whether it has stopped its raises.
    async fn resume(&self, mode: ResumeMode) -> bool {
        let runs = self.memory.find(&self.plan.name).await.unwrap_or_default();
        let Some(open) = runs.iter().find(|run| run.finished.is_none()) else { return false };
        let Ok(found) = find::open(&self.memory, open.clone()).await else { return false };
        let held = found.state().is_ok_and(|state| state.raises_stopped() && state.rollback.is_none());
        if held || mode != ResumeMode::PLAIN {
            let request = Request::Resume { by: "bob@lab".into(), mode, ignore_hours: None };
            let _ = self.memory.put_request(&open.id, &request).await;
        }
        held
    }

    async fn ports(&self, process: &Arc<Process>) -> Ports {
        let mut settings = self.lab.aws_settings();
        settings.http_client = Some(AwsLine::client(process));
        let config = aws::config(&settings).await;
        let mut clusters: BTreeMap<_, Arc<dyn Cluster>> = BTreeMap::new();
        let mut items: BTreeMap<_, Arc<dyn ClusterItems>> = BTreeMap::new();
        for cluster in self.plan.clusters.iter().filter(|cluster| cluster.access != ClusterAccess::None) {
            let inner = self.lab.kube_transport(&cluster.name);
            let line = tower::util::BoxCloneSyncService::new(KubeLine { process: Arc::clone(process), inner });
            let reached = Arc::new(K8s::new(kube::Client::new(line, "default")));
            clusters.insert(cluster.name.clone(), Arc::clone(&reached) as _);
            let of_cluster: Arc<dyn ClusterItems> = match self.lines.bug {
                Some(bug @ (Bug::SeesNothingRun | Bug::ForgetsSchedule)) => {
                    Arc::new(BlindItems { inner: reached, bug })
                }
                _ => reached,
            };
            items.insert(cluster.name.clone(), of_cluster);
        }
        let instances = RuntimeApi::over(HaproxyLine(Arc::clone(process)));
        let balancer = Balancers::over(&self.plan, || Alb::new(&config), instances);
        Ports {
            balancer,
            clusters,
            compared: BTreeMap::new(),
            items,
            metrics: Arc::new(NoMetrics),
            hooks: Arc::new(NoHooks),
            clock: Arc::new(self.clock.clone()),
            reads: ReadPacer::new(Arc::new(self.clock.clone())),
            store: self.store(process),
        }
    }

    fn store(&self, process: &Arc<Process>) -> Arc<dyn Store> {
        Arc::new(StoreLine { memory: self.memory.clone(), process: Arc::clone(process) })
    }

    /// Does what a call of `cutover step` does, or the part of `cutover run` that drives one wave.
    async fn do_due(&mut self, process: &Arc<Process>) -> Result<Exit, String> {
        self.seed += 1;
        let store = self.store(process);
        let runs = WaveRuns::read(&*store, &self.plan).await.map_err(|e| e.to_string())?;
        let due = due(&store, &self.plan, &runs, None).await.map_err(|e| e.to_string())?;
        if let WaveDue::Nothing(_, exit) = due {
            return Ok(exit);
        }
        let ports = self.ports(process).await;
        let done = match self.lines.bug {
            Some(Bug::FinishedWavesUnguarded) => Vec::new(),
            _ => done_runs(&*store, &self.plan).await.map_err(|e| e.to_string())?,
        };
        let done = done.into_iter().map(|found| (found, ports.clone())).collect();
        let surface = SilentSurface::default();
        let (exit, rolled_back) =
            Box::pin(guard_runs_while(&surface, done, Box::pin(self.go_on(due, ports, &runs)))).await;
        let exit = exit_after(&surface, exit?, &rolled_back);
        Ok(after_wave(&*store, &self.plan, exit).await.map_err(|e| e.to_string())?.0)
    }

    async fn go_on(&self, due: WaveDue, ports: Ports, runs: &WaveRuns) -> Result<Exit, String> {
        match due {
            WaveDue::Nothing(_, exit) => Ok(exit),
            WaveDue::Continue(found) => {
                let settings = self.settings(&found.plan);
                let (run, marker) = (&found.run, found.plan.marker);
                let held = ownership::acquire(&ports, &settings, marker, &run.id, &run.load_balancers, false).await;
                Box::pin(drive_to_end(&found.plan, ports, settings, held, None)).await
            }
            WaveDue::Begin(wave) => Box::pin(self.begin(&wave, ports, runs)).await,
        }
    }

    async fn begin(&self, wave: &WaveToBegin, ports: Ports, runs: &WaveRuns) -> Result<Exit, String> {
        let prepared = Box::pin(prepare(&wave.plan, &ports, 1)).await;
        if let Some(refusal) = prepared.refusal() {
            return Err(refusal.to_string());
        }
        let started = prepared.started_event(&wave.plan, "cron@host", 1, None);
        let mut started = started.map_err(|e| e.to_string())?;
        let run = run_id(&wave.plan.name, ports.clock.now(), &mut fastrand::Rng::with_seed(self.seed));
        started.join_migration(wave.migration.as_deref().unwrap_or(&run));
        let settings = self.settings(&wave.plan);
        let known = Some(runs.known.as_slice());
        let held = ownership::own_new_run_checked(&ports, &settings, wave.plan.marker, &run, started, known).await;
        Box::pin(drive_to_end(&wave.plan, ports, settings, held, None)).await
    }

    fn settings(&self, plan: &Plan) -> Settings {
        let (owner, host) = owner::owner();
        let mut settings = Settings::new(owner, host, 4).for_plan(plan);
        settings.exit_when_frozen = true;
        let exit_after = self.steps.then(|| later(self.clock.now(), Duration::ZERO));
        settings.orders = ProcessOptions { until_step: None, exit_after };
        settings
    }

    /// Rolls back all waves, the last one first, until nothing is left. Returns whether it ended.
    async fn go_back(&mut self, processes: &mut usize) -> bool {
        for _ in 0..MAX_PROCESSES {
            *processes += 1;
            let process = Process::new(&self.lines);
            let end = tokio::select! {
                biased;
                () = process.died.notified() => None,
                end = Box::pin(self.roll_back_all(&process)) => Some(end),
            };
            self.log.push(format!("{} call {}: rollback: {end:?}", self.clock.now(), self.lines.calls()));
            match end {
                Some(Ok(())) => return true,
                None => tokio::time::sleep(Duration::from_secs(1)).await,
                Some(Err(_)) => tokio::time::sleep(RETRY).await,
            }
        }
        false
    }

    async fn roll_back_all(&self, process: &Arc<Process>) -> Result<(), String> {
        let store = self.store(process);
        let runs = WaveRuns::read(&*store, &self.plan).await.map_err(|e| e.to_string())?;
        let mut back: Vec<_> = runs.to_roll_back().cloned().collect();
        match self.lines.bug {
            Some(Bug::RollbackForgetsFirstWave) => drop(back.pop()),
            Some(Bug::RollbackFirstWaveFirst) => back.reverse(),
            _ => {}
        }
        let mut failed = Vec::new();
        for run in back {
            let found = find::open(&*store, run).await.map_err(|e| e.to_string())?;
            match self.roll_back(process, &found).await {
                Ok(Exit::RolledBack) => {}
                other => failed.push(format!("{}: {other:?}", found.run.id)),
            }
        }
        if failed.is_empty() { Ok(()) } else { Err(failed.join("; ")) }
    }

    /// Does what `cutover rollback` does with the run of a wave.
    async fn roll_back(&self, process: &Arc<Process>, found: &StoredRun) -> Result<Exit, String> {
        let ports = self.ports(process).await;
        let (run, plan) = (&found.run, &found.plan);
        let (owner, host) = owner::owner();
        let settings = Settings::new(owner, host, 4).for_plan(plan);
        let balancers = &run.load_balancers;
        let held = ownership::acquire_to_restore(&ports, &settings, plan.marker, &run.id, balancers, false, None).await;
        let request = Request::Rollback { by: "alice@mac".into(), force: false, break_stickiness: None };
        Box::pin(drive_to_end(plan, ports, settings, held, Some(request))).await
    }
}

async fn drive_to_end(
    plan: &Plan,
    ports: Ports,
    settings: Settings,
    held: Result<Ownership, OwnershipError>,
    request: Option<Request>,
) -> Result<Exit, String> {
    let ownership = held.map_err(|e| e.to_string())?;
    let mut subscriber = SilentSubscriber;
    let run = RunLoop::open(plan, ports, settings, ownership, Interrupt::default(), &mut subscriber).await;
    let mut run = run.map_err(|e| e.to_string())?;
    if let Some(request) = request {
        run.carry_out(&request).await.map_err(|e| e.to_string())??;
    }
    let ending = run.drive().await.map_err(|e| e.to_string())?;
    run.release().await;
    Ok(drive::exit_of(&ending))
}
