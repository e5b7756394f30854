//! Arguments that several commands share.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::adapter::telemetry::Outlets;
use crate::app::exit::Exit;
use crate::cli::args::value;

/// The value of `--on-freeze`: what the process does when the run is frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnFreeze {
    /// Exit; the run can be resumed.
    Exit,
    /// Continue to observe and guard.
    Wait,
}

impl OnFreeze {
    /// Returns whether this process exits when the run is frozen. Without `--on-freeze`, it stays if it has a terminal
    /// (`watched`).
    pub fn exits(choice: Option<Self>, watched: bool) -> bool {
        choice.map_or(!watched, |choice| choice == Self::Exit)
    }
}

/// The run that a command reads.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct RunArg {
    /// Run id, plan name or plan file [default: the only unfinished run]
    #[arg(value_name = "RUN|PLAN")]
    pub target: Option<String>,
}

/// The run that a command changes, with an option to skip the confirmation.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct ConfirmedRunArg {
    /// The run.
    #[command(flatten)]
    pub named: RunArg,
    /// Answer every question with yes; without a terminal, a question needs it
    #[arg(long, short)]
    pub yes: bool,
}

/// Returns the end of a help text: examples, and the exit codes of the command.
pub fn help_text(examples: &str, codes: &[Exit]) -> String {
    format!("{examples}\n\nExit codes:\n{}", Exit::table(codes))
}

/// Options for reads, of commands that read a load balancer completely.
#[derive(Debug, Clone, Copy, Default, PartialEq, Args)]
pub struct ReadOptions {
    /// Time for reading AWS, which is longer while AWS throttles, such as 2h [default: 1h]
    #[arg(long, value_parser = value::duration, value_name = "TIME")]
    pub max_read_time: Option<Duration>,
}

/// Options for metrics, of commands that drive a run.
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub struct MetricOptions {
    /// Write metrics to this file for node_exporter (a name that ends with .prom)
    #[arg(long, value_name = "FILE")]
    pub metrics_file: Option<PathBuf>,
    /// Serve metrics under /metrics at this address, such as 127.0.0.1:9464
    #[arg(long, value_name = "ADDRESS")]
    pub metrics_listen: Option<std::net::SocketAddr>,
}

impl MetricOptions {
    /// Converts the options to the form that `app` needs.
    pub fn outlets(&self) -> Outlets {
        Outlets { file: self.metrics_file.clone(), listen: self.metrics_listen }
    }
}
