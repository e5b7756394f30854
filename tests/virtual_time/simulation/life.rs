//! A run that lives and dies as a schedule wants, and is brought to its end.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use cutover::adapter::aws;
use cutover::adapter::aws::eks;
use cutover::adapter::aws::elb::Alb;
use cutover::adapter::clock::LabClock;
use cutover::adapter::kubernetes::K8s;
use cutover::adapter::metric::NoMetrics;
use cutover::adapter::store::memory::MemoryStore;
use cutover::app::exit::{Exit, Failure};
use cutover::app::prepare::prepare;
use cutover::app::{drive, identity};
use cutover::domain::elb;
use cutover::domain::run::event::{ResumeMode, RunOutcome, Started, StopReason};
use cutover::domain::run::state::State;
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
use super::ear::Ear;
use super::face;
use super::fault::{Point, Then};
use super::history::{By, History, Verb, What};
use super::kube::Transport;
use super::let_go::QUIET;
use super::outside::Outside;
use super::plans;
use super::seams::{Cell, Jumpy, Seen};
use super::store::Ledger;
use super::wire::{Crash, Wire};

/// When every world begins.
const START: Timestamp = Timestamp::constant(1_767_600_000, 0);
/// How often a run is brought back before it counts as lost.
const LIVES: usize = 8;

/// How a process ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Life {
    Ended(Ending),
    /// It gave up with an error.
    Failed(u8, String),
    Died,
}

/// A world with a run in it.
pub struct Theatre {
    pub plan: Plan,
    /// The plan as the engine has it: the same, but for seeded bugs.
    pub told: Plan,
    pub lab: VirtualLab,
    pub wire: Wire,
    pub history: History,
    pub ledger: Ledger,
    pub clock: LabClock,
    pub run: String,
    pub wrap: Wrap,
}

/// A layer between the engine and the recorders: none, or a seeded bug.
pub type Wrap = Arc<dyn Fn(Ports) -> Ports + Send + Sync>;

impl Theatre {
    /// A world without a run.
    pub fn new(plan: Plan, told: Plan, points: Vec<Point>, wrap: Wrap) -> Self {
        let world = World::new(&plan, &plans::scenario(), 1, START).unwrap_or_else(|e| panic!("{e}"));
        let history = History::new(&plan);
        Self::raise(plan, told, world, LabClock::new(START, 1.0), history, MemoryStore::new(), points, wrap)
    }

    #[allow(clippy::too_many_arguments)] // all that a theatre is made of
    pub fn raise(
        plan: Plan,
        told: Plan,
        world: World,
        clock: LabClock,
        history: History,
        memory: MemoryStore,
        points: Vec<Point>,
        wrap: Wrap,
    ) -> Self {
        let lab = VirtualLab::start(world, clock.clone());
        let wire = Wire::new(lab.shell().clone(), history.clone(), memory.clone(), points);
        let ledger = Ledger { memory, wire: wire.clone() };
        Self { plan, told, lab, wire, history, ledger, clock, run: String::new(), wrap }
    }

    /// A world, and in it the beginning of a run: preflight, locks, marker, `started`.
    pub async fn begin(plan: Plan) -> Self {
        Self::begin_with(plan.clone(), plan, vec![], Arc::new(|ports| ports)).await
    }

    pub async fn begin_with(plan: Plan, told: Plan, points: Vec<Point>, wrap: Wrap) -> Self {
        let mut theatre = Self::new(plan, told, points, wrap);
        theatre.started(1).await.unwrap_or_else(|e| panic!("{e}"));
        theatre
    }

    /// As `cutover run` does.
    pub async fn started(&mut self, attempt: u64) -> Result<(), Failure> {
        self.history.begin(self.wire.now(), Verb::Check);
        let ports = self.ports().await;
        let prepared = prepare(&self.told, &ports, 1).await;
        if let Some(other) = prepared.other_marker()
            && !marker::is_unstarted_or_finished(&*ports.store, other).await
        {
            return Err(Failure::new(Exit::Locked, other));
        }
        if let Some(refusal) = prepared.refusal() {
            return Err(refusal);
        }
        self.history.begin(self.wire.now(), Verb::Run);
        let started: Started = prepared.started_event(&self.told, "alice@mac", 1, None)?;
        self.wire.note(What::Started(Box::new(started.clone())));
        self.run = run_id(&self.plan.name, ports.clock.now(), &mut fastrand::Rng::with_seed(attempt));
        let settings = Self::settings();
        drop(
            ownership::own_new_run(&ports, &settings, self.told.marker, &self.run, started)
                .await
                .map_err(drive::start_failure)?,
        );
        Ok(())
    }

    fn settings() -> Settings {
        let mut settings = Settings::new("alice@mac".into(), "mac".into(), 4);
        settings.pid = 1;
        settings.leave_when_frozen = true;
        settings
    }

    /// The adapters as a new process makes them.
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
                ClusterAccess::Eks(name) => {
                    eks::connect(&config, name, Some(transport)).await.unwrap_or_else(|e| panic!("{e}"))
                }
                ClusterAccess::KubeContext(_) => K8s::new(kube::Client::new(transport, "default")),
            };
            clusters.insert(
                cluster.name.clone(),
                Arc::new(Cell { inner: Arc::new(reached), wire: self.wire.clone(), name: cluster.name.clone() }),
            );
        }
        let balancer =
            LoadBalancerApi::new(Seen { inner: LoadBalancerApi::new(Alb::new(&config)), wire: self.wire.clone() });
        let clock = Arc::new(Jumpy::new(self.clock.clone(), self.wire.offset()));
        (self.wrap)(Ports {
            balancer,
            clusters,
            metrics: Arc::new(NoMetrics),
            hooks: Arc::new(Outside(self.wire.clone())),
            clock,
            store: Arc::new(self.ledger.clone()),
        })
    }

    /// One process, from its start to its end. With a request, someone leaves that soon after a fault has struck.
    pub async fn live(&self, verb: Verb, request: Option<Request>) -> Life {
        if verb != Verb::Run {
            self.history.begin(self.wire.now(), verb);
        }
        let process = AssertUnwindSafe(self.process(verb)).catch_unwind();
        let life = tokio::select! {
            biased;
            () = self.person(request) => Life::Died,
            () = self.wire.killed() => Life::Died,
            life = process => match life {
                Ok(life) => life,
                Err(panic) if panic.is::<Crash>() => Life::Died,
                Err(panic) => resume_unwind(panic),
            },
        };
        self.wire.note(match &life {
            Life::Ended(ending) => What::Ends(drive::exit_of(ending).code(), format!("{ending:?}")),
            Life::Failed(code, message) => What::Ends(*code, message.clone()),
            Life::Died => What::Died,
        });
        life
    }

    async fn process(&self, verb: Verb) -> Life {
        let ports = self.ports().await;
        let settings = Self::settings();
        if verb != Verb::Run
            && let Err(failure) = identity::check_account(&self.told, &ports).await
        {
            return Life::Failed(failure.exit.code(), failure.to_string());
        }
        let lbs = self.history.book().checker.load_balancers();
        let request = match verb {
            Verb::Finalize => match self.may_go(&ports).await {
                Ok(request) => request,
                Err(refused) => return refused,
            },
            _ => verb.request(),
        };
        let held = match verb {
            Verb::Rollback | Verb::Ramp => {
                ownership::acquire_to_restore(&ports, &settings, self.told.marker, &self.run, &lbs, false, None).await
            }
            _ => ownership::acquire(&ports, &settings, self.told.marker, &self.run, &lbs, false).await,
        };
        let ownership = match held {
            Ok(ownership) => ownership,
            Err(error) => {
                let records = ports.store.read(&self.run).await.unwrap_or_default();
                let failure = match State::fold(&records) {
                    Ok(Some(state)) => drive::resume_failure(error, &state),
                    _ => drive::start_failure(error),
                };
                return Life::Failed(failure.exit.code(), failure.to_string());
            }
        };
        let mut audience = Ear::new(self.wire.clone(), self.ledger.memory.clone());
        let interrupt = audience.interrupt.clone();
        let run = RunLoop::open(&self.told, ports, settings, ownership, interrupt, &mut audience).await;
        let lived = async {
            let mut run = run?;
            let begun = match request {
                Some(request) => run.carry_out(&request).await?,
                None => Ok(()),
            };
            match begun {
                Ok(()) => run.drive().await.map(Life::Ended),
                Err(why) => Ok(Life::Failed(Exit::Usage.code(), why)),
            }
        };
        lived.await.unwrap_or_else(|error| {
            let failure = drive::engine_failure(error, true);
            Life::Failed(failure.exit.code(), failure.to_string())
        })
    }

    /// Two seconds after the first fault someone asks the live process to roll back; where that cannot be asked, its
    /// process is ended.
    async fn person(&self, request: Option<Request>) {
        let Some(request) = request else { return std::future::pending().await };
        self.wire.struck().await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        if self.ledger.put_request(&self.run, &request).await.is_ok() {
            std::future::pending::<()>().await;
        }
    }

    /// Plays a schedule to its end, beginning with a verb.
    pub async fn play(&self, mut verb: Verb, then: Then) -> Result<RunOutcome, String> {
        self.wire.count();
        for _ in 0..LIVES {
            let back = matches!(then, Then::Rollback | Then::Ramp);
            let life = self.live(verb, then.verb().request().filter(|_| verb == Verb::Run)).await;
            verb = match life {
                // What could not be taken back is tried again by who types `rollback` once more.
                Life::Ended(Ending::Finished { left, .. }) if !left.is_empty() && !self.detaching() => Verb::Rollback,
                Life::Ended(Ending::Finished { left, .. }) if !left.is_empty() => Verb::Finalize,
                Life::Ended(Ending::Finished { outcome: RunOutcome::Completed, .. })
                    if then == Then::Finalize && !self.detaching() =>
                {
                    tokio::time::sleep(QUIET).await;
                    Verb::Finalize
                }
                Life::Ended(Ending::Stopped(..)) if self.detaching() => Verb::Finalize,
                // What someone else has changed is theirs.
                Life::Failed(code, _) if then == Then::Finalize && code == Exit::Drift.code() => {
                    self.rest().await;
                    return Ok(RunOutcome::Completed);
                }
                Life::Ended(Ending::Finished { outcome, .. }) if !back || outcome != RunOutcome::Completed => {
                    self.rest().await;
                    return Ok(outcome);
                }
                Life::Died => {
                    tokio::time::sleep(Duration::from_secs(if self.wire.past() { 12 } else { 1 })).await;
                    then.verb()
                }
                Life::Ended(_) if back => then.verb(),
                Life::Ended(Ending::Stopped(StopReason::Drift, _)) => Verb::Reassert,
                // A rollback by itself that left something alone: a person wants that back too.
                Life::Ended(Ending::Stopped(StopReason::Stuck, _)) if self.rolling_back() => Verb::Rollback,
                Life::Ended(_) => Verb::Resume,
                Life::Failed(..) => {
                    tokio::time::sleep(Duration::from_secs(30)).await;
                    then.verb()
                }
            };
            if matches!(verb, Verb::Resume | Verb::Reassert) {
                let mode = if verb == Verb::Reassert { ResumeMode::REASSERT } else { ResumeMode::PLAIN };
                self.resume(mode).await;
            }
        }
        Err("it never comes to its end".into())
    }

    fn rolling_back(&self) -> bool {
        self.history.book().checker.rolling_back()
    }

    fn detaching(&self) -> bool {
        self.history.book().checker.detaching()
    }

    /// As `cutover resume` does: a request where the run is held.
    async fn resume(&self, mode: ResumeMode) {
        let state = self.ledger.memory.read(&self.run).await.ok().and_then(|r| State::fold(&r).ok().flatten());
        let held = state.is_some_and(|s| s.raises_stopped() && s.rollback.is_none());
        if held || mode != ResumeMode::PLAIN {
            let _ = self
                .ledger
                .memory
                .put_request(&self.run, &Request::Resume { by: "bob@lab".into(), mode, ignore_hours: None })
                .await;
        }
    }

    /// Faults cease, and whatever is still under way happens.
    async fn rest(&self) {
        self.wire.cease();
        tokio::time::sleep(Duration::from_secs(30)).await;
        self.wire.observe(By::Us);
        let world = self.lab.shell().call(|w, _| w.snapshot());
        self.wire.note(What::Rests(
            world.routes.iter().map(|(id, actions)| (elb::route(id), face::live(actions))).collect(),
        ));
    }
}
