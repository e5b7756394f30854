//! Lists the TargetGroupBindings of each cluster once for a batch of bindings, because a list for each of a thousand
//! bindings would read a million bindings. Do not write anything here.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::base::arn::short;
use crate::domain::kubernetes::binding::Binding;
use crate::plan::model::ClusterName;
use crate::port::{Clock, Cluster};

/// The time after which a list is read again, because other actors create bindings too.
const MAX_AGE: SignedDuration = SignedDuration::from_secs(10);

/// The lists and the identities of the clusters. A failed read is also kept for the batch.
pub struct BindingLists<'a> {
    clusters: &'a BTreeMap<ClusterName, Arc<dyn Cluster>>,
    clock: &'a dyn Clock,
    lists: BTreeMap<ClusterName, (Timestamp, Result<BindingList, String>)>,
    uids: BTreeMap<ClusterName, (Timestamp, Result<String, String>)>,
}

/// The bindings of a cluster, indexed.
pub struct BindingList {
    bindings: Vec<Binding>,
    by_group: HashMap<String, usize>,
    by_name: HashMap<String, usize>,
}

impl<'a> BindingLists<'a> {
    /// Creates lists that are read when they are needed.
    pub fn new(clusters: &'a BTreeMap<ClusterName, Arc<dyn Cluster>>, clock: &'a dyn Clock) -> Self {
        Self { clusters, clock, lists: BTreeMap::new(), uids: BTreeMap::new() }
    }

    /// Returns a cluster of the plan.
    pub fn cluster(&self, name: &str) -> Option<&'a dyn Cluster> {
        self.clusters.get(name).map(|cluster| &**cluster)
    }

    /// Returns the bindings of a cluster. The error says why they cannot be read.
    pub async fn of(&mut self, name: &str) -> Result<&BindingList, String> {
        let now = self.clock.now();
        if self.lists.get(name).is_none_or(|(at, _)| now.duration_since(*at) > MAX_AGE) {
            let read = match self.cluster(name) {
                Some(cluster) => cluster.bindings().await.map_err(|e| format!("cluster {name}: {e}")),
                None => Err(format!("the plan gives no access to cluster {name}")),
            };
            self.lists.insert(name.to_owned(), (now, read.map(BindingList::new)));
        }
        match self.lists.get(name) {
            Some((_, Ok(list))) => Ok(list),
            Some((_, Err(why))) => Err(why.clone()),
            None => Err(format!("the bindings of cluster {name} were not read")),
        }
    }

    /// Returns the UID of a cluster. The error says why it cannot be read.
    pub async fn uid(&mut self, name: &str) -> Result<String, String> {
        let now = self.clock.now();
        if let Some((_, uid)) = self.uids.get(name).filter(|(at, _)| now.duration_since(*at) <= MAX_AGE) {
            return uid.clone();
        }
        let read = match self.cluster(name) {
            Some(cluster) => cluster.identity().await.map(|i| i.uid).map_err(|e| format!("cluster {name}: {e}")),
            None => Err(format!("the plan gives no access to cluster {name}")),
        };
        self.uids.insert(name.to_owned(), (now, read.clone()));
        read
    }
}

impl BindingList {
    fn new(bindings: Vec<Binding>) -> Self {
        let (mut by_group, mut by_name) = (HashMap::new(), HashMap::new());
        for (index, binding) in bindings.iter().enumerate() {
            by_group.entry(group_key(binding)).or_insert(index);
            by_name.entry(binding.full_name()).or_insert(index);
        }
        Self { bindings, by_group, by_name }
    }

    /// Returns the first binding of the same target group.
    pub fn of_group(&self, wanted: &Binding) -> Option<&Binding> {
        let arn = &wanted.target_group_arn;
        let found = [arn.as_str(), short(arn)].into_iter().filter_map(|key| self.by_group.get(key)).min();
        found.map(|index| &self.bindings[*index])
    }

    /// Returns the binding with this namespace and name.
    pub fn named(&self, full_name: &str) -> Option<&Binding> {
        self.by_name.get(full_name).map(|index| &self.bindings[*index])
    }
}

/// Returns the ARN of a binding's target group, or the name of the group if the binding has no ARN.
fn group_key(binding: &Binding) -> String {
    if binding.target_group_arn.is_empty() {
        binding.extra.get("targetGroupName").and_then(|v| v.as_str()).unwrap_or_default().to_owned()
    } else {
        binding.target_group_arn.clone()
    }
}

/// Whether an existing binding binds the target group of `wanted`.
pub fn same_group(found: &Binding, wanted: &Binding) -> bool {
    let key = group_key(found);
    key == wanted.target_group_arn || (found.target_group_arn.is_empty() && key == short(&wanted.target_group_arn))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;

    use super::*;
    use crate::adapter::clock::LabClock;
    use crate::domain::fixture::{group, plan};
    use crate::domain::kubernetes::workload::{ClusterIdentity, WorkloadView};
    use crate::domain::run::event::{BindResult, BindingStart};
    use crate::domain::traffic::Unreadable;
    use crate::engine::bind::bind;
    use crate::plan::model::ServiceRef;
    use crate::port::{EndpointReport, WriteError};

    /// A cluster without bindings that counts its calls.
    #[derive(Default)]
    struct Counting(Mutex<BTreeMap<&'static str, usize>>);

    impl Counting {
        fn count(&self, call: &'static str) {
            *self.0.lock().expect("the mutex must not be poisoned").entry(call).or_default() += 1;
        }
    }

    #[async_trait]
    impl Cluster for Counting {
        async fn identity(&self) -> Result<ClusterIdentity, Unreadable> {
            self.count("identity");
            Ok(ClusterIdentity { uid: "uid".into(), version: "v1.33".into(), binding_api: None, eks_name: None })
        }
        async fn workloads(&self, _: &[&ServiceRef]) -> Vec<Result<WorkloadView, Unreadable>> {
            Vec::new()
        }
        async fn bindings(&self) -> Result<Vec<Binding>, Unreadable> {
            self.count("list");
            Ok(Vec::new())
        }
        async fn apply(&self, _: &Binding, _: bool) -> Result<Vec<String>, WriteError> {
            self.count("apply");
            Ok(Vec::new())
        }
        async fn delete(&self, _: &Binding) -> Result<(), WriteError> {
            panic!("bind must not delete an object")
        }
        async fn watch_endpoints(&self, _: &[&ServiceRef], _: &EndpointReport<'_>) -> Unreadable {
            panic!("bind must not watch")
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_of_many_bindings_lists_a_cluster_once() {
        let cluster = Arc::new(Counting::default());
        let clusters = BTreeMap::from([("b".to_owned(), Arc::clone(&cluster) as Arc<dyn Cluster>)]);
        let clock = LabClock::new(Timestamp::UNIX_EPOCH, 1.0);
        let plan = plan();
        let binding =
            Binding::for_group(&plan.workloads[0], "b", &group("b")).expect("the workload must have a Service");
        let pinned = BTreeMap::from([("b".to_owned(), "uid".to_owned())]);
        let mut lists = BindingLists::new(&clusters, &clock);
        for number in 0..500 {
            let binding =
                Binding { target_group_arn: format!("{}{number}", binding.target_group_arn), ..binding.clone() };
            let wanted = BindingStart { cluster: "b".into(), workload: "webapp".into(), create: true, binding };
            assert_eq!(bind(&mut lists, &wanted, &pinned).await, Ok(BindResult::Applied));
        }
        let calls = cluster.0.lock().expect("the mutex must not be poisoned").clone();
        assert_eq!(calls, BTreeMap::from([("apply", 500), ("identity", 1), ("list", 1)]));
    }
}
