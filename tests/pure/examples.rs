//! Checks the files in `examples/` that can be checked without a run.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

#[test]
fn the_iam_policy_has_the_actions_of_the_permissions_topic() {
    let policy: Value = serde_json::from_str(&read("examples/iam-policy.json")).expect("the policy should be JSON");
    let statements = policy["Statement"].as_array().expect("the policy should have statements");
    let actions = statements.iter().flat_map(|s| match &s["Action"] {
        Value::Array(all) => all.clone(),
        one => vec![one.clone()],
    });
    let actions: BTreeSet<_> = actions.filter_map(|a| a.as_str().map(str::to_owned)).collect();
    let text = read("src/cli/help/permissions.md");
    // The policy is that of a plan with ALBs and without a header route.
    let others = ["only for Network Load Balancers", "only for `setHeaderRoute`"];
    let of_others = |line: &&str| others.iter().any(|other| line.contains(other));
    let text = text.lines().filter(|line| !of_others(line)).collect::<Vec<_>>().join("\n");
    let quoted =
        text.split('`').skip(1).step_by(2).filter(|q| {
            q.starts_with("elasticloadbalancing:") || ["eks:D", "eks:L"].iter().any(|eks| q.starts_with(eks))
        });
    assert_eq!(actions, quoted.map(str::to_owned).collect());
    for statement in statements.iter().filter(|s| s["Resource"] != "*") {
        assert!(statement["Resource"].to_string().contains(":123456789012:"), "{statement}");
    }
}

#[test]
fn the_policy_of_compare_has_exactly_its_actions_and_its_topic_names_them() {
    let policy: Value = serde_json::from_str(&read("examples/compare-iam-policy.json")).expect("it should be JSON");
    let statements = policy["Statement"].as_array().expect("the policy should have statements");
    let actions = statements.iter().flat_map(|s| match &s["Action"] {
        Value::Array(all) => all.clone(),
        one => vec![one.clone()],
    });
    let actions: BTreeSet<_> = actions.filter_map(|a| a.as_str().map(str::to_owned)).collect();
    let used = cutover::engine::compare_platform::ACTIONS.map(str::to_owned);
    assert_eq!(actions, used.into());
    let text = read("src/cli/help/compare.md");
    let missing: Vec<_> = actions.iter().filter(|action| !text.contains(&format!("`{action}`"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// The plan for HAProxy passes the checks, and its globs match the servers of the configuration.
#[test]
fn haproxy_plan_fits_its_configuration() {
    let plan = read("examples/haproxy/plan.yaml");
    let plan = cutover::plan::lint("plan.yaml", plan.as_bytes()).expect("the plan should pass the checks");
    assert!(plan.account_id.is_empty() && plan.workloads[0].routes.len() == 2, "two instances are two routes");
    let configuration = read("examples/haproxy/haproxy.cfg");
    let servers = configuration.lines().filter_map(|line| line.trim().strip_prefix("server ")?.split(' ').next());
    let servers: Vec<_> = servers.collect();
    for glob in ["a-*", "b-*"] {
        let found = servers.iter().filter(|name| cutover::base::haproxy::matches(glob, name)).count();
        assert_eq!(found, 2, "{glob} {servers:?}");
    }
}

/// Returns the documents of a YAML file.
fn documents(path: &str) -> Vec<Value> {
    let text = read(path);
    serde_yaml::Deserializer::from_str(&text)
        .map(|d| Value::deserialize(d).unwrap_or_else(|e| panic!("{path}: {e}")))
        .collect()
}

/// Converts an object to its Kubernetes type and back; asserts that no field is lost.
fn assert_valid_object<T: Serialize + DeserializeOwned>(object: &Value) {
    let kind = serde_json::from_value::<T>(object.clone()).unwrap_or_else(|e| panic!("{e}\n{object:#}"));
    let back = serde_json::to_value(kind).expect("the object should convert to JSON");
    assert_eq!(&without_nulls(back), &without_nulls(object.clone()), "the object must have only fields of its kind");
}

/// Removes null fields.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            map.into_iter().map(|(k, v)| (k, without_nulls(v))).filter(|(_, v)| !v.is_null()).collect()
        }
        Value::Array(all) => all.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

/// Returns the program's command lines in a text, each up to `;`, `|` or `>`.
fn commands(text: &str) -> Vec<String> {
    let lines = text.lines().map(|l| l.trim_start().trim_start_matches("#   "));
    let begins = |l: &str| {
        ["cutover ", "ExecStart=/usr/local/bin/cutover ", "args: [\"cutover "]
            .iter()
            .find(|p| l.starts_with(**p))
            .map(|p| l[p.len()..].to_owned())
    };
    let command =
        lines.filter_map(begins).map(|rest| rest.split([';', '|', '>']).next().unwrap_or_default().trim().to_owned());
    command.map(|rest| format!("cutover {rest}")).collect()
}

fn assert_valid_command(command: &str) {
    let words = command.split_whitespace().map(std::ffi::OsString::from);
    cutover::cli::command::Cutover::read(words).unwrap_or_else(|e| panic!("{command}\n{e}"));
}

#[test]
fn schedulers_use_valid_commands() {
    let mut count = 0;
    for entry in std::fs::read_dir("examples/schedulers").expect("the folder examples/schedulers should be readable") {
        let path = entry.expect("the entry should be readable").path();
        for command in commands(&read(path.to_str().expect("the path should be UTF-8"))) {
            assert_valid_command(&command);
            count += 1;
        }
    }
    let job = &documents("examples/schedulers/job.yaml")[0]["spec"]["template"]["spec"]["containers"][0];
    let words = [&job["command"], &job["args"]].into_iter().flat_map(|w| w.as_array().cloned().unwrap_or_default());
    let words: Vec<_> = words.filter_map(|w| w.as_str().map(str::to_owned)).collect();
    assert_valid_command(&words.join(" "));
    assert!(count >= 4, "expected at least 4 commands, found {count}");
}

#[test]
fn kubernetes_objects_of_the_schedulers_have_valid_fields() {
    use k8s_openapi::api::{batch::v1, core::v1::ServiceAccount};
    let cron = documents("examples/schedulers/cronjob.yaml");
    assert_valid_object::<ServiceAccount>(&cron[0]);
    assert_valid_object::<v1::CronJob>(&cron[1]);
    let job = documents("examples/schedulers/job.yaml");
    assert_valid_object::<v1::Job>(&job[0]);
    let account = &cron[0]["metadata"]["name"];
    let pods = [&cron[1]["spec"]["jobTemplate"]["spec"]["template"]["spec"], &job[0]["spec"]["template"]["spec"]];
    for pod in pods {
        assert_eq!(&pod["serviceAccountName"], account);
        let mounts = pod["containers"][0]["volumeMounts"].as_array().expect("the container should have mounts");
        let volumes = pod["volumes"].as_array().expect("the pod should have volumes");
        assert!(mounts.iter().all(|m| volumes.iter().any(|v| v["name"] == m["name"])), "{mounts:?}");
    }
}

#[test]
fn the_workflow_is_yaml_and_its_jobs_have_steps() {
    let workflow = &documents("examples/schedulers/github-actions.yaml")[0];
    let jobs = workflow["jobs"].as_object().expect("the workflow should have jobs");
    assert!(
        jobs.values().all(|job| job["steps"].as_array().is_some_and(|s| !s.is_empty()) && job["runs-on"].is_string()),
        "{jobs:?}"
    );
    assert!(workflow["on"]["schedule"][0]["cron"].is_string() || workflow["true"].is_object(), "{workflow:#}");
}

const SYSTEMD_UNITS: [&str; 2] = ["cutover-step.service", "cutover-step.timer"];

/// Checks the sections and keys of the units against systemd's; also runs systemd's own verifier where it is installed.
#[test]
fn systemd_units_are_valid() {
    for unit in SYSTEMD_UNITS {
        let path = format!("examples/schedulers/{unit}");
        let mut section = "";
        for line in
            read(&path).lines().filter(|l| !l.is_empty() && !l.starts_with('#')).map(str::to_owned).collect::<Vec<_>>()
        {
            if line.starts_with('[') {
                section = ["[Unit]", "[Service]", "[Timer]", "[Install]"]
                    .into_iter()
                    .find(|s| *s == line)
                    .unwrap_or_else(|| panic!("{line}"));
            } else {
                assert!(
                    !section.is_empty()
                        && line
                            .split_once('=')
                            .is_some_and(|(k, v)| k.chars().all(char::is_alphanumeric) && !v.is_empty()),
                    "{line}"
                );
            }
        }
    }
    // The verifier needs the program's path, and `cutover` is not installed where the tests run.
    let folder = tempfile::tempdir().expect("a temporary folder should be created");
    let copies: Vec<_> = SYSTEMD_UNITS.iter().map(|unit| folder.path().join(unit)).collect();
    for (unit, copy) in SYSTEMD_UNITS.iter().zip(&copies) {
        let text = read(&format!("examples/schedulers/{unit}"))
            .replace("/usr/local/bin/cutover", env!("CARGO_BIN_EXE_cutover"));
        std::fs::write(copy, text).expect("the unit should be written");
    }
    let Ok(checked) = std::process::Command::new("systemd-analyze").arg("verify").args(&copies).output() else {
        return;
    };
    let messages = String::from_utf8_lossy(&checked.stderr).into_owned();
    let wrong: Vec<_> = messages.lines().filter(|line| line.contains("cutover-step")).collect();
    assert!(wrong.is_empty(), "{messages}");
}
