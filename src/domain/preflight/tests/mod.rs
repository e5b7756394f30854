//! Tests that correct facts have no findings, and that each mutation causes exactly one finding.

mod header_routes;
mod mutations;
mod network_balancer;

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::base::finding::Code;
use crate::base::finding::Severity;
use crate::base::hours::Window;
use crate::domain::elb::balancer::TargetGroup;
use crate::domain::elb::select::select;
use crate::domain::fixture::{LB, each_route, forward, group, group_arn, live_resources, plan};
use crate::domain::health::{Target, TargetState};
use crate::domain::kubernetes::binding::Binding;
use crate::domain::kubernetes::workload::WorkloadView;
use crate::domain::kubernetes::workload::{ClusterIdentity, Hpa, Pod, PodOwner, Service};
use crate::domain::metric::gate::MeasuredValue;
use crate::domain::preflight::facts::Caller;
use crate::domain::preflight::facts::ClusterFacts;
use crate::domain::preflight::facts::{Facts, ItemFacts, MachineFacts, UnusableCommand};
use crate::domain::traffic::ClientStickiness;
use crate::domain::traffic::Unreadable;
use crate::plan::model::ClusterAccess;
use crate::plan::model::Plan;
use crate::plan::model::{Accept, BindingMode, MarkerMode, PortRef};
use jiff::Timestamp;

fn now() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap_or(Timestamp::UNIX_EPOCH)
}

fn targets(count: u8, state: TargetState) -> Vec<Target> {
    let target =
        |i| Target { id: format!("10.0.0.{i}"), port: 8080, zone: None, state, reason: None, explanation: None };
    (1..=count).map(target).collect()
}

fn view(plan: &Plan, cluster: &str) -> WorkloadView {
    let owner = PodOwner {
        kind: "Deployment".to_owned(),
        name: "webapp".to_owned(),
        replicas: 10,
        ready: 10,
        updated: Some(10),
        managed_by: None,
    };
    let (min, current) = if cluster == "a" { (10, 10) } else { (2, 10) };
    let hpa = Hpa {
        name: "webapp".to_owned(),
        target: "Deployment/webapp".to_owned(),
        min,
        max: 40,
        current,
        desired: current,
    };
    let pod = |i| Pod {
        name: format!("webapp-{i}"),
        ip: Some(format!("10.0.0.{i}")),
        ready: true,
        readiness_gates: vec![format!("target-health.elbv2.k8s.aws/webapp-{cluster}")],
        created: Some(now()),
        restarts: 0,
        restarted: None,
    };
    WorkloadView {
        service: Some(Service {
            name: "webapp".to_owned(),
            kind: Some("NodePort".to_owned()),
            ports: vec![(Some("http".to_owned()), 80)],
            selector: [("app".to_owned(), "webapp".to_owned())].into(),
        }),
        pods: (1..=10).map(pod).collect(),
        owners: vec![owner],
        hpas: vec![hpa],
        bindings: vec![bound(plan, cluster)],
        namespace_labels: [("elbv2.k8s.aws/pod-readiness-gate-inject".to_owned(), "enabled".to_owned())].into(),
    }
}

fn bound(plan: &Plan, cluster: &str) -> Binding {
    let wanted = Binding::for_group(&plan.workloads[0], cluster, &group(&format!("webapp-{cluster}")));
    let mut binding = wanted.unwrap_or_else(|| panic!("the fixture must have a Service"));
    binding.created = Some(now() - jiff::SignedDuration::from_hours(1));
    binding
}

fn facts(plan: &Plan) -> Facts {
    let live = live_resources();
    let groups = vec![group("webapp-a"), group("webapp-b"), group("webapp-default"), group("third")];
    let cluster = |name: &str| ClusterFacts {
        identity: Ok(ClusterIdentity {
            uid: format!("uid-{name}"),
            version: "v1.33".to_owned(),
            binding_api: Some("elbv2.k8s.aws/v1beta1".to_owned()),
            eks_name: None,
        }),
        bindings: Ok(vec![bound(plan, name)]),
        workloads: [("webapp".to_owned(), Ok(view(plan, name)))].into(),
        dry_runs: BTreeMap::new(),
    };
    Facts {
        caller: Ok(Caller {
            account: "123456789012".to_owned(),
            arn: "arn:aws:iam::123456789012:role/ops".to_owned(),
            expires: None,
        }),
        selection: select(plan, &live),
        live,
        attached: [(LB.to_owned(), Ok(groups))].into(),
        health: ["webapp-a", "webapp-b"].map(|g| (group_arn(g), Ok(targets(10, TargetState::Healthy)))).into(),
        clusters: ["a", "b"].map(|c| (c.to_owned(), cluster(c))).into(),
        quotas: BTreeMap::new(),
        gate_answers: BTreeMap::new(),
        items: ItemFacts::default(),
        machine: MachineFacts::default(),
        reading_ended: None,
    }
}

fn group_of<'a>(facts: &'a mut Facts, name: &str) -> &'a mut TargetGroup {
    let arn = group_arn(name);
    &mut facts.selection.groups.get_mut(&arn).unwrap_or_else(|| panic!("the facts have no group {name}")).group
}

fn view_of<'a>(facts: &'a mut Facts, cluster: &str) -> &'a mut WorkloadView {
    let view =
        facts.clusters.get_mut(cluster).and_then(|c| c.workloads.get_mut("webapp")).and_then(|v| v.as_mut().ok());
    view.unwrap_or_else(|| panic!("the facts have no workload of cluster {cluster}"))
}

fn cluster_of<'a>(facts: &'a mut Facts, cluster: &str) -> &'a mut ClusterFacts {
    facts.clusters.get_mut(cluster).unwrap_or_else(|| panic!("the facts have no cluster {cluster}"))
}

/// Removes Kubernetes from the plan and from the facts of both clusters.
fn without_services(plan: &mut Plan, facts: &mut Facts) {
    plan.workloads[0].services.clear();
    facts.clusters.clear();
}

/// Removes the binding of a cluster.
fn remove_binding(facts: &mut Facts, cluster: &str) {
    cluster_of(facts, cluster).bindings = Ok(Vec::new());
}

fn binding_of<'a>(facts: &'a mut Facts, cluster: &str) -> &'a mut Binding {
    match &mut cluster_of(facts, cluster).bindings {
        Ok(bindings) => &mut bindings[0],
        Err(why) => panic!("the bindings of the fixture must be readable: {why}"),
    }
}

fn tag(facts: &mut Facts, key: &str, value: &str) {
    let load_balancer =
        facts.selection.load_balancers.get_mut(LB).unwrap_or_else(|| panic!("the facts have no load balancer"));
    load_balancer.tags.insert(key.to_owned(), value.to_owned());
}

fn set_stickiness(facts: &mut Facts, seconds: u32) {
    for selected in &mut facts.selection.routes {
        selected.route.content.stickiness = Some(ClientStickiness { enabled: true, seconds: Some(seconds) });
    }
}

fn set_health(facts: &mut Facts, name: &str, health: Vec<Target>) {
    facts.health.insert(group_arn(name), Ok(health));
}

/// Returns a window that opens every Monday at midnight.
fn window_until(hour: i8, minute: i8) -> Window {
    let time = |hour, minute| jiff::civil::time(hour, minute, 0, 0);
    let zone = jiff::tz::TimeZone::UTC;
    Window { days: vec![jiff::civil::Weekday::Monday], from: time(0, 0), to: Some(time(hour, minute)), zone }
}

#[test]
fn step_whose_writes_fit_into_no_window_is_an_error() {
    let mut plan = plan();
    // The pause after the last step takes an hour.
    plan.strategy.hours.windows = vec![window_until(1, 1)];
    let mut facts = facts(&plan);
    assert_eq!(check(&plan, &facts, now()), []);
    let routes = facts.selection.routes.clone();
    facts.selection.routes = std::iter::repeat_n(routes, 60).flatten().collect();
    let findings = check(&plan, &facts, now());
    let finding = findings.iter().find(|f| f.code == Code::CUT306).unwrap_or_else(|| panic!("{findings:#?}"));
    assert!(finding.refuses() && finding.message.contains("with 360 routes"), "{finding:#?}");
    assert_eq!(findings.iter().filter(|f| f.code == Code::CUT306).count(), 1, "only the last step is too long");
}

#[test]
fn correct_facts_have_no_findings() {
    let plan = plan();
    assert_eq!(check(&plan, &facts(&plan), now()), []);
}

#[test]
fn each_mutation_causes_exactly_one_code() {
    for (name, code, change) in
        [mutations::IDENTITY, mutations::BALANCER, mutations::KUBERNETES, mutations::TRAFFIC].concat()
    {
        let mut plan = plan();
        let mut facts = facts(&plan);
        change(&mut plan, &mut facts);
        let findings = check(&plan, &facts, now());
        let mut codes: Vec<Code> = findings.iter().map(|f| f.code).collect();
        codes.dedup();
        assert_eq!(codes, [code], "{name}: {findings:#?}");
        assert!(
            findings.iter().all(|f| f.help.as_ref().is_some_and(|h| !h.is_empty())),
            "a finding of {name} has no help text"
        );
    }
}

#[test]
fn last_bake_shorter_than_stickiness_is_reported() {
    let plan = plan();
    let mut facts = facts(&plan);
    set_stickiness(&mut facts, 7200);
    let codes: Vec<Code> = check(&plan, &facts, now()).iter().map(|f| f.code).collect();
    assert_eq!(codes, [Code::CUT042, Code::CUT084]);
}

#[test]
fn warnings_are_accepted_with_a_reason_but_safety_errors_are_not() {
    let mut plan = plan();
    let reason = "ten minutes are fine here";
    plan.accept =
        ["CUT042", "CUT057"].map(|c| Accept { code: c.to_owned(), object: None, reason: reason.to_owned() }).into();
    let mut facts = facts(&plan);
    set_stickiness(&mut facts, 600);
    if let Ok(identity) = &mut cluster_of(&mut facts, "b").identity {
        identity.uid = "uid-a".to_owned();
    }
    let findings = check(&plan, &facts, now());
    let by = |code: Code| findings.iter().find(|f| f.code == code).unwrap_or_else(|| panic!("no {code:?}"));
    assert_eq!(by(Code::CUT042).accepted.as_deref(), Some(reason));
    assert!(by(Code::CUT057).refuses() && by(Code::CUT089).refuses());
    assert_eq!(findings[0].severity, Severity::Error, "the most severe finding must come first");
}

#[test]
fn hpa_findings_have_the_step_the_numbers_and_the_command() {
    let plan = plan();
    let mut facts = facts(&plan);
    view_of(&mut facts, "b").hpas[0].max = 8;
    view_of(&mut facts, "a").hpas[0].min = 2;
    let findings = check(&plan, &facts, now());
    // Only the groups with traffic at the start count, as for the gate: they have 10 targets, so 100 % needs 10.
    assert!(
        findings[0]
            .message
            .contains("(100 % to b) needs 10 healthy targets of webapp, but HPA webapp allows at most 8"),
        "{findings:#?}"
    );
    let context = "kubectl --context arn:aws:eks:ap-northeast-2:123456789012:cluster/alpha-kr-";
    assert!(findings[0].help.as_ref().is_some_and(|h| {
        h.contains(&format!(
            "{context}b -n webapp patch hpa webapp --type merge -p '{{\"spec\":{{\"maxReplicas\":10}}}}'"
        ))
    }));
    assert!(findings[1].help.as_ref().is_some_and(|h| {
        h.contains(&format!(
            "{context}a -n webapp patch hpa webapp --type merge -p '{{\"spec\":{{\"minReplicas\":10}}}}'"
        ))
    }));
}

#[test]
fn auto_mode_group_without_the_tag_is_reported() {
    let plan = plan();
    let mut facts = facts(&plan);
    if let Ok(identity) = &mut cluster_of(&mut facts, "b").identity {
        identity.binding_api = Some("eks.amazonaws.com/v1".to_owned());
    }
    remove_binding(&mut facts, "b");
    set_health(&mut facts, "webapp-b", Vec::new());
    let tag = |facts: &Facts| check(&plan, facts, now()).into_iter().find(|f| f.code == Code::CUT302);
    let finding = tag(&facts).unwrap_or_else(|| panic!("a group without the tag must be reported"));
    assert_eq!(finding.message, "webapp-b does not have the tag eks:eks-cluster-name=alpha-kr-b");
    let command = format!(
        "aws elbv2 add-tags --resource-arns {} --tags Key=eks:eks-cluster-name,Value=alpha-kr-b",
        group_arn("webapp-b")
    );
    assert!(finding.help.is_some_and(|help| help.ends_with(&command)));
    let mut set = |name: &str| {
        group_of(&mut facts, "webapp-b").tags.insert("eks:eks-cluster-name".to_owned(), name.to_owned());
        tag(&facts)
    };
    assert!(
        set("alpha-kr-a")
            .is_some_and(|f| f.message.contains("=alpha-kr-a, but the cluster of the group is alpha-kr-b"))
    );
    assert_eq!(set("alpha-kr-b"), None);
}

#[test]
fn auto_mode_tag_of_an_unknown_cluster_has_no_command_with_a_wrong_name() {
    let mut plan = plan();
    plan.clusters[1].access = ClusterAccess::KubeContext("blue".to_owned());
    let mut facts = facts(&plan);
    if let Ok(identity) = &mut cluster_of(&mut facts, "b").identity {
        identity.binding_api = Some("eks.amazonaws.com/v1".to_owned());
    }
    remove_binding(&mut facts, "b");
    set_health(&mut facts, "webapp-b", Vec::new());
    let tag = |facts: &Facts| {
        let found = check(&plan, facts, now()).into_iter().find(|f| f.code == Code::CUT302);
        found.unwrap_or_else(|| panic!("the tag must be reported"))
    };
    let missing = tag(&facts);
    assert_eq!(missing.message, "webapp-b does not have the tag eks:eks-cluster-name");
    assert!(missing.help.is_some_and(|help| !help.contains("Value=") && help.contains("aws eks list-clusters")));
    group_of(&mut facts, "webapp-b").tags.insert("eks:eks-cluster-name".to_owned(), "CLUSTER".to_owned());
    let unknown = tag(&facts);
    assert_eq!(unknown.severity, Severity::Info);
    assert!(unknown.message.contains("=CLUSTER") && unknown.message.contains("kubeContext blue"), "{unknown:#?}");
    if let Ok(identity) = &mut cluster_of(&mut facts, "b").identity {
        identity.eks_name = Some("shop-b".to_owned());
    }
    let named = tag(&facts);
    assert!(named.message.contains("=CLUSTER, but the cluster of the group is shop-b"), "{named:#?}");
    assert!(named.help.is_some_and(|help| help.ends_with("--tags Key=eks:eks-cluster-name,Value=shop-b")));
}

#[test]
fn auto_mode_uses_other_names_of_readiness_gates() {
    let plan = plan();
    let mut facts = facts(&plan);
    let codes = |facts: &Facts| check(&plan, facts, now()).iter().map(|f| f.code).collect::<Vec<_>>();
    if let Ok(identity) = &mut cluster_of(&mut facts, "b").identity {
        identity.binding_api = Some("eks.amazonaws.com/v1".to_owned());
    }
    assert_eq!(codes(&facts), [Code::CUT078, Code::CUT081], "the label of the other controller must have no effect");
    let view = view_of(&mut facts, "b");
    view.namespace_labels = [("eks.amazonaws.com/pod-readiness-gate-inject".to_owned(), "enabled".to_owned())].into();
    for pod in &mut view.pods {
        pod.readiness_gates = vec!["target-health.eks.amazonaws.com/webapp-b".to_owned()];
    }
    assert_eq!(codes(&facts), [Code::CUT078]);
}

#[test]
fn too_few_targets_are_reported_with_the_step_and_the_setting() {
    let mut plan = plan();
    let mut facts = facts(&plan);
    without_services(&mut plan, &mut facts);
    set_health(&mut facts, "webapp-a", targets(6, TargetState::Healthy));
    set_health(&mut facts, "webapp-b", targets(2, TargetState::Healthy));
    let findings = check(&plan, &facts, now());
    let finding = findings.iter().find(|f| f.code == Code::CUT082).unwrap_or_else(|| panic!("{findings:#?}"));
    assert!(
        finding
            .message
            .contains("needs 3 healthy targets, but webapp-b has 2 registered targets; the plan needs up to 6"),
        "{finding:#?}"
    );
    assert!(finding.help.as_ref().is_some_and(|h| h.contains("`gates.targetHealth.raise.capacity` to 0.33")));
    plan.strategy.gates.raise.capacity = 0.33;
    assert!(
        check(&plan, &facts, now()).iter().all(|f| f.code != Code::CUT082),
        "the suggested capacity must be enough"
    );
}

#[test]
fn targets_outside_of_the_zones_do_not_count_for_the_gates() {
    let mut plan = plan();
    let mut facts = facts(&plan);
    let mut all = targets(10, TargetState::Unused);
    for target in &mut all {
        target.zone = Some("ap-northeast-2d".to_owned());
    }
    set_health(&mut facts, "webapp-b", all.clone());
    let message = |plan: &Plan, facts: &Facts, code: Code| {
        let found = check(plan, facts, now()).into_iter().find(|f| f.code == code);
        found.unwrap_or_else(|| panic!("no {code:?}")).message
    };
    let said = message(&plan, &facts, Code::CUT300);
    assert!(
        said.contains("The gate before step 2 (1 % to b) does not pass: it needs 1 healthy targets, and 0 of"),
        "{said}"
    );
    without_services(&mut plan, &mut facts);
    let said = message(&plan, &facts, Code::CUT082);
    assert!(said.contains("webapp-b has 0 registered targets in the enabled zones"), "{said}");
    all.iter_mut().skip(2).for_each(|t| t.zone = Some("ap-northeast-2a".to_owned()));
    set_health(&mut facts, "webapp-b", all);
    let said = message(&plan, &facts, Code::CUT082);
    assert!(said.contains("(100 % to b) needs 10 healthy targets, but webapp-b has 8 registered"), "{said}");
}

#[test]
fn targets_that_an_earlier_run_registered_do_not_double_what_a_step_needs() {
    let of_capacity = |plan: &Plan, facts: &Facts| -> Vec<Finding> {
        check(plan, facts, now()).into_iter().filter(|f| f.code == Code::CUT082).collect()
    };
    for start in [plan().strategy.start, None] {
        let mut plan = plan();
        plan.strategy.start = start;
        let mut facts = facts(&plan);
        view_of(&mut facts, "b").hpas[0].max = 10;
        assert_eq!(of_capacity(&plan, &facts), [], "ten targets of each side are registered and healthy");
        without_services(&mut plan, &mut facts);
        assert_eq!(of_capacity(&plan, &facts), [], "as many as the old side has are enough");
    }
}

#[test]
fn a_plan_has_one_severity_for_readiness_gates_and_one_note_a_namespace() {
    let mut plan = plan();
    let mut facts = facts(&plan);
    let second = crate::plan::model::Workload { name: "second".to_owned(), ..plan.workloads[0].clone() };
    plan.workloads.push(second);
    let bare = |f: &mut Facts, label: bool| {
        let view = view_of(f, "b");
        view.pods.iter_mut().for_each(|p| p.readiness_gates.clear());
        if label {
            view.clone()
        } else {
            view.namespace_labels.clear();
            view.clone()
        }
    };
    let copy = |f: &mut Facts, view: WorkloadView| {
        cluster_of(f, "b").workloads.insert("second".to_owned(), Ok(view));
    };
    let found = |plan: &Plan, f: &Facts| -> Vec<Severity> {
        check(plan, f, now()).iter().filter(|f| f.code == Code::CUT081).map(|f| f.severity).collect()
    };
    let labelled = bare(&mut facts, true);
    copy(&mut facts, labelled);
    let arn = group_arn("second-b");
    let mut selected = facts.selection.groups[&group_arn("webapp-b")].clone();
    selected.workload = "second".to_owned();
    facts.selection.groups.insert(arn, selected);
    bare(&mut facts, false);
    assert_eq!(found(&plan, &facts), [Severity::Info, Severity::Info], "one says the label, one the pods");
    let unlabelled = bare(&mut facts, false);
    copy(&mut facts, unlabelled);
    assert_eq!(found(&plan, &facts), [Severity::Info], "the namespace is said once");
}

#[test]
fn missing_credentials_are_one_finding() {
    let plan = plan();
    let mut facts = facts(&plan);
    let why = Unreadable::Credentials("none found; log in".to_owned());
    facts.caller = Err(why.clone());
    for name in ["webapp-a", "webapp-b"] {
        facts.health.insert(group_arn(name), Err(why.clone()));
    }
    for cluster in ["a", "b"] {
        cluster_of(&mut facts, cluster).identity = Err(why.clone());
    }
    let findings = check(&plan, &facts, now());
    let said: Vec<_> = findings.iter().filter(|f| f.message.contains("none found")).collect();
    assert_eq!(said.len(), 1, "{findings:#?}");
    assert_eq!(said[0].message, "AWS cannot be read: credentials: none found; log in");
}

#[test]
fn a_wrong_eks_name_names_the_line_of_the_plan() {
    let mut plan = plan();
    plan.text = "spec:\n  clusters:\n    - name: b\n      eks: alpha-kr-b\n".to_owned();
    let mut facts = facts(&plan);
    let why = "ap-northeast-2 has no EKS cluster `alpha-kr-b`; its clusters are alpha-kr-a".to_owned();
    cluster_of(&mut facts, "b").identity = Err(Unreadable::NotFound(why));
    let findings = check(&plan, &facts, now());
    let finding = findings.iter().find(|f| f.code == Code::CUT058).unwrap_or_else(|| panic!("{findings:#?}"));
    assert!(finding.message.ends_with("its clusters are alpha-kr-a (plans/alpha.yaml, line 4)"), "{finding:#?}");
    assert_eq!(finding.help.as_deref(), Some("correct `eks` of that cluster in the plan"));
}

/// Regression test: a finding said that `from` and `to` are swapped, but the target groups were swapped.
#[test]
fn swapped_target_groups_are_not_said_to_be_swapped_clusters() {
    let mut plan = plan();
    let mut facts = facts(&plan);
    let groups = &mut plan.workloads[0].routes[0].target_groups;
    let (a, b) = (groups[0].1.clone(), groups[1].1.clone());
    (groups[0].1, groups[1].1) = (b, a);
    facts.selection = select(&plan, &facts.live);
    remove_binding(&mut facts, "b");
    let findings = check(&plan, &facts, now());
    let help = |code| findings.iter().find(|f| f.code == code).and_then(|f| f.help.clone()).unwrap_or_default();
    let text = help(Code::CUT048);
    assert!(text.contains("Write `targetGroups: {a: webapp-a, b: webapp-b}`") && !text.contains("`from: "), "{text}");
}

/// Regression test: an unexpected number of routes was reported before its cause, that the old cluster has no traffic.
#[test]
fn the_cause_comes_before_its_consequence() {
    let mut plan = plan();
    std::mem::swap(&mut plan.strategy.from, &mut plan.strategy.to);
    plan.strategy.start = Some(crate::domain::fixture::shares(0, 100));
    plan.workloads[0].routes[0].expect = Some(6);
    let mut facts = facts(&plan);
    facts.selection = select(&plan, &facts.live);
    let codes: Vec<_> = check(&plan, &facts, now()).iter().map(|f| f.code).collect();
    let place = |code| codes.iter().position(|c| *c == code);
    assert!(place(Code::CUT048).is_some() && place(Code::CUT048) < place(Code::CUT046), "{codes:?}");
}

#[test]
fn findings_about_live_resources_name_the_line_of_the_plan_and_the_gate() {
    let mut plan = plan();
    plan.text =
        "spec:\n  aws:\n    accountId: 1\n  strategy:\n    gates:\n      metrics:\n        - name: errors\n        \
                 - name: slow\n    hooks:\n      - exec: {command: [./scale-up.sh]}\n"
            .into();
    let mut facts = facts(&plan);
    for gate in ["errors", "slow"] {
        let message = "127.0.0.1:9 refused the connection".to_owned();
        facts.gate_answers.insert(gate.to_owned(), MeasuredValue::Unreadable { message });
    }
    facts.caller = Ok(Caller { account: "210987654321".into(), arn: "arn".into(), expires: None });
    let (place, problem) = ("hook 1 (before shift)".to_owned(), "/plans/scale-up.sh does not exist".to_owned());
    let program = "./scale-up.sh".to_owned();
    facts.machine.unusable_commands.push(UnusableCommand { place, program, problem, required: true });
    let findings = check(&plan, &facts, now());
    let message = |code| findings.iter().find(|f| f.code == code).map(|f| f.message.clone()).unwrap_or_default();
    let of_gates = message(Code::CUT094);
    assert!(of_gates.starts_with("gates errors, slow: the metric source cannot be read now: 127"), "{of_gates}");
    for (code, line) in [(Code::CUT094, 7), (Code::CUT054, 3), (Code::CUT305, 10)] {
        let text = message(code);
        assert!(text.ends_with(&format!("({}, line {line})", plan.source)), "{text}");
    }
    let hook = findings.iter().find(|f| f.code == Code::CUT305).and_then(|f| f.help.as_deref());
    assert!(hook.is_some_and(|help| help.contains("list CUT305 in `accept`")), "{hook:?}");
}

#[test]
fn notes_name_gates_without_comparison_and_lowered_shares() {
    let read = |text: &str| crate::plan::lint("plan.yaml", text.as_bytes()).unwrap();
    let found = notes(&read(include_str!("../../../../plans/metrics.yaml")));
    let message = found.iter().find(|f| f.code == Code::CUT310).map(|f| f.message.clone()).unwrap_or_default();
    assert!(message.starts_with("gates errors, slowness compare green with blue: after step "), "{found:#?}");
    let text = include_str!("../../../../plans/alpha-webapp.yaml").replacen("setWeight: 50", "setWeight: 10", 1);
    let found = notes(&read(&text));
    let lowered = found.iter().find(|f| f.code == Code::CUT311).map(|f| f.message.as_str());
    assert_eq!(lowered, Some("step 9 lowers the share of b from 20 % to 10 %"));
    assert!(notes(&read(include_str!("../../../../plans/alpha-webapp.yaml"))).is_empty());
}

#[test]
fn cluster_without_a_service_needs_no_access() {
    let mut plan = plan();
    let mut facts = facts(&plan);
    plan.workloads[0].services.remove("a");
    plan.clusters[0].access = ClusterAccess::None;
    facts.clusters.remove("a");
    assert_eq!(check(&plan, &facts, now()), []);
}

#[test]
fn kubectl_context_has_the_partition_of_the_region() {
    let mut plan = plan();
    plan.region = "cn-north-1".to_owned();
    let facts = facts(&plan);
    let context = Context { plan: &plan, facts: &facts, now: now() };
    assert_eq!(context.kubectl_context("a"), " --context arn:aws-cn:eks:cn-north-1:123456789012:cluster/alpha-kr-a");
}

#[test]
fn minimum_duration_of_a_plan_includes_bakes_and_settle() {
    assert_eq!(crate::plan::schedule::min_duration(&plan(), 2), Duration::from_mins(1 + 10 + 60));
}

#[test]
fn stickiness_of_unmoved_routes_is_not_reported() {
    let plan = plan();
    let mut facts = facts(&plan);
    each_route(&mut facts.live, |r| {
        if r.priority == Some(30) {
            r.content = forward(&[("third", 1)]);
            r.content.stickiness = Some(ClientStickiness { enabled: true, seconds: Some(9) });
        }
    });
    assert_eq!(check(&plan, &facts, now()), []);
}
