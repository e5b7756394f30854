//! Shares in both directions: only the members in the groups a and b may change.

use std::collections::BTreeMap;
use std::time::Duration;

use cutover::domain::elb::balancer::LiveRoute;
use cutover::domain::traffic::{Member, RouteId, Split};
use cutover::port::{Detail, Inventory, Traffic};
use serde_json::{Value, json};

use crate::contract::aws::endpoint::EndpointFixture;

const DEADLINE: Duration = Duration::from_mins(10);

/// Moves the shares 0 → 1 → 50 → 100 → 50 → 0 on every forward route, and compares botocore's reading at each step.
pub async fn move_shares_in_both_directions(fixture: &EndpointFixture) {
    let alb = fixture.alb().await;
    let original = fixture.show();
    let listeners =
        alb.listeners(&fixture.load_balancer, Detail::Full).await.expect("the listeners should be readable");
    let before: BTreeMap<RouteId, LiveRoute> =
        listeners.into_iter().flat_map(|(_, routes)| routes).map(|r| (r.id.clone(), r)).collect();
    let moved: Vec<RouteId> = before.values().filter(|r| r.forwards().is_some()).map(|r| r.id.clone()).collect();
    // 20 rules without a redirect and a fixed response, the default action, and the two rules of the other listener.
    assert_eq!(moved.len(), 21);
    for share in [0, 1, 50, 100, 50, 0] {
        for id in &moved {
            let to = with_share(fixture, before[id].forwards().expect("the route should forward"), share);
            alb.set(id, &before[id].content.with_split(&to), DEADLINE).await.expect("the write should succeed");
        }
        let now = alb.routes(&before.keys().cloned().collect::<Vec<_>>()).await;
        for (id, read) in now {
            let (read, was) = (read.expect("the read should succeed"), &before[&id]);
            let wanted = was.forwards().map_or_else(
                || was.content.clone(),
                |split| was.content.with_split(&with_share(fixture, split, share)),
            );
            assert!(read.equivalent(&wanted), "{id} at {share}: {read:?} is not {wanted:?}");
        }
        assert_eq!(
            without_managed(fixture, fixture.show()),
            without_managed(fixture, original.clone()),
            "nothing but the shares may change at {share} %"
        );
    }
    for id in &moved {
        alb.set(id, &before[id].content, DEADLINE).await.expect("the write should succeed");
    }
    let normalize_all =
        |all: BTreeMap<String, Value>| all.into_iter().map(|(k, v)| (k, normalized(v))).collect::<BTreeMap<_, _>>();
    assert_eq!(normalize_all(fixture.show()), normalize_all(original));
}

/// Splits the managed part between a and b (in percent) and keeps other groups. In an action with only a, b is added.
fn with_share(fixture: &EndpointFixture, was: &Split, share: u16) -> Split {
    let member = |name: &str, weight| Member::new(fixture.groups[name].clone(), Some(weight));
    let others = was.members.iter().filter(|m| ![&fixture.groups["a"], &fixture.groups["b"]].contains(&&m.id));
    Split { members: [member("a", 100 - share), member("b", share)].into_iter().chain(others.cloned()).collect() }
}

/// Removes the entries of the groups a and b.
fn without_managed(fixture: &EndpointFixture, all: BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    let managed = [json!(fixture.groups["a"]), json!(fixture.groups["b"])];
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
    all.into_iter().map(|(arn, resource)| (arn, mask(normalized(resource)))).collect()
}

/// Normalizes actions: a single group always as `ForwardConfig`, stickiness off by default, without write-only fields.
fn normalized(mut resource: Value) -> Value {
    for actions in ["Actions", "DefaultActions"] {
        for action in resource[actions].as_array_mut().into_iter().flatten() {
            if let Some(arn) = action.as_object_mut().and_then(|a| a.remove("TargetGroupArn")) {
                action["ForwardConfig"] = json!({
                    "TargetGroups": [{"TargetGroupArn": arn, "Weight": 1}],
                    "TargetGroupStickinessConfig": {"Enabled": false},
                });
            }
            if let Some(oidc) = action["AuthenticateOidcConfig"].as_object_mut() {
                oidc.remove("ClientSecret");
                oidc.remove("UseExistingClientSecret");
            }
        }
    }
    resource
}
