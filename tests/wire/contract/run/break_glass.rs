//! Checks that the break-glass script, run with the public `aws` CLI, restores every field of every action, and that the
//! program recognises by the tags that it was used.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::child::{ProcessResult, run};
use crate::contract::run::compare::{assert_equal_actions, assert_shares, weights};
use crate::contract::run::fixture::{MotoFixture, SECRET};

/// Returns the path of the script of the only run.
fn script(fixture: &MotoFixture) -> PathBuf {
    let run = std::fs::read_dir(fixture.state().join("runs"))
        .expect("the folder of the runs should be readable")
        .next()
        .expect("a run should exist")
        .expect("the folder should be readable");
    run.path().join("break-glass.sh")
}

/// Runs the script with the `aws` CLI of the virtual environment, without `cutover`.
pub fn break_glass(fixture: &MotoFixture, aws: &str) -> ProcessResult {
    let mut command = Command::new("sh");
    command
        .arg(script(fixture))
        .env_clear()
        .env("PATH", format!("{aws}:/usr/bin:/bin"))
        .env("HOME", fixture.folder.path());
    command.envs([
        ("AWS_ENDPOINT_URL", fixture.url.as_str()),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
    ]);
    run({
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    })
}

/// Returns this tool's tags of the load balancer.
fn tags(fixture: &MotoFixture) -> BTreeMap<String, String> {
    let read = fixture.boto(&json!([["elbv2", "describe_tags", {"ResourceArns": [fixture.load_balancer]}]]));
    let text = |value: &Value| value.as_str().expect("a tag should be a string").to_owned();
    let tags = read[0]["TagDescriptions"][0]["Tags"].as_array().cloned().unwrap_or_default();
    let ours = tags.iter().map(|tag| (text(&tag["Key"]), text(&tag["Value"])));
    ours.filter(|(key, _)| key.starts_with("cutover.dev/")).collect()
}

#[test]
#[ignore = "tier contract"]
fn moto_awscli_the_break_glass_script_leaves_a_trace_until_the_rollback_ends_the_run() {
    let fixture = MotoFixture::new("trace");
    let aws = fixture.tools();
    let plan = fixture.plan("{bind: {}}, {setWeight: 50, name: half}, {setWeight: 100}");
    run(fixture.cutover(&["run", &plan, "--yes", "--until", "half"])).assert_exit(8);
    let id = script(&fixture).parent().and_then(|p| p.file_name()).expect("a folder").to_string_lossy().into_owned();
    assert!(tags(&fixture).contains_key("cutover.dev/run"), "{:?}", tags(&fixture));

    let back = break_glass(&fixture, &aws).assert_exit(0);
    for part in
        ["AWS accepted all 21 routes", "recorded ", "removed     the marker", "removed     the original weights"]
    {
        assert!(back.out.contains(part), "{part}: {}", back.out);
    }
    assert!(back.out.contains(&format!("cutover rollback {id}")), "{}", back.out);
    let left = tags(&fixture);
    assert_eq!(left.keys().collect::<Vec<_>>(), ["cutover.dev/break-glass"], "{left:?}");
    let value = &left["cutover.dev/break-glass"];
    assert!(value.starts_with(&format!("{id} 20")) && value.ends_with('Z'), "{value}");

    let said = format!("the break-glass script of run {id} put the traffic back at ");
    let status = run(fixture.cutover(&["status", &id])).assert_exit(0);
    let text = status.out.replace("\n            ", " ");
    assert!(
        text.contains(&said) && text.contains(&format!("cutover rollback {id}   # end the run: every route is read")),
        "{text}"
    );
    let resume = run(fixture.cutover(&["resume", &id])).assert_exit(2);
    assert!(resume.err.contains(&said) && resume.err.contains("add --yes"), "{}", resume.err);
    let again = run(fixture.cutover(&["run", &plan, "--yes"])).assert_exit(3);
    assert!(again.err.contains(&said) && again.err.contains("to end the run"), "{}", again.err);
    // A machine that does not have the journal also sees the script's tag.
    let mut elsewhere = fixture.cutover(&["check", &plan]);
    elsewhere.env("CUTOVER_STATE_DIR", fixture.folder.path().join("elsewhere"));
    let check = run(elsewhere);
    assert!(check.out.contains("CUT309") && check.out.contains(&said), "{}", check.out);

    run(fixture.cutover(&["rollback", &id, "--yes"])).assert_exit(0);
    assert_eq!(tags(&fixture), BTreeMap::new(), "the end of the run removes the trace");
}

#[test]
#[ignore = "tier contract"]
fn moto_awscli_the_break_glass_script_restores_every_action() {
    let fixture = MotoFixture::new("glass");
    let aws = fixture.tools();
    let before = fixture.show();
    let was = weights(&fixture, &before);
    let plan = fixture.plan("{bind: {}}, {setWeight: 50, name: half}, {setWeight: 100}");
    let began = run(fixture.cutover(&["run", &plan, "--yes", "--until", "half"])).assert_exit(8);
    let path = script(&fixture);
    assert!(
        began.err.contains(&format!("sh {}", path.display())),
        "the run must print the command of the script: {}",
        began.err
    );
    assert_eq!(path.metadata().expect("the script should be readable").permissions().mode() & 0o777, 0o700);
    let text = std::fs::read_to_string(&path).expect("the script should be readable");
    assert!(text.contains(r#""UseExistingClientSecret":true"#) && !text.contains(SECRET), "{text}");
    assert_shares(&was, &weights(&fixture, &fixture.show()), 50);

    let back = break_glass(&fixture, &aws).assert_exit(0);
    assert_eq!(back.out.matches("restored ").count(), was.len(), "{}", back.out);
    assert_equal_actions(&before, &fixture.show());
    let oidc = before.values().filter(|r| r.to_string().contains("authenticate-oidc")).count();
    assert_eq!(oidc, 4, "four of the rules must have OIDC actions");

    // A deleted rule does not delay the others; the exit code shows it.
    let gone = before.iter().find(|(_, r)| r["Priority"] == "10").expect("the rule with priority 10 should exist").0;
    fixture.boto(&serde_json::json!([["elbv2", "delete_rule", {"RuleArn": gone}]]));
    let back = break_glass(&fixture, &aws).assert_exit(5);
    assert_eq!(back.out.matches("restored ").count(), was.len() - 1, "{}", back.out);
    assert!(back.err.contains("NOT RESTORED") && back.err.contains("1 of 21 routes were not restored"), "{}", back.err);
}
