//! Checks that the break-glass script, run with the public `aws` CLI, restores every field of every action.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

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
fn break_glass(fixture: &MotoFixture, aws: &str) -> ProcessResult {
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
