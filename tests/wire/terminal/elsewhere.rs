//! A rollback from another machine, which has AWS credentials and nothing else, and what the machine of the run says
//! afterwards.

use crate::terminal::support::{Lab, VerbOutput};

/// A plan with two load balancers.
const TWO_BALANCERS: &str = include_str!("../../../plans/gitops.yaml");

/// Runs a command on the other machine.
fn elsewhere(lab: &Lab, words: &str) -> VerbOutput {
    let mut command = lab.command(env!("CARGO_BIN_EXE_cutover"));
    command.args(words.split_whitespace()).env("CUTOVER_STATE_DIR", lab.folder().join("elsewhere"));
    command.env("USER", "bob").env_remove("KUBECONFIG");
    VerbOutput::of(command.output().expect("cutover should start"))
}

#[test]
fn a_rollback_of_one_load_balancer_names_the_others_of_the_run() {
    let lab = Lab::start_plan(TWO_BALANCERS, "{}");
    let run = lab.cutover("run plan.yaml --yes --until 2");
    assert_eq!(run.code, 8, "{run:?}");
    let preview = elsewhere(&lab, "rollback --verbose");
    assert!(preview.err.contains("  platform-public 443 default: "), "{preview:?}");
    let first = elsewhere(&lab, "rollback --load-balancer platform-internal --yes --take-over");
    let named = "to roll it back: cutover rollback --load-balancer platform-public";
    assert!(first.code == 0 && first.err.contains(named), "{first:?}");
    let second = elsewhere(&lab, "rollback --load-balancer platform-public --yes --take-over");
    assert!(second.code == 0 && !second.err.contains("NOT ROLLED BACK"), "{second:?}");
}
