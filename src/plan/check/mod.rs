//! Checks whether the values of a plan are consistent with each other, and builds the model from the values. If a check
//! finds an error, the other checks continue. Do not add checks against live resources.

mod arn;
mod compare;
mod gates;
mod hand_over;
mod haproxy;
mod header_route;
mod hooks;
mod hours;
mod notify;
mod routes;
mod steps;
mod waves;

use std::collections::{BTreeMap, BTreeSet};

use super::decode::{Placed, Table, list, note};
use super::diagnostic::{Diagnostic, Place};
use super::file::{Accept, Aws, Cluster, Document, Service, Spec, StateCluster, Workload};
use super::model::metric::{MetricGate, MetricSource};
use super::model::{self, ClusterAccess, MarkerMode, Plan, StateLocation, StepKind};
use super::scalar::MarkerKind;
use super::suggest::closest;
use crate::base::finding::{Code, Source};
use crate::base::number;

/// The text of a plan and where it was read from.
pub(super) struct Origin<'a> {
    pub source: &'a str,
    pub text: &'a str,
    /// The SHA-256 of the text, in lower-case hexadecimal digits.
    pub hash: String,
}

/// The parts of the plan that several checks need.
struct PlanContext {
    /// The names of the clusters, in the order of the file.
    clusters: Vec<String>,
    /// Whether `clusters` has all clusters. If a cluster could not be decoded, the check for unknown names is off.
    complete: bool,
    account: Option<String>,
    region: Option<String>,
}

/// Builds the plan of a document, and adds all errors. Values that could not be decoded (their errors were already
/// added) are taken from `instead`.
pub(super) fn plan(document: &Document, origin: &Origin, instead: Plan, out: &mut Vec<Diagnostic>) -> Plan {
    let name = document
        .metadata
        .as_ref()
        .and_then(|m| m.value.name.as_ref())
        .map_or(instead.name.clone(), |n| n.value.0.clone());
    let (source, text, hash) = (origin.source.to_owned(), origin.text.to_owned(), origin.hash.clone());
    let Some(spec) = document.spec.as_ref().map(|s| &s.value) else {
        return Plan { name, source, text, hash, ..instead };
    };
    // The decoder has already added the errors of these fields.
    let _ = (&document.api_version, &document.kind);
    let scope = scope(spec);
    let clusters = clusters(spec, out);
    let workloads = workloads(spec, &scope, out);
    let (metrics, of_waves) = gates::all(spec, out);
    let measured: Vec<_> = metrics.iter().chain(of_waves.iter().flatten()).collect();
    check_aws(document.spec.as_ref(), &measured, out);
    let moved = workloads.as_deref().unwrap_or_default();
    let strategy = spec.strategy.as_ref().and_then(|s| steps::strategy(&s.value, &scope, metrics, moved, out));
    let waves = waves::all(spec, &scope, strategy.as_ref(), moved, &of_waves, out);
    if let (Some(clusters), Some(strategy)) = (&clusters, &strategy) {
        check_access(spec, clusters, strategy, out);
    }
    if let (Some(workloads), Some(strategy)) = (&workloads, &strategy) {
        compare::check_services(spec, workloads, strategy, out);
    }
    let accept = accept(spec.accept.iter().flat_map(|all| &all.value), out);
    let state = state(spec, out);
    let notifications = notify::all(spec, out);
    Plan {
        name,
        source,
        folder: None,
        text,
        hash,
        newer: Vec::new(),
        account_id: scope.account.unwrap_or(instead.account_id),
        region: scope.region.unwrap_or(instead.region),
        api_budget: spec.aws.as_ref().and_then(|aws| aws.value.api_budget.as_ref()).map(|rate| rate.value.0),
        clusters: clusters.unwrap_or(instead.clusters),
        workloads: workloads.unwrap_or(instead.workloads),
        waves,
        wave: None,
        strategy: strategy.unwrap_or(instead.strategy),
        accept,
        marker: match spec.marker.as_ref().map(|m| m.value) {
            Some(MarkerKind::None) => MarkerMode::None,
            Some(MarkerKind::Tag) | None => MarkerMode::Tag,
        },
        state: state.unwrap_or_default(),
        notifications,
    }
}

/// Adds an error if the plan has no `aws`, although a part of it may be in AWS.
fn check_aws(spec: Option<&Placed<Spec>>, metrics: &[&MetricGate], out: &mut Vec<Diagnostic>) {
    let Some(spec) = spec.filter(|spec| spec.value.aws.is_none() && spec.complete) else { return };
    let workloads = || spec.value.workloads.iter().flat_map(|all| &all.value).map(|w| &w.value);
    let routes = || workloads().flat_map(|w| w.routes.iter().flat_map(|all| &all.value));
    let elsewhere = routes().next().is_some() && routes().all(|route| route.value.haproxy.is_some());
    let of_eks = spec.value.clusters.iter().flat_map(|all| &all.value).any(|c| c.value.eks.is_some());
    let state = spec.value.state.as_ref().and_then(|state| state.value.kubernetes.as_ref());
    let in_cloudwatch =
        |gate: &&MetricGate| matches!(gate.source, MetricSource::CloudWatch(_) | MetricSource::CloudWatchAlarms(_));
    let measured = metrics.iter().any(in_cloudwatch);
    if !elsewhere || of_eks || measured || state.is_some_and(|state| state.value.eks.is_some()) {
        note(out, Code::CUT004, spec.head, "`spec` has no `aws`")
            .help("add `aws`: The AWS account and region of the load balancers.")
            .unknown();
    }
}

fn scope(spec: &Spec) -> PlanContext {
    let names: Option<Vec<String>> = spec.clusters.as_ref().map(|clusters| {
        let name = |c: &Placed<Cluster>| c.value.name.as_ref().map(|n| n.value.0.clone());
        clusters.value.iter().filter_map(name).collect()
    });
    let all = spec.clusters.as_ref().map(|clusters| clusters.value.len());
    let aws = |of: fn(&Aws) -> Option<String>| spec.aws.as_ref().and_then(|aws| of(&aws.value));
    PlanContext {
        // If two clusters have the same name, one of the names is probably wrong, so a name may be missing here.
        complete: all.is_some() && names.as_ref().map(|n| n.iter().collect::<BTreeSet<_>>().len()) == all,
        clusters: names.unwrap_or_default(),
        account: aws(|a| Some(a.account_id.as_ref()?.value.0.clone())),
        region: aws(|a| Some(a.region.as_ref()?.value.0.clone())),
    }
}

impl PlanContext {
    /// Whether the plan has a cluster with this name; adds an error if not.
    fn check_cluster(&self, name: &str, place: Place, out: &mut Vec<Diagnostic>) -> bool {
        if self.clusters.iter().any(|c| c == name) {
            return true;
        }
        if self.complete {
            let noted = note(out, Code::CUT012, place, format!("no cluster is called `{}`", super::decode::clip(name)));
            match closest(name, self.clusters.iter().map(String::as_str)) {
                Some(meant) => noted.help(format!("did you mean `{meant}`?")),
                None => noted.help(format!("the plan's clusters are {}", list(&self.clusters))),
            };
        }
        false
    }
}

/// Remembers values, and adds an error for every value that occurs a second time.
struct UniqueValues {
    /// The text after "two" in the message, such as `clusters are called`.
    what: &'static str,
    code: Code,
    seen: BTreeMap<String, Place>,
}

impl UniqueValues {
    fn new(what: &'static str, code: Code) -> Self {
        Self { what, code, seen: BTreeMap::new() }
    }

    fn check_value(&mut self, value: &str, place: Place, out: &mut Vec<Diagnostic>) {
        if let Some(first) = self.seen.get(value) {
            let message = format!("two {} `{}`", self.what, super::decode::clip(value));
            note(out, self.code, place, message).help(format!("the other entry is on line {}", first.line));
        } else {
            self.seen.insert(value.to_owned(), place);
        }
    }
}

fn clusters(spec: &Spec, out: &mut Vec<Diagnostic>) -> Option<Vec<model::Cluster>> {
    let clusters = spec.clusters.as_ref()?;
    let count = clusters.value.len();
    if !(2..=5).contains(&count) {
        let message = format!("the plan has {}", number::count(count, "cluster"));
        let help = "a plan has two to five clusters, because an action can have at most five target groups";
        note(out, Code::CUT010, clusters.head, message).help(help);
    }
    let mut names = UniqueValues::new("clusters are called", Code::CUT008);
    let mut reached = UniqueValues::new("clusters are reached as", Code::CUT008);
    let mut checked = Vec::new();
    for Cluster { name, eks, kube_context } in clusters.value.iter().map(|c| &c.value) {
        if let Some(name) = name {
            names.check_value(&name.value.0, name.place, out);
        }
        let access = match (eks, kube_context) {
            (Some(eks), _) => {
                reached.check_value(&eks.value.0, eks.place, out);
                ClusterAccess::Eks(eks.value.0.clone())
            }
            (None, Some(context)) => {
                reached.check_value(&context.value.0, context.place, out);
                ClusterAccess::KubeContext(context.value.0.clone())
            }
            (None, None) => ClusterAccess::None,
        };
        checked.extend(name.as_ref().map(|name| model::Cluster { name: name.value.0.clone(), access }));
    }
    Some(checked)
}

fn workloads(spec: &Spec, scope: &PlanContext, out: &mut Vec<Diagnostic>) -> Option<Vec<model::Workload>> {
    let workloads = spec.workloads.as_ref()?;
    if workloads.value.is_empty() {
        note(out, Code::CUT004, workloads.head, "the plan has no workload")
            .help("add a workload: `- name: …` with `routes`");
    }
    let mut names = UniqueValues::new("workloads are called", Code::CUT008);
    let mut groups = routes::UsedGroups::default();
    let mut checked = Vec::new();
    for workload in &workloads.value {
        if let Some(name) = &workload.value.name {
            names.check_value(&name.value.0, name.place, out);
        }
        checked.extend(self::workload(workload, scope, &mut groups, out));
    }
    Some(checked)
}

fn workload(
    workload: &Placed<Workload>,
    scope: &PlanContext,
    groups: &mut routes::UsedGroups,
    out: &mut Vec<Diagnostic>,
) -> Option<model::Workload> {
    let Workload { name, service, services, binding, routes, gates: _ } = &workload.value;
    if let (Some(binding), None, None) = (binding, service, services) {
        note(out, Code::CUT004, binding.head, "a workload with `binding` needs a `service` to bind")
            .help("add `service`, or remove `binding`: without a Service, `bind` only attaches target groups");
    }
    let routes = routes::entries(routes.as_ref(), scope, groups, out);
    let services = match (service, services) {
        (_, Some(table)) => services_by_cluster(table, scope, out)?,
        (Some(service), None) => {
            let service = service_ref(&service.value)?;
            scope.clusters.iter().map(|cluster| (cluster.clone(), service.clone())).collect()
        }
        (None, None) => BTreeMap::new(),
    };
    Some(model::Workload {
        name: name.as_ref()?.value.0.clone(),
        services,
        binding: routes::binding(binding.as_ref())?,
        routes: routes?,
    })
}

fn service_ref(service: &Service) -> Option<model::ServiceRef> {
    let (namespace, name, port) = (service.namespace.as_ref()?, service.name.as_ref()?, service.port.as_ref()?);
    Some(model::ServiceRef {
        namespace: namespace.value.0.clone(),
        name: name.value.0.clone(),
        port: port.value.0.clone(),
    })
}

/// Returns the Services of `services`; `None` if one Service could not be decoded.
fn services_by_cluster(
    table: &Placed<Table<Service>>,
    scope: &PlanContext,
    out: &mut Vec<Diagnostic>,
) -> Option<BTreeMap<String, model::ServiceRef>> {
    if table.value.0.is_empty() {
        note(out, Code::CUT004, table.head, "`services` names no cluster")
            .help("add `CLUSTER: {namespace: …, name: …, port: …}`, or remove `services`");
    }
    let mut all = BTreeMap::new();
    for (cluster, service) in &table.value.0 {
        scope.check_cluster(&cluster.value, cluster.place, out);
        all.insert(cluster.value.clone(), service_ref(&service.as_ref()?.value)?);
    }
    Some(all)
}

/// Adds an error for each cluster that gets traffic and has a Service of a workload, but to which the plan gives no
/// access.
fn check_access(spec: &Spec, clusters: &[model::Cluster], strategy: &model::Strategy, out: &mut Vec<Diagnostic>) {
    let workloads = || spec.workloads.iter().flat_map(|w| &w.value).map(|w| &w.value);
    let places = spec.clusters.iter().flat_map(|c| &c.value);
    for (cluster, at) in clusters.iter().zip(places) {
        let named = |w: &Workload| {
            w.services.iter().flat_map(|table| &table.value.0).any(|(name, _)| name.value == cluster.name)
        };
        let Some(workload) = workloads().find(|w| w.service.is_some() || named(w)) else { continue };
        let name = workload.name.as_ref().map_or("a workload".to_owned(), |n| format!("workload `{}`", n.value.0));
        let carries = [&strategy.from, &strategy.to].contains(&&cluster.name) || strategy.peak(&cluster.name) > 0;
        // If a field of the cluster could not be decoded, the field may be the access.
        if carries && at.complete && cluster.access == ClusterAccess::None {
            let message = format!(
                "the plan gives no access to cluster `{}`, but {name} has a `service` in this cluster",
                cluster.name
            );
            note(out, Code::CUT027, at.head, message).help(
                "add `eks: NAME` or `kubeContext: NAME`. If this side is not Kubernetes (ECS, EC2, Lambda), name the \
                 Service only in the other cluster, with `services: {CLUSTER: {namespace: …, name: …, port: …}}` instead \
                 of `service`. Without `service` and `services`, only target groups are attached",
            );
        }
    }
}

fn state(spec: &Spec, out: &mut Vec<Diagnostic>) -> Option<StateLocation> {
    let Some(state) = &spec.state else { return Some(StateLocation::Local) };
    let at = state.value.kubernetes.as_ref()?;
    let StateCluster { eks, kube_context, namespace } = &at.value;
    let access = match (eks, kube_context) {
        (Some(eks), _) => ClusterAccess::Eks(eks.value.0.clone()),
        (None, Some(context)) => ClusterAccess::KubeContext(context.value.0.clone()),
        (None, None) => {
            // If a field of the cluster could not be decoded, the field may be the access.
            if at.complete {
                let noted =
                    note(out, Code::CUT004, at.head, "the cluster of `state` has neither `eks` nor `kubeContext`");
                noted
                    .help(
                        "add `eks: NAME`, or `kubeContext: NAME`, preferably of a cluster that is neither the old nor \
                    the new cluster",
                    )
                    .unknown();
            }
            return None;
        }
    };
    Some(StateLocation::Kubernetes { access, namespace: namespace.as_ref()?.value.0.clone() })
}

fn accept<'a>(entries: impl Iterator<Item = &'a Placed<Accept>>, out: &mut Vec<Diagnostic>) -> Vec<model::Accept> {
    let mut codes = UniqueValues::new("entries accept", Code::CUT008);
    let mut checked = Vec::new();
    for Accept { code, object, reason } in entries.map(|a| &a.value) {
        if let Some(code) = code {
            known_code(&code.value.0, code.place, out);
            let object = object.iter().map(|object| format!(" {}", object.value.0));
            codes.check_value(&object.fold(code.value.0.clone(), |code, object| code + &object), code.place, out);
        }
        if let (Some(code), Some(reason)) = (code, reason) {
            let object = object.as_ref().map(|object| object.value.0.clone());
            checked.push(model::Accept { code: code.value.0.clone(), object, reason: reason.value.0.clone() });
        }
    }
    checked
}

fn known_code(name: &str, place: Place, out: &mut Vec<Diagnostic>) {
    match Code::ALL.iter().find(|code| code.name() == name) {
        None => {
            let noted =
                note(out, Code::CUT025, place, format!("no finding has the code `{}`", super::decode::clip(name)));
            noted.help("write a code that `cutover check` shows with a finding, such as `CUT042`");
        }
        Some(code) if code.source() == Source::Lint => {
            let message = format!("{name} ({}) is an error of the plan itself and cannot be accepted", code.title());
            note(out, Code::CUT026, place, message)
                .help("remove the entry; only findings of `check` and `compare` can be accepted");
        }
        Some(_) => {}
    }
}

/// Whether a step sets shares.
fn is_shares(kind: &StepKind) -> bool {
    matches!(kind, StepKind::Shares(_))
}
