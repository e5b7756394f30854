//! Metric gates over real sockets, in complete runs.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use cutover::adapter::aws;
use cutover::adapter::metric::Sources;
use cutover::adapter::store::memory::MemoryStore;
use cutover::app::prepare::prepare;
use cutover::domain::metric::gate::MeasuredValue;
use cutover::domain::metric::verdict::judge::GateResult;
use cutover::domain::run::event::{Event, Record, RunOutcome, Wait};
use cutover::domain::run::observation::Observed;
use cutover::domain::run::state::State;
use cutover::engine::inventory::ReadPacer;
use cutover::engine::{Ending, Interrupt, Ports, RunLoop, Settings, Subscriber, ownership};
use cutover::lab::rehearsal::{Options, RehearsalLab};
use cutover::lab::scenario::Scenario;
use cutover::plan::model::Plan;
use cutover::port::Metrics;
use cutover::port::store::{Store, run_id};
use jiff::Timestamp;

/// A scenario whose new cluster fails a quarter of its requests once it has half of the traffic.
pub const FAULTY_SCENARIO: &str = "apiVersion: cutover.dev/v1alpha1
kind: Scenario
metadata: {name: faulty}
spec:
  faults: [{at: {share: {cluster: to, atLeast: 50}}, error: {cluster: to, requests: 25, clientsOnly: true}}]
";

/// Returns a plan that binds, gives `b` 50 %, pauses, and gives `b` 100 %, with these gates.
pub fn plan(gates: &str, pause: &str) -> Plan {
    let text = format!(
        "apiVersion: cutover.dev/v1alpha1
kind: Cutover
metadata: {{name: shop}}
spec:
  aws: {{accountId: \"123456789012\", region: eu-central-1}}
  clusters: [{{name: a, eks: shop-a}}, {{name: b, eks: shop-b}}]
  workloads:
    - name: shop
      service: {{namespace: shop, name: shop, port: 8080}}
      routes: [{{alb: {{loadBalancer: shop, listeners: [443], targetGroups: {{a: shop-a, b: shop-b}}, rules: [{{priority: 10}}]}}}}]
  strategy:
    from: a
    to: b
    settle: 2s
    gates:
      targetHealth: {{raise: {{stableFor: 1s}}, guard: {{for: 20s}}}}
      metrics: [{gates}]
    steps: [{{bind: {{}}}}, {{setWeight: 50}}, {{pause: {{duration: {pause}}}}}, {{setWeight: 100}}]
"
    );
    cutover::plan::lint("shop.yaml", text.as_bytes()).unwrap_or_else(|e| panic!("{e}"))
}

struct Follower<'a>(&'a RehearsalLab, Vec<Record>);

impl Subscriber for Follower<'_> {
    fn record(&mut self, record: &Record) {
        self.0.on_event(&record.event);
        self.1.push(record.clone());
    }

    fn iteration_ended(&mut self, _: &State, _: &Observed, _: &[Wait], _: Timestamp) {}
}

/// Runs a plan on a live lab with the production metric sources, and returns the records.
pub async fn run(plan: &Plan, stage: &RehearsalLab) -> (Ending, Vec<Record>) {
    let config = aws::config(&stage.live_lab().expect("the lab should run on real time").aws_settings()).await;
    let metrics: Arc<dyn Metrics> = Arc::new(Sources::new(plan, &config, &stage.clusters));
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let ports = Ports {
        balancer: stage.balancer.clone(),
        clusters: stage.clusters.clone(),
        compared: stage.compared.clone(),
        items: stage.items.clone(),
        metrics,
        hooks: Arc::clone(&stage.hooks),
        clock: Arc::clone(&stage.clock),
        reads: ReadPacer::new(Arc::clone(&stage.clock)),
        store,
    };
    let prepared = prepare(plan, &ports, 1).await;
    assert!(prepared.refusal().is_none(), "{:?}", prepared.report.findings);
    let started = prepared.started_event(plan, "alice@mac", 1, None).unwrap_or_else(|e| panic!("{e}"));
    let settings = Settings {
        gap: Duration::from_mins(5),
        max_reading_age: Duration::from_mins(1),
        ..Settings::new("alice@mac".into(), "mac".into(), 3)
    };
    let id = run_id(&plan.name, ports.clock.now(), &mut fastrand::Rng::with_seed(1));
    let ownership =
        ownership::own_new_run(&ports, &settings, plan.marker, &id, started).await.unwrap_or_else(|e| panic!("{e}"));
    let mut follower = Follower(stage, Vec::new());
    let mut run = RunLoop::open(plan, ports, settings, ownership, Interrupt::default(), &mut follower)
        .await
        .unwrap_or_else(|e| panic!("{e}"));
    let ending = tokio::time::timeout(Duration::from_hours(1), run.drive()).await;
    drop(run);
    let records_text =
        || follower.1.iter().map(|r| cutover::domain::run::journal::to_json(r).to_string() + "\n").collect::<String>();
    let ending = ending
        .unwrap_or_else(|_| panic!("the run did not end within five minutes\n{}", records_text()))
        .unwrap_or_else(|e| panic!("{e}\n{}", records_text()));
    (ending, follower.1)
}

/// Asserts that the run rolled back automatically because the gate `errors` failed on the counts of the source, and for
/// no other reason.
pub fn assert_rolled_back(ending: &Ending, records: &[Record]) {
    let events = || records.iter().map(|r| &r.event);
    assert!(matches!(ending, Ending::Finished { outcome: RunOutcome::RolledBack, .. }), "{ending:?} {records:#?}");
    let failed = events()
        .any(|e| matches!(e, Event::GateFailed { message, .. } if message.starts_with("gate errors: b fails ")));
    let reported = events()
        .any(|e| matches!(e, Event::VerdictChanged { gate, verdict: GateResult::Fail, .. } if gate == "errors"));
    let counted = events().filter(
        |e| matches!(e, Event::GateMeasured { measurement, .. } if matches!(&measurement.seen, MeasuredValue::Counts { new, .. } if new.errors > 0)),
    );
    assert!(failed && reported && counted.count() >= 3, "{records:#?}");
}

/// Starts a server that responds to probes as expected this many times, and then with 503.
fn probe_server(well: usize) -> String {
    use std::io::{Read, Write};
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port should exist");
    let address = listener.local_addr().expect("the listener should have an address");
    std::thread::spawn(move || {
        for (n, stream) in listener.incoming().enumerate() {
            let Ok(mut stream) = stream else { return };
            let _ = stream.read(&mut [0; 2048]);
            let (status, body) = if n < well { ("200 OK", "all fine") } else { ("503 Service Unavailable", "") };
            let answer =
                format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    format!("http://{address}/health")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gates_read_a_command_a_probe_and_a_rollout() {
    let gates = format!(
        "{{name: smoke, interval: 5s, exec: {{command: [sh, -c, 'echo \"{{\\\"value\\\": $0}}\"', '3']}}, successCondition: {{atMost: 5}}}},          {{name: rollout, interval: 5s, kubernetes: {{maxRestarts: 0}}}},          {{name: front, interval: 5s, http: {{url: \"{}\", body: fine}}, failureLimit: 1}}",
        probe_server(3)
    );
    let plan = plan(&gates, "30m");
    let options = Options { speed: Some(10.0), rate: Some(5.0) };
    let stage =
        RehearsalLab::live(plan.clone(), &Scenario::default(), 1, options).await.unwrap_or_else(|e| panic!("{e}"));
    let (ending, records) = run(&plan, &stage).await;
    let last = |name: &str| {
        let verdict_of = |e: &Event| {
            if let Event::VerdictChanged { gate, verdict: call, why, .. } = e {
                (gate == name).then(|| (*call, why.clone()))
            } else {
                None
            }
        };
        records
            .iter()
            .filter_map(|r| verdict_of(&r.event))
            .next_back()
            .unwrap_or_else(|| panic!("gate {name} has no verdict: {records:#?}"))
    };
    assert!(matches!(ending, Ending::Finished { outcome: RunOutcome::RolledBack, .. }), "{ending:?} {records:#?}");
    assert_eq!((last("smoke").0, last("rollout").0), (GateResult::Pass, GateResult::Pass), "{records:#?}");
    let (call, why) = last("front");
    assert!(call == GateResult::Fail && why.contains("the status is 503, but 200 is expected"), "{why}");
    assert!(last("rollout").1.contains("pods ready"), "{}", last("rollout").1);
    stage.stop().await;
}

/// The CloudWatch gates.
pub const CLOUDWATCH_GATES: &str =
    "{name: errors, delay: 1m, cloudWatch: {}, errorRate: {}}, {name: trusted, cloudWatchAlarms: [shop-5xx]}";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cloudwatch_fails_the_gate_of_a_faulty_new_cluster() {
    let scenario = Scenario::parse("faulty", FAULTY_SCENARIO).expect("the scenario should be valid");
    let plan = plan(CLOUDWATCH_GATES, "60m");
    let stage = RehearsalLab::live(plan.clone(), &scenario, 1, Options { speed: Some(40.0), rate: Some(5.0) })
        .await
        .unwrap_or_else(|e| panic!("{e}"));
    let (ending, records) = run(&plan, &stage).await;
    assert_rolled_back(&ending, &records);
    let trusted =
        |e: &Event| matches!(e, Event::VerdictChanged { gate, verdict: GateResult::Pass, .. } if gate == "trusted");
    assert!(records.iter().any(|r| trusted(&r.event)), "{records:#?}");
    stage.stop().await;
}

/// The gate `errors`, which asks the lab's own API by the address that `cutover lab` exports.
fn lab_gate(stage: &RehearsalLab) -> String {
    let url = stage.live_lab().expect("the lab should run on real time").metrics_url();
    format!(
        "{{name: errors, interval: 3s, prometheus: {{address: \"{url}\", \
          requests: 'sum(increase(http_requests_total{{cluster=\"{{{{cluster}}}}\"}}[{{{{window}}}}]))', \
          errors: 'sum(increase(http_requests_total{{cluster=\"{{{{cluster}}}}\",code=~\"5..\"}}[{{{{window}}}}]))'}}, \
          errorRate: {{minBake: 5s}}}}"
    )
}

async fn run_with_lab_gate(scenario: &Scenario, pause: &str) -> (Ending, Vec<Record>) {
    let options = Options { speed: Some(1.0), rate: Some(100.0) };
    let stage = RehearsalLab::live(plan("", "1m"), scenario, 1, options).await.unwrap_or_else(|e| panic!("{e}"));
    let ended = run(&plan(&lab_gate(&stage), pause), &stage).await;
    stage.stop().await;
    ended
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_labs_own_prometheus_fails_the_gate_of_a_faulty_new_cluster() {
    let scenario = Scenario::parse("faulty", FAULTY_SCENARIO).expect("the scenario should be valid");
    let (ending, records) = run_with_lab_gate(&scenario, "10m").await;
    assert_rolled_back(&ending, &records);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_labs_own_prometheus_passes_the_gate_of_a_good_new_cluster() {
    let (ending, records) = run_with_lab_gate(&Scenario::default(), "10s").await;
    assert!(matches!(ending, Ending::Finished { outcome: RunOutcome::Completed, .. }), "{ending:?} {records:#?}");
    let passed = |e: &Event| matches!(e, Event::VerdictChanged { verdict: GateResult::Pass, .. });
    assert!(records.iter().any(|r| passed(&r.event)), "{records:#?}");
}
