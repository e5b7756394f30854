//! A rollback that knows only the load balancer: what it reads before its first write, and in how many rounds.

use std::time::Duration;

use cutover::domain::elb;
use cutover::domain::elb::action::Action;
use cutover::domain::emergency::{from_tags, route_tag};
use cutover::domain::run::event::Started;
use cutover::domain::traffic::{RouteKind, Tags};
use cutover::engine::inventory::read_balancer;
use cutover::plan::model::Selector;
use jiff::SignedDuration;

use super::small;
use super::test_run::{TestRun, ending_name, scenario};

/// The average latency of the simulated AWS, which varies by 30 %.
const API_LATENCY: SignedDuration = SignedDuration::from_millis(100);
/// The number of readings that are averaged: one reading cannot show whether it took three or four rounds.
const READINGS: i32 = 8;

/// Returns a run that has moved half of its routes' traffic.
async fn half_moved() -> TestRun {
    let plan = small::many_routes("", "[{bind: {}}, {setWeight: 50}, {setWeight: 100}]");
    let mut test_run =
        TestRun::begin_with(plan, &scenario("{latency: {aws: 100ms}}"), |s| s.orders.until_step = Some(2)).await;
    assert_eq!(ending_name(&test_run.run().await), "waiting", "{}", test_run.output());
    test_run
}

/// Reads the tags; returns the content that they restore, and the number of rounds of reading. Asserts that every route
/// gets the content that the run found.
async fn read_from_tags(test_run: &TestRun, selector: &Selector) -> (Started, i64) {
    let (balancer, clock) = (&test_run.lab.balancer, &*test_run.lab.clock);
    let before = clock.now();
    for _ in 1..READINGS {
        read_balancer::read_for_rollback(selector, balancer, clock, true)
            .await
            .expect("the load balancer should be readable");
    }
    let seen = read_balancer::read_for_rollback(selector, balancer, clock, true)
        .await
        .expect("the load balancer should be readable");
    let rounds = clock.now().duration_since(before).as_millis() / (API_LATENCY * READINGS).as_millis();
    assert!(seen.skipped.is_empty(), "{:?}", seen.skipped);
    let started =
        from_tags::started(&[seen], Some(&test_run.run)).expect("the tags should describe the run").rollback.started;
    let begun = test_run.started();
    for route in &started.routes {
        let was = begun.routes.iter().find(|r| r.id == route.id).expect("the route should belong to the run");
        assert!(route.content.equivalent(&was.content), "{}", route.label);
    }
    (started, i64::try_from(rounds).expect("the number of rounds should be small"))
}

fn by_name(test_run: &TestRun) -> Selector {
    test_run.plan.workloads[0].routes[0].load_balancer.clone()
}

#[tokio::test(start_paused = true)]
async fn a_rollback_from_tags_reads_in_three_rounds() {
    let test_run = half_moved().await;
    let (started, rounds) = read_from_tags(&test_run, &by_name(&test_run)).await;
    assert_eq!((started.routes.len(), rounds), (test_run.started().routes.len(), 3));
    let arn = Selector::Arn(test_run.started().load_balancers[0].clone());
    let (started, rounds) = read_from_tags(&test_run, &arn).await;
    assert_eq!(
        (started.routes.len(), rounds),
        (test_run.started().routes.len(), 2),
        "a rollback by ARN must not look the load balancer up first"
    );
}

/// If the load balancer's tag does not match the routes, the tags of the routes are read in one more round. Nothing
/// else changes.
#[tokio::test(start_paused = true)]
async fn a_rollback_reads_the_tags_of_the_routes_if_the_load_balancers_tag_does_not_match() {
    let damaged: Tags = [(route_tag::KEY.to_owned(), "1 small nonsense".to_owned())].into();
    for what in ["a rule is turned elsewhere", "the tag is damaged", "the tag is gone", "the marker is gone"] {
        let test_run = half_moved().await;
        let (balancer, lb) = (&test_run.lab.balancer, test_run.started().load_balancers[0].clone());
        match what {
            "a rule is turned elsewhere" => {
                let started = test_run.started();
                let rule =
                    started.routes.iter().find(|r| r.id.kind() == RouteKind::Rule).expect("the run should have a rule");
                let closed = [("StatusCode".to_owned(), "404".into())].into();
                let actions = [Action::FixedResponse { order: None, fixed_response_config: closed }];
                balancer
                    .traffic
                    .set(&rule.id, &elb::content(&actions), Duration::from_secs(10))
                    .await
                    .expect("the rule should be written");
            }
            "the tag is damaged" => balancer.tags.put(&[lb], &damaged).await.expect("the tag should be written"),
            "the tag is gone" => {
                balancer.tags.remove(&[lb], &[route_tag::KEY.to_owned()]).await.expect("the tag should be removed");
            }
            _ => balancer
                .tags
                .remove(&[lb], &["cutover.dev/run".to_owned()])
                .await
                .expect("the marker should be removed"),
        }
        let (started, rounds) = read_from_tags(&test_run, &by_name(&test_run)).await;
        assert_eq!(rounds, 4, "{what}");
        let missing = test_run.started().routes.len() - started.routes.len();
        assert_eq!(missing, usize::from(what.starts_with("a rule")), "{what}");
    }
}
