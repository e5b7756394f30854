//! Reads the facts about both clusters for a comparison: from Kubernetes, from AWS, and from dry-runs. Do not judge
//! them here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::future::FutureExt;
use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::Timestamp;
use serde_json::Value;

use super::compare;
use crate::domain::compare::facts::{Candidate, ClusterFacts, DryRun, Kind};
use crate::domain::compare::platform::{AwsFact, PlatformFacts, Support, Unread};
use crate::domain::compare::{candidates, role_names};
use crate::domain::traffic::Unreadable;
use crate::plan::model::{ClusterName, Plan};
use crate::port::{ClusterConnections, ClusterObjects, ClusterPlatform, ComparedCluster};

/// The maximum number of calls to an API that are sent at the same time.
const MAX_PARALLEL: usize = 6;

/// The IAM actions that a comparison uses.
pub const ACTIONS: [&str; 10] = [
    "ec2:DescribeSubnets",
    "eks:DescribeAddon",
    "eks:DescribeAddonVersions",
    "eks:DescribeCluster",
    "eks:DescribeClusterVersions",
    "eks:DescribeInsight",
    "eks:ListAddons",
    "eks:ListInsights",
    "eks:ListPodIdentityAssociations",
    "iam:GetRole",
];

/// Reads the facts about the two clusters of a plan: the cluster that loses traffic, then the cluster that gets it.
pub async fn read_both(
    plan: &Plan,
    compared: &BTreeMap<ClusterName, Arc<dyn ComparedCluster>>,
    now: Timestamp,
) -> (ClusterFacts, ClusterFacts) {
    let (from, to) = (&plan.strategy.from, &plan.strategy.to);
    let (from, to) = futures::join!(connect(compared.get(from)), connect(compared.get(to)));
    let (old, mut new) = futures::join!(read(plan, Side::Old, &from, now), read(plan, Side::New, &to, now));
    if let Ok(reader) = &to.objects {
        new.dry_runs = dry_runs(&**reader, candidates(plan, &old, &new)).await;
    }
    (old, new)
}

async fn connect(cluster: Option<&Arc<dyn ComparedCluster>>) -> ClusterConnections {
    match cluster {
        Some(cluster) => cluster.connect().await,
        None => ClusterConnections {
            objects: Err(Unreadable::Setup("the plan gives no access to the cluster".to_owned())),
            platform: None,
        },
    }
}

/// Sends the objects of the old cluster to the new cluster in dry-runs. If the permission for a kind is missing, only
/// one object of the kind is sent.
async fn dry_runs(reader: &dyn ClusterObjects, candidates: Vec<Candidate>) -> Vec<(Candidate, DryRunFact)> {
    let mut kinds = BTreeSet::new();
    let (first, rest): (Vec<_>, Vec<_>) = candidates.into_iter().partition(|candidate| kinds.insert(candidate.kind));
    let mut results = send(reader, first, &BTreeMap::new()).await;
    let denied = |(candidate, result): &(Candidate, DryRunFact)| match result {
        Err(Unreadable::Denied(why)) => Some((candidate.kind, why.clone())),
        _ => None,
    };
    let denied = results.iter().filter_map(denied).collect();
    results.extend(send(reader, rest, &denied).await);
    results
}

type DryRunFact = Result<DryRun, Unreadable>;

/// Sends objects in dry-runs, except those of the kinds in `denied`.
async fn send(
    reader: &dyn ClusterObjects,
    candidates: Vec<Candidate>,
    denied: &BTreeMap<Kind, String>,
) -> Vec<(Candidate, DryRunFact)> {
    let mut sent = Vec::new();
    for candidate in candidates {
        sent.push(dry_run(reader, candidate, denied).boxed());
    }
    stream::iter(sent).buffered(MAX_PARALLEL).collect().await
}

async fn dry_run(
    reader: &dyn ClusterObjects,
    mut candidate: Candidate,
    denied: &BTreeMap<Kind, String>,
) -> (Candidate, DryRunFact) {
    let result = match denied.get(&candidate.kind) {
        Some(why) => Err(Unreadable::Denied(why.clone())),
        None => reader.dry_run(&candidate).await,
    };
    if !matches!(result, Ok(DryRun::Refused(_))) {
        // Only the message of a refusal may contain values of the object.
        candidate.body = Value::Null;
    }
    (candidate, result)
}

/// The part of a cluster in the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    /// The cluster that loses traffic.
    Old,
    /// The cluster that gets traffic.
    New,
}

async fn read(plan: &Plan, side: Side, cluster: &ClusterConnections, now: Timestamp) -> ClusterFacts {
    let name = if side == Side::Old { &plan.strategy.from } else { &plan.strategy.to };
    let mut facts = compare::read(plan, name, cluster.objects.as_deref().map_err(Clone::clone)).await;
    if let Some(reader) = cluster.platform.as_deref() {
        let found = match side {
            Side::Old => old_platform(reader, now).await,
            Side::New => new_platform(plan, &facts, reader, now).await,
        };
        if let Ok(cluster) = &found.cluster {
            // A longer text may contain a shorter one, so it is replaced first.
            let names = [&cluster.issuer, &cluster.endpoint].into_iter().flatten();
            let names = names.filter_map(|url| url.strip_prefix("https://")).map(str::to_owned);
            facts.own_names = names.chain(std::mem::take(&mut facts.own_names)).collect();
        }
        facts.platform = Some(found);
    }
    facts
}

/// Marks the error of a call with its action.
fn of<T>(action: &'static str, result: Result<T, Unreadable>) -> AwsFact<T> {
    result.map_err(|why| Unread { action, why })
}

/// Reads what the rules need of the cluster that loses traffic.
async fn old_platform(reader: &dyn ClusterPlatform, now: Timestamp) -> PlatformFacts {
    let deprecations = async {
        let insights = of("eks:ListInsights", reader.insights().await)?;
        let mut details = Vec::new();
        for insight in &insights {
            details.push(reader.deprecations(insight));
        }
        of("eks:DescribeInsight", stream::iter(details).buffered(MAX_PARALLEL).try_concat().await)
    };
    let (cluster, names, identities, deprecations) =
        futures::join!(reader.describe(), reader.addon_names(), reader.pod_identities(), deprecations);
    PlatformFacts {
        cluster: of("eks:DescribeCluster", cluster),
        addon_names: of("eks:ListAddons", names),
        pod_identities: of("eks:ListPodIdentityAssociations", identities),
        deprecations,
        ..PlatformFacts::empty(now)
    }
}

/// Reads what the rules need of the cluster that gets traffic.
async fn new_platform(
    plan: &Plan,
    facts: &ClusterFacts,
    reader: &dyn ClusterPlatform,
    now: Timestamp,
) -> PlatformFacts {
    let (cluster, names, identities) = futures::join!(reader.describe(), reader.addon_names(), reader.pod_identities());
    let mut found = PlatformFacts {
        cluster: of("eks:DescribeCluster", cluster),
        addon_names: of("eks:ListAddons", names),
        pod_identities: of("eks:ListPodIdentityAssociations", identities),
        ..PlatformFacts::empty(now)
    };
    let names = found.addon_names.clone().unwrap_or_default();
    let mut reads = Vec::new();
    for name in &names {
        reads.push(reader.addon(name));
    }
    let addons = stream::iter(reads).buffered(MAX_PARALLEL).try_collect();
    let version = facts.version.as_deref().ok().and_then(kubernetes_version);
    let (versions, support) = (addon_versions(reader, &names, version.as_deref()), support(reader, version.as_deref()));
    let roles = role_names(plan, facts);
    let mut reads = Vec::new();
    for role in roles {
        reads.push(trust_policy(reader, role).boxed());
    }
    let roles = stream::iter(reads).buffered(MAX_PARALLEL).collect::<BTreeMap<_, _>>();
    let ids = found.cluster.as_ref().map(|cluster| cluster.subnets.clone()).unwrap_or_default();
    let subnets = async { if ids.is_empty() { Ok(Vec::new()) } else { reader.subnets(&ids).await } };
    let (addons, versions, support, roles, subnets) = futures::join!(addons, versions, support, roles, subnets);
    found.addons = of("eks:DescribeAddon", addons);
    found.addon_versions = of("eks:DescribeAddonVersions", versions);
    found.support = of("eks:DescribeClusterVersions", support);
    found.roles = roles;
    found.subnets = of("ec2:DescribeSubnets", subnets);
    found
}

/// Returns the minor version in the form of EKS: `1.33` of `v1.33.4-eks-1`.
fn kubernetes_version(git_version: &str) -> Option<String> {
    let mut parts = git_version.trim_start_matches('v').split('.');
    let (major, minor) = (parts.next()?, parts.next()?);
    Some(format!("{major}.{}", minor.trim_end_matches('+')))
}

async fn addon_versions(
    reader: &dyn ClusterPlatform,
    names: &BTreeSet<String>,
    version: Option<&str>,
) -> Result<BTreeMap<String, BTreeSet<String>>, Unreadable> {
    let Some(version) = version else { return Ok(BTreeMap::new()) };
    let mut reads = Vec::new();
    for name in names {
        reads.push(addon_version(reader, name, version).boxed());
    }
    stream::iter(reads).buffered(MAX_PARALLEL).try_collect().await
}

async fn addon_version(
    reader: &dyn ClusterPlatform,
    name: &str,
    version: &str,
) -> Result<(String, BTreeSet<String>), Unreadable> {
    Ok((name.to_owned(), reader.addon_versions(name, version).await?))
}

async fn trust_policy(reader: &dyn ClusterPlatform, role: String) -> (String, AwsFact<Option<Value>>) {
    let policy = reader.trust_policy(&role).await;
    (role, of("iam:GetRole", policy))
}

async fn support(reader: &dyn ClusterPlatform, version: Option<&str>) -> Result<Option<Support>, Unreadable> {
    match version {
        Some(version) => reader.support(version).await,
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests;
