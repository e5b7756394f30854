//! Each verb's own arguments and options.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::value::{self, Parts, StepRef};
use crate::adapter::telemetry::Outlets;
use crate::app::exit::Exit;
use crate::plan::model::{ServiceRef, Shares};

/// `init`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Examples:
  cutover init --load-balancer alpha-webapp --from '*-a' --to '*-b' > plan.yaml
  cutover init --load-balancer alpha-webapp --from '*-a' --to '*-b' \\
    --from-cluster alpha-kr-a --to-cluster alpha-kr-b \\
    --service webapp/webapp:http > plan.yaml")]
pub struct Init {
    /// The load balancer: name, ARN, or `tag:KEY=VALUE`
    #[arg(long, value_name = "LB")]
    pub load_balancer: String,
    /// Target groups that carry the traffic now (globs, in quotes)
    #[arg(long, value_name = "GROUPS", required = true, value_delimiter = ',')]
    pub from: Vec<String>,
    /// Target groups that are to carry it (globs, in quotes)
    #[arg(long, value_name = "GROUPS", required = true, value_delimiter = ',')]
    pub to: Vec<String>,
    /// Cluster behind --from: its EKS name, or `context:NAME` of the kubeconfig
    #[arg(long, value_name = "CLUSTER")]
    pub from_cluster: Option<String>,
    /// Cluster behind --to, in the same way
    #[arg(long, value_name = "CLUSTER")]
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
  cutover status                                        the only unfinished run
  cutover status --load-balancer alpha-webapp --watch   no plan needed, read-only")]
pub struct Status {
    /// Run id, plan name or plan file [default: the only unfinished run]
    #[arg(value_name = "RUN|PLAN", conflicts_with = "load_balancer")]
    pub target: Option<String>,
    /// Look at a load balancer, no plan needed: name, ARN, or `tag:KEY=VALUE`
    #[arg(long, value_name = "LB")]
    pub load_balancer: Option<String>,
    /// Look again and again until ^C
    #[arg(long, short)]
    pub watch: bool,
}

/// `history`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Examples:
  cutover history                                       every run, newest first
  cutover history alpha-webapp                          those of a plan
  cutover history alpha-webapp-20261120-210305-k3f9     one of them, event by event")]
pub struct History {
    /// Run id, plan name or plan file [default: every run]
    #[arg(value_name = "RUN|PLAN")]
    pub target: Option<String>,
}

/// `report`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Examples:
  cutover report                                        of the newest run, into cutover-report-RUN.html
  cutover report alpha-webapp --file -                  the page on standard output
  cutover report alpha-webapp --output markdown         for a ticket")]
pub struct Report {
    /// Run id, plan name or plan file: its newest run [default: the newest run of all]
    #[arg(value_name = "RUN|PLAN")]
    pub target: Option<String>,
    /// Where the page goes, `-` for stdout [default: cutover-report-RUN.html]
    #[arg(long, short, value_name = "FILE")]
    pub file: Option<PathBuf>,
}

/// `check`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = help("Examples:
  cutover check plan.yaml
  cutover check plan.yaml --output markdown           for a pull request",
    &[Exit::Done, Exit::Internal, Exit::Usage, Exit::Refused]))]
pub struct Check {
    /// Plan file, `-` for stdin
    pub plan: String,
    /// Only what the file itself tells: no AWS, no clusters
    #[arg(long)]
    pub offline: bool,
}

/// `rehearse`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = help("Nothing real is touched: no AWS, no cluster, no file.

Examples:
  cutover rehearse plan.yaml
  cutover rehearse plan.yaml --virtual \\
    --scenario examples/scenarios/green-dies-at-50.yaml",
    &[Exit::Done, Exit::Usage, Exit::Refused, Exit::RolledBack, Exit::Stuck, Exit::Drift, Exit::Waiting, Exit::Interrupted]))]
pub struct Rehearse {
    /// Plan file, `-` for stdin
    pub plan: String,
    /// The lab's inhabitants and faults [default: all healthy, nothing happens]
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
    /// Really run the plan's commands and call its hooks; without it they are only said
    #[arg(long, conflicts_with = "virtual_time")]
    pub exec: bool,
    /// Write the page of `cutover report` about it, `-` for stdout
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// What is told to machines.
    #[command(flatten)]
    pub metrics: Metrics,
}

/// `lab`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Examples:
  cutover lab plans/alpha-webapp.yaml                 prints what to export in another terminal
  cutover lab plans/alpha-webapp.yaml --speed 20 \\
    --scenario examples/scenarios/foreign-write.yaml")]
pub struct Lab {
    /// Plan file, `-` for stdin
    pub plan: String,
    /// The lab's inhabitants and faults [default: all healthy, nothing happens]
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
    /// Do not ask; needed where there is no terminal
    #[arg(long, short)]
    pub yes: bool,
    /// Stop after this step, and leave the run to be resumed: number or name
    #[arg(long, value_name = "STEP")]
    pub until: Option<StepRef>,
    /// Begin with this step, if the live shares fit: number or name
    #[arg(long, value_name = "STEP")]
    pub from_step: Option<StepRef>,
    /// Where a rollback goes, such as `a=100` [default: all on `from`]
    #[arg(long, value_parser = value::shares, value_name = "SHARES", requires = "from_step")]
    pub baseline: Option<Shares>,
    /// Describe calls a second to spend on looking; more routes and groups are looked at less often [default: 10]
    #[arg(long, value_parser = value::speed, value_name = "N")]
    pub api_budget: Option<f64>,
    /// When frozen by drift (exit 7) or a failure (exit 5): leave, or keep guarding [default: wait on a terminal]
    #[arg(long, value_enum, hide_possible_values = true, value_name = "exit|wait", conflicts_with = "detach")]
    pub on_freeze: Option<OnFreeze>,
    /// Begin the run, and hand it to a Job in the namespace that keeps it (`spec.state`); exits with 8
    #[arg(long, requires = "image", conflicts_with = "until")]
    pub detach: bool,
    /// The Job's image, with `cutover` on its PATH
    #[arg(long, requires = "detach")]
    pub image: Option<String>,
    /// The Job's service account, whose role is the one that the run needs
    #[arg(long, default_value = "cutover", value_name = "NAME")]
    pub service_account: String,
    /// What is told to machines.
    #[command(flatten)]
    pub metrics: Metrics,
}

/// `step`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = help("Begins the plan's run, or takes the unfinished one in hand, or does nothing where it is over or somebody has it.
It stays while a write, a settling step, a failing guard, a gate that must hold, or a rollback is in the middle.

Examples:
  cutover step plan.yaml --yes                        from cron, a systemd timer, a CI job or a CronJob
  cutover step plan.yaml --yes --max-wait 4m          every five minutes, guarding in between", &Exit::ALL))]
pub struct Step {
    /// Plan file, `-` for stdin; or a run's id, to go on with that one only
    #[arg(value_name = "PLAN|RUN")]
    pub plan: String,
    /// Do not ask; needed where there is no terminal
    #[arg(long, short)]
    pub yes: bool,
    /// Guard for this long while there is only waiting left, such as 4m
    #[arg(long, value_parser = value::span, default_value = "0s", value_name = "TIME")]
    pub max_wait: Duration,
    /// Describe calls a second to spend on looking; more routes and groups are looked at less often [default: 10]
    #[arg(long, value_parser = value::speed, value_name = "N")]
    pub api_budget: Option<f64>,
    /// What is told to machines.
    #[command(flatten)]
    pub metrics: Metrics,
}

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

/// `promote`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Promote {
    /// Which run.
    #[command(flatten)]
    pub named: Named,
    /// End this pause and all that are still to come
    #[arg(long)]
    pub full: bool,
}

/// `resume`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = help("Where another process has the run in hand, that one is told to go on, and this one returns.

Examples:
  cutover resume alpha-webapp
  cutover resume alpha-webapp --keep-live             someone changed a route on purpose", &Exit::ALL))]
pub struct Resume {
    /// Which run.
    #[command(flatten)]
    pub steer: Steer,
    /// Someone changed a route: keep what is live now, and go on from there
    #[arg(long, conflicts_with_all = ["reassert", "include_new"])]
    pub keep_live: bool,
    /// Someone made a rule that forwards to the old groups: move it along with the others from now on
    #[arg(long, conflicts_with = "reassert")]
    pub include_new: bool,
    /// Someone changed a route: write our shares over it
    #[arg(long)]
    pub reassert: bool,
    /// Stop after this step: number or name
    #[arg(long, value_name = "STEP")]
    pub until: Option<StepRef>,
    /// Leave the rest to a scheduler's `step`, once this long has passed and nothing is in the middle: 0s, 10m
    #[arg(long, value_parser = value::span, value_name = "TIME")]
    pub max_wait: Option<Duration>,
    /// Describe calls a second to spend on looking; more routes and groups are looked at less often [default: 10]
    #[arg(long, value_parser = value::speed, value_name = "N")]
    pub api_budget: Option<f64>,
    /// When frozen by drift (exit 7) or a failure (exit 5): leave, or keep guarding [default: wait on a terminal]
    #[arg(long, value_enum, hide_possible_values = true, value_name = "exit|wait")]
    pub on_freeze: Option<OnFreeze>,
    /// What is told to machines.
    #[command(flatten)]
    pub metrics: Metrics,
}

/// `abort`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = help("Examples:
  cutover abort alpha-webapp
  cutover abort alpha-webapp --to-step first-traffic  back to that step's shares only",
    &[Exit::Done, Exit::Internal, Exit::Usage, Exit::Stuck, Exit::Locked]))]
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

pub(super) fn help(examples: &str, codes: &[Exit]) -> String {
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
