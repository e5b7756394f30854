//! The lab is built from the plan: for any plan, the names in the plan must lead to existing resources.

use std::collections::BTreeSet;

use cutover::lab::model::{ClientRequest, RoutingOutcome, World};
use cutover::lab::scenario::Scenario;
use cutover::plan::{self, model::Plan};

use super::common::{START, at, elb_call, xml_texts};

fn world(plan: &Plan) -> World {
    World::new(plan, &Scenario::default(), 3, START).expect("the lab should accept the plan")
}

/// Sends one request to every route; returns the routes that the requests reached.
fn reached_routes(world: &mut World) -> BTreeSet<String> {
    let places = world.sample_requests();
    let mut seen = BTreeSet::new();
    for (load_balancer, port, host, path) in &places {
        let pick =
            world.pick(&ClientRequest { load_balancer, port: *port, host, path, cookie: None, headers: &[] }, at(1));
        assert!(matches!(pick.outcome, RoutingOutcome::Target { .. }), "{port} {path}: {:?}", pick.outcome);
        seen.insert(pick.route.to_string());
    }
    assert_eq!(seen.len(), places.len(), "each sample request must reach a different route");
    seen
}

#[test]
fn every_route_of_every_plan_in_the_repository_is_served() {
    let mut count = 0;
    for entry in std::fs::read_dir("plans").expect("the folder plans should be readable") {
        let path = entry.expect("the entry should be readable").path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let plan =
            plan::lint(&path.display().to_string(), &std::fs::read(&path).expect("the plan file should be readable"))
                .expect("the plan should pass the lint");
        let entries = plan.workloads.iter().flat_map(|w| &w.routes);
        let least: usize = entries.map(|r| r.expect.unwrap_or(1)).sum();
        let reached = reached_routes(&mut world(&plan)).len();
        assert!(reached >= least, "{}: {reached}", path.display());
        count += 1;
    }
    assert!(count >= 4, "the folder plans should have at least 4 plans, but has {count}");
}

#[test]
fn names_arns_and_tags_of_a_plan_are_found() {
    let prefix = "arn:aws:elasticloadbalancing:eu-west-1:123456789012";
    let balancer = format!("{prefix}:loadbalancer/app/shop/1111111111111111");
    let rule = format!("{prefix}:listener-rule/app/shop/1111111111111111/2222222222222222/3333333333333333");
    let text = format!(
        "apiVersion: cutover.dev/v1alpha1
kind: Cutover
metadata: {{name: shop}}
spec:
  aws: {{accountId: \"123456789012\", region: eu-west-1}}
  clusters: [{{name: old, kubeContext: o}}, {{name: new, kubeContext: n}}]
  workloads:
    - name: cart
      service: {{namespace: shop, name: cart, port: 8080}}
      routes:
        - alb:
            loadBalancer: {balancer}
            listeners: [443]
            targetGroups: {{old: 'tag:cluster=old,app=cart', new: cart-new}}
            rules: [{{default: {{}}}}, {{priority: 15}}, {{arn: '{rule}'}}]
            expect: 3
    - name: pay
      service: {{namespace: shop, name: pay, port: http}}
      routes: [{{alb: {{loadBalancer: {balancer}, listeners: [443], targetGroups: {{old: pay-old, new: pay-new}}}}}}]
  strategy:
    from: old
    to: new
    settle: 30s
    steps: [{{bind: {{}}}}, {{setWeight: 100}}]
"
    );
    let plan = plan::lint("shop.yaml", text.as_bytes()).unwrap_or_else(|e| panic!("{}", plan::render(&e, false)));
    let mut world = world(&plan);
    let reached = reached_routes(&mut world);
    assert!(reached.contains(&rule) && reached.len() > 3, "{reached:?}");
    let (status, xml) = elb_call(&mut world, &format!("Action=DescribeTargetGroups&LoadBalancerArn={balancer}"), at(1));
    assert_eq!(status, 200, "{xml}");
    let groups = xml_texts(&xml, "TargetGroupArn");
    let tagged = groups.iter().filter(|arn| {
        let (_, xml) = elb_call(&mut world, &format!("Action=DescribeTags&ResourceArns.member.1={arn}"), at(1));
        xml.contains("<Key>app</Key><Value>cart</Value>") && xml.contains("<Key>cluster</Key><Value>old</Value>")
    });
    assert_eq!(tagged.count(), 1);
    assert_eq!(world.contexts("new"), ["n"]);
}
