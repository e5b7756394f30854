//! Header routes over the routes of the reference plan: made above each of them, and removed by a step, a rollback, the
//! emergency command and the break-glass script. Nothing else changes.

use serde_json::{Value, json};

use crate::child::{follow, run};
use crate::contract::run::break_glass::break_glass;
use crate::contract::run::compare::{Reading, assert_only_managed_groups_differ, assert_shares, weights};
use crate::contract::run::fixture::MotoFixture;

const HEADER: &str = "{setHeaderRoute: {match: [{headerName: X-Canary, headerValue: {exact: \"yes\"}}]}}";
/// The tag of header rules.
const TAG: &str = "cutover.dev/header-route";
/// The paths of the first rule of each listener of the reference plan.
const FIRST: [&str; 5] = ["/api*", "/ad*", "/admin*", "/api_internal*", "/vv/*"];

/// Returns a load balancer with the 36 routes of the reference plan. On port 443, `login` is before the forward of the
/// third rule.
fn reference(prefix: &str, login: Option<Value>) -> MotoFixture {
    let fixture = MotoFixture::new(prefix);
    let forward = |order: u8| {
        let tuples = [("a", 100), ("b", 0), ("c", 0)]
            .map(|(name, weight)| json!({"TargetGroupArn": fixture.groups[name], "Weight": weight}));
        let config = json!({"TargetGroups": tuples, "TargetGroupStickinessConfig": {"Enabled": false}});
        json!({"Type": "forward", "Order": order, "ForwardConfig": config})
    };
    let mut calls = Vec::new();
    for (arn, resource) in show(&fixture) {
        if !arn.contains(":listener/") {
            if resource["IsDefault"] != true {
                calls.push(json!(["elbv2", "delete_rule", {"RuleArn": arn}]));
            }
            continue;
        }
        calls.push(json!(["elbv2", "modify_listener", {"ListenerArn": arn, "DefaultActions": [forward(1)]}]));
    }
    fixture.boto(&json!(calls));
    let mut calls = Vec::new();
    for (arn, listener) in show(&fixture).into_iter().filter(|(arn, _)| arn.contains(":listener/")) {
        for number in 1..=17 {
            let paths = match number {
                1 => json!(FIRST),
                2 => json!(["/health_check"]),
                _ => json!([format!("/part-{number}/*")]),
            };
            let login = login.clone().filter(|_| number == 3 && listener["Port"] == 443);
            let actions: Vec<_> = match login {
                Some(login) => vec![login, forward(2)],
                None => vec![forward(1)],
            };
            let conditions = json!([{"Field": "path-pattern", "PathPatternConfig": {"Values": paths}}]);
            let rule =
                json!({"ListenerArn": arn, "Priority": number * 10, "Conditions": conditions, "Actions": actions});
            calls.push(json!(["elbv2", "create_rule", rule]));
        }
    }
    fixture.boto(&json!(calls));
    fixture
}

/// Writes the reference plan with other names, without Kubernetes and with these steps; returns its path.
fn plan(fixture: &MotoFixture, steps: &str) -> String {
    let text = std::fs::read_to_string("plans/alpha-webapp.yaml").expect("the plan should be readable");
    let (head, _) = text.split_once("  strategy:\n").expect("the plan should have a strategy");
    let absent = ["eks:", "service:", "binding:"];
    let lines = head.lines().filter(|line| !absent.iter().any(|field| line.trim_start().starts_with(field)));
    let head = lines.collect::<Vec<_>>().join("\n") + "\n";
    let prefix = &fixture.prefix;
    let head = head
        .replace("loadBalancer: alpha-webapp", &format!("loadBalancer: {prefix}-web"))
        .replace("alpha-webapp", prefix)
        .replace("ap-northeast-2", "us-east-1");
    let strategy = format!(
        "  strategy:
    from: a
    to: b
    settle: 1s
    gates: {{targetHealth: {{raise: {{stableFor: 1s}}, timeout: 30m}}}}
    steps: [{steps}]
"
    );
    fixture.file("reference.yaml", &(head + &strategy))
}

fn is_header_rule(resource: &Value) -> bool {
    resource["Tags"].as_array().into_iter().flatten().any(|tag| tag["Key"] == TAG)
}

/// Reads every listener and rule. When a rule is created, moto numbers the lone actions of other rules, too; AWS always
/// numbers them.
fn show(fixture: &MotoFixture) -> Reading {
    let mut all = fixture.show();
    for resource in all.values_mut() {
        for key in ["Actions", "DefaultActions"] {
            if let Some([Value::Object(lone)]) = resource[key].as_array_mut().map(Vec::as_mut_slice) {
                lone.remove("Order");
            }
        }
    }
    all
}

/// Reads the load balancer and the groups. moto counts a group as attached only when a rule is created.
fn surroundings(fixture: &MotoFixture) -> Vec<Value> {
    let mut all = fixture.surroundings();
    for group in all.iter_mut().filter_map(|read| read["TargetGroups"].as_array_mut()).flatten() {
        group["LoadBalancerArns"] = Value::Null;
    }
    all
}

/// Splits a reading into header rules and the others, without the tags of the run.
fn split(reading: Reading) -> (Reading, Reading) {
    let (header, mut others): (Reading, Reading) =
        reading.into_iter().partition(|(_, resource)| is_header_rule(resource));
    for tags in others.values_mut().filter_map(|resource| resource["Tags"].as_array_mut()) {
        tags.retain(|tag| !tag["Key"].as_str().is_some_and(|key| key.starts_with("cutover.dev/")));
    }
    (header, others)
}

fn login(kind: &str) -> Value {
    let cognito = json!({
        "Type": "authenticate-cognito",
        "Order": 1,
        "AuthenticateCognitoConfig": {
            "UserPoolArn": "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_shop",
            "UserPoolClientId": "shop",
            "UserPoolDomain": "login",
            "SessionCookieName": "shop",
            "Scope": "openid",
            "SessionTimeout": 3600,
            "OnUnauthenticatedRequest": "authenticate",
        },
    });
    let oidc = json!({
        "Type": "authenticate-oidc",
        "Order": 1,
        "AuthenticateOidcConfig": {
            "Issuer": "https://login.example.com",
            "AuthorizationEndpoint": "https://login.example.com/authorize",
            "TokenEndpoint": "https://login.example.com/token",
            "UserInfoEndpoint": "https://login.example.com/me",
            "ClientId": "shop",
            "ClientSecret": "S3CRET-of-the-shop",
        },
    });
    if kind == "cognito" { cognito } else { oidc }
}

/// Each header rule has the conditions of its route and the header, and every other action.
fn assert_like_routes(header: &Reading, b: &str) {
    for (arn, rule) in header {
        let conditions = rule["Conditions"].as_array().expect("a rule should have conditions");
        let of_header = conditions.iter().filter(|c| c["Field"] == "http-header").collect::<Vec<_>>();
        assert_eq!(of_header.len(), 1, "{arn}: {rule}");
        assert_eq!(of_header[0]["HttpHeaderConfig"], json!({"HttpHeaderName": "X-Canary", "Values": ["yes"]}));
        let actions = rule["Actions"].as_array().expect("a rule should have actions");
        let forward = actions.last().expect("a rule should have an action").to_string();
        assert!(forward.contains(b), "{arn}: {forward}");
    }
    let values = |priorities: [&str; 2]| {
        let rules = header.values().filter(|rule| priorities.iter().any(|p| rule["Priority"] == *p));
        let conditions = rules.flat_map(|rule| rule["Conditions"].as_array().cloned().unwrap_or_default());
        let paths = conditions.filter(|c| c["Field"] == "path-pattern");
        let all = paths.flat_map(|c| c["PathPatternConfig"]["Values"].as_array().cloned().unwrap_or_default());
        let mut all: Vec<_> = all.map(|v| v.as_str().unwrap_or_default().to_owned()).collect();
        all.sort_unstable();
        all
    };
    let mut both = [FIRST, FIRST].concat();
    both.sort_unstable();
    assert_eq!(values(["8", "9"]), both, "the five values of the first rule are spread over two rules");
}

#[test]
#[ignore = "tier contract"]
fn moto_a_whole_run_makes_and_removes_header_rules_over_the_reference_plan() {
    let fixture = reference("header-run", Some(login("cognito")));
    let (_, before) = split(show(&fixture));
    let was = weights(&fixture, &before);
    assert_eq!(was.len(), 36);
    let surroundings = surroundings(&fixture);
    let plan = plan(
        &fixture,
        &format!(
            "{{bind: {{}}}}, {HEADER}, {{pause: {{}}}}, {{setWeight: 50}}, {{pause: {{}}}}, \
             {{setHeaderRoute: {{match: []}}}}, {{pause: {{}}}}, {{setWeight: 100}}"
        ),
    );
    let check = run(fixture.cutover(&["check", &plan]));
    assert!(check.out.contains("38 header rules"), "{}\n{}", check.out, check.err);
    let mut stages = 0;
    let mut command = fixture.cutover(&["run", &plan, "--yes", "--output", "json"]);
    let ended = follow(&mut command, |line| {
        let record: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        if record["event"] != "stepStarted" || record["kind"] != "approval" {
            return;
        }
        let (header, others) = split(show(&fixture));
        assert_only_managed_groups_differ(&fixture, &before, &others, &record.to_string());
        match stages {
            0 => {
                assert_eq!(others, before, "nothing but the new rules may differ");
                assert_eq!(header.len(), 38, "a rule for each of 36 routes, two for a route with five values");
                assert_like_routes(&header, &fixture.groups["b"]);
                let with_login = |rule: &&Value| rule["Actions"][0]["Type"] == "authenticate-cognito";
                let logins: Vec<_> = header.values().filter(with_login).collect();
                let original = before.values().find(with_login).expect("a route should have a login");
                assert_eq!(logins.len(), 1, "{header:?}");
                assert_eq!(logins[0]["Actions"][0], original["Actions"][0], "the login is that of the route");
            }
            1 => assert_eq!(header.len(), 38),
            _ => assert_eq!(header.len(), 0, "an empty match removes the rules"),
        }
        assert_shares(&was, &weights(&fixture, &others), if stages == 0 { 0 } else { 50 });
        stages += 1;
        run(fixture.cutover(&["promote", &plan])).assert_exit(0);
    });
    ended.assert_exit(0);
    assert_eq!(stages, 3);
    let now = show(&fixture);
    assert_only_managed_groups_differ(&fixture, &before, &now, "the end");
    assert_shares(&was, &weights(&fixture, &now), 100);
    assert_eq!(self::surroundings(&fixture), surroundings, "a finished run must leave no tags");
    run(fixture.cutover(&["rollback", &plan, "--yes"])).assert_exit(0);
    assert_eq!(show(&fixture), before, "every field of every listener and rule is as before the run");
}

/// Returns a load balancer at half of the traffic with header rules, its plan, and its reading before the run.
fn half_way(prefix: &str, login: Option<Value>, rules: usize) -> (MotoFixture, String, Reading) {
    let fixture = reference(prefix, login);
    let before = show(&fixture);
    let plan = plan(&fixture, &format!("{{bind: {{}}}}, {HEADER}, {{setWeight: 50, name: half}}, {{setWeight: 100}}"));
    run(fixture.cutover(&["run", &plan, "--yes", "--until", "half"])).assert_exit(8);
    let (header, others) = split(show(&fixture));
    assert_eq!(header.len(), rules, "{header:?}");
    assert_shares(&weights(&fixture, &before), &weights(&fixture, &others), 50);
    (fixture, plan, before)
}

#[test]
#[ignore = "tier contract"]
fn moto_a_rollback_removes_header_rules_and_a_login_with_a_secret_is_left_out() {
    let (fixture, plan, before) = half_way("header-back", Some(login("oidc")), 37);
    let check = run(fixture.cutover(&["check", &plan]));
    let text = check.out + &check.err;
    assert!(text.contains("CUT352") && text.contains("443 rule 30"), "{text}");
    run(fixture.cutover(&["rollback", &plan, "--yes"])).assert_exit(0);
    let now = show(&fixture);
    assert_only_managed_groups_differ(&fixture, &before, &now, "the end");
    assert_eq!(weights(&fixture, &now), weights(&fixture, &before));
}

#[test]
#[ignore = "tier contract"]
fn moto_the_emergency_command_removes_header_rules() {
    let (fixture, _, before) = half_way("header-alarm", None, 38);
    std::fs::remove_dir_all(fixture.state()).expect("the state folder should be removed");
    let args = ["rollback", "--load-balancer", "header-alarm-web", "--back-to", "*-a", "--away-from", "*-b", "--yes"];
    run(fixture.cutover(&[&args[..], &["--take-over"]].concat())).assert_exit(0);
    assert_eq!(show(&fixture), before, "every field of every listener and rule is as before the run");
}

#[test]
#[ignore = "tier contract"]
fn moto_awscli_the_break_glass_script_removes_header_rules_after_the_weights() {
    let (fixture, plan, before) = half_way("header-glass", None, 38);
    // A rule with a header that someone else made.
    let (arn, _) = before.iter().find(|(_, r)| r["Port"] == 80).expect("the listener should exist");
    let conditions =
        json!([{"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X-Own", "Values": ["1"]}}]);
    let actions = json!([{"Type": "forward", "TargetGroupArn": fixture.groups["c"]}]);
    let own = json!({"ListenerArn": arn, "Priority": 400, "Conditions": conditions, "Actions": actions});
    fixture.boto(&json!([["elbv2", "create_rule", own]]));
    let back = break_glass(&fixture, &fixture.tools()).assert_exit(0);
    assert_eq!(back.out.matches("removed     the header rule ").count(), 38, "{}\n{}", back.out, back.err);
    let now = show(&fixture);
    assert_eq!(now.len(), before.len() + 1, "the rule of someone else stays");
    assert!(!now.values().any(is_header_rule));
    assert_eq!(weights(&fixture, &before).len(), 36);
    run(fixture.cutover(&["rollback", &plan, "--yes"])).assert_exit(0);
}
