//! A plan on a lab's stage in virtual time, with a run that lives and dies as a test wants.

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
use cutover::engine::{Audience, Ending, Interrupt, Ports, RunLoop, Settings, ownership};
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

use super::face::Face;
use super::store::{Crash, Ledger};
use super::witness::Witness;

/// The operator: returns the requests that are due. Called at each turn.
pub type Person<'a> = dyn FnMut(&State, &Observed, &[Wait], Timestamp) -> Vec<Request> + Send + 'a;

/// How a process ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Life {
    Ended(Ending),
    /// It died, by the scenario, and is to come back after so long.
    Crashed(Duration),
    /// It died at a record.
    Killed,
}

/// A stage with a run.
pub struct Theatre {
    pub plan: Plan,
    pub stage: RehearsalLab,
    pub ledger: Ledger,
    pub witness: Arc<Witness>,
    pub ports: Ports,
    pub settings: Settings,
    pub run: String,
    /// The world as it was before the run.
    pub before: Snapshot,
    /// Every record that the audience got, with measurements.
    pub told: Vec<Record>,
}

/// A plan file.
pub fn plan(path: &str) -> Plan {
    let bytes = std::fs::read(path).expect("a plan");
    cutover::plan::lint(path, &bytes).unwrap_or_else(|_| panic!("{path} does not parse"))
}

/// A plan from its text.
pub fn plan_of(text: &str) -> Plan {
    cutover::plan::lint("test.yaml", text.as_bytes()).unwrap_or_else(|e| panic!("{}", e))
}

/// A scenario of the examples.
pub fn example(name: &str) -> Scenario {
    let path = format!("examples/scenarios/{name}.yaml");
    let text = std::fs::read_to_string(Path::new(&path)).expect("a scenario");
    Scenario::parse(&path, &text).expect("it parses")
}

/// A scenario from its `spec`.
pub fn scenario(spec: &str) -> Scenario {
    let text = format!("apiVersion: cutover.dev/v1alpha1\nkind: Scenario\nmetadata: {{name: test}}\nspec: {spec}\n");
    Scenario::parse("test.yaml", &text).unwrap_or_else(|e| panic!("{e}"))
}

impl Theatre {
    /// A stage with a run that was begun: locks, marker, `started`.
    pub async fn begin(plan: Plan, scenario: &Scenario) -> Self {
        Self::begin_with(plan, scenario, |_| {}).await
    }

    /// A stage with a run that was begun with changed settings.
    pub async fn begin_with(plan: Plan, scenario: &Scenario, change: impl FnOnce(&mut Settings)) -> Self {
        Self::begin_at(plan, scenario, Options { speed: None, rate: Some(2.0) }, change).await
    }

    /// A stage with a run that was begun with changed settings and other traffic.
    pub async fn begin_at(
        plan: Plan,
        scenario: &Scenario,
        options: Options,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        let stage =
            RehearsalLab::virtual_time(plan.clone(), scenario, 1, options).await.unwrap_or_else(|e| panic!("{e}"));
        let before = stage.model().call(|w, _| w.snapshot());
        let ledger = Ledger::default();
        let witness = Arc::new(Witness {
            inner: Arc::clone(&stage.balancer.traffic),
            shell: stage.model().clone(),
            plan: Mutex::new(Arc::new(plan.clone())),
            ledger: ledger.clone(),
            started: OnceLock::new(),
            writes: Mutex::default(),
        });
        let store: Arc<dyn Store> = Arc::new(ledger.clone());
        let (clusters, metrics) = (stage.clusters.clone(), Arc::clone(&stage.metrics));
        let ports = Ports {
            balancer: LoadBalancerApi { traffic: Arc::clone(&witness) as _, ..stage.balancer.clone() },
            clusters,
            metrics,
            hooks: Arc::clone(&stage.hooks),
            clock: Arc::clone(&stage.clock),
            store,
        };
        let prepared = prepare(&plan, &ports, 1).await;
        if let Some(refusal) = prepared.refusal() {
            panic!("{refusal}");
        }
        let started = prepared.started_event(&plan, "alice@mac", 1, None).unwrap_or_else(|e| panic!("{e}"));
        let _ = witness.started.set(started.clone());
        let things = started.groups.len() + started.routes.len().div_ceil(20) + started.load_balancers.len();
        let mut settings =
            Settings { leave_when_frozen: true, ..Settings::new("alice@mac".into(), "mac".into(), things) };
        change(&mut settings);
        let run = run_id(&plan.name, ports.clock.now(), &mut fastrand::Rng::with_seed(1));
        drop(
            ownership::own_new_run(&ports, &settings, plan.marker, &run, started)
                .await
                .unwrap_or_else(|e| panic!("{e}")),
        );
        let told = ledger.records().clone();
        Self { plan, stage, ledger, witness, ports, settings, run, before, told }
    }

    /// Continues with the run of this journal instead of the one that was begun, and with the plan in the journal.
    pub fn take_up(&mut self, run: &str, journal: &[u8], records: Vec<Record>) {
        if run != self.run {
            self.ledger.memory.remove(&self.run);
        }
        run.clone_into(&mut self.run);
        let Some(Event::Started(started)) = records.first().map(|r| &r.event) else { panic!("no start") };
        self.plan = cutover::domain::run::frozen_plan::plan(started);
        *self.witness.plan.lock().expect("a lock") = Arc::new(self.plan.clone());
        self.ledger.memory.set_journal(run, journal.to_vec());
        *self.ledger.records() = records;
    }

    /// One process, without an operator.
    pub async fn live(&mut self) -> Life {
        self.live_with(&mut |_, _, _, _| vec![]).await
    }

    /// One process and an operator, until the process ends.
    pub async fn live_with(&mut self, person: &mut Person<'_>) -> Life {
        self.process(person, None).await
    }

    /// One process that begins with a request.
    pub async fn called(&mut self, request: &Request) -> Life {
        self.process(&mut |_, _, _, _| vec![], Some(request)).await
    }

    async fn process(&mut self, person: &mut Person<'_>, request: Option<&Request>) -> Life {
        let lbs = self.started().load_balancers.clone();
        let ownership = ownership::acquire(&self.ports, &self.settings, self.plan.marker, &self.run, &lbs, false)
            .await
            .unwrap_or_else(|e| panic!("{e}"));
        let interrupt = Interrupt::default();
        let mut listener = Listener {
            stage: &self.stage,
            store: self.ledger.clone(),
            run: self.run.clone(),
            interrupt: interrupt.clone(),
            approved: 0,
            person,
            told: &mut self.told,
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
            pause = crash(&self.stage) => Life::Crashed(pause),
            ending = AssertUnwindSafe(process).catch_unwind() => match ending {
                Ok(ending) => Life::Ended(ending.unwrap_or_else(|e| panic!("{e}"))),
                Err(panic) if panic.is::<Crash>() => Life::Killed,
                Err(panic) => std::panic::resume_unwind(panic),
            },
        }
    }

    /// Process after process, as after the scenario's crashes, until one ends.
    pub async fn run_with(&mut self, person: &mut Person<'_>) -> Ending {
        loop {
            match self.live_with(person).await {
                Life::Ended(ending) => return ending,
                Life::Crashed(pause) => self.sleep(pause).await,
                Life::Killed => panic!("nothing kills it"),
            }
        }
    }

    /// Process after process, without an operator, until one ends.
    pub async fn run(&mut self) -> Ending {
        self.run_with(&mut |_, _, _, _| vec![]).await
    }

    /// The lab's time passes.
    pub async fn sleep(&self, time: Duration) {
        self.stage.clock.sleep(time).await;
    }

    /// Leaves a request.
    pub fn ask(&self, request: Request) {
        self.ledger.memory.add_request(&self.run, &request).expect("in memory");
    }

    /// The world as it is.
    pub fn world(&self) -> Snapshot {
        self.stage.model().call(|w, now| {
            w.advance(now);
            w.snapshot()
        })
    }

    /// The beginning of the run.
    pub fn started(&self) -> &Started {
        self.witness.started.get().expect("started")
    }

    /// Routes that someone else changed or deleted.
    pub fn drifted(&self) -> Vec<String> {
        let records = self.records();
        let mut all: Vec<_> = records
            .into_iter()
            .filter_map(|r| if let Event::Drifted { route, .. } = r.event { Some(route.to_string()) } else { None })
            .collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The output of the run, line by line.
    pub fn lines(&self) -> String {
        let mut lines = EventLines::new(Style::plain());
        let text: String = self.told.iter().flat_map(|r| lines.lines_for(r)).map(|l| l + "\n").collect();
        let process = format!("process {}, cutover {}", std::process::id(), env!("CARGO_PKG_VERSION"));
        text.replace(&process, "process PID, cutover VERSION")
    }

    /// The records of the journal with their times.
    pub fn records(&self) -> Vec<Record> {
        self.ledger.records().clone()
    }

    /// Asserts that every route that still exists has exactly these shares in percent, and is else as it was before the
    /// run: other groups' parts, stickiness, other actions. Routes named in `but` are not looked at.
    pub fn assert_shares(&self, to: u32, but: &[&str]) {
        let world = self.world();
        let started = self.started();
        for route in started.routes.iter().filter(|r| !but.contains(&r.id.id())) {
            let Some(live) = world.routes.get(route.id.id()).map(|a| Face::of(a)) else {
                panic!("{} is gone", route.label)
            };
            let before = Face::of(&self.before.routes[route.id.id()]);
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
                    "{}: {third} has another part",
                    route.label
                );
            }
            assert_eq!(before.rest, live.rest, "{}: something else changed", route.label);
        }
    }

    /// Asserts that every route has its original weights, the new groups attached at weight 0 or not at all, and is
    /// else as it was.
    pub fn assert_original(&self, but: &[&str]) {
        let world = self.world();
        let started = self.started();
        for route in started.routes.iter().filter(|r| !but.contains(&r.id.id())) {
            let live = Face::of(world.routes.get(route.id.id()).unwrap_or_else(|| panic!("{} is gone", route.label)));
            let before = Face::of(&self.before.routes[route.id.id()]);
            let some = |f: &Face| {
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

    /// Asserts that the new groups are attached at weight 0 on every route.
    pub fn assert_attached(&self) {
        let world = self.world();
        for route in &self.started().routes {
            let live = Face::of(&world.routes[route.id.id()]);
            assert_eq!(live.weights.get(&route.groups[&self.plan.strategy.to]), Some(&0), "{}: {live:?}", route.label);
        }
    }
}

/// The exit code that an ending means.
pub fn exit(ending: &Ending) -> Exit {
    drive::exit_of(ending)
}

/// A word for an ending.
pub fn word(ending: &Ending) -> &'static str {
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

/// Frozen for this long: nothing in a scenario changes that any more.
const STALL: SignedDuration = SignedDuration::from_mins(45);

struct Listener<'a, 'b> {
    stage: &'a RehearsalLab,
    store: Ledger,
    run: String,
    interrupt: Interrupt,
    approved: usize,
    person: &'a mut Person<'b>,
    told: &'a mut Vec<Record>,
}

impl Audience for Listener<'_, '_> {
    fn record(&mut self, record: &Record) {
        if let Some(measured) = self.stage.on_event(&record.event) {
            self.told.push(Record { seq: 0, event: Event::ClientsMeasured(measured), ..record.clone() });
        }
        self.told.push(record.clone());
    }

    fn turn(&mut self, state: &State, watch: &Observed, waits: &[Wait], now: Timestamp) {
        let waited = now.duration_since(state.step_since) >= SignedDuration::from_mins(1);
        let mut requests = (self.person)(state, watch, waits, now);
        if state.phase == Phase::AwaitingApproval && self.approved != state.step && waited {
            self.approved = state.step;
            requests.push(Request::Approve { by: "bob@lab".into() });
        }
        requests.extend(self.stage.model().change(World::operator_requests).into_iter().map(asked));
        for request in requests {
            self.store.memory.add_request(&self.run, &request).expect("in memory");
        }
        if let Some(Frozen { message, since, .. }) = &state.frozen
            && now.duration_since(*since) >= STALL
        {
            self.interrupt.request(StopReason::Waiting, message.clone());
        }
    }
}

fn asked(request: OperatorRequest) -> Request {
    let by = "person@lab".to_owned();
    match request {
        OperatorRequest::Approve => Request::Approve { by },
        OperatorRequest::Promote => Request::Promote { by, full: false },
        OperatorRequest::Pause => Request::Pause { by, reason: String::new() },
        OperatorRequest::Resume => Request::Resume { by, mode: ResumeMode::PLAIN },
        OperatorRequest::Abort => Request::Abort { by, to_step: None },
    }
}

/// Returns when the scenario kills the process.
async fn crash(stage: &RehearsalLab) -> Duration {
    loop {
        if let Some(pause) = stage.model().change(World::crash_due) {
            return pause;
        }
        stage.clock.sleep(Duration::from_secs(1)).await;
    }
}
