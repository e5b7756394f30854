//! Pods with the controller's readiness gate: they become ready only when their targets are healthy, which requires an
//! attached group.

use serde_json::{Value, json};

use crate::stack::fixture::{REPLICAS, StackFixture, until};
use crate::stack::watch;

#[test]
#[ignore = "tier stack"]
fn stack_gated_pods_become_ready_because_the_group_is_attached_first() {
    let fixture = StackFixture::new("gated");
    let b = &fixture.stack.b;
    let label = json!({"metadata": {"labels": {"elbv2.k8s.aws/pod-readiness-gate-inject": "enabled"}}});
    b.api.merge("/api/v1/namespaces/gated", &label);
    fixture.bind(b, "b");
    let pods = "/api/v1/namespaces/gated/pods";
    b.api.delete(pods);
    let gated =
        |pod: &Value| pod["spec"]["readinessGates"][0]["conditionType"] == "target-health.elbv2.k8s.aws/gated-b";
    let all = || b.api.get(pods)["items"].as_array().cloned().unwrap_or_default();
    until("gated pods have replaced the other pods", || all().len() == REPLICAS && all().iter().all(gated));
    until("the controller has registered the gated pods", || fixture.targets("b").len() == REPLICAS);
    assert!(fixture.pods(b).is_empty(), "gated pods must not be ready before their group is attached");

    let plan = fixture.plan("{bind: {}}, {setWeight: 100}");
    watch::run(&fixture, &plan, |_| {}).assert_exit(0);
    fixture.assert_share(100);
    assert_eq!(fixture.targets("b"), fixture.pods(b), "all registered pods must be ready");
}
