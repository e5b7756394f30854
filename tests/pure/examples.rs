//! `examples/` without a stack: what needs no run to be seen.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

#[test]
fn the_policy_has_the_actions_of_the_topic() {
    let policy: Value = serde_json::from_str(&read("examples/iam-policy.json")).expect("JSON");
    let statements = policy["Statement"].as_array().expect("statements");
    let actions = statements.iter().flat_map(|s| match &s["Action"] {
        Value::Array(all) => all.clone(),
        one => vec![one.clone()],
    });
    let actions: BTreeSet<_> = actions.filter_map(|a| a.as_str().map(str::to_owned)).collect();
    let text = read("src/cli/help/permissions.md");
    let quoted =
        text.split('`').skip(1).step_by(2).filter(|q| q.starts_with("elasticloadbalancing:") || q.starts_with("eks:D"));
    assert_eq!(actions, quoted.map(str::to_owned).collect());
    for statement in statements.iter().filter(|s| s["Resource"] != "*") {
        assert!(statement["Resource"].to_string().contains(":123456789012:"), "{statement}");
    }
}

/// The documents of a YAML file, each with its kind.
fn documents(path: &str) -> Vec<Value> {
    let text = read(path);
    serde_yaml::Deserializer::from_str(&text)
        .map(|d| Value::deserialize(d).unwrap_or_else(|e| panic!("{path}: {e}")))
        .collect()
}

/// An object through its Kubernetes type and back: what the type does not have is lost on the way.
fn typed<T: Serialize + DeserializeOwned>(object: &Value) {
    let kind = serde_json::from_value::<T>(object.clone()).unwrap_or_else(|e| panic!("{e}\n{object:#}"));
    let back = serde_json::to_value(kind).expect("JSON");
    assert_eq!(&lean(back), &lean(object.clone()), "a field that its kind does not have");
}

/// Without what says nothing.
fn lean(value: Value) -> Value {
    match value {
        Value::Object(map) => map.into_iter().map(|(k, v)| (k, lean(v))).filter(|(_, v)| !v.is_null()).collect(),
        Value::Array(all) => all.into_iter().map(lean).collect(),
        other => other,
    }
}

/// The program's command lines in a text, up to whatever a shell does with what comes of them.
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

fn reads(command: &str) {
    let words = command.split_whitespace().map(std::ffi::OsString::from);
    cutover::cli::command::Cutover::read(words).unwrap_or_else(|e| panic!("{command}\n{e}"));
}

#[test]
fn schedulers_call_what_the_program_takes() {
    let mut count = 0;
    for entry in std::fs::read_dir("examples/schedulers").expect("the folder") {
        let path = entry.expect("an entry").path();
        for command in commands(&read(path.to_str().expect("UTF-8"))) {
            reads(&command);
            count += 1;
        }
    }
    let job = &documents("examples/schedulers/job.yaml")[0]["spec"]["template"]["spec"]["containers"][0];
    let words = [&job["command"], &job["args"]].into_iter().flat_map(|w| w.as_array().cloned().unwrap_or_default());
    let words: Vec<_> = words.filter_map(|w| w.as_str().map(str::to_owned)).collect();
    reads(&words.join(" "));
    assert!(count >= 4, "{count} commands");
}

#[test]
fn objects_of_the_schedulers_are_what_their_kinds_have() {
    use k8s_openapi::api::{batch::v1, core::v1::ServiceAccount};
    let cron = documents("examples/schedulers/cronjob.yaml");
    typed::<ServiceAccount>(&cron[0]);
    typed::<v1::CronJob>(&cron[1]);
    let job = documents("examples/schedulers/job.yaml");
    typed::<v1::Job>(&job[0]);
    let account = &cron[0]["metadata"]["name"];
    let pods = [&cron[1]["spec"]["jobTemplate"]["spec"]["template"]["spec"], &job[0]["spec"]["template"]["spec"]];
    for pod in pods {
        assert_eq!(&pod["serviceAccountName"], account);
        let mounts = pod["containers"][0]["volumeMounts"].as_array().expect("mounts");
        let volumes = pod["volumes"].as_array().expect("volumes");
        assert!(mounts.iter().all(|m| volumes.iter().any(|v| v["name"] == m["name"])), "{mounts:?}");
    }
}

#[test]
fn the_workflow_is_yaml_and_its_jobs_have_steps() {
    let workflow = &documents("examples/schedulers/github-actions.yaml")[0];
    let jobs = workflow["jobs"].as_object().expect("jobs");
    assert!(
        jobs.values().all(|job| job["steps"].as_array().is_some_and(|s| !s.is_empty()) && job["runs-on"].is_string()),
        "{jobs:?}"
    );
    assert!(workflow["on"]["schedule"][0]["cron"].is_string() || workflow["true"].is_object(), "{workflow:#}");
}

const UNITS: [&str; 2] = ["cutover-step.service", "cutover-step.timer"];

/// Sections and keys of the units, as systemd knows them; where its own verifier is there, that says so too.
#[test]
fn units_are_what_systemd_reads() {
    for unit in UNITS {
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
    // Its program is not installed where this is tested.
    let folder = tempfile::tempdir().expect("a folder");
    let copies: Vec<_> = UNITS.iter().map(|unit| folder.path().join(unit)).collect();
    for (unit, copy) in UNITS.iter().zip(&copies) {
        let text = read(&format!("examples/schedulers/{unit}"))
            .replace("/usr/local/bin/cutover", env!("CARGO_BIN_EXE_cutover"));
        std::fs::write(copy, text).expect("room");
    }
    let Ok(checked) = std::process::Command::new("systemd-analyze").arg("verify").args(&copies).output() else {
        return;
    };
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    let wrong: Vec<_> = said.lines().filter(|line| line.contains("cutover-step")).collect();
    assert!(wrong.is_empty(), "{said}");
}
