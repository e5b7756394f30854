//! Notifications in the plan file: their parsed form, the messages for invalid notifications, and their output in a
//! rehearsal.

use std::process::Command;

use cutover::plan::Diagnostics;
use cutover::plan::model::Plan;
use cutover::plan::model::notify::{Kind, NotificationTarget, SecretLocation, WebhookUrl};
use serde_json::Value;

use super::assert_refused;

fn with(notifications: &str) -> Result<Plan, Diagnostics> {
    super::with("", "steps: [{setWeight: 100}]", &format!("notifications: [{notifications}]"))
}

#[test]
fn each_kind_of_notification_target_is_read() {
    let plan = with(
        "{slack: {urlFrom: {env: S}}}, {webhook: {url: \"https://x/y\", headers: [{name: A, fromEnv: B}]}, on: [stopped, frozen, frozen]}, \
         {webhook: {urlFrom: {file: /f}}}, {exec: {command: [a, b], timeout: 5s}, template: \"{{ message }}\"}",
    )
    .unwrap_or_else(|e| panic!("{e}"));
    let [slack, open, secret, exec] = &plan.notifications[..] else { panic!("{:?}", plan.notifications) };
    assert_eq!(slack.to, NotificationTarget::Slack { url: SecretLocation::Env("S".into()) });
    assert!(slack.on.contains(&Kind::Finished) && !slack.on.contains(&Kind::StepDone) && slack.template.is_none());
    assert_eq!(open.on, [Kind::Frozen, Kind::Stopped]);
    assert!(
        matches!(&open.to, NotificationTarget::Webhook { url: WebhookUrl::Plain(url), headers } if url == "https://x/y" && headers.len() == 1)
    );
    assert!(
        matches!(&secret.to, NotificationTarget::Webhook { url: WebhookUrl::Secret(SecretLocation::File(path)), .. } if path == "/f")
    );
    assert!(
        matches!(&exec.to, NotificationTarget::Exec { command, timeout } if command.len() == 2 && timeout.as_secs() == 5)
    );
}

#[test]
fn every_invalid_notification_is_refused_with_position_and_advice() {
    let refused = |notification: &str, code: &str, words: &str| assert_refused(with(notification), code, words, 9);
    let slack = "slack: {urlFrom: {env: S}}";
    refused("{on: [finished]}", "CUT038", "exactly one of");
    refused("{slack: {urlFrom: {env: S}}, exec: {command: [x]}}", "CUT038", "together");
    refused("{slack: {url: \"https://hooks.example.com/T0\"}}", "CUT003", "urlFrom");
    refused("{slack: {urlFrom: {env: S, file: F}}}", "CUT038", "together");
    refused("{slack: {urlFrom: {}}}", "CUT038", "is incomplete");
    refused("{webhook: {headers: []}}", "CUT038", "exactly one of `url` and `urlFrom`");
    refused("{webhook: {url: \"https://me:secret@x\"}}", "CUT032", "fromEnv");
    refused("{exec: {command: []}}", "CUT038", "command: [PROGRAM");
    refused(&format!("{{{slack}, on: []}}"), "CUT038", "the notification has no event");
    refused(&format!("{{{slack}, on: [finish]}}"), "CUT005", "did you mean `finished`");
    refused(&format!("{{{slack}, template: \"{{{{mesage}}}}\"}}"), "CUT037", "did you mean `{{message}}`");
    refused(&format!("{{{slack}, template: \"{{{{password}}}}\"}}"), "CUT037", "`owner`");
    refused(&format!("{{{slack}, template: \"\"}}"), "CUT028", "empty");
}

/// A rehearsal sends nothing: the plan's variable, file and command do not exist here, and no error is reported.
#[test]
fn a_rehearsal_shows_the_notifications() {
    let rehearse = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
        command.current_dir(env!("CARGO_MANIFEST_DIR")).env_remove("CUTOVER_SLACK_URL").args([
            "rehearse",
            "--virtual",
            "plans/notifications.yaml",
        ]);
        let output = command.args(more).output().expect("the program should run");
        (
            output.status.code(),
            String::from_utf8(output.stdout).expect("standard output should be UTF-8"),
            String::from_utf8(output.stderr).expect("standard error should be UTF-8"),
        )
    };
    let (code, out, err) = rehearse(&[]);
    assert_eq!((code, err.contains("deliver")), (Some(0), false), "{err}");
    let lines: Vec<_> = out.lines().filter_map(|l| l.split_once("would notify ")).map(|(_, rest)| rest).collect();
    assert!(
        lines.contains(
            &"slack (approvalNeeded): *checkout-notified* (5/7) step 5  approval: on-call has read the dashboards"
        ),
        "{out}"
    );
    assert!(lines.contains(&"webhook (stepDone): cutover checkout-notified: step 1  done"), "{out}");
    let of = |to: &str| lines.iter().filter(|l| l.starts_with(to)).count();
    assert_eq!(
        (of("slack"), of("exec")),
        (3, 1),
        "slack must get started, approvalNeeded and finished, exec only approvalNeeded:\n{out}"
    );

    let (code, out, _) = rehearse(&["--scenario", "examples/scenarios/green-dies-at-50.yaml", "--output", "json"]);
    let records: Vec<Value> = out.lines().map(|l| serde_json::from_str(l).expect("a line should be JSON")).collect();
    let notified: Vec<_> = records
        .iter()
        .filter(|r| r["event"] == "notified" && r["to"] == "slack")
        .filter_map(|r| r["about"].as_str())
        .collect();
    assert_eq!(
        (code, notified),
        (Some(4), vec!["started", "approvalNeeded", "gateFailed", "rollbackStarted", "finished"]),
        "{out}"
    );
}
