//! `cutover lab`: serves the embedded lab until `^C`, and prints the environment variables with which other tools reach
//! the lab.

use std::collections::BTreeMap;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use crate::adapter::clock::LabClock;
use crate::adapter::store::fs::LocalStore;
use crate::app::exit::{Exit, Failure};
use crate::app::find;
use crate::base::text::shell_word;
use crate::cli::args::{Global, Output, value};
use crate::cli::signals::Signals;
use crate::cli::term;
use crate::cli::verbs::rehearse::scenario;
use crate::lab::live;
use crate::lab::load::clients::Clients;
use crate::lab::load::live::LiveTraffic;
use crate::lab::load::meter::Meter;
use crate::lab::model::World;
use crate::port::store::Store;

/// The arguments of `cutover lab`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Examples:
  cutover lab plans/alpha-webapp.yaml   prints settings for other terminals
  cutover lab plans/alpha-webapp.yaml --speed 20 \\
    --scenario examples/scenarios/foreign-write.yaml")]
pub struct Lab {
    /// Plan file, `-` for stdin
    pub plan: String,
    /// Scenario with resources and faults of the lab [default: all healthy, no faults]
    #[arg(long, value_name = "FILE")]
    pub scenario: Option<PathBuf>,
    /// How many times faster the lab is than real time; the pauses of a run stay as long as they are
    #[arg(long, default_value = "1", value_parser = value::speed, value_name = "N")]
    pub speed: f64,
    /// Seed of all random values
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,
    /// Client requests per second of lab time, for metric gates [default: none]
    #[arg(long, value_parser = value::speed, value_name = "N")]
    pub rate: Option<f64>,
}

/// Runs `cutover lab`.
pub async fn run(global: &Global, args: &Lab) -> Result<Exit, Failure> {
    let color = term::style_err(global.color).color;
    let plan = find::linted_plan(&args.plan, color)?;
    let scenario = scenario(args.scenario.as_deref(), color)?;
    let start = jiff::Timestamp::now();
    let clock = LabClock::new(start, args.speed);
    World::check_names(&plan, &scenario).map_err(|e| Failure::new(Exit::Usage, e))?;
    let mut world = World::new(&plan, &scenario, args.seed, start).map_err(|e| Failure::new(Exit::Usage, e))?;
    world.set_client_speed(start, args.speed);
    // Listen before the lab creates anything that must be cleaned up.
    let mut signals = Signals::listen().map_err(|e| Failure::new(Exit::Internal, e))?;
    let lab = live::LiveLab::start(world, clock).await.map_err(|e| Failure::new(Exit::Internal, e))?;
    let traffic = args.rate.map(|rate| {
        let clients = lab.model().call(|world, _| Clients::for_world(world, args.seed));
        let clock = Arc::new(lab.model().clock());
        LiveTraffic::start(lab.listeners(), clients, Arc::new(Meter::default()), clock, rate * args.speed)
    });
    let runs = std::env::temp_dir().join(format!("cutover-lab-{}-{:08x}-runs", std::process::id(), fastrand::u32(..)));
    let mut environment = lab.environment().to_vec();
    // The runs of a lab must never be confused with real runs, above all by a `rollback` of the only unfinished run.
    environment.push(("CUTOVER_STATE_DIR".into(), runs.display().to_string()));
    let _ = term::print_as_is(&text(global, &environment));
    let plan = &args.plan;
    let file = write_environment(&runs, &environment).map_err(|e| Failure::new(Exit::Internal, e))?;
    term::print_error(&format!(
        "\nThe lab is running at {} speed. In another terminal, paste the lines above, or type the first line below:\n  \
         . {}\n  cutover check {plan}\n  cutover run {plan}\n  cutover status --watch\n\
         CUTOVER_STATE_DIR keeps the runs of this lab apart from real runs.\n\
         CUTOVER_PROMETHEUS_URL answers the plan's Prometheus gates with the lab's counters{}.\n\
         CUTOVER_PROBE_URL answers its http gates.\n\
         ^C here ends the lab and deletes its runs.",
        if args.speed.to_bits() == 1f64.to_bits() { "real".to_owned() } else { format!("{} times real", args.speed) },
        shell_word(&file.display().to_string()),
        if args.rate.is_some() { "" } else { "; clients come with --rate" }
    ));
    signals.next().await;
    if let Some(traffic) = traffic {
        traffic.stop().await;
    }
    lab.stop().await;
    delete_runs(&runs).await;
    Ok(Exit::Done)
}

/// Deletes the runs of this lab, unless a process is still driving one of them.
async fn delete_runs(runs: &Path) {
    let Ok(store) = LocalStore::open(Some(runs.to_owned())) else { return };
    let mut driven = None;
    for run in store.runs().await.unwrap_or_default() {
        driven = driven.or(store.lock_owner(&run.id).await.map(|holder| (run.id, holder)));
    }
    match driven {
        Some((run, holder)) => term::print_error(&format!(
            "the lab has ended, but process {} is still driving the run {run}: end that process with ^C; \
             the journal of the run stays in {}",
            holder.pid,
            runs.display()
        )),
        None => drop(std::fs::remove_dir_all(runs)),
    }
}

/// Writes the settings as a file in the folder of the lab's runs, for terminals in which the printed lines have
/// scrolled away. Returns the path.
fn write_environment(folder: &Path, environment: &[(String, String)]) -> std::io::Result<PathBuf> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let path = folder.join("env");
    std::fs::write(&path, exports(environment) + "\n")?;
    Ok(path)
}

fn text(global: &Global, environment: &[(String, String)]) -> String {
    if global.output == Output::Json {
        let environment: BTreeMap<_, _> = environment.iter().cloned().collect();
        return serde_json::json!({"event": "lab", "environment": environment}).to_string();
    }
    exports(environment)
}

fn exports(environment: &[(String, String)]) -> String {
    let lines = environment.iter().map(|(name, value)| format!("export {name}={}", shell_word(value)));
    lines.collect::<Vec<_>>().join("\n")
}
