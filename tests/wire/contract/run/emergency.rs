//! A run that stops half-way and is rolled back: with its run, with a damaged journal, and without a journal.

use crate::child::{ProcessResult, run};
use crate::contract::run::compare::{Reading, Weights, assert_only_managed_groups_differ, assert_shares, weights};
use crate::contract::run::fixture::MotoFixture;
use crate::proxy::{Proxy, QueryRequest, Reply};

fn run_to_exit(fixture: &MotoFixture, args: &[&str], code: i32) -> ProcessResult {
    run(fixture.cutover(args)).assert_exit(code)
}

#[test]
#[ignore = "tier contract"]
fn moto_a_run_stops_at_a_step_and_a_new_run_starts_there() {
    let fixture = MotoFixture::new("halfway");
    let before = fixture.show();
    let was = weights(&fixture, &before);
    let plan = fixture.plan("{bind: {}}, {setWeight: 50, name: half}, {setWeight: 100}");
    let plan = plan.as_str();
    let stopped = run_to_exit(&fixture, &["run", plan, "--yes", "--until", "half"], 8);
    assert!(stopped.err.contains("cutover resume") && stopped.err.contains("cutover rollback"), "{}", stopped.err);
    assert_shares(&was, &weights(&fixture, &fixture.show()), 50);

    let refused = run_to_exit(&fixture, &["run", plan, "--yes"], 3);
    assert!(refused.err.contains("unfinished") && refused.err.contains("cutover resume halfway-"), "{}", refused.err);
    let status = run_to_exit(&fixture, &["status", plan], 0).out;
    assert!(status.contains("a 50 %") && status.contains("UNGUARDED") && !status.contains("settling"), "{status}");

    damage(&fixture);
    let tags = fixture.boto(&serde_json::json!([["elbv2", "describe_tags", {"ResourceArns": [fixture.https]}]]));
    assert!(tags[0].to_string().contains("cutover.dev/weights"), "{tags:?}");
    untag(&fixture, "cutover.dev/weights");
    for args in [&["rollback", plan, "--yes"][..], &["rollback", "--yes"], &["status", plan]] {
        let error = run_to_exit(&fixture, args, 5).err;
        assert!(
            error.contains("cutover rollback --load-balancer halfway-web --back-to halfway-a --away-from halfway-b"),
            "{error}"
        );
    }
    assert_shares(&was, &weights(&fixture, &fixture.show()), 50);

    // A second machine, which has only the plan.
    let elsewhere = fixture.folder.path().join("elsewhere");
    let there = |args: &[&str], code: i32| {
        let mut command = fixture.cutover(args);
        command.env("CUTOVER_STATE_DIR", &elsewhere);
        run(command).assert_exit(code)
    };
    let marked = there(&["run", plan, "--yes", "--from-step", "3"], 6).err;
    assert!(marked.contains("alice@") && marked.contains("halfway-"), "{marked}");
    let emergency = [
        "rollback",
        "--load-balancer",
        "halfway-web",
        "--back-to",
        "*-a",
        "--away-from",
        "*-b",
        "--yes",
        "--take-over",
    ];
    let back = there(&emergency, 0);
    assert!(back.out.contains("21 of 21 routes restored"), "{}", back.out);
    let now = fixture.show();
    assert_only_managed_groups_differ(&fixture, &before, &now, "the end");
    assert_shares(&was, &weights(&fixture, &now), 0);

    let live = there(&["run", plan, "--yes", "--from-step", "3"], 3).err;
    assert!(live.contains("CUT049") && live.contains("50 %"), "{live}");
}

/// Flips a bit in the third record of the only journal.
fn damage(fixture: &MotoFixture) {
    let run = std::fs::read_dir(fixture.state().join("runs"))
        .expect("the folder of the runs should be readable")
        .next()
        .expect("a run should exist")
        .expect("the folder should be readable");
    let path = run.path().join("journal.jsonl");
    let mut bytes = std::fs::read(&path).expect("the journal should be readable");
    let third = bytes
        .iter()
        .enumerate()
        .filter(|(_, b)| **b == b'\n')
        .nth(1)
        .expect("the journal should have at least two records")
        .0;
    bytes[third + 20] ^= 1;
    std::fs::write(&path, bytes).expect("the write should succeed");
}

#[test]
#[ignore = "tier contract"]
fn moto_a_rollback_works_without_any_journal() {
    let fixture = MotoFixture::new("nojournal");
    let before = fixture.show();
    let was = weights(&fixture, &before);
    let plan = fixture.plan("{bind: {}}, {setWeight: 50}, {setWeight: 100}");
    run_to_exit(&fixture, &["run", &plan, "--yes", "--until", "2"], 8);
    // Without the state of the old run, a new run starts at step 3 and completes.
    std::fs::remove_dir_all(fixture.state()).expect("the state folder should be removed");
    let emergency = ["rollback", "--load-balancer", "nojournal-web", "--back-to", "*-a", "--away-from", "*-b", "--yes"];
    run_to_exit(&fixture, &emergency, 6);
    unmark(&fixture);
    let status = run_to_exit(&fixture, &["status", "--load-balancer", "nojournal-web"], 0).out;
    assert!(status.contains("nojournal-a 40 %, nojournal-b 40 %, nojournal-c 20 %"), "{status}");
    let whole = run_to_exit(&fixture, &["run", &plan, "--yes", "--from-step", "3", "--output", "json"], 0).records();
    assert!(whole.iter().all(|r| r["event"] != "stepStarted" || r["step"] == 3), "{whole:?}");
    assert_shares(&was, &weights(&fixture, &fixture.show()), 100);

    std::fs::remove_dir_all(fixture.state()).expect("the state folder should be removed");
    run_to_exit(&fixture, &emergency, 0);
    let now = fixture.show();
    assert_only_managed_groups_differ(&fixture, &before, &now, "the end");
    assert_shares(&was, &weights(&fixture, &now), 0);
    let left =
        std::fs::read_dir(fixture.state().join("runs")).expect("the folder of the runs should be readable").count();
    assert_eq!(left, 1, "only the journal of the rollback may exist");
}

fn unmark(fixture: &MotoFixture) {
    untag(fixture, "cutover.dev/run");
}

/// Removes a tag from the load balancer, its listeners and rules.
fn untag(fixture: &MotoFixture, key: &str) {
    let routes = fixture.show().into_iter().filter(|(_, r)| r["IsDefault"] != true).map(|(arn, _)| arn);
    let arns: Vec<_> = routes.chain([fixture.load_balancer.clone()]).collect();
    let calls: Vec<_> = arns
        .chunks(20)
        .map(|some| serde_json::json!(["elbv2", "remove_tags", {"ResourceArns": some, "TagKeys": [key]}]))
        .collect();
    fixture.boto(&serde_json::json!(calls));
}

/// Asserts that no tag of a run is left.
fn assert_untagged(fixture: &MotoFixture) {
    assert!(
        !fixture.show().values().any(|r| r["Tags"].to_string().contains("cutover.dev")),
        "no tag of a run may be left"
    );
}

/// Returns a run at 50 % with weight tags and a marker, and the original weights and reading.
fn halfway(prefix: &str) -> (MotoFixture, Weights, Reading) {
    let fixture = MotoFixture::new(prefix);
    let before = fixture.show();
    let was = weights(&fixture, &before);
    let plan = fixture.plan("{bind: {}}, {setWeight: 50}, {setWeight: 100}");
    run_to_exit(&fixture, &["run", &plan, "--yes", "--until", "2"], 8);
    assert_shares(&was, &weights(&fixture, &fixture.show()), 50);
    (fixture, was, before)
}

/// Asserts that every route has its original actions, and that no tag is left.
fn assert_restored(fixture: &MotoFixture, was: &Weights, before: &Reading) {
    let now = fixture.show();
    assert_only_managed_groups_differ(fixture, before, &now, "the end");
    assert_shares(was, &weights(fixture, &now), 0);
    assert_untagged(fixture);
}

#[test]
#[ignore = "tier contract"]
fn moto_a_rollback_from_tags_with_only_the_load_balancers_name() {
    let (fixture, was, before) = halfway("tagged");
    std::fs::remove_dir_all(fixture.state()).expect("the state folder should be removed");
    let refused = run_to_exit(&fixture, &["rollback", "--load-balancer", "tagged-web", "--yes"], 6);
    assert!(refused.err.contains("alice@") && refused.err.contains("--take-over"), "{}", refused.err);
    let result = run_to_exit(&fixture, &["rollback", "--load-balancer", "tagged-web", "--yes", "--take-over"], 0);
    assert!(result.err.contains("way back: tagged-a has 4 healthy targets"), "{}", result.err);
    assert!(result.out.contains("21 of 21 routes restored"), "{}", result.out);
    assert_restored(&fixture, &was, &before);
}

#[test]
#[ignore = "tier contract"]
fn moto_a_rollback_from_tags_with_a_corrupt_journal() {
    let (fixture, was, before) = halfway("corrupt");
    damage(&fixture);
    let result = run_to_exit(&fixture, &["rollback", "--yes"], 0);
    assert!(result.err.contains("reading the load balancer's tags instead"), "{}", result.err);
    assert_restored(&fixture, &was, &before);
}

/// A rollback on another machine, with the plan.
#[test]
#[ignore = "tier contract"]
fn moto_a_rollback_from_a_plan_on_another_machine() {
    let (fixture, was, before) = halfway("elsewhere");
    std::fs::remove_dir_all(fixture.state()).expect("the state folder should be removed");
    let plan = fixture.folder.path().join("123456789012.yaml");
    run_to_exit(&fixture, &["rollback", plan.to_str().expect("the path should be UTF-8"), "--yes", "--take-over"], 0);
    assert_restored(&fixture, &was, &before);
}

#[test]
#[ignore = "tier contract"]
fn moto_a_rollback_by_the_marker_with_only_credentials() {
    let (fixture, was, before) = halfway("marked-run");
    std::fs::remove_dir_all(fixture.state()).expect("the state folder should be removed");
    run_to_exit(&fixture, &["rollback", "marked-run", "--yes", "--take-over"], 0);
    assert_restored(&fixture, &was, &before);
}

/// A role that may only describe and modify listeners and rules is enough: all names come from the ARNs in the actions,
/// which ModifyRule and ModifyListener alone have attached.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "tier contract"]
async fn moto_an_emergency_needs_only_listeners_and_rules() {
    const NEEDED: [&str; 5] =
        ["DescribeLoadBalancers", "DescribeListeners", "DescribeRules", "ModifyListener", "ModifyRule"];
    let (fixture, was, before) = halfway("bare");
    std::fs::remove_dir_all(fixture.state()).expect("the state folder should be removed");
    let action = |request: &QueryRequest| request.get("Action").cloned().unwrap_or_default();
    let proxy = Proxy::start(&fixture.url, move |request| {
        let denied = "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>not you</Message></Error></ErrorResponse>";
        if NEEDED.contains(&action(request).as_str()) { Reply::Pass } else { Reply::Answer(403, denied) }
    })
    .await;
    let emergency =
        ["rollback", "--load-balancer", "bare-web", "--back-to", "bare-a", "--away-from", "bare-b", "--yes"];
    let result = run(fixture.cutover_at(&proxy.url, &emergency)).assert_exit(0);
    let now = fixture.show();
    assert_only_managed_groups_differ(&fixture, &before, &now, "the end");
    assert_shares(&was, &weights(&fixture, &now), 0);
    let requests: Vec<_> = proxy.take_requests().iter().map(action).collect();
    let first = requests.iter().position(|a| a.starts_with("Modify")).expect("a write should exist");
    let reads = |name: &str| requests[..first].iter().filter(|a| *a == name).count();
    let rounds =
        ["DescribeLoadBalancers", "DescribeListeners", "DescribeTargetGroups", "DescribeTargetHealth"].map(reads);
    assert_eq!(
        rounds,
        [1, 1, 1, 0],
        "the rollback must read in three rounds (the load balancer; its listeners, tags and groups; the rules): {requests:?}"
    );
    for skipped in [
        "the target groups cannot be listed",
        "the tags of the load balancer cannot be read",
        "the health of bare-a is unknown",
    ] {
        assert_eq!(result.err.matches(skipped).count(), 1, "{skipped}: {}", result.err);
    }
    let last = result.err.lines().last().unwrap_or_default();
    assert!(last.contains("cutover.dev/weights") && last.contains("aws elbv2 remove-tags"), "{}", result.err);
    assert!(result.out.contains("21 of 21 routes restored"), "{}", result.out);
}
