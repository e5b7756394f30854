//! The scheduled job: each call does what `cutover step` does, with the host's own adapters and without state from
//! earlier calls.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cutover::adapter::aws;
use cutover::adapter::aws::elb::Alb;
use cutover::adapter::clock::LabClock;
use cutover::adapter::kubernetes::K8s;
use cutover::adapter::metric::NoMetrics;
use cutover::adapter::store::kubernetes::KubernetesStore;
use cutover::app::drive;
use cutover::app::due::{Due, due};
use cutover::app::exit::Exit;
use cutover::app::find::StoredRun;
use cutover::app::prepare::prepare;
use cutover::base::time::later;
use cutover::domain::decide::ProcessOptions;
use cutover::domain::run::event::{Event, Record, Wait};
use cutover::domain::run::observation::Observed;
use cutover::domain::run::state::State;
use cutover::domain::traffic::RouteId;
use cutover::engine::inventory::ReadPacer;
use cutover::engine::ownership::{self, Ownership, OwnershipError};
use cutover::engine::{Interrupt, Ports, RunLoop, Settings, Subscriber};
use cutover::lab::model::World;
use cutover::lab::scenario::Scenario;
use cutover::lab::virtual_time::VirtualLab;
use cutover::plan::model::Plan;
use cutover::port::store::{LockError, Request, Store, run_id};
use cutover::port::{Clock, Cluster, LoadBalancerApi, Traffic};
use jiff::Timestamp;

use crate::engine::large::large_plan;
use crate::engine::test_run::scenario;
use crate::schedule::host::{ClusterTransport, Host, Kill, LoadBalancerTransport, Process, Write};

/// Saturday, 28 March 2026, at 01:00 in Berlin.
const START: Timestamp = Timestamp::constant(1_774_656_000, 0);
const HOUR_SECONDS: u64 = 3600;
const CALL_INTERVAL: Duration = Duration::from_mins(5);

const PLAN: &str = "apiVersion: cutover.dev/v1alpha1
kind: Cutover
metadata: {name: small}
spec:
  aws: {accountId: \"123456789012\", region: eu-central-1}
  clusters: [{name: a, kubeContext: a}, {name: b, kubeContext: b}]
  workloads:
    - name: shop
      service: {namespace: shop, name: shop, port: 8080}
      routes:
        - alb:
            loadBalancer: shop
            listeners: [443]
            targetGroups: {a: shop-a, b: shop-b}
            rules: [{priority: 10}, {priority: 11}]
  strategy:
    from: a
    to: b
    notBefore: 2026-03-28T13:02:00+01:00
    windows: [{from: \"22:00\", to: \"04:00\", zone: Europe/Berlin}]
    blackouts: [{from: \"2026-03-28T23:00\", to: \"2026-03-29T00:30\", zone: Europe/Berlin, reason: a match}]
    observeEvery: 11m
    steps:
      - bind: {}
      - setWeight: 20
      - pause: {duration: 90m}
      - pause: {approval: on-call has slept, timeout: 20h, onTimeout: rollback}
      - setWeight: 60
      - pause: {duration: 3h}
      - setWeight: 100
      - pause: {duration: 1h}
";

/// The story of a simulation: a plan, the world and the person.
pub struct Story {
    pub plan: Plan,
    pub scenario: Scenario,
    /// The time for which the hosts call `step`.
    pub hours: u64,
    /// The time after which a person approves; `None` if the plan needs no approval.
    pub approval: Option<Duration>,
}

impl Story {
    /// Returns the story of two days with a change to summer time.
    pub fn of_two_days() -> Self {
        let plan = cutover::plan::lint("days", PLAN.as_bytes())
            .unwrap_or_else(|e| panic!("{}", cutover::plan::render(&e, false)));
        let approval = Some(Duration::from_secs(32 * HOUR_SECONDS));
        Self { plan, scenario: scenario("{}"), hours: 49, approval }
    }

    /// Returns the story of a plan with many routes, in an account with the usual limits of calls.
    pub fn of_many_routes(routes: usize) -> Self {
        let strategy = "observeEvery: 11m
    steps: [{bind: {}}, {setWeight: 20}, {setWeight: 60}, {pause: {duration: 10m}}, {setWeight: 100}]";
        // Every step writes three routes a second.
        let hours = 1 + routes as u64 / 500;
        let limits = "{limits: {describe: {burst: 40, perSecond: 10}, modify: {burst: 20, perSecond: 3}}}";
        Self { plan: large_plan(routes, strategy), scenario: scenario(limits), hours, approval: None }
    }
}

/// The simulation of a story.
pub struct Simulation {
    story: Story,
    lab: VirtualLab,
    clock: LabClock,
    hosts: [Arc<Host>; 2],
    writes: Arc<Mutex<Vec<Write>>>,
}

/// The results of a simulation.
#[derive(Debug, Default)]
pub struct StoryResult {
    pub writes: Vec<Write>,
    pub routes: Vec<RouteId>,
    /// The new cluster's share of the managed part at the end, in percent, by route.
    pub shares: Vec<(String, u32)>,
    /// The number of `cutover.dev/` tags at the end.
    pub tags: usize,
    pub runs: Vec<String>,
    pub events: Vec<(Timestamp, Event)>,
    pub exits: Vec<Exit>,
    pub requests: [u64; 2],
    pub busy: [Vec<u64>; 2],
    pub killed: bool,
}

impl StoryResult {
    pub fn transcript(&self) -> String {
        let is_shown = |e: &Event| {
            !matches!(
                e,
                Event::Health { .. } | Event::ProcessStarted { .. } | Event::Stopped { .. } | Event::Started(_)
            )
        };
        let events = self.events.iter().filter(|(_, e)| is_shown(e)).map(|(at, e)| format!("{at} {e:?}"));
        let writes = self.writes.iter().map(|w| format!("{} host {} writes {} %", w.at, w.host, w.share));
        events.chain(writes).map(|line| line.chars().take(300).collect::<String>()).collect::<Vec<_>>().join("\n")
    }
}

struct SilentSubscriber;

impl Subscriber for SilentSubscriber {
    fn record(&mut self, _: &Record) {}
    fn iteration_ended(&mut self, _: &State, _: &Observed, _: &[Wait], _: Timestamp) {}
}

impl Simulation {
    /// Creates the lab and two hosts. Must be called inside a runtime whose time is paused.
    pub fn new(story: Story, kill: Option<Kill>) -> Self {
        let clock = LabClock::new(START, 1.0);
        let world = World::new(&story.plan, &story.scenario, 1, START).unwrap_or_else(|e| panic!("{e}"));
        let lab = VirtualLab::start(world, clock.clone());
        let writes = Arc::new(Mutex::new(Vec::new()));
        let host = |number| {
            let (writes, clock) = (Arc::clone(&writes), clock.clone());
            Arc::new(Host { number, kill, requests: AtomicU64::new(0), writes, busy: Mutex::default(), clock })
        };
        Self { story, lab, clock: clock.clone(), hosts: [host(0), host(1)], writes }
    }

    /// Runs both hosts, and the person who approves, until the end of the story.
    pub async fn run(self) -> StoryResult {
        let simulation = Rc::new(self);
        let hosts = [0, 1].map(|number| tokio::task::spawn_local(Rc::clone(&simulation).cron(number)));
        let person = tokio::task::spawn_local(Rc::clone(&simulation).approve());
        let mut result = StoryResult::default();
        for host in hosts {
            let (exits, killed) = host.await.expect("the host's task should not panic");
            result.exits.extend(exits);
            result.killed |= killed;
        }
        person.await.expect("the person's task should not panic");
        simulation.collect_results(&mut result).await;
        result
    }

    async fn approve(self: Rc<Self>) {
        let Some(after) = self.story.approval else { return };
        tokio::time::sleep(after).await;
        let store = self.store(self.lab.kube_transport("a"));
        let run = store.runs().await.expect("the runs should be readable").remove(0);
        store
            .put_request(&run.id, &Request::Approve { by: "carol@phone".into() })
            .await
            .expect("the request should be stored");
    }

    /// Calls `step` every five minutes, on a host that is a little late.
    async fn cron(self: Rc<Self>, number: usize) -> (Vec<Exit>, bool) {
        let (mut exits, mut killed) = (Vec::new(), false);
        let begun = tokio::time::Instant::now();
        for call in 1..=(self.story.hours * HOUR_SECONDS / CALL_INTERVAL.as_secs()) {
            let due = begun
                + CALL_INTERVAL * u32::try_from(call).expect("the number of calls should be small")
                + Duration::from_millis(40 * number as u64);
            // A call is skipped while the last call is still running.
            if due < tokio::time::Instant::now() {
                continue;
            }
            tokio::time::sleep_until(due).await;
            let process = Process::new(Arc::clone(&self.hosts[number]));
            tokio::select! {
                biased;
                () = process.died.notified() => killed = true,
                exit = self.step(&process) => exits.push(exit),
            }
        }
        (exits, killed)
    }

    fn store(&self, transport: cutover::lab::virtual_time::KubeTransport) -> Arc<dyn Store> {
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        let namespace = &self.story.plan.workloads[0].services["a"].namespace;
        let client = kube::Client::new(transport, "default");
        Arc::new(KubernetesStore::new(client, namespace, "a namespace of a", "kubectl", clock))
    }

    async fn ports(&self, process: &Arc<Process>) -> Ports {
        let config = aws::config(&self.lab.aws_settings()).await;
        let line = |cluster: &str| {
            let line = ClusterTransport { process: Arc::clone(process), inner: self.lab.kube_transport(cluster) };
            tower::util::BoxCloneSyncService::new(line)
        };
        let mut clusters: BTreeMap<_, Arc<dyn Cluster>> = BTreeMap::new();
        for cluster in &self.story.plan.clusters {
            clusters
                .insert(cluster.name.clone(), Arc::new(K8s::new(kube::Client::new(line(&cluster.name), "default"))));
        }
        let balancer = LoadBalancerApi::new(LoadBalancerTransport {
            process: Arc::clone(process),
            inner: LoadBalancerApi::new(Alb::new(&config)),
        });
        let metrics = Arc::new(NoMetrics);
        Ports {
            balancer,
            clusters,
            compared: BTreeMap::new(),
            items: BTreeMap::new(),
            metrics,
            hooks: Arc::new(cutover::adapter::hook::NoHooks),
            clock: Arc::new(self.clock.clone()),
            reads: ReadPacer::new(Arc::new(self.clock.clone())),
            store: self.store(line("a")),
        }
    }

    /// Does what a call of `cutover step` does.
    async fn step(&self, process: &Arc<Process>) -> Exit {
        let ports = self.ports(process).await;
        match due(&*ports.store, &self.story.plan).await.unwrap_or_else(|e| panic!("{e}")) {
            Due::Finished(_, exit) => exit,
            Due::Continue(found) if ports.store.lock_owner(&found.run.id).await.is_some() => Exit::Waiting,
            Due::Continue(found) => self.continue_run(process, ports, &found).await,
            Due::Start(known) => {
                let prepared = prepare(&self.story.plan, &ports, 1).await;
                if prepared.other_marker().is_some() {
                    return Exit::Waiting;
                }
                if let Some(refusal) = prepared.refusal() {
                    panic!("{refusal}");
                }
                let started =
                    prepared.started_event(&self.story.plan, "cron@host", 1, None).unwrap_or_else(|e| panic!("{e}"));
                let run = run_id(&self.story.plan.name, ports.clock.now(), &mut fastrand::Rng::new());
                let settings = self.settings(process);
                let held = ownership::own_new_run_checked(
                    &ports,
                    &settings,
                    self.story.plan.marker,
                    &run,
                    started,
                    Some(&known),
                )
                .await;
                self.drive(ports, settings, held).await
            }
        }
    }

    async fn continue_run(&self, process: &Process, ports: Ports, found: &StoredRun) -> Exit {
        let settings = self.settings(process);
        let held = ownership::acquire(
            &ports,
            &settings,
            self.story.plan.marker,
            &found.run.id,
            &found.run.load_balancers,
            false,
        )
        .await;
        self.drive(ports, settings, held).await
    }

    fn settings(&self, process: &Process) -> Settings {
        let number = process.host.number;
        let mut settings = Settings::new(format!("cron@{number}"), number.to_string(), 4);
        settings.pid = 1;
        settings.orders =
            ProcessOptions { until_step: None, exit_after: Some(later(self.clock.now(), Duration::ZERO)) };
        settings
    }

    async fn drive(&self, ports: Ports, settings: Settings, held: Result<Ownership, OwnershipError>) -> Exit {
        let ownership = match held {
            Ok(ownership) => ownership,
            Err(OwnershipError::Lock(LockError::HeldBy(_)) | OwnershipError::AlreadyStarted(_)) => {
                return Exit::Waiting;
            }
            Err(error) => panic!("{error}"),
        };
        let mut subscriber = SilentSubscriber;
        let mut run =
            RunLoop::open(&self.story.plan, ports, settings, ownership, Interrupt::default(), &mut subscriber)
                .await
                .unwrap_or_else(|e| panic!("{e}"));
        let ending = run.drive().await.unwrap_or_else(|e| panic!("{e}"));
        run.release().await;
        drive::exit_of(&ending)
    }

    async fn collect_results(&self, result: &mut StoryResult) {
        let store = self.store(self.lab.kube_transport("a"));
        for run in store.runs().await.expect("the runs should be readable") {
            for record in store.read(&run.id).await.expect("the run should be readable").iter() {
                if let Event::Started(started) = &record.event {
                    result.routes = started.routes.iter().map(|r| r.id.clone()).collect();
                }
                result.events.push((record.time, record.event.clone()));
            }
            let records = store.read(&run.id).await.expect("the run should be readable");
            let state =
                State::fold(&records).expect("the records should be valid").expect("the run should have a state");
            let config = aws::config(&self.lab.aws_settings()).await;
            let ids: Vec<_> = state.routes.keys().cloned().collect();
            for (id, live) in Alb::new(&config).routes(&ids).await {
                let live = live.expect("the route should be readable");
                let route = &state.routes[&id];
                let shares = cutover::domain::decide::desired_split::shares_of(
                    route,
                    live.forward_split().expect("the route should have a forward action"),
                );
                let share = cutover::domain::health::gate::ceil(shares.get("b").copied().unwrap_or(0.0));
                result.shares.push((route.start.label.clone(), share));
            }
            result.runs.push(run.id);
        }
        result.shares.sort();
        let snapshot = self.lab.model().call(|world, _| world.snapshot());
        result.tags =
            snapshot.tags.values().flat_map(|tags| tags.keys()).filter(|k| k.starts_with("cutover.dev/")).count();
        result.writes.clone_from(&self.writes.lock().unwrap_or_else(PoisonError::into_inner));
        result.requests = [0, 1].map(|n| self.hosts[n].requests.load(Ordering::Relaxed));
        result.busy = [0, 1].map(|n| self.hosts[n].busy.lock().unwrap_or_else(PoisonError::into_inner).clone());
    }
}
