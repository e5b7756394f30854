//! The command line as types. Help is written for someone who never saw the tool and is in a hurry: a line an option.

use std::ffi::OsString;
use std::path::Path;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::adapter::telemetry::Outlets;
use crate::cli::args::{Global, Named, Output, Rollback};
use crate::cli::verbs::check::Check;
use crate::cli::verbs::completions::Completions;
use crate::cli::verbs::finalize::Finalize;
use crate::cli::verbs::history::History;
use crate::cli::verbs::init::Init;
use crate::cli::verbs::lab::Lab;
use crate::cli::verbs::man::Man;
use crate::cli::verbs::rehearse::Rehearse;
use crate::cli::verbs::report::Report;
use crate::cli::verbs::run::Run;
use crate::cli::verbs::status::Status;
use crate::cli::verbs::steer::{Abort, Promote, Resume};
use crate::cli::verbs::step::Step;

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
