//! The command line as types. The help texts are for someone who has never seen the tool and is in a hurry: one line
//! for each option, and at most 80 columns for each example.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::adapter::telemetry::Outlets;
use crate::cli::args::{ConfirmedRunArg, Global, Output, RunArg};
use crate::cli::verbs::check::Check;
use crate::cli::verbs::compare::Compare;
use crate::cli::verbs::completions::Completions;
use crate::cli::verbs::evacuate::Evacuate;
use crate::cli::verbs::finalize::Finalize;
use crate::cli::verbs::help::Help;
use crate::cli::verbs::history::History;
use crate::cli::verbs::init::Init;
use crate::cli::verbs::lab::Lab;
use crate::cli::verbs::man::Man;
use crate::cli::verbs::permissions::PermissionsArgs;
use crate::cli::verbs::rehearse::Rehearse;
use crate::cli::verbs::report::Report;
use crate::cli::verbs::rollback::Rollback;
use crate::cli::verbs::run::Run;
use crate::cli::verbs::runbook::Runbook;
use crate::cli::verbs::status::Status;
use crate::cli::verbs::steer::{Abort, Promote, Resume};
use crate::cli::verbs::step::Step;

/// Moves production traffic from one Kubernetes cluster to another, step by step, at the load balancers: ALB, NLB and
/// HAProxy.
#[derive(Debug, Clone, PartialEq, Parser)]
#[command(name = "cutover", version, propagate_version = false, disable_help_subcommand = true, max_term_width = 120)]
#[command(after_help = "In an emergency, restore the traffic:
  cutover rollback                      roll back the only unfinished run
  cutover rollback --load-balancer LB --back-to '*-a' --away-from '*-b'
                                        no run or plan: all from *-b to *-a

Reference: cutover help lists the topics, cutover help emergency shows one of them.")]
pub struct Cutover {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// The command to run.
    #[command(subcommand)]
    pub verb: Verb,
}

/// The commands of the tool.
#[derive(Debug, Clone, PartialEq, Subcommand)]
pub enum Verb {
    /// Write a plan from a live load balancer
    Init(Init),
    /// Show a run or a load balancer: shares, health, way back, guard
    Status(Status),
    /// Show what a run would do and what would stop it; changes nothing
    Check(Check),
    /// Compare both clusters: is the new one fit to take over? Changes nothing
    Compare(Compare),
    /// Run the plan in the embedded lab, also with faults
    Rehearse(Rehearse),
    /// Serve the lab to other terminals until ^C
    Lab(Lab),
    /// Run the plan in the foreground
    Run(Run),
    /// Do what is due now, then exit: for schedulers
    Step(Step),
    /// End the current pause early
    Promote(Promote),
    /// Stop raising shares; the guard continues
    Pause(RunArg),
    /// Continue after a pause, a freeze or a crash
    Resume(Resume),
    /// Approve the step that waits for an approval
    Approve(ConfirmedRunArg),
    /// Stop the run and roll it back
    Abort(Abort),
    /// The emergency command: restore the original shares
    Rollback(Rollback),
    /// A cluster is failing: move its share to the other clusters at once
    Evacuate(Evacuate),
    /// Check whether the old cluster can be retired, or retire it
    Finalize(Finalize),
    /// Print the IAM policy and the Kubernetes roles that a plan needs
    Permissions(PermissionsArgs),
    /// Write the runbook of a plan for the people on the call
    Runbook(Runbook),
    /// List the runs, or show one run event by event
    History(History),
    /// Write a report of a run as an HTML page
    Report(Report),
    /// Explain a topic, such as `emergency`, `plan` or `gates`; without one, list the topics
    Help(Help),
    /// Print the JSON Schema of the plan file
    Schema,
    /// Print a completion script for a shell
    Completions(Completions),
    /// Print a manual page
    Man(Man),
}

impl Verb {
    /// Returns the options for metrics, if the command drives a run.
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

    /// Returns the longest duration of a reading, if the command line has it.
    fn max_read_time(&self) -> Option<Duration> {
        match self {
            Self::Init(args) => args.reads.max_read_time,
            Self::Status(args) => args.reads.max_read_time,
            Self::Check(args) => args.reads.max_read_time,
            Self::Run(args) => args.reads.max_read_time,
            Self::Step(args) => args.reads.max_read_time,
            Self::Resume(args) => args.reads.max_read_time,
            _ => None,
        }
    }
}

impl Cutover {
    /// Returns the definition of the command line, with the name by which the program was called: `cutover`, or
    /// `kubectl cutover` as a plugin of kubectl.
    pub fn definition(argv0: &Path) -> clap::Command {
        let command = TOPICS_OF_COMMANDS.iter().fold(Self::command(), |command, (name, topic)| {
            command.mut_subcommand(name, |verb| {
                let examples = verb.get_after_help().map(|help| format!("{help}\n\n")).unwrap_or_default();
                verb.after_help(format!("{examples}Background: cutover help {topic}"))
            })
        });
        let command = match argv0.file_stem().and_then(|n| n.to_str()) {
            Some("kubectl-cutover") => command.bin_name("kubectl cutover").display_name("kubectl-cutover"),
            _ => command,
        };
        with_fixed_usage(command)
    }

    /// Parses a command line, whose first word is the name of the program.
    ///
    /// # Errors
    /// Returns the errors of clap, which include `--help` and `--version`. The exit code of these two is 0, of all
    /// others 2.
    pub fn read(argv: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let argv: Vec<_> = argv.into_iter().collect();
        let mut command = Self::definition(Path::new(argv.first().map_or("cutover".as_ref(), OsString::as_os_str)));
        let matches = command.try_get_matches_from_mut(argv).map_err(suggest)?;
        let mut read = Self::from_arg_matches(&matches).map_err(|e| e.format(&mut command))?;
        read.global.outlets = read.verb.outlets();
        read.global.max_read_time = read.verb.max_read_time();
        if read.global.output == Output::Markdown
            && !matches!(
                read.verb,
                Verb::Check(_) | Verb::Compare(_) | Verb::Report(_) | Verb::Runbook(_) | Verb::Help(_)
            )
        {
            let message = "`--output markdown` is for `check`, `compare`, `report`, `runbook` and `help` only; this command accepts `text` or `json`";
            return Err(command.error(clap::error::ErrorKind::InvalidValue, message));
        }
        Ok(read)
    }
}

/// Gives every command one usage line: clap would add to the line of an error every option that is set, also those that
/// an environment variable sets.
fn with_fixed_usage(command: clap::Command) -> clap::Command {
    let mut built = command.clone();
    built.build();
    built.get_subcommands_mut().fold(command, |command, verb| {
        let usage = verb.render_usage().to_string();
        let usage = usage.trim_start_matches("Usage: ").to_owned();
        command.mut_subcommand(verb.get_name(), |verb| verb.override_usage(usage))
    })
}

/// The topic of `cutover help` with the background of each command. `rollback` is missing, because its help must fit a
/// screen.
const TOPICS_OF_COMMANDS: [(&str, &str); 20] = [
    ("init", "plan"),
    ("status", "troubleshooting"),
    ("check", "findings"),
    ("compare", "compare"),
    ("rehearse", "lab"),
    ("lab", "lab"),
    ("run", "steps"),
    ("step", "schedulers"),
    ("promote", "steps"),
    ("pause", "steps"),
    ("resume", "steps"),
    ("approve", "steps"),
    ("abort", "steps"),
    ("evacuate", "emergency"),
    ("finalize", "finalize"),
    ("permissions", "permissions"),
    ("runbook", "runbook"),
    ("history", "state"),
    ("report", "state"),
    ("schema", "plan"),
];

/// Command names of other tools, each with the command of this tool that does the same.
const COMMANDS_OF_OTHER_TOOLS: [(&str, &str); 20] = [
    ("apply", "run"),
    ("start", "run"),
    ("execute", "run"),
    ("plan", "check"),
    ("validate", "check"),
    ("verify", "check"),
    ("preview", "check"),
    ("diff", "check"),
    ("simulate", "rehearse"),
    ("dry-run", "rehearse"),
    ("get", "status"),
    ("describe", "status"),
    ("watch", "status"),
    ("logs", "history"),
    ("list", "history"),
    ("undo", "rollback"),
    ("revert", "rollback"),
    ("cancel", "abort"),
    ("stop", "abort"),
    ("continue", "resume"),
];

/// Adds the right command to an error about a command name of another tool.
fn suggest(mut error: clap::Error) -> clap::Error {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else { return error };
    if let Some((_, verb)) = COMMANDS_OF_OTHER_TOOLS.iter().find(|(other, _)| other == word) {
        error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(vec![(*verb).to_owned()]));
    }
    error
}

#[cfg(test)]
mod tests;
