//! The files in `examples/` with permissions are what `cutover permissions` prints. The tests of the tier `stack` hold
//! these files to what a run uses on real API servers and behind an endpoint that refuses everything else, and so they
//! hold the generated permissions, too.

use std::collections::{BTreeMap, BTreeSet};

use cutover::cli::render::permissions::{cluster_objects, policy};
use cutover::domain::view::permissions::{Permissions, Purpose, of};
use serde::Deserialize;
use serde_json::Value;

fn permissions(file: &str, purposes: &[Purpose]) -> Permissions {
    let bytes = std::fs::read(file).unwrap_or_else(|e| panic!("{file}: {e}"));
    let plan = cutover::plan::lint(file, &bytes).unwrap_or_else(|e| panic!("{}", cutover::plan::render(&e, false)));
    of(&plan, purposes, &BTreeMap::new())
}

/// Returns the generated permissions of the reference plan.
fn reference(purposes: &[Purpose]) -> Permissions {
    permissions("plans/alpha-webapp.yaml", purposes)
}

fn file(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// A permission of a role: namespace, API group, resource, name of the only object, verb.
type Grant = (Option<String>, String, String, Option<String>, String);

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

fn grants<'a>(objects: impl IntoIterator<Item = &'a Value>) -> BTreeSet<Grant> {
    let mut grants = BTreeSet::new();
    for role in objects.into_iter().filter(|object| object["rules"].is_array()) {
        let namespace = role["metadata"]["namespace"].as_str().map(str::to_owned);
        for rule in role["rules"].as_array().expect("the rules should be a list") {
            let names = texts(&rule["resourceNames"]);
            let names: Vec<_> = if names.is_empty() { vec![None] } else { names.into_iter().map(Some).collect() };
            for group in texts(&rule["apiGroups"]) {
                for resource in texts(&rule["resources"]) {
                    for verb in texts(&rule["verbs"]) {
                        let of = |name: &Option<String>| {
                            (namespace.clone(), group.clone(), resource.clone(), name.clone(), verb.clone())
                        };
                        grants.extend(names.iter().map(of));
                    }
                }
            }
        }
    }
    grants
}

/// Returns the permissions in a file with roles.
fn in_file(path: &str) -> BTreeSet<Grant> {
    let text = file(path);
    let documents: Vec<Value> = serde_yaml::Deserializer::from_str(&text)
        .map(|document| Value::deserialize(document).unwrap_or_else(|e| panic!("{path}: {e}")))
        .collect();
    grants(&documents)
}

/// Returns the generated permissions in a cluster, as the objects have them.
fn generated(permissions: &Permissions, cluster: &str) -> BTreeSet<Grant> {
    let found = permissions.clusters.iter().find(|one| one.name == cluster).expect("the cluster should have a part");
    grants(&cluster_objects(found, "cutover-operators"))
}

/// Returns permissions without their namespaces, for a file that is not for one plan.
fn everywhere(grants: BTreeSet<Grant>) -> BTreeSet<Grant> {
    grants.into_iter().map(|(_, group, resource, name, verb)| (None, group, resource, name, verb)).collect()
}

#[test]
fn the_iam_policies_of_the_examples_are_generated() {
    let json = |path: &str| serde_json::from_str::<Value>(&file(path)).expect("the policy should be JSON");
    let run = reference(&[Purpose::Run, Purpose::Rollback]);
    assert_eq!(policy(&run.aws), json("examples/iam-policy.json"));
    assert_eq!(policy(&reference(&[Purpose::Compare]).aws), json("examples/compare-iam-policy.json"));
    let compare: BTreeSet<_> =
        reference(&[Purpose::Compare]).aws.iter().flat_map(|statement| statement.actions.clone()).collect();
    assert_eq!(compare, cutover::engine::compare_platform::ACTIONS.into());
}

#[test]
fn the_roles_of_the_examples_are_generated() {
    let run = reference(&[Purpose::Run, Purpose::Rollback]);
    for cluster in ["a", "b"] {
        assert_eq!(generated(&run, cluster), in_file("examples/role.yaml"), "{cluster}");
    }
    let stored = permissions("plans/office-hours.yaml", &[Purpose::Rollback]);
    assert_eq!(generated(&stored, "state"), in_file("examples/shared-state-role.yaml"));
    // These files are for any plan, so that they have no namespaces.
    let compare = reference(&[Purpose::Compare]);
    assert_eq!(everywhere(generated(&compare, "a")), in_file("examples/compare-role.yaml"));
    let dry_run: BTreeSet<_> = everywhere(generated(&reference(&[Purpose::CompareDryRun]), "b"))
        .into_iter()
        .filter(|g| g.4 == "create")
        .collect();
    assert_eq!(dry_run, in_file("examples/compare-dry-run-role.yaml"));
}

/// A bound object has the name of its role, its kind and its group.
#[test]
fn every_role_is_bound_to_the_group() {
    let run = reference(&[Purpose::Run]);
    let objects = cluster_objects(&run.clusters[0], "on-call");
    for pair in objects.chunks(2) {
        let [role, binding] = pair else { panic!("{pair:?}") };
        assert_eq!(binding["roleRef"]["name"], role["metadata"]["name"]);
        assert_eq!(binding["roleRef"]["kind"], role["kind"]);
        assert_eq!(binding["metadata"]["namespace"], role["metadata"]["namespace"]);
        assert_eq!(binding["subjects"][0]["name"], "on-call");
    }
}
