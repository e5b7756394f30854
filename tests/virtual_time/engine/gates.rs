//! Metric gates in whole runs: what the lab's load balancer counts decides.

use cutover::app::exit::Exit;
use cutover::domain::metric::verdict::judge::GateResult;
use cutover::domain::run::event::{Event, WaitReason};
use cutover::lab::rehearsal::Options;

use super::small;
use super::theatre::{Theatre, exit, scenario, word};

const GATES: &str = "metrics: [{name: errors, exec: {command: [/bin/false]}, errorRate: {}}, \
                     {name: share, guard: false, exec: {command: [/bin/false]}, share: {}}]";
const STEPS: &str = "[{bind: {}}, {setWeight: 20, name: some}, {pause: {duration: 10m}}, {setWeight: 50, name: half}, {pause: {duration: 8m}}, \
                     {setWeight: 100}, {pause: {duration: 2m}}]";

fn calls(theatre: &Theatre, name: &str) -> Vec<GateResult> {
    let called = |event| {
        if let Event::VerdictChanged { gate, verdict: call, .. } = event {
            (gate == name).then_some(call)
        } else {
            None
        }
    };
    theatre.records().into_iter().filter_map(|r| called(r.event)).collect()
}

async fn begin(gates: &str, spec: &str) -> Theatre {
    let plan = small::gated(gates, "", STEPS);
    Theatre::begin_at(plan, &scenario(spec), Options { speed: None, rate: Some(30.0) }, |_| {}).await
}

#[tokio::test(start_paused = true)]
async fn equal_sides_pass_and_all_of_it_moves() {
    let mut theatre = begin(GATES, "{}").await;
    let end = theatre.run().await;
    assert_eq!((word(&end), exit(&end)), ("completed", Exit::Done), "{}", theatre.lines());
    theatre.assert_shares(100, &[]);
    // With the whole traffic on one side there is nothing to compare, and a share still.
    for (gate, passes) in [("errors", 2), ("share", 3)] {
        assert_eq!(
            calls(&theatre, gate).iter().filter(|c| **c == GateResult::Pass).count(),
            passes,
            "{gate}: {}",
            theatre.lines()
        );
    }
}

/// Health checks pass, and users see errors: what only a metric can tell.
#[tokio::test(start_paused = true)]
async fn a_green_that_errs_is_put_back() {
    let faults = "{faults: [{at: {step: some, after: 4m}, error: {cluster: to, requests: 10, clientsOnly: true}}]}";
    let mut theatre = begin(GATES, faults).await;
    let end = theatre.run().await;
    assert_eq!((word(&end), exit(&end)), ("rolled back", Exit::RolledBack), "{}", theatre.lines());
    theatre.assert_original(&[]);
    theatre.assert_attached();
    assert_eq!(calls(&theatre, "errors").last(), Some(&GateResult::Fail));
    assert!(theatre.lines().contains("guard gate failed: gate errors: b fails "), "{}", theatre.lines());
}

#[tokio::test(start_paused = true)]
async fn what_is_only_watched_moves_nothing() {
    let watched = GATES.replace("{name: errors,", "{name: errors, dryRun: true,");
    let faults = "{faults: [{at: {step: some, after: 4m}, error: {cluster: to, requests: 10, clientsOnly: true}}]}";
    let mut theatre = begin(&watched, faults).await;
    let end = theatre.run().await;
    assert_eq!(word(&end), "completed", "{}", theatre.lines());
    assert!(calls(&theatre, "errors").contains(&GateResult::Fail));
    assert!(theatre.lines().contains("gate errors (dry run) fails"));
}

/// Too few requests to tell: the run waits, says for what, and after the time-out waits for a person. Nothing was
/// raised.
#[tokio::test(start_paused = true)]
async fn without_requests_nothing_is_raised() {
    let gates = GATES.replace("{name: errors,", "{name: errors, minRequests: 1000000,");
    let mut theatre = begin(&gates, "{}").await;
    let end = theatre.run().await;
    assert_eq!(exit(&end), Exit::Waiting, "{}", theatre.lines());
    theatre.assert_shares(20, &[]);
    let waits = |event: &Event| matches!(event, Event::Waiting { waits } if waits.iter().any(|w| w.reason == WaitReason::MetricGate));
    assert!(theatre.records().iter().any(|r| waits(&r.event)));
    let lines = theatre.lines();
    assert!(
        lines.contains("of the 1000000 requests that a verdict needs")
            && lines.contains("not ready within 20m: gate errors does not pass yet"),
        "{lines}"
    );
}
