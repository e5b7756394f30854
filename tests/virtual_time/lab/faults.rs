//! Faults of the APIs, and when they happen.

use cutover::lab::model::{Caller, Delivery};
use cutover::lab::wire::kube::KubeResponse;
use http::Request;
use hyper::body::Bytes;

use super::common::{at, elb_call, groups, modify, request, routes, world, xml_texts};

#[test]
fn a_late_write_takes_effect_without_a_response() {
    let mut world = world("{faults: [{at: {time: 0s}, late-write: {by: 20s}}]}");
    let [a, b, other] = groups(&mut world, at(1));
    let route = routes(&mut world, at(1)).remove(1);
    let answer = world.aws(&request(&modify(&route, &[(&a, 1), (&b, 1), (&other, 0)], "")), at(10));
    assert_eq!(answer.delivery, Delivery::AppliedLate(at(30)));
    let mut read = |now| {
        xml_texts(
            &elb_call(&mut world, &format!("Action=DescribeRules&RuleArns.member.1={}", route.0), now).1,
            "Weight",
        )
    };
    assert_eq!(read(at(29)), ["100", "0", "0"]);
    assert_eq!(read(at(30)), ["1", "1", "0"]);
}

#[test]
fn stale_reads_return_earlier_content() {
    let mut world = world("{faults: [{at: {time: 0s}, stale: {by: 5s, for: 60s}}]}");
    let [a, b, other] = groups(&mut world, at(1));
    let route = routes(&mut world, at(1)).remove(1);
    elb_call(&mut world, &modify(&route, &[(&a, 1), (&b, 1), (&other, 0)], ""), at(10));
    let mut read = |now| {
        xml_texts(
            &elb_call(&mut world, &format!("Action=DescribeRules&RuleArns.member.1={}", route.0), now).1,
            "Weight",
        )
    };
    assert_eq!(read(at(14)), ["100", "0", "0"]);
    assert_eq!(read(at(15)), ["1", "1", "0"]);
}

#[test]
fn faults_can_wait_for_a_step_or_a_share() {
    let faults = "[{at: {step: first-traffic, after: 10s}, expire-credentials: {for: 20s}}, {at: {share: {cluster: to, atLeast: 50}}, crash: {down: 5m}}]";
    let mut world = world(&format!("{{limits: {{modify: {{burst: 100, perSecond: 9}}}}, faults: {faults}}}"));
    let [a, b, other] = groups(&mut world, at(0));
    world.step_started(2, Some("first-traffic"), at(10));
    assert_eq!(elb_call(&mut world, "Action=DescribeLoadBalancers", at(19)).0, 200);
    assert_eq!(elb_call(&mut world, "Action=DescribeLoadBalancers", at(21)).0, 403);
    assert_eq!(elb_call(&mut world, "Action=DescribeLoadBalancers", at(41)).0, 200);
    for route in routes(&mut world, at(50)) {
        assert_eq!(world.crash_due(at(50)), None);
        elb_call(&mut world, &modify(&route, &[(&a, 50), (&b, 50), (&other, 0)], ""), at(50));
    }
    assert_eq!(world.crash_due(at(50)), Some(std::time::Duration::from_mins(5)));
    assert_eq!(world.crash_due(at(51)), None, "a crash must be reported only once");
}

#[test]
fn a_partition_lasts_as_long_as_it_says() {
    let mut world = world("{faults: [{at: {time: 10s}, partition: {cluster: to, aws: true, for: 20s}}]}");
    let get = || Request::get("/api/v1/namespaces").body(Bytes::new()).expect("the request should be valid");
    let mut deliveries = |now| {
        let aws = world.aws(&request("Action=DescribeLoadBalancers"), now).delivery;
        [aws, world.kube("a", &get(), now).delivery, world.kube("b", &get(), now).delivery]
    };
    assert_eq!(deliveries(at(9)), [Delivery::Answered; 3]);
    assert_eq!(deliveries(at(11)), [Delivery::Dropped, Delivery::Answered, Delivery::Dropped]);
    assert_eq!(deliveries(at(31)), [Delivery::Answered; 3]);
}

#[test]
fn an_invalid_eks_token_is_refused() {
    let mut world = world("{}");
    let token = "Bearer k8s-aws-v1.bm90IGEgdXJs";
    let get = Request::get("/api/v1/namespaces")
        .header("authorization", token)
        .body(Bytes::new())
        .expect("the request should be valid");
    let KubeResponse::Complete(answer) = world.kube("a", &get, at(1)).answer else {
        panic!("the response must be complete")
    };
    assert_eq!(answer.status(), 401);
}

#[test]
fn foreign_writes_and_deleted_rules_affect_only_the_named_rule() {
    let faults = "[{at: {time: 10s}, foreign-write: {listener: 443, priority: 2, weights: {to: 30}}}, {at: {time: 20s}, delete-rule: {listener: 443, priority: 2}}]";
    let mut world = world(&format!("{{faults: {faults}}}"));
    let rule = routes(&mut world, at(0))[18 + 2].0.clone();
    let read = format!("Action=DescribeRules&RuleArns.member.1={rule}");
    assert_eq!(xml_texts(&elb_call(&mut world, &read, at(11)).1, "Weight"), ["100", "30", "0"]);
    assert_eq!(xml_texts(&elb_call(&mut world, &read, at(21)).1, "Code"), ["RuleNotFound"]);
    let foreign: Vec<_> =
        world.calls().iter().filter(|c| c.caller == Caller::Foreign).map(|c| c.operation.as_str()).collect();
    assert_eq!(foreign, ["ModifyRule", "DeleteRule"]);
}

#[test]
fn a_rule_is_created_again_with_its_first_weights_and_conditions_can_change() {
    let faults = "[{at: {time: 20s}, remake-rule: {listener: 443, priority: 2, to: 777}}, {at: {time: 30s}, change-conditions: {listener: 443, priority: 777, path: /new*}}]";
    let mut world = world(&format!("{{faults: {faults}}}"));
    let [a, b, other] = groups(&mut world, at(0));
    let old = routes(&mut world, at(0))[18 + 2].clone();
    let read = format!("Action=DescribeRules&RuleArns.member.1={}", old.0);
    let conditions = |body: &str| body.split("Conditions>").nth(1).expect("the rule should have conditions").to_owned();
    let before = conditions(&elb_call(&mut world, &read, at(1)).1);
    elb_call(&mut world, &modify(&old, &[(&a, 50), (&b, 50), (&other, 0)], ""), at(10));
    assert_eq!(xml_texts(&elb_call(&mut world, &read, at(21)).1, "Code"), ["RuleNotFound"]);
    let new = routes(&mut world, at(21)).into_iter().map(|route| route.0).find(|id| {
        let body = elb_call(&mut world, &format!("Action=DescribeRules&RuleArns.member.1={id}"), at(21)).1;
        xml_texts(&body, "Priority") == ["777"]
    });
    let read =
        format!("Action=DescribeRules&RuleArns.member.1={}", new.expect("there should be a rule with priority 777"));
    let body = elb_call(&mut world, &read, at(22)).1;
    assert_eq!(xml_texts(&body, "Weight"), ["100", "0", "0"]);
    assert_eq!(conditions(&body), before);
    assert!(elb_call(&mut world, &read, at(31)).1.contains("/new*"));
}
