//! Changes of a cluster by people before or during a run, with the real controller's reaction.

use crate::child::run;
use crate::stack::fixture::{StackFixture, until};
use crate::stack::watch;

#[test]
#[ignore = "tier stack"]
fn stack_a_service_deleted_during_a_run_removes_its_targets_and_causes_a_rollback() {
    let fixture = StackFixture::new("deleted");
    let b = &fixture.stack.b;
    let plan = fixture.plan("{bind: {}}, {setWeight: 50}, {pause: {duration: 10m}}");
    let ended = watch::run(&fixture, &plan, |record| {
        if watch::begins(record, 3) {
            b.api.delete("/api/v1/namespaces/deleted/services/web");
        }
    });
    ended.assert_exit(4);
    fixture.assert_share(0);
    assert!(fixture.targets("b").is_empty(), "the controller must deregister all targets");
    let events = b.api.get("/api/v1/namespaces/deleted/events");
    assert!(
        events["items"].as_array().is_some_and(|all| all.iter().any(|e| e["reason"] == "BackendNotFound")),
        "{events}"
    );
    assert_eq!(fixture.targets("a"), fixture.pods(&fixture.stack.a));
}

#[test]
#[ignore = "tier stack"]
fn stack_a_group_bound_from_two_clusters_is_refused() {
    let fixture = StackFixture::new("shared");
    let [a, b] = [fixture.pods(&fixture.stack.a), fixture.pods(&fixture.stack.b)];
    assert_eq!(fixture.targets("a"), a);
    // The webhooks of cluster b know only the bindings of cluster b.
    fixture.bind(&fixture.stack.b, "a");
    until("the controller of b replaces the pods of a by its own", || {
        fixture.targets("a") == fixture.pods(&fixture.stack.b)
    });
    assert!(!b.iter().any(|ip| a.contains(ip)));
    let plan = fixture.plan("{bind: {}}, {setWeight: 100}");
    let ended = run(fixture.cutover(&["run", &plan, "--yes"])).assert_exit(3);
    let output = ended.out + &ended.err;
    assert!(output.contains("CUT071"), "{output}");
    fixture.assert_share(0);
}

#[test]
#[ignore = "tier stack"]
fn stack_pods_of_the_old_cluster_may_be_replaced_during_a_run() {
    let fixture = StackFixture::new("rolling");
    let a = &fixture.stack.a;
    let before = fixture.pods(a);
    let plan = fixture.plan("{bind: {}}, {setWeight: 50}, {pause: {duration: 20s}}, {setWeight: 100}");
    let ended = watch::run(&fixture, &plan, |record| {
        if watch::begins(record, 3) {
            let restart =
                serde_json::json!({"spec": {"template": {"metadata": {"annotations": {"restarted": "now"}}}}});
            a.api.merge("/apis/apps/v1/namespaces/rolling/deployments/web", &restart);
            until("all pods of a are new", || {
                let now = fixture.pods(a);
                now.len() == before.len() && !now.iter().any(|ip| before.contains(ip))
            });
        }
    });
    ended.assert_exit(0);
    fixture.assert_share(100);
    until("the controller of a registers the new pods", || fixture.targets("a") == fixture.pods(a));
}
