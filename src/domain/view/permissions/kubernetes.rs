//! The permissions in the clusters of a plan, and in the cluster that stores its runs.

use std::collections::{BTreeMap, BTreeSet};

use super::model::{ClusterGrants, Grant, Purpose};
use crate::domain::compare::POD_OWNERS;
use crate::domain::compare::facts::{KINDS, Scope};
use crate::plan::model::{
    BindingMode, Cluster, ClusterAccess, ItemKind, ItemSelector, Plan, ServiceRef, StateLocation, StepKind, Workload,
};

/// The API group of TargetGroupBindings. EKS Auto Mode serves them in another group.
const BINDINGS: &str = "elbv2.k8s.aws";

/// Returns the permissions in each cluster that needs any.
pub(super) fn clusters(plan: &Plan, purposes: &BTreeSet<Purpose>) -> Vec<ClusterGrants> {
    let mut all: Vec<ClusterGrants> = plan
        .clusters
        .iter()
        .filter(|cluster| cluster.access != ClusterAccess::None)
        .map(|cluster| ClusterGrants {
            name: cluster.name.clone(),
            access: cluster.access.clone(),
            grants: of_cluster(plan, purposes, cluster),
        })
        .collect();
    if let StateLocation::Kubernetes { access, namespace } = &plan.state {
        let grants = of_state(namespace, purposes);
        match all.iter_mut().find(|cluster| cluster.access == *access) {
            Some(cluster) => cluster.grants.extend(grants),
            None => all.push(ClusterGrants { name: "state".to_owned(), access: access.clone(), grants }),
        }
    }
    all.retain(|cluster| !cluster.grants.is_empty());
    all
}

fn of_cluster(plan: &Plan, purposes: &BTreeSet<Purpose>, cluster: &Cluster) -> BTreeSet<Grant> {
    let services = plan.workloads.iter().filter_map(|workload| Some((workload, workload.service(&cluster.name)?)));
    let services: Vec<_> = services.collect();
    let mut grants = BTreeSet::new();
    if purposes.contains(&Purpose::Check) {
        // The UID of this namespace identifies the cluster.
        let identity = grant(None, "", "namespaces", "get");
        grants.insert(Grant { name: Some("kube-system".to_owned()), ..identity });
        // In all namespaces, because a binding of another namespace may already use the target group.
        grants.insert(grant(None, BINDINGS, "targetgroupbindings", "list"));
        for (_, service) in &services {
            grants.extend(reads(service));
        }
        grants.extend(binding_writes(plan, purposes, cluster, &services));
    }
    if [&plan.strategy.from, &plan.strategy.to].contains(&&cluster.name) {
        grants.extend(items(plan, purposes));
    }
    if purposes.contains(&Purpose::Compare) && [&plan.strategy.from, &plan.strategy.to].contains(&&cluster.name) {
        grants.extend(compared(&services));
    }
    if purposes.contains(&Purpose::CompareDryRun) && cluster.name == plan.strategy.to {
        grants.extend(dry_runs(plan));
    }
    grants
}

/// Returns the permissions for the items of hand-overs: to read them and what of them runs, and to stop and start them.
fn items(plan: &Plan, purposes: &BTreeSet<Purpose>) -> BTreeSet<Grant> {
    let moves = [Purpose::Run, Purpose::Rollback].iter().any(|purpose| purposes.contains(purpose));
    let mut grants = BTreeSet::new();
    if !moves && !purposes.contains(&Purpose::Check) {
        return grants;
    }
    let identity = grant(None, "", "namespaces", "get");
    for step in &plan.strategy.steps {
        let StepKind::HandOver(hand_over) = &step.kind else { continue };
        grants.insert(Grant { name: Some("kube-system".to_owned()), ..identity.clone() });
        for item in &hand_over.items {
            let namespace = Some(item.namespace.as_str());
            let (group, resource, runs) = match item.kind {
                ItemKind::CronJob => ("batch", "cronjobs", ("batch", "jobs")),
                ItemKind::Deployment => ("apps", "deployments", ("", "pods")),
                ItemKind::StatefulSet => ("apps", "statefulsets", ("", "pods")),
                ItemKind::ScaledObject => ("keda.sh", "scaledobjects", ("", "pods")),
                ItemKind::ScaledJob => ("keda.sh", "scaledjobs", ("batch", "jobs")),
            };
            grants.insert(grant(namespace, group, resource, "get"));
            grants.insert(grant(namespace, runs.0, runs.1, "list"));
            if matches!(item.select, ItemSelector::Labels(_)) {
                grants.insert(grant(namespace, group, resource, "list"));
            }
            if item.kind == ItemKind::ScaledObject {
                grants.insert(grant(namespace, "apps", "deployments", "get"));
                grants.insert(grant(namespace, "apps", "statefulsets", "get"));
            }
            if hand_over.verify {
                continue;
            }
            if moves {
                grants.insert(grant(namespace, group, resource, "patch"));
            }
            // A check asks for it with a dry-run.
            if item.kind == ItemKind::CronJob {
                grants.insert(grant(namespace, group, "cronjobs/status", "patch"));
            }
        }
    }
    grants
}

/// Returns the permissions to read a workload.
fn reads(service: &ServiceRef) -> Vec<Grant> {
    let namespace = Some(service.namespace.as_str());
    let list = |group: &str, resource: &str| grant(namespace, group, resource, "list");
    vec![
        grant(namespace, "", "namespaces", "get"),
        grant(namespace, "", "services", "get"),
        list("", "pods"),
        list("apps", "deployments"),
        list("apps", "replicasets"),
        list("apps", "statefulsets"),
        list("autoscaling", "horizontalpodautoscalers"),
    ]
}

/// Returns the permissions to create the bindings of a cluster, and to delete those of the old cluster. A check needs
/// the permissions to create them, too, because it creates them as a dry-run.
fn binding_writes(
    plan: &Plan,
    purposes: &BTreeSet<Purpose>,
    cluster: &Cluster,
    services: &[(&Workload, &ServiceRef)],
) -> BTreeSet<Grant> {
    let binds = plan.strategy.steps.iter().any(|step| step.kind == StepKind::Bind);
    let binds = binds && plan.strategy.peak(&cluster.name) > 0;
    let deletes = purposes.contains(&Purpose::FinalizeBindings) && cluster.name == plan.strategy.from;
    let mut verbs = if binds { vec!["create", "patch"] } else { Vec::new() };
    verbs.extend(deletes.then_some("delete"));
    let own = services.iter().filter(|(workload, _)| workload.binding.mode == BindingMode::Create);
    let of = |service: &ServiceRef| {
        let namespace = service.namespace.clone();
        verbs.iter().map(move |verb| grant(Some(&namespace), BINDINGS, "targetgroupbindings", verb)).collect::<Vec<_>>()
    };
    own.flat_map(|(_, service)| of(service)).collect()
}

/// Returns the permissions to read what is compared: some kinds in the whole cluster, the others in the namespaces of
/// the workloads.
fn compared(services: &[(&Workload, &ServiceRef)]) -> BTreeSet<Grant> {
    let namespaces: BTreeSet<_> = services.iter().map(|(_, service)| service.namespace.as_str()).collect();
    let mut grants = BTreeSet::new();
    for api in KINDS {
        let group = group_of(api.version);
        match api.scope {
            Scope::Cluster => _ = grants.insert(grant(None, group, api.plural, "list")),
            Scope::Namespaces => {
                grants.extend(namespaces.iter().map(|name| grant(Some(name), group, api.plural, "list")));
            }
        }
    }
    grants
}

/// Returns the permissions to send the workloads of the old cluster to the new one as a dry-run. Kubernetes has no
/// permission for dry-runs alone.
fn dry_runs(plan: &Plan) -> BTreeSet<Grant> {
    let namespaces = plan.workloads.iter().filter_map(|workload| workload.service(&plan.strategy.to));
    let namespaces: BTreeSet<_> = namespaces.map(|service| service.namespace.as_str()).collect();
    let kinds = KINDS.iter().filter(|api| POD_OWNERS.contains(&api.kind));
    let of = |namespace: &str| {
        let kinds = kinds.clone();
        kinds.map(|api| grant(Some(namespace), group_of(api.version), api.plural, "create")).collect::<Vec<_>>()
    };
    namespaces.into_iter().flat_map(of).collect()
}

/// Returns the permissions where runs are stored.
fn of_state(namespace: &str, purposes: &BTreeSet<Purpose>) -> BTreeSet<Grant> {
    let writes = [Purpose::Run, Purpose::Rollback].iter().any(|purpose| purposes.contains(purpose));
    let verbs: &[&str] = if writes { &["get", "list", "create", "update"] } else { &["get", "list"] };
    let stored: BTreeMap<&str, &str> = [("leases", "coordination.k8s.io"), ("configmaps", "")].into();
    let mut grants: BTreeSet<_> = stored
        .iter()
        .flat_map(|(resource, group)| verbs.iter().map(move |verb| grant(Some(namespace), group, resource, verb)))
        .collect();
    if purposes.contains(&Purpose::Detach) {
        grants.insert(grant(Some(namespace), "batch", "jobs", "create"));
    }
    grants
}

fn grant(namespace: Option<&str>, group: &str, resource: &str, verb: &str) -> Grant {
    Grant {
        namespace: namespace.map(str::to_owned),
        group: group.to_owned(),
        resource: resource.to_owned(),
        name: None,
        verb: verb.to_owned(),
    }
}

/// Returns the API group of a version such as `apps/v1`; empty for the core group.
fn group_of(version: &str) -> &str {
    version.split_once('/').map_or("", |(group, _)| group)
}
