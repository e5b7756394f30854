//! Compares two readings of a load balancer, and extracts the weights.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::contract::run::fixture::MotoFixture;

/// What botocore reads, by ARN of the listener or rule.
pub type Reading = BTreeMap<String, Value>;

/// Weights of a, b and c by ARN of the route; `None` if the group is not attached.
pub type Weights = BTreeMap<String, [Option<u64>; 3]>;

/// Asserts that only the entries of the plan's groups differ.
pub fn assert_only_managed_groups_differ(fixture: &MotoFixture, before: &Reading, after: &Reading, stage: &str) {
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>(), "{stage}");
    for (arn, was) in before {
        assert_eq!(without_managed(fixture, was), without_managed(fixture, &after[arn]), "{arn} at {stage}");
    }
}

/// Asserts that every field of every action is unchanged, except for the two forms of a secret and of a single group.
pub fn assert_equal_actions(before: &Reading, after: &Reading) {
    for (arn, was) in before {
        let actions = |r: &Value| {
            let r = normalized(r);
            [r["Actions"].clone(), r["DefaultActions"].clone()]
        };
        assert_eq!(actions(was), actions(&after[arn]), "{arn}");
    }
}

/// Returns the weights of every route with a forward action.
pub fn weights(fixture: &MotoFixture, reading: &Reading) -> Weights {
    let of = |resource: &Value| {
        let resource = normalized(resource);
        let tuples = actions(&resource).find_map(|a| a["ForwardConfig"]["TargetGroups"].as_array().cloned())?;
        let weight = |name: &str| {
            let tuple = tuples.iter().find(|t| t["TargetGroupArn"] == fixture.groups[name].as_str())?;
            tuple["Weight"].as_u64()
        };
        Some(["a", "b", "c"].map(weight))
    };
    // A listener's default rule repeats the listener's default action and is not written itself.
    let routes = reading.iter().filter(|(_, r)| r["IsDefault"] != true);
    routes.filter_map(|(arn, resource)| Some((arn.clone(), of(resource)?))).collect()
}

/// Whether a listener or rule forwards with group stickiness.
pub fn is_sticky(resource: &Value) -> bool {
    let resource = normalized(resource);
    actions(&resource).any(|a| a["ForwardConfig"]["TargetGroupStickinessConfig"]["Enabled"] == true)
}

/// Asserts that each route gives exactly `share` percent of the managed part to b, and that c keeps exactly its share
/// of the total.
pub fn assert_shares(before: &Weights, now: &Weights, share: u64) {
    assert_eq!(before.keys().collect::<Vec<_>>(), now.keys().collect::<Vec<_>>());
    for (arn, [a, b, c]) in now {
        let [a, b] = [a, b].map(|w| w.unwrap_or_else(|| panic!("{arn} lacks a group at {share} %")));
        assert_eq!(b * (100 - share), a * share, "{arn} at {share} %: a {a}, b {b}");
        assert!(a + b > 0 && a.max(b) <= 999);
        let [was_a, was_b, was_c] = before[arn];
        let managed = was_a.unwrap_or(0) + was_b.unwrap_or(0);
        assert_eq!(c.is_some(), was_c.is_some());
        assert_eq!(
            c.unwrap_or(0) * managed,
            was_c.unwrap_or(0) * (a + b),
            "{arn} at {share} %: c {c:?}, was {was_c:?} next to {managed}"
        );
    }
}

fn actions(resource: &Value) -> impl Iterator<Item = &Value> {
    ["Actions", "DefaultActions"].into_iter().flat_map(|key| resource[key].as_array().into_iter().flatten())
}

/// Removes the members of the plan, and the weights of other groups, which change to keep their shares.
fn without_managed(fixture: &MotoFixture, resource: &Value) -> Value {
    let mut resource = normalized(resource);
    if let Some(tags) = resource["Tags"].as_array_mut() {
        tags.retain(|t| t["Key"] != "cutover.dev/weights");
    }
    let managed = [json!(fixture.groups["a"]), json!(fixture.groups["b"])];
    for key in ["Actions", "DefaultActions"] {
        for action in resource[key].as_array_mut().into_iter().flatten() {
            let Some(tuples) = action["ForwardConfig"]["TargetGroups"].as_array_mut() else { continue };
            tuples.retain(|t| !managed.contains(&t["TargetGroupArn"]));
            tuples.iter_mut().filter_map(Value::as_object_mut).for_each(|t| drop(t.remove("Weight")));
        }
    }
    resource
}

/// Normalizes actions: a single group always as `ForwardConfig`, without the secret, which a write must not repeat.
fn normalized(resource: &Value) -> Value {
    let mut resource = resource.clone();
    for key in ["Actions", "DefaultActions"] {
        for action in resource[key].as_array_mut().into_iter().flatten() {
            let Some(fields) = action.as_object_mut() else { continue };
            if let Some(arn) = fields.remove("TargetGroupArn") {
                let lone = json!({
                    "TargetGroups": [{"TargetGroupArn": arn, "Weight": 1}],
                    "TargetGroupStickinessConfig": {"Enabled": false},
                });
                fields.insert("ForwardConfig".into(), lone);
            }
            if let Some(oidc) = fields.get_mut("AuthenticateOidcConfig").and_then(Value::as_object_mut) {
                oidc.remove("ClientSecret");
                oidc.remove("UseExistingClientSecret");
            }
        }
    }
    resource
}
