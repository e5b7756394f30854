//! `cutover rehearse`: runs the plan in the embedded lab, with the same engine and adapters as in production.

mod conclusion;
mod subscriber;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use subscriber::RehearsalSubscriber;

use crate::adapter::hook::HookRunner;
use crate::adapter::process::Folder;
use crate::adapter::store::memory::MemoryStore;
use crate::app::exit::{Exit, Failure};
use crate::app::names::plan_argument;
use crate::app::notify::ShownNotifications;
use crate::app::prepare::{describe_calls, prepare};
use crate::app::subscriber::Subscribers;
use crate::app::surface::Surface;
use crate::app::telemetry::Telemetry;
use crate::app::view::{RunView, WayBackView};
use crate::app::{connections, drive, find};
use crate::cli::args::{Global, MetricOptions, Output, help_text, value};
use crate::cli::render::check;
use crate::cli::render::style::Style;
use crate::cli::render::wrap::wrap_below;
use crate::cli::subscriber::subscriber as listener;
use crate::cli::term;
use crate::cli::verbs::report;
use crate::domain::run::state::State;
use crate::engine::inventory::ReadPacer;
use crate::engine::{Ending, EngineError, Interrupt, Ports, RunLoop, Settings, ownership};
use crate::lab::model::World;
use crate::lab::rehearsal::{Options, RehearsalLab, length};
use crate::lab::scenario::Scenario;
use crate::plan::model::Plan;
use crate::port::Hooks;
use crate::port::store::{Store, run_id};

/// The arguments of `cutover rehearse`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = help_text("A rehearsal changes nothing real: no AWS, no cluster. It writes no file
except the ones that --report and --metrics-file name; --exec runs commands.

Examples:
  cutover rehearse plan.yaml
  cutover rehearse plan.yaml --virtual \\
    --scenario examples/scenarios/green-dies-at-50.yaml",
    &[
        Exit::Done,
        Exit::Usage,
        Exit::Refused,
        Exit::RolledBack,
        Exit::Stuck,
        Exit::Drift,
        Exit::Waiting,
        Exit::Interrupted,
    ]))]
pub struct Rehearse {
    /// Plan file, `-` for stdin
    pub plan: String,
    /// Scenario with resources and faults of the lab [default: all healthy, no faults]
    #[arg(long, value_name = "FILE")]
    pub scenario: Option<PathBuf>,
    /// Use virtual time: instant, and the same result for the same seed
    #[arg(long = "virtual", conflicts_with = "speed")]
    pub virtual_time: bool,
    /// Seed of all random values
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,
    /// How many times faster than real time [default: about half a minute in all]
    #[arg(long, value_parser = value::speed, value_name = "N")]
    pub speed: Option<f64>,
    /// Client requests per second of lab time
    #[arg(long, value_parser = value::speed, value_name = "N")]
    pub rate: Option<f64>,
    /// Execute the plan's commands and hooks, which are otherwise only shown
    #[arg(long, conflicts_with = "virtual_time")]
    pub exec: bool,
    /// Write the report (see `cutover report`), `-` for stdout
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Options for metrics.
    #[command(flatten)]
    pub metrics: MetricOptions,
}

/// The owner of a rehearsal, as the journal names it.
const REHEARSAL_OWNER: &str = "rehearsal@lab";

/// The shortest real time between two observations. An observation takes real time, which is long on a fast clock.
const MIN_REAL_POLL: Duration = Duration::from_millis(40);

/// The longest real time that an observation may take on a busy machine without counting as a gap.
const MAX_REAL_DELAY: Duration = Duration::from_millis(500);

/// Approximate maximum number of observations in a rehearsal. A plan of days needs no more than a plan of hours.
const MAX_OBSERVATIONS: u32 = 500;

/// Runs `cutover rehearse`. With `--virtual`, the clock of the runtime must be paused.
pub async fn run(global: &Global, args: &Rehearse) -> Result<Exit, Failure> {
    let color = term::style_err(global.color).color;
    let plan = find::linted_plan(&args.plan, color)?;
    let scenario = scenario(args.scenario.as_deref(), color)?;
    // Found before the rehearsal, which takes its time.
    args.report.as_deref().map_or(Ok(()), report::check_folder)?;
    let options = Options { speed: args.speed, rate: args.rate };
    let built = if args.virtual_time {
        RehearsalLab::virtual_time(plan.clone(), &scenario, args.seed, options).await
    } else {
        Box::pin(RehearsalLab::live(plan.clone(), &scenario, args.seed, options)).await
    };
    let mut lab = built.map_err(|e| Failure::new(Exit::Usage, e))?;
    let result = rehearse_runs(global, &plan, &mut lab, args).await;
    lab.stop().await;
    result
}

/// Rehearses the runs of a plan one after the other in the same lab: one run for each wave. Stops at the first run that
/// does not complete.
async fn rehearse_runs(global: &Global, plan: &Plan, lab: &mut RehearsalLab, args: &Rehearse) -> Result<Exit, Failure> {
    let memory = MemoryStore::new();
    let runs = plan.runs();
    let mut migration = None;
    for (number, run) in (1..).zip(&runs) {
        lab.plan.clone_from(run);
        if let Some(wave) = run.wave_name() {
            term::print_error(&format!("wave {wave} ({number} of {})", runs.len()));
        }
        let place = RunPlace { memory: memory.clone(), migration: migration.clone(), is_last: number == runs.len() };
        let (id, exit) = Box::pin(rehearse(global, run, lab, args, place)).await?;
        if exit != Exit::Done {
            return Ok(exit);
        }
        migration = migration.or(Some(id));
    }
    Ok(Exit::Done)
}

/// The place of a run among the runs of a rehearsal.
struct RunPlace {
    /// The store with the runs.
    memory: MemoryStore,
    /// The migration of the waves; `None` before the first run.
    migration: Option<String>,
    /// Whether no run follows.
    is_last: bool,
}

/// Reads a scenario file. Without a file, returns a scenario without faults.
pub fn scenario(path: Option<&Path>, _color: bool) -> Result<Scenario, Failure> {
    let Some(path) = path else { return Ok(Scenario::default()) };
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|e| Failure::new(Exit::Usage, format!("{name}: {e}")))?;
    Scenario::parse(&name, &text).map_err(|e| Failure::new(Exit::Usage, e))
}

/// Rehearses a run. Returns its id, and the exit code of a real run.
async fn rehearse(
    global: &Global,
    plan: &Plan,
    lab: &RehearsalLab,
    args: &Rehearse,
    RunPlace { memory, migration, is_last }: RunPlace,
) -> Result<(String, Exit), Failure> {
    let store: Arc<dyn Store> = Arc::new(memory.clone());
    let (balancer, clusters, clock) = (lab.balancer.clone(), lab.clusters.clone(), Arc::clone(&lab.clock));
    let metrics = Arc::clone(&lab.metrics);
    let hooks: Arc<dyn Hooks> =
        if args.exec { Arc::new(HookRunner::in_folder(Folder::of(plan))) } else { Arc::clone(&lab.hooks) };
    let reads = ReadPacer::new(Arc::clone(&clock));
    let (compared, items) = (lab.compared.clone(), lab.items.clone());
    let ports = Ports { balancer, clusters, compared, items, metrics, hooks, clock, reads, store };
    let prepared = prepare(plan, &ports, 1).await;
    if let Some(refusal) = prepared.refusal() {
        term::print_error(&check::text(&prepared.report, false, &term::style_err(global.color)));
        return Err(refusal);
    }
    let mut started = prepared.started_event(plan, REHEARSAL_OWNER, 1, None)?;
    drop(prepared);
    let calls = describe_calls(started.groups.len(), started.routes.len(), started.load_balancers.len());
    let settings = settings(plan, &ports, calls);
    let run = run_id(&plan.name, ports.clock.now(), &mut fastrand::Rng::with_seed(args.seed));
    started.join_migration(migration.as_deref().unwrap_or(&run));
    let load_balancers = started.load_balancers.clone();
    let mut ownership =
        ownership::own_new_run(&ports, &settings, plan.marker, &run, started).await.map_err(drive::start_failure)?;
    let mut inner = listener(global, plan, false);
    let mut inner = ShownNotifications::new(&mut *inner, plan, global.record_text());
    let mut telemetry = Telemetry::metrics(plan, global.metric_outlets()).await;
    let mut inner = Subscribers(vec![&mut inner, &mut telemetry]);
    let mut rehearsal = RehearsalSubscriber::new(&mut inner, lab, memory, &run);
    for record in ports.store.read(&run).await.map_err(|e| Failure::new(Exit::Internal, e))?.iter() {
        crate::engine::Subscriber::record(&mut rehearsal, record);
    }
    let run_end = loop {
        match run_process(global, plan, &ports, &settings, ownership, &mut rehearsal, lab)
            .await
            .map_err(|e| drive::engine_failure(e, true))?
        {
            ProcessEnd::Ended(run_end) => break run_end,
            ProcessEnd::Crashed(pause) => {
                ports.clock.sleep(pause).await;
                ownership = ownership::acquire(&ports, &settings, plan.marker, &run, &load_balancers, false)
                    .await
                    .map_err(drive::start_failure)?;
            }
        }
    };
    let finished = matches!(run_end, Ending::Finished { .. });
    let exit = drive::exit_of(&run_end);
    let is_last = is_last || exit != Exit::Done;
    if finished && is_last {
        lab.linger().await;
    }
    let unseen = rehearsal.conclude(finished, is_last);
    if let Some(message) = unseen.clone().filter(|_| global.output == Output::Json) {
        rehearsal.report(message);
    }
    let records = ports.store.read(&run).await.map_err(|e| Failure::new(Exit::Internal, e))?;
    if !is_last {
        telemetry.finish().await;
        return Ok((run, exit));
    }
    let way_back = rehearsal.way_back();
    let page = match &args.report {
        None => None,
        Some(file) => {
            let clients = rehearsal.into_results();
            report::write_page(plan, &records, Some(clients), &term::style(global.color), Some(file))?
        }
    };
    let state = State::fold(&records).map_err(|e| Failure::new(Exit::Internal, e))?;
    let state = state.ok_or_else(|| Failure::new(Exit::Internal, "the rehearsal has no records"))?;
    let shown = view_at_the_end(plan, &state, way_back);
    let open = connections::open_after_rollback(plan, &state, &ports).await;
    let style = Style { width: term::error_columns(), ..term::style_err(global.color) };
    let conclusion = conclusion::lines(&run_end, &shown, plan, unseen.as_deref(), page.as_deref(), &style);
    let conclusion = conclusion.join("\n");
    term::print_error(&wrap_below(&conclusion, style.width).join("\n"));
    for line in open {
        term::print_error(&line);
    }
    telemetry.finish().await;
    Ok((run, exit))
}

/// Returns the state at the end. The run of a rehearsal has no journal: commands name the plan.
fn view_at_the_end(plan: &Plan, state: &State, way_back: Vec<WayBackView>) -> RunView {
    let view = RunView::of(plan, state, None, &[], state.last_record_at);
    RunView { run: plan_argument(plan), way_back, ..view }
}

fn settings(plan: &Plan, ports: &Ports, calls: usize) -> Settings {
    let settings = Settings::new(REHEARSAL_OWNER.into(), "lab".into(), calls).for_plan(plan);
    // Observe often enough that several observations decide about a guard.
    let interval = (length(plan) / MAX_OBSERVATIONS).min(plan.strategy.gates.guard.for_ / 4);
    let poll = settings.poll.max(interval).max(ports.clock.of_real(MIN_REAL_POLL).min(MIN_REAL_POLL * 1000));
    let gap = (poll * 3).max(ports.clock.of_real(MAX_REAL_DELAY));
    let reading_age = settings.max_reading_age.max(ports.clock.of_real(MAX_REAL_DELAY));
    // A lab that is faster than real time needs no long deadline for a missing response.
    let deadline =
        if ports.clock.of_real(MIN_REAL_POLL) > MIN_REAL_POLL { Duration::from_secs(2) } else { settings.deadline };
    Settings { pid: 0, exit_when_frozen: false, poll, gap, max_reading_age: reading_age, deadline, ..settings }
}

/// How a process of the rehearsal ended.
enum ProcessEnd {
    Ended(Ending),
    /// The scenario killed the process, which restarts after this time.
    Crashed(Duration),
}

async fn run_process(
    global: &Global,
    plan: &Plan,
    ports: &Ports,
    settings: &Settings,
    ownership: ownership::Ownership,
    rehearsal: &mut RehearsalSubscriber<'_>,
    lab: &RehearsalLab,
) -> Result<ProcessEnd, EngineError> {
    let interrupt = Interrupt::default();
    rehearsal.set_interrupt(interrupt.clone());
    let mut run = RunLoop::open(plan, ports.clone(), settings.clone(), ownership, interrupt.clone(), rehearsal).await?;
    tokio::select! {
        biased;
        pause = crash(lab) => Ok(ProcessEnd::Crashed(pause)),
        ending = run.drive() => ending.map(ProcessEnd::Ended),
        () = drive::second_stop(global, &interrupt, true) => {
            let stop = crate::domain::run::event::StopReason::Interrupted;
            Ok(ProcessEnd::Ended(Ending::Stopped(stop, "stopped at once".into())))
        }
    }
}

/// Waits until the scenario kills the process. Returns after how long the process restarts.
async fn crash(lab: &RehearsalLab) -> Duration {
    loop {
        if let Some(pause) = lab.model().change(World::crash_due) {
            return pause;
        }
        lab.clock
            .sleep(Duration::from_secs(1).max(lab.clock.of_real(Duration::from_millis(5)).min(Duration::from_secs(5))))
            .await;
    }
}
