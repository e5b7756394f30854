//! Reads the facts that the Kubernetes API of a cluster has, for a comparison. Do not judge it here.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::FutureExt;
use futures::stream::{self, StreamExt, TryStreamExt};

use crate::domain::compare::facts::{ClusterFacts, Fact, KINDS, Kind, KindApi, Scope};
use crate::domain::compare::{Object, secret_names};
use crate::domain::traffic::Unreadable;
use crate::plan::model::{ClusterName, Plan};
use crate::port::ClusterObjects;

/// The maximum number of lists that are read from a cluster at the same time.
const MAX_PARALLEL: usize = 6;

/// Reads the facts about a cluster. `reader` is the connection, or the reason why there is no connection.
pub async fn read(plan: &Plan, cluster: &ClusterName, reader: Result<&dyn ClusterObjects, Unreadable>) -> ClusterFacts {
    let reader = match reader {
        Ok(reader) => reader,
        Err(why) => return unreachable(cluster, &why),
    };
    let services = plan.workloads.iter().filter_map(|workload| workload.services.get(cluster));
    let namespaces: BTreeSet<&str> = services.map(|service| service.namespace.as_str()).collect();
    // Loops, because the futures of a closure are not `Send` for every lifetime, as a task needs it.
    let mut lists = Vec::new();
    for api in KINDS {
        lists.push(list(reader, api, &namespaces).boxed());
    }
    let objects = stream::iter(lists).buffered(MAX_PARALLEL).collect::<BTreeMap<_, _>>();
    let (version, served, objects) = futures::join!(reader.version(), reader.served(), objects);
    let mut facts = ClusterFacts {
        name: cluster.clone(),
        version,
        served,
        secrets: BTreeMap::new(),
        objects,
        own_names: reader.own_names(),
        platform: None,
        dry_runs: Vec::new(),
    };
    let mut reads = Vec::new();
    for (namespace, name) in secret_names(plan, &facts) {
        reads.push(secret(reader, namespace, name).boxed());
    }
    facts.secrets = stream::iter(reads).buffered(MAX_PARALLEL).collect().await;
    facts
}

async fn list(reader: &dyn ClusterObjects, api: &KindApi, namespaces: &BTreeSet<&str>) -> (Kind, Fact<Vec<Object>>) {
    (api.kind, objects(reader, api, namespaces).await)
}

async fn secret(reader: &dyn ClusterObjects, namespace: String, name: String) -> ((String, String), Fact<Option<u64>>) {
    let keys = reader.secret_keys(&namespace, &name).await;
    ((namespace, name), keys)
}

async fn objects(reader: &dyn ClusterObjects, api: &KindApi, namespaces: &BTreeSet<&str>) -> Fact<Vec<Object>> {
    let found = match api.scope {
        Scope::Cluster => reader.objects(api, None).await,
        Scope::Namespaces => {
            let mut lists = Vec::new();
            for namespace in namespaces {
                lists.push(reader.objects(api, Some(namespace)));
            }
            stream::iter(lists).buffered(MAX_PARALLEL).try_concat().await
        }
    };
    match found {
        Err(Unreadable::NotFound(_)) if api.optional => Ok(Vec::new()),
        other => other,
    }
}

/// Returns facts of a cluster of which nothing is known.
pub fn unreachable(cluster: &ClusterName, why: &Unreadable) -> ClusterFacts {
    ClusterFacts {
        name: cluster.clone(),
        version: Err(why.clone()),
        served: Err(why.clone()),
        secrets: BTreeMap::new(),
        objects: KINDS.iter().map(|api| (api.kind, Err(why.clone()))).collect(),
        own_names: Vec::new(),
        platform: None,
        dry_runs: Vec::new(),
    }
}
