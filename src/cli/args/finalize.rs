//! `finalize`'s arguments.

use std::time::Duration;

use clap::Args;

use super::options::help;
use super::value;
use crate::app::exit::Exit;

/// `finalize`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = help("Without --detach it changes nothing: exit 0 says that the old cluster can go, 8 not yet, 3 no, 7 drift.
After --detach, nothing leads back: `cutover rollback` of the run refuses.

Examples:
  cutover finalize alpha-webapp                       may the old cluster go?
  cutover finalize alpha-webapp --detach              take its groups out of the actions
  cutover finalize alpha-webapp --detach --bindings   and then delete its bindings",
    &[Exit::Done, Exit::Internal, Exit::Usage, Exit::Refused, Exit::Stuck, Exit::Locked, Exit::Drift, Exit::Waiting, Exit::Interrupted]))]
pub struct Finalize {
    /// Run id, plan name or plan file: its newest run
    #[arg(value_name = "RUN|PLAN")]
    pub target: String,
    /// Let it go: take the old groups out of the actions
    #[arg(long)]
    pub detach: bool,
    /// And delete the old cluster's bindings that this tool made, and nobody else has touched
    #[arg(long, requires = "detach")]
    pub bindings: bool,
    /// For how long the old groups must have been asked nothing
    #[arg(long, value_parser = value::duration, default_value = "15m", value_name = "TIME")]
    pub quiet_for: Duration,
    /// Also where something of that is not known
    #[arg(long, requires = "detach")]
    pub force: bool,
    /// Do not ask
    #[arg(long, short, requires = "detach")]
    pub yes: bool,
}
