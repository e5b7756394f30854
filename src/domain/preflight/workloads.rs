//! Checks the objects of a workload in each cluster: the Service, the port, and the readiness gates of the pods.

use super::bindings::AUTO_MODE;
use super::context::{Context, finding};
use crate::base::finding::{Code, Finding, Severity};
use crate::base::number::count;
use crate::domain::kubernetes::binding::Binding;
use crate::domain::kubernetes::workload::WorkloadView;
use crate::plan::model::{PortRef, ServiceRef, StepKind, TargetType, Workload};
use crate::plan::place;

/// The names that a load balancer controller uses for readiness gates of pods.
struct ReadinessGates {
    /// The label of namespaces whose pods get readiness gates.
    label: &'static str,
    /// The prefixes of the condition types of readiness gates, before the name of the binding.
    conditions: &'static [&'static str],
}

impl ReadinessGates {
    /// Returns the names of the controller that serves this binding API.
    fn of(api: Option<&str>) -> Self {
        const OPEN_SOURCE: &str = "target-health.elbv2.k8s.aws/";
        if api == Some(AUTO_MODE) {
            let conditions = &["target-health.eks.amazonaws.com/", OPEN_SOURCE];
            return Self { label: "eks.amazonaws.com/pod-readiness-gate-inject", conditions };
        }
        Self { label: "elbv2.k8s.aws/pod-readiness-gate-inject", conditions: &[OPEN_SOURCE] }
    }

    /// Whether the readiness gate `gate` of a pod belongs to this binding.
    fn is_of(&self, gate: &str, binding: &str) -> bool {
        self.conditions.iter().any(|prefix| gate.strip_prefix(prefix) == Some(binding))
    }
}

pub(super) fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for (workload, cluster, view) in context.views() {
        let Some(service) = workload.service(cluster) else { continue };
        let severity = if context.is_raised(cluster) { Severity::Error } else { Severity::Warning };
        check_service_type(context, workload, service, cluster, view, findings);
        let line = |key: &str, word: &str| place::in_workload(context.plan, &workload.name, &[key, word]);
        let place = |word: &str| line("service", word).or_else(|| line("services", word));
        if check_service(service, cluster, view, severity, place, findings) && context.is_raised(cluster) {
            check_readiness_gates(context, workload, service, cluster, view, findings);
        }
    }
}

fn check_service(
    wanted: &ServiceRef,
    cluster: &str,
    view: &WorkloadView,
    severity: Severity,
    place: impl Fn(&str) -> Option<String>,
    findings: &mut Vec<Finding>,
) -> bool {
    let name = format!("{}/{}", wanted.namespace, wanted.name);
    let Some(service) = &view.service else {
        let message = format!("cluster {cluster} has no Service {name}");
        findings.push(
            finding(Code::CUT076, cluster, message, "deploy the workload in this cluster first, or correct `service`")
                .at(place(&wanted.name))
                .lowered(severity),
        );
        return false;
    };
    let has_port = service.ports.iter().any(|(port_name, number)| match &wanted.port {
        PortRef::Number(port) => port == number,
        PortRef::Name(port) => port_name.as_ref() == Some(port),
    });
    if !has_port {
        let ports: Vec<String> = service
            .ports
            .iter()
            .map(|(name, number)| name.as_ref().map_or_else(|| number.to_string(), |n| format!("{n} ({number})")))
            .collect();
        let message = format!(
            "Service {name} of cluster {cluster} has no port {}; its ports are {}",
            wanted.port,
            ports.join(", ")
        );
        let help = "correct `service.port`, or the Service";
        findings.push(finding(Code::CUT077, cluster, message, help).at(place("port")).lowered(severity));
    }
    has_port
}

/// Checks the type of the Service if the targets are nodes. The controller registers nodes with the node port of the
/// Service, which only these types have.
fn check_service_type(
    context: &Context<'_>,
    workload: &Workload,
    wanted: &ServiceRef,
    cluster: &str,
    view: &WorkloadView,
    findings: &mut Vec<Finding>,
) {
    let Some(kind) = view.service.as_ref().and_then(|service| service.kind.as_deref()) else { return };
    let mut groups = context.groups().map(|(_, g)| g).filter(|g| g.cluster == cluster && g.workload == workload.name);
    let Some(selected) = groups.find(|g| g.group.target_type == TargetType::Instance.name()) else { return };
    if matches!(kind, "NodePort" | "LoadBalancer") || !context.is_raised(cluster) {
        return;
    }
    let ServiceRef { namespace, name, .. } = wanted;
    let message = format!(
        "{} has target type instance, but Service {namespace}/{name} of cluster {cluster} has type {kind}: the \
         controller registers no target",
        selected.group.name
    );
    let help = format!(
        "the run would wait at `bind`. Give the Service a node port, or use a target group with target type ip:\n\
         kubectl{} -n {namespace} patch service {name} -p '{{\"spec\":{{\"type\":\"NodePort\"}}}}'",
        context.kubectl_context(cluster)
    );
    findings.push(finding(Code::CUT307, cluster, message, help));
}

/// Checks the readiness gates of pods. A pod gets the gates of the bindings that exist when the pod is created.
fn check_readiness_gates(
    context: &Context<'_>,
    workload: &Workload,
    service: &ServiceRef,
    cluster: &str,
    view: &WorkloadView,
    findings: &mut Vec<Finding>,
) {
    let api = context.cluster(cluster).and_then(|c| c.identity.as_ref().ok()?.binding_api.as_deref());
    let gates = ReadinessGates::of(api);
    let inject = gates.label;
    let mut groups = context.groups().map(|(_, g)| g).filter(|g| g.cluster == cluster && g.workload == workload.name);
    let by_address = groups.any(|g| g.group.target_type == TargetType::Ip.name());
    if !by_address || view.pods.is_empty() {
        return;
    }
    let labelled = view.namespace_labels.get(inject).is_some_and(|v| v == "enabled" || v == "true");
    let kubectl = format!("kubectl{}", context.kubectl_context(cluster));
    if !labelled {
        let message = format!(
            "namespace {} of cluster {cluster} does not inject readiness gates: a rollout continues before its new \
             pods are healthy targets",
            service.namespace
        );
        let help = format!("{kubectl} label namespace {} {inject}=enabled", service.namespace);
        push_once(finding(Code::CUT081, cluster, message, help), findings);
        return;
    }
    let service_bindings: Vec<&Binding> = view.bindings.iter().filter(|b| b.service == service.name).collect();
    let gated = |found: &[String]| found.iter().any(|g| service_bindings.iter().any(|b| gates.is_of(g, &b.name)));
    let without_gate = view.pods.iter().filter(|p| !gated(&p.readiness_gates)).count();
    if without_gate > 0 {
        let older = view
            .pods
            .iter()
            .filter(|p| service_bindings.iter().any(|b| b.created.zip(p.created).is_some_and(|(b, p)| p < b)))
            .count();
        let why = if service_bindings.is_empty() {
            "the binding does not exist yet".to_owned()
        } else {
            format!("{} older than the binding", if older == 1 { "1 is".to_owned() } else { format!("{older} are") })
        };
        let message = format!(
            "{} of {} of {} in cluster {cluster} have no readiness gate of their binding ({why})",
            without_gate,
            count(view.pods.len(), "pod"),
            service.name
        );
        let restarts: Vec<String> = view
            .owners
            .iter()
            .map(|o| format!("{kubectl} -n {} rollout restart {}/{}", service.namespace, o.kind.to_lowercase(), o.name))
            .collect();
        let bind = context.plan.strategy.steps.iter().find(|step| step.kind == StepKind::Bind);
        let stop = bind.filter(|_| service_bindings.is_empty());
        let stop = stop.map_or_else(String::new, |step| {
            format!(" (`cutover run {} --until {}` stops there)", context.plan.source, step.number)
        });
        let help = format!(
            "these pods become ready before the load balancer has checked them. After the binding exists{stop} and \
             before traffic moves, run:\n{}",
            restarts.join("\n")
        );
        push_once(finding(Code::CUT081, cluster, message, help), findings);
    }
}

/// Adds a finding unless it is already in the list, because workloads of one namespace have the same finding.
fn push_once(finding: Finding, findings: &mut Vec<Finding>) {
    if !findings.contains(&finding) {
        findings.push(finding);
    }
}
