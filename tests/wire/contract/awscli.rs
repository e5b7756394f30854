//! The public `aws` CLI with a lab, with the environment variables that the lab prints.

use std::path::Path;

use serde_json::{Value, json};

use crate::programs::of_venv;
use crate::terminal::support::{Lab, VerbOutput};

fn run(lab: &Lab, aws: &Path, args: &[&str]) -> VerbOutput {
    // 0: no time-out.
    let patient = ["--cli-connect-timeout", "0", "--cli-read-timeout", "0"];
    VerbOutput::of(
        lab.command(&aws.display().to_string()).args(args).args(patient).output().expect("the aws CLI should start"),
    )
}

fn json(lab: &Lab, aws: &Path, words: &str) -> Value {
    let result = run(lab, aws, &words.split_whitespace().chain(["--output", "json"]).collect::<Vec<_>>());
    assert_eq!(result.code, 0, "{words}: {result:?}");
    result.json()
}

#[test]
#[ignore = "tier contract"]
fn awscli_reads_and_writes_like_cutover() {
    let aws = of_venv("aws");
    let lab = Lab::start();
    let balancers = json(&lab, &aws, "elbv2 describe-load-balancers --names alpha-webapp");
    let lb = balancers["LoadBalancers"][0]["LoadBalancerArn"].as_str().expect("the ARN should be a string");
    let listeners = json(&lab, &aws, &format!("elbv2 describe-listeners --load-balancer-arn {lb}"));
    let listener = &listeners["Listeners"]
        .as_array()
        .expect("the listeners should be a list")
        .iter()
        .find(|l| l["Port"] == 443)
        .expect("a listener should use port 443");
    let listener_arn = listener["ListenerArn"].as_str().expect("the ARN should be a string");
    let rules = json(&lab, &aws, &format!("elbv2 describe-rules --listener-arn {listener_arn}"));
    let rule = rules["Rules"]
        .as_array()
        .expect("the rules should be a list")
        .iter()
        .find(|r| r["Priority"] == "1")
        .expect("the rule with priority 1 should exist");
    let groups = json(&lab, &aws, &format!("elbv2 describe-target-groups --load-balancer-arn {lb}"));
    let arn = |name: &str| {
        let groups = groups["TargetGroups"].as_array().expect("the groups should be a list");
        groups.iter().find(|g| g["TargetGroupName"] == name).expect("the group should exist")["TargetGroupArn"]
            .as_str()
            .expect("the ARN should be a string")
            .to_owned()
    };
    let (a, b) = (arn("alpha-webapp-a"), arn("alpha-webapp-b"));
    let health = json(&lab, &aws, &format!("elbv2 describe-target-health --target-group-arn {a}"));
    let states: Vec<_> = health["TargetHealthDescriptions"]
        .as_array()
        .expect("the targets should be a list")
        .iter()
        .map(|t| &t["TargetHealth"]["State"])
        .collect();
    assert!(!states.is_empty() && states.iter().all(|s| *s == "healthy"), "{health}");
    let tags = json(&lab, &aws, &format!("elbv2 describe-tags --resource-arns {lb} {a}"));
    assert_eq!(tags["TagDescriptions"].as_array().map(Vec::len), Some(2), "{tags}");

    let actions = json!([{"Type": "forward", "ForwardConfig": {"TargetGroups": [
        {"TargetGroupArn": a, "Weight": 60}, {"TargetGroupArn": b, "Weight": 40},
    ]}}])
    .to_string();
    let rule_arn = rule["RuleArn"].as_str().expect("the ARN should be a string");
    for (verb, what, option) in [
        ("modify-rule", ["--rule-arn", rule_arn], "--actions"),
        ("modify-listener", ["--listener-arn", listener_arn], "--default-actions"),
    ] {
        let result = run(&lab, &aws, &["elbv2", verb, what[0], what[1], option, &actions]);
        assert_eq!(result.code, 0, "{verb}: {result:?}");
    }
    let after = json(&lab, &aws, &format!("elbv2 describe-rules --rule-arns {rule_arn}"));
    assert_eq!(after["Rules"][0]["Actions"][0]["ForwardConfig"]["TargetGroups"][1]["Weight"], 40, "{after}");
    assert_eq!(after["Rules"][0]["Conditions"], rule["Conditions"], "the conditions must not change");
    let mut shares = lab.shares();
    shares.sort_by(f64::total_cmp);
    assert_eq!(shares, [0.0, 0.0, 0.0, 0.0, 40.0, 40.0], "`status` must read the same shares");

    let missing = run(&lab, &aws, &["elbv2", "describe-rules", "--rule-arns", &format!("{rule_arn}0")]);
    assert!(missing.code != 0 && missing.err.contains("RuleNotFound"), "{missing:?}");
}

#[test]
#[ignore = "tier contract"]
fn awscli_describes_the_clusters_and_the_caller() {
    let aws = of_venv("aws");
    let lab = Lab::start();
    let cluster = json(&lab, &aws, "eks describe-cluster --name alpha-kr-b");
    assert_eq!(
        (&cluster["cluster"]["name"], &cluster["cluster"]["status"]),
        (&json!("alpha-kr-b"), &json!("ACTIVE")),
        "{cluster}"
    );
    assert!(cluster["cluster"]["endpoint"].as_str().is_some_and(|e| e.starts_with("http://127.0.0.1:")), "{cluster}");
    assert_eq!(json(&lab, &aws, "sts get-caller-identity")["Account"], "123456789012");
    let unknown = run(&lab, &aws, &["eks", "describe-cluster", "--name", "nosuch"]);
    assert!(unknown.code != 0 && unknown.err.contains("ResourceNotFoundException"), "{unknown:?}");
}
