//! Scenario files: every example loads and builds a lab; wrong scenarios are refused with their position.

use std::fs;

use super::common::{START, at, plan};
use cutover::lab::model::World;
use cutover::lab::scenario::Scenario;

const HEAD: &str = "apiVersion: cutover.dev/v1alpha1\nkind: Scenario\nmetadata: {name: x}\n";

#[test]
fn every_example_loads_runs_and_fits_the_schema() {
    let schema = serde_json::to_value(Scenario::schema()).expect("the schema should convert to JSON");
    let validator = jsonschema::validator_for(&schema).expect("the schema should be valid");
    let mut count = 0;
    for entry in fs::read_dir("examples/scenarios").expect("the folder examples/scenarios should be readable") {
        let path = entry.expect("the entry should be readable").path();
        let text = fs::read_to_string(&path).expect("the scenario file should be readable");
        assert!(text.starts_with("# What you learn:"), "{}", path.display());
        let scenario = Scenario::parse(&path.display().to_string(), &text).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(path.file_stem().and_then(|s| s.to_str()), Some(scenario.metadata.name.as_str()));
        let mut world = World::new(&plan(), &scenario, 1, START).unwrap_or_else(|e| panic!("{e}"));
        world.advance(at(3600));
        assert!(world.pods().iter().any(|p| p.alive), "{}", path.display());
        let plain: serde_json::Value = serde_yaml::from_str(&text).expect("the scenario should be YAML");
        let errors: Vec<String> =
            validator.iter_errors(&plain).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(errors.is_empty(), "{}: {errors:?}", path.display());
        count += 1;
    }
    assert!(count >= 10, "the folder examples/scenarios should have at least 10 scenarios, but has {count}");
}

#[test]
fn wrong_scenarios_are_refused_with_their_position() {
    for (spec, expected) in [
        ("spec: {faults: [{at: {time: 10}, kill: {cluster: b}}]}", "x.yaml:4:"),
        ("spec:\n  fautls: []", "x.yaml:5:3"),
        ("spec: {faults: [{at: {time: 10m}}]}", "spec.faults[0]: exactly one verb"),
        ("spec: {faults: [{at: {time: 1m, step: x}, kill: {cluster: b}}]}", "spec.faults[0].at: exactly one of"),
        ("spec: {faults: [{at: {share: {cluster: b}}, repair: {}}]}", "atLeast"),
        ("spec: {load: &x {}, limits: *x}", "x.yaml"),
        ("spec: [", "x.yaml"),
        ("spec: {}\nspec: {}", "x.yaml:5:1"),
    ] {
        let error = Scenario::parse("x.yaml", &format!("{HEAD}{spec}\n")).expect_err(spec).to_string();
        assert!(error.contains(expected), "{spec}: {error}");
    }
    assert!(Scenario::parse("x.yaml", &"x".repeat(300_000)).is_err());
}

#[test]
fn a_scenario_with_names_that_are_not_in_the_plan_is_refused() {
    for (spec, expected) in [
        (
            "spec: {faults: [{at: {time: 1m}, kill: {cluster: c}}]}",
            "spec.faults[0].kill.cluster: the plan has no cluster `c`; valid names are a, b",
        ),
        ("spec: {clusters: [{name: zzz}]}", "spec.clusters[0].name"),
        (
            "spec: {clusters: [{name: to, workloads: {nobody: {replicas: 1}}}]}",
            "the plan has no workload `nobody`; valid names are webapp",
        ),
    ] {
        let scenario = Scenario::parse("x.yaml", &format!("{HEAD}{spec}\n")).expect("the scenario should parse");
        let error = World::new(&plan(), &scenario, 1, START).expect_err(spec).to_string();
        assert!(error.contains(expected), "{spec}: {error}");
    }
}
