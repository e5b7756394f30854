//! Finds a run that this machine's state does not contain: the marker tag of the load balancer names the run, and the
//! person and the machine that started it.

use std::path::Path;

use super::connect;
use super::exit::Failure;
use super::find::{StoredRun, UnknownRun, plan_file};
use crate::engine::marker;
use crate::plan::model::{Plan, Selector, StateLocation};
use crate::port::Detail;

/// Adds the place of the run to the failure, if the run was not found. This works only if `target` is a plan file, and
/// if the markers in AWS name a run.
pub async fn or_say_where(found: Result<StoredRun, Failure>, target: &str) -> Result<StoredRun, Failure> {
    match found {
        Err(failure) if failure.error.is::<UnknownRun>() && Path::new(target).is_file() => {
            let plan = plan_file(target, false).ok();
            let marked = match &plan {
                Some(plan) => marked_balancers(plan).await,
                None => Vec::new(),
            };
            if marked.is_empty() {
                return Err(failure);
            }
            // These lines are about the named run, so they come first.
            let back = format!("to roll back from here: cutover rollback {target}");
            Err(Failure { next: marked.into_iter().chain([back]).chain(failure.next).collect(), ..failure })
        }
        other => other,
    }
}

/// Returns a sentence for each load balancer of a plan that has a marker.
async fn marked_balancers(plan: &Plan) -> Vec<String> {
    let balancer = connect::balancer_of(plan).await;
    let mut selectors: Vec<&Selector> =
        plan.workloads.iter().flat_map(|w| &w.routes).map(|r| &r.load_balancer).collect();
    selectors.dedup();
    let mut all = Vec::new();
    for selector in selectors {
        let found = balancer.inventory.load_balancers(selector, Detail::Full);
        for found in connect::reads().read(0, found).await.unwrap_or_default() {
            let value = found.tags.get(marker::KEY);
            all.extend(value.and_then(|value| sentence(&found.name, value, &plan.state)));
        }
    }
    all.dedup();
    all
}

/// Returns the content of a marker as a sentence: the run, its owner, and the time of its start.
fn sentence(balancer: &str, value: &str, state: &StateLocation) -> Option<String> {
    let mut parts = value.split(' ');
    let (run, owner, since) = (parts.next()?, parts.next()?, parts.next()?);
    let run = match parts.next().and_then(|part| part.strip_prefix("wave=")) {
        Some(wave) => format!("{run} (wave {wave})"),
        None => run.to_owned(),
    };
    let host = owner.rsplit_once('@').map_or(owner, |(_, host)| host);
    let place = match state {
        StateLocation::Local => format!("its journal is on the host {host}: type the command there"),
        StateLocation::Kubernetes { .. } => {
            format!("it was started on the host {host}, and its journal is not in {state}: type the command there")
        }
    };
    Some(format!(
        "load balancer {balancer} belongs to the run {run}, started by {owner} at {since}; {place}; \
         to show it from here: cutover status --load-balancer {balancer}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_names_the_host_of_its_run() {
        let value = marker::value("alpha-1", "alice@mac", Some("public"), jiff::Timestamp::UNIX_EPOCH);
        assert_eq!(
            sentence("alpha", &value, &StateLocation::Local).as_deref(),
            Some(
                "load balancer alpha belongs to the run alpha-1 (wave public), started by alice@mac at 1970-01-01T00:00:00Z; its \
                 journal is on the host mac: type the command there; to show it from here: cutover status --load-balancer alpha"
            )
        );
    }
}
