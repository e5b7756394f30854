use std::path::PathBuf;

use clap::error::ErrorKind;

use super::*;
use crate::cli::args::StepRef;
use crate::cli::help::Topic;
use crate::plan::model::{ClusterAccess, Shares, StateLocation};

fn read(line: &str) -> Result<Cutover, clap::Error> {
    Cutover::read(line.split_whitespace().map(OsString::from))
}

fn error_kind(line: &str) -> ErrorKind {
    read(line).expect_err("the command line should be rejected").kind()
}

#[test]
fn clap_accepts_the_definition() {
    Cutover::command().debug_assert();
}

#[test]
fn run_accepts_steps_by_number_and_by_name() {
    let read =
        read("cutover run plan.yaml --yes --until first-traffic --from-step 4 --baseline a=60,c=40 -o json").unwrap();
    assert_eq!(read.global.output, Output::Json);
    let Verb::Run(run) = read.verb else { panic!("not run") };
    assert!(run.yes);
    assert_eq!(run.until, Some(StepRef::Name("first-traffic".into())));
    assert_eq!(run.from_step, Some(StepRef::Number(4)));
    assert_eq!(run.baseline, Some(Shares::from([("a".into(), 60), ("c".into(), 40)])));
}

#[test]
fn dry_run_accepts_step_options_and_rejects_others() {
    let Verb::Run(run) = read("cutover run plan.yaml --dry-run").unwrap().verb else { panic!("not run") };
    assert!(run.dry_run && !run.yes);
    assert!(read("cutover run plan.yaml --dry-run --from-step 2 --until half").is_ok());
    assert_eq!(error_kind("cutover run plan.yaml --dry-run --on-freeze wait"), ErrorKind::ArgumentConflict);
}

#[test]
fn global_options_are_accepted_before_and_after_the_command() {
    let before = read("cutover --state-dir /s --color never status").unwrap();
    let after = read("cutover status --state-dir /s --color never").unwrap();
    assert_eq!(before, after);
    assert_eq!(after.global.state_dir, Some(PathBuf::from("/s")));
}

#[test]
fn only_commands_that_may_ask_accept_yes() {
    for verb in ["promote", "approve", "resume", "abort"] {
        assert!(read(&format!("cutover {verb} alpha-webapp")).is_ok());
        assert!(read(&format!("cutover {verb} alpha-webapp --yes")).is_ok());
    }
    assert_eq!(error_kind("cutover pause alpha-webapp --yes"), ErrorKind::UnknownArgument);
}

#[test]
fn commands_that_steer_a_run_take_the_only_unfinished_one_without_a_name() {
    for verb in ["pause", "resume", "approve", "promote", "abort", "abort --yes", "promote --full"] {
        assert!(read(&format!("cutover {verb}")).is_ok(), "{verb}");
    }
}

#[test]
fn rollback_accepts_no_target_or_one_kind_of_target() {
    assert!(read("cutover rollback").is_ok());
    assert!(read("cutover rollback alpha-webapp --yes --force --take-over").is_ok());
    assert!(read("cutover rollback --load-balancer lb --back-to *-a --away-from *-b").is_ok());
    assert!(
        read("cutover rollback --load-balancer lb --from *-a").is_ok(),
        "parsing should succeed, because the command itself rejects `--from` with an explanation"
    );
    assert_eq!(error_kind("cutover rollback --load-balancer lb --back-to *-a"), ErrorKind::MissingRequiredArgument);
    assert_eq!(
        error_kind("cutover rollback run-1 --load-balancer lb --back-to *-a --away-from *-b"),
        ErrorKind::ArgumentConflict
    );
}

#[test]
fn contradictory_and_invalid_options_are_rejected() {
    assert_eq!(error_kind("cutover run p --from-step 2 --baseline a=50"), ErrorKind::ValueValidation);
    assert_eq!(error_kind("cutover run p --baseline a=100"), ErrorKind::MissingRequiredArgument);
    assert_eq!(error_kind("cutover resume p --keep-live --reassert"), ErrorKind::ArgumentConflict);
    assert_eq!(error_kind("cutover rehearse p --virtual --speed 3"), ErrorKind::ArgumentConflict);
    assert_eq!(error_kind("cutover lab p --speed 0"), ErrorKind::ValueValidation);
    assert_eq!(
        error_kind("cutover init --load-balancer lb --from a --to b --service webapp"),
        ErrorKind::ValueValidation
    );
    assert_eq!(error_kind("cutover status --output markdown"), ErrorKind::InvalidValue);
    assert!(read("cutover check - --output markdown").is_ok());
}

#[test]
fn help_of_a_command_names_its_topic() {
    for (name, topic) in TOPICS_OF_COMMANDS {
        let help =
            read(&format!("cutover {name} --help")).expect_err("clap should return the help as an error").to_string();
        assert!(help.contains(&format!("Background: cutover help {topic}")), "{help}");
        assert!(Topic::find(topic).is_some(), "{topic}");
    }
}

#[test]
fn command_names_of_other_tools_get_a_suggestion() {
    let message = read("cutover apply plan.yaml").expect_err("an unknown command should be rejected").to_string();
    assert!(message.contains("'run'"), "{message}");
    let mut command = Cutover::definition("cutover".as_ref());
    command.build();
    for (word, verb) in COMMANDS_OF_OTHER_TOOLS {
        assert!(command.find_subcommand(verb).is_some() && command.find_subcommand(word).is_none(), "{word}: {verb}");
    }
}

#[test]
fn help_of_kubectl_plugin_uses_the_name_kubectl_cutover() {
    let help =
        read("/usr/bin/kubectl-cutover run --help").expect_err("clap should return the help as an error").to_string();
    assert!(help.contains("Usage: kubectl cutover run [OPTIONS] <PLAN>"), "{help}");
}

#[test]
fn help_of_rollback_fits_a_screen() {
    let help = read("cutover rollback --help").expect_err("clap should return the help as an error").to_string();
    assert!(help.lines().count() <= 40, "{help}");
    assert!(help.contains("cutover rollback --load-balancer alpha-webapp"), "{help}");
    assert!(help.contains("  5  traffic is NOT where it should be"), "{help}");
}

#[test]
fn state_in_kubernetes_is_given_by_context_or_eks_cluster_and_namespace() {
    let state_location = |text: &str| {
        read(&format!("cutover status --state {text}")).map(|c| c.global.state.expect("--state should be set"))
    };
    let at = |access| StateLocation::Kubernetes { access, namespace: "cutover".into() };
    let arn = "arn:aws:eks:eu-central-1:123456789012:cluster/tools";
    assert_eq!(
        state_location(&format!("kubernetes:{arn}/cutover")).unwrap(),
        at(ClusterAccess::KubeContext(arn.into()))
    );
    assert_eq!(state_location("eks:tools/cutover").unwrap(), at(ClusterAccess::Eks("tools".into())));
    assert_eq!(state_location("eks:tools/cutover").unwrap().to_string(), "eks:tools/cutover");
    assert_eq!(state_location("local").unwrap(), StateLocation::Local);
    for wrong in ["tools", "eks:tools", "eks:/cutover", "s3:bucket/key", "kubernetes:tools/"] {
        assert_eq!(error_kind(&format!("cutover status --state {wrong}")), ErrorKind::ValueValidation, "{wrong}");
    }
}

#[test]
fn usage_lines_show_only_what_is_required_and_apply_suggests_run() {
    let usage = |line: &str| {
        let text = read(line).expect_err("should be refused").to_string();
        text.lines().find_map(|line| line.strip_prefix("Usage: ").map(str::to_owned)).unwrap_or_default()
    };
    assert_eq!(usage("cutover finalize --state-dir /tmp/x"), "cutover finalize [OPTIONS] <RUN|PLAN>");
    assert_eq!(usage("cutover run --until half"), "cutover run [OPTIONS] <PLAN>");
    let apply = read("cutover apply plan.yaml").expect_err("another tool's word").to_string();
    assert!(apply.contains("'run'"), "{apply}");
}
