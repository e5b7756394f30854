//! A plan and a lab in virtual time, with one run whose processes may crash.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use cutover::app::drive;
use cutover::app::exit::Exit;
use cutover::app::prepare::prepare;
use cutover::cli::render;
use cutover::domain::run::event::{Event, Record, ResumeMode, RunOutcome, Started, StopReason, Wait};
use cutover::domain::run::observation::Observed;
use cutover::domain::run::state::{Frozen, Phase, State};
use cutover::engine::inventory::ReadPacer;
use cutover::engine::{Ending, Interrupt, Ports, RunLoop, Settings, Subscriber, ownership};
use cutover::lab::model::{OperatorRequest, Snapshot, World};
use cutover::lab::rehearsal::{Options, RehearsalLab};
use cutover::lab::scenario::Scenario;
use cutover::plan::model::Plan;
use cutover::port::LoadBalancerApi;
use cutover::port::store::{Request, Store, run_id};
use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};
use render::events::EventLines;
use render::style::Style;

use super::route_actions::RouteActions;
use super::store::{Crash, CrashingStore};
use super::write_checker::WriteChecker;

/// The operator: returns the requests to send. Called in each loop iteration.
pub type Operator<'a> = dyn FnMut(&State, &Observed, &[Wait], Timestamp) -> Vec<Request> + Send + 'a;

/// How a process ended.
#[derive(Debug, Clone, PartialEq)]
pub enum ProcessEnd {
    Ended(Ending),
    /// The scenario crashed the process; the next process starts after this time.
    Crashed(Duration),
    /// The process crashed at a record.
    Killed,
}

/// A lab with one run.
pub struct TestRun {
    pub plan: Plan,
    pub lab: RehearsalLab,
    pub test_store: CrashingStore,
    pub write_checker: Arc<WriteChecker>,
    pub ports: Ports,
    pub settings: Settings,
    pub run: String,
    /// The simulated AWS before the run.
    pub before: Snapshot,
    /// Every record that the subscriber got, including measurements.
    pub published: Vec<Record>,
}

/// Reads a plan file.
pub fn plan(path: &str) -> Plan {
    let bytes = std::fs::read(path).expect("the plan file should be readable");
    cutover::plan::lint(path, &bytes).unwrap_or_else(|_| panic!("{path} is not a valid plan"))
}

/// Parses a plan from its text.
pub fn plan_of(text: &str) -> Plan {
    cutover::plan::lint("test.yaml", text.as_bytes()).unwrap_or_else(|e| panic!("{}", e))
}

/// Reads a scenario of the examples.
pub fn example(name: &str) -> Scenario {
    let path = format!("examples/scenarios/{name}.yaml");
    let text = std::fs::read_to_string(Path::new(&path)).expect("the scenario file should be readable");
    Scenario::parse(&path, &text).expect("the scenario should parse")
}

/// Builds a scenario from its `spec` in YAML.
pub fn scenario(spec: &str) -> Scenario {
    let text = format!("apiVersion: cutover.dev/v1alpha1\nkind: Scenario\nmetadata: {{name: test}}\nspec: {spec}\n");
    Scenario::parse("test.yaml", &text).unwrap_or_else(|e| panic!("{e}"))
}

/// Returns the ports of a lab, with an empty store.
pub fn ports_of(lab: &RehearsalLab) -> Ports {
    Ports {
        balancer: lab.balancer.clone(),
        clusters: lab.clusters.clone(),
        compared: lab.compared.clone(),
        items: lab.items.clone(),
        metrics: Arc::clone(&lab.metrics),
        hooks: Arc::clone(&lab.hooks),
        clock: Arc::clone(&lab.clock),
        reads: ReadPacer::new(Arc::clone(&lab.clock)),
        store: Arc::new(CrashingStore::default()),
    }
}

impl TestRun {
    /// Creates a lab and starts a run in it: locks, marker, `started`.
    pub async fn begin(plan: Plan, scenario: &Scenario) -> Self {
        Self::begin_with(plan, scenario, |_| {}).await
    }

    /// Creates a lab and starts a run with changed settings.
    pub async fn begin_with(plan: Plan, scenario: &Scenario, change: impl FnOnce(&mut Settings)) -> Self {
        Self::begin_at(plan, scenario, Options { speed: None, rate: Some(2.0) }, change).await
    }

    /// Creates a lab and starts a run with changed settings and other traffic.
    pub async fn begin_at(
        plan: Plan,
        scenario: &Scenario,
        options: Options,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        let lab =
            RehearsalLab::virtual_time(plan.clone(), scenario, 1, options).await.unwrap_or_else(|e| panic!("{e}"));
        let before = lab.model().call(|w, _| w.snapshot());
        let test_store = CrashingStore::default();
        let write_checker = Arc::new(WriteChecker {
            inner: Arc::clone(&lab.balancer.traffic),
            shell: lab.model().clone(),
            plan: Mutex::new(Arc::new(plan.clone())),
            test_store: test_store.clone(),
            started: OnceLock::new(),
            writes: Mutex::default(),
        });
        let store: Arc<dyn Store> = Arc::new(test_store.clone());
        let (clusters, metrics) = (lab.clusters.clone(), Arc::clone(&lab.metrics));
        let ports = Ports {
            balancer: LoadBalancerApi { traffic: Arc::clone(&write_checker) as _, ..lab.balancer.clone() },
            clusters,
            compared: lab.compared.clone(),
            items: lab.items.clone(),
            metrics,
            hooks: Arc::clone(&lab.hooks),
            clock: Arc::clone(&lab.clock),
            reads: ReadPacer::new(Arc::clone(&lab.clock)),
            store,
        };
        let prepared = prepare(&plan, &ports, 1).await;
        if let Some(refusal) = prepared.refusal() {
            panic!("{refusal}");
        }
        let started = prepared.started_event(&plan, "alice@mac", 1, None).unwrap_or_else(|e| panic!("{e}"));
        let _ = write_checker.started.set(started.clone());
        let things = started.groups.len() + started.routes.len().div_ceil(20) + started.load_balancers.len();
        let mut settings =
            Settings { exit_when_frozen: true, ..Settings::new("alice@mac".into(), "mac".into(), things) };
        change(&mut settings);
        let run = run_id(&plan.name, ports.clock.now(), &mut fastrand::Rng::with_seed(1));
        drop(
            ownership::own_new_run(&ports, &settings, plan.marker, &run, started)
                .await
                .unwrap_or_else(|e| panic!("{e}")),
        );
        let published = test_store.records().clone();
        Self { plan, lab, test_store, write_checker, ports, settings, run, before, published }
    }

    /// Replaces the run by the run of this journal, with the plan in the journal.
    pub fn continue_journal(&mut self, run: &str, journal: &[u8], records: Vec<Record>) {
        if run != self.run {
            self.test_store.memory.remove(&self.run);
        }
        run.clone_into(&mut self.run);
        let Some(Event::Started(started)) = records.first().map(|r| &r.event) else {
            panic!("the journal must begin with `started`")
        };
        self.plan = cutover::domain::run::frozen_plan::plan(started);
        *self.write_checker.plan.lock().expect("no thread should have panicked") = Arc::new(self.plan.clone());
        self.test_store.memory.set_journal(run, journal.to_vec());
        *self.test_store.records() = records;
    }

    /// Runs one process without an operator.
    pub async fn run_process(&mut self) -> ProcessEnd {
        self.run_process_with(&mut |_, _, _, _| vec![]).await
    }

    /// Runs one process with an operator, until the process ends.
    pub async fn run_process_with(&mut self, operator: &mut Operator<'_>) -> ProcessEnd {
        self.drive_process(operator, None).await
    }

    /// Runs one process that begins with a request.
    pub async fn run_process_with_request(&mut self, request: &Request) -> ProcessEnd {
        self.drive_process(&mut |_, _, _, _| vec![], Some(request)).await
    }

    async fn drive_process(&mut self, operator: &mut Operator<'_>, request: Option<&Request>) -> ProcessEnd {
        let lbs = self.started().load_balancers.clone();
        let ownership = ownership::acquire(&self.ports, &self.settings, self.plan.marker, &self.run, &lbs, false)
            .await
            .unwrap_or_else(|e| panic!("{e}"));
        let interrupt = Interrupt::default();
        let mut listener = TestSubscriber {
            lab: &self.lab,
            store: self.test_store.clone(),
            run: self.run.clone(),
            interrupt: interrupt.clone(),
            approved: 0,
            operator,
            published: &mut self.published,
        };
        let (ports, settings) = (self.ports.clone(), self.settings.clone());
        let process = async {
            let mut run = RunLoop::open(&self.plan, ports, settings, ownership, interrupt, &mut listener).await?;
            if let Some(request) = request {
                run.carry_out(request).await?.unwrap_or_else(|e| panic!("{e}"));
            }
            run.drive().await
        };
        tokio::select! {
            biased;
            pause = crash(&self.lab) => ProcessEnd::Crashed(pause),
            ending = AssertUnwindSafe(process).catch_unwind() => match ending {
                Ok(ending) => ProcessEnd::Ended(ending.unwrap_or_else(|e| panic!("{e}"))),
                Err(panic) if panic.is::<Crash>() => ProcessEnd::Killed,
                Err(panic) => std::panic::resume_unwind(panic),
            },
        }
    }

    /// Runs one process after another, as after the crashes of a scenario, until a process ends by itself.
    pub async fn run_with(&mut self, operator: &mut Operator<'_>) -> Ending {
        loop {
            match self.run_process_with(operator).await {
                ProcessEnd::Ended(ending) => return ending,
                ProcessEnd::Crashed(pause) => self.sleep(pause).await,
                ProcessEnd::Killed => panic!("the process must not be killed"),
            }
        }
    }

    /// Runs one process after another without an operator, until a process ends by itself.
    pub async fn run(&mut self) -> Ending {
        self.run_with(&mut |_, _, _, _| vec![]).await
    }

    /// Waits in the lab's time.
    pub async fn sleep(&self, time: Duration) {
        self.lab.clock.sleep(time).await;
    }

    /// Stores a request for the run.
    pub fn send_request(&self, request: Request) {
        self.test_store.memory.add_request(&self.run, &request).expect("the request should be stored");
    }

    /// Returns the present state of the simulated AWS.
    pub fn snapshot(&self) -> Snapshot {
        self.lab.model().call(|w, now| {
            w.advance(now);
            w.snapshot()
        })
    }

    /// Returns the `started` event of the run.
    pub fn started(&self) -> &Started {
        self.write_checker.started.get().expect("the run should have started")
    }

    /// Returns the routes that someone else changed or deleted.
    pub fn drifted_routes(&self) -> Vec<String> {
        let records = self.records();
        let mut all: Vec<_> = records
            .into_iter()
            .filter_map(|r| if let Event::Drifted { route, .. } = r.event { Some(route.to_string()) } else { None })
            .collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Returns the output of the run.
    pub fn output(&self) -> String {
        let mut lines = EventLines::new(Style::plain());
        let text: String = self.published.iter().flat_map(|r| lines.lines_for(r)).map(|l| l + "\n").collect();
        let process = format!("process {}, cutover {}", std::process::id(), env!("CARGO_PKG_VERSION"));
        text.replace(&process, "process PID, cutover VERSION")
    }

    /// Returns the records of the journal.
    pub fn records(&self) -> Vec<Record> {
        self.test_store.records().clone()
    }

    /// Asserts the share of each of these clusters on every route, in percent.
    pub fn assert_shares_of(&self, shares: &[(&str, u32)]) {
        let world = self.snapshot();
        for route in &self.started().routes {
            let live = RouteActions::of(&world.routes[route.id.id()]);
            let managed: Vec<_> = route.groups.values().map(String::as_str).collect();
            for (cluster, wanted) in shares {
                let share = live.share(&route.groups[*cluster], &managed);
                assert!((share - f64::from(*wanted)).abs() < 0.5, "{} {cluster}: {live:?}", route.label);
            }
        }
    }

    /// Asserts that every existing route has exactly these shares in percent, and is otherwise as before the run:
    /// shares of other groups, stickiness, other actions. Ignores the routes in `but`.
    pub fn assert_shares(&self, to: u32, but: &[&str]) {
        let world = self.snapshot();
        let started = self.started();
        for route in started.routes.iter().filter(|r| !but.contains(&r.id.id())) {
            let Some(live) = world.routes.get(route.id.id()).map(|a| RouteActions::of(a)) else {
                panic!("{} does not exist", route.label)
            };
            let before = RouteActions::of(&self.before.routes[route.id.id()]);
            let managed: Vec<_> = route.groups.values().map(String::as_str).collect();
            let (from, green) = (&route.groups[&self.plan.strategy.from], &route.groups[&self.plan.strategy.to]);
            let share = |g: &str| live.share(g, &managed);
            assert!(
                (share(green) - f64::from(to)).abs() < 0.5 && (share(from) - f64::from(100 - to)).abs() < 0.5,
                "{}: {live:?}",
                route.label
            );
            for third in before.weights.keys().filter(|g| !managed.contains(&g.as_str())) {
                assert!(
                    (before.part(third) - live.part(third)).abs() < 1e-9,
                    "{}: {third} has another share",
                    route.label
                );
            }
            assert_eq!(before.rest, live.rest, "{}: something else changed", route.label);
        }
    }

    /// Asserts that every route has its original weights, with the new groups attached at weight 0 or not at all, and
    /// is otherwise as before the run.
    pub fn assert_original(&self, but: &[&str]) {
        let world = self.snapshot();
        let started = self.started();
        for route in started.routes.iter().filter(|r| !but.contains(&r.id.id())) {
            let live = RouteActions::of(
                world.routes.get(route.id.id()).unwrap_or_else(|| panic!("{} does not exist", route.label)),
            );
            let before = RouteActions::of(&self.before.routes[route.id.id()]);
            let some = |f: &RouteActions| {
                f.weights.iter().filter(|(_, w)| **w > 0).map(|(g, w)| (g.clone(), *w)).collect::<BTreeMap<_, _>>()
            };
            let lone = before.weights.len() == 1;
            if lone {
                assert!(some(&live).keys().eq(some(&before).keys()), "{}: {live:?}", route.label);
            } else {
                assert_eq!(some(&live), some(&before), "{}", route.label);
            }
            let known = |g: &String| before.weights.contains_key(g) || route.groups.values().any(|own| own == g);
            assert!(live.weights.keys().all(known), "{}: {live:?}", route.label);
            assert_eq!(before.rest, live.rest, "{}: something else changed", route.label);
        }
    }

    /// Asserts that the new groups are attached with weight 0 on every route.
    pub fn assert_attached(&self) {
        let world = self.snapshot();
        for route in &self.started().routes {
            let live = RouteActions::of(&world.routes[route.id.id()]);
            assert_eq!(live.weights.get(&route.groups[&self.plan.strategy.to]), Some(&0), "{}: {live:?}", route.label);
        }
    }
}

/// Returns the exit code of an ending.
pub fn exit(ending: &Ending) -> Exit {
    drive::exit_of(ending)
}

/// Returns the name of an ending for assertions.
pub fn ending_name(ending: &Ending) -> &'static str {
    match ending {
        Ending::Finished { outcome: RunOutcome::Completed, .. } => "completed",
        Ending::Finished { outcome: RunOutcome::RolledBack, .. } => "rolled back",
        Ending::Finished { outcome: RunOutcome::Aborted, .. } => "aborted",
        Ending::Stopped(StopReason::Drift, _) => "drift",
        Ending::Stopped(StopReason::Stuck, _) => "stuck",
        Ending::Stopped(StopReason::Waiting, _) => "waiting",
        Ending::Stopped(StopReason::Lock, _) => "lock",
        Ending::Stopped(StopReason::Interrupted, _) => "interrupted",
    }
}

/// A run that is frozen for this long does not continue in any scenario.
const FROZEN_LIMIT: SignedDuration = SignedDuration::from_mins(45);

struct TestSubscriber<'a, 'b> {
    lab: &'a RehearsalLab,
    store: CrashingStore,
    run: String,
    interrupt: Interrupt,
    approved: usize,
    operator: &'a mut Operator<'b>,
    published: &'a mut Vec<Record>,
}

impl Subscriber for TestSubscriber<'_, '_> {
    fn record(&mut self, record: &Record) {
        if let Some(measured) = self.lab.on_event(&record.event) {
            self.published.push(Record { seq: 0, event: Event::ClientsMeasured(measured), ..record.clone() });
        }
        self.published.push(record.clone());
    }

    fn iteration_ended(&mut self, state: &State, watch: &Observed, waits: &[Wait], now: Timestamp) {
        let waited = now.duration_since(state.step_since) >= SignedDuration::from_mins(1);
        let mut requests = (self.operator)(state, watch, waits, now);
        if state.phase == Phase::AwaitingApproval && self.approved != state.step && waited {
            self.approved = state.step;
            requests.push(Request::Approve { by: "bob@lab".into() });
        }
        requests.extend(self.lab.model().change(World::operator_requests).into_iter().map(to_request));
        for request in requests {
            self.store.memory.add_request(&self.run, &request).expect("the request should be stored");
        }
        if let Some(Frozen { message, since, .. }) = &state.frozen
            && now.duration_since(*since) >= FROZEN_LIMIT
        {
            self.interrupt.request(StopReason::Waiting, message.clone());
        }
    }
}

fn to_request(request: OperatorRequest) -> Request {
    let by = "person@lab".to_owned();
    match request {
        OperatorRequest::Approve => Request::Approve { by },
        OperatorRequest::Promote => Request::Promote { by, full: false },
        OperatorRequest::Pause => Request::Pause { by, reason: String::new() },
        OperatorRequest::Resume => Request::Resume { by, mode: ResumeMode::PLAIN, ignore_hours: None },
        OperatorRequest::Abort => Request::Abort { by, to_step: None },
    }
}

/// Waits until the scenario crashes the process; returns the time until the next process starts.
async fn crash(lab: &RehearsalLab) -> Duration {
    loop {
        if let Some(pause) = lab.model().change(World::crash_due) {
            return pause;
        }
        lab.clock.sleep(Duration::from_secs(1)).await;
    }
}
