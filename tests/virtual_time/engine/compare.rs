//! The compare gate in whole runs, and the differences that the lab can show.

use std::time::Duration;

use cutover::app::exit::Exit;
use cutover::app::prepare::prepare;
use cutover::base::finding::Code;
use cutover::domain::compare::compare;
use cutover::domain::run::comparison::Comparison;
use cutover::domain::run::event::{Event, WaitReason};
use cutover::engine::compare_platform::read_both;
use cutover::lab::model::ApiCall;
use cutover::lab::rehearsal::{Options, RehearsalLab};
use cutover::lab::scenario::difference::Difference;
use jiff::{SignedDuration, Timestamp};

use super::small;
use super::test_run::{TestRun, ending_name, example, exit, plan, scenario};

const STEPS: &str = "[{bind: {}}, {setWeight: 10, name: some}, {pause: {duration: 30m}}, {setWeight: 50, name: half}, \
                     {pause: {duration: 20m}}, {setWeight: 100}, {pause: {duration: 2m}}]";

async fn begin(spec: &str) -> TestRun {
    let gated = small::gated("compare: {every: 5m}", "", STEPS);
    TestRun::begin(gated, &scenario(spec)).await
}

/// Returns the verdicts of the gate, each with its time.
fn verdicts(test_run: &TestRun) -> Vec<(Timestamp, Comparison)> {
    let verdict = |event| if let Event::Compared(comparison) = event { Some(comparison) } else { None };
    test_run.records().into_iter().filter_map(|r| Some((r.time, verdict(r.event)?))).collect()
}

/// Returns the time at which the run began the step with this label.
fn began(test_run: &TestRun, wanted: &str) -> Timestamp {
    let records = test_run.records();
    let step = records.iter().find(|r| matches!(&r.event, Event::StepStarted { label, .. } if label.contains(wanted)));
    step.unwrap_or_else(|| panic!("no step {wanted}")).time
}

fn compare_waits(test_run: &TestRun) -> Vec<String> {
    let waits = test_run.records().into_iter().filter_map(|r| match r.event {
        Event::Waiting { waits } => Some(waits),
        _ => None,
    });
    let waits = waits.flatten().filter(|wait| wait.reason == WaitReason::Compare);
    waits.map(|wait| wait.message).filter(|message| message.contains("holds")).collect()
}

/// A Deployment is updated in only one cluster during a bake: the next raise is held, with both digests, for longer than
/// the time-out of the gates, and goes on after the other cluster follows.
#[tokio::test(start_paused = true)]
async fn a_deploy_in_one_cluster_holds_the_next_raise_until_the_other_follows() {
    let mut test_run = TestRun::begin(plan("plans/compare.yaml"), &example("deploy-in-one-cluster")).await;
    let end = test_run.run().await;
    assert_eq!((ending_name(&end), exit(&end)), ("completed", Exit::Done), "{}", test_run.output());
    test_run.assert_shares(100, &[]);
    let verdicts = verdicts(&test_run);
    let free: Vec<_> = verdicts.iter().map(|(_, verdict)| verdict.allows_raises()).collect();
    assert_eq!((free.first(), free.last()), (Some(&true), Some(&true)), "{verdicts:?}");
    let (held_at, held) = verdicts.iter().find(|(_, verdict)| !verdict.allows_raises()).expect("a verdict that holds");
    let digests: Vec<_> = held.held[0].split("sha256:").skip(1).map(|rest| &rest[..64]).collect();
    assert!(held.held[0].starts_with("CUT120 Deployment shop/checkout") && digests.len() >= 2, "{held:?}");
    assert_ne!(digests[0], digests[1], "{held:?}");
    assert!(held.held[0].contains("blue runs") && held.held[0].contains("green runs"), "{held:?}");

    // The fault begins twenty minutes after the first traffic. The pods need some time to follow.
    let (some, half) = (began(&test_run, "some"), began(&test_run, "half"));
    let after = held_at.duration_since(some);
    assert!(after > SignedDuration::from_mins(20) && after < SignedDuration::from_mins(32), "{after:?}");
    let waits = compare_waits(&test_run);
    assert!(waits.iter().any(|wait| wait.contains("sha256:")), "{waits:?}");
    let mended = verdicts.iter().rev().find(|(_, verdict)| verdict.allows_raises()).expect("a verdict that passes").0;
    let waited = mended.duration_since(half);
    assert!(waited > SignedDuration::from_mins(20), "the wait must be longer than the time-out: {waited:?}");
    let records = test_run.records();
    assert!(!records.iter().any(|r| matches!(r.event, Event::Frozen { .. } | Event::GateFailed { .. })));
    let raised = records.iter().find(|r| r.time > half && matches!(r.event, Event::Intended { .. })).expect("a write");
    assert!(raised.time >= mended, "no share may rise while the comparison has an error");
    let output = test_run.output();
    assert!(output.contains("gate compare holds: ") && output.contains("gate compare passes: "), "{output}");
}

#[tokio::test(start_paused = true)]
async fn equal_clusters_hold_nothing_and_each_read_is_one_every_five_minutes() {
    let mut test_run = begin("{}").await;
    let end = test_run.run().await;
    assert_eq!((ending_name(&end), exit(&end)), ("completed", Exit::Done), "{}", test_run.output());
    let verdicts = verdicts(&test_run);
    assert_eq!(verdicts.len(), 1, "a verdict that does not change is journalled once: {verdicts:?}");
    assert_eq!((verdicts[0].1.errors, verdicts[0].1.warnings), (0, 0), "{verdicts:?}");
    assert!(compare_waits(&test_run).is_empty());
}

/// The gate reads the clusters, EKS, IAM and EC2. It makes no describe calls of the guard's budget.
#[tokio::test(start_paused = true)]
async fn the_gate_makes_no_describe_calls() {
    let mut calls = Vec::new();
    for gates in ["compare: {every: 1m}", ""] {
        let mut test_run = TestRun::begin(small::gated(gates, "", STEPS), &scenario("{}")).await;
        let end = test_run.run().await;
        assert_eq!(ending_name(&end), "completed", "{}", test_run.output());
        let (first, last) = (began(&test_run, "some"), began(&test_run, "half"));
        // The steps before `half` only bake, so that both runs read equally often.
        let counted = |call: &ApiCall| {
            let read = &*call.service == "elasticloadbalancing" && call.operation.starts_with("Describe");
            read && call.time > first && call.time < last
        };
        calls.push(test_run.lab.model().call(|world, _| world.calls().iter().filter(|call| counted(call)).count()));
        let bake = last.duration_since(first);
        assert!(bake > SignedDuration::from_mins(30) && bake < SignedDuration::from_mins(32), "{bake:?}");
    }
    assert!(calls[0] > 100 && calls[0].abs_diff(calls[1]) <= calls[1] / 20, "with and without the gate: {calls:?}");
}

/// A rollback never waits for the comparison.
#[tokio::test(start_paused = true)]
async fn a_rollback_does_not_wait_for_the_comparison() {
    let faults = "{faults: [{at: {step: some, after: 5m}, differ: {rule: worker, cluster: to}}, \
                  {at: {step: half, after: 10m}, kill: {cluster: to}}]}";
    let mut test_run = begin(faults).await;
    let end = test_run.run().await;
    assert_eq!((ending_name(&end), exit(&end)), ("rolled back", Exit::RolledBack), "{}", test_run.output());
    test_run.assert_original(&[]);
    assert!(compare_waits(&test_run).iter().any(|wait| wait.contains("CUT173")), "{}", test_run.output());
}

/// What could be read and now cannot holds the raise, and is read again within a minute or so.
#[tokio::test(start_paused = true)]
async fn a_cluster_that_cannot_be_read_holds_the_raise() {
    let faults = "{faults: [{at: {step: some, after: 20m}, partition: {cluster: to, for: 40m}}]}";
    let mut test_run = begin(faults).await;
    let end = test_run.run().await;
    assert_eq!((ending_name(&end), exit(&end)), ("completed", Exit::Done), "{}", test_run.output());
    let waits = compare_waits(&test_run);
    assert!(waits.iter().any(|wait| wait.contains("CUT190 b: ") && wait.contains("cannot be read")), "{waits:?}");
    let passed = verdicts(&test_run).last().expect("a verdict").clone();
    let again = passed.0.duration_since(began(&test_run, "some"));
    assert!(again >= SignedDuration::from_mins(60) && again < SignedDuration::from_mins(66), "{again:?}");
}

/// A process that is killed while the gate holds: the next one reads again and still holds.
#[tokio::test(start_paused = true)]
async fn a_crash_does_not_let_a_raise_slip_through() {
    let faults = "{faults: [{at: {step: some, after: 5m}, differ: {rule: image, cluster: from, for: 50m}}, \
                  {at: {step: half, after: 1m}, crash: {down: 2m}}]}";
    let mut test_run = begin(faults).await;
    let end = test_run.run().await;
    assert_eq!((ending_name(&end), exit(&end)), ("completed", Exit::Done), "{}", test_run.output());
    let (some, half) = (began(&test_run, "some"), began(&test_run, "half"));
    let records = test_run.records();
    let raised = records.iter().find(|r| r.time > half && matches!(r.event, Event::Intended { .. })).expect("a write");
    assert!(raised.time.duration_since(some) > SignedDuration::from_mins(55), "{}", test_run.output());
}

/// With the gate, an error refuses the start. Without it, the clusters are not compared, and a note says so.
#[tokio::test(start_paused = true)]
async fn the_start_of_a_run_compares_only_with_the_gate() {
    let different = scenario("{faults: [{at: {time: 0s}, differ: {rule: worker, cluster: to}}]}");
    for (gates, refuses) in [("compare: {every: 5m}", true), ("", false)] {
        let plan = small::gated(gates, "", STEPS);
        let lab = RehearsalLab::virtual_time(plan.clone(), &different, 1, Options::default()).await.expect("a lab");
        lab.clock.sleep(Duration::from_secs(5)).await;
        let ports = super::test_run::ports_of(&lab);
        let prepared = prepare(&plan, &ports, 1).await;
        let codes: Vec<_> = prepared.report.findings.iter().map(|finding| finding.code).collect();
        assert_eq!(codes.contains(&Code::CUT173), refuses, "{codes:?}");
        assert_eq!(codes.contains(&Code::CUT320), !refuses, "{codes:?}");
        let refusal = prepared.refusal();
        assert_eq!(refusal.as_ref().map(|failure| failure.exit), refuses.then_some(Exit::Refused));
        let gate = prepared.report.gates.iter().find(|gate| gate.gate == "compare");
        let answer = gate.and_then(|gate| gate.answer.clone()).unwrap_or_default();
        assert_eq!(answer.starts_with("holds with 1 error, 0 warnings: CUT173"), refuses, "{answer}");
    }
}

/// Returns the codes of the findings about the clusters of a lab, some minutes after its start.
async fn codes(spec: &str) -> Vec<&'static str> {
    let plan = small::gated("compare: {}", "", STEPS);
    let lab = RehearsalLab::virtual_time(plan.clone(), &scenario(spec), 1, Options::default()).await.expect("a lab");
    lab.clock.sleep(Duration::from_mins(5)).await;
    let (from, to) = read_both(&plan, &lab.compared, lab.clock.now()).await;
    compare(&plan, &from, &to).iter().map(|finding| finding.code.name()).collect()
}

/// A rule without a fault would be a rule that no rehearsal can show.
#[test]
fn each_rule_has_a_fault() {
    let rules = Code::ALL.iter().filter(|code| code.name() >= "CUT100" && code.name() < "CUT190");
    let faults = Difference::ALL.map(Difference::code);
    let without: Vec<_> = rules.map(|code| code.name()).filter(|code| !faults.contains(code)).collect();
    assert_eq!(without, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn two_clusters_of_the_lab_are_equal() {
    assert_eq!(codes("{}").await, [""; 0]);
}

/// Each difference that a scenario can name gives exactly its finding, and ends with `for`. Where pods have to come, the
/// number of replicas differs, too.
#[tokio::test(start_paused = true)]
async fn each_difference_of_a_scenario_gives_exactly_its_finding() {
    let mut wrong = Vec::new();
    for difference in Difference::ALL {
        let name = serde_json::to_value(difference).expect("a name");
        let fault = |more: &str| {
            let name = name.as_str().unwrap_or_default();
            format!("{{faults: [{{at: {{time: 0s}}, differ: {{rule: {name}, cluster: to{more}}}}}]}}")
        };
        let replicas = matches!(difference, Difference::Room | Difference::Addresses).then_some("CUT121");
        let expected: Vec<_> = [difference.code()].into_iter().chain(replicas).collect();
        let (found, after) = (codes(&fault("")).await, codes(&fault(", for: 1m")).await);
        if found != expected || !after.is_empty() {
            wrong.push(format!("{name}: {found:?}, and after its end {after:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
