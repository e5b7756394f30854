//! The command line as types. Help is written for someone who never saw the tool and is in a hurry: a line an option.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use super::exit::Exit;
use crate::plan::model::{ServiceRef, Shares};

mod value;

pub use value::StepRef;

/// Moves production traffic from one Kubernetes cluster to the next, step by step, at an AWS Application Load Balancer.
#[derive(Debug, Clone, PartialEq, Parser)]
#[command(name = "cutover", version, propagate_version = false, disable_help_subcommand = true, max_term_width = 120)]
#[command(after_help = "In an emergency: `cutover rollback` puts the traffic of the unfinished run back.")]
pub struct Cutover {
    /// Options that every verb has.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// Options that every verb has.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(next_help_heading = "Everywhere")]
pub struct Global {
    /// Print for people, or JSON for programs
    #[arg(long, short, global = true, value_enum, default_value_t, hide_possible_values = true, value_name = "text|json")]
    pub output: Output,
    /// Colour
    #[arg(long, global = true, value_enum, default_value_t, hide_possible_values = true, value_name = "auto|always|never")]
    pub color: Color,
    /// What to log on stderr: off, error, warn, info, debug, trace
    #[arg(long, global = true, value_enum, default_value_t, hide_possible_values = true, value_name = "LEVEL")]
    pub log_level: LogLevel,
    /// Where runs are kept [default: $XDG_STATE_HOME/cutover]
    #[arg(long, global = true, value_name = "DIR", env = "CUTOVER_STATE_DIR", hide_env = true)]
    pub state_dir: Option<PathBuf>,
}

/// `--output`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line on stdout, nothing else there.
    Json,
    /// For a pull request; only `check`.
    #[value(hide = true)]
    Markdown,
}

/// `--color`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal that can, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Even into a pipe.
    Always,
    /// Never.
    Never,
}

/// `--log-level`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// Errors.
    Error,
    /// And warnings.
    #[default]
    Warn,
    /// And what happens.
    Info,
    /// And how.
    Debug,
    /// Everything.
    Trace,
}

/// The verbs.
#[derive(Debug, Clone, PartialEq, Subcommand)]
pub enum Verb {
    /// Write a plan from a live load balancer
    Init(Init),
    /// Show what is live: routes, shares, health, stickiness, way back, who guards
    Status(Status),
    /// Lint, preflight, every route × step with its weights; changes nothing
    Check(Check),
    /// Run the plan in the embedded lab, faults included
    Rehearse(Rehearse),
    /// Serve that lab (AWS, the clusters, the load balancer) until ^C
    Lab(Lab),
    /// Run the staged cutover, in the foreground
    Run(Run),
    /// End the current pause early
    Promote(Promote),
    /// Raise nothing more; the guard goes on
    Pause(Steer),
    /// Go on after a pause, a freeze or a crash
    Resume(Resume),
    /// Approve the step that waits for a person
    Approve(Steer),
    /// Stop the run and put the traffic back
    Abort(Abort),
    /// The emergency command: put the traffic back
    Rollback(Rollback),
    /// Print the JSON Schema of the plan file
    Schema,
    /// Print a completion script for a shell
    Completions(Completions),
    /// Print a manual page
    Man(Man),
}

/// `init`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Examples:
  cutover init --load-balancer alpha-webapp --from '*-a' --to '*-b' > plan.yaml
  cutover init --load-balancer alpha-webapp --from '*-a' --to '*-b' --from-cluster alpha-kr-a --to-cluster alpha-kr-b \\
    --service webapp/webapp:http > plan.yaml")]
pub struct Init {
    /// The load balancer: name or ARN
    #[arg(long, value_name = "LB")]
    pub load_balancer: String,
    /// Target groups that carry the traffic now (globs)
    #[arg(long, value_name = "GROUPS", required = true, value_delimiter = ',')]
    pub from: Vec<String>,
    /// Target groups that are to carry it (globs)
    #[arg(long, value_name = "GROUPS", required = true, value_delimiter = ',')]
    pub to: Vec<String>,
    /// EKS cluster behind --from
    #[arg(long, value_name = "EKS")]
    pub from_cluster: Option<String>,
    /// EKS cluster behind --to
    #[arg(long, value_name = "EKS")]
    pub to_cluster: Option<String>,
    /// The Service in both clusters, as NAMESPACE/NAME:PORT
    #[arg(long, value_parser = value::service, value_name = "SERVICE")]
    pub service: Option<ServiceRef>,
    /// The plan's name [default: the load balancer's]
    #[arg(long)]
    pub name: Option<String>,
}

/// `status`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Examples:
  cutover status                                      the only unfinished run
  cutover status --load-balancer alpha-webapp --watch no plan needed, read-only")]
pub struct Status {
    /// Run id, plan name or plan file [default: the only unfinished run]
    #[arg(value_name = "RUN|PLAN", conflicts_with = "load_balancer")]
    pub target: Option<String>,
    /// Look at a load balancer, whatever plan there is: name or ARN
    #[arg(long, value_name = "LB")]
    pub load_balancer: Option<String>,
    /// Look again and again until ^C
    #[arg(long, short)]
    pub watch: bool,
}

/// `check`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Examples:
  cutover check plan.yaml
  cutover check plan.yaml --output markdown           for a pull request")]
pub struct Check {
    /// Plan file, `-` for stdin
    pub plan: String,
    /// Only what the file itself tells: no AWS, no clusters
    #[arg(long)]
    pub offline: bool,
}

/// `rehearse`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Examples:
  cutover rehearse plan.yaml
  cutover rehearse plan.yaml --virtual --scenario examples/scenarios/green-dies.yaml")]
pub struct Rehearse {
    /// Plan file, `-` for stdin
    pub plan: String,
    /// The lab's inhabitants and faults
    #[arg(long, value_name = "FILE")]
    pub scenario: Option<PathBuf>,
    /// In virtual time: at once, and the same for every run of a seed
    #[arg(long = "virtual", conflicts_with = "speed")]
    pub virtual_time: bool,
    /// Seed of everything that is random
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,
    /// How many times faster than life [default: the whole in about half a minute]
    #[arg(long, value_parser = value::speed, value_name = "N")]
    pub speed: Option<f64>,
    /// Requests a second of the lab's time, from its clients
    #[arg(long, value_parser = value::speed, value_name = "N")]
    pub rate: Option<f64>,
}

/// `lab`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Examples:
  cutover lab plans/alpha-webapp.yaml                 prints what to export in another terminal
  cutover lab plan.yaml --scenario examples/scenarios/foreign-write.yaml --speed 20")]
pub struct Lab {
    /// Plan file, `-` for stdin
    pub plan: String,
    /// The lab's inhabitants and faults
    #[arg(long, value_name = "FILE")]
    pub scenario: Option<PathBuf>,
    /// How many times faster than life
    #[arg(long, default_value = "1", value_parser = value::speed, value_name = "N")]
    pub speed: f64,
    /// Seed of everything that is random
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,
}

/// `run`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = help("Examples:
  cutover run plan.yaml
  cutover run plan.yaml --yes --until first-traffic   unattended, as far as that step", &Exit::ALL))]
pub struct Run {
    /// Plan file, `-` for stdin
    pub plan: String,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Stop after this step: number or name
    #[arg(long, value_name = "STEP")]
    pub until: Option<StepRef>,
    /// Begin with this step: number or name
    #[arg(long, value_name = "STEP")]
    pub from_step: Option<StepRef>,
    /// Where a rollback goes, such as `a=100` [default: all on `from`]
    #[arg(long, value_parser = value::shares, value_name = "SHARES", requires = "from_step")]
    pub baseline: Option<Shares>,
    /// What to do when frozen: exit, or wait and keep guarding [default: wait on a terminal, else exit on drift]
    #[arg(long, value_enum, hide_possible_values = true, value_name = "exit|wait")]
    pub on_freeze: Option<OnFreeze>,
}

/// `--on-freeze`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnFreeze {
    /// Leave the run to whoever resumes it.
    Exit,
    /// Keep guarding.
    Wait,
}

/// A run to steer.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Steer {
    /// Run id, plan name or plan file
    #[arg(value_name = "RUN|PLAN")]
    pub target: String,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
}

/// `promote`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Promote {
    /// Which run.
    #[command(flatten)]
    pub steer: Steer,
    /// End every pause of the run, not only the current one
    #[arg(long)]
    pub full: bool,
}

/// `resume`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Examples:
  cutover resume alpha-webapp
  cutover resume alpha-webapp --keep-live             someone changed a route on purpose")]
pub struct Resume {
    /// Which run.
    #[command(flatten)]
    pub steer: Steer,
    /// Drift: take the live shares as the new truth
    #[arg(long, conflicts_with = "reassert")]
    pub keep_live: bool,
    /// Drift: write ours again
    #[arg(long)]
    pub reassert: bool,
    /// Stop after this step: number or name
    #[arg(long, value_name = "STEP")]
    pub until: Option<StepRef>,
    /// What to do when frozen: exit, or wait and keep guarding [default: wait on a terminal, else exit on drift]
    #[arg(long, value_enum, hide_possible_values = true, value_name = "exit|wait")]
    pub on_freeze: Option<OnFreeze>,
}

/// `abort`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Examples:
  cutover abort alpha-webapp
  cutover abort alpha-webapp --to-step first-traffic  back to that step's shares only")]
pub struct Abort {
    /// Which run.
    #[command(flatten)]
    pub steer: Steer,
    /// Back to the shares of this earlier step, not to the start: number or name
    #[arg(long, value_name = "STEP")]
    pub to_step: Option<StepRef>,
}

/// `rollback`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = help("Examples:
  cutover rollback                                    the only unfinished run
  cutover rollback --load-balancer alpha-webapp --from '*-a' --to '*-b'   with no run and no plan: all back on -a",
    &[Exit::Done, Exit::Internal, Exit::Usage, Exit::Refused, Exit::Stuck, Exit::Locked]))]
pub struct Rollback {
    /// Run id, plan name or plan file [default: the only unfinished run]
    #[arg(value_name = "RUN|PLAN", conflicts_with = "load_balancer")]
    pub target: Option<String>,
    /// Without run or plan: on this load balancer, name or ARN
    #[arg(long, value_name = "LB", requires_all = ["from", "to"])]
    pub load_balancer: Option<String>,
    /// Target groups that are to carry everything again (globs)
    #[arg(long, value_name = "GROUPS", requires = "load_balancer", value_delimiter = ',')]
    pub from: Vec<String>,
    /// Target groups that are to carry nothing (globs)
    #[arg(long, value_name = "GROUPS", requires = "load_balancer", value_delimiter = ',')]
    pub to: Vec<String>,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Even onto groups that have no healthy target
    #[arg(long)]
    pub force: bool,
    /// Even if someone else holds the lock: they stop
    #[arg(long)]
    pub take_over: bool,
}

/// `completions`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Completions {
    /// For which shell
    pub shell: clap_complete::Shell,
}

/// `man`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Examples:
  cutover man | man -l -
  cutover man rollback > cutover-rollback.1")]
pub struct Man {
    /// The page of this verb [default: the tool's own]
    pub verb: Option<String>,
}

fn help(examples: &str, codes: &[Exit]) -> String {
    format!("{examples}\n\nExit codes:\n{}", Exit::table(codes))
}

impl Cutover {
    /// The command as clap knows it, named as it was called: `cutover`, or `kubectl cutover` when kubectl found it as a plugin.
    pub fn definition(argv0: &Path) -> clap::Command {
        let command = Self::command();
        match argv0.file_stem().and_then(|n| n.to_str()) {
            Some("kubectl-cutover") => command.bin_name("kubectl cutover").display_name("kubectl-cutover"),
            _ => command,
        }
    }

    /// Reads a command line, its first word the program's name.
    ///
    /// # Errors
    /// clap's own, which is also how `--help` and `--version` come; its exit code is 2 for mistakes and 0 for those.
    pub fn read(argv: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let argv: Vec<_> = argv.into_iter().collect();
        let mut command = Self::definition(Path::new(argv.first().map_or("cutover".as_ref(), OsString::as_os_str)));
        let matches = command.try_get_matches_from_mut(argv)?;
        let read = Self::from_arg_matches(&matches).map_err(|e| e.format(&mut command))?;
        if read.global.output == Output::Markdown && !matches!(read.verb, Verb::Check(_)) {
            let message = "`--output markdown` is for `check` only; here it is `text` or `json`";
            return Err(command.error(clap::error::ErrorKind::InvalidValue, message));
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
