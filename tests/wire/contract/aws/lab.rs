//! The lab as an endpoint, with the groups and listeners that `tests/support/elbv2.py fill` expects.

use std::collections::BTreeMap;

use cutover::adapter::clock::LabClock;
use cutover::lab::live::LiveLab;
use cutover::lab::model::World;
use cutover::lab::scenario::model::{Bucket, Limits, Listener, LoadBalancer, Rule, Scenario};
use cutover::plan::model::Plan;

/// Never throttles, however fast the tests ask.
const NO_LIMIT: Bucket = Bucket { burst: 1e9, per_second: 1e9 };

/// Starts `PREFIX-web` with empty listeners on 443 and 80, the groups a and b of two clusters, and the third-party
/// group c.
pub async fn start(prefix: &str) -> LiveLab {
    let empty = |port| Listener {
        port,
        protocol: None,
        rules: vec![Rule { fixed_response: Some(404), ..Rule::default() }],
        tags: BTreeMap::new(),
    };
    let mut scenario = Scenario::default();
    scenario.spec.limits = Limits { modify: NO_LIMIT, describe: NO_LIMIT, register: NO_LIMIT };
    scenario.spec.load_balancers = vec![LoadBalancer {
        third_party: Some(BTreeMap::from([(format!("{prefix}-c"), 0)])),
        listeners: vec![empty(443), empty(80)],
        ..LoadBalancer::default()
    }];
    let begin = "2026-11-20T09:00:00Z".parse().expect("the time should be valid");
    let world = World::new(&plan(prefix), &scenario, 1, begin).expect("the simulated AWS should be created");
    LiveLab::start(world, LabClock::new(begin, 1.0)).await.expect("the lab should start")
}

/// Returns the plan from which the lab takes groups, `from` and `to`. No test runs this plan.
fn plan(prefix: &str) -> Plan {
    let text = format!(
        "apiVersion: cutover.dev/v1alpha1
kind: Cutover
metadata: {{name: contract}}
spec:
  aws: {{accountId: \"123456789012\", region: us-east-1}}
  clusters: [{{name: a}}, {{name: b}}]
  workloads: [{{name: web, routes: [{{alb: {{loadBalancer: {prefix}-web, targetGroups: {{a: {prefix}-a, b: {prefix}-b}}}}}}]}}]
  strategy: {{from: a, to: b, steps: [{{setWeight: 100}}]}}
"
    );
    cutover::plan::lint("-", text.as_bytes()).unwrap_or_else(|e| panic!("{e}"))
}
