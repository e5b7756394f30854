//! The plans of the simulation, and the lab scenario for them.

use cutover::lab::scenario::Scenario;
use cutover::plan::model::Plan;

thread_local! {
    static SCENARIO: Scenario = build_scenario();
}

/// Returns a plan by its name in a schedule.
pub fn plan(name: &str) -> Plan {
    let text = match name {
        "small" => plan_text(
            "small",
            "",
            "{bind: {}}, {setWeight: 50}, {pause: {duration: 10s}}, {setWeight: 100}, {pause: {duration: 10s}}",
        ),
        "hooks" => plan_text(
            "hooks",
            HOOKS_YAML,
            "{bind: {}}, {exec: {command: [up], undo: [down], timeout: 20s}}, {setWeight: 50}, {setWeight: 100}, {pause: {duration: 10s}}",
        ),
        // The same at a Network Load Balancer, which settles longer than the plan says.
        "network" => plan("small")
            .text
            .replace("name: small", "name: network")
            .replace("- alb:", "- nlb:")
            .replace("            rules:", "            settle: 20s\n            rules:"),
        "reference" => {
            std::fs::read_to_string("plans/alpha-webapp.yaml").expect("plans/alpha-webapp.yaml should be readable")
        }
        other => panic!("there is no plan `{other}`"),
    };
    cutover::plan::lint(name, text.as_bytes()).unwrap_or_else(|e| panic!("{}", cutover::plan::render(&e, false)))
}

/// Every kind of hook, for a plan with two routes and two share steps.
const HOOKS_YAML: &str = "
    hooks:
      - {before: shift, exec: {command: [scale-up], timeout: 20s}}
      - {after: shift, exec: {command: [annotate], timeout: 20s}}
      - {before: rollback, exec: {command: [call-someone], timeout: 20s}}
      - {after: rollback, exec: {command: [tell], timeout: 20s}}
      - {before: finish, exec: {command: [smoke-test], timeout: 20s}}";

/// Returns the text of a plan with two routes.
fn plan_text(name: &str, hooks: &str, steps: &str) -> String {
    format!(
        "apiVersion: cutover.dev/v1alpha1
kind: Cutover
metadata:
  name: {name}
spec:
  aws:
    accountId: \"123456789012\"
    region: eu-central-1
  clusters:
    - {{name: a, kubeContext: a}}
    - {{name: b, kubeContext: b}}
  workloads:
    - name: shop
      service: {{namespace: shop, name: shop, port: 8080}}
      routes:
        - alb:
            loadBalancer: shop
            listeners: [443]
            targetGroups: {{a: shop-a, b: shop-b}}
            rules: [{{priority: 10}}, {{priority: 11}}]
  strategy:
    from: a
    to: b
    settle: 5s
    gates:
      targetHealth:
        raise: {{minHealthy: 1, stableFor: 5s}}
        guard: {{minHealthyPercent: 70, for: 30s}}
    steps: [{steps}]{hooks}
"
    )
}

/// Returns the scenario of the simulated lab, with the faults that schedules may trigger.
pub fn scenario() -> Scenario {
    SCENARIO.with(Scenario::clone)
}

fn build_scenario() -> Scenario {
    let mut faults = vec!["{at: {step: dead}, kill: {cluster: to}}".to_owned()];
    for strike in 1..=4 {
        faults.push(format!("{{at: {{step: stale-{strike}}}, stale: {{by: 8s, for: 8s}}}}"));
        faults.push(format!("{{at: {{step: deploy-{strike}}}, deploy: {{cluster: to}}}}"));
        for rule in [10, 11] {
            faults.push(format!(
                "{{at: {{step: foreign-{rule}-{strike}}}, foreign-write: {{listener: 443, priority: {rule}, weights: {{from: 70, to: 30}}}}}}"
            ));
        }
    }
    let text = format!(
        "apiVersion: cutover.dev/v1alpha1\nkind: Scenario\nmetadata: {{name: simulation}}\nspec: {{faults: [{}]}}\n",
        faults.join(", ")
    );
    Scenario::parse("simulation", &text).unwrap_or_else(|e| panic!("{e}"))
}
