//! The plans of the simulation, and the lab scenario for them.

use std::cell::RefCell;
use std::collections::BTreeMap;

use cutover::domain::haproxy::Backend;
use cutover::lab::scenario::Scenario;
use cutover::plan::model::{BalancerKind, Plan, Selector};

use super::wire::{DOWN_FOR, SLOW_FOR};

thread_local! {
    static SCENARIOS: RefCell<BTreeMap<String, Scenario>> = const { RefCell::new(BTreeMap::new()) };
}

/// Returns a plan by its name in a schedule.
pub fn plan(name: &str) -> Plan {
    let text = match name {
        "small" => plan_text("small", "", &format!("{{bind: {{}}}}, {SMALL_STEPS}")),
        "hooks" => plan_text("hooks", HOOKS_YAML, &format!("{{bind: {{}}}}, {HOOK_STEPS}")),
        "header" => plan_text(
            "header",
            "",
            "{bind: {}}, {setHeaderRoute: {match: [{headerName: X-Canary, headerValue: {exact: yes}}]}}, \
             {setWeight: 50}, {setWeight: 100}, {pause: {duration: 10s}}",
        ),
        // The same at a Network Load Balancer, which settles longer than the plan says.
        "network" => plan("small")
            .text
            .replace("name: small", "name: network")
            .replace("- alb:", "- nlb:")
            .replace("            rules:", "            settle: 20s\n            rules:"),
        // The same at two instances of HAProxy.
        "haproxy" => instances_text("haproxy", SERVERS_YAML, "", SMALL_STEPS),
        "map" => instances_text("map", MAP_YAML, "", SMALL_STEPS),
        "haproxy-hooks" => instances_text("haproxy-hooks", SERVERS_YAML, HOOKS_YAML, HOOK_STEPS),
        "reference" => {
            std::fs::read_to_string("plans/alpha-webapp.yaml").expect("plans/alpha-webapp.yaml should be readable")
        }
        other => panic!("there is no plan `{other}`"),
    };
    cutover::plan::lint(name, text.as_bytes()).unwrap_or_else(|e| panic!("{}", cutover::plan::render(&e, false)))
}

const SMALL_STEPS: &str = "{setWeight: 50}, {pause: {duration: 10s}}, {setWeight: 100}, {pause: {duration: 10s}}";

const HOOK_STEPS: &str = "{exec: {command: [up], undo: [down], timeout: 20s}}, {setWeight: 50}, {setWeight: 100}, \
                          {pause: {duration: 10s}}";

/// The weights of servers. After a reload, the run is frozen.
const SERVERS_YAML: &str = "
            backend: shop
            servers: {a: 'a-*', b: 'b-*'}";

/// A table of slots. After a reload, the run writes the slots again by itself.
const MAP_YAML: &str = "
            reload: reassert
            map: {file: /etc/haproxy/shop.map, backends: {a: shop-a, b: shop-b}}";

/// Whether a group is that of the new cluster.
pub fn is_new(group: &str) -> bool {
    group.contains("/shop-b/") || ["/b-*", "/shop-b"].iter().any(|end| group.ends_with(end))
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
    let spec = "
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
            rules: [{priority: 10}, {priority: 11}]";
    whole_text(name, spec, "5s", hooks, steps)
}

/// Returns the text of a plan with two routes at two instances of HAProxy.
fn instances_text(name: &str, route: &str, hooks: &str, steps: &str) -> String {
    let spec = format!(
        "
  clusters: [{{name: a}}, {{name: b}}]
  workloads:
    - name: shop
      routes:
        - haproxy:
            instances: ['tcp://10.0.1.10:9999', 'tcp://10.0.1.20:9999']{route}"
    );
    whole_text(name, &spec, "12s", hooks, steps)
}

/// `stable` is how long the raise gate must pass.
fn whole_text(name: &str, spec: &str, stable: &str, hooks: &str, steps: &str) -> String {
    format!(
        "apiVersion: cutover.dev/v1alpha1
kind: Cutover
metadata:
  name: {name}
spec:{spec}
  strategy:
    from: a
    to: b
    settle: 5s
    gates:
      targetHealth:
        raise: {{minHealthy: 1, stableFor: {stable}}}
        guard: {{minHealthyPercent: 70, for: 30s}}
    steps: [{steps}]{hooks}
"
    )
}

/// Returns the scenario of the simulated lab for a plan, with the faults that schedules may trigger.
pub fn scenario(plan: &Plan) -> Scenario {
    SCENARIOS.with_borrow_mut(|all| all.entry(plan.name.clone()).or_insert_with(|| build_scenario(plan)).clone())
}

/// Returns the backends or maps of a plan at instances of HAProxy.
fn backends(plan: &Plan) -> Vec<Backend> {
    let entries = plan.workloads.iter().flat_map(|workload| &workload.routes);
    let of_haproxy = entries.filter(|entry| entry.kind == BalancerKind::Haproxy);
    let backend = |selector: &Selector| if let Selector::Arn(id) = selector { Backend::parse(id) } else { None };
    of_haproxy.filter_map(|entry| backend(&entry.load_balancer)).collect()
}

fn build_scenario(plan: &Plan) -> Scenario {
    let mut faults = vec!["{at: {step: dead}, kill: {cluster: to}}".to_owned()];
    for strike in 1..=4 {
        faults.push(format!("{{at: {{step: stale-{strike}}}, stale: {{by: 8s, for: 8s}}}}"));
        faults.push(format!("{{at: {{step: deploy-{strike}}}, deploy: {{cluster: to}}}}"));
        for rule in [10, 11] {
            faults.push(format!(
                "{{at: {{step: foreign-{rule}-{strike}}}, foreign-write: {{listener: 443, priority: {rule}, weights: {{from: 70, to: 30}}}}}}"
            ));
        }
        for backend in backends(plan) {
            let (address, label) = (&backend.address, backend.label());
            let write = format!("{{loadBalancer: '{label}', weights: {{from: 70, to: 30}}}}");
            faults.push(format!("{{at: {{step: 'foreign {address} {strike}'}}, foreign-write: {write}}}"));
            for (does, more) in [
                ("reload", String::new()),
                ("down", format!(", for: {}s", DOWN_FOR.as_secs())),
                ("slow", format!(", by: 8s, for: {}s", SLOW_FOR.as_secs())),
            ] {
                faults.push(format!(
                    "{{at: {{step: '{does} {address} {strike}'}}, haproxy: {{instance: '{address}', does: {does}{more}}}}}"
                ));
            }
        }
    }
    let text = format!(
        "apiVersion: cutover.dev/v1alpha1\nkind: Scenario\nmetadata: {{name: simulation}}\nspec: {{faults: [{}]}}\n",
        faults.join(", ")
    );
    Scenario::parse("simulation", &text).unwrap_or_else(|e| panic!("{e}"))
}
