//! Errors are reported at once, with an exit code and the command to type; without a terminal, no command waits for
//! input.

use std::process::Command;

use crate::terminal::support::{Lab, PLAN, VerbOutput};

#[test]
fn init_and_check_work_without_a_terminal() {
    let lab = Lab::start();
    let init = lab.cutover_with(&[
        "init",
        "--load-balancer",
        "alpha-webapp",
        "--from",
        "*-a",
        "--to",
        "*-b",
        "--from-cluster",
        "alpha-kr-a",
        "--to-cluster",
        "alpha-kr-b",
        "--service",
        "webapp/webapp:http",
    ]);
    assert_eq!(init.code, 0, "{init:?}");
    std::fs::write(lab.folder().join("written.yaml"), &init.out).expect("the plan should be written");
    let check = lab.cutover("check written.yaml");
    assert_eq!(check.code, 0, "`check` must accept the plan of `init`: {check:?}");
    assert!(!check.out.contains('\u{1b}'), "the output to a pipe must have no colour: {check:?}");
    assert!(lab.cutover("check plan.yaml --output json").records().len() > 3);

    let misspelt = lab.cutover_with(&["init", "--load-balancer", "alpha-webap", "--from", "*-a", "--to", "*-b"]);
    assert_eq!(misspelt.code, 2, "{misspelt:?}");
    assert!(misspelt.err.contains("load balancers in ap-northeast-2: alpha-webapp"), "{misspelt:?}");
    let unasked = lab.cutover("run plan.yaml");
    assert_eq!((unasked.code, unasked.err.contains("add --yes")), (2, true), "{unasked:?}");
    for (words, code) in [
        ("status", 2),
        ("status nosuch", 2),
        ("promote two-terminals", 2),
        ("pause two-terminals", 2),
        ("approve plan.yaml", 2),
        ("abort two-terminals --yes", 2),
        ("resume two-terminals-20260101-000000-bcdf --yes", 2),
        ("rollback", 2),
        ("run nosuch.yaml --yes", 2),
        ("run plan.yaml --yes --until nosuch", 2),
        ("status --load-balancer nosuch", 2),
    ] {
        let result = lab.cutover(words);
        assert_eq!(result.code, code, "{words}: {result:?}");
        assert!(result.out.is_empty() && result.err.starts_with("error: "), "{words}: {result:?}");
    }
    // Without a journal and tags, the direction of a rollback is unknown.
    for words in ["--load-balancer alpha-webapp --from *-a --to *-b", "--from *-a", "--to *-b --yes"] {
        let result = lab.cutover(&format!("rollback {words}"));
        assert_eq!(result.code, 2, "{words}: {result:?}");
        assert!(
            result.err.contains("--back-to")
                && result.err.contains("--away-from")
                && result.err.contains("nothing was written"),
            "{result:?}"
        );
    }
    let json = lab.cutover("status --load-balancer alpha-webapp --output json").records();
    assert!(
        json[0]["marker"].as_object().is_some_and(serde_json::Map::is_empty),
        "the load balancer must have no marker: {json:?}"
    );
}

#[test]
fn a_changed_plan_and_another_runs_marker_are_named() {
    let lab = Lab::start();
    assert_eq!(lab.cutover("run plan.yaml --yes --until 1").code, 8);
    std::fs::write(lab.folder().join("plan.yaml"), PLAN.replace("setWeight: 5", "setWeight: 7"))
        .expect("the plan should be changed");
    let changed = lab.cutover("resume plan.yaml --yes");
    assert_eq!(changed.code, 2, "{changed:?}");
    assert!(
        changed.err.contains("-      - setWeight: 5") && changed.err.contains("+      - setWeight: 7"),
        "{changed:?}"
    );
    assert_eq!(lab.shares(), [0.0; 6]);

    // Another plan for the same load balancer must find the first run's marker.
    std::fs::write(lab.folder().join("other.yaml"), PLAN.replace("name: two-terminals", "name: other"))
        .expect("the other plan should be written");
    let other = lab.cutover("run other.yaml --yes");
    assert_eq!(other.code, 6, "{other:?}");
    assert!(other.err.contains("two-terminals-"), "the error must name the other run: {other:?}");
    assert_eq!(lab.cutover("status").code, 0, "the refused command must leave no run");
}

#[test]
fn two_unfinished_runs_are_named_if_a_command_needs_one() {
    let lab = Lab::start();
    // Without markers, one load balancer can have two unfinished runs.
    for name in ["first", "second"] {
        let plan =
            PLAN.replace("name: two-terminals", &format!("name: {name}")).replace("spec:\n", "spec:\n  marker: none\n");
        std::fs::write(lab.folder().join("plan.yaml"), plan).expect("the plan should be written");
        let left = lab.cutover("run plan.yaml --yes --until 1");
        assert_eq!(left.code, 8, "{left:?}");
    }
    for verb in ["status", "rollback", "pause", "approve", "promote", "abort --yes", "resume --yes"] {
        let result = lab.cutover(verb);
        assert_eq!(result.code, 2, "{verb}: {result:?}");
        assert!(
            result.err.contains("2 unfinished runs") && result.err.contains("name one of them"),
            "{verb}: {result:?}"
        );
        let named = |plan: &str| {
            result.err.lines().any(|l| l.trim_start().starts_with(&format!("{plan}-")) && l.ends_with("unfinished"))
        };
        assert!(named("first") && named("second"), "{verb}: {result:?}");
    }
    assert_eq!(lab.cutover("status first").code, 0);
}

#[test]
fn check_names_the_path_of_a_hook_command_that_does_not_exist() {
    let folder = tempfile::tempdir().expect("the folder should be created");
    std::fs::copy("plans/hooks.yaml", folder.path().join("plan.yaml")).expect("the plan should be copied");
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
    command.args(["check", "plan.yaml", "--offline", "--output", "json"]).current_dir(folder.path());
    let checked = VerbOutput::of(command.output().expect("cutover should start"));
    let findings = checked.records().into_iter().filter(|r| r["event"] == "finding" && r["code"] == "CUT305");
    let messages: Vec<_> = findings.map(|r| r["message"].to_string()).collect();
    let path = "/scale-up.sh does not exist";
    assert!(messages.iter().any(|message| message.contains(path)), "{messages:?} {checked:?}");
}
