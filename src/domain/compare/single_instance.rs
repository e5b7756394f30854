//! Rules about what must not run twice: jobs, workers, and controllers with effects outside of their cluster.

use std::collections::BTreeSet;

use super::context::Context;
use super::facts::{ClusterFacts, Kind};
use super::object::{Object, selects, text};
use super::pair::replicas;
use crate::base::finding::{Code, Finding};

/// Leases of the cluster's own parts. Their holders act only inside of the cluster.
const INNER_LEASES: &[&str] =
    &["kube-", "node-", "apiserver-", "cloud-controller", "eks-", "ingress-nginx", "cert-manager"];

pub fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let not_suspended = |object: &Object, _: &ClusterFacts| object.at("/spec/suspend") != true;
    let running =
        |object: &Object, _: &ClusterFacts| object.number("/status/active").unwrap_or(0) > 0 && !is_of_cron_job(object);
    let has_pods = |object: &Object, _: &ClusterFacts| replicas(object).is_none_or(|replicas| replicas > 0);
    let worker = |object: &Object, cluster: &ClusterFacts| {
        has_pods(object, cluster) && is_in_plan_namespace(context, object) && !has_service(cluster, object)
    };
    let scaling = |object: &Object, _: &ClusterFacts| !is_paused(object) && !scales_pair(context, object);
    let held = |object: &Object, _: &ClusterFacts| {
        let inner = INNER_LEASES.iter().any(|prefix| object.name.starts_with(prefix));
        !inner && object.text("/spec/holderIdentity").is_some_and(|holder| !holder.is_empty())
    };
    // The CronJob of the new cluster has done no work yet, so its suspension stops nothing.
    let suspend = format!(
        "suspend it in {} until it is handed over: kubectl{} -n NAMESPACE patch cronjob NAME -p \
         '{{\"spec\":{{\"suspend\":true}}}}'",
        context.to.name, context.kubectl_option
    );
    let scale_down = "scale it to 0 in one of the clusters";
    twice(context, Kind::CronJob, Code::CUT170, "starts its jobs", &suspend, &not_suspended, findings);
    twice(
        context,
        Kind::Job,
        Code::CUT171,
        "is running",
        "wait for its end, or delete it in one cluster",
        &running,
        findings,
    );
    twice(context, Kind::StatefulSet, Code::CUT172, "has pods", scale_down, &has_pods, findings);
    twice(context, Kind::Deployment, Code::CUT173, "has pods and no Service", scale_down, &worker, findings);
    let pause = "annotate it in one cluster: autoscaling.keda.sh/paused=\"true\"";
    twice(context, Kind::ScaledObject, Code::CUT174, "scales its target", pause, &scaling, findings);
    twice(context, Kind::ScaledJob, Code::CUT174, "starts jobs", pause, &scaling, findings);
    let stop = "if its holder acts outside of the cluster, stop it in one of the clusters";
    twice(context, Kind::Lease, Code::CUT175, "has a holder", stop, &held, findings);
    external_dns(context, findings);
}

type Active<'a> = dyn Fn(&Object, &ClusterFacts) -> bool + 'a;

/// Reports the objects of a kind that are active under one name in both clusters.
fn twice(
    context: &Context<'_>,
    kind: Kind,
    code: Code,
    what: &str,
    fix: &str,
    active: &Active<'_>,
    findings: &mut Vec<Finding>,
) {
    let Context { from, to, .. } = context;
    for old in from.all(kind).iter().filter(|object| active(object, from)) {
        let Some(new) = to.one(kind, &old.namespace, &old.name).filter(|object| active(object, to)) else { continue };
        let message = format!("{kind:?} {} {what} in both clusters, {} and {}", new.full_name(), from.name, to.name);
        let fix = fix.replace("NAMESPACE", &new.namespace).replace("NAME", &new.name);
        let step = hand_over_step(kind, new);
        let step = step.map_or_else(String::new, |step| format!("; a step of the plan then hands it over: {step}"));
        let help = format!("its work is done twice: {fix}{step}");
        findings.push(Finding::new(code, new.full_name(), message).help(help));
    }
}

/// Returns the step of the plan that hands an object over; `None` for kinds that are not handed over.
fn hand_over_step(kind: Kind, object: &Object) -> Option<String> {
    let (namespace, name) = (&object.namespace, &object.name);
    match kind {
        Kind::CronJob => Some(format!("- handOver: {{cronJobs: [{{namespace: {namespace}, name: {name}}}]}}")),
        Kind::Deployment | Kind::StatefulSet | Kind::ScaledObject | Kind::ScaledJob => {
            Some(format!("- handOver: {{workers: [{{namespace: {namespace}, kind: {kind:?}, name: {name}}}]}}"))
        }
        _ => None,
    }
}

fn is_of_cron_job(job: &Object) -> bool {
    job.list("/metadata/ownerReferences").iter().any(|owner| text(owner, "/kind") == Some("CronJob"))
}

fn is_in_plan_namespace(context: &Context<'_>, object: &Object) -> bool {
    context.pairs.services.iter().any(|pair| pair.from.namespace == object.namespace)
}

/// Returns whether KEDA does not scale an object. `paused-replicas` also pauses it, and sets the number of pods
/// (<https://keda.sh/docs/latest/concepts/scaling-deployments/#pausing-autoscaling>).
pub fn is_paused(object: &Object) -> bool {
    object.annotation("autoscaling.keda.sh/paused").is_some_and(|paused| paused == "true")
        || object.annotation("autoscaling.keda.sh/paused-replicas").is_some()
}

/// Returns whether a Service selects the pods of an object.
pub fn has_service(cluster: &ClusterFacts, owner: &Object) -> bool {
    let labels = owner.at("/spec/template/metadata/labels");
    cluster.within(Kind::Service, &owner.namespace).any(|service| {
        let selector = service.at("/spec/selector");
        selector.as_object().is_some_and(|s| !s.is_empty())
            && selects(&serde_json::json!({ "matchLabels": selector }), labels)
    })
}

/// Returns whether a ScaledObject scales a workload of the plan, which has to run in both clusters.
fn scales_pair(context: &Context<'_>, object: &Object) -> bool {
    let target = object.text("/spec/scaleTargetRef/name");
    let mut pairs = context.pairs.workloads.iter();
    target.is_some()
        && pairs.any(|pair| pair.from.namespace == object.namespace && target == Some(pair.from.name.as_str()))
}

/// Returns the owner IDs of the external-dns controllers of a cluster. `default` is the ID without the option.
fn owner_ids(cluster: &ClusterFacts) -> BTreeSet<String> {
    let containers = cluster.all(Kind::Deployment).iter().filter(|deployment| replicas(deployment) != Some(0));
    let containers = containers.flat_map(|deployment| deployment.list("/spec/template/spec/containers"));
    let dns =
        containers.filter(|container| text(container, "/image").is_some_and(|image| image.contains("external-dns")));
    let id = |container: &serde_json::Value| {
        let args: Vec<_> = super::object::list(container, "/args").iter().filter_map(|arg| arg.as_str()).collect();
        let joined = args.iter().find_map(|arg| arg.strip_prefix("--txt-owner-id="));
        let apart = args.iter().position(|arg| *arg == "--txt-owner-id").and_then(|at| args.get(at + 1).copied());
        joined.or(apart).unwrap_or("default").to_owned()
    };
    dns.map(id).collect()
}

fn external_dns(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let Context { from, to, .. } = context;
    for id in owner_ids(from).intersection(&owner_ids(to)) {
        let message = format!("external-dns has the owner ID `{id}` in both clusters, {} and {}", from.name, to.name);
        let help = "each deletes the DNS records of the other: give one of them another --txt-owner-id";
        findings.push(Finding::new(Code::CUT176, id.clone(), message).help(help));
    }
}
