//! `finalize` detaches the old groups.

use serde_json::{Value, json};

use crate::child::run;
use crate::contract::run::compare::{assert_only_managed_groups_differ, weights};
use crate::contract::run::fixture::{MotoFixture, SECRET};

#[test]
#[ignore = "tier contract"]
fn moto_finalize_detaches_the_old_groups_and_changes_nothing_else() {
    let fixture = MotoFixture::new("finalized");
    remove_delays(&fixture);
    let plan = fixture.plan("{bind: {}}, {setWeight: 100}");
    run(fixture.cutover(&["run", &plan, "--yes"])).assert_exit(0);
    let (done, surroundings) = (fixture.show(), fixture.surroundings());
    let shares = weights(&fixture, &done);
    assert!(shares.len() == 21 && shares.values().all(|[a, b, _]| *a == Some(0) && *b > Some(0)), "{shares:?}");

    // moto counts no requests, so that `finalize` cannot know whether the old groups still get any.
    let refused = run(fixture.cutover(&["finalize", &plan, "--detach", "--yes"])).assert_exit(3);
    assert!(refused.err.contains("--force"), "{}", refused.err);
    assert_eq!(fixture.show(), done);

    run(fixture.cutover(&["finalize", &plan, "--detach", "--force", "--yes"])).assert_exit(0);
    let gone = fixture.show();
    assert_only_managed_groups_differ(&fixture, &done, &gone, "the end");
    for (arn, [_, b, c]) in &shares {
        let now = weights(&fixture, &gone)[arn];
        // A single group may have any weight.
        assert!(now == [None, *b, *c] || (c.is_none() && now[0].is_none() && now[1] > Some(0)), "{arn}: {now:?}");
    }
    assert_eq!(fixture.surroundings(), surroundings, "group a, its targets and all other resources must not change");

    let back = run(fixture.cutover(&["rollback", &plan, "--yes"])).assert_exit(3);
    assert!(back.err.contains("finalize"), "{}", back.err);
    assert_eq!(fixture.show(), gone);
}

/// Removes stickiness and deregistration delay from the old groups.
fn remove_delays(fixture: &MotoFixture) {
    let delay = json!([{"Key": "deregistration_delay.timeout_seconds", "Value": "0"}]);
    let mut calls = vec![
        json!(["elbv2", "modify_target_group_attributes", {"TargetGroupArn": fixture.groups["a"], "Attributes": delay}]),
    ];
    for (arn, resource) in fixture.show() {
        let key = if arn.contains(":listener-rule/") { "Actions" } else { "DefaultActions" };
        let mut actions = resource[key].clone();
        let mut sticky = false;
        for action in actions.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
            if action.get("ForwardConfig").is_some_and(|f| f["TargetGroupStickinessConfig"]["Enabled"] == true) {
                sticky = true;
                action["ForwardConfig"]["TargetGroupStickinessConfig"] = json!({"Enabled": false});
            }
            if let Some(oidc) = action.get_mut("AuthenticateOidcConfig") {
                oidc["ClientSecret"] = SECRET.into();
            }
        }
        match key {
            _ if !sticky || resource["IsDefault"] == true => {}
            "Actions" => calls.push(json!(["elbv2", "modify_rule", {"RuleArn": arn, "Actions": actions}])),
            _ => calls.push(json!(["elbv2", "modify_listener", {"ListenerArn": arn, "DefaultActions": actions}])),
        }
    }
    fixture.boto(&json!(calls));
}
