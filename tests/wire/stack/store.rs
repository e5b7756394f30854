//! Runs in a namespace of a real API server, for machines without a shared disk.

use std::process::Command;

use serde_json::json;

use crate::child::run;
use crate::stack::fixture::StackFixture;
use crate::stack::watch;

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/kept";

/// Grants `cutover` the permissions that it needs to store its runs in the namespace.
fn grant(fixture: &StackFixture) {
    let verbs = ["get", "list", "create", "update", "delete"];
    let rules = json!([
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": verbs},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": verbs},
    ]);
    let api = "rbac.authorization.k8s.io";
    let binding = json!({
        "metadata": {"name": "store"},
        "roleRef": {"apiGroup": api, "kind": "Role", "name": "store"},
        "subjects": [{"apiGroup": api, "kind": "User", "name": "cutover"}],
    });
    fixture.stack.a.api.create(&format!("{RBAC}/roles"), &json!({"metadata": {"name": "store"}, "rules": rules}));
    fixture.stack.a.api.create(&format!("{RBAC}/rolebindings"), &binding);
}

/// Returns a command that runs the program on another machine, without the first machine's disk.
fn on_another_machine(fixture: &StackFixture, args: &[&str]) -> Command {
    let mut command = fixture.cutover(args);
    command.env("CUTOVER_STATE_DIR", fixture.folder.path().join("elsewhere")).env("USER", "bob");
    command
}

#[test]
#[ignore = "tier stack"]
fn stack_a_run_in_shared_state_is_read_and_steered_from_another_machine() {
    let fixture = StackFixture::new("kept");
    grant(&fixture);
    let plan = fixture.plan("{pause: {}}, {bind: {}}, {setWeight: 100}");
    let text = std::fs::read_to_string(&plan).expect("the plan should be readable");
    let text = text.replace("  strategy:", "  state: {kubernetes: {kubeContext: a, namespace: kept}}\n  strategy:");
    std::fs::write(&plan, &text).expect("the plan should be written");
    let other = fixture.folder.path().join("other.yaml");
    std::fs::write(&other, text.replace("metadata: {name: kept}", "metadata: {name: other}"))
        .expect("the plan should be written");
    let mut steered = false;
    let ended = watch::run(&fixture, &plan, |record| {
        if steered || record["event"] != "waiting" {
            return;
        }
        steered = true;
        let refused =
            run(on_another_machine(&fixture, &["run", other.to_str().expect("the path should be UTF-8"), "--yes"]))
                .assert_exit(6);
        assert!((refused.out + &refused.err).contains("alice"), "the refusal must name the owner");
        let status =
            run(on_another_machine(&fixture, &["status", "kept", "--state", "kubernetes:a/kept"])).assert_exit(0).out;
        assert!(status.contains("alice"), "{status}");
        run(on_another_machine(&fixture, &["promote", &plan])).assert_exit(0);
    });
    ended.assert_exit(0);
    assert!(steered);
    fixture.assert_share(100);
    let status = run(on_another_machine(&fixture, &["status", &plan])).assert_exit(0).out;
    assert!(status.contains("completed"), "{status}");
    let leases = fixture.stack.a.api.get("/apis/coordination.k8s.io/v1/namespaces/kept/leases");
    let held = |lease: &serde_json::Value| lease["spec"]["holderIdentity"].as_str().is_some_and(|h| !h.is_empty());
    assert!(
        leases["items"].as_array().is_some_and(|all| !all.is_empty() && !all.iter().any(held)),
        "all leases must be released: {leases}"
    );
    run(on_another_machine(&fixture, &["rollback", &plan, "--yes"])).assert_exit(0);
    fixture.assert_share(0);
}
