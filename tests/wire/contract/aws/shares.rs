//! Shares there and back: only the tuples of the groups a and b may change.

use std::collections::BTreeMap;
use std::time::Duration;

use cutover::domain::elb::action::{self, Forward, Tuple};
use cutover::domain::elb::balancer::LiveRoute;
use cutover::domain::traffic::RouteId;
use cutover::port::{Detail, Inventory, Traffic};
use serde_json::{Value, json};

use crate::contract::aws::endpoint::World;

const DEADLINE: Duration = Duration::from_secs(10);

/// 0 → 1 → 50 → 100 → 50 → 0 on every route that forwards, compared with botocore's reading at each step.
pub async fn there_and_back(world: &World) {
    let alb = world.alb().await;
    let original = world.show();
    let listeners = alb.listeners(&world.load_balancer, Detail::Whole).await.expect("listeners");
    let before: BTreeMap<RouteId, LiveRoute> = listeners.into_iter().flat_map(|(_, routes)| routes).map(|r| (r.id.clone(), r)).collect();
    let moved: Vec<RouteId> = before.values().filter(|r| r.forward().is_some()).map(|r| r.id.clone()).collect();
    // 20 rules but a redirect and a fixed response, the default action, and the two rules of the other listener.
    assert_eq!(moved.len(), 21);
    for share in [0, 1, 50, 100, 50, 0] {
        for id in &moved {
            let to = with_share(world, before[id].forward().expect("a forward"), share);
            let actions = action::with_forward(&before[id].actions, &to);
            alb.set(id, &actions, DEADLINE).await.expect("a write");
        }
        let now = alb.routes(&before.keys().cloned().collect::<Vec<_>>()).await;
        for (id, read) in now {
            let (read, was) = (read.expect("readable"), &before[&id]);
            assert_eq!(
                (&read.listener, read.port, read.priority, &read.conditions),
                (&was.listener, was.port, was.priority, &was.conditions)
            );
            let wanted =
                was.forward().map_or_else(|| was.actions.clone(), |f| action::with_forward(&was.actions, &with_share(world, f, share)));
            assert!(action::same(&read.actions, &wanted), "{id} at {share}: {:?} is not {wanted:?}", read.actions);
        }
        assert_eq!(masked(world, world.show()), masked(world, original.clone()), "something else changed at {share}");
    }
    for id in &moved {
        alb.set(id, &before[id].actions, DEADLINE).await.expect("a write");
    }
    let plain = |all: BTreeMap<String, Value>| all.into_iter().map(|(k, v)| (k, spelled(v))).collect::<BTreeMap<_, _>>();
    assert_eq!(plain(world.show()), plain(original));
}

/// The managed part of 100 split between a and b, others untouched; a lone group gets b beside it.
fn with_share(world: &World, was: &Forward, share: u16) -> Forward {
    let tuple = |name: &str, weight| Tuple { target_group_arn: world.groups[name].clone(), weight: Some(weight) };
    let others = was.target_groups.iter().filter(|t| ![&world.groups["a"], &world.groups["b"]].contains(&&t.target_group_arn));
    let target_groups = [tuple("a", 100 - share), tuple("b", share)].into_iter().chain(others.cloned()).collect();
    Forward { target_groups, target_group_stickiness_config: was.target_group_stickiness_config.clone() }
}

/// Without the tuples of a and b.
fn masked(world: &World, all: BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    let managed = [json!(world.groups["a"]), json!(world.groups["b"])];
    let mask = |mut resource: Value| {
        for actions in ["Actions", "DefaultActions"] {
            for action in resource[actions].as_array_mut().into_iter().flatten() {
                if let Some(tuples) = action["ForwardConfig"]["TargetGroups"].as_array_mut() {
                    tuples.retain(|t| !managed.contains(&t["TargetGroupArn"]));
                }
            }
        }
        resource
    };
    all.into_iter().map(|(arn, resource)| (arn, mask(spelled(resource)))).collect()
}

/// In one spelling: a lone group always as `ForwardConfig`, off by default; without what is only ever written.
fn spelled(mut resource: Value) -> Value {
    for actions in ["Actions", "DefaultActions"] {
        for action in resource[actions].as_array_mut().into_iter().flatten() {
            if let Some(arn) = action.as_object_mut().and_then(|a| a.remove("TargetGroupArn")) {
                action["ForwardConfig"] =
                    json!({"TargetGroups": [{"TargetGroupArn": arn, "Weight": 1}], "TargetGroupStickinessConfig": {"Enabled": false}});
            }
            if let Some(oidc) = action["AuthenticateOidcConfig"].as_object_mut() {
                oidc.remove("ClientSecret");
                oidc.remove("UseExistingClientSecret");
            }
        }
    }
    resource
}
