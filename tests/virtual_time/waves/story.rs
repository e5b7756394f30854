//! The story of a migration of three days, in virtual time, with the plan that `init` writes for a whole cluster: two
//! shifts, a detached run, a wave that fails its guard, an edited gate, a postponed service, and the retirement of the old
//! cluster. Through the real engine and adapters; each process has its own owner and machine.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cutover::adapter::store::memory::MemoryStore;
use cutover::app::drive;
use cutover::app::exit::Exit;
use cutover::app::find::{self, StoredRun};
use cutover::app::finished_waves::{done_runs, exit_after, guard_runs_while};
use cutover::app::prepare::prepare;
use cutover::app::view::RunView;
use cutover::app::waves::{self, WaveDue, WaveRuns, WaveToBegin, after_wave, to_begin};
use cutover::base::finding::{Code, Finding};
use cutover::cli::render;
use cutover::cli::render::report::{ReportInput, html_of_runs, markdown};
use cutover::cli::render::style::Style;
use cutover::domain::decide::finalize::{ConditionStatus, blocked_by_run, judge, worst_status};
use cutover::domain::run::event::{Event, Record, RunOutcome, StopReason, Wait};
use cutover::domain::run::observation::Observed;
use cutover::domain::run::state::State;
use cutover::domain::view::final_weights::final_weights;
use cutover::domain::view::history::History;
use cutover::domain::waves::{NextWave, WaveStatus};
use cutover::engine::ownership::{self, Ownership};
use cutover::engine::{Ending, Interrupt, Ports, RunLoop, Settings, Subscriber, WatchList, finalize};
use cutover::lab::rehearsal::{Options, RehearsalLab};
use cutover::plan::model::Plan;
use cutover::port::store::{Request, Store, run_id};
use jiff::{SignedDuration, Timestamp};

use super::migration::SilentSurface;
use crate::engine::test_run::{plan_of, ports_of, scenario};
use crate::engine::whole_cluster::{Size, written_plan};

const SIZE: Size = Size { services: 12, balancers: 5, namespaces: 4 };

/// The wave whose targets are faulty, and the faults: half of the new pods of one of its services answer with errors for
/// four minutes, in the third pause of the first attempt and in the fourth pause of the second attempt.
const FAULTY: &str = "team-2";
const FAULTS: &str = "{faults: [
  {at: {step: \"8\"}, error: {cluster: green, workload: s06, percent: 50, for: 4m}},
  {at: {step: \"10\"}, error: {cluster: green, workload: s06, percent: 50, for: 4m}}]}";

/// The longest time between two complete observations: two passes over all groups with the plan's `apiBudget`. The guard
/// fails after 90 seconds.
const MAX_GAP: SignedDuration = SignedDuration::from_secs(64);

/// The hours of a night, in which nobody works. Nights are short, because the lab simulates each health check.
const NIGHT: u64 = 3;

/// A process: its user and machine, and its id there.
#[derive(Clone, Copy)]
struct Person(&'static str, u32);

const ALICE: Person = Person("alice@desk", 1);
const JOB: Person = Person("job@pod", 2);
const BOB: Person = Person("bob@night", 3);
const CAROL: Person = Person("carol@desk", 4);
const DORA: Person = Person("dora@desk", 5);

struct Story {
    lab: RehearsalLab,
    store: Arc<dyn Store>,
    /// The plan file as the team has edited it so far.
    file: String,
    plan: Plan,
    /// The owner and the time of each observation of each run.
    observed: Mutex<BTreeMap<String, Vec<(Timestamp, &'static str)>>>,
}

struct StorySubscriber<'a> {
    story: &'a Story,
    wave: String,
    who: Person,
}

impl Subscriber for StorySubscriber<'_> {
    fn record(&mut self, record: &Record) {
        // A fault waits for a step of one wave, and the steps of all waves have the same numbers.
        if let Event::StepStarted { step, .. } = &record.event
            && self.wave == FAULTY
        {
            self.story.lab.model().change(|world, now| world.step_started(*step, None, now));
        }
    }

    fn iteration_ended(&mut self, state: &State, observed: &Observed, _: &[Wait], _: Timestamp) {
        let Some(at) = observed.last_full else { return };
        let mut all = self.story.observed.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(state.run.clone()).or_default().push((at, self.who.0));
    }
}

impl Story {
    async fn new() -> Self {
        let file = written_plan(SIZE).await;
        // Fewer observations and shorter pauses take less time.
        let file = file.replace("region: eu-central-1\n", "region: eu-central-1\n    apiBudget: 0.25\n");
        let file = file.replace("duration: 1h", "duration: 20m").replace("duration: 30m", "duration: 10m");
        let plan = plan_of(&file);
        let options = Options { speed: None, rate: Some(0.2) };
        let lab = RehearsalLab::virtual_time(plan.clone(), &scenario(FAULTS), 1, options).await;
        let lab = lab.unwrap_or_else(|e| panic!("{e}"));
        Self { lab, store: Arc::new(MemoryStore::new()), file, plan, observed: Mutex::default() }
    }

    fn ports(&self) -> Ports {
        Ports { store: Arc::clone(&self.store), ..ports_of(&self.lab) }
    }

    fn settings(Person(owner, pid): Person, plan: &Plan, calls: usize) -> Settings {
        let host = owner.split('@').nth(1).unwrap_or_default();
        let settings = Settings::new(owner.to_owned(), host.to_owned(), calls).for_plan(plan);
        let settings = settings.with_api_budget(plan.api_budget, calls);
        Settings { pid, exit_when_frozen: true, ..settings }
    }

    async fn hours(&self, hours: u64) {
        self.lab.clock.sleep(Duration::from_hours(hours)).await;
    }

    /// Replaces parts of the plan file.
    fn edit(&mut self, parts: &[(&str, &str)]) {
        for (old, new) in parts {
            assert_eq!(self.file.matches(old).count(), 1, "{old:?} in\n{}", self.file);
            self.file = self.file.replace(old, new);
        }
        self.plan = plan_of(&self.file);
    }

    async fn runs(&self) -> WaveRuns {
        WaveRuns::read(&*self.store, &self.plan).await.unwrap_or_else(|e| panic!("{e}"))
    }

    /// Returns the state of each wave.
    async fn states(&self) -> Vec<(String, WaveStatus)> {
        let runs = self.runs().await;
        let views = runs.migration(&self.plan, false).views();
        views.into_iter().map(|view| (view.wave, view.status)).collect()
    }

    /// Does what `cutover check` does: returns the findings about the waves. The checks of the waves must pass.
    async fn check(&self) -> Vec<Finding> {
        let runs = self.runs().await;
        let migration = runs.migration(&self.plan, false);
        let edited = waves::edited(&*self.store, &self.plan, &runs).await.unwrap_or_else(|e| panic!("{e}"));
        for wave in to_begin(&self.plan, &migration) {
            let prepared = prepare(&wave.plan, &self.ports(), 1).await;
            assert_eq!(prepared.refusal().map(|failure| failure.to_string()), None, "{}", wave.name());
        }
        waves::changed(&self.plan, &migration).into_iter().chain(edited).collect()
    }

    /// Returns the next wave, as `run` asks about it.
    async fn next(&self) -> WaveToBegin {
        let runs = self.runs().await;
        let next = to_begin(&self.plan, &runs.migration(&self.plan, false)).into_iter().next();
        next.expect("a wave should not be done")
    }

    /// Starts the run of a wave, and does not drive it.
    async fn begin(&self, who: Person, wave: &WaveToBegin) -> Ownership {
        let (ports, plan) = (self.ports(), &wave.plan);
        let prepared = prepare(plan, &ports, 1).await;
        if let Some(refusal) = prepared.refusal() {
            panic!("{refusal}");
        }
        let mut started = prepared.started_event(plan, who.0, 1, None).unwrap_or_else(|e| panic!("{e}"));
        let run = run_id(&plan.name, ports.clock.now(), &mut fastrand::Rng::with_seed(1));
        started.join_migration(wave.migration.as_deref().unwrap_or(&run));
        let settings = Self::settings(who, plan, started.groups.len() + 2);
        let known = self.runs().await.known;
        let owned = ownership::own_new_run_checked(&ports, &settings, plan.marker, &run, started, Some(&known));
        owned.await.unwrap_or_else(|e| panic!("{e}"))
    }

    async fn open(&self, run: &str) -> StoredRun {
        let run = self.runs().await.summary(run).expect("the run should be stored").clone();
        find::open(&*self.store, run).await.unwrap_or_else(|e| panic!("{e}"))
    }

    fn settings_of(who: Person, found: &StoredRun) -> Settings {
        let state = found.state().unwrap_or_else(|e| panic!("{e}"));
        Self::settings(who, &found.plan, WatchList::of(&found.plan, &state).calls())
    }

    /// Drives a run to the end of the process, and guards the waves that are done.
    async fn drive(&self, who: Person, ownership: Ownership, request: Option<&Request>) -> (Ending, Exit) {
        let found = self.open(ownership.run()).await;
        let settings = Self::settings_of(who, &found);
        let wave = found.plan.wave_name().unwrap_or_default().to_owned();
        let work = async {
            let mut subscriber = StorySubscriber { story: self, wave, who };
            let opened =
                RunLoop::open(&found.plan, self.ports(), settings, ownership, Interrupt::default(), &mut subscriber);
            let mut run = opened.await.unwrap_or_else(|e| panic!("{e}"));
            if let Some(request) = request {
                run.carry_out(request).await.unwrap_or_else(|e| panic!("{e}")).unwrap_or_else(|why| panic!("{why}"));
            }
            let ending = run.drive().await.unwrap_or_else(|e| panic!("{e}"));
            run.release().await;
            ending
        };
        let done = done_runs(&*self.store, &found.plan).await.unwrap_or_else(|e| panic!("{e}"));
        let done = done.into_iter().map(|found| (found, self.ports())).collect();
        let surface = SilentSurface::default();
        let (ending, rolled_back) = Box::pin(guard_runs_while(&surface, done, work)).await;
        assert!(rolled_back.is_empty(), "{rolled_back:?}");
        if std::env::var("CUTOVER_STORY").is_ok() {
            let found = self.open(&found.run.id).await;
            println!("{}", render::history::run_events(&found.records, &Style::plain()));
        }
        let exit = exit_after(&surface, drive::exit_of(&ending), &rolled_back);
        (ending, exit)
    }

    /// Does what `cutover run --wave` does with the next wave.
    async fn run_next(&self, who: Person) -> Exit {
        let wave = self.next().await;
        let ownership = self.begin(who, &wave).await;
        let (_, exit) = self.drive(who, ownership, None).await;
        after_wave(&*self.store, &self.plan, exit).await.unwrap_or_else(|e| panic!("{e}")).0
    }

    /// Does what `resume --take-over` does.
    async fn take_over(&self, who: Person, run: &str) -> (Ending, Exit) {
        let found = self.open(run).await;
        let settings = Self::settings_of(who, &found);
        let owned =
            ownership::take_over_run(&self.ports(), &settings, found.plan.marker, run, &found.run.load_balancers).await;
        self.drive(who, owned.unwrap_or_else(|e| panic!("{e}")), None).await
    }

    /// Returns what `cutover status PLAN` prints, without an observation.
    async fn status(&self) -> String {
        let found =
            find::run_to_show(&*self.store, Some(&self.plan.name), false).await.unwrap_or_else(|e| panic!("{e}"));
        let state = found.state().unwrap_or_else(|e| panic!("{e}"));
        let now = self.lab.clock.now();
        let heartbeat = self.store.heartbeat(&found.run.id).await;
        let waves = self.runs().await.migration(&self.plan, false).views();
        let view = RunView::of(&found.plan, &state, None, &found.waits(&state, now), now);
        let view = RunView { waves, ..view.with_heartbeat(heartbeat.as_ref()) };
        render::status::text(&view, &Style::plain())
    }

    /// Opens the runs of the migration, in order.
    async fn migration(&self) -> Vec<StoredRun> {
        let mut all = Vec::new();
        for run in self.runs().await.known.into_iter().rev() {
            all.push(find::open(&*self.store, run).await.unwrap_or_else(|e| panic!("{e}")));
        }
        all
    }

    /// Returns the names of the `cutover.dev/` tags of the load balancers and routes.
    fn tags(&self) -> Vec<String> {
        let snapshot = self.lab.model().call(|world, _| world.snapshot());
        let names = snapshot.tags.values().flat_map(|tags| tags.keys().cloned());
        names.filter(|name| name.starts_with("cutover.dev/")).collect()
    }

    /// The first day: the first shift runs a wave and detaches the next one; the second shift takes it over.
    async fn first_day(&self) {
        assert_eq!(self.check().await, []);
        assert_eq!(self.run_next(ALICE).await, Exit::Waiting, "later waves are not done");
        let wave = self.next().await;
        let ownership = self.begin(ALICE, &wave).await;
        let run = ownership.run().to_owned();
        // `run --detach` releases the locks and makes a Job, whose pod continues the run.
        ownership.release().await;
        let found = self.open(&run).await;
        let settings = Self::settings_of(JOB, &found);
        let ports = self.ports();
        let owned = ownership::acquire(&ports, &settings, found.plan.marker, &run, &found.run.load_balancers, false);
        let job = Box::pin(self.drive(JOB, owned.await.unwrap_or_else(|e| panic!("{e}")), None));
        let second_shift = Box::pin(async {
            self.lab.clock.sleep(Duration::from_mins(40)).await;
            let status = self.status().await;
            assert!(status.contains("job@pod") && !status.contains("UNGUARDED"), "{status}");
            self.take_over(BOB, &run).await
        });
        let ((job_ending, job_exit), (_, exit)) = futures::join!(job, second_shift);
        assert!(
            matches!(&job_ending, Ending::Stopped(StopReason::Lock, why) if why.contains("bob@night")),
            "the process says who took the run over: {job_ending:?}"
        );
        assert_eq!((job_exit, exit), (Exit::Locked, Exit::Done));
        self.assert_no_gap(&run);
    }

    /// Asserts that two processes observed a run one after the other, without a gap. The first one may observe once more
    /// before it sees that it has lost the run.
    fn assert_no_gap(&self, run: &str) {
        let all = self.observed.lock().unwrap_or_else(PoisonError::into_inner);
        let by = |who: Person| all[run].iter().filter(move |(_, owner)| *owner == who.0).map(|(at, _)| *at);
        let (job_left, bob_came) = (by(JOB).max().expect("the job observes"), by(BOB).min().expect("bob observes"));
        assert!(job_left.duration_since(bob_came) <= MAX_GAP, "{job_left} {bob_came}");
        for pair in all[run].windows(2) {
            assert!(pair[1].0.duration_since(pair[0].0) <= MAX_GAP, "nobody observed the run between {pair:?}");
        }
    }

    /// The second day: the third wave fails its guard and goes back; the team edits the guard and tries again.
    async fn second_day(&mut self) {
        let status = self.status().await;
        assert_eq!(status.matches("done, UNGUARDED").count(), 2, "{status}");
        assert_eq!(self.next().await.name(), FAULTY);
        assert_eq!(self.run_next(CAROL).await, Exit::RolledBack);
        let states = self.states().await;
        let expected = [WaveStatus::Done, WaveStatus::Done, WaveStatus::RolledBack, WaveStatus::Waiting];
        assert_eq!(states.iter().map(|(_, state)| *state).collect::<Vec<_>>(), expected);
        self.assert_step_does_nothing().await;
        assert_eq!(self.check().await, [], "the plan has not changed");
        self.edit(&[(
            "  strategy:\n    from: blue\n",
            "  strategy:\n    gates:\n      targetHealth:\n        guard: {minHealthyPercent: 40}\n    from: blue\n",
        )]);
        let notes = self.check().await;
        let [edited] = notes.as_slice() else { panic!("{notes:?}") };
        let help = edited.help.as_deref().unwrap_or_default();
        assert!(edited.code == Code::CUT316 && edited.message.contains("wave team-2 (rolled back)"), "{edited:?}");
        assert!(help.contains("+        guard: {minHealthyPercent: 40}"), "{help}");
        assert!(!help.contains("- name:") && !help.contains("- setWeight"), "only what changed: {help}");
        self.assert_step_does_nothing().await;
        let again = self.next().await;
        let failed = self.runs().await.known[0].id.clone();
        assert_eq!(
            (again.name(), again.rolled_back.as_ref()),
            (FAULTY, Some(&failed)),
            "`run` asks about the failed run"
        );
        assert_eq!(self.run_next(CAROL).await, Exit::Waiting, "the edited guard bears the same fault");
    }

    async fn assert_step_does_nothing(&self) {
        let runs = self.runs().await;
        let due = waves::due(&self.store, &self.plan, &runs, None).await.unwrap_or_else(|e| panic!("{e}"));
        let WaveDue::Nothing(text, Exit::RolledBack) = due else { panic!("`step` must not repeat a wave") };
        assert!(text.contains("the wave team-2 was rolled back") && text.contains("cutover run"), "{text}");
    }

    /// The team moves a service of the next wave into a new, later wave. Waves that are done stay done.
    async fn postpone(&mut self) {
        let later = "  - name: later\n    workloads:\n    - s07\n  strategy:\n    gates:";
        self.edit(&[("    - s07\n", ""), ("  strategy:\n    gates:", later)]);
        let notes = self.check().await;
        assert_eq!(notes.iter().map(|note| note.code).collect::<Vec<_>>(), [Code::CUT316], "{notes:?}");
        let waiting: Vec<_> = self.states().await.into_iter().filter(|(_, state)| *state != WaveStatus::Done).collect();
        let names: Vec<_> = waiting.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["team-3", "later"]);
        // A service of a wave that is done has moved; a wave cannot lose it.
        let mut wrong = plan_of(&self.file);
        let moved = wrong.waves[0].workloads.pop().expect("the wave should have workloads");
        wrong.waves[4].workloads.push(moved.clone());
        let runs = self.runs().await;
        let found = waves::changed(&wrong, &runs.migration(&wrong, false));
        assert!(found[0].code == Code::CUT313 && found[0].message.contains(&moved), "{found:?}");
    }

    /// The third day: the other waves; then the old cluster is retired.
    async fn third_day(&self) {
        assert_eq!(self.run_next(DORA).await, Exit::Waiting);
        let runs = self.runs().await;
        let migration = runs.migration(&self.plan, false);
        assert_eq!(migration.next(), NextWave::Begin { wave: "later".to_owned() }, "`finalize` refuses");
        assert_eq!(self.run_next(DORA).await, Exit::Done);
        self.hours(1).await;
        assert_eq!(self.runs().await.to_roll_back().count(), 5, "each wave can go back");
        self.assert_moved(100).await;
        let mut weights = 0;
        for found in self.migration().await.iter().filter(|found| found.run.finished == Some(RunOutcome::Completed)) {
            weights += self.assert_retirable(found).await;
            let settings = Self::settings_of(DORA, found);
            let (marker, balancers) = (found.plan.marker, &found.run.load_balancers);
            let owned = ownership::acquire(&self.ports(), &settings, marker, &found.run.id, balancers, false).await;
            let request = Request::Detach { by: DORA.0.to_owned(), bindings: false };
            let (ending, exit) = self.drive(DORA, owned.unwrap_or_else(|e| panic!("{e}")), Some(&request)).await;
            assert_eq!(exit, Exit::Done, "{ending:?}");
        }
        assert_eq!(weights, SIZE.services, "a final weight for each route");
        assert_eq!(self.runs().await.to_roll_back().count(), 0, "nothing can go back");
        assert_eq!(self.tags(), Vec::<String>::new());
    }

    /// Asserts that `finalize` retires the old cluster of a run. Returns the number of routes with final weights.
    async fn assert_retirable(&self, found: &StoredRun) -> usize {
        let quiet = Duration::from_mins(15);
        let state = found.state().unwrap_or_else(|e| panic!("{e}"));
        assert!(blocked_by_run(&found.plan, &state).is_none());
        let facts = finalize::read_facts(&found.plan, &state, &self.ports(), quiet).await;
        let items = judge(&found.plan, &state, &found.records, &facts, quiet, self.lab.clock.now());
        assert_eq!(worst_status(&items), ConditionStatus::Yes, "{}: {items:?}", found.run.id);
        final_weights(&found.plan, &state).len()
    }

    /// Asserts the share of the new cluster on every route of the migration.
    async fn assert_moved(&self, share: u32) {
        for found in self.migration().await.iter().filter(|found| found.run.finished == Some(RunOutcome::Completed)) {
            let state = found.state().unwrap_or_else(|e| panic!("{e}"));
            let ids: Vec<_> = state.routes.keys().cloned().collect();
            let live = self.lab.balancer.traffic.routes(&ids).await;
            for (id, route) in &state.routes {
                let content = live[id].as_ref().unwrap_or_else(|e| panic!("{e}"));
                let split = content.forward_split().expect("the route should forward");
                let shares = cutover::domain::decide::desired_split::shares_of(route, split);
                let green = shares.get("green").copied().unwrap_or_default();
                assert!((green - f64::from(share)).abs() < 0.5, "{}: {shares:?}", route.start.label);
            }
        }
    }

    /// Asserts that `history`, `status` and `report` say what happened.
    async fn assert_told(&self) {
        let history = render::history::list(&self.runs().await.known, &Style::plain());
        let mut results: Vec<_> = history.lines().skip(1).collect();
        results.reverse();
        let expected = [
            "wave team-0: completed",
            "wave team-1: completed",
            "wave team-2: rolled back",
            "wave team-2: completed",
            "wave team-3: completed",
            "wave later: completed",
        ];
        assert_eq!(results.len(), expected.len(), "{history}");
        for (line, expected) in results.iter().zip(expected) {
            assert!(line.contains(expected), "{expected}: {history}");
        }
        let status = self.status().await;
        for wave in ["team-0", "team-1", "team-2", "team-3", "later"] {
            let line =
                status.lines().find(|line| line.contains(wave) && line.contains("done, the old cluster is retired"));
            assert!(line.is_some(), "{wave}: {status}");
        }
        assert!(!status.contains("UNGUARDED"), "{status}");
        let style = Style::plain();
        let runs = self.migration().await;
        let histories: Vec<_> = runs
            .iter()
            .map(|found| History::of(&found.plan, &found.records).ok().flatten().expect("a history"))
            .collect();
        let pairs = runs.iter().zip(&histories);
        let inputs: Vec<_> =
            pairs.map(|(found, history)| ReportInput::new(&found.plan, &found.records, history, &style)).collect();
        let page = html_of_runs(&inputs);
        let texts: Vec<_> = inputs.iter().map(markdown).collect();
        if std::env::var("CUTOVER_STORY").is_ok() {
            println!("{history}\n{status}\n{}", texts.join("\n"));
        }
        for found in &runs {
            assert!(page.contains(&found.run.id), "{}", found.run.id);
        }
        let drivers = "| driven by | job@pod, then bob@night, then dora@desk |";
        assert!(texts[1].contains(drivers), "who drove the second wave: {}", texts[1]);
        let retired = texts.iter().filter(|text| text.contains("Completed, the old cluster is retired"));
        let offer = |text: &&String| text.contains("cutover rollback") || text.contains("cutover finalize");
        assert_eq!((retired.count(), texts.iter().filter(offer).count()), (5, 0), "nothing can go back");
        assert!(texts[2].contains("rolled back") && texts[2].contains("s06"), "why the wave failed: {}", texts[2]);
    }
}

#[tokio::test(start_paused = true)]
async fn migration_of_three_days_with_two_shifts_and_a_failed_wave() {
    let mut story = Box::pin(Story::new()).await;
    Box::pin(story.first_day()).await;
    story.hours(NIGHT).await;
    Box::pin(story.second_day()).await;
    Box::pin(story.postpone()).await;
    story.hours(NIGHT).await;
    Box::pin(story.third_day()).await;
    Box::pin(story.assert_told()).await;
}
