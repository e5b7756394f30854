//! The options of every command, options that several commands share, and the parsers of option values. The code of the
//! commands is in [`super::verbs`].

mod options;
pub mod value;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

pub use options::{ConfirmedRunArg, MetricOptions, OnFreeze, ReadOptions, RunArg, help_text};
pub use value::{RampStages, StepRef, step_number};

use crate::adapter::telemetry::Outlets;
use crate::app::state_store::StateOptions;
use crate::cli::render::style::Color;
use crate::plan::model::StateLocation;

/// Options of every command.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(next_help_heading = "Everywhere")]
pub struct Global {
    /// text or json; markdown for check, report, help
    #[arg(long, short, global = true, value_enum, default_value_t, hide_possible_values = true, value_name = "FORMAT")]
    pub output: Output,
    /// Colors
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        hide_possible_values = true,
        value_name = "auto|always|never"
    )]
    pub color: Color,
    /// Log on stderr: off, error, warn, info, debug, trace
    #[arg(long, global = true, value_enum, default_value_t, hide_possible_values = true, value_name = "LEVEL")]
    pub log_level: LogLevel,
    /// Directory of the runs [default: $XDG_STATE_HOME/cutover]
    #[arg(long, global = true, value_name = "DIR", env = "CUTOVER_STATE_DIR", hide_env = true)]
    pub state_dir: Option<PathBuf>,
    /// Store of the runs if the plan names none: kubernetes:CONTEXT/NAMESPACE, eks:NAME/NAMESPACE, or local
    #[arg(
        long,
        global = true,
        value_name = "PLACE",
        value_parser = value::state,
        env = "CUTOVER_STATE",
        hide_env = true
    )]
    pub state: Option<StateLocation>,
    /// The longest duration of a reading, if the command line has it.
    #[arg(skip)]
    pub max_read_time: Option<Duration>,
    /// The command's options for metrics.
    #[arg(skip)]
    pub outlets: Outlets,
}

impl Global {
    /// Returns the store of the runs that the command line names.
    pub fn state_options(&self) -> StateOptions {
        StateOptions { dir: self.state_dir.clone(), state: self.state.clone() }
    }
}

/// The value of `--output`: the format of the output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Text for people.
    #[default]
    Text,
    /// One JSON object per line on standard output, and nothing else.
    Json,
    /// Markdown for a pull request or a ticket; only `check`, `report` and `help`.
    #[value(hide = true)]
    Markdown,
}

/// The value of `--log-level`: which messages are logged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// No messages.
    Off,
    /// Only errors.
    Error,
    /// Errors and warnings.
    #[default]
    Warn,
    /// Also messages about the progress of the command.
    Info,
    /// Also details, such as each call of an API.
    Debug,
    /// All messages.
    Trace,
}
