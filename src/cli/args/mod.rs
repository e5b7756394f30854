//! Options of every verb, options that several have, and how values on the command line are read.

mod options;
pub mod value;

use std::path::PathBuf;

use clap::{Args, ValueEnum};

pub use options::{Metrics, Named, OnFreeze, Rollback, Steer, help};
pub use value::{Parts, StepRef, number};

use crate::adapter::telemetry::Outlets;
use crate::app::place::Given;
use crate::cli::render::style::Color;
use crate::plan::model::StatePlace;

/// Options that every verb has.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(next_help_heading = "Everywhere")]
pub struct Global {
    /// Print for people, or JSON for programs
    #[arg(
        long,
        short,
        global = true,
        value_enum,
        default_value_t,
        hide_possible_values = true,
        value_name = "text|json"
    )]
    pub output: Output,
    /// Colour
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        hide_possible_values = true,
        value_name = "auto|always|never"
    )]
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
