//! Small plans: a listener's few actions, one binding, short bakes.

use cutover::plan::model::Plan;

use super::theatre::plan_of;

/// Two rules, half of the traffic, then all of it; seconds instead of minutes. `more` goes under `strategy`.
pub fn two_routes() -> Plan {
    with("listeners: [443]", "rules: [{priority: 10}, {priority: 11}]", "", SHORT)
}

/// Every action of two listeners.
pub fn many_routes(strategy: &str, steps: &str) -> Plan {
    with("listeners: [80, 443]", "", strategy, steps)
}

/// Two rules under metric gates: `gates` goes under `gates`, `more` under `strategy`.
pub fn gated(gates: &str, more: &str, steps: &str) -> Plan {
    let rules = "rules: [{priority: 10}, {priority: 11}]";
    with_gates(gates, "listeners: [443]", rules, more, steps)
}

/// Bind, half, 30 s, all, 30 s.
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
