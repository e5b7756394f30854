//! Small plans: the few actions of a listener, one binding, short bakes.

use cutover::plan::model::Plan;

use super::test_run::plan_of;

/// Returns a plan with two rules that moves half of the traffic, then all of it, in seconds instead of minutes.
pub fn two_routes() -> Plan {
    with("listeners: [443]", "rules: [{priority: 10}, {priority: 11}]", "", SHORT)
}

/// Returns a plan for the default action and two rules of two listeners, with free priorities before the rules.
pub fn spaced_routes(steps: &str) -> Plan {
    with("listeners: [80, 443]", "rules: [{default: {}}, {priority: 15}, {priority: 20}]", "", steps)
}

/// Returns a plan with two rules and these steps.
pub fn two_routes_with(steps: &str) -> Plan {
    with("listeners: [443]", "rules: [{priority: 10}, {priority: 11}]", "", steps)
}

/// Returns a plan for every action of two listeners. `strategy` is added under `strategy`.
pub fn many_routes(strategy: &str, steps: &str) -> Plan {
    with("listeners: [80, 443]", "", strategy, steps)
}

/// Returns a plan with two rules and metric gates: `gates` is added under `gates`, `more` under `strategy`.
pub fn gated(gates: &str, more: &str, steps: &str) -> Plan {
    let rules = "rules: [{priority: 10}, {priority: 11}]";
    with_gates(gates, "listeners: [443]", rules, more, steps)
}

/// Steps: bind, 50 %, 30 s, 100 %, 30 s.
pub const SHORT: &str =
    "[{bind: {}}, {setWeight: 50, name: half}, {pause: {duration: 30s}}, {setWeight: 100}, {pause: {duration: 30s}}]";

fn with(listeners: &str, rules: &str, strategy: &str, steps: &str) -> Plan {
    with_gates("", listeners, rules, strategy, steps)
}

fn with_gates(gates: &str, listeners: &str, rules: &str, strategy: &str, steps: &str) -> Plan {
    plan_of(&format!(
        "apiVersion: cutover.dev/v1alpha1
kind: Cutover
metadata:
  name: small
spec:
  aws:
    accountId: \"123456789012\"
    region: eu-central-1
  clusters:
    - {{name: a, eks: shop-a}}
    - {{name: b, eks: shop-b}}
  workloads:
    - name: shop
      service: {{namespace: shop, name: shop, port: 8080}}
      routes:
        - alb:
            loadBalancer: shop
            {listeners}
            targetGroups: {{a: shop-a, b: shop-b}}
            {rules}
  strategy:
    from: a
    to: b
    settle: 5s
    gates:
      targetHealth:
        raise: {{minHealthy: 1, stableFor: 5s}}
        guard: {{minHealthyPercent: 70, for: 30s}}
      {gates}
    {strategy}
    steps: {steps}
"
    ))
}
