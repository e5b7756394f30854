//! Valid plans: their parsed form, and that the schema accepts them.

use std::time::Duration;

use cutover::plan::model::{
    BalancerKind, BindingMode, ClusterAccess, ListenerRef, MarkerMode, OnFailure, PortRef, RollbackStickiness, RuleRef,
    Selector, Shares, StepKind, TargetType,
};
use cutover::plan::{self, lint, render, schema};

fn example(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/plans/{name}.yaml", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn read(name: &str) -> plan::model::Plan {
    lint(name, &example(name)).unwrap_or_else(|e| panic!("{}", render(&e, false)))
}

fn shares(of: &[(&str, u32)]) -> Shares {
    of.iter().map(|(c, s)| ((*c).to_owned(), *s)).collect()
}

#[test]
fn reference_plan() {
    let plan = read("alpha-webapp");
    assert_eq!(
        (plan.name.as_str(), plan.account_id.as_str(), plan.region.as_str()),
        ("alpha-webapp", "123456789012", "ap-northeast-2")
    );
    assert_eq!(plan.hash.len(), 64);
    assert_eq!(plan.text.as_bytes(), example("alpha-webapp"));
    assert_eq!(plan.clusters[1].access, ClusterAccess::Eks("alpha-kr-b".into()));
    let workload = &plan.workloads[0];
    assert_eq!(workload.services["a"].port, PortRef::Name("http".into()));
    let route = &workload.routes[0];
    assert_eq!(route.listeners, [ListenerRef::Port(80), ListenerRef::Port(443)]);
    assert_eq!(route.target_groups[1], ("b".into(), Selector::Name("alpha-webapp-b".into())));
    assert_eq!((route.rules.as_ref(), route.expect), (None, Some(36)));
    let strategy = &plan.strategy;
    assert_eq!(
        (strategy.settle, strategy.start.as_ref()),
        (Duration::from_secs(30), Some(&shares(&[("a", 100), ("b", 0)])))
    );
    assert_eq!(strategy.steps.len(), 12);
    assert_eq!((strategy.steps[1].number, strategy.steps[1].name.as_deref()), (2, Some("first-traffic")));
    assert_eq!(strategy.steps[1].kind, StepKind::Shares(shares(&[("a", 99), ("b", 1)])));
    assert_eq!(strategy.steps[7].kind, StepKind::Approval(Some("on-call has read the dashboards".into())));
    assert_eq!(strategy.steps[11].kind, StepKind::Bake(Duration::from_hours(1)));
}

#[test]
fn network_load_balancer_has_a_settle_time_of_its_own() {
    let text = |own: &str, settle: &str| {
        format!(
            "{{apiVersion: cutover.dev/v1alpha1, kind: Cutover, metadata: {{name: x}}, spec: {{aws: {{accountId: \
             '123456789012', region: eu-west-1}}, clusters: [{{name: a}}, {{name: b}}], workloads: [{{name: w, routes: \
             [{{alb: {{loadBalancer: web, targetGroups: {{a: ga, b: gb}}}}}}, {{nlb: {{loadBalancer: edge, listeners: \
             [443], targetGroups: {{a: ta, b: tb}}, expect: 1{own}}}}}]}}], strategy: {{from: a, to: b{settle}, steps: \
             [setWeight: 100]}}}}}}"
        )
    };
    for (own, settle, expected, longest) in
        [("", "", 600, 600), (", settle: 30s", "", 30, 30), (", settle: 0s", ", settle: 1m", 0, 60)]
    {
        let plan = lint("x", text(own, settle).as_bytes()).unwrap_or_else(|e| panic!("{}", render(&e, false)));
        let [web, edge] = &plan.workloads[0].routes[..] else { panic!("{:?}", plan.workloads) };
        assert_eq!((web.kind, web.settle), (BalancerKind::Alb, None));
        assert_eq!((edge.kind, edge.settle), (BalancerKind::Nlb, Some(Duration::from_secs(expected))));
        assert_eq!((&edge.listeners[..], edge.expect), (&[ListenerRef::Port(443)][..], Some(1)));
        assert_eq!(plan.strategy.longest_settle, Duration::from_secs(longest));
        assert_eq!(plan::schedule::min_duration(&plan, 2), Duration::from_secs(longest));
    }
}

#[test]
fn other_examples() {
    let canary = read("canary");
    let selector = &canary.workloads[0].routes[0].load_balancer;
    assert_eq!(
        *selector,
        Selector::Tags([("app".to_owned(), "shop".to_owned()), ("tier".to_owned(), "public".to_owned())].into())
    );
    assert_eq!(canary.workloads[0].routes[0].rules, Some(vec![RuleRef::Priority(10), RuleRef::Priority(11)]));
    assert_eq!(canary.strategy.gates.raise.stable_for, Some(Duration::from_mins(1)));
    assert_eq!(canary.strategy.peak("green"), 5);

    let gitops = read("gitops");
    assert!(gitops.workloads.iter().all(|w| w.binding.mode == BindingMode::Verify));
    assert_eq!(gitops.workloads[1].binding.extra["networking"]["ingress"][0]["ports"][0]["port"], 4000);
    assert_eq!(gitops.accept[0].code, "CUT042");

    let zones = read("zones");
    assert_eq!(zones.strategy.start, None, "without `start`, a plan has no start shares");
    assert_eq!(zones.clusters[0].access, ClusterAccess::None);
}

const SMALLEST_PLAN: &str = r#"
apiVersion: cutover.dev/v1alpha1
kind: Cutover
metadata: {name: smallest}
spec:
  aws: {accountId: "000000000001", region: us-gov-west-1}
  clusters: [{name: a}, {name: b}, {name: c}]
  workloads:
    - name: web
      routes:
        - alb:
            loadBalancer: arn:aws-us-gov:elasticloadbalancing:us-gov-west-1:000000000001:loadbalancer/app/web/50dc6c495c0c9188
            targetGroups: {c: web-c, a: web-a, b: web-b}
            rules: []
  strategy: {from: a, to: b, steps: [{setWeight: 100}, {pause: {}}]}
"#;

#[test]
fn defaults() {
    let plan = lint("-", SMALLEST_PLAN.as_bytes()).unwrap_or_else(|e| panic!("{}", render(&e, false)));
    let strategy = &plan.strategy;
    let gates = &strategy.gates;
    assert_eq!(
        (strategy.settle, strategy.on_failure, gates.on_timeout),
        (Duration::from_secs(15), OnFailure::Rollback, OnFailure::Pause)
    );
    assert_eq!((strategy.rollback_stickiness, gates.timeout), (RollbackStickiness::Break, Duration::from_mins(20)));
    assert_eq!(
        (gates.raise.min_healthy, gates.raise.min_healthy_percent, gates.raise.capacity, gates.raise.stable_for),
        (1, 95.0, 1.0, None)
    );
    assert_eq!((gates.guard.min_healthy_percent, gates.guard.for_), (70.0, Duration::from_secs(90)));
    let workload = &plan.workloads[0];
    assert_eq!((workload.binding.mode, workload.binding.target_type), (BindingMode::Create, TargetType::Ip));
    assert_eq!(
        (plan.marker, workload.routes[0].rules.as_ref()),
        (MarkerMode::Tag, None),
        "an empty list of rules must equal no list"
    );
    let order: Vec<&str> = workload.routes[0].target_groups.iter().map(|(c, _)| c.as_str()).collect();
    assert_eq!(order, ["a", "b", "c"], "target groups must be in the order of the clusters");
    assert_eq!(strategy.start, Some(shares(&[("a", 100), ("b", 0), ("c", 0)])));
    assert_eq!(strategy.steps[1].kind, StepKind::Approval(None));
}

fn yaml(text: &[u8]) -> serde_json::Value {
    serde_yaml::from_slice(text).unwrap()
}

#[test]
fn schema_accepts_valid_plans() {
    let validator = jsonschema::draft7::new(&schema()).expect("the schema should be valid");
    for name in ["alpha-webapp", "canary", "gitops", "zones"] {
        let found: Vec<String> =
            validator.iter_errors(&yaml(&example(name))).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(found.is_empty(), "{name}: {found:#?}");
    }
    assert!(validator.is_valid(&yaml(SMALLEST_PLAN.as_bytes())));
}

#[test]
fn schema_refuses_invalid_fields() {
    let validator = jsonschema::draft7::new(&schema()).unwrap();
    let good = String::from_utf8(example("alpha-webapp")).unwrap();
    for (right, wrong) in [
        ("settle: 30s", "settle: 30"),
        ("settle: 30s", "settle: 1h30"),
        ("settle: 30s", "setle: 30s"),
        ("- bind: {}", "- {}"),
        ("- bind: {}", "- {bind: {}, setWeight: 1}"),
        ("- setWeight: 1\n", "- setWeight: 101\n"),
        ("onFailure: rollback", "onFailure: explode"),
        ("    region: ap-northeast-2\n", ""),
        ("{mode: create, targetType: ip}", "{mode: create, targetGroupARN: x}"),
        ("eks: alpha-kr-b", "eks: alpha-kr-b\n      kubeContext: b"),
        ("name: alpha-webapp\nspec", "name: Alpha\nspec"),
    ] {
        assert!(good.contains(right), "{right}");
        assert!(!validator.is_valid(&yaml(good.replacen(right, wrong, 1).as_bytes())), "{wrong}");
    }
}

#[test]
fn schema_describes_every_field() {
    fn walk(path: &str, schema: &serde_json::Value, seen: &mut usize) {
        for (key, property) in schema["properties"].as_object().into_iter().flatten() {
            *seen += 1;
            let here = format!("{path}.{key}");
            let forbidden = property == &serde_json::Value::Bool(false);
            assert!(
                forbidden || property["description"].as_str().is_some_and(|d| d.len() > 5),
                "{here} has no description"
            );
            walk(&here, property, seen);
            walk(&here, &property["items"], seen);
        }
    }
    let mut seen = 0;
    walk("", &schema(), &mut seen);
    assert!(seen > 60, "expected more than 60 fields, found {seen}");
}

#[test]
fn api_budget_is_in_calls_per_second() {
    let text = String::from_utf8(example("canary")).unwrap();
    let with = |budget: &str| {
        let at = text.find("    region:").expect("the plan should have a region");
        lint("budget", format!("{}    apiBudget: {budget}\n{}", &text[..at], &text[at..]).as_bytes())
    };
    assert_eq!(read("canary").api_budget, None);
    assert_eq!(with("2.5").map(|plan| plan.api_budget).ok(), Some(Some(2.5)));
    for wrong in ["0", "-1", "1001", "many"] {
        assert!(with(wrong).is_err(), "{wrong}");
    }
}
