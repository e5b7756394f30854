//! The lab's live and virtual servers with the production adapters.

use std::sync::Arc;
use std::time::Duration;

use cutover::domain::elb::balancer::{LiveRoute, TargetGroup};
use cutover::domain::health::TargetState;
use cutover::domain::kubernetes::binding::Binding;
use cutover::domain::run::event::{ClientMeasurement, Event, RunOutcome, StepType};
use cutover::domain::traffic::{Member, RouteContent};
use cutover::lab::rehearsal::{Options, RehearsalLab};
use cutover::lab::scenario::Scenario;
use cutover::plan::model::{Plan, Selector};
use cutover::port::{Detail, Groups, WriteError};

const PLAN: &str = "apiVersion: cutover.dev/v1alpha1
kind: Cutover
metadata: {name: shop}
spec:
  aws: {accountId: \"123456789012\", region: eu-central-1}
  clusters: [{name: a, eks: shop-blue}, {name: b, kubeContext: green}]
  workloads:
    - name: web
      service: {namespace: shop, name: web, port: 80}
      routes: [{alb: {loadBalancer: shop, targetGroups: {a: shop-a, b: shop-b}}}]
  strategy: {from: a, to: b, settle: 30s, steps: [{bind: {}}, {setWeight: 20}, {pause: {duration: 10m}}]}
";

fn plan() -> Plan {
    cutover::plan::lint("-", PLAN.as_bytes()).unwrap_or_else(|e| panic!("{e}"))
}

fn scenario(spec: &str) -> Scenario {
    let text = format!("apiVersion: cutover.dev/v1alpha1\nkind: Scenario\nmetadata: {{name: test}}\n{spec}");
    Scenario::parse("test", &text).expect("the scenario should be valid")
}

/// Returns every route that forwards.
async fn routes(stage: &RehearsalLab) -> Vec<LiveRoute> {
    let selector = Selector::Name("shop".into());
    let found = stage
        .balancer
        .inventory
        .load_balancers(&selector, Detail::Listed)
        .await
        .expect("the load balancer should exist");
    let listeners = stage
        .balancer
        .inventory
        .listeners(&found[0].arn, Detail::Listed)
        .await
        .expect("the listeners should be readable");
    listeners.into_iter().flat_map(|(_, routes)| routes).filter(|r| r.forwards().is_some()).collect()
}

/// Returns the ARNs of the plan's groups.
async fn groups(stage: &RehearsalLab) -> [String; 2] {
    let mut arns = [String::new(), String::new()];
    for (arn, name) in arns.iter_mut().zip(["shop-a", "shop-b"]) {
        *arn = group(stage, &Selector::Name(name.into())).await.arn;
    }
    arns
}

async fn group(stage: &RehearsalLab, selector: &Selector) -> TargetGroup {
    stage
        .balancer
        .inventory
        .target_groups(Groups::Matching(selector), Detail::Full)
        .await
        .expect("the group should exist")
        .remove(0)
}

fn with_weights(route: &LiveRoute, groups: &[String; 2], weights: [u16; 2]) -> RouteContent {
    let mut content = route.content.clone();
    for (arn, weight) in groups.iter().zip(weights) {
        content.split.members.retain(|m| m.id != *arn);
        content.split.members.push(Member::new(arn.clone(), Some(weight)));
    }
    content
}

/// Does a cutover without the engine: attaches, binds, waits for health, shifts to 80/20 and measures.
async fn shift(stage: &RehearsalLab) -> ClientMeasurement {
    stage.step_changed(1);
    let (routes, groups) = (routes(stage).await, groups(stage).await);
    for route in &routes {
        write(stage, route, with_weights(route, &groups, [100, 0])).await;
    }
    bind(stage, &groups[1]).await;
    wait_until_healthy(stage, &groups[1]).await;
    stage.step_changed(2);
    for route in &routes {
        write(stage, route, with_weights(route, &groups, [80, 20])).await;
    }
    stage.clock.sleep(stage.plan.strategy.settle).await;
    assert_eq!(stage.on_event(&Event::Settled { step: 2 }), None);
    assert_eq!(stage.on_event(&Event::StepStarted { step: 3, kind: StepType::Bake, label: String::new() }), None);
    stage.clock.sleep(Duration::from_mins(10)).await;
    stage
        .on_event(&Event::Finished {
            outcome: RunOutcome::Completed,
            remarks: vec![],
            unresolved: Vec::new(),
            accepted: Vec::new(),
            notes: Vec::new(),
        })
        .expect("the shares should be measured")
}

async fn write(stage: &RehearsalLab, route: &LiveRoute, content: RouteContent) {
    for _ in 0..100 {
        match stage.balancer.traffic.set(&route.id, &content, Duration::from_secs(10)).await {
            Ok(()) => return,
            Err(WriteError::Throttled) => stage.clock.sleep(Duration::from_secs(1)).await,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the write was throttled 100 times");
}

async fn bind(stage: &RehearsalLab, group: &str) {
    let found = self::group(stage, &Selector::Arn(group.to_owned())).await;
    let binding =
        Binding::for_group(&stage.plan.workloads[0], "b", &found).expect("the workload should have a service");
    stage.clusters["b"].apply(&binding, false).await.expect("the binding should be applied");
}

async fn wait_until_healthy(stage: &RehearsalLab, group: &str) {
    for _ in 0..600 {
        let health = stage.balancer.traffic.health(&[group.to_owned()]).await;
        let targets = health[group].as_ref().expect("the target health should be readable");
        if !targets.is_empty() && targets.iter().all(|t| t.state == TargetState::Healthy) {
            return;
        }
        stage.clock.sleep(Duration::from_secs(1)).await;
    }
    panic!("the targets were not healthy within ten minutes");
}

fn assert_measured(measured: &ClientMeasurement, requests: u64) {
    assert_eq!((measured.step, measured.label.as_str(), measured.client_errors), (2, "a 80 %, b 20 %", 0));
    assert!(measured.requests >= requests, "{} requests", measured.requests);
    let green = &measured.clusters["b"];
    assert!((green.measured - 20.0).abs() < 1.0, "{green:?}");
}

fn in_virtual_time<T>(run: impl AsyncFnOnce() -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("the runtime should be created").block_on(run())
}

#[test]
fn virtual_time_runs_are_identical() {
    let run = || {
        in_virtual_time(async || {
            let stage = RehearsalLab::virtual_time(plan(), &Scenario::default(), 7, Options::default())
                .await
                .expect("the lab should start");
            let measured = shift(&stage).await;
            let calls = stage.model().call(|world, _| format!("{:#?}", world.calls()));
            stage.stop().await;
            // Yield once more, so that the server tasks notice that their clients have disconnected.
            tokio::time::sleep(Duration::from_millis(1)).await;
            assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
            (measured, calls)
        })
    };
    let (measured, calls) = run();
    assert_measured(&measured, 20_000);
    assert!(calls.contains("ModifyRule") && calls.contains("kubernetes/b"), "{calls}");
    assert_eq!((measured, calls), run());
}

#[test]
fn a_lost_response_is_an_unknown_outcome_and_the_write_takes_effect() {
    in_virtual_time(async || {
        let scenario = scenario("spec: {faults: [{at: {time: 1s}, late-write: {by: 0s}}]}");
        let stage =
            RehearsalLab::virtual_time(plan(), &scenario, 7, Options::default()).await.expect("the lab should start");
        stage.clock.sleep(Duration::from_secs(2)).await;
        let (route, groups) = (routes(&stage).await.remove(0), groups(&stage).await);
        let content = with_weights(&route, &groups, [99, 1]);
        let outcome = stage.balancer.traffic.set(&route.id, &content, Duration::from_secs(10)).await;
        assert!(matches!(outcome, Err(WriteError::Unanswered(_))), "{outcome:?}");
        let read = stage.balancer.traffic.routes(std::slice::from_ref(&route.id)).await;
        let live = read[&route.id].as_ref().expect("the route should exist").split.weight(&groups[1]);
        assert_eq!(live, Some(1));
        stage.stop().await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_sockets_clients_get_the_shares_and_every_server_stops() {
    let options = Options { speed: Some(240.0), rate: Some(1.25) };
    let stage = RehearsalLab::live(plan(), &Scenario::default(), 7, options).await.expect("the lab should start");
    let lab = stage.live_lab().expect("the lab should run on real time");
    let environment = lab.environment().to_vec();
    let variable = |name: &str| environment.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone()).expect(name);
    let kubeconfig = std::path::PathBuf::from(variable("KUBECONFIG"));
    let contexts =
        kube::config::Kubeconfig::read_from(&kubeconfig).expect("the kubeconfig should be readable").contexts;
    // The contexts: the EKS name, the ARN (the name that the AWS tools use), and the context of the plan.
    let arn = "arn:aws:eks:eu-central-1:123456789012:cluster/shop-blue";
    assert_eq!(contexts.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["shop-blue", arn, "green"]);
    let mut urls: Vec<String> = lab.listeners().iter().map(|d| d.url.clone()).collect();
    urls.extend(["a", "b"].map(|c| lab.cluster_url(c).expect("the cluster should have an API server")));
    urls.push(variable("AWS_ENDPOINT_URL"));

    assert_measured(&shift(&stage).await, 500);

    stage.stop().await;
    assert!(!kubeconfig.exists());
    for url in urls {
        let address = url.trim_start_matches("http://").to_owned();
        assert!(
            tokio::net::TcpStream::connect(&address).await.is_err(),
            "{url} must not respond after the lab has stopped"
        );
    }
}

/// Asserts the effect of a fault on the old cluster, on its health checks and on its clients over HTTP.
async fn assert_fault_effects(fault: &str, reason: &str) {
    let scenario = scenario(&format!("spec: {{faults: [{{at: {{time: 10m}}, {fault}}}]}}"));
    let options = Options { speed: Some(240.0), rate: Some(0.2) };
    let stage = RehearsalLab::live(plan(), &scenario, 7, options).await.expect("the lab should start");
    let [blue, _] = groups(&stage).await;
    wait_until_healthy(&stage, &blue).await;
    assert_eq!(stage.meter.take_window().total.errors, 0);
    stage.clock.sleep(Duration::from_mins(15)).await;
    let health = stage.balancer.traffic.health(std::slice::from_ref(&blue)).await;
    let targets = health[&blue].as_ref().expect("the target health should be readable");
    assert!(!targets.is_empty() && targets.iter().all(|t| t.reason.as_deref() == Some(reason)), "{targets:?}");
    let seen = Arc::clone(&stage.meter).take_window();
    assert!(seen.total.errors > 0, "clients must get errors: {seen:?}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failing_pods_fail_their_probes_over_http() {
    Box::pin(assert_fault_effects("error: {cluster: a, status: 502}", "Target.ResponseCodeMismatch")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_pods_time_out_by_the_labs_clock() {
    Box::pin(assert_fault_effects("slow: {cluster: a, by: 90s}", "Target.Timeout")).await;
}
