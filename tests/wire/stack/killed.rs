//! `kill -9` and SIGSTOP of a cluster's processes during a run. The run waits for the process that it needs, and
//! continues when the process is back.

use serde_json::json;

use crate::stack::cluster::ClusterProcess;
use crate::stack::fixture::{REPLICAS, StackFixture, until};
use crate::stack::watch;

/// Kills a process of the new cluster when `bind` starts, and restarts it after the run has reported that it waits.
fn run_with_process_killed_at_bind(name: &str, part: ClusterProcess) {
    let fixture = StackFixture::with_own_stack(name);
    let plan = fixture.plan("{bind: {}}, {setWeight: 50}, {pause: {duration: 1s}}, {setWeight: 100}");
    let mut waited = false;
    let ended = watch::run(&fixture, &plan, |record| {
        if watch::begins(record, 1) {
            fixture.stack.b.kill(part);
        }
        if !waited && watch::waits_for(record, "cluster b") {
            waited = true;
            fixture.assert_share(0);
            fixture.stack.b.revive(part);
        }
    });
    ended.assert_exit(0);
    assert!(waited, "the run must report that it waits");
    fixture.assert_share(100);
    assert_eq!(fixture.targets("b"), fixture.pods(&fixture.stack.b));
}

#[test]
#[ignore = "tier stack"]
fn stack_a_run_continues_after_the_api_server_is_killed_at_bind() {
    run_with_process_killed_at_bind("api-killed", ClusterProcess::ApiServer);
}

#[test]
#[ignore = "tier stack"]
fn stack_a_run_continues_after_etcd_is_killed_at_bind() {
    run_with_process_killed_at_bind("etcd-killed", ClusterProcess::Etcd);
}

#[test]
#[ignore = "tier stack"]
fn stack_a_run_continues_after_the_controller_is_killed_at_bind() {
    run_with_process_killed_at_bind("lbc-killed", ClusterProcess::Controller);
}

#[test]
#[ignore = "tier stack"]
fn stack_a_run_continues_after_the_api_server_is_frozen_at_bind() {
    let fixture = StackFixture::with_own_stack("frozen");
    let plan = fixture.plan("{bind: {}}, {setWeight: 100}");
    let mut waited = false;
    let ended = watch::run(&fixture, &plan, |record| {
        if watch::begins(record, 1) {
            fixture.stack.b.freeze(ClusterProcess::ApiServer);
        }
        if !waited && watch::waits_for(record, "cluster b") {
            waited = true;
            fixture.assert_share(0);
            fixture.stack.b.thaw(ClusterProcess::ApiServer);
        }
    });
    ended.assert_exit(0);
    assert!(waited, "the run must report that it waits");
    fixture.assert_share(100);
}

#[test]
#[ignore = "tier stack"]
fn stack_a_run_waits_until_a_killed_controller_registers_the_targets() {
    let fixture = StackFixture::with_own_stack("unregistered");
    let b = &fixture.stack.b;
    let deployment = format!("/apis/apps/v1/namespaces/{}/deployments/web", fixture.name);
    b.api.merge(&deployment, &json!({"spec": {"replicas": 0}}));
    until("the pods of b are gone", || fixture.pods(b).is_empty());
    let plan = fixture.plan("{bind: {}}, {setWeight: 100}");
    let mut waited = false;
    let ended = watch::run(&fixture, &plan, |record| {
        if !waited && watch::waits_for(record, "healthy targets") {
            waited = true;
            b.kill(ClusterProcess::Controller);
            b.api.merge(&deployment, &json!({"spec": {"replicas": REPLICAS}}));
            until("the pods of b are ready", || fixture.pods(b).len() == REPLICAS);
            assert!(fixture.targets("b").is_empty());
            b.revive(ClusterProcess::Controller);
        }
    });
    ended.assert_exit(0);
    assert!(waited);
    fixture.assert_share(100);
    assert_eq!(fixture.targets("b"), fixture.pods(b));
}

#[test]
#[ignore = "tier stack"]
fn stack_traffic_moves_and_is_rolled_back_without_any_api_server() {
    let fixture = StackFixture::with_own_stack("headless");
    let plan =
        fixture.plan("{bind: {}}, {setWeight: 10}, {pause: {duration: 1s}}, {setWeight: 50}, {pause: {duration: 10m}}");
    let clusters = [&fixture.stack.a, &fixture.stack.b];
    let ended = watch::run(&fixture, &plan, |record| {
        if watch::begins(record, 3) {
            for cluster in clusters {
                cluster.kill(ClusterProcess::ApiServer);
            }
        }
        if watch::begins(record, 5) {
            fixture.assert_share(50);
            fixture.stack.endpoint.health(&fixture.groups["b"], "unhealthy", "Target.FailedHealthChecks");
        }
    });
    for cluster in clusters {
        cluster.revive(ClusterProcess::ApiServer);
    }
    ended.assert_exit(4);
    fixture.assert_share(0);
}
