//! Helpers for the tests of the lab: a plan like the reference case, and API calls as clients make them.

use std::fmt::Write;

use cutover::lab::model::{ClientRequest, RoutingOutcome, World};
use cutover::lab::scenario::Scenario;
use cutover::plan::model::Plan;
use http::Request;
use hyper::body::Bytes;
use jiff::{SignedDuration, Timestamp};

/// The API path of cluster b's bindings for the workload.
pub const BINDINGS: &str = "/apis/elbv2.k8s.aws/v1beta1/namespaces/webapp/targetgroupbindings";

pub const START: Timestamp = Timestamp::UNIX_EPOCH;

/// The plan of the reference case: one load balancer, listeners 80 and 443, 36 actions.
const PLAN: &str = "apiVersion: cutover.dev/v1alpha1
kind: Cutover
metadata: {name: alpha-webapp}
spec:
  aws: {accountId: \"123456789012\", region: ap-northeast-2}
  clusters: [{name: a, eks: alpha-kr-a}, {name: b, eks: alpha-kr-b}]
  workloads:
    - name: webapp
      service: {namespace: webapp, name: webapp, port: http}
      routes:
        - alb: {loadBalancer: alpha-webapp, listeners: [80, 443], targetGroups: {a: alpha-webapp-a, b: alpha-webapp-b}, expect: 36}
  strategy:
    from: a
    to: b
    settle: 30s
    steps: [{bind: {}}, {setWeight: 1, name: first-traffic}, {pause: {duration: 10m}}, {setWeight: 100}]
";

pub fn plan() -> Plan {
    cutover::plan::lint("test", PLAN.as_bytes()).unwrap_or_else(|e| panic!("{e}"))
}

/// Builds the lab for the reference plan and a scenario whose `spec` is this YAML.
pub fn world(spec: &str) -> World {
    let text = format!("apiVersion: cutover.dev/v1alpha1\nkind: Scenario\nmetadata: {{name: test}}\nspec: {spec}\n");
    let scenario = Scenario::parse("test.yaml", &text).expect("the scenario should parse");
    World::new(&plan(), &scenario, 7, START).expect("the lab should accept the plan")
}

/// Returns the time this many seconds after the start.
pub fn at(seconds: i64) -> Timestamp {
    START.checked_add(SignedDuration::from_secs(seconds)).expect("the time should be in range")
}

/// Sends an ELBv2 call; returns the status and the body.
pub fn elb_call(world: &mut World, form: &str, now: Timestamp) -> (u16, String) {
    let answer = world.aws(&request(form), now);
    (answer.response.status().as_u16(), String::from_utf8_lossy(answer.response.body()).into_owned())
}

/// Builds the HTTP request of an ELBv2 call.
pub fn request(form: &str) -> Request<Bytes> {
    let body = Bytes::from(format!("{form}&Version=2015-12-01"));
    Request::post("/")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body)
        .expect("the request should be valid")
}

/// Returns the texts of all XML elements with this name, in order.
pub fn xml_texts(xml: &str, element: &str) -> Vec<String> {
    let (open, close) = (format!("<{element}>"), format!("</{element}>"));
    xml.split(&open).skip(1).filter_map(|rest| rest.split_once(&close)).map(|(text, _)| text.to_owned()).collect()
}

/// Returns the ARNs of the target groups `a`, `b` and `default`.
pub fn groups(world: &mut World, now: Timestamp) -> [String; 3] {
    ["a", "b", "default"].map(|n| {
        let (_, xml) = elb_call(world, &format!("Action=DescribeTargetGroups&Names.member.1=alpha-webapp-{n}"), now);
        xml_texts(&xml, "TargetGroupArn").remove(0)
    })
}

/// Returns every route: the ARN to write to, and whether the route is a listener's default action.
pub fn routes(world: &mut World, now: Timestamp) -> Vec<(String, bool)> {
    let (_, xml) = elb_call(world, "Action=DescribeLoadBalancers", now);
    let balancer = xml_texts(&xml, "LoadBalancerArn").remove(0);
    let (_, xml) = elb_call(world, &format!("Action=DescribeListeners&LoadBalancerArn={balancer}"), now);
    let mut found = Vec::new();
    for listener in xml_texts(&xml, "ListenerArn") {
        let (_, xml) = elb_call(world, &format!("Action=DescribeRules&ListenerArn={listener}"), now);
        found.push((listener, true));
        found.extend(
            xml_texts(&xml, "RuleArn")
                .into_iter()
                .zip(xml_texts(&xml, "IsDefault"))
                .filter(|(_, d)| d == "false")
                .map(|(r, _)| (r, false)),
        );
    }
    found
}

/// Builds a call that sets a route's weights. `more` is appended to the form, with `PREFIX.` replaced by the path of
/// the forward action.
pub fn modify(route: &(String, bool), weights: &[(&str, u32)], more: &str) -> String {
    let (action, arn, list) = if route.1 {
        ("ModifyListener", "ListenerArn", "DefaultActions")
    } else {
        ("ModifyRule", "RuleArn", "Actions")
    };
    let mut form = format!("Action={action}&{arn}={}&{list}.member.1.Type=forward", route.0);
    for (n, (group, weight)) in (1..).zip(weights) {
        let tuple = format!("{list}.member.1.ForwardConfig.TargetGroups.member.{n}");
        let _ = write!(form, "&{tuple}.TargetGroupArn={group}&{tuple}.Weight={weight}");
    }
    form + &more.replace("PREFIX.", &format!("{list}.member.1."))
}

/// Sends `count` requests to the reachable routes in turn. Returns how many went to cluster a, to cluster b, and
/// elsewhere.
pub fn send_requests(world: &mut World, count: usize, now: Timestamp) -> [usize; 3] {
    let places = world.sample_requests();
    let mut seen = [0; 3];
    for (load_balancer, port, host, path) in places.iter().cycle().take(count) {
        let pick =
            world.pick(&ClientRequest { load_balancer, port: *port, host, path, cookie: None, headers: &[] }, now);
        let target = matches!(pick.outcome, RoutingOutcome::Target { .. });
        match pick.cluster.as_deref() {
            Some("a") if target => seen[0] += 1,
            Some("b") if target => seen[1] += 1,
            _ => seen[2] += 1,
        }
    }
    seen
}

/// Returns the states of a group's targets, sorted.
pub fn target_states(world: &mut World, group: &str, now: Timestamp) -> Vec<String> {
    let (_, xml) = elb_call(world, &format!("Action=DescribeTargetHealth&TargetGroupArn={group}"), now);
    let mut states = xml_texts(&xml, "State");
    states.sort();
    states
}

/// Calls the API of cluster b; returns the status.
pub fn kube(world: &mut World, method: &str, path: &str, body: &serde_json::Value, now: Timestamp) -> u16 {
    kube_call(world, method, path, body, now).0
}

/// Returns the object of cluster b at a path.
pub fn kube_get(world: &mut World, path: &str, now: Timestamp) -> serde_json::Value {
    serde_json::from_slice(&kube_call(world, "GET", path, &serde_json::Value::Null, now).1)
        .expect("the response should be JSON")
}

fn kube_call(world: &mut World, method: &str, path: &str, body: &serde_json::Value, now: Timestamp) -> (u16, Bytes) {
    let body = Bytes::from(if body.is_null() { String::new() } else { body.to_string() });
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/json")
        .body(body)
        .expect("the request should be valid");
    match world.kube("b", &request, now).answer {
        cutover::lab::wire::kube::KubeResponse::Complete(response) => {
            (response.status().as_u16(), response.into_body())
        }
        cutover::lab::wire::kube::KubeResponse::Watch(_) => panic!("the response must not be a watch"),
    }
}

/// Builds a binding of the Service `webapp` to a group.
pub fn binding(group: &str) -> serde_json::Value {
    serde_json::json!({
        "apiVersion": "elbv2.k8s.aws/v1beta1", "kind": "TargetGroupBinding", "metadata": {"name": "alpha-webapp-b", "namespace": "webapp"},
        "spec": {"serviceRef": {"name": "webapp", "port": "http"}, "targetGroupARN": group, "targetType": "ip"},
    })
}
