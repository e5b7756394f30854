//! Runs processes of a run under a schedule, with crashes and restarts, until the run has ended.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use cutover::adapter::Balancers;
use cutover::adapter::aws;
use cutover::adapter::aws::eks;
use cutover::adapter::aws::elb::Alb;
use cutover::adapter::clock::LabClock;
use cutover::adapter::haproxy::RuntimeApi;
use cutover::adapter::kubernetes::K8s;
use cutover::adapter::metric::NoMetrics;
use cutover::adapter::store::memory::MemoryStore;
use cutover::app::exit::{Exit, Failure};
use cutover::app::prepare::prepare;
use cutover::app::{drive, identity};
use cutover::domain::elb;
use cutover::domain::run::event::{ResumeMode, RunOutcome, Started, StopReason};
use cutover::domain::run::state::State;
use cutover::engine::inventory::ReadPacer;
use cutover::engine::{Ending, Ports, RunLoop, Settings, marker, ownership};
use cutover::lab::model::World;
use cutover::lab::virtual_time::VirtualLab;
use cutover::plan::model::{ClusterAccess, Plan};
use cutover::port::store::{Request, Store, run_id};
use cutover::port::{Cluster, LoadBalancerApi};
use futures::FutureExt;
use jiff::Timestamp;
use tower::util::BoxCloneSyncService;

use super::aws::Connector;
use super::checker::i12::SECRETS;
use super::fault::{FaultPoint, FollowUp};
use super::finalize::QUIET_PERIOD;
use super::haproxy::Instances;
use super::history::{By, EntryContent, History, Verb};
use super::hooks::SimulatedHooks;
use super::kube::Transport;
use super::plans;
use super::recorders::{AdjustableClock, RecordingBalancer, RecordingCluster};
use super::route_actions;
use super::store::RecordingStore;
use super::subscriber::TestSubscriber;
use super::wire::{Crash, Wire};

/// The lab's time when every simulation begins.
const START: Timestamp = Timestamp::constant(1_767_600_000, 0);
/// How many processes a run may need; after that the test fails.
const MAX_PROCESSES: usize = 8;

/// How a process ended.
#[derive(Debug, Clone, PartialEq)]
pub enum ProcessEnd {
    Ended(Ending),
    /// The process ended with an error: exit code and message.
    Failed(u8, String),
    Died,
}

/// A lab with one run in it, and its recorders.
pub struct Simulation {
    pub plan: Plan,
    /// The plan that the engine gets: `plan`, except with seeded bugs.
    pub engine_plan: Plan,
    pub lab: VirtualLab,
    pub wire: Wire,
    pub history: History,
    pub store: RecordingStore,
    pub clock: LabClock,
    pub run: String,
    pub wrap: Wrap,
}

/// A function that wraps the ports between the engine and the recorders. It changes nothing, or adds a seeded bug.
pub type Wrap = Arc<dyn Fn(Ports) -> Ports + Send + Sync>;

impl Simulation {
    /// Creates a lab without a run.
    pub fn new(plan: Plan, engine_plan: Plan, points: Vec<FaultPoint>, wrap: Wrap) -> Self {
        let world = World::new(&plan, &plans::scenario(&plan), 1, START).unwrap_or_else(|e| panic!("{e}"));
        let history = History::new(&plan);
        Self::build(plan, engine_plan, world, LabClock::new(START, 1.0), history, MemoryStore::new(), points, wrap)
    }

    #[allow(clippy::too_many_arguments)] // all parts of a simulation
    pub fn build(
        plan: Plan,
        engine_plan: Plan,
        world: World,
        clock: LabClock,
        history: History,
        memory: MemoryStore,
        points: Vec<FaultPoint>,
        wrap: Wrap,
    ) -> Self {
        let lab = VirtualLab::start(world, clock.clone());
        let wire = Wire::new(lab.model().clone(), history.clone(), memory.clone(), points);
        let store = RecordingStore { memory, wire: wire.clone() };
        Self { plan, engine_plan, lab, wire, history, store, clock, run: String::new(), wrap }
    }

    /// Creates a lab and starts a run in it: preflight, locks, marker, `started`.
    pub async fn begin(plan: Plan) -> Self {
        Self::begin_with(plan.clone(), plan, vec![], Arc::new(|ports| ports)).await
    }

    pub async fn begin_with(plan: Plan, engine_plan: Plan, points: Vec<FaultPoint>, wrap: Wrap) -> Self {
        let mut simulation = Self::new(plan, engine_plan, points, wrap);
        simulation.start_run(1).await.unwrap_or_else(|e| panic!("{e}"));
        simulation
    }

    /// Starts a run as `cutover run` does.
    pub async fn start_run(&mut self, attempt: u64) -> Result<(), Failure> {
        self.history.begin(self.wire.now(), Verb::Check);
        let ports = self.ports().await;
        let prepared = prepare(&self.engine_plan, &ports, 1).await;
        if let Some(other) = prepared.other_marker()
            && !marker::is_unstarted_or_finished(&*ports.store, other).await
        {
            return Err(Failure::new(Exit::Locked, other));
        }
        if let Some(refusal) = prepared.refusal() {
            return Err(refusal);
        }
        self.history.begin(self.wire.now(), Verb::Run);
        let started: Started = prepared.started_event(&self.engine_plan, "alice@mac", 1, None)?;
        self.wire.note(EntryContent::Started(Box::new(started.clone())));
        self.run = run_id(&self.plan.name, ports.clock.now(), &mut fastrand::Rng::with_seed(attempt));
        let settings = Self::settings();
        drop(
            ownership::own_new_run(&ports, &settings, self.engine_plan.marker, &self.run, started)
                .await
                .map_err(drive::start_failure)?,
        );
        Ok(())
    }

    fn settings() -> Settings {
        let mut settings = Settings::new("alice@mac".into(), "mac".into(), 4);
        settings.pid = 1;
        settings.exit_when_frozen = true;
        settings
    }

    /// Builds the adapters as a new process does.
    pub async fn ports(&self) -> Ports {
        let mut own = self.lab.aws_settings();
        own.credentials = Some(Credentials::new(SECRETS[0], SECRETS[1], Some(SECRETS[2].into()), None, "canary"));
        own.http_client = Some(Connector::client(self.wire.clone()));
        let config = aws::config(&own).await;
        let mut clusters: BTreeMap<_, Arc<dyn Cluster>> = BTreeMap::new();
        for cluster in &self.plan.clusters {
            let inner = self.lab.kube_transport(&cluster.name);
            let transport =
                BoxCloneSyncService::new(Transport { wire: self.wire.clone(), inner, cluster: cluster.name.clone() });
            let reached = match &cluster.access {
                ClusterAccess::None => continue,
                // The fault of the schedule can also meet this call. It ends after some time.
                ClusterAccess::Eks(name) => loop {
                    match eks::connect(&config, name, Some(transport.clone())).await {
                        Ok(cluster) => break cluster,
                        Err(_) => tokio::time::sleep(Duration::from_secs(5)).await,
                    }
                },
                ClusterAccess::KubeContext(_) => K8s::new(kube::Client::new(transport, "default")),
            };
            clusters.insert(
                cluster.name.clone(),
                Arc::new(RecordingCluster {
                    inner: Arc::new(reached),
                    wire: self.wire.clone(),
                    name: cluster.name.clone(),
                }),
            );
        }
        let balancer = LoadBalancerApi::new(RecordingBalancer {
            inner: Balancers::over(&self.plan, || Alb::new(&config), RuntimeApi::over(Instances(self.wire.clone()))),
            wire: self.wire.clone(),
        });
        let clock = Arc::new(AdjustableClock::new(self.clock.clone(), self.wire.offset()));
        (self.wrap)(Ports {
            balancer,
            clusters,
            compared: BTreeMap::new(),
            items: BTreeMap::new(),
            metrics: Arc::new(NoMetrics),
            hooks: Arc::new(SimulatedHooks(self.wire.clone())),
            reads: ReadPacer::new(Arc::<AdjustableClock>::clone(&clock) as _),
            clock,
            store: Arc::new(self.store.clone()),
        })
    }

    /// Runs one process from its start to its end. With a request, an operator sends this request soon after a fault.
    pub async fn run_process(&self, verb: Verb, request: Option<Request>) -> ProcessEnd {
        if verb != Verb::Run {
            self.history.begin(self.wire.now(), verb);
        }
        let process = AssertUnwindSafe(self.drive_process(verb)).catch_unwind();
        let end = tokio::select! {
            biased;
            () = self.act_as_operator(request) => ProcessEnd::Died,
            () = self.wire.killed() => ProcessEnd::Died,
            end = process => match end {
                Ok(end) => end,
                Err(panic) if panic.is::<Crash>() => ProcessEnd::Died,
                Err(panic) => resume_unwind(panic),
            },
        };
        self.wire.note(match &end {
            ProcessEnd::Ended(ending) => EntryContent::Ends(drive::exit_of(ending).code(), format!("{ending:?}")),
            ProcessEnd::Failed(code, message) => EntryContent::Ends(*code, message.clone()),
            ProcessEnd::Died => EntryContent::Died,
        });
        end
    }

    async fn drive_process(&self, verb: Verb) -> ProcessEnd {
        let ports = self.ports().await;
        let settings = Self::settings();
        if verb != Verb::Run
            && let Err(failure) = identity::check_account(&self.engine_plan, &ports).await
        {
            return ProcessEnd::Failed(failure.exit.code(), failure.to_string());
        }
        let lbs = self.history.data().checker.load_balancers();
        let request = match verb {
            Verb::Finalize => match self.judge_finalize(&ports).await {
                Ok(request) => request,
                Err(refused) => return refused,
            },
            _ => verb.request(),
        };
        let held = match verb {
            Verb::Rollback | Verb::Ramp => {
                ownership::acquire_to_restore(&ports, &settings, self.engine_plan.marker, &self.run, &lbs, false, None)
                    .await
            }
            _ => ownership::acquire(&ports, &settings, self.engine_plan.marker, &self.run, &lbs, false).await,
        };
        let ownership = match held {
            Ok(ownership) => ownership,
            Err(error) => {
                let records = ports.store.read(&self.run).await.unwrap_or_default();
                let failure = match State::fold(&records) {
                    Ok(Some(state)) => drive::resume_failure(error, &state),
                    _ => drive::start_failure(error),
                };
                return ProcessEnd::Failed(failure.exit.code(), failure.to_string());
            }
        };
        let mut subscriber = TestSubscriber::new(self.wire.clone(), self.store.memory.clone());
        let interrupt = subscriber.interrupt.clone();
        let run = RunLoop::open(&self.engine_plan, ports, settings, ownership, interrupt, &mut subscriber).await;
        let lived = async {
            let mut run = run?;
            let begun = match request {
                Some(request) => run.carry_out(&request).await?,
                None => Ok(()),
            };
            match begun {
                Ok(()) => run.drive().await.map(ProcessEnd::Ended),
                Err(why) => Ok(ProcessEnd::Failed(Exit::Usage.code(), why)),
            }
        };
        lived.await.unwrap_or_else(|error| {
            let failure = drive::engine_failure(error, true);
            ProcessEnd::Failed(failure.exit.code(), failure.to_string())
        })
    }

    /// Sends the operator's request two seconds after the first fault. If the request cannot be stored, ends the
    /// process.
    async fn act_as_operator(&self, request: Option<Request>) {
        let Some(request) = request else { return std::future::pending().await };
        self.wire.fault_injected().await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        if self.store.put_request(&self.run, &request).await.is_ok() {
            std::future::pending::<()>().await;
        }
    }

    /// Runs processes until the run has ended, beginning with a verb.
    pub async fn run_to_end(&self, mut verb: Verb, then: FollowUp) -> Result<RunOutcome, String> {
        self.wire.start_counting();
        for _ in 0..MAX_PROCESSES {
            let back = matches!(then, FollowUp::Rollback | FollowUp::Ramp);
            let end = self.run_process(verb, then.verb().request().filter(|_| verb == Verb::Run)).await;
            verb = match end {
                // Routes that could not be restored are tried again with another `rollback`.
                ProcessEnd::Ended(Ending::Finished { left, .. }) if !left.is_empty() && !self.detaching() => {
                    Verb::Rollback
                }
                ProcessEnd::Ended(Ending::Finished { left, .. }) if !left.is_empty() => Verb::Finalize,
                ProcessEnd::Ended(Ending::Finished { outcome: RunOutcome::Completed, .. })
                    if then == FollowUp::Finalize && !self.detaching() =>
                {
                    tokio::time::sleep(QUIET_PERIOD).await;
                    Verb::Finalize
                }
                ProcessEnd::Ended(Ending::Stopped(..)) if self.detaching() => Verb::Finalize,
                // Routes that someone else has changed stay as they are.
                ProcessEnd::Failed(code, _) if then == FollowUp::Finalize && code == Exit::Drift.code() => {
                    self.finish_calls().await;
                    return Ok(RunOutcome::Completed);
                }
                ProcessEnd::Ended(Ending::Finished { outcome, .. }) if !back || outcome != RunOutcome::Completed => {
                    self.finish_calls().await;
                    return Ok(outcome);
                }
                ProcessEnd::Died => {
                    tokio::time::sleep(Duration::from_secs(if self.wire.take_past_deadline() { 12 } else { 1 })).await;
                    then.verb()
                }
                ProcessEnd::Ended(_) if back => then.verb(),
                ProcessEnd::Ended(Ending::Stopped(StopReason::Drift, _)) => Verb::Reassert,
                // After an automatic rollback that did not restore a route, the operator rolls back this route too.
                ProcessEnd::Ended(Ending::Stopped(StopReason::Stuck, _)) if self.rolling_back() => Verb::Rollback,
                ProcessEnd::Ended(_) => Verb::Resume,
                ProcessEnd::Failed(..) => {
                    tokio::time::sleep(Duration::from_secs(30)).await;
                    then.verb()
                }
            };
            if matches!(verb, Verb::Resume | Verb::Reassert) {
                let mode = if verb == Verb::Reassert { ResumeMode::REASSERT } else { ResumeMode::PLAIN };
                self.request_resume(mode).await;
            }
        }
        Err("the run has not ended after the maximum number of processes".into())
    }

    fn rolling_back(&self) -> bool {
        self.history.data().checker.rolling_back()
    }

    fn detaching(&self) -> bool {
        self.history.data().checker.detaching()
    }

    /// Requests `resume` as the CLI does: only if the run is paused, or with a mode.
    async fn request_resume(&self, mode: ResumeMode) {
        let state = self.store.memory.read(&self.run).await.ok().and_then(|r| State::fold(&r).ok().flatten());
        let held = state.is_some_and(|s| s.raises_stopped() && s.rollback.is_none());
        if held || mode != ResumeMode::PLAIN {
            let _ = self
                .store
                .memory
                .put_request(&self.run, &Request::Resume { by: "bob@lab".into(), mode, ignore_hours: None })
                .await;
        }
    }

    /// Stops all faults, and waits until every delayed call is executed.
    async fn finish_calls(&self) {
        self.wire.stop_faults();
        tokio::time::sleep(Duration::from_secs(30)).await;
        self.wire.record_changes(By::Us);
        let world = self.lab.model().call(|w, _| w.snapshot());
        self.wire.note(EntryContent::FinalState(
            world.routes.iter().map(|(id, actions)| (elb::route(id), route_actions::from_aws(actions))).collect(),
        ));
    }
}
