//! A staged plan in every scenario under `examples/scenarios/`, and every plan under `plans/`: how each ends, read back
//! from the lab's model, and for the telling ones what a person reads meanwhile.

use cutover::app::exit::Exit;
use cutover::domain::run::journal::to_json;
use cutover::lab::rehearsal::Options;
use cutover::plan::model::Plan;

use super::face::Face;
use super::small;
use super::theatre::{Theatre, example, exit, plan, word};

/// Runs a plan through an example; holds it to its ending.
async fn ends(plan: Plan, name: &str, ending: &str, code: Exit) -> Theatre {
    let mut theatre = Theatre::begin(plan, &example(name)).await;
    let end = theatre.run().await;
    assert_eq!((word(&end), exit(&end)), (ending, code), "{name}: {end:?}\n{}", theatre.lines());
    theatre
}

fn staged() -> Plan {
    let steps = "[{bind: {}}, {setWeight: 5}, {pause: {duration: 6m}}, {setWeight: 20}, {pause: {duration: 7m}}, {setWeight: 50, name: half}, \
                 {pause: {duration: 4m}}, {setWeight: 100}, {pause: {duration: 3m}}]";
    small::many_routes("", steps)
}

macro_rules! story {
    ($theatre:expr) => {
        insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!($theatre.lines()) })
    };
}

#[tokio::test(start_paused = true)]
async fn healthy() {
    let theatre = ends(staged(), "healthy", "completed", Exit::Done).await;
    theatre.assert_shares(100, &[]);
    assert!(
        theatre.world().tags.values().all(|tags| !tags.contains_key("cutover.dev/run")),
        "the marker is taken away"
    );
    story!(theatre);
}

#[tokio::test(start_paused = true)]
async fn green_dies_at_50() {
    let theatre = ends(staged(), "green-dies-at-50", "rolled back", Exit::RolledBack).await;
    theatre.assert_original(&[]);
    theatre.assert_attached();
    story!(theatre);
}

#[tokio::test(start_paused = true)]
async fn hpa_too_low() {
    let steps = "[{bind: {}}, {setWeight: 20}, {pause: {duration: 20m}}, {setWeight: 50}, {setWeight: 100}]";
    let theatre = ends(small::many_routes("", steps), "hpa-too-low", "completed", Exit::Done).await;
    theatre.assert_shares(100, &[]);
    story!(theatre);
}

#[tokio::test(start_paused = true)]
async fn foreign_write() {
    let theatre = ends(staged(), "foreign-write", "drift", Exit::Drift).await;
    let foreign = theatre.drifted();
    assert_eq!(foreign.len(), 1);
    theatre.assert_shares(5, &[&foreign[0]]);
    let live = Face::of(&theatre.world().routes[&foreign[0]]);
    let route = &theatre.started().routes.iter().find(|r| r.id.id() == foreign[0]).expect("a route").groups;
    assert_eq!(
        (live.weights[&route["a"]], live.weights[&route["b"]]),
        (100, 0),
        "what someone else wrote is left alone"
    );
    story!(theatre);
}

/// `stickiness: break`, the default: the new groups are gone from every action, and with them what the cookies lead to.
#[tokio::test(start_paused = true)]
async fn sticky_clients() {
    let theatre = ends(staged(), "sticky-clients", "rolled back", Exit::RolledBack).await;
    theatre.assert_original(&[]);
    let world = theatre.world();
    for route in &theatre.started().routes {
        assert!(!Face::of(&world.routes[route.id.id()]).weights.contains_key(&route.groups["b"]), "{}", route.label);
    }
    story!(theatre);
}

#[tokio::test(start_paused = true)]
async fn sticky_clients_that_are_kept_need_a_person() {
    let theatre = ends(plan("plans/gitops.yaml"), "sticky-clients", "rolled back", Exit::Stuck).await;
    theatre.assert_original(&[]);
    theatre.assert_attached();
    assert!(
        theatre.lines().contains("the weights are restored, but clients with a cookie stay on v133 for up to 10m"),
        "{}",
        theatre.lines()
    );
}

#[tokio::test(start_paused = true)]
async fn crash() {
    let theatre = ends(staged(), "crash", "completed", Exit::Done).await;
    theatre.assert_shares(100, &[]);
    story!(theatre);
}

/// Two runs of one seed are the same to the byte.
#[tokio::test(start_paused = true)]
async fn one_seed_one_story() {
    let mut texts = Vec::new();
    for _ in 0..2 {
        let theatre = ends(staged(), "crash", "completed", Exit::Done).await;
        let text: String = theatre.told.iter().map(|r| to_json(r).to_string() + "\n").collect();
        texts.push(text);
    }
    assert!(texts[0].contains("\"measured\"") && texts[0] == texts[1]);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_incident_completes() {
    for name in ["blue-shrinks-at-100", "deploy-of-green-during-bake", "partitioned-cluster"] {
        ends(staged(), name, "completed", Exit::Done).await.assert_shares(100, &[]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_bad_api_makes_it_slow_and_never_wrong() {
    for name in ["late-write", "throttled-api", "expired-credentials"] {
        ends(staged(), name, "completed", Exit::Done).await.assert_shares(100, &[]);
    }
}

#[tokio::test(start_paused = true)]
async fn green_never_healthy_never_gets_traffic() {
    let theatre = ends(staged(), "green-never-healthy", "waiting", Exit::Waiting).await;
    theatre.assert_original(&[]);
    theatre.assert_attached();
}

#[tokio::test(start_paused = true)]
async fn a_deleted_rule_holds_up_nobody_else() {
    let theatre = ends(staged(), "rule-deleted", "drift", Exit::Drift).await;
    let gone = theatre.drifted();
    assert!(gone.len() == 1 && !theatre.world().routes.contains_key(&gone[0]));
    theatre.assert_shares(5, &[&gone[0]]);
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_is_created_again_freezes_the_run_with_the_command_that_continues_it() {
    let theatre = ends(staged(), "rule-replaced", "drift", Exit::Drift).await;
    let gone = theatre.drifted();
    assert_eq!(gone.len(), 1, "{}", theatre.lines());
    theatre.assert_shares(5, &[&gone[0]]);
    assert!(theatre.lines().contains("--keep-live --include-new"), "{}", theatre.lines());
}

#[tokio::test(start_paused = true)]
async fn changed_conditions_freeze_the_run_and_are_not_drift_of_the_weights() {
    let theatre = ends(staged(), "conditions-changed", "drift", Exit::Drift).await;
    assert!(theatre.drifted().is_empty(), "{}", theatre.lines());
    theatre.assert_shares(5, &[]);
}

#[tokio::test(start_paused = true)]
async fn a_canary_ends_where_it_began() {
    let theatre = ends(plan("plans/canary.yaml"), "healthy", "completed", Exit::Done).await;
    theatre.assert_original(&[]);
    theatre.assert_attached();
    // At night nobody looks: not ready in time goes back.
    ends(plan("plans/canary.yaml"), "green-never-healthy", "rolled back", Exit::RolledBack).await.assert_original(&[]);
}

/// The metric gates compare the counts of the lab's load balancer.
#[tokio::test(start_paused = true)]
async fn metrics_are_compared_before_each_rise() {
    let options = Options { speed: None, rate: Some(20.0) };
    let mut theatre = Theatre::begin_at(plan("plans/metrics.yaml"), &example("healthy"), options, |_| {}).await;
    let end = theatre.run().await;
    assert_eq!((word(&end), exit(&end)), ("completed", Exit::Done), "{}", theatre.lines());
    theatre.assert_shares(100, &[]);
    let mut theatre =
        Theatre::begin_at(plan("plans/metrics.yaml"), &example("green-errs-at-20"), options, |_| {}).await;
    let end = theatre.run().await;
    assert_eq!((word(&end), exit(&end)), ("rolled back", Exit::RolledBack), "{}", theatre.lines());
    theatre.assert_original(&[]);
    story!(theatre);
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_tells_people_goes_as_one_that_does_not() {
    ends(plan("plans/notifications.yaml"), "healthy", "completed", Exit::Done).await.assert_shares(100, &[]);
    ends(plan("plans/notifications.yaml"), "green-dies-at-50", "rolled back", Exit::RolledBack)
        .await
        .assert_original(&[]);
}

#[tokio::test(start_paused = true)]
async fn zones_split_evenly() {
    ends(plan("plans/zones.yaml"), "healthy", "completed", Exit::Done).await.assert_shares(50, &[]);
}

#[tokio::test(start_paused = true)]
async fn several_workloads_and_load_balancers_move_together() {
    ends(plan("plans/gitops.yaml"), "healthy", "completed", Exit::Done).await.assert_shares(100, &[]);
}

#[tokio::test(start_paused = true)]
async fn the_two_sides_need_not_be_alike() {
    for (file, name) in
        [("ecs-to-eks", "healthy"), ("instance-to-ip", "old-nodes"), ("fewer-larger-targets", "old-pods")]
    {
        ends(plan(&format!("plans/{file}.yaml")), name, "completed", Exit::Done).await.assert_shares(100, &[]);
    }
    ends(staged(), "old-nodes", "completed", Exit::Done).await.assert_shares(100, &[]);
}

/// Six pods against four: the last step waits, and the message names the setting.
#[tokio::test(start_paused = true)]
async fn fewer_targets_wait_and_name_the_setting() {
    let theatre = ends(staged(), "old-pods", "waiting", Exit::Waiting).await;
    theatre.assert_shares(50, &[]);
    let lines = theatre.lines();
    assert!(lines.contains("has 4 of the 6 healthy targets that 100 % needs"), "{lines}");
    assert!(lines.contains("lower `gates.targetHealth.raise.capacity` (1)"), "{lines}");
}
