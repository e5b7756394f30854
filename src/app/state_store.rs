//! Determines and opens the store of the runs. The location comes from the plan's `spec.state`, else from `--state` or
//! `CUTOVER_STATE`; without these it is this machine. If this store cannot be used, no other store is used instead.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::exit::{Exit, Failure, store_failure};
use super::{connect, find};
use crate::adapter::aws::eks;
use crate::adapter::clock::SystemClock;
use crate::adapter::kubernetes::{self as kube, K8s};
use crate::adapter::store::fs::LocalStore;
use crate::adapter::store::kubernetes::KubernetesStore;
use crate::base::duration::format_exact;
use crate::base::finding::{Code, Finding};
use crate::plan::model::{ClusterAccess, Plan, StateLocation};
use crate::plan::schedule;
use crate::port::store::{Store, StoreError};

/// The location of the store, from the command line or the environment.
#[derive(Debug, Clone, Default)]
pub struct StateOptions {
    /// The directory on this machine; `None` means the user's state directory.
    pub dir: Option<PathBuf>,
    /// The store for runs whose plan does not name a store.
    pub state: Option<StateLocation>,
}

/// A namespace of a connected cluster, in which runs are stored.
pub struct StateNamespace {
    /// The connection to the cluster.
    pub cluster: K8s,
    /// The name of the namespace.
    pub name: String,
    /// The text for messages, such as `namespace cutover of the EKS cluster tools`.
    pub place: String,
    /// The `kubectl` command for people, such as `kubectl -n cutover`.
    pub kubectl: String,
}

/// Returns the location of the store for a plan's runs.
pub fn location_of(given: &StateOptions, plan: &Plan) -> Result<StateLocation, Failure> {
    Ok(match (&plan.state, &given.state) {
        (StateLocation::Local, other) => other.clone().unwrap_or_default(),
        (from_plan, Some(other)) if from_plan != other => {
            let message =
                format!("{} stores its runs in {from_plan}, but --state (or CUTOVER_STATE) says {other}", plan.source);
            return Err(Failure::new(Exit::Usage, message)
                .next("remove --state or CUTOVER_STATE: the plan's own `spec.state` applies on every machine"));
        }
        (from_plan, _) => from_plan.clone(),
    })
}

/// The length of a plan from which other people need access to its state. It is about one shift.
const SHIFT: Duration = Duration::from_hours(8);

/// Returns a finding if a plan takes longer than a shift, and its state is on this machine only.
pub fn check_length(given: &StateOptions, plan: &Plan, now: Timestamp) -> Option<Finding> {
    let length: Duration = plan.runs().iter().map(|run| length(run, now)).sum();
    if length <= SHIFT || location_of(given, plan).ok()? != StateLocation::Local {
        return None;
    }
    let message = format!(
        "the plan takes at least {}, and its state is on this machine only: nobody can continue the run, or stop it, from \
         another machine",
        format_exact(length)
    );
    let help = "store the state in a cluster (`spec.state`, see `cutover help state`), and start the run with --detach";
    Some(Finding::new(Code::CUT314, "state", message).help(help))
}

/// Returns the minimum time from now to the end of a run, with the waits for windows.
fn length(run: &Plan, now: Timestamp) -> Duration {
    let end = schedule::earliest_starts(run, now, 0).last().copied();
    let with_windows = end.map_or(Duration::ZERO, |end| end.duration_since(now).unsigned_abs());
    schedule::min_duration(run, 0).max(with_windows)
}

/// Opens the store of a plan's runs.
pub async fn open_for_plan(given: &StateOptions, plan: &Plan) -> Result<Arc<dyn Store>, Failure> {
    open(given, &location_of(given, plan)?, Some(&plan.region)).await
}

/// Opens the store of the named run or plan: the store in the plan file if `target` is one, otherwise the store of
/// `--state`.
pub async fn open_for_target(given: &StateOptions, target: Option<&str>) -> Result<Arc<dyn Store>, Failure> {
    let file = target.filter(|t| *t == "-" || Path::new(t).is_file());
    // A file that is not a plan may have the same name as a run. If no run matches either, the error about the run also
    // names the problem with the file.
    match file.and_then(|file| find::plan_file(file, false).ok()) {
        Some(plan) => open_for_plan(given, &plan).await,
        None => open(given, &given.state.clone().unwrap_or_default(), None).await,
    }
}

/// Opens a store. Probes a shared store at once, so that an unreachable store is refused before a run starts.
async fn open(given: &StateOptions, place: &StateLocation, region: Option<&str>) -> Result<Arc<dyn Store>, Failure> {
    let StateLocation::Kubernetes { access, namespace } = place else {
        let local = LocalStore::open(given.dir.clone()).map_err(|e| Failure::new(Exit::Internal, e))?;
        return Ok(Arc::new(local));
    };
    let StateNamespace { cluster, name, place, kubectl } = connect(access, namespace, region).await?;
    let shared = KubernetesStore::new(cluster.client(), &name, &place, &kubectl, Arc::new(SystemClock));
    shared.probe().await.map_err(store_failure)?;
    Ok(Arc::new(shared))
}

/// Connects to the cluster of a namespace. Does not read the namespace yet.
pub async fn connect(access: &ClusterAccess, namespace: &str, region: Option<&str>) -> Result<StateNamespace, Failure> {
    let (reached, cluster, kubectl) = match access {
        ClusterAccess::Eks(name) => (
            eks::connect(&connect::aws_config(region).await, name, None).await,
            format!("the EKS cluster {name}"),
            "kubectl".to_owned(),
        ),
        ClusterAccess::KubeContext(name) => (
            kube::from_context(Some(name)).await,
            format!("the cluster of context {name}"),
            format!("kubectl --context {name}"),
        ),
        ClusterAccess::None => {
            return Err(Failure::new(Exit::Usage, "the state location names a namespace but no cluster"));
        }
    };
    let place = format!("namespace {namespace} of {cluster}");
    match reached {
        Ok(cluster) => Ok(StateNamespace {
            cluster,
            name: namespace.to_owned(),
            place,
            kubectl: format!("{kubectl} -n {namespace}"),
        }),
        Err(why) => Err(store_failure(StoreError::Unusable { place, why: why.to_string() })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixture;

    #[test]
    fn a_plan_longer_than_a_shift_needs_shared_state() {
        let mut plan = fixture::plan();
        let given = StateOptions::default();
        let code = |given: &StateOptions, plan: &Plan| {
            check_length(given, plan, Timestamp::UNIX_EPOCH).map(|finding| finding.code)
        };
        plan.strategy.longest_settle = Duration::from_mins(1);
        assert_eq!(code(&given, &plan), None, "a short plan");
        plan.strategy.longest_settle = Duration::from_hours(5);
        assert_eq!(code(&given, &plan), Some(Code::CUT314));
        let shared =
            StateLocation::Kubernetes { access: ClusterAccess::Eks("tools".into()), namespace: "cutover".into() };
        assert_eq!(
            code(&StateOptions { state: Some(shared.clone()), ..given.clone() }, &plan),
            None,
            "shared by --state"
        );
        plan.state = shared;
        assert_eq!(code(&given, &plan), None, "shared by the plan");
    }
}
