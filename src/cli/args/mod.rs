//! The command line as types. Help is written for someone who never saw the tool and is in a hurry: a line an option.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

mod finalize;
mod options;
mod value;

pub use finalize::Finalize;
pub use options::{
    Abort, Check, Completions, History, Init, Lab, Man, Named, OnFreeze, Promote, Rehearse, Report, Resume, Rollback, Run, Status, Steer,
    Step,
};
pub use value::{Parts, StepRef, number};

use crate::adapter::telemetry::Outlets;
use crate::app::place::Given;
use crate::cli::render::style::Color;
use crate::plan::model::StatePlace;

/// Moves production traffic from one Kubernetes cluster to the next, step by step, at an AWS Application Load Balancer.
#[derive(Debug, Clone, PartialEq, Parser)]
#[command(name = "cutover", version, propagate_version = false, disable_help_subcommand = true, max_term_width = 120)]
#[command(after_help = "In an emergency, put the traffic back:
  cutover rollback                                    of the only unfinished run
  cutover rollback --load-balancer LB --back-to '*-a' --away-from '*-b'
                                                      without run or plan: all from *-b to *-a")]
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
    /// In a cluster instead, if no plan says so: kubernetes:CONTEXT/NAMESPACE, eks:NAME/NAMESPACE, or local
    #[arg(long, global = true, value_name = "PLACE", value_parser = value::state, env = "CUTOVER_STATE", hide_env = true)]
    pub state: Option<StatePlace>,
    /// What the verb says of metrics, for whoever drives a run.
    #[arg(skip)]
    pub outlets: Outlets,
}

impl Global {
    /// Where runs are kept, as far as the command line says.
    pub fn kept(&self) -> Given {
        Given { dir: self.state_dir.clone(), state: self.state.clone() }
    }
}

/// `--output`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line on stdout, nothing else there.
    Json,
    /// For a pull request or a ticket; only `check` and `report`.
    #[value(hide = true)]
    Markdown,
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
    /// Say what a run would do, and what is in its way; changes nothing
    Check(Check),
    /// Run the plan in the embedded lab, faults included
    Rehearse(Rehearse),
    /// Serve that lab to other terminals (AWS, the clusters, the load balancer) until ^C
    Lab(Lab),
    /// Run the staged cutover, in the foreground
    Run(Run),
    /// Do what is due now, then leave: for schedulers, safe to call at any time
    Step(Step),
    /// End the current pause early
    Promote(Promote),
    /// Move no more traffic to the new cluster; the guard goes on
    Pause(Named),
    /// Go on after a pause, a freeze or a crash
    Resume(Resume),
    /// Approve the step that waits for a person
    Approve(Named),
    /// Stop the run and put the traffic back
    Abort(Abort),
    /// The emergency command: put the traffic back
    Rollback(Rollback),
    /// Say whether the old cluster can go, and if asked let it go
    Finalize(Finalize),
    /// List the runs, or tell one of them event by event
    History(History),
    /// Write a page that tells a run to whoever was not there
    Report(Report),
    /// Print the JSON Schema of the plan file
    Schema,
    /// Print a completion script for a shell
    Completions(Completions),
    /// Print a manual page
    Man(Man),
}

impl Verb {
    /// What it says of metrics, where it runs a run.
    fn outlets(&self) -> Outlets {
        match self {
            Self::Rehearse(args) => args.metrics.outlets(),
            Self::Run(args) => args.metrics.outlets(),
            Self::Step(args) => args.metrics.outlets(),
            Self::Resume(args) => args.metrics.outlets(),
            Self::Rollback(args) => Outlets { file: args.metrics_file.clone(), listen: args.metrics_listen },
            _ => Outlets::default(),
        }
    }
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
        let mut read = Self::from_arg_matches(&matches).map_err(|e| e.format(&mut command))?;
        read.global.outlets = read.verb.outlets();
        if read.global.output == Output::Markdown && !matches!(read.verb, Verb::Check(_) | Verb::Report(_)) {
            let message = "`--output markdown` is for `check` and `report` only; here it is `text` or `json`";
            return Err(command.error(clap::error::ErrorKind::InvalidValue, message));
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
