//! The end of a rehearsal: its exit code, its last lines, the faults that never happened, and its report.

use std::process::Command;

const SCENARIO: &str = "apiVersion: cutover.dev/v1alpha1\nkind: Scenario\nmetadata: {name: x}\nspec:\n  faults:\n";

struct Rehearsal {
    code: Option<i32>,
    out: String,
    err: String,
    page: String,
}

/// Rehearses a plan with the faults of a scenario, one fault a line from line 6.
fn rehearse_plan(plan: &str, faults: &[&str], more: &[&str]) -> Rehearsal {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (scenario, page) = (folder.path().join("x.yaml"), folder.path().join("x.html"));
    let faults = if faults.is_empty() { &["{at: {time: 0s}, repair: {}}"][..] } else { faults };
    let faults = faults.iter().map(|fault| format!("    - {fault}")).collect::<Vec<_>>().join("\n");
    std::fs::write(&scenario, format!("{SCENARIO}{faults}")).expect("the scenario should be written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).env("TZ", "UTC");
    command.args(["rehearse", "--virtual", plan, "--scenario"]);
    let output = command.arg(&scenario).arg("--report").arg(&page).args(more).output().expect("the program should run");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the output should be UTF-8");
    Rehearsal {
        code: output.status.code(),
        out: text(output.stdout),
        err: text(output.stderr),
        page: std::fs::read_to_string(&page).unwrap_or_default(),
    }
}

fn rehearse(faults: &[&str]) -> Rehearsal {
    rehearse_plan("plans/alpha-webapp.yaml", faults, &[])
}

#[test]
fn a_fault_that_the_plan_rules_out_is_refused_with_its_line() {
    let ok = "{at: {time: 1m}, repair: {}}";
    for (fault, message) in [
        ("{at: {step: nosuch}, kill: {cluster: to}}", "at.step: the plan has no step `nosuch`; valid names are"),
        ("{at: {step: hal}, kill: {cluster: to}}", "did you mean `half`?"),
        ("{at: {step: '99'}, kill: {cluster: to}}", "\"1\" to \"12\""),
        (
            "{at: {time: 1m}, kill: {cluster: to, workload: webap}}",
            "the plan has no workload `webap`, did you mean `webapp`?",
        ),
        ("{at: {time: 1m}, kill: {cluster: too}}", "the plan has no cluster `too`, did you mean `to`?"),
        (
            "{at: {time: 1m}, foreign-write: {weights: {a: 100, blue: 0}}}",
            "foreign-write.weights: the plan has no cluster or target group `blue`; valid names are a, b, from, to",
        ),
        ("{at: {time: 1m}, error: {cluster: to, percent: 150}}", "error.percent: 150 is not a valid percentage"),
    ] {
        let Rehearsal { code, err, .. } = rehearse(&[ok, fault]);
        assert!(
            code == Some(2) && err.contains("x.yaml:7: spec.faults[1].") && err.contains(message),
            "{fault}: {err}"
        );
    }
    let gate = |fault: &str| rehearse_plan("plans/metrics.yaml", &[fault], &[]);
    let refused = gate("{at: {time: 1m}, gate: {name: erors, says: fail}}");
    assert!(refused.code == Some(2) && refused.err.contains("did you mean `errors`?"), "{}", refused.err);
    let hook = rehearse_plan("plans/hooks.yaml", &["{at: {time: 1m}, hook: {name: smoke-tst}}"], &[]);
    assert!(hook.code == Some(2) && hook.err.contains("did you mean `smoke-test`?"), "{}", hook.err);
}

#[test]
fn faults_that_never_happen_are_named_in_text_json_and_report() {
    let faults = [
        "{at: {time: 1m}, foreign-write: {priority: 99, weights: {a: 1}}}",
        "{at: {time: 1m}, delete-rule: {listener: 8443}}",
        "{at: {time: 100h}, kill: {cluster: to}}",
        "{at: {time: 1m}, gate: {name: errors, says: fail}}",
        "{at: {time: 1m}, hook: {name: smoke-test}}",
        "{at: {share: {cluster: to, atLeast: 50}}, operator: abort}",
    ];
    let expected = [
        "fault 1 (line 6) never happened: the listener on port 80 has no rule with priority 99",
        "fault 2 (line 7) never happened: the plan's load balancer has no listener on port 8443",
        "fault 3 (line 8) never happened: the rehearsal ended before 100h of lab time",
        "fault 4 (line 9) never happened: the plan has no metric gates",
        "fault 5 (line 10) never happened: the plan has no commands and no hooks",
    ];
    let rehearsal = rehearse(&faults);
    for line in expected {
        assert!(rehearsal.out.contains(line) && rehearsal.page.contains(line), "{line}: {}", rehearsal.out);
    }
    assert!(!rehearsal.out.contains("fault 6 (line 11) never"), "{}", rehearsal.out);
    let json = rehearse_plan("plans/alpha-webapp.yaml", &faults, &["--output", "json"]).out;
    let notices: Vec<serde_json::Value> = json.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let notices: Vec<_> =
        notices.iter().filter(|r| r["event"] == "notice").filter_map(|r| r["message"].as_str()).collect();
    assert!(expected.iter().all(|line| notices.contains(line)), "{notices:?}");
}

#[test]
fn the_last_lines_say_why_the_rehearsal_ended_and_what_a_real_run_offers() {
    let died = rehearse(&["{at: {share: {cluster: to, atLeast: 20}}, kill: {cluster: to}}"]);
    assert_eq!(died.code, Some(4), "{}", died.err);
    for line in [
        "the rehearsal ended with exit 4: rolled back: alpha-webapp-b has no healthy target",
        "in a real run: cutover run plans/alpha-webapp.yaml   # a new run, when the cause is gone",
        "report: /",
        "a rehearsal does not check names, such as those of target groups; before a run: cutover check",
    ] {
        assert!(died.err.contains(line), "{line}: {}", died.err);
    }
    assert!(died.page.contains("What to do") && died.page.contains("A real run of the plan would offer"));
    let drifted = rehearse(&["{at: {share: {cluster: to, atLeast: 20}}, foreign-write: {weights: {a: 60, b: 40}}}"]);
    assert_eq!(drifted.code, Some(7), "{}", drifted.err);
    let deleted = rehearse(&["{at: {share: {cluster: to, atLeast: 20}}, delete-rule: {priority: 1}}"]);
    for text in [&deleted.out, &deleted.page] {
        assert!(text.contains("cutover resume plans/alpha-webapp.yaml --keep-live"), "{text}");
    }
    let of_no_run = |text: &str| text.contains("cutover resume alpha-webapp-2026");
    assert!(!of_no_run(&deleted.out) && !of_no_run(&deleted.page), "a run that does not exist: {}", deleted.out);
    for text in [&drifted.err, &drifted.page] {
        for command in ["--keep-live   # accept", "--reassert   # undo", "cutover rollback plans/alpha-webapp.yaml"] {
            assert!(text.contains(command), "{command}: {text}");
        }
    }
}

#[test]
fn a_report_that_cannot_be_written_is_refused_before_the_rehearsal() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    let output =
        command.args(["rehearse", "--virtual", "plans/alpha-webapp.yaml", "--report", "/no/such/x.html"]).output();
    let output = output.expect("the program should run");
    assert!(output.status.code() == Some(2) && output.stdout.is_empty(), "{output:?}");
}

#[test]
fn a_drifted_rehearsal_goes_on_so_that_a_later_fault_happens() {
    let share = "share: {cluster: to, atLeast: 20}";
    let rehearsal = rehearse(&[
        &format!("{{at: {{{share}, after: 1m}}, foreign-write: {{weights: {{a: 60, b: 40}}}}}}"),
        &format!("{{at: {{{share}, after: 3m}}, kill: {{cluster: to}}}}"),
    ]);
    assert_eq!(rehearsal.code, Some(5), "{}", rehearsal.err);
    assert!(rehearsal.out.contains("guard gate failed on alpha-webapp-b"), "{}", rehearsal.out);
    assert!(!rehearsal.out.contains("never happened"), "{}", rehearsal.out);
    assert!(
        rehearsal.err.contains("exit 5: 35 of 36 routes restored; NOT restored: 80 default: not rolled back"),
        "{}",
        rehearsal.err
    );
}

#[test]
fn a_dead_old_cluster_needs_a_person_and_both_ways_are_named() {
    let half = "share: {cluster: to, atLeast: 50}";
    let from = format!("{{at: {{{half}, after: 1m}}, kill: {{cluster: from}}}}");
    let alone = rehearse(&[&from]);
    assert_eq!(alone.code, Some(5), "{}", alone.err);
    for text in [&alone.err, &alone.page] {
        for command in
            ["cutover resume plans/alpha-webapp.yaml   # move on", "cutover rollback plans/alpha-webapp.yaml --force"]
        {
            assert!(text.contains(command), "{command}: {text}");
        }
    }
    let both = rehearse(&[&from, &format!("{{at: {{{half}, after: 2m}}, kill: {{cluster: to}}}}")]);
    assert_eq!(both.code, Some(5), "{}", both.err);
    let advice = both.err.lines().filter(|line| line.contains("cutover rollback")).collect::<Vec<_>>();
    assert!(!advice.is_empty() && advice.iter().all(|line| line.contains("--force")), "{advice:?}");
}

#[test]
fn clients_are_measured_during_and_after_a_rollback_and_the_table_adds_up() {
    let rehearsal = rehearse(&["{at: {share: {cluster: to, atLeast: 20}}, kill: {cluster: to}}"]);
    for line in ["during the rollback  clients saw a ", "after the rollback  clients saw a "] {
        assert!(rehearsal.out.contains(line), "{line}: {}", rehearsal.out);
    }
    let page = &rehearsal.page;
    let table = &page[page.find("What clients saw").expect("a table")..];
    let table = &table[..table.find("</table>").expect("its end")];
    let sum = |column: &str| -> u64 {
        let head = format!("data-label=\"{column}\">");
        let cells = table.split(&head).skip(1);
        cells.filter_map(|cell| cell.split('<').next()?.parse::<u64>().ok()).sum()
    };
    let head = format!("clients sent {} requests; {} failed", sum("requests"), sum("errors"));
    assert!(page.contains(&head), "{head}\n{table}");
    assert!(table.contains("other times: start, writes, settle"), "{table}");
}

/// Regression test: a run that froze between a write and the end of its settle had no row for this step.
#[test]
fn clients_are_measured_while_a_step_is_frozen_after_its_writes() {
    let rehearsal = rehearse(&["{at: {share: {cluster: to, atLeast: 20}}, foreign-write: {weights: {a: 60, b: 40}}}"]);
    let page = &rehearsal.page;
    let table = &page[page.find("What clients saw").expect("a table")..];
    assert!(rehearsal.code == Some(7) && table.contains("6  "), "{}", table);
}

#[test]
fn a_route_that_is_not_restored_is_at_the_head_of_the_report() {
    let share = "share: {cluster: to, atLeast: 20}";
    let rehearsal = rehearse(&[
        &format!("{{at: {{{share}, after: 1m}}, delete-rule: {{priority: 1}}}}"),
        &format!("{{at: {{{share}, after: 63s}}, kill: {{cluster: to}}}}"),
    ]);
    assert_eq!(rehearsal.code, Some(5), "{}", rehearsal.err);
    let head = &rehearsal.page[..rehearsal.page.find("What happened").expect("a section")];
    for part in [
        "1 NOT restored",
        "1 route is NOT restored. A person must act: see What to do.",
        "the rule was deleted; its requests (path ",
        " now; to have it back, create the rule again with a forward action to alpha-webapp-a",
    ] {
        assert!(head.contains(part), "{part}: {head}");
    }
    assert!(rehearsal.out.contains("to have it back, create the rule again"), "{}", rehearsal.out);
}

/// Returns the plan with metric gates, with an additional approval and notification.
fn plan_with_approval() -> tempfile::NamedTempFile {
    let plan = std::fs::read_to_string("plans/metrics.yaml").expect("the plan");
    let plan = plan.replace("- setWeight: 50\n", "- pause: {approval: look}\n      - setWeight: 50\n");
    let notifications = "  notifications: [{slack: {urlFrom: {env: X}}, on: [approvalNeeded]}]\n";
    let file = tempfile::NamedTempFile::with_suffix(".yaml").expect("a temporary file");
    std::fs::write(&file, plan.trim_end().to_owned() + "\n" + notifications).expect("the plan should be written");
    file
}

#[test]
fn the_numbers_of_gates_are_those_of_the_last_measurement() {
    let plan = plan_with_approval();
    let json = rehearse_plan(&plan.path().display().to_string(), &[], &["--output", "json"]);
    assert_eq!(json.code, Some(0), "{}", json.err);
    let records: Vec<serde_json::Value> = json.out.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let asked = records.iter().position(|r| r["event"] == "notified").expect("a notification");
    let told = records[asked]["text"].as_str().expect("a text");
    let changed = records[..asked].iter().rev().find(|r| r["event"] == "verdictChanged" && r["gate"] == "errors");
    let old = changed.and_then(|r| r["why"].as_str()).expect("a verdict");
    assert!(told.contains("gate errors: passes: ") && !told.contains(old), "{told}\nlast change: {old}");
    // A gate that compares the clusters gives no more results when the old cluster has no traffic.
    let last = records.iter().rev().find(|r| r["event"] == "gateMeasured" && r["gate"] == "saturation");
    let last = last.and_then(|r| r["time"].as_str()).expect("a measurement");
    let clock = &last[last.find('T').expect("a time") + 1..][..8];
    let gates = &json.page[json.page.find("Metric gates").expect("a section")..];
    let line = gates.split("<li").find(|line| line.contains(">saturation<")).expect("the gate");
    assert!(line.contains(&format!("Last, at {clock}")), "{clock}: {line}");
}

/// Regression test: several mistakes of a scenario were reported one at a time.
#[test]
fn all_mistakes_of_a_scenario_are_reported_at_once() {
    let both = rehearse(&["{at: {time: 1m}, error: {cluster: to, percent: 150}}", "{at: {}, kill: {cluster: to}}"]);
    assert!(both.err.contains("x.yaml:6: spec.faults[0].error.percent: 150 is not a valid percentage"), "{}", both.err);
    assert!(both.err.contains("x.yaml:7: spec.faults[1].at: exactly one of `time`"), "{}", both.err);
    let names = rehearse(&[
        "{at: {step: nosuch}, kill: {cluster: too}}",
        "{at: {time: 1m}, flap: {cluster: c, down: 1m, up: 1m}}",
    ]);
    for place in ["x.yaml:6: spec.faults[0].at.step", "x.yaml:6: spec.faults[0].kill", "x.yaml:7: spec.faults[1].flap"]
    {
        assert!(names.err.contains(place), "{place}: {}", names.err);
    }
    assert_eq!((both.code, names.code), (Some(2), Some(2)));
}

/// Regression test: no line of a rehearsal said when a fault of its scenario happened.
#[test]
fn a_fault_that_happens_has_a_line_in_text_json_and_report() {
    let faults = ["{at: {share: {cluster: to, atLeast: 5}}, slow: {cluster: to, percent: 10, by: 20ms, for: 1m}}"];
    let begins = "scenario: fault 1 (line 6) begins: slow {cluster: to, percent: 10, by: 20ms, for: 1m}";
    let ends = begins.replace("begins", "ends");
    let rehearsal = rehearse(&faults);
    for line in [begins, &ends] {
        assert!(rehearsal.out.contains(line) && rehearsal.page.contains(line), "{line}: {}", rehearsal.out);
    }
    let json = rehearse_plan("plans/alpha-webapp.yaml", &faults, &["--output", "json"]).out;
    assert!(json.contains(begins) && json.contains(&ends), "{json}");
}

/// Regression test: every client with a cookie came at the start, so that a rehearsal showed none of them on the new
/// cluster after a rollback.
#[test]
fn clients_with_cookies_stay_on_the_new_cluster_after_a_rollback_only_if_the_plan_keeps_them() {
    let plan = |stickiness: &str| {
        let text = std::fs::read_to_string("plans/gitops.yaml").expect("the plan should be readable");
        assert!(text.contains("{stickiness: keep}"));
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), text.replace("{stickiness: keep}", &format!("{{stickiness: {stickiness}}}")))
            .expect("the plan should be written");
        file
    };
    let after = |stickiness: &str| {
        let file = plan(stickiness);
        let path = file.path().to_str().expect("a UTF-8 path").to_owned();
        let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
        command.current_dir(env!("CARGO_MANIFEST_DIR")).args(["rehearse", "--virtual", "--output", "json", &path]);
        let output = command.args(["--scenario", "examples/scenarios/sticky-clients.yaml"]).output().expect("it runs");
        let text = String::from_utf8(output.stdout).expect("the output should be UTF-8");
        let records = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let row = records.into_iter().find(|r| r["during"] == "afterRollback").expect("a row after the rollback");
        let err = String::from_utf8(output.stderr).expect("the output should be UTF-8");
        (output.status.code(), row["clusters"]["v133"]["requests"].as_u64().expect("a number"), err)
    };
    let (code, kept, err) = after("keep");
    assert_eq!(code, Some(5), "{err}");
    assert!(err.contains("in a real run: cutover rollback ") && err.contains(" --stickiness break"), "{err}");
    let (code, left, err) = after("break");
    assert_eq!(code, Some(4), "{err}");
    // A write takes some seconds to reach the traffic.
    assert!(left * 10 < kept, "{left} of {kept} requests went to the new cluster after the rollback");
    assert!(!err.contains("--stickiness"), "{err}");
}

/// Regression test: `says: fail` of a scenario invented 10,000 failed requests.
#[test]
fn a_gate_that_the_scenario_fails_has_no_made_up_numbers() {
    let fault = "{at: {share: {cluster: to, atLeast: 5}}, gate: {name: errors, says: fail}}";
    let rehearsal = rehearse_plan("plans/metrics.yaml", &[fault], &[]);
    assert_eq!(rehearsal.code, Some(4), "{}", rehearsal.err);
    assert!(rehearsal.out.contains("the scenario says `fail`, without a measurement"), "{}", rehearsal.out);
    assert!(!rehearsal.out.contains("10000") && !rehearsal.page.contains("10000"), "{}", rehearsal.out);
}

/// Regression test: a rehearsal whose clients failed while no gate saw it ended as a plain success.
#[test]
fn a_rehearsal_whose_clients_fail_unseen_says_so_in_text_json_and_page() {
    let faults = ["{at: {share: {cluster: to, atLeast: 50}}, error: {cluster: to, requests: 20, clientsOnly: true}}"];
    let says = "requests failed, and the plan has no metric gate; see `cutover help gates`";
    let rehearsal = rehearse(&faults);
    assert_eq!(rehearsal.code, Some(0), "{}", rehearsal.err);
    let last = rehearsal.err.lines().find(|line| line.contains("ended with exit 0: completed, but")).expect("the end");
    assert!(last.ends_with(says), "{last}");
    assert!(rehearsal.page.contains("Completed, but requests failed") && rehearsal.page.contains(says));
    assert!(rehearsal.page.contains("failed requests") && !rehearsal.page.contains("The incident, enlarged"));
    let json = rehearse_plan("plans/alpha-webapp.yaml", &faults, &["--output", "json"]).out;
    let notice = json.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut notice =
        notice.filter(|record| record["event"] == "notice").filter_map(|r| Some(r["message"].as_str()?.to_owned()));
    assert!(notice.any(|message| message.ends_with(says)), "{json}");
}

/// All waves are rehearsed one after the other, in the same lab.
#[test]
fn waves_are_rehearsed_one_after_the_other() {
    let whole = rehearse_plan("plans/waves.yaml", &[], &[]);
    let begins = ["internal", "public", "office"].map(|wave| whole.err.find(&format!("wave {wave} (")));
    assert!(begins.iter().all(Option::is_some) && begins.is_sorted(), "{begins:?}: {}", whole.err);
    assert_eq!(whole.code, Some(0), "{}", whole.err);
    let fault = "{at: {step: half}, kill: {cluster: to, workload: checkout}}";
    let failed = rehearse_plan("plans/waves.yaml", &[fault], &[]);
    assert!(failed.code == Some(4) && failed.err.contains("wave public (2 of 3)"), "{}", failed.err);
    assert!(!failed.err.contains("wave office"), "no later wave begins: {}", failed.err);
}

#[test]
fn a_rollback_at_a_network_load_balancer_says_how_many_connections_are_open() {
    let rehearsal = rehearse_plan(
        "plans/nlb.yaml",
        &["{at: {share: {cluster: to, atLeast: 50}, after: 20m}, kill: {cluster: to}}"],
        &[],
    );
    let line = rehearsal.err.lines().find(|line| line.starts_with("CloudWatch counts ")).unwrap_or_default();
    assert!(
        rehearsal.code == Some(4) && line.contains(" connections at shop-tcp, a few minutes ago; "),
        "{}",
        rehearsal.err
    );
}
