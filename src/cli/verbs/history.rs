//! `cutover history`: lists the stored runs, or shows one of them event by event.

use clap::Args;

use crate::app::exit::{Exit, Failure};
use crate::app::{find, state_store};
use crate::cli::args::{Global, Output};
use crate::cli::render::history::{json, list, run_events};
use crate::cli::term;
use crate::domain::run::journal;

/// The arguments of `cutover history`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = "Examples:
  cutover history                                    all runs, newest first
  cutover history alpha-webapp                       the runs of a plan
  cutover history alpha-webapp-20261120-210305-k3f9  one run, event by event")]
pub struct History {
    /// Run id, plan name or plan file [default: all runs]
    #[arg(value_name = "RUN|PLAN")]
    pub target: Option<String>,
}

/// Runs `cutover history`.
pub async fn run(global: &Global, args: &History) -> Result<Exit, Failure> {
    let style = term::style(global.color);
    let target = args.target.as_deref();
    let store = state_store::open_for_target(&global.state_options(), target).await?;
    let mut runs = find::runs_of(&*store, target, style.color).await?;
    let one = runs.len() == 1 && target == Some(runs[0].id.as_str());
    let text = match (one, global.output) {
        (true, output) => {
            let found = find::open(&*store, runs.remove(0)).await?;
            match output {
                Output::Json => {
                    found.records.iter().map(|r| journal::to_json(r).to_string()).collect::<Vec<_>>().join("\n")
                }
                _ => run_events(&found.records, &style),
            }
        }
        (false, Output::Json) => json(&runs),
        (false, _) if runs.is_empty() => format!("no runs in {}", store.location()),
        (false, _) => list(&runs, &style),
    };
    if !text.is_empty() {
        let _ = term::print(&text);
    }
    Ok(Exit::Done)
}
