//! The migration: calls of `step` as a scheduler makes them, with the process's own adapters and no state from earlier
//! calls, and the rollback of all waves.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cutover::adapter::aws;
use cutover::adapter::aws::elb::Alb;
use cutover::adapter::clock::LabClock;
use cutover::adapter::kubernetes::K8s;
use cutover::adapter::metric::NoMetrics;
use cutover::adapter::store::memory::MemoryStore;
use cutover::adapter::telemetry::Outlets;
use cutover::app::exit::Exit;
use cutover::app::find::StoredRun;
use cutover::app::finished_waves::{done_runs, exit_after, guard_runs_while};
use cutover::app::names::RecordText;
use cutover::app::prepare::prepare;
use cutover::app::surface::Surface;
use cutover::app::view::RunView;
use cutover::app::waves::{WaveDue, WaveRuns, WaveToBegin, after_wave, due};
use cutover::app::{drive, find};
use cutover::base::time::later;
use cutover::domain::decide::{ProcessOptions, desired_split};
use cutover::domain::health::gate::ceil;
use cutover::domain::run::event::{Event, Record, RunOutcome, Wait};
use cutover::domain::run::observation::Observed;
use cutover::domain::run::state::State;
use cutover::domain::traffic::RouteId;
use cutover::engine::inventory::ReadPacer;
use cutover::engine::ownership::{self, Ownership, OwnershipError};
use cutover::engine::{Ending, Interrupt, Ports, RunLoop, Settings, Subscriber};
use cutover::lab::model::World;
use cutover::lab::scenario::Scenario;
use cutover::lab::virtual_time::VirtualLab;
use cutover::plan::model::Plan;
use cutover::port::store::{LockError, Request, Store, run_id};
use cutover::port::{Clock, Cluster, LoadBalancerApi, Traffic};
use futures::StreamExt;
use futures::stream::BoxStream;
use jiff::Timestamp;

use crate::schedule::host::{ClusterTransport, Host, Kill, LoadBalancerTransport, Process, Write};

const START: Timestamp = Timestamp::constant(1_774_656_000, 0);
const CALL_INTERVAL: Duration = Duration::from_mins(5);
/// The step that a fault of the lab waits for.
const POISON: &str = "poison";
/// The most calls of `step`.
const MAX_CALLS: u64 = 200;

const PLAN: &str = "apiVersion: cutover.dev/v1alpha1
kind: Cutover
metadata: {name: shop}
spec:
  aws: {accountId: \"123456789012\", region: eu-central-1}
  clusters: [{name: a, kubeContext: a}, {name: b, kubeContext: b}]
  workloads:
    - name: reports
      service: {namespace: shop, name: reports, port: 8080}
      routes: [{alb: {loadBalancer: inner, listeners: [443], targetGroups: {a: reports-a, b: reports-b}, rules: [{priority: 10}]}}]
    - name: mail
      service: {namespace: shop, name: mail, port: 25}
      routes: [{nlb: {loadBalancer: net, settle: 1m, targetGroups: {a: mail-a, b: mail-b}}}]
    - name: web
      service: {namespace: shop, name: web, port: 8080}
      routes: [{alb: {loadBalancer: edge, listeners: [443], targetGroups: {a: web-a, b: web-b}, rules: [{priority: 10}]}}]
    - name: checkout
      service: {namespace: shop, name: checkout, port: 8080}
      routes: [{alb: {loadBalancer: edge, listeners: [443], targetGroups: {a: checkout-a, b: checkout-b}, rules: [{priority: 20}]}}]
    - name: office
      service: {namespace: shop, name: office, port: 8080}
      routes: [{alb: {loadBalancer: edge, listeners: [443], targetGroups: {a: office-a, b: office-b}, rules: [{priority: 30}]}}]
  waves:
    - {name: last, workloads: [office], after: [second]}
    - {name: first, workloads: [reports, mail], after: []}
    - {name: second, workloads: [web, checkout], steps: [{bind: {}}, {setWeight: 20}, {pause: {duration: 5m}}, {setWeight: 100}]}
  strategy:
    from: a
    to: b
    observeEvery: 11m
    waves: {between: {duration: 15m}}
    steps: [{bind: {}}, {setWeight: 50}, {pause: {duration: 10m}}, {setWeight: 100}]
";

/// Returns the plan of the migration.
pub fn plan() -> Plan {
    cutover::plan::lint("waves", PLAN.as_bytes()).unwrap_or_else(|e| panic!("{}", cutover::plan::render(&e, false)))
}

/// A migration that will be simulated.
pub struct WaveMigration {
    plan: Plan,
    lab: VirtualLab,
    clock: LabClock,
    host: Arc<Host>,
    store: Arc<dyn Store>,
}

/// The results of a migration.
#[derive(Debug, Default)]
pub struct MigrationResult {
    pub writes: Vec<Write>,
    /// The wave of each route.
    pub wave_of: BTreeMap<RouteId, String>,
    /// The wave, the outcome and the time of the end of each run, in order.
    pub finished: Vec<(String, RunOutcome, Timestamp)>,
    /// The new cluster's share of each route after the last call of `step`, in percent.
    pub moved: BTreeMap<RouteId, u32>,
    /// The new cluster's share of each route after the rollback of all waves, in percent.
    pub restored: BTreeMap<RouteId, u32>,
    /// The waves in the order in which they were rolled back.
    pub rolled_back: Vec<String>,
    /// The number of `cutover.dev/` tags at the end.
    pub tags: usize,
    /// The number of runs.
    pub runs: usize,
    pub exits: Vec<Exit>,
    pub requests: u64,
    /// The numbers of the requests that wrote something, or that began a wave.
    pub busy: Vec<u64>,
    pub killed: bool,
}

pub struct SilentSubscriber;

impl Subscriber for SilentSubscriber {
    fn record(&mut self, _: &Record) {}
    fn iteration_ended(&mut self, _: &State, _: &Observed, _: &[Wait], _: Timestamp) {}
}

/// A surface that shows nothing.
#[derive(Default)]
pub struct SilentSurface(Outlets);

impl Surface for SilentSurface {
    fn subscriber<'a>(&self, _: &'a Plan, _: &[Record]) -> Box<dyn Subscriber + 'a> {
        Box::new(SilentSubscriber)
    }
    fn show(&self, _: &str) {}
    fn show_ending(&self, _: &Ending) {}
    fn final_lines(&self, _: &RunView) -> Vec<String> {
        Vec::new()
    }
    fn record_text(&self) -> RecordText {
        |_, _| None
    }
    fn stop_requests(&self) -> BoxStream<'static, ()> {
        futures::stream::pending().boxed()
    }
    fn metric_outlets(&self) -> &Outlets {
        &self.0
    }
}

impl WaveMigration {
    /// Creates the lab. In the second wave, at 20 %, the new cluster's targets of the workload `poison` die. Must be
    /// called inside a runtime whose time is paused.
    pub fn new(kill: Option<Kill>, poison: Option<&str>) -> Self {
        let plan = plan();
        let spec = poison.map_or_else(
            || "{}".to_owned(),
            |workload| format!("{{faults: [{{at: {{step: {POISON}}}, kill: {{cluster: b, workload: {workload}}}}}]}}"),
        );
        let scenario =
            format!("apiVersion: cutover.dev/v1alpha1\nkind: Scenario\nmetadata: {{name: waves}}\nspec: {spec}\n");
        let scenario = Scenario::parse("waves", &scenario).unwrap_or_else(|e| panic!("{e}"));
        let clock = LabClock::new(START, 1.0);
        let world = World::new(&plan, &scenario, 1, START).unwrap_or_else(|e| panic!("{e}"));
        let lab = VirtualLab::start(world, clock.clone());
        let host = Arc::new(Host {
            number: 0,
            kill,
            requests: AtomicU64::new(0),
            writes: Arc::new(Mutex::new(Vec::new())),
            busy: Mutex::default(),
            clock: clock.clone(),
        });
        Self { plan, lab, clock, host, store: Arc::new(MemoryStore::new()) }
    }

    /// Calls `step` until nothing is due, then rolls back all waves.
    pub async fn run(self) -> MigrationResult {
        let mut result = MigrationResult::default();
        for _ in 0..MAX_CALLS {
            tokio::time::sleep(CALL_INTERVAL).await;
            let process = Process::new(Arc::clone(&self.host));
            let exit = tokio::select! {
                biased;
                () = process.died.notified() => {
                    result.killed = true;
                    continue;
                }
                exit = self.step(&process) => exit,
            };
            result.exits.push(exit);
            if self.host.writes.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|w| w.share == 20) {
                self.lab.model().change(|world, now| world.step_started(99, Some(POISON), now));
            }
            if exit != Exit::Waiting {
                break;
            }
        }
        result.requests = self.host.requests.load(Ordering::Relaxed);
        self.collect(&mut result).await;
        result.moved = self.shares(&result).await;
        let runs = self.runs().await;
        let back: Vec<_> = runs.to_roll_back().cloned().collect();
        for run in back {
            result.rolled_back.push(run.wave.as_ref().expect("the wave of the run").name.clone());
            let found = find::open(&*self.store, run).await.unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(self.roll_back(&found).await, Exit::RolledBack);
        }
        result.restored = self.shares(&result).await;
        let snapshot = self.lab.model().call(|world, _| world.snapshot());
        result.tags =
            snapshot.tags.values().flat_map(|tags| tags.keys()).filter(|k| k.starts_with("cutover.dev/")).count();
        result
    }

    async fn runs(&self) -> WaveRuns {
        WaveRuns::read(&*self.store, &self.plan).await.unwrap_or_else(|e| panic!("{e}"))
    }

    async fn ports(&self, process: &Arc<Process>) -> Ports {
        let config = aws::config(&self.lab.aws_settings()).await;
        let mut clusters: BTreeMap<_, Arc<dyn Cluster>> = BTreeMap::new();
        for cluster in &self.plan.clusters {
            let inner = self.lab.kube_transport(&cluster.name);
            let line = tower::util::BoxCloneSyncService::new(ClusterTransport { process: Arc::clone(process), inner });
            clusters.insert(cluster.name.clone(), Arc::new(K8s::new(kube::Client::new(line, "default"))));
        }
        let inner = LoadBalancerApi::new(Alb::new(&config));
        Ports {
            balancer: LoadBalancerApi::new(LoadBalancerTransport { process: Arc::clone(process), inner }),
            clusters,
            compared: BTreeMap::new(),
            items: BTreeMap::new(),
            metrics: Arc::new(NoMetrics),
            hooks: Arc::new(cutover::adapter::hook::NoHooks),
            clock: Arc::new(self.clock.clone()),
            reads: ReadPacer::new(Arc::new(self.clock.clone())),
            store: Arc::clone(&self.store),
        }
    }

    /// Does what a call of `cutover step` does.
    async fn step(&self, process: &Arc<Process>) -> Exit {
        let ports = self.ports(process).await;
        let runs = self.runs().await;
        let due = due(&self.store, &self.plan, &runs, None).await.unwrap_or_else(|e| panic!("{e}"));
        if let WaveDue::Nothing(_, exit) = due {
            return exit;
        }
        let done = done_runs(&*self.store, &self.plan).await.unwrap_or_else(|e| panic!("{e}"));
        let done = done.into_iter().map(|found| (found, ports.clone())).collect();
        let surface = SilentSurface::default();
        let (exit, rolled_back) = guard_runs_while(&surface, done, self.do_due(due, ports, &runs)).await;
        let exit = exit_after(&surface, exit, &rolled_back);
        let after = after_wave(&*self.store, &self.plan, exit).await;
        after.unwrap_or_else(|e| panic!("{e}")).0
    }

    async fn do_due(&self, due: WaveDue, ports: Ports, runs: &WaveRuns) -> Exit {
        match due {
            WaveDue::Nothing(_, exit) => exit,
            WaveDue::Continue(found) => {
                let settings = self.settings();
                let run = &found.run;
                let held =
                    ownership::acquire(&ports, &settings, found.plan.marker, &run.id, &run.load_balancers, false);
                let held = held.await;
                self.drive(&found.plan, ports, settings, held).await
            }
            WaveDue::Begin(wave) => self.begin(&wave, ports, runs).await,
        }
    }

    async fn begin(&self, wave: &WaveToBegin, ports: Ports, runs: &WaveRuns) -> Exit {
        let now = self.host.requests.load(Ordering::Relaxed);
        self.host.busy.lock().unwrap_or_else(PoisonError::into_inner).push(now);
        let prepared = prepare(&wave.plan, &ports, 1).await;
        if let Some(refusal) = prepared.refusal() {
            panic!("{refusal}");
        }
        let mut started = prepared.started_event(&wave.plan, "cron@host", 1, None).unwrap_or_else(|e| panic!("{e}"));
        let run = run_id(&wave.plan.name, ports.clock.now(), &mut fastrand::Rng::new());
        started.join_migration(wave.migration.as_deref().unwrap_or(&run));
        let settings = self.settings();
        let known = Some(runs.known.as_slice());
        let held = ownership::own_new_run_checked(&ports, &settings, wave.plan.marker, &run, started, known).await;
        self.drive(&wave.plan, ports, settings, held).await
    }

    fn settings(&self) -> Settings {
        let mut settings = Settings::new("cron@host".into(), "host".into(), 4);
        settings.pid = 1;
        let exit_after = Some(later(self.clock.now(), Duration::ZERO));
        settings.orders = ProcessOptions { until_step: None, exit_after };
        settings
    }

    async fn drive(
        &self,
        plan: &Plan,
        ports: Ports,
        settings: Settings,
        held: Result<Ownership, OwnershipError>,
    ) -> Exit {
        let ownership = match held {
            Ok(ownership) => ownership,
            Err(OwnershipError::Lock(LockError::HeldBy(_)) | OwnershipError::AlreadyStarted(_)) => {
                return Exit::Waiting;
            }
            Err(error) => panic!("{error}"),
        };
        let mut subscriber = SilentSubscriber;
        let mut run = RunLoop::open(plan, ports, settings, ownership, Interrupt::default(), &mut subscriber)
            .await
            .unwrap_or_else(|e| panic!("{e}"));
        let ending = run.drive().await.unwrap_or_else(|e| panic!("{e}"));
        run.release().await;
        drive::exit_of(&ending)
    }

    /// Does what `cutover rollback` does with the run of a wave.
    async fn roll_back(&self, found: &StoredRun) -> Exit {
        let host = Host {
            number: 0,
            kill: None,
            requests: AtomicU64::new(0),
            writes: Arc::clone(&self.host.writes),
            busy: Mutex::default(),
            clock: self.clock.clone(),
        };
        let ports = self.ports(&Process::new(Arc::new(host))).await;
        let settings = Settings::new("alice@mac".into(), "mac".into(), 4);
        let (run, plan) = (&found.run, &found.plan);
        let held =
            ownership::acquire_to_restore(&ports, &settings, plan.marker, &run.id, &run.load_balancers, false, None);
        let ownership = held.await.unwrap_or_else(|e| panic!("{e}"));
        let mut subscriber = SilentSubscriber;
        let mut run = RunLoop::open(plan, ports, settings, ownership, Interrupt::default(), &mut subscriber)
            .await
            .unwrap_or_else(|e| panic!("{e}"));
        let request = Request::Rollback { by: "alice@mac".into(), force: false, break_stickiness: None };
        let carried_out = run.carry_out(&request).await.unwrap_or_else(|e| panic!("{e}"));
        carried_out.unwrap_or_else(|why| panic!("{why}"));
        let ending = run.drive().await.unwrap_or_else(|e| panic!("{e}"));
        run.release().await;
        drive::exit_of(&ending)
    }

    async fn collect(&self, result: &mut MigrationResult) {
        let runs = self.store.runs().await.expect("the runs should be readable");
        result.runs = runs.len();
        for run in runs.iter().rev() {
            let wave = &run.wave.as_ref().expect("the wave of the run").name;
            for record in self.store.read(&run.id).await.expect("the run should be readable").iter() {
                match &record.event {
                    Event::Started(started) => {
                        let routes = started.routes.iter().map(|route| (route.id.clone(), wave.clone()));
                        result.wave_of.extend(routes);
                    }
                    Event::Finished { outcome, .. } => result.finished.push((wave.clone(), *outcome, record.time)),
                    _ => {}
                }
            }
        }
        result.writes.clone_from(&self.host.writes.lock().unwrap_or_else(PoisonError::into_inner));
        result.busy.clone_from(&self.host.busy.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Returns the new cluster's live share of each route of the runs, in percent.
    async fn shares(&self, result: &MigrationResult) -> BTreeMap<RouteId, u32> {
        let config = aws::config(&self.lab.aws_settings()).await;
        let ids: Vec<_> = result.wave_of.keys().cloned().collect();
        let live = Alb::new(&config).routes(&ids).await;
        let mut shares = BTreeMap::new();
        for run in self.store.runs().await.expect("the runs should be readable") {
            let records = self.store.read(&run.id).await.expect("the run should be readable");
            let state = State::fold(&records).expect("valid records").expect("a state");
            for (id, route) in &state.routes {
                let content = live[id].as_ref().expect("the route should be readable");
                let split = content.forward_split().expect("the route should forward");
                let share = desired_split::shares_of(route, split).get("b").copied().unwrap_or(0.0);
                shares.insert(id.clone(), ceil(share));
            }
        }
        shares
    }
}
