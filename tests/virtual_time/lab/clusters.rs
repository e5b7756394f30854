//! Clusters: pods, autoscalers, and the load balancer controller's handling of bindings.

use cutover::lab::model::{Caller, ClientRequest, PodAnswer, Requester, RoutingOutcome, World};
use cutover::lab::scenario::Scenario;
use cutover::plan::model::Selector;
use serde_json::Value;

use super::common::{
    BINDINGS, START, at, binding, elb_call, groups, kube, kube_get, plan, send_requests, target_states, world,
    xml_texts,
};

#[test]
fn a_rollout_replaces_pods_without_an_error_for_clients() {
    let mut world = world("{faults: [{at: {time: 60s}, deploy: {cluster: a}}]}");
    let before: Vec<_> =
        world.pods().into_iter().filter(|p| p.cluster.as_deref() == Some("a")).map(|p| p.name).collect();
    for second in 0..400 {
        for (load_balancer, port, host, path) in world.sample_requests() {
            let ask = ClientRequest {
                load_balancer: &load_balancer,
                port,
                host: &host,
                path: &path,
                cookie: None,
                headers: &[],
            };
            let RoutingOutcome::Target { pod, .. } = world.pick(&ask, at(second)).outcome else {
                panic!("no target at {second} s")
            };
            assert!(
                matches!(world.respond(pod, Requester::Client), PodAnswer::Status { status: 200, .. }),
                "at {second} s"
            );
        }
    }
    let after: Vec<_> =
        world.pods().into_iter().filter(|p| p.cluster.as_deref() == Some("a")).map(|p| p.name).collect();
    assert!(after.len() == 4 && after.iter().all(|p| !before.contains(p)), "{before:?} {after:?}");
}

#[test]
fn two_clusters_on_one_group_deregister_each_other() {
    let mut world = world("{}");
    let [a, _, _] = groups(&mut world, at(0));
    assert_eq!(target_states(&mut world, &a, at(1)), ["healthy"; 4]);
    kube(&mut world, "POST", BINDINGS, &binding(&a), at(1));
    assert_eq!(target_states(&mut world, &a, at(4)), [["draining"; 4], ["initial"; 4]].concat());
}

#[test]
fn gated_pods_on_an_unattached_group_never_get_ready() {
    for (attached, ready, state) in [(true, 4, "healthy"), (false, 0, "unused")] {
        let gated = "{name: b, workload: {readinessGates: true}}";
        let mut world =
            world(&format!("{{clusters: [{gated}], targetGroups: [{{cluster: b, attached: {attached}}}]}}"));
        let [_, b, _] = groups(&mut world, at(0));
        kube(&mut world, "POST", BINDINGS, &binding(&b), at(0));
        let pods = "/api/v1/namespaces/webapp/pods";
        for pod in kube_get(&mut world, pods, at(1))["items"].as_array().expect("the list should have items") {
            let name = pod["metadata"]["name"].as_str().expect("a pod should have a name");
            kube(&mut world, "DELETE", &format!("{pods}/{name}"), &Value::Null, at(1));
        }
        let deployment = kube_get(&mut world, "/apis/apps/v1/namespaces/webapp/deployments/webapp", at(300));
        assert_eq!(deployment["status"]["readyReplicas"], ready, "attached: {attached}");
        assert_eq!(target_states(&mut world, &b, at(600)), [state; 4], "attached: {attached}");
    }
}

#[test]
fn a_killed_cluster_loses_its_targets_and_gets_them_back_when_repaired() {
    let mut world = world("{faults: [{at: {time: 60s}, kill: {cluster: from}}, {at: {time: 200s}, repair: {}}]}");
    let [a, _, _] = groups(&mut world, at(0));
    assert!(!target_states(&mut world, &a, at(85)).contains(&"healthy".to_owned()));
    assert_eq!(send_requests(&mut world, 36, at(100)), [0, 0, 36]);
    let back = target_states(&mut world, &a, at(260));
    assert_eq!(back.iter().filter(|s| *s == "healthy").count(), 4, "{back:?}");
}

#[test]
fn an_autoscaler_stops_at_its_limit_until_the_limit_is_raised() {
    let workload = "{replicas: 4, hpa: {min: 4, max: 4, wants: 20}}";
    let mut world = world(&format!(
        "{{clusters: [{{name: to, workload: {workload}}}], faults: [{{at: {{time: 300s}}, scale: {{cluster: to, max: 40}}}}]}}"
    ));
    let pods = |world: &mut World, now| {
        world.advance(now);
        world.pods().iter().filter(|p| p.cluster.as_deref() == Some("b") && p.alive).count()
    };
    assert_eq!(pods(&mut world, at(290)), 4);
    assert_eq!(pods(&mut world, at(400)), 20);
}

#[test]
fn one_seed_gives_one_lab() {
    let run = || {
        let mut world = world("{faults: [{at: {time: 30s}, deploy: {cluster: a}}]}");
        world.advance(at(600));
        let pods: Vec<_> = world.pods().iter().map(|p| (p.name.clone(), p.ip)).collect();
        (pods, send_requests(&mut world, 500, at(601)), world.calls().to_vec(), world.next_event())
    };
    assert_eq!(run(), run());
}

#[test]
fn an_idle_cluster_shrinks_after_five_minutes() {
    let mut world = world("{clusters: [{name: to, workload: {replicas: 10, hpa: {min: 1, max: 20}}}]}");
    let alive = |world: &mut World, now| {
        world.advance(now);
        world.pods().iter().filter(|p| p.cluster.as_deref() == Some("b") && p.alive).count()
    };
    assert_eq!(alive(&mut world, at(300)), 10);
    assert_eq!(alive(&mut world, at(400)), 1);
}

#[test]
fn a_throttled_controller_retries_without_more_calls_per_binding() {
    let mut plan = plan();
    let first = plan.workloads[0].clone();
    plan.workloads = (0..60)
        .map(|n| {
            let mut workload = first.clone();
            workload.name = format!("w{n}");
            let name = workload.name.clone();
            workload.services.values_mut().for_each(|service| service.name.clone_from(&name));
            let route = &mut workload.routes[0];
            route.target_groups = ["a", "b"].map(|c| (c.into(), Selector::Name(format!("w{n}-{c}")))).to_vec();
            route.expect = None;
            workload
        })
        .collect();
    let mut world = World::new(&plan, &Scenario::default(), 1, START).expect("the lab should accept the plan");
    let refused = |world: &World| {
        world.calls().iter().filter(|c| c.caller == Caller::Controller && c.outcome == "Throttling").count()
    };
    let group = |world: &mut World, name: &str, now| {
        xml_texts(
            &elb_call(world, &format!("Action=DescribeTargetGroups&Names.member.1={name}"), now).1,
            "TargetGroupArn",
        )
        .remove(0)
    };
    for n in 0..60 {
        let from = group(&mut world, &format!("w{n}-a"), at(0));
        assert_eq!(
            target_states(&mut world, &from, at(0)),
            ["healthy"; 4],
            "targets of the old cluster must be healthy from the start"
        );
        let mut bound = binding(&group(&mut world, &format!("w{n}-b"), at(0)));
        bound["metadata"]["name"] = format!("w{n}-b").into();
        bound["spec"]["serviceRef"]["name"] = format!("w{n}").into();
        kube(&mut world, "POST", BINDINGS, &bound, at(0));
    }
    assert_eq!(refused(&world), 0);
    for second in 0..120 {
        world.advance(at(second));
        assert!(refused(&world) < 60 * 60, "too many throttled calls: {} within {second} s", refused(&world));
    }
    assert!(refused(&world) > 0, "sixty registrations must exceed the token bucket");
}
