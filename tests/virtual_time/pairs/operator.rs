//! Two operators: the first starts a run; the second resumes the run, takes it over, or starts another run.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cutover::adapter::aws;
use cutover::adapter::aws::elb::Alb;
use cutover::adapter::clock::LabClock;
use cutover::adapter::kubernetes::K8s;
use cutover::adapter::metric::NoMetrics;
use cutover::adapter::store::kubernetes::KubernetesStore;
use cutover::app::prepare::prepare;
use cutover::domain::run::event::{Record, Started, Wait};
use cutover::domain::run::observation::Observed;
use cutover::domain::run::state::State;
use cutover::engine::inventory::ReadPacer;
use cutover::engine::ownership::{self, Ownership, OwnershipError};
use cutover::engine::{Ending, EngineError, Interrupt, Ports, RunLoop, Settings, Subscriber};
use cutover::lab::model::World;
use cutover::lab::scenario::Scenario;
use cutover::lab::virtual_time::VirtualLab;
use cutover::plan::model::Plan;
use cutover::port::store::{Request, Store};
use cutover::port::{Clock, Cluster, LoadBalancerApi};
use jiff::Timestamp;
use tokio::time::Instant;
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;

use super::history::TrueHistory;
use super::machine::{ClusterTransport, LoadBalancerTransport, Machine};

const START: Timestamp = Timestamp::constant(1_767_600_000, 0);

/// One of the two operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    First,
    Second,
}

/// The goal of the second operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goal {
    /// Resumes the first operator's run, once no process owns the run.
    Resume,
    /// Takes the run over from any owner, and rolls back.
    TakeOver,
    /// Starts another run, once nobody has the lock of the load balancer.
    Begin,
}

/// A lab with two operators.
pub struct Pair {
    plan: Plan,
    lab: VirtualLab,
    clock: LabClock,
    pub history: TrueHistory,
    goal: Goal,
    /// When the second operator begins.
    comes: Duration,
    machines: [Arc<Machine>; 2],
    started: Started,
}

struct SilentSubscriber;

impl Subscriber for SilentSubscriber {
    fn record(&mut self, _: &Record) {}
    fn iteration_ended(&mut self, _: &State, _: &Observed, _: &[Wait], _: Timestamp) {}
}

fn plan(marker: &str) -> Plan {
    let steps: Vec<_> = (1..=5).map(|n| format!("{{setWeight: {}}}, {{pause: {{duration: 5s}}}}", n * 20)).collect();
    let text = format!(
        "apiVersion: cutover.dev/v1alpha1
kind: Cutover
metadata: {{name: small}}
spec:
  marker: {marker}
  aws: {{accountId: \"123456789012\", region: eu-central-1}}
  clusters: [{{name: a, kubeContext: a}}, {{name: b, kubeContext: b}}]
  workloads:
    - name: shop
      service: {{namespace: shop, name: shop, port: 8080}}
      routes:
        - alb:
            loadBalancer: shop
            listeners: [443]
            targetGroups: {{a: shop-a, b: shop-b}}
            rules: [{{priority: 10}}, {{priority: 11}}]
  strategy:
    from: a
    to: b
    settle: 2s
    gates: {{targetHealth: {{raise: {{minHealthy: 1, stableFor: 5s}}, guard: {{minHealthyPercent: 70, for: 30s}}}}}}
    steps: [{{bind: {{}}}}, {}]
",
        steps.join(", ")
    );
    cutover::plan::lint("pairs", text.as_bytes()).unwrap_or_else(|e| panic!("{}", cutover::plan::render(&e, false)))
}

impl Pair {
    pub async fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let plan = plan(if random.bool() { "none" } else { "tag" });
        let scenario = "apiVersion: cutover.dev/v1alpha1\nkind: Scenario\nmetadata: {name: pairs}\nspec: {}\n";
        let scenario = Scenario::parse("pairs", scenario).unwrap_or_else(|e| panic!("{e}"));
        let clock = LabClock::new(START, 1.0);
        let world = World::new(&plan, &scenario, seed, START).unwrap_or_else(|e| panic!("{e}"));
        let lab = VirtualLab::start(world, clock.clone());
        let history = TrueHistory::default();
        let goal = [Goal::Resume, Goal::Resume, Goal::TakeOver, Goal::Begin][random.usize(..4)];
        let comes = Duration::from_millis(random.u64(..60_000));
        let machine = |name, random: &mut fastrand::Rng| {
            let mut spans = |most: usize, longest: u64| {
                let mut span = |_| {
                    let from = Instant::now() + Duration::from_millis(random.u64(..90_000));
                    (from, from + Duration::from_millis(random.u64(1_000..longest)))
                };
                (0..most).map(&mut span).collect::<Vec<_>>()
            };
            let (stops, cuts) = (spans(1, 90_000), spans(1, 120_000));
            let stop_at_write =
                random.bool().then(|| (random.u32(..8), Duration::from_millis(random.u64(1_000..120_000))));
            let random = Mutex::new(fastrand::Rng::with_seed(random.u64(..)));
            let (stops, stop_at_write) = (Mutex::new(stops), Mutex::new(stop_at_write));
            Arc::new(Machine {
                name,
                history: history.clone(),
                clock: clock.clone(),
                stops,
                stop_at_write,
                cuts,
                lost: 3,
                random,
            })
        };
        let machines = [machine("alice@mac", &mut random), machine("bob@pc", &mut random)];
        let mut pair = Self {
            plan,
            lab,
            clock: clock.clone(),
            history: history.clone(),
            goal,
            comes,
            machines,
            started: empty_start(),
        };
        let ports = pair.ports(Part::First, false).await;
        let prepared = prepare(&pair.plan, &ports, 1).await;
        pair.started = prepared.started_event(&pair.plan, "alice@mac", 1, None).unwrap_or_else(|e| panic!("{e}"));
        pair.history.note(clock.now(), format!("{:?} after {comes:?}, marker {:?}", pair.goal, pair.plan.marker));
        for machine in &pair.machines {
            let seconds = |spans: &[(Instant, Instant)]| {
                let second = |at: &Instant| {
                    clock.now()
                        + jiff::SignedDuration::try_from(at.duration_since(Instant::now()))
                            .expect("the duration should be short")
                };
                spans.iter().map(|(a, b)| format!("{} – {}", second(a), second(b))).collect::<Vec<_>>().join(", ")
            };
            pair.history.note(
                clock.now(),
                format!(
                    "{} stops {}; cut {}",
                    machine.name,
                    seconds(&machine.stops.lock().expect("no thread should have panicked")),
                    seconds(&machine.cuts)
                ),
            );
        }
        pair
    }

    fn machine(&self, part: Part) -> &Arc<Machine> {
        &self.machines[usize::from(part == Part::Second)]
    }

    /// Builds the adapters of a process of this operator. With `real` false (before the test begins), calls have no
    /// delay.
    async fn ports(&self, part: Part, real: bool) -> Ports {
        let config = aws::config(&self.lab.aws_settings()).await;
        let machine = Arc::clone(self.machine(part));
        let mut balancer = LoadBalancerApi::new(Alb::new(&config));
        let green = self.started.groups.iter().filter(|(_, g)| g.cluster == "b").map(|(arn, _)| arn.clone()).collect();
        if real {
            balancer.traffic =
                Arc::new(LoadBalancerTransport { machine: Arc::clone(&machine), inner: balancer.traffic, green });
        }
        let mut clusters: BTreeMap<_, Arc<dyn Cluster>> = BTreeMap::new();
        for cluster in &self.plan.clusters {
            clusters.insert(
                cluster.name.clone(),
                Arc::new(K8s::new(kube::Client::new(self.lab.kube_transport(&cluster.name), "default"))),
            );
        }
        let transport = ClusterTransport { machine, inner: self.lab.kube_transport("a") };
        let client = kube::Client::new(BoxCloneSyncService::new(transport.map_err(|e| e)), "default");
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        let store: Arc<dyn Store> = Arc::new(KubernetesStore::new(
            client,
            "shop",
            "namespace shop of a",
            "kubectl -n shop",
            Arc::clone(&clock),
        ));
        Ports {
            balancer,
            clusters,
            compared: BTreeMap::new(),
            items: BTreeMap::new(),
            metrics: Arc::new(NoMetrics),
            hooks: Arc::new(cutover::adapter::hook::NoHooks),
            reads: ReadPacer::new(Arc::clone(&clock)),
            clock,
            store,
        }
    }

    /// Runs one operator to the end.
    pub async fn run_operator(&self, part: Part) -> Option<Result<Ending, EngineError>> {
        let machine = self.machine(part);
        machine.run(self.drive_operator(part)).await
    }

    async fn drive_operator(&self, part: Part) -> Option<Result<Ending, EngineError>> {
        let ports = self.ports(part, true).await;
        let machine = self.machine(part);
        let mut settings =
            Settings::new(machine.name.to_owned(), machine.name.split('@').nth(1).unwrap_or_default().to_owned(), 4);
        settings.exit_when_frozen = true;
        settings.pid = 1 + u32::from(part == Part::Second);
        if part == Part::Second {
            ports.clock.sleep(self.comes).await;
        }
        for _ in 0..20 {
            match self.acquire(part, &ports, &settings).await {
                Ok((ownership, request)) => {
                    self.history.note(self.clock.now(), format!("{} holds the run", machine.name));
                    let ending = self.drive(ports, settings, ownership, request).await;
                    self.history.note(self.clock.now(), format!("{} ends: {ending:?}", machine.name));
                    return Some(ending);
                }
                Err(error) => self.history.note(self.clock.now(), format!("{} is refused: {error}", machine.name)),
            }
            ports.clock.sleep(Duration::from_secs(10)).await;
        }
        None
    }

    async fn acquire(
        &self,
        part: Part,
        ports: &Ports,
        settings: &Settings,
    ) -> Result<(Ownership, Option<Request>), OwnershipError> {
        let lbs = &self.started.load_balancers;
        let back = Request::Rollback { by: "bob@pc".into(), force: false, break_stickiness: None };
        match (part, self.goal) {
            (Part::First, _) => {
                ownership::own_new_run(ports, settings, self.plan.marker, "small-1", self.started.clone())
                    .await
                    .map(|h| (h, None))
            }
            (_, Goal::Begin) => {
                ownership::own_new_run(ports, settings, self.plan.marker, "small-2", self.started.clone())
                    .await
                    .map(|h| (h, None))
            }
            (_, Goal::Resume) => {
                ownership::acquire(ports, settings, self.plan.marker, "small-1", lbs, false).await.map(|h| (h, None))
            }
            (_, Goal::TakeOver) => {
                ownership::acquire_to_restore(ports, settings, self.plan.marker, "small-1", lbs, true, None)
                    .await
                    .map(|h| (h, Some(back)))
            }
        }
    }

    async fn drive(
        &self,
        ports: Ports,
        settings: Settings,
        ownership: Ownership,
        request: Option<Request>,
    ) -> Result<Ending, EngineError> {
        let mut subscriber = SilentSubscriber;
        let mut run =
            RunLoop::open(&self.plan, ports, settings, ownership, Interrupt::default(), &mut subscriber).await?;
        if let Some(request) = request {
            let _ = run.carry_out(&request).await?;
        }
        let ending = run.drive().await;
        run.release().await;
        ending
    }
}

/// Returns an empty `started` event, which is replaced after the preflight.
fn empty_start() -> Started {
    let empty = serde_json::json!({"plan": "", "text": "", "hash": "", "owner": "", "from": "", "to": "", "fromStep": 1, "loadBalancers": [], "routes": [], "groups": {}, "clusters": {}, "bindings": []});
    serde_json::from_value(empty).expect("the JSON should be a `started` event")
}
