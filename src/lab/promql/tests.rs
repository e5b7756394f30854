use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;

use super::*;
use crate::lab::model::TargetResponse;
use crate::lab::scenario::Scenario;
use crate::plan::model::Plan;
use crate::plan::model::metric::MetricSource;

const START: Timestamp = Timestamp::constant(1_767_600_000, 0);

fn plan() -> Plan {
    crate::plan::lint("plans/metrics.yaml", include_bytes!("../../../plans/metrics.yaml")).expect("a valid plan")
}

fn at(seconds: i64) -> Timestamp {
    START + SignedDuration::from_secs(seconds)
}

/// Returns a lab with 500 requests to blue at first. Within the second minute, it has 90 requests to blue, of which 3
/// fail, and 10 requests to green, which answers slowly, and once not at all.
fn world() -> World {
    let mut world = World::new(&plan(), &Scenario::default(), 1, START).expect("a lab");
    let group = |world: &World, name: &str| {
        let found = world.group_index.keys().find(|arn| crate::base::arn::name(arn) == name);
        Arc::clone(found.expect("a target group of the plan"))
    };
    let (blue, green) = (group(&world, "checkout-blue"), group(&world, "checkout-green"));
    let answer = |status, millis| TargetResponse::Answered(status, Duration::from_millis(millis));
    (0..500).for_each(|_| world.record_response(&blue, answer(200, 20), at(5)));
    (0..87).for_each(|_| world.record_response(&blue, answer(200, 20), at(70)));
    (0..3).for_each(|_| world.record_response(&blue, answer(503, 20), at(70)));
    (0..9).for_each(|_| world.record_response(&green, answer(200, 300), at(80)));
    world.record_response(&green, TargetResponse::NoAnswer, at(80));
    world
}

/// Returns the single number that a query finds at the end of the second minute; `None` if the query finds nothing.
fn number(query: &str) -> Option<f64> {
    let response = respond(&world(), query, at(120));
    let body: Json = serde_json::from_slice(response.body()).expect("JSON");
    assert_eq!((response.status(), &body["status"]), (StatusCode::OK, &json!("success")), "{query}: {body}");
    let result = body["data"]["result"].as_array().expect("a vector");
    assert!(result.len() < 2, "{query}: {body}");
    result.first().map(|one| one["value"][1].as_str().expect("a text").parse().expect("a number"))
}

fn error(query: &str) -> String {
    let response = respond(&world(), query, at(120));
    assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{query}");
    let body: Json = serde_json::from_slice(response.body()).expect("JSON");
    body["error"].as_str().expect("a text").to_owned()
}

#[test]
fn every_query_of_the_plan_is_answered_as_it_stands() {
    let mut answers = Vec::new();
    for gate in plan().strategy.metrics {
        let MetricSource::Prometheus(source) = gate.source else { continue };
        for query in [source.requests, source.errors, source.latency, source.query].into_iter().flatten() {
            let of = |cluster: &str| number(&query.replace("{{cluster}}", cluster).replace("{{window}}", "60s"));
            answers.push((of("blue"), of("green")));
        }
    }
    let (blue_latency, green_latency) = answers[2];
    assert!(blue_latency < green_latency && green_latency < Some(0.5), "{answers:?}");
    answers.remove(2);
    let half = Some(0.5);
    assert_eq!(answers, [(Some(90.0), Some(10.0)), (Some(3.0), Some(1.0)), (Some(90.0), Some(10.0)), (half, half)]);
}

#[test]
fn labels_offsets_and_arithmetic_are_those_of_prometheus() {
    assert_eq!(number(r#"sum(rate(x_total{cluster="blue"}[1m]))"#), Some(1.5));
    assert_eq!(number(r#"sum(increase(x_total{cluster="blue"}[1m] offset 1m))"#), Some(500.0));
    assert_eq!(number(r#"sum(x_total{cluster="blue"})"#), Some(590.0), "a counter counts since the start");
    assert_eq!(number(r#"sum(increase(lab_requests_total{code="5xx"}[1m]))"#), Some(4.0), "as it is scraped");
    assert_eq!(number(r#"sum(increase(x_total{code!~"2..",namespace="shop"}[1m]))"#), Some(4.0));
    assert_eq!(number(r#"100 * sum(increase(x_total{code="500"}[1m])) / sum(increase(x_total[1m]))"#), Some(4.0));
    assert_eq!(number(r#"sum(increase(x_total{cluster="other"}[1m])) or vector(0)"#), Some(0.0));
    assert_eq!(number(r"count(sum by (cluster) (x_total))"), Some(2.0));
    assert_eq!(number(r#"sum(increase(x_total{cluster="other"}[1m]))"#), None);
    assert_eq!(number(r#"sum(increase(x_total{eks_cluster="blue",http_status=~"5.."}[1m]))"#), Some(3.0));
    assert_eq!(number("sum(increase(x_total[1m])) / on () vector(4)"), Some(25.0));
}

#[test]
fn a_query_outside_of_the_subset_is_an_error_that_says_so() {
    for (query, lacking) in [
        ("topk(1, x_total)", "topk()"),
        ("irate(x_total[1m])", "irate() with these arguments"),
        ("x_total > 1", "the operator >"),
        ("x_total unless x_total", "the operator unless"),
        ("x_total / on (cluster) group_left () sum by (cluster) (x_total)", "group_left and group_right"),
        ("max_over_time(x_total[1m:10s])", "max_over_time() with these arguments"),
        ("x_total @ 0", "the modifier @"),
        (r#"{cluster="blue"}"#, "selectors without the name of a metric"),
    ] {
        let start = format!("the lab evaluates a subset of PromQL, without {lacking}: increase, rate, ");
        assert!(error(query).starts_with(&start), "{query}: {}", error(query));
    }
    assert!(error("up").starts_with("the lab has a subset of the metrics, without up: counters"), "{}", error("up"));
    assert!(error("x_total / on (cluster) x_total").contains("aggregate them"));
    assert!(error("x_total[1m]").contains("add increase() or rate()"));
    assert!(error("sum(x_total").contains("unclosed"), "{}", error("sum(x_total"));
}

#[test]
fn parameters_come_from_a_form() {
    let read = InstantQuery::from_form("query=sum%28x_total%29+or%20vector(0)&time=1767600120.250&timeout=5s");
    assert_eq!(read.query, "sum(x_total) or vector(0)");
    assert_eq!(read.time, Some(at(120) + SignedDuration::from_millis(250)));
    assert_eq!(InstantQuery::from_form("query=up&time=2026-01-05T08:02:00Z").time, Some(at(120)));
    assert_eq!(InstantQuery::from_form("").time, None);
}
