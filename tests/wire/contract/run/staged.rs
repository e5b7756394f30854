//! A complete cutover, and its rollback.

use serde_json::{Value, json};

use crate::child::{follow, run};
use crate::contract::run::compare::{assert_only_managed_groups_differ, assert_shares, is_sticky, weights};
use crate::contract::run::fixture::{MotoFixture, SECRET};

/// The pauses in which the load balancer is compared: step and share of b in percent.
const STAGES: [(u64, u64); 4] = [(2, 0), (4, 1), (6, 50), (8, 100)];

#[test]
#[ignore = "tier contract"]
fn moto_a_complete_cutover_and_its_rollback() {
    let fixture = MotoFixture::new("staged");
    let odd = odd_weights(&fixture);
    let before = fixture.show();
    let was = weights(&fixture, &before);
    // 18 of the 20 rules, the default action, and the two rules of the other listener.
    assert_eq!(was.len(), 21);
    let surroundings = fixture.surroundings();
    let plan =
        fixture.plan("{bind: {}}, {pause: {}}, {setWeight: 1}, {pause: {}}, {setWeight: 50}, {pause: {}}, {setWeight: 100}, {pause: {}}");
    let plan = plan.as_str();
    let mut seen_weights = Vec::new();

    let mut command = fixture.cutover(&["run", plan, "--yes", "--output", "json", "--log-level", "trace"]);
    let ended = follow(&mut command, |line| {
        let record: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        if record["event"] != "stepStarted" || record["kind"] != "approval" {
            return;
        }
        let (step, share) = STAGES[seen_weights.len()];
        assert_eq!(record["step"], step);
        let now = fixture.show();
        assert_only_managed_groups_differ(&fixture, &before, &now, &format!("{share} %"));
        let now = weights(&fixture, &now);
        assert_shares(&was, &now, share);
        seen_weights.push(now[&odd]);
        run(fixture.cutover(&["promote", plan])).assert_exit(0);
    });
    let ended = ended.assert_exit(0);
    let weight = |a, b, c| [Some(a), Some(b), Some(c)];
    assert_eq!(seen_weights, [weight(7, 0, 3), weight(693, 7, 300), weight(7, 7, 6), weight(0, 7, 3)]);
    assert_eq!(fixture.surroundings(), surroundings, "a finished run must leave no tags");
    assert_all_records(&ended.records());

    let back = run(fixture.cutover(&["rollback", plan, "--yes", "--log-level", "trace"])).assert_exit(0);
    let now = fixture.show();
    assert_only_managed_groups_differ(&fixture, &before, &now, "the end");
    let mut back_to = weights(&fixture, &now);
    // The plan says `break` by default: a route with group stickiness loses the new group, and its cookies end.
    let mut broken = 0;
    for (arn, [_, new, _]) in back_to.iter_mut().filter(|(arn, _)| is_sticky(&before[*arn])) {
        broken += usize::from(new.is_none());
        assert!(new.is_none() || was[arn][1].is_some(), "{arn}: {new:?}");
        *new = new.or(Some(0));
    }
    assert!(broken > 0);
    assert_shares(&was, &back_to, 0);
    for (arn, [was_a, was_b, was_c]) in &was {
        // A route that had only one group now has both; all other routes have exactly their original weights.
        assert!(was_b.is_none() || back_to[arn] == [*was_a, Some(0), *was_c], "{arn}: {:?}", back_to[arn]);
    }
    assert_eq!(fixture.surroundings(), surroundings);

    assert!(
        ended.err.contains("DEBUG") || ended.err.contains("TRACE"),
        "standard error must contain debug or trace lines"
    );
    let journals = journals(&fixture);
    assert!(journals.contains("authenticate-oidc"), "the journal must contain the OIDC actions");
    for (place, text) in [("journal", journals), ("stdout", ended.out + &back.out), ("stderr", ended.err + &back.err)] {
        assert!(!text.contains(SECRET), "the client secret must not be in the {place}");
    }
}

/// Gives one rule weights that cannot be scaled to a round total; returns the ARN of the rule.
fn odd_weights(fixture: &MotoFixture) -> String {
    let rules = fixture.boto(&json!([["elbv2", "describe_rules", {"ListenerArn": fixture.https}]])).remove(0);
    let rule = rules["Rules"]
        .as_array()
        .expect("the rules should be a list")
        .iter()
        .find(|r| r["Priority"] == "120")
        .expect("the rule with priority 120 should exist");
    let mut actions = rule["Actions"].clone();
    assert_eq!(actions[0]["Type"], "authenticate-oidc");
    actions[0]["AuthenticateOidcConfig"]["ClientSecret"] = json!(SECRET);
    let tuples = [("a", 7), ("b", 0), ("c", 3)]
        .map(|(name, weight)| json!({"TargetGroupArn": fixture.groups[name], "Weight": weight}));
    actions[1]["ForwardConfig"]["TargetGroups"] = json!(tuples);
    fixture.boto(&json!([["elbv2", "modify_rule", {"RuleArn": rule["RuleArn"], "Actions": actions}]]));
    rule["RuleArn"].as_str().expect("the ARN should be a string").to_owned()
}

/// Asserts that the stream has all records of the journal, from the first to the last.
fn assert_all_records(records: &[Value]) {
    for (record, seq) in records.iter().zip(1..) {
        assert_eq!(
            (&record["v"], &record["seq"], &record["run"]),
            (&json!(1), &json!(seq), &records[0]["run"]),
            "{record}"
        );
        assert!(record["time"].is_string() && record["event"].is_string(), "{record}");
    }
    assert_eq!((&records[0]["event"], &records[records.len() - 1]["event"]), (&json!("started"), &json!("finished")));
}

fn journals(fixture: &MotoFixture) -> String {
    let runs = std::fs::read_dir(fixture.state().join("runs")).expect("the folder of the runs should be readable");
    runs.map(|run| {
        std::fs::read_to_string(run.expect("the run should be readable").path().join("journal.jsonl"))
            .expect("the journal should be readable")
    })
    .collect()
}
