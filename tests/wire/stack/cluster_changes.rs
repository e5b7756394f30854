//! Changes that people make to a cluster before or during a run, with the real controller's reaction.

use crate::child::run;
use crate::stack::fixture::{StackFixture, until};
use crate::stack::watch;

#[test]
#[ignore = "tier stack"]
fn stack_a_service_deleted_during_a_run_removes_its_targets_and_causes_a_rollback() {
    let world = StackFixture::new("deleted");
    let b = &world.stack.b;
    let plan = world.plan("{bind: {}}, {setWeight: 50}, {pause: {duration: 10m}}");
    let ended = watch::run(&world, &plan, |record| {
        if watch::begins(record, 3) {
            b.api.delete("/api/v1/namespaces/deleted/services/web");
        }
    });
    ended.assert_exit(4);
    world.share_is(0);
    assert!(world.targets("b").is_empty(), "the controller deregistered all targets");
    let events = b.api.get("/api/v1/namespaces/deleted/events");
    assert!(
        events["items"].as_array().is_some_and(|all| all.iter().any(|e| e["reason"] == "BackendNotFound")),
        "{events}"
    );
    assert_eq!(world.targets("a"), world.pods(&world.stack.a));
}

#[test]
#[ignore = "tier stack"]
fn stack_a_group_bound_from_two_clusters_is_refused() {
    let world = StackFixture::new("shared");
    let [a, b] = [world.pods(&world.stack.a), world.pods(&world.stack.b)];
    assert_eq!(world.targets("a"), a);
    // The webhooks of b know only the bindings of b.
    world.bind(&world.stack.b, "a");
    until("the controller of b puts its own pods in the place of those of a", || {
        world.targets("a") == world.pods(&world.stack.b)
    });
    assert!(!b.iter().any(|ip| a.contains(ip)));
    let plan = world.plan("{bind: {}}, {setWeight: 100}");
    let ended = run(world.cutover(&["run", &plan, "--yes"])).assert_exit(3);
    let said = ended.out + &ended.err;
    assert!(said.contains("CUT071"), "{said}");
    world.share_is(0);
}

#[test]
#[ignore = "tier stack"]
fn stack_pods_of_the_old_cluster_may_come_and_go_during_a_run() {
    let world = StackFixture::new("rolling");
    let a = &world.stack.a;
    let before = world.pods(a);
    let plan = world.plan("{bind: {}}, {setWeight: 50}, {pause: {duration: 20s}}, {setWeight: 100}");
    let ended = watch::run(&world, &plan, |record| {
        if watch::begins(record, 3) {
            let restart =
                serde_json::json!({"spec": {"template": {"metadata": {"annotations": {"restarted": "now"}}}}});
            a.api.merge("/apis/apps/v1/namespaces/rolling/deployments/web", &restart);
            until("all pods of a are new", || {
                let now = world.pods(a);
                now.len() == before.len() && !now.iter().any(|ip| before.contains(ip))
            });
        }
    });
    ended.assert_exit(0);
    world.share_is(100);
    until("the controller of a follows", || world.targets("a") == world.pods(a));
}
