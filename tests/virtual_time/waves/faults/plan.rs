//! The plan: twelve workloads in four waves over two Application Load Balancers, a Network Load Balancer and HAProxy, with
//! header routes and a hand-over; and its lab.

use std::time::Duration;

use cutover::lab::model::World;
use cutover::lab::scenario::Scenario;
use cutover::plan::model::Plan;
use jiff::Timestamp;

/// The pause between two waves.
pub const BETWEEN: Duration = Duration::from_mins(1);

/// The share that another team's group has on the load balancer `edge`, beside 100 for the plan's groups.
const THIRD_PARTY: u32 = 20;

const PLAN: &str = "apiVersion: cutover.dev/v1alpha1
kind: Cutover
metadata: {name: cluster}
spec:
  aws: {accountId: \"123456789012\", region: eu-central-1}
  clusters: [{name: a, kubeContext: a}, {name: b, kubeContext: b}]
  workloads:
    - name: reports
      service: {namespace: shop, name: reports, port: 8080}
      routes: [{alb: {loadBalancer: inner, listeners: [443], targetGroups: {a: reports-a, b: reports-b}, rules: [{priority: 10}]}}]
    - name: batch
      service: {namespace: shop, name: batch, port: 8080}
      routes: [{alb: {loadBalancer: inner, listeners: [443], targetGroups: {a: batch-a, b: batch-b}, rules: [{priority: 20}]}}]
    - name: mail
      service: {namespace: shop, name: mail, port: 25}
      routes: [{nlb: {loadBalancer: net, settle: 20s, listeners: [25], targetGroups: {a: mail-a, b: mail-b}}}]
    - name: web
      service: {namespace: shop, name: web, port: 8080}
      routes: [{alb: {loadBalancer: edge, listeners: [443], targetGroups: {a: web-a, b: web-b}, rules: [{priority: 10}]}}]
    - name: checkout
      service: {namespace: shop, name: checkout, port: 8080}
      routes: [{alb: {loadBalancer: edge, listeners: [443], targetGroups: {a: checkout-a, b: checkout-b}, rules: [{priority: 20}]}}]
    - name: search
      service: {namespace: shop, name: search, port: 8080}
      routes: [{alb: {loadBalancer: inner, listeners: [443], targetGroups: {a: search-a, b: search-b}, rules: [{priority: 30}]}}]
    - name: cart
      routes: [{haproxy: {instances: ['tcp://10.0.1.10:9999', 'tcp://10.0.1.20:9999'], backend: cart, servers: {a: 'a-*', b: 'b-*'}}}]
    - name: stock
      routes: [{haproxy: {instances: ['tcp://10.0.1.10:9999', 'tcp://10.0.1.20:9999'], backend: stock, servers: {a: 'a-*', b: 'b-*'}}}]
    - name: push
      service: {namespace: shop, name: push, port: 443}
      routes: [{nlb: {loadBalancer: net, settle: 20s, listeners: [443], targetGroups: {a: push-a, b: push-b}}}]
    - name: office
      service: {namespace: shop, name: office, port: 8080}
      routes: [{alb: {loadBalancer: edge, listeners: [443], targetGroups: {a: office-a, b: office-b}, rules: [{priority: 30}]}}]
    - name: admin
      service: {namespace: shop, name: admin, port: 8080}
      routes: [{alb: {loadBalancer: inner, listeners: [443], targetGroups: {a: admin-a, b: admin-b}, rules: [{priority: 40}]}}]
    - name: feed
      service: {namespace: shop, name: feed, port: 990}
      routes: [{nlb: {loadBalancer: net, settle: 20s, listeners: [990], targetGroups: {a: feed-a, b: feed-b}}}]
  waves:
    - {name: inside, workloads: [reports, batch, mail]}
    - name: public
      workloads: [web, checkout, search]
      steps:
        - bind: {}
        - setHeaderRoute: {match: [{headerName: X-Canary, headerValue: {exact: yes}}]}
        - setWeight: 20
        - pause: {duration: 10s}
        - setWeight: 100
    - {name: servers, workloads: [cart, stock, push], steps: [{bind: {}}, {setWeight: 50}, {setWeight: 100}]}
    - name: jobs
      workloads: [office, admin, feed]
      steps:
        - bind: {}
        - setWeight: 50
        - handOver:
            cronJobs: [{namespace: shop, name: nightly}]
            workers: [{namespace: shop, kind: Deployment, name: queue}, {namespace: shop, kind: StatefulSet, name: ledger}]
            drain: 3m
        - setWeight: 100
  strategy:
    from: a
    to: b
    observeEvery: 5m
    settle: 5s
    gates:
      targetHealth:
        raise: {minHealthy: 1, stableFor: 12s}
        guard: {minHealthyPercent: 70, for: 30s}
        timeout: 5m
    waves: {between: {duration: 1m}}
    steps: [{bind: {}}, {setWeight: 50}, {pause: {duration: 10s}}, {setWeight: 100}]
";

/// The workloads whose targets a schedule may kill in the new cluster.
pub const MORTAL: [&str; 8] = ["reports", "batch", "web", "checkout", "search", "office", "admin", "feed"];

/// Returns the plan.
pub fn plan() -> Plan {
    of_text(PLAN)
}

/// Returns the plan with edits of its text.
pub fn edited(edits: &[(&str, &str)]) -> Plan {
    let edit = |text: String, (from, to): &(&str, &str)| {
        assert!(text.contains(from), "the plan has no text `{from}`");
        text.replace(from, to)
    };
    of_text(&edits.iter().fold(PLAN.to_owned(), edit))
}

fn of_text(text: &str) -> Plan {
    cutover::plan::lint("waves", text.as_bytes()).unwrap_or_else(|e| panic!("{}", cutover::plan::render(&e, false)))
}

/// Returns the wave of each workload, as the number of the wave.
pub fn wave_of(plan: &Plan, workload: &str) -> Option<usize> {
    plan.waves.iter().position(|wave| wave.workloads.iter().any(|name| name == workload))
}

/// Creates the world: a third party has a share on one load balancer, and one rule has a login.
pub fn world(start: Timestamp) -> World {
    let mut faults = Vec::new();
    for workload in MORTAL {
        faults.push(format!("{{at: {{step: kill-{workload}}}, kill: {{cluster: b, workload: {workload}}}}}"));
    }
    let text = format!(
        "apiVersion: cutover.dev/v1alpha1
kind: Scenario
metadata: {{name: waves}}
spec:
  loadBalancers: [{{name: edge, thirdParty: {{edge-other: {THIRD_PARTY}}}}}]
  faults: [{}]
",
        faults.join(", ")
    );
    let scenario = Scenario::parse("waves", &text).unwrap_or_else(|e| panic!("{e}"));
    let mut world = World::new(&plan(), &scenario, 1, start).unwrap_or_else(|e| panic!("{e}"));
    add_login(&mut world, start);
    world
}

/// Puts a login before the forward action of the workload `web`.
fn add_login(world: &mut World, now: Timestamp) {
    let routes = world.snapshot().routes;
    let forwards = |actions: &[serde_json::Value]| actions.iter().any(|a| a.to_string().contains("targetgroup/web-a/"));
    let (rule, actions) = routes.iter().find(|(_, actions)| forwards(actions)).expect("web should have a rule");
    let mut form = vec![
        ("Action".to_owned(), "ModifyRule".to_owned()),
        ("Version".to_owned(), "2015-12-01".to_owned()),
        ("RuleArn".to_owned(), rule.clone()),
    ];
    let mut put = |key: &str, value: &str| form.push((format!("Actions.member.{key}"), value.to_owned()));
    put("1.Type", "authenticate-cognito");
    put("1.Order", "1");
    let cognito = "1.AuthenticateCognitoConfig.";
    put(&format!("{cognito}UserPoolArn"), "arn:aws:cognito-idp:eu-central-1:123456789012:userpool/eu-central-1_a");
    put(&format!("{cognito}UserPoolClientId"), "client");
    put(&format!("{cognito}UserPoolDomain"), "shop");
    put("2.Type", "forward");
    put("2.Order", "2");
    let forward = actions.iter().find(|a| a["Type"] == "forward").expect("the rule should forward");
    let groups = forward["ForwardConfig"]["TargetGroups"].as_array().expect("the groups of the rule");
    for (number, group) in (1..).zip(groups) {
        let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let member = format!("2.ForwardConfig.TargetGroups.member.{number}.");
        put(&format!("{member}TargetGroupArn"), &text(&group["TargetGroupArn"]));
        put(&format!("{member}Weight"), &text(&group["Weight"]));
    }
    let body = form_text(&form);
    let request = http::Request::post("/").body(body.into()).expect("the request should be valid");
    let answer = world.aws(&request, now);
    assert!(answer.response.status().is_success(), "{:?}", answer.response);
}

fn form_text(form: &[(String, String)]) -> String {
    form.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join("&")
}
