//! A rollback that knows nothing but a load balancer: what it reads before its first write, and in how many rounds.

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
use super::theatre::{Theatre, scenario, word};

/// An answer of the lab's AWS takes this long on average, 30 % more or less.
const ROUND: SignedDuration = SignedDuration::from_millis(100);
/// Readings of which the mean is taken: what one takes does not tell three rounds from four.
const READINGS: i32 = 8;

/// A run that has moved half of its routes' traffic.
async fn half() -> Theatre {
    let plan = small::many_routes("", "[{bind: {}}, {setWeight: 50}, {setWeight: 100}]");
    let mut theatre =
        Theatre::begin_with(plan, &scenario("{latency: {aws: 100ms}}"), |s| s.orders.until_step = Some(2)).await;
    assert_eq!(word(&theatre.run().await), "waiting", "{}", theatre.lines());
    theatre
}

/// The split that the tags restore, and the number of rounds of reading. Every route returns to where the run found it.
async fn told(theatre: &Theatre, selector: &Selector) -> (Started, i64) {
    let (balancer, clock) = (&theatre.stage.balancer, &*theatre.stage.clock);
    let before = clock.now();
    for _ in 1..READINGS {
        read_balancer::read_for_rollback(selector, balancer, clock, true).await.expect("readable");
    }
    let seen = read_balancer::read_for_rollback(selector, balancer, clock, true).await.expect("readable");
    let rounds = clock.now().duration_since(before).as_millis() / (ROUND * READINGS).as_millis();
    assert!(seen.skipped.is_empty(), "{:?}", seen.skipped);
    let told = from_tags::started(&[seen], Some(&theatre.run)).expect("tags").rollback.started;
    let begun = theatre.started();
    for route in &told.routes {
        let was = begun.routes.iter().find(|r| r.id == route.id).expect("one of the run's");
        assert!(route.content.equivalent(&was.content), "{}", route.label);
    }
    (told, i64::try_from(rounds).expect("few"))
}

fn by_name(theatre: &Theatre) -> Selector {
    theatre.plan.workloads[0].routes[0].load_balancer.clone()
}

#[tokio::test(start_paused = true)]
async fn three_rounds_tell_where_every_route_was() {
    let theatre = half().await;
    let (started, rounds) = told(&theatre, &by_name(&theatre)).await;
    assert_eq!((started.routes.len(), rounds), (theatre.started().routes.len(), 3));
    let arn = Selector::Arn(theatre.started().load_balancers[0].clone());
    let (started, rounds) = told(&theatre, &arn).await;
    assert_eq!(
        (started.routes.len(), rounds),
        (theatre.started().routes.len(), 2),
        "who knows the ARN need not ask for it first"
    );
}

/// Whenever the load balancer's tag does not say exactly what is there, the routes' own are asked for: a round more,
/// and nothing else differs.
#[tokio::test(start_paused = true)]
async fn what_one_tag_cannot_tell_the_others_do() {
    let damaged: Tags = [(route_tag::KEY.to_owned(), "1 small nonsense".to_owned())].into();
    for what in ["a rule is turned elsewhere", "the tag is damaged", "the tag is gone", "the marker is gone"] {
        let theatre = half().await;
        let (balancer, lb) = (&theatre.stage.balancer, theatre.started().load_balancers[0].clone());
        match what {
            "a rule is turned elsewhere" => {
                let started = theatre.started();
                let rule = started.routes.iter().find(|r| r.id.kind() == RouteKind::Rule).expect("a rule");
                let closed = [("StatusCode".to_owned(), "404".into())].into();
                let actions = [Action::FixedResponse { order: None, fixed_response_config: closed }];
                balancer
                    .traffic
                    .set(&rule.id, &elb::content(&actions), Duration::from_secs(10))
                    .await
                    .expect("written");
            }
            "the tag is damaged" => balancer.tags.put(&[lb], &damaged).await.expect("tagged"),
            "the tag is gone" => balancer.tags.remove(&[lb], &[route_tag::KEY.to_owned()]).await.expect("untagged"),
            _ => balancer.tags.remove(&[lb], &["cutover.dev/run".to_owned()]).await.expect("untagged"),
        }
        let (started, rounds) = told(&theatre, &by_name(&theatre)).await;
        assert_eq!(rounds, 4, "{what}");
        let missing = theatre.started().routes.len() - started.routes.len();
        assert_eq!(missing, usize::from(what.starts_with("a rule")), "{what}");
    }
}
