//! Reading the plans of started runs: the reader accepts plans that the present lint refuses.

use std::time::Duration;

use cutover::plan::model::skeleton::Skeleton;
use cutover::plan::model::{Plan, Selector, StepKind};
use cutover::plan::{lint, read};

fn skeleton() -> Plan {
    let (name, from, to) = ("from-the-journal".into(), "a".into(), "b".into());
    Skeleton { name, from, to, clusters: vec!["a".into(), "b".into()], ..Skeleton::default() }.plan()
}

/// Reads a plan with additional fields in the workload, in the strategy, and in `spec`.
fn leniently(workload: &str, strategy: &str, spec: &str) -> Plan {
    let text = format!(
        "apiVersion: cutover.dev/v1alpha1
kind: Cutover
metadata: {{name: p}}
spec:
  aws: {{accountId: \"123456789012\", region: eu-central-1}}
  clusters: [{{name: a}}, {{name: b}}]
  workloads: [{{name: w, routes: [{{alb: {{loadBalancer: lb, targetGroups: {{a: ga, b: gb}}}}}}], {workload}}}]
  strategy: {{from: a, to: b, {strategy}}}
  {spec}
"
    );
    read("p.yaml", text.as_bytes(), skeleton())
}

#[test]
fn a_plan_that_passes_the_lint_is_read_as_it_is_linted() {
    let files = std::fs::read_dir("plans").unwrap().map(|e| e.unwrap().path());
    for file in files.filter(|file| file.extension().is_some_and(|e| e == "yaml")) {
        let (name, bytes) = (file.display().to_string(), std::fs::read(&file).unwrap());
        assert_eq!(read(&name, &bytes, skeleton()), lint(&name, &bytes).unwrap(), "{name}");
    }
}

#[test]
fn stricter_lint_rules_do_not_affect_started_runs() {
    let steps = "steps: [{setWeight: 5, name: '7'}, {setWeight: 10, name: Not_A_Label}, {pause: {duration: 900h}}, {setWeight: 100}]";
    let plan = leniently("", steps, "");
    assert!(plan.newer.is_empty(), "{:?}", plan.newer);
    let names: Vec<_> = plan.strategy.steps.iter().map(|s| s.name.as_deref()).collect();
    assert_eq!(names, [Some("7"), Some("Not_A_Label"), None, None]);
    assert_eq!(plan.strategy.steps[2].kind, StepKind::Bake(Duration::from_hours(900)));

    let window = "windows: [{from: '09:00', to: '10:00', zone: UTC}], steps: [{setWeight: 50}, {pause: {duration: 5h}}, {setWeight: 100}]";
    let plan = leniently("", window, "");
    assert_eq!(
        (plan.newer.len(), plan.strategy.hours.windows.len(), plan.strategy.steps.len()),
        (0, 1, 3),
        "a window that is too short for a step must be read"
    );

    let notification = "notifications: [{slack: {urlFrom: {env: HOOK}}, template: 'hello {{nobody}}'}]";
    let plan = leniently("", "steps: [{setWeight: 100}]", notification);
    assert_eq!((plan.newer.len(), plan.notifications[0].template.as_deref()), (0, Some("hello {{nobody}}")));

    let odd = "settle: 999h, gates: {targetHealth: {guard: {minHealthyPercent: 99}}}, steps: [{setShares: {b: 100}}, {setWeight: 100}]";
    let plan =
        leniently("service: {namespace: Shop, name: web, port: '80'}", odd, "accept: [{code: CUT999, reason: ''}]");
    assert!(plan.newer.is_empty(), "{:?}", plan.newer);
    assert_eq!(plan.strategy.steps[0].kind, StepKind::Shares([("a".to_owned(), 0), ("b".to_owned(), 100)].into()));
}

#[test]
fn invalid_resource_names_are_kept() {
    let text = std::fs::read_to_string("tests/plans/broken/load-balancer-name.yaml").unwrap();
    let plan = read("p", text.as_bytes(), skeleton());
    assert!(plan.newer.is_empty(), "{:?}", plan.newer);
    assert!(matches!(&plan.workloads[0].routes[0].load_balancer, Selector::Name(_)));
}

#[test]
fn unknown_parts_are_listed_and_the_rest_is_read() {
    let cases = [
        ("ramp: 5, steps: [{setWeight: 100}]", "`strategy` has no field `ramp`"),
        ("onFailure: phone, steps: [{setWeight: 100}]", "`onFailure` must be"),
        ("settle: a while, steps: [{setWeight: 100}]", "`a while` is not a duration"),
        ("steps: [{teleport: {}}, {setWeight: 100}]", "a step has no field `teleport`"),
        ("steps: [{pause: {duration: 10m, jitter: 1m}}, {setWeight: 100}]", "`pause` has no field `jitter`"),
        ("steps: [hop, {setWeight: 100}]", "this must be a mapping"),
        ("steps: [{setWeight: {percent: 5}}, {setWeight: 100}]", "`setWeight` must be"),
        ("steps: [{setShares: {a: 50, b: 40}}, {setWeight: 100}]", "the sum of the shares is 90"),
        ("gates: {targetHealth: {guard: {for: {seconds: 3}}}}, steps: [{setWeight: 100}]", "`for` must be"),
    ];
    for (strategy, expected) in cases {
        let plan = leniently("", strategy, "");
        assert!(plan.newer.iter().any(|what| what.contains(expected)), "{strategy}: {:?}", plan.newer);
        assert_eq!(
            (plan.name.as_str(), plan.strategy.from.as_str(), plan.workloads.len()),
            ("p", "a", 1),
            "{strategy}"
        );
        let last = plan.strategy.steps.last().map(|s| s.kind.clone());
        assert_eq!(plan.strategy.steps.last().map(|s| s.number), Some(plan.strategy.steps.len()));
        assert_eq!(last, Some(StepKind::Shares([("a".to_owned(), 0), ("b".to_owned(), 100)].into())), "{strategy}");
    }
    for step in ["{teleport: {}}", "hop", "{setWeight: {percent: 5}}"] {
        let plan = leniently("", &format!("steps: [{step}, {{setWeight: 100}}]"), "");
        assert_eq!(
            (plan.strategy.steps[0].kind.clone(), plan.strategy.steps[1].number),
            (StepKind::Unknown, 2),
            "{step}"
        );
    }
    let plan = leniently("", "gates: {targetHealth: {guard: {for: {seconds: 3}}}}, steps: [{setWeight: 100}]", "");
    assert_eq!(
        plan.strategy.gates.guard.for_,
        Duration::from_secs(90),
        "an unreadable field must get the documented default"
    );
}

#[test]
fn an_unreadable_plan_gives_the_skeleton_from_the_journal() {
    for text in ["{{{", "- a list", "kind: [", "\u{0}", "spec: {strategy: 7}"] {
        let plan = read("p", text.as_bytes(), skeleton());
        assert!(!plan.newer.is_empty(), "{text}");
        let Plan { name, strategy, clusters, hash, text: kept, .. } = plan;
        assert_eq!(
            (name.as_str(), strategy.from.as_str(), strategy.to.as_str(), clusters.len()),
            ("from-the-journal", "a", "b", 2),
            "{text}"
        );
        assert_eq!((hash, kept.as_str()), (cutover::plan::hash(text.as_bytes()), text));
    }
    assert_eq!(read("p", b"", skeleton()), skeleton(), "without a text, the plan must be the skeleton");
}

/// Reads every broken plan of the lint's tests: the reader accepts them all, and marks a run as newer only if something
/// cannot be computed.
#[test]
fn every_broken_plan_is_read() {
    let mut files: Vec<_> = std::fs::read_dir("tests/plans/broken").unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    let mut known = 0;
    for file in files {
        let (name, bytes) = (file.display().to_string(), std::fs::read(&file).unwrap());
        let plan = read(&name, &bytes, skeleton());
        assert!(!plan.name.is_empty() && !plan.strategy.from.is_empty(), "{name}");
        let wrong = lint(&name, &bytes).unwrap_err().errors;
        assert!(!plan.newer.is_empty() || wrong.iter().all(|error| !error.unknown), "{name}: {wrong:?}");
        known += usize::from(plan.newer.is_empty());
    }
    assert!(known >= 20, "expected at least 20 broken plans without unknown parts, found {known}");
}
