//! The options of `cutover rollback`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, ValueEnum};

use crate::app::exit::Exit;
use crate::cli::args::help_text;
use crate::cli::args::value::{self, RampStages};
use crate::domain::hand_over::ItemId;
use crate::domain::run::event::Ramp;

/// Default time between two stages of a rollback.
const DEFAULT_STAGE_INTERVAL: Duration = Duration::from_mins(2);

/// The arguments of `cutover rollback`.
#[derive(Debug, Clone, Default, PartialEq, Args)]
#[command(after_help = help_text("Examples:
  cutover rollback                               the only unfinished run
  cutover rollback --load-balancer alpha-webapp  no run, no plan: from its tags
  cutover rollback --load-balancer alpha-webapp --back-to '*-a' --away-from '*-b'",
    &[Exit::Done, Exit::Internal, Exit::Usage, Exit::Refused, Exit::Stuck, Exit::Locked]))]
#[command(group = ArgGroup::new("place").args(["load_balancer", "haproxy"]))]
#[command(group = ArgGroup::new("table").args(["backend", "map"]))]
pub struct Rollback {
    /// Run id, plan name or plan file [default: the only unfinished run]
    #[arg(value_name = "RUN|PLAN", conflicts_with = "place")]
    pub target: Option<String>,
    /// Load balancer (name or ARN) to roll back without a run or plan
    #[arg(long, value_name = "LB")]
    pub load_balancer: Option<String>,
    /// HAProxy instances to roll back: see `cutover help emergency`
    #[arg(long, value_name = "ADDRESS", num_args = 1.., value_delimiter = ',', value_parser = value::runtime_api,
        requires_all = ["table", "back_to"])]
    pub haproxy: Vec<String>,
    // Hidden, because the help must fit on a screen; the topic `emergency` has them.
    /// The backend of HAProxy
    #[arg(long, hide = true, value_name = "NAME", requires = "haproxy")]
    pub backend: Option<String>,
    /// The map of slots of HAProxy
    #[arg(long, hide = true, value_name = "FILE", requires = "haproxy")]
    pub map: Option<String>,
    /// Target groups that get all the traffic (globs, in quotes)
    #[arg(long, value_name = "GROUPS", requires_all = ["place", "away_from"], value_delimiter = ',')]
    pub back_to: Vec<String>,
    /// Target groups that lose all their traffic (globs, in quotes)
    #[arg(long, value_name = "GROUPS", requires_all = ["place", "back_to"], value_delimiter = ',')]
    pub away_from: Vec<String>,
    // These two options exist only to reject them with an explanation: many people read them as the opposite direction.
    /// Refused: use `--away-from` and `--back-to`
    #[arg(long, hide = true)]
    pub from: Option<String>,
    /// Refused: use `--away-from` and `--back-to`
    #[arg(long, hide = true)]
    pub to: Option<String>,
    // Hidden, because the help must fit on a screen; a rollback without them names both, and the topic `waves` has them.
    /// Roll back only this wave (for a plan with waves)
    #[arg(long, hide = true, value_name = "NAME", requires = "target", conflicts_with = "all")]
    pub wave: Option<String>,
    /// Of a plan with waves, roll back all waves, the last one first
    #[arg(long, hide = true, requires = "target")]
    pub all: bool,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Roll back in stages, --every 2m; each waits for healthy targets
    #[arg(long, value_name = "25,50,100", value_parser = value::ramp_stages)]
    pub ramp: Option<RampStages>,
    // Hidden, because the help must fit on a screen; the line of `--ramp` names it.
    /// Time between two stages [default: 2m]
    #[arg(long, hide = true, value_name = "DURATION", requires = "ramp", value_parser = value::duration)]
    pub every: Option<Duration>,
    /// Send sticky clients back, too, or not [default: as in the plan]
    #[arg(long, value_enum, hide_possible_values = true, value_name = "break|keep")]
    pub stickiness: Option<Stickiness>,
    /// Roll back without healthy targets, or against a run's tags
    #[arg(long)]
    pub force: bool,
    // Hidden, because the help must fit on a screen; the message that names the item has the command.
    /// Start this item of a hand-over in the old cluster without a proof that it is stopped in the new one
    #[arg(long, hide = true, value_name = "ITEM", requires = "target")]
    pub assume_stopped: Vec<ItemId>,
    /// Take over the run; the process that drives it stops
    #[arg(long)]
    pub take_over: bool,
    // The same options as in `run`, but hidden, because the help of this command must fit on a screen.
    /// Before the question, list every route
    #[arg(long, short, hide = true)]
    pub verbose: bool,
    /// Write metrics to this file
    #[arg(long, hide = true)]
    pub metrics_file: Option<PathBuf>,
    /// Serve metrics at this address
    #[arg(long, hide = true)]
    pub metrics_listen: Option<std::net::SocketAddr>,
}

/// How a rollback treats clients whose cookie leads to the new cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Stickiness {
    /// Detach the new groups, so that cookies for them have no effect.
    Break,
    /// Leave the new groups attached at weight 0.
    Keep,
}

impl Rollback {
    /// Returns whether the operator asks to move sticky clients; `None` if the plan decides.
    pub fn break_stickiness(&self) -> Option<bool> {
        self.stickiness.map(|stickiness| stickiness == Stickiness::Break)
    }

    /// Returns the stages of `--ramp`.
    pub fn ramp(&self) -> Option<Ramp> {
        let percents = self.ramp.as_ref()?.0.clone();
        Some(Ramp { percents, every: self.every.unwrap_or(DEFAULT_STAGE_INTERVAL).as_secs() })
    }
}
