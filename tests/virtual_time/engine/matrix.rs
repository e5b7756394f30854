//! A plan with several steps in every scenario under `examples/scenarios/`, and every plan under `plans/`: checks how
//! each run ends, in the lab's model, and for some runs the output that a person reads.

use cutover::app::exit::Exit;
use cutover::cli::render::report::{ReportInput, html, markdown};
use cutover::cli::render::style::Style;
use cutover::domain::run::journal::to_json;
use cutover::domain::view::history::History;
use cutover::lab::rehearsal::Options;
use cutover::plan::model::Plan;

use super::route_actions::RouteActions;
use super::small;
use super::test_run::{TestRun, ending_name, example, exit, plan, scenario};

/// Runs a plan in an example scenario; asserts how the run ends.
async fn run_to(plan: Plan, name: &str, ending: &str, code: Exit) -> TestRun {
    let mut test_run = TestRun::begin(plan, &example(name)).await;
    let end = test_run.run().await;
    assert_eq!((ending_name(&end), exit(&end)), (ending, code), "{name}: {end:?}\n{}", test_run.output());
    test_run
}

fn staged_plan() -> Plan {
    let steps = "[{bind: {}}, {setWeight: 5}, {pause: {duration: 6m}}, {setWeight: 20}, {pause: {duration: 7m}}, {setWeight: 50, name: half}, \
                 {pause: {duration: 4m}}, {setWeight: 100}, {pause: {duration: 3m}}]";
    small::many_routes("", steps)
}

macro_rules! assert_output {
    ($test_run:expr) => {
        insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!($test_run.output()) })
    };
}

#[tokio::test(start_paused = true)]
async fn healthy() {
    let test_run = run_to(staged_plan(), "healthy", "completed", Exit::Done).await;
    test_run.assert_shares(100, &[]);
    assert!(
        test_run.snapshot().tags.values().all(|tags| !tags.contains_key("cutover.dev/run")),
        "the marker must be removed"
    );
    assert_output!(test_run);
}

#[tokio::test(start_paused = true)]
async fn green_dies_at_50() {
    let test_run = run_to(staged_plan(), "green-dies-at-50", "rolled back", Exit::RolledBack).await;
    test_run.assert_original(&[]);
    test_run.assert_attached();
    assert_output!(test_run);
}

#[tokio::test(start_paused = true)]
async fn hpa_too_low() {
    let steps = "[{bind: {}}, {setWeight: 20}, {pause: {duration: 20m}}, {setWeight: 50}, {setWeight: 100}]";
    let test_run = run_to(small::many_routes("", steps), "hpa-too-low", "completed", Exit::Done).await;
    test_run.assert_shares(100, &[]);
    assert_output!(test_run);
}

#[tokio::test(start_paused = true)]
async fn foreign_write() {
    let test_run = run_to(staged_plan(), "foreign-write", "drift", Exit::Drift).await;
    let foreign = test_run.drifted_routes();
    assert_eq!(foreign.len(), 1);
    test_run.assert_shares(5, &[&foreign[0]]);
    let live = RouteActions::of(&test_run.snapshot().routes[&foreign[0]]);
    let route = &test_run
        .started()
        .routes
        .iter()
        .find(|r| r.id.id() == foreign[0])
        .expect("the changed route should belong to the run")
        .groups;
    assert_eq!((live.weights[&route["a"]], live.weights[&route["b"]]), (100, 0), "the foreign write must stay");
    assert_output!(test_run);
}

/// With `stickiness: break`, the default, the new groups are removed from every action, so that no cookie leads to
/// them.
#[tokio::test(start_paused = true)]
async fn sticky_clients() {
    let test_run = run_to(staged_plan(), "sticky-clients", "rolled back", Exit::RolledBack).await;
    test_run.assert_original(&[]);
    let world = test_run.snapshot();
    for route in &test_run.started().routes {
        assert!(
            !RouteActions::of(&world.routes[route.id.id()]).weights.contains_key(&route.groups["b"]),
            "{}",
            route.label
        );
    }
    let said = "the rollback broke the stickiness of ";
    assert!(test_run.output().contains(said), "{}", test_run.output());
    let records = test_run.test_store.records().clone();
    let json: String = records.iter().map(|record| to_json(record).to_string()).collect();
    assert!(json.contains(said), "{json}");
    let history = History::of(&test_run.plan, &records).expect("a valid journal").expect("a history");
    let report = ReportInput::new(&test_run.plan, &records, &history, &Style::plain());
    assert!(html(&report).contains(said) && markdown(&report).contains(said), "{}", markdown(&report));
    assert_output!(test_run);
}

#[tokio::test(start_paused = true)]
async fn kept_sticky_clients_end_with_exit_code_stuck() {
    let test_run = run_to(plan("plans/gitops.yaml"), "sticky-clients", "rolled back", Exit::Stuck).await;
    test_run.assert_original(&[]);
    test_run.assert_attached();
    assert!(
        test_run.output().contains("the weights are restored, but clients with a cookie stay on v133 for up to 10m"),
        "{}",
        test_run.output()
    );
}

#[tokio::test(start_paused = true)]
async fn crash() {
    let test_run = run_to(staged_plan(), "crash", "completed", Exit::Done).await;
    test_run.assert_shares(100, &[]);
    assert_output!(test_run);
}

/// Asserts that two runs with one seed give the same journal, byte for byte.
#[tokio::test(start_paused = true)]
async fn one_seed_gives_one_journal() {
    let mut texts = Vec::new();
    for _ in 0..2 {
        let test_run = run_to(staged_plan(), "crash", "completed", Exit::Done).await;
        let text: String = test_run.published.iter().map(|r| to_json(r).to_string() + "\n").collect();
        texts.push(text);
    }
    assert!(texts[0].contains("\"measured\"") && texts[0] == texts[1]);
}

#[tokio::test(start_paused = true)]
async fn harmless_changes_do_not_stop_a_run() {
    for name in ["blue-shrinks-at-100", "deploy-of-green-during-bake", "own-rules", "partitioned-cluster"] {
        run_to(staged_plan(), name, "completed", Exit::Done).await.assert_shares(100, &[]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_bad_api_delays_a_run_but_does_not_break_it() {
    for name in ["late-write", "throttled-api", "expired-credentials"] {
        run_to(staged_plan(), name, "completed", Exit::Done).await.assert_shares(100, &[]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_cluster_that_is_never_healthy_gets_no_traffic() {
    let test_run = run_to(staged_plan(), "green-never-healthy", "waiting", Exit::Waiting).await;
    test_run.assert_original(&[]);
    test_run.assert_attached();
}

#[tokio::test(start_paused = true)]
async fn a_deleted_rule_does_not_block_the_other_routes() {
    let test_run = run_to(staged_plan(), "rule-deleted", "drift", Exit::Drift).await;
    let gone = test_run.drifted_routes();
    assert!(gone.len() == 1 && !test_run.snapshot().routes.contains_key(&gone[0]));
    test_run.assert_shares(5, &[&gone[0]]);
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_is_created_again_freezes_the_run_and_names_the_command() {
    let test_run = run_to(staged_plan(), "rule-replaced", "drift", Exit::Drift).await;
    let gone = test_run.drifted_routes();
    assert_eq!(gone.len(), 1, "{}", test_run.output());
    test_run.assert_shares(5, &[&gone[0]]);
    assert!(test_run.output().contains("--keep-live --include-new"), "{}", test_run.output());
}

#[tokio::test(start_paused = true)]
async fn changed_conditions_freeze_the_run_and_are_not_drift_of_the_weights() {
    let test_run = run_to(staged_plan(), "conditions-changed", "drift", Exit::Drift).await;
    assert!(test_run.drifted_routes().is_empty(), "{}", test_run.output());
    test_run.assert_shares(5, &[]);
}

#[tokio::test(start_paused = true)]
async fn a_canary_ends_with_the_original_shares() {
    let test_run = run_to(plan("plans/canary.yaml"), "healthy", "completed", Exit::Done).await;
    test_run.assert_original(&[]);
    test_run.assert_attached();
    // `notReady` after the time-out rolls back, because nobody watches at night.
    run_to(plan("plans/canary.yaml"), "green-never-healthy", "rolled back", Exit::RolledBack)
        .await
        .assert_original(&[]);
}

/// Asserts that the metric gates compare the counts of the lab's load balancer.
#[tokio::test(start_paused = true)]
async fn metrics_are_compared_before_each_rise() {
    let options = Options { speed: None, rate: Some(20.0) };
    let mut test_run = TestRun::begin_at(plan("plans/metrics.yaml"), &example("healthy"), options, |_| {}).await;
    let end = test_run.run().await;
    assert_eq!((ending_name(&end), exit(&end)), ("completed", Exit::Done), "{}", test_run.output());
    test_run.assert_shares(100, &[]);
    let mut test_run =
        TestRun::begin_at(plan("plans/metrics.yaml"), &example("green-errs-at-20"), options, |_| {}).await;
    let end = test_run.run().await;
    assert_eq!((ending_name(&end), exit(&end)), ("rolled back", Exit::RolledBack), "{}", test_run.output());
    test_run.assert_original(&[]);
    assert_output!(test_run);
}

#[tokio::test(start_paused = true)]
async fn notifications_do_not_change_a_run() {
    run_to(plan("plans/notifications.yaml"), "healthy", "completed", Exit::Done).await.assert_shares(100, &[]);
    run_to(plan("plans/notifications.yaml"), "green-dies-at-50", "rolled back", Exit::RolledBack)
        .await
        .assert_original(&[]);
}

#[tokio::test(start_paused = true)]
async fn zones_split_evenly() {
    let test_run = run_to(plan("plans/zones.yaml"), "healthy", "completed", Exit::Done).await;
    test_run.assert_shares_of(&[("zone-a", 34), ("zone-b", 33), ("zone-c", 33)]);
}

#[tokio::test(start_paused = true)]
async fn several_workloads_and_load_balancers_move_together() {
    run_to(plan("plans/gitops.yaml"), "healthy", "completed", Exit::Done).await.assert_shares(100, &[]);
}

#[tokio::test(start_paused = true)]
async fn old_and_new_cluster_may_differ() {
    for (file, name) in
        [("ecs-to-eks", "healthy"), ("instance-to-ip", "old-nodes"), ("fewer-larger-targets", "old-pods")]
    {
        run_to(plan(&format!("plans/{file}.yaml")), name, "completed", Exit::Done).await.assert_shares(100, &[]);
    }
    run_to(staged_plan(), "old-nodes", "completed", Exit::Done).await.assert_shares(100, &[]);
}

#[tokio::test(start_paused = true)]
async fn old_side_may_be_a_function() {
    let lambda = scenario("{targetGroups: [{cluster: from, targetType: lambda}]}");
    let mut test_run = TestRun::begin(plan("plans/ecs-to-eks.yaml"), &lambda).await;
    let group = test_run.started().groups.values().find(|g| g.cluster == "ecs").map(|g| g.healthy);
    assert_eq!(group, Some(0), "a function has no healthy target");
    let end = test_run.run().await;
    assert_eq!(ending_name(&end), "completed", "{end:?}\n{}", test_run.output());
    test_run.assert_shares(100, &[]);
}

/// Asserts that with four new pods for six old pods the last step waits, and that the message names the setting.
#[tokio::test(start_paused = true)]
async fn fewer_targets_wait_and_name_the_setting() {
    let test_run = run_to(staged_plan(), "old-pods", "waiting", Exit::Waiting).await;
    test_run.assert_shares(50, &[]);
    let lines = test_run.output();
    assert!(lines.contains("has 4 of the 6 healthy targets that 100 % needs"), "{lines}");
    assert!(lines.contains("lower `gates.targetHealth.raise.capacity` (1)"), "{lines}");
}
