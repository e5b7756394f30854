//! `cutover compare`: reads both clusters and shows whether the new cluster is fit to take over. Changes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;

use crate::app::exit::{Exit, Failure};
use crate::app::{connect, find};
use crate::base::finding::Finding;
use crate::cli::args::{Global, Output, help_text, value};
use crate::cli::render::compare as render;
use crate::cli::render::compare::watch::{self, Change};
use crate::cli::signals::Signals;
use crate::cli::term;
use crate::domain::compare::compare;
use crate::engine::compare_platform::read_both;
use crate::plan::model::{ClusterName, Plan};
use crate::port::ComparedCluster;

/// The arguments of `cutover compare`.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(after_help = help_text("Examples:
  cutover compare plan.yaml
  cutover compare plan.yaml --output markdown   for a pull request
  cutover compare plan.yaml --watch             until ^C: what is new, what is gone",
    &[Exit::Done, Exit::Internal, Exit::Usage, Exit::Refused]))]
pub struct Compare {
    /// Plan file, `-` for stdin
    pub plan: String,
    /// Compare again after each interval until ^C, and show what is new and what is gone [default interval: 1m]
    #[arg(long, short, value_name = "INTERVAL", value_parser = value::duration, num_args = 0..=1,
        default_missing_value = "1m")]
    pub watch: Option<Duration>,
}

/// Runs `cutover compare`.
pub async fn run(global: &Global, args: &Compare) -> Result<Exit, Failure> {
    let plan = find::linted_plan(&args.plan, term::style_err(global.color).color)?;
    let config = connect::aws_config(Some(&plan.region)).await;
    let compared = connect::compared(&plan, &config);
    let mut findings = read(&plan, &compared).await;
    let style = term::style(global.color);
    let text = match global.output {
        Output::Text => render::text(&plan, &findings, &style),
        Output::Markdown => render::markdown(&plan, &findings),
        Output::Json => render::json(&plan, &findings),
    };
    let _ = term::print(text.trim_end());
    let Some(interval) = args.watch else { return Ok(exit_of(&findings)) };
    let mut signals = Signals::listen().map_err(|e| Failure::new(Exit::Internal, e))?;
    loop {
        tokio::select! {
            () = tokio::time::sleep(interval) => {}
            () = signals.next() => return Ok(exit_of(&findings)),
        }
        let now = read(&plan, &compared).await;
        let change = Change::between(&findings, &now);
        let text = match global.output {
            Output::Json => watch::json(&plan, &change, &now),
            Output::Text | Output::Markdown => watch::text(&plan, &change, &now, &style, Timestamp::now()),
        };
        if !text.is_empty() {
            let _ = term::print(text.trim_end());
        }
        findings = now;
    }
}

/// Returns the exit code of a comparison.
fn exit_of(findings: &[Finding]) -> Exit {
    findings.iter().find(|finding| finding.refuses()).map_or(Exit::Done, |finding| finding.code.source().into())
}

async fn read(plan: &Plan, compared: &BTreeMap<ClusterName, Arc<dyn ComparedCluster>>) -> Vec<Finding> {
    let reads = Box::pin(read_both(plan, compared, Timestamp::now()));
    let (from, to) = connect::reads().read(0, reads).await;
    compare(plan, &from, &to)
}
