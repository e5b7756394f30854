//! Waves: the plan of each run, from the plan of a file.

use std::time::Duration;

use cutover::plan::lint;
use cutover::plan::model::metric::GateScope;
use cutover::plan::model::{Plan, StepKind};

const PLAN: &str = "apiVersion: cutover.dev/v1alpha1
kind: Cutover
metadata: {name: p}
spec:
  aws: {accountId: \"123456789012\", region: eu-central-1}
  clusters: [{name: a}, {name: b}]
  workloads:
    - name: web
      routes: [{alb: {loadBalancer: lb, targetGroups: {a: web-a, b: web-b}}}]
      gates: [{name: web-alarms, cloudWatchAlarms: [web]}]
    - name: api
      routes: [{nlb: {loadBalancer: net, settle: 20m, targetGroups: {a: api-a, b: api-b}}}]
      gates: [{name: api-alarms, cloudWatchAlarms: [api]}]
    - name: jobs
      routes: [{alb: {loadBalancer: lb, targetGroups: {a: jobs-a, b: jobs-b}}}]
  waves:
    - {name: last, workloads: [jobs], after: [web, api]}
    - {name: api, workloads: [api], after: [], steps: [{setWeight: 100, gates: [{name: late, cloudWatchAlarms: [x]}]}]}
    - {name: web, workloads: [web]}
  strategy:
    from: a
    to: b
    gates: {metrics: [{name: all, cloudWatchAlarms: [all]}]}
    waves: {between: {duration: 30m}}
    steps: [{bind: {}, gates: [{name: early, cloudWatchAlarms: [y]}]}, {setWeight: 50}, {setWeight: 100}]
";

fn plan() -> Plan {
    lint("p.yaml", PLAN.as_bytes()).unwrap_or_else(|e| panic!("{}", cutover::plan::render(&e, false)))
}

#[test]
fn waves_run_in_the_order_of_after_and_the_file() {
    let plan = plan();
    let order: Vec<_> = plan.waves.iter().map(|wave| wave.name.as_str()).collect();
    assert_eq!(order, ["api", "web", "last"]);
    let runs = plan.runs();
    let moved: Vec<Vec<_>> = runs.iter().map(|run| run.workloads.iter().map(|w| w.name.as_str()).collect()).collect();
    assert_eq!(moved, [["api"], ["web"], ["jobs"]]);
    for run in &runs {
        assert_eq!((&run.name, &run.text, &run.hash), (&plan.name, &plan.text, &plan.hash));
        let others = &run.wave.as_ref().expect("the wave").others;
        assert_eq!(others.len(), 2, "each wave knows the workloads of the others");
        assert_eq!(run.runs().len(), 1, "the plan of a wave is narrowed only once");
    }
}

#[test]
fn each_wave_has_its_steps_and_the_pause_between_but_not_after_the_last_wave() {
    let runs = plan().runs();
    let steps: Vec<Vec<_>> = runs
        .iter()
        .map(|run| {
            let steps = run.strategy.steps.iter().enumerate();
            steps
                .map(|(index, step)| {
                    assert_eq!(step.number, index + 1);
                    match &step.kind {
                        StepKind::Bind => "bind".to_owned(),
                        StepKind::Shares(shares) => shares["b"].to_string(),
                        StepKind::Bake(time) => format!("{} s", time.as_secs()),
                        other => format!("{other:?}"),
                    }
                })
                .collect()
        })
        .collect();
    assert_eq!(steps, [vec!["100", "1800 s"], vec!["bind", "50", "100", "1800 s"], vec!["bind", "50", "100"]]);
    let settle: Vec<_> = runs.iter().map(|run| run.strategy.longest_settle).collect();
    assert_eq!(settle, [Duration::from_mins(20), Duration::from_secs(15), Duration::from_secs(15)]);
}

/// A gate of a workload in another wave has nothing to measure, and a gate of a step belongs to the steps that it is in.
#[test]
fn each_wave_has_the_gates_of_its_workloads_and_steps() {
    let gates: Vec<Vec<_>> = plan()
        .runs()
        .into_iter()
        .map(|run| run.strategy.metrics.into_iter().map(|gate| (gate.name, gate.scope)).collect())
        .collect();
    let gate = |name: &str, scope| (name.to_owned(), scope);
    let workload = |name: &str| GateScope::Workload(name.to_owned());
    assert_eq!(
        gates,
        [
            vec![gate("api-alarms", workload("api")), gate("all", GateScope::Plan), gate("late", GateScope::Step(1))],
            vec![gate("web-alarms", workload("web")), gate("all", GateScope::Plan), gate("early", GateScope::Step(1))],
            vec![gate("all", GateScope::Plan), gate("early", GateScope::Step(1))],
        ]
    );
}

#[test]
fn a_plan_without_waves_is_the_plan_of_its_only_run() {
    let text = std::fs::read_to_string("plans/canary.yaml").expect("the plan");
    let plan = lint("plans/canary.yaml", text.as_bytes()).expect("a valid plan");
    assert_eq!(plan.runs(), std::slice::from_ref(&plan));
    assert_eq!(plan.narrowed("web"), None);
}
