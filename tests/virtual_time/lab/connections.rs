//! The data plane of a Network Load Balancer in the lab: connections outlive a weight.

use cutover::lab::model::{ClientRequest, Pick, RoutingOutcome, World};
use cutover::lab::scenario::Scenario;

use super::common::{START, at, elb_call, modify, target_states, xml_texts};

const PLAN: &str = "apiVersion: cutover.dev/v1alpha1
kind: Cutover
metadata: {name: edge}
spec:
  aws: {accountId: \"123456789012\", region: eu-central-1}
  clusters: [{name: a, eks: shop-a}, {name: b, eks: shop-b}]
  workloads:
    - name: broker
      service: {namespace: shop, name: broker, port: amqps}
      routes:
        - nlb: {loadBalancer: edge, listeners: [5671], targetGroups: {a: broker-a, b: broker-b}, expect: 1}
  strategy: {from: a, to: b, steps: [{bind: {}}, {setWeight: 100}]}
";

/// Builds the lab for a scenario whose `spec` is this YAML, in which b has targets.
fn world(spec: &str) -> World {
    let plan = cutover::plan::lint("test", PLAN.as_bytes()).unwrap_or_else(|e| panic!("{e}"));
    let text = format!("apiVersion: cutover.dev/v1alpha1\nkind: Scenario\nmetadata: {{name: test}}\nspec: {spec}\n");
    let scenario = Scenario::parse("test.yaml", &text).expect("the scenario should parse");
    World::new(&plan, &scenario, 7, START).expect("the lab should accept the plan")
}

const BOUND: &str = "clusters: [{name: b, workload: {binding: {exists: true}}}]";

fn first_text(world: &mut World, form: &str, element: &str) -> String {
    let (status, xml) = elb_call(world, form, at(0));
    assert_eq!(status, 200, "{xml}");
    xml_texts(&xml, element).remove(0)
}

/// Returns the ARNs of the groups of a and b, and the listener.
fn resources(world: &mut World) -> ([String; 2], (String, bool)) {
    let group = |world: &mut World, name: &str| {
        first_text(world, &format!("Action=DescribeTargetGroups&Names.member.1=broker-{name}"), "TargetGroupArn")
    };
    let groups = [group(world, "a"), group(world, "b")];
    let balancer = first_text(world, "Action=DescribeLoadBalancers", "LoadBalancerArn");
    assert!(balancer.contains(":loadbalancer/net/edge/"), "{balancer}");
    let listener = first_text(world, &format!("Action=DescribeListeners&LoadBalancerArn={balancer}"), "ListenerArn");
    (groups, (listener, true))
}

fn send(world: &mut World, connection: Option<&str>, second: i64) -> Pick {
    let ask =
        ClientRequest { load_balancer: "edge", port: 5671, host: "x", path: "/", cookie: connection, headers: &[] };
    world.pick(&ask, at(second))
}

/// Returns the pod that a request reaches.
fn pod(pick: &Pick) -> String {
    match pick.outcome {
        RoutingOutcome::Target { pod, .. } => format!("{pod:?}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn existing_connections_stay_after_a_change_of_the_weights() {
    let mut world = world(&format!("{{{BOUND}}}"));
    let ([a, b], listener) = resources(&mut world);
    assert_eq!(elb_call(&mut world, &modify(&listener, &[(&a, 100), (&b, 0)], ""), at(0)).0, 200);
    let first = send(&mut world, None, 60);
    assert_eq!(first.cluster.as_deref(), Some("a"));
    let connection = first.set_cookie.clone().expect("a connection should be opened");
    assert_eq!(elb_call(&mut world, &modify(&listener, &[(&a, 0), (&b, 100)], ""), at(60)).0, 200);
    let kept = send(&mut world, Some(&connection), 900);
    assert_eq!((pod(&kept), kept.group.as_deref(), kept.cluster.is_none()), (pod(&first), Some(&*a), true));
    let new = send(&mut world, None, 900);
    assert_eq!((new.cluster.as_deref(), new.group.as_deref()), (Some("b"), Some(&*b)));
    let connections = |group: &str, from, to| world.group_counters(group, at(from), at(to)).connections;
    assert_eq!([connections(&a, 0, 600), connections(&a, 600, 1200), connections(&b, 600, 1200)], [1, 0, 1]);
}

#[test]
fn a_connection_to_a_pod_that_died_is_opened_again_elsewhere() {
    let mut world = world(&format!("{{{BOUND}, faults: [{{at: {{time: 2m}}, kill: {{cluster: a}}}}]}}"));
    let ([a, b], listener) = resources(&mut world);
    elb_call(&mut world, &modify(&listener, &[(&a, 50), (&b, 50)], ""), at(0));
    let opened: Vec<Pick> = (0..10).map(|_| send(&mut world, None, 60)).collect();
    let to_a = opened.iter().find(|pick| pick.cluster.as_deref() == Some("a")).expect("half of the connections");
    assert_eq!(opened.iter().filter(|pick| pick.cluster.as_deref() == Some("b")).count(), 5);
    let connection = to_a.set_cookie.clone().expect("a connection should be opened");
    assert_eq!(pod(&send(&mut world, Some(&connection), 100)), pod(to_a));
    let again = send(&mut world, Some(&connection), 130);
    assert!(again.set_cookie.is_some_and(|new| new != connection), "a new connection should be opened");
}

/// The checks of the targets are over TCP: any answer passes, whatever its status.
#[test]
fn health_checks_need_a_port_that_answers() {
    let mut world =
        world("{clusters: [{name: a, workload: {healthStatus: 500}}], faults: [{at: {time: 2m}, kill: {cluster: a}}]}");
    let ([a, _], _) = resources(&mut world);
    assert_eq!(target_states(&mut world, &a, at(100)), ["healthy"; 4]);
    let states = target_states(&mut world, &a, at(160));
    assert!(!states.contains(&"healthy".to_owned()), "{states:?}");
}

#[test]
fn the_listener_refuses_what_a_network_load_balancer_refuses() {
    let mut world = world("{}");
    let ([a, b], listener) = resources(&mut world);
    let prefix = "&PREFIX.ForwardConfig.TargetGroupStickinessConfig";
    let sticky = format!("{prefix}.Enabled=true");
    let (status, xml) = elb_call(&mut world, &modify(&listener, &[(&a, 1), (&b, 0)], &sticky), at(0));
    assert_eq!(status, 200, "{xml}");
    let (status, xml) = elb_call(
        &mut world,
        &modify(&listener, &[(&a, 1), (&b, 0)], &format!("{sticky}{prefix}.DurationSeconds=60")),
        at(0),
    );
    assert!(status == 400 && xml.contains("no duration"), "{xml}");
    let form = format!(
        "Action=ModifyListener&ListenerArn={}&DefaultActions.member.1.Type=fixed-response\
         &DefaultActions.member.1.FixedResponseConfig.StatusCode=200",
        listener.0
    );
    let (status, xml) = elb_call(&mut world, &form, at(0));
    assert!(status == 400 && xml.contains("not supported on network load balancers"), "{xml}");
}
