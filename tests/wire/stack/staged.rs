//! A complete cutover with its rollback, and an automatic rollback.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::child::run;
use crate::stack::endpoint::THROTTLED;
use crate::stack::fixture::StackFixture;
use crate::stack::watch;

#[test]
#[ignore = "tier stack"]
fn stack_a_complete_cutover_and_its_rollback() {
    let fixture = StackFixture::new("staged");
    let before = fixture.weights();
    assert!(fixture.targets("b").is_empty());
    let plan = fixture.plan("{bind: {}}, {setWeight: 10}, {pause: {}}, {setWeight: 100}, {pause: {}}");
    let mut seen_shares = Vec::new();
    let ended = watch::run(&fixture, &plan, |record| {
        if record["event"] != "stepStarted" || record["kind"] != "approval" {
            return;
        }
        // The controller of b, not cutover, registered these targets.
        assert_eq!(fixture.targets("b"), fixture.pods(&fixture.stack.b));
        let share = [10, 100][seen_shares.len()];
        fixture.assert_share(share);
        seen_shares.push(share);
        run(fixture.cutover(&["promote", &plan])).assert_exit(0);
    });
    ended.assert_exit(0);
    assert_eq!(seen_shares, [10, 100]);

    run(fixture.cutover(&["rollback", &plan, "--yes"])).assert_exit(0);
    fixture.assert_share(0);
    let has_third_party_group =
        |all: &[BTreeMap<String, u64>]| all.iter().map(|w| w.contains_key("c")).collect::<Vec<_>>();
    assert_eq!(has_third_party_group(&before), has_third_party_group(&fixture.weights()));
    assert_eq!(fixture.targets("a"), fixture.pods(&fixture.stack.a), "the old cluster's targets must stay registered");
    assert_eq!(
        fixture.targets("b"),
        fixture.pods(&fixture.stack.b),
        "the new cluster's targets must still be registered"
    );
}

#[test]
#[ignore = "tier stack"]
fn stack_unhealthy_targets_cause_a_rollback() {
    let fixture = StackFixture::new("sick");
    let plan = fixture.plan("{bind: {}}, {setWeight: 50}, {pause: {duration: 10m}}");
    let ended = watch::run(&fixture, &plan, |record| {
        if watch::begins(record, 3) {
            fixture.assert_share(50);
            // moto has no unhealthy targets, so that the endpoint reports them.
            fixture.stack.endpoint.health(&fixture.groups["b"], "unhealthy", "Target.FailedHealthChecks");
        }
    });
    ended.assert_exit(4);
    fixture.assert_share(0);
    assert_eq!(fixture.targets("a"), fixture.pods(&fixture.stack.a));
}

#[test]
#[ignore = "tier stack"]
fn stack_throttled_calls_are_retried_until_they_succeed() {
    let fixture = StackFixture::new("throttled");
    let plan = fixture.plan("{bind: {}}, {setWeight: 50}, {setWeight: 100}");
    let (refused, mut calls) = (Arc::new(Mutex::new(BTreeMap::<&str, u32>::new())), [0_u32; 2]);
    let counted = Arc::clone(&refused);
    // Refuse every third read and every second write of this run; moto itself throttles nothing.
    fixture.stack.endpoint.refuse(move |request| {
        let (kind, nth, every) = match &request.action {
            action if request.key == "throttled" && action.starts_with("Modify") => ("writes", 0, 2),
            action if request.key == "throttled" && action.starts_with("Describe") => ("reads", 1, 3),
            _ => return None,
        };
        calls[nth] += 1;
        (calls[nth] % every == 1).then(|| {
            *counted.lock().unwrap().entry(kind).or_default() += 1;
            THROTTLED
        })
    });
    let mut command = fixture.cutover(&["run", &plan, "--yes"]);
    command.env("AWS_ACCESS_KEY_ID", "throttled");
    run(command).assert_exit(0);
    fixture.assert_share(100);
    let refused = refused.lock().unwrap();
    assert!(refused["writes"] >= 3 && refused["reads"] >= 3, "{refused:?}");
}

#[test]
#[ignore = "tier stack"]
fn stack_targets_that_are_not_healthy_yet_get_no_traffic() {
    let fixture = StackFixture::new("slow");
    let (endpoint, group) = (&fixture.stack.endpoint, &fixture.groups["b"]);
    endpoint.health(group, "initial", "Elb.InitialHealthChecking");
    let plan = fixture.plan("{bind: {}}, {setWeight: 100}");
    let mut waited = false;
    let ended = watch::run(&fixture, &plan, |record| {
        if !waited
            && watch::waits_for(record, "healthy targets")
            && fixture.targets("b").len() == crate::stack::fixture::REPLICAS
        {
            fixture.assert_share(0);
            waited = true;
            endpoint.health(group, "healthy", "");
        }
    });
    ended.assert_exit(0);
    assert!(waited);
    fixture.assert_share(100);
}
