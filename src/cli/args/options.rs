//! Arguments that several verbs have in common.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::value::{self, Parts};
use crate::adapter::telemetry::Outlets;
use crate::app::exit::Exit;

/// `--on-freeze`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnFreeze {
    /// Leave the run to whoever resumes it.
    Exit,
    /// Keep guarding.
    Wait,
}

impl OnFreeze {
    /// Whether this process leaves a frozen run; by default it guards it for as long as somebody may be looking.
    pub fn leaves(choice: Option<Self>, watched: bool) -> bool {
        choice.map_or(!watched, |choice| choice == Self::Exit)
    }
}

/// A run, by one of its names.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Named {
    /// Run id, plan name or plan file
    #[arg(value_name = "RUN|PLAN")]
    pub target: String,
}

/// A run to steer by a verb that writes, and so asks first.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Steer {
    /// Which run.
    #[command(flatten)]
    pub named: Named,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
}

/// `rollback`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = help("Examples:
  cutover rollback                               the only unfinished run
  cutover rollback --load-balancer alpha-webapp  no run, no plan: as its tags say
  cutover rollback --load-balancer alpha-webapp --back-to '*-a' --away-from '*-b'",
    &[Exit::Done, Exit::Internal, Exit::Usage, Exit::Refused, Exit::Stuck, Exit::Locked]))]
pub struct Rollback {
    /// Run id, plan name or plan file [default: the only unfinished run]
    #[arg(value_name = "RUN|PLAN", conflicts_with = "load_balancer")]
    pub target: Option<String>,
    /// Put it back on this one (name or ARN), without run and plan
    #[arg(long, value_name = "LB")]
    pub load_balancer: Option<String>,
    /// Target groups that get all of the traffic again (globs, in quotes)
    #[arg(long, value_name = "GROUPS", requires_all = ["load_balancer", "away_from"], value_delimiter = ',')]
    pub back_to: Vec<String>,
    /// Target groups that lose all of their traffic (globs, in quotes)
    #[arg(long, value_name = "GROUPS", requires_all = ["load_balancer", "back_to"], value_delimiter = ',')]
    pub away_from: Vec<String>,
    // Only to be refused with an explanation: they read as the opposite direction.
    /// Refused: `--away-from` or `--back-to`
    #[arg(long, hide = true)]
    pub from: Option<String>,
    /// Refused: `--away-from` or `--back-to`
    #[arg(long, hide = true)]
    pub to: Option<String>,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// In parts, for an old cluster that is cold; each waits for its health
    #[arg(long, value_name = "25,50,100", value_parser = value::parts)]
    pub ramp: Option<Parts>,
    /// From one part to the next [default: 2m]
    #[arg(long, value_name = "DURATION", requires = "ramp", value_parser = value::duration)]
    pub every: Option<Duration>,
    /// Put it back even where no target of the old group is healthy
    #[arg(long)]
    pub force: bool,
    /// Take the run from whoever holds it; that process stops
    #[arg(long)]
    pub take_over: bool,
    // As of `run`; the help of this verb fits a screen.
    /// Keep metrics in this file
    #[arg(long, hide = true)]
    pub metrics_file: Option<PathBuf>,
    /// Serve metrics at this address
    #[arg(long, hide = true)]
    pub metrics_listen: Option<std::net::SocketAddr>,
}

/// A help text's last part: examples, and the exit codes that the verb has.
pub fn help(examples: &str, codes: &[Exit]) -> String {
    format!("{examples}\n\nExit codes:\n{}", Exit::table(codes))
}

/// Where metrics go, of verbs that drive a run.
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub struct Metrics {
    /// Keep metrics in this file, as node_exporter reads them (a name that ends with .prom)
    #[arg(long, value_name = "FILE")]
    pub metrics_file: Option<PathBuf>,
    /// Serve metrics at this address, such as 127.0.0.1:9464, under /metrics
    #[arg(long, value_name = "ADDRESS")]
    pub metrics_listen: Option<std::net::SocketAddr>,
}

impl Metrics {
    /// As `app` takes them.
    pub fn outlets(&self) -> Outlets {
        Outlets { file: self.metrics_file.clone(), listen: self.metrics_listen }
    }
}
