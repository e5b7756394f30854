//! The plans and their worlds.

use cutover::lab::scenario::Scenario;
use cutover::plan::model::Plan;

thread_local! {
    static SCENARIO: Scenario = made();
}

/// A plan by its name in a schedule.
pub fn plan(name: &str) -> Plan {
    let text = match name {
        "small" => small(),
        "reference" => std::fs::read_to_string("plans/alpha-webapp.yaml").expect("a plan"),
        other => panic!("there is no plan `{other}`"),
    };
    cutover::plan::parse(name, text.as_bytes()).unwrap_or_else(|e| panic!("{}", cutover::plan::render(&e, false)))
}

/// Two routes and two share steps.
fn small() -> String {
    "apiVersion: cutover.dev/v1alpha1
kind: Cutover
metadata:
  name: small
spec:
  aws:
    accountId: \"123456789012\"
    region: eu-central-1
  clusters:
    - {name: a, kubeContext: a}
    - {name: b, kubeContext: b}
  workloads:
    - name: shop
      service: {namespace: shop, name: shop, port: 8080}
      routes:
        - alb:
            loadBalancer: shop
            listeners: [443]
            targetGroups: {a: shop-a, b: shop-b}
            rules: [{priority: 10}, {priority: 11}]
  strategy:
    from: a
    to: b
    settle: 5s
    gates:
      targetHealth:
        raise: {minHealthy: 1, stableFor: 5s}
        guard: {minHealthyPercent: 70, for: 30s}
    steps: [{bind: {}}, {setWeight: 50}, {pause: {duration: 10s}}, {setWeight: 100}, {pause: {duration: 10s}}]
"
    .to_owned()
}

/// The world of a plan, with what the schedule's faults may ask of it.
pub fn scenario() -> Scenario {
    SCENARIO.with(Scenario::clone)
}

fn made() -> Scenario {
    let mut faults = Vec::new();
    for strike in 1..=4 {
        faults.push(format!("{{at: {{step: stale-{strike}}}, stale: {{by: 8s, for: 8s}}}}"));
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
