//! Notifications over sockets: one for each event, no matter which process journals it. A target that does not respond does
//! not delay the run.

use serde_json::Value;

use crate::terminal::support::{Lab, PLAN};
use crate::terminal::webhook_server::WebhookServer;

/// Writes the plan of these tests with notifications.
fn plan(lab: &Lab, notifications: &str) {
    let plan = PLAN.replace("  strategy:\n", &format!("  notifications:\n{notifications}  strategy:\n"));
    std::fs::write(lab.folder().join("notify.yaml"), plan).expect("the plan should be written");
}

#[test]
fn each_event_is_notified_once_whichever_process_journals_it() {
    let lab = Lab::start();
    let (hooks, url) = WebhookServer::start();
    let all = "[started, stepStarted, approvalNeeded, approved, paused, resumed, rollbackStarted, finished, stopped]";
    std::fs::write(lab.folder().join("secret"), format!("{url}/slack\n")).expect("the secret should be written");
    plan(
        &lab,
        &format!(
            "    - webhook: {{url: \"{url}/all\"}}\n      on: {all}\n    - webhook: {{url: \"{url}/busy\"}}\n      on: [started]\n    \
             - slack: {{urlFrom: {{file: secret}}}}\n      on: [paused]\n      template: \"<!here> {{{{message}}}}\"\n    \
             - exec: {{command: [sh, -c, \"cat >> notified; echo >> notified\"]}}\n      on: [approved]\n    \
             - slack: {{urlFrom: {{env: NOT_SET_ANYWHERE}}}}\n      on: [frozen]\n"
        ),
    );
    let mut run = lab.follow("run notify.yaml --yes");
    run.until_step(3);
    run.process.signal("INT");
    let (code, output) = run.end();
    assert_eq!(code, 130, "{output}");
    assert!(
        output.contains(
            "notifications to slack cannot be delivered: the environment variable NOT_SET_ANYWHERE is not set"
        ),
        "{output}"
    );
    // No process drives the run, so that this command journals and notifies.
    assert_eq!(lab.cutover("promote two-terminals").code, 0);
    let waiting = lab.cutover("resume two-terminals --yes --max-wait 0s");
    assert_eq!(waiting.code, 8, "{waiting:?}");
    assert_eq!(lab.cutover("approve two-terminals").code, 0);
    let done = lab.cutover("resume two-terminals --yes");
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(lab.cutover("rollback two-terminals --yes").code, 0);
    let expected = [
        "started",
        "stepStarted",
        "stepStarted",
        "stepStarted",
        "paused",
        "stopped",
        "approved",
        "resumed",
        "approvalNeeded",
        "approved",
        "stepStarted",
        "finished",
        "rollbackStarted",
        "finished",
    ];
    assert_eq!(hooks.at("/all", "event"), expected);
    assert_eq!(hooks.at("/busy", "event"), ["started", "started"], "a refused notification must be sent a second time");
    let slack = hooks.at("/slack", "text");
    assert!(
        slack.len() == 1 && slack[0].starts_with("<!here> paused by alice@") && slack[0].ends_with(": interrupted"),
        "{slack:?}"
    );
    let notified =
        std::fs::read_to_string(lab.folder().join("notified")).expect("the command should have written its output");
    let by: Vec<Value> = notified.lines().map(|l| serde_json::from_str(l).expect("the text should be JSON")).collect();
    assert!(by.len() == 2 && by.iter().all(|b| b["event"] == "approved" && b["steps"] == 5), "{notified}");
    for text in [&output, &done.err, &done.out] {
        assert!(!text.contains(&format!("{url}/slack")), "the output must not contain a secret: {text}");
    }
}

#[test]
fn a_webhook_that_never_responds_does_not_change_a_run() {
    let lab = Lab::start();
    let (hooks, url) = WebhookServer::start();
    plan(
        &lab,
        &format!("    - webhook: {{url: \"{url}/hang\"}}\n    - exec: {{command: [sleep, \"1000\"], timeout: 900s}}\n"),
    );
    let mut run = lab.follow("run notify.yaml --yes");
    run.until_step(3);
    assert_eq!(lab.cutover("rollback two-terminals --yes").code, 0);
    let finished = run.until_event("finished");
    assert_eq!(finished["outcome"], "aborted");
    let (code, output) = run.end();
    assert_eq!(code, 4, "{output}");
    assert_eq!(lab.shares(), [0.0; 6]);
    assert_eq!(hooks.at("/hang", "event")[0], "started");
    assert!(
        output.contains("notifications to webhook: 3 items were not delivered when this process ended"),
        "{output}"
    );
    assert!(output.contains("notifications to exec: 3 items were not delivered when this process ended"), "{output}");
}
