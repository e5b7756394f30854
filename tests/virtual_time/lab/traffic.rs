//! The data plane of the lab: shares, propagation, health, stickiness.

use cutover::lab::model::{ClientRequest, RoutingOutcome};
use serde_json::Value;

use super::common::{
    BINDINGS, at, binding, elb_call, groups, kube, modify, routes, send_requests, target_states, world, xml_texts,
};

#[test]
fn a_weight_of_one_percent_is_exact_over_all_routes_and_on_each_of_them() {
    let mut world = world("{limits: {modify: {burst: 1000, perSecond: 1000}}}");
    let [a, b, other] = groups(&mut world, at(0));
    kube(&mut world, "POST", BINDINGS, &binding(&b), at(0));
    for route in routes(&mut world, at(60)) {
        let (status, xml) = elb_call(&mut world, &modify(&route, &[(&a, 99), (&b, 1), (&other, 0)], ""), at(60));
        assert_eq!(status, 200, "{xml}");
    }
    let seen = send_requests(&mut world, 20_000, at(120));
    assert!(seen[1].abs_diff(200) <= 3 && seen[2] == 0, "{seen:?}");
    // Over 40 full rounds, each route must have sent one percent of its requests to b.
    let mut by_route = std::collections::BTreeMap::new();
    let places = world.sample_requests();
    for (load_balancer, port, host, path) in places.iter().cycle().take(36 * 4000) {
        let pick =
            world.pick(&ClientRequest { load_balancer, port: *port, host, path, cookie: None, headers: &[] }, at(120));
        *by_route.entry(pick.route).or_insert(0) += i32::from(pick.cluster.as_deref() == Some("b"));
    }
    assert!(by_route.len() == 36 && by_route.values().all(|n| (37..=43).contains(n)), "{by_route:?}");
}

#[test]
fn a_written_weight_reads_back_at_once_and_applies_later() {
    let mut world = world("{latency: {propagationMin: 4s, propagationMax: 4s}}");
    let [a, b, other] = groups(&mut world, at(0));
    kube(&mut world, "POST", BINDINGS, &binding(&b), at(0));
    let route = (routes(&mut world, at(60))[0].0.clone(), true);
    let (status, xml) = elb_call(&mut world, &modify(&route, &[(&a, 0), (&b, 100), (&other, 0)], ""), at(60));
    assert_eq!((status, xml_texts(&xml, "Weight")), (200, vec!["0".into(), "100".into(), "0".into()]));
    let ask = ClientRequest {
        load_balancer: "alpha-webapp",
        port: 80,
        host: "x",
        path: "/nowhere",
        cookie: None,
        headers: &[],
    };
    assert_eq!(world.pick(&ask, at(63)).cluster.as_deref(), Some("a"));
    assert_eq!(world.pick(&ask, at(64)).cluster.as_deref(), Some("b"));
}

#[test]
fn a_target_goes_through_initial_healthy_and_draining() {
    let mut world = world("{targetGroups: [{cluster: b, attributes: {deregistration_delay.timeout_seconds: '60'}}]}");
    let [_, b, _] = groups(&mut world, at(0));
    assert_eq!(target_states(&mut world, &b, at(0)), Vec::<String>::new());
    assert_eq!(kube(&mut world, "POST", BINDINGS, &binding(&b), at(0)), 201);
    assert_eq!(
        target_states(&mut world, &b, at(2)),
        ["initial"; 4],
        "the targets must be initial one second after the controller acted"
    );
    assert_eq!(
        target_states(&mut world, &b, at(30)),
        ["healthy"; 4],
        "the targets must be healthy after one passed check"
    );
    assert_eq!(kube(&mut world, "DELETE", &format!("{BINDINGS}/alpha-webapp-b"), &Value::Null, at(30)), 200);
    assert_eq!(
        target_states(&mut world, &b, at(33)),
        ["draining"; 4],
        "deleting a binding must deregister the targets"
    );
    assert_eq!(target_states(&mut world, &b, at(85)), ["draining"; 4], "idle targets must drain for the whole delay");
    assert_eq!(target_states(&mut world, &b, at(95)), Vec::<String>::new());
}

#[test]
fn targets_of_a_group_that_is_attached_nowhere_are_unused_until_it_is() {
    let mut world = world("{targetGroups: [{cluster: b, attached: false}]}");
    let [a, b, _] = groups(&mut world, at(0));
    kube(&mut world, "POST", BINDINGS, &binding(&b), at(0));
    assert_eq!(target_states(&mut world, &b, at(120)), ["unused"; 4]);
    let route = routes(&mut world, at(120)).remove(0);
    elb_call(&mut world, &modify(&route, &[(&a, 100), (&b, 0)], ""), at(120));
    assert_eq!(target_states(&mut world, &b, at(121)), ["initial"; 4]);
    assert_eq!(target_states(&mut world, &b, at(150)), ["healthy"; 4]);
}

#[test]
fn targets_become_unhealthy_after_two_failures_and_healthy_after_five_passes() {
    let mut world = world("{faults: [{at: {time: 100s}, error: {cluster: a, for: 60s}}]}");
    let [a, _, _] = groups(&mut world, at(0));
    assert_eq!(target_states(&mut world, &a, at(99)), ["healthy"; 4]);
    assert_eq!(target_states(&mut world, &a, at(100)), ["healthy"; 4]);
    assert_eq!(target_states(&mut world, &a, at(121)), ["unhealthy"; 4]);
    assert_eq!(
        send_requests(&mut world, 36, at(121)),
        [36, 0, 0],
        "if all targets fail, all of them must get requests (fail-open)"
    );
    assert_eq!(target_states(&mut world, &a, at(195)), ["unhealthy"; 4], "three passed checks must not be enough");
    assert_eq!(target_states(&mut world, &a, at(212)), ["healthy"; 4]);
}

#[test]
fn a_group_without_targets_responds_503() {
    let mut world = world("{}");
    let [a, b, other] = groups(&mut world, at(0));
    let route = routes(&mut world, at(0)).remove(0);
    elb_call(&mut world, &modify(&route, &[(&a, 0), (&b, 1), (&other, 0)], ""), at(0));
    let ask = ClientRequest { load_balancer: "", port: 80, host: "x", path: "/nowhere", cookie: None, headers: &[] };
    assert_eq!(world.pick(&ask, at(60)).outcome, RoutingOutcome::Status(503));
}

#[test]
fn a_cookie_binds_a_client_until_its_group_is_detached() {
    let mut world = world("{loadBalancers: [{stickiness: {duration: 10m}}]}");
    let [a, b, other] = groups(&mut world, at(0));
    kube(&mut world, "POST", BINDINGS, &binding(&b), at(0));
    let route = routes(&mut world, at(60)).remove(0);
    let ask = |cookie| ClientRequest { load_balancer: "", port: 80, host: "x", path: "/nowhere", cookie, headers: &[] };
    let cookie = world.pick(&ask(None), at(60)).set_cookie.expect("group stickiness should set a cookie");
    let sticky = "&PREFIX.ForwardConfig.TargetGroupStickinessConfig.Enabled=true&PREFIX.ForwardConfig.TargetGroupStickinessConfig.DurationSeconds=600";
    elb_call(&mut world, &modify(&route, &[(&a, 0), (&b, 100), (&other, 0)], sticky), at(60));
    assert_eq!(world.pick(&ask(Some(&cookie)), at(120)).cluster.as_deref(), Some("a"));
    assert_eq!(world.pick(&ask(None), at(120)).cluster.as_deref(), Some("b"));
    assert_eq!(
        world.pick(&ask(Some(&cookie)), at(700)).cluster.as_deref(),
        Some("b"),
        "an expired cookie must not bind the client"
    );
    let cookie = world.pick(&ask(None), at(700)).set_cookie.expect("the response should set a cookie");
    elb_call(&mut world, &modify(&route, &[(&a, 100), (&other, 0)], sticky), at(700));
    assert_eq!(
        world.pick(&ask(Some(&cookie)), at(760)).cluster.as_deref(),
        Some("a"),
        "a cookie of a detached group must not bind the client"
    );
}
