//! Reports the use of a run's break-glass script, which tags of the load balancers show. The journal does not contain
//! this use.

use std::time::Duration;

use super::connect;
use super::exit::Failure;
use crate::base::arn;
use crate::domain::run::script_use::ScriptUse;
use crate::port::TagStore;
use crate::port::store::RunSummary;

/// How long to wait for AWS's response. The time is short, because the tags only inform people.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Returns the use of the script of `run`; `None` if no load balancer has the script's tag, or if the tags cannot be
/// read.
pub async fn used(tag_store: &dyn TagStore, run: &str, load_balancers: &[String]) -> Option<ScriptUse> {
    let tagged: Vec<_> = load_balancers.iter().filter(|id| tag_store.has_tags(id)).cloned().collect();
    if tagged.is_empty() {
        return None;
    }
    let tags = tokio::time::timeout(TIMEOUT, tag_store.tags(&tagged)).await.ok()?.ok()?;
    tags.values().filter_map(ScriptUse::of).find(|used| used.run == run)
}

/// Returns what a person needs to know before a run whose script was used is continued, and the command to type.
pub async fn warning(run: &RunSummary) -> Option<String> {
    let in_aws: Vec<_> = run.load_balancers.iter().filter(|id| arn::begins(id)).cloned().collect();
    let region = arn::region(in_aws.first()?);
    let balancer = connect::balancer(&connect::aws_config(Some(region)).await);
    let used = connect::reads().read(0, used(&*balancer.tags, &run.id, &in_aws)).await?;
    Some(format!("{}; {}", used.text(), next(&run.id)))
}

/// Returns the next step of the operator, which ends a run whose script was used.
fn next(run: &str) -> String {
    format!("to read every route, restore what is not restored, and end the run: cutover rollback {run}")
}

/// Adds to the refusal of a new run that the script of the unfinished run was used.
pub async fn add_to(failure: Failure, runs: &[RunSummary]) -> Failure {
    let Some(open) = runs.iter().find(|run| run.finished.is_none()) else { return failure };
    match warning(open).await {
        Some(text) => failure.next(text),
        None => failure,
    }
}
