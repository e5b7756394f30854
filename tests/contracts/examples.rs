//! `examples/` without a stack: what needs no run to be seen.

use std::collections::BTreeSet;

use serde_json::Value;

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

#[test]
fn the_policy_has_the_actions_of_the_readme() {
    let policy: Value = serde_json::from_str(&read("examples/iam-policy.json")).expect("JSON");
    let statements = policy["Statement"].as_array().expect("statements");
    let actions = statements.iter().flat_map(|s| match &s["Action"] {
        Value::Array(all) => all.clone(),
        one => vec![one.clone()],
    });
    let actions: BTreeSet<_> = actions.filter_map(|a| a.as_str().map(str::to_owned)).collect();
    let text = read("README.md");
    let quoted = text.split('`').skip(1).step_by(2).filter(|q| q.starts_with("elasticloadbalancing:") || q.starts_with("eks:D"));
    assert_eq!(actions, quoted.map(str::to_owned).collect());
    for statement in statements.iter().filter(|s| s["Resource"] != "*") {
        assert!(statement["Resource"].to_string().contains(":123456789012:"), "{statement}");
    }
}
