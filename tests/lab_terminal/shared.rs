//! Runs kept in a cluster: two machines that share nothing else.

use crate::support::{Lab, PLAN};

/// The plan of these tests, its runs kept in the old cluster.
fn shared(lab: &Lab) {
    let plan = PLAN.replace("spec:\n", "spec:\n  state: {kubernetes: {eks: alpha-kr-a, namespace: webapp}}\n");
    std::fs::write(lab.folder().join("shared.yaml"), plan).expect("the plan is written");
}

#[test]
fn a_run_that_is_kept_in_a_cluster_is_steered_and_taken_back_from_another_machine() {
    let lab = Lab::start();
    shared(&lab);
    let mut run = lab.follow("run shared.yaml --yes");
    run.until_step(3);
    // Another machine has neither the plan nor this machine's folder: only the place.
    let elsewhere = |words: &str| lab.cutover(&format!("{words} --state-dir elsewhere --state eks:alpha-kr-a/webapp"));
    assert_eq!(lab.cutover("status two-terminals --state-dir elsewhere").code, 2, "nothing is kept on a machine");
    let status = elsewhere("status two-terminals --output json").json();
    assert_eq!((&status["phase"], &status["guard"]["state"]), (&"baking".into(), &"watched".into()));
    assert_eq!(lab.cutover("run shared.yaml --yes --state-dir elsewhere").code, 6);
    assert_eq!(elsewhere("promote two-terminals").code, 0);
    run.until_step(4);
    let approve = elsewhere("approve two-terminals");
    assert_eq!((approve.code, approve.out.contains("arn:aws:sts::123456789012:")), (0, true), "{approve:?}");
    let approved = run.until_event("approved");
    assert!(approved["by"].as_str().is_some_and(|by| by.starts_with("arn:aws:") && by.contains("(alice@")), "{approved}");
    run.until_event("finished");
    let (code, said) = run.end();
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("kubectl -n webapp get configmap cutover-two-terminals-"), "{said}");
    let back = elsewhere("rollback two-terminals --yes");
    assert_eq!(back.code, 0, "{back:?}");
    assert_eq!(lab.shares(), [0.0; 6]);
    let other = lab.cutover("status shared.yaml --state eks:alpha-kr-b/webapp");
    assert_eq!((other.code, other.err.contains("eks:alpha-kr-a/webapp")), (2, true), "{other:?}");
}

#[test]
fn a_place_that_cannot_be_reached_is_refused_and_no_local_one_is_used() {
    let lab = Lab::start();
    let config =
        "{apiVersion: v1, kind: Config, clusters: [{name: gone, cluster: {server: \"http://127.0.0.1:9\"}}], users: [{name: me, user: {}}],
        contexts: [{name: gone, context: {cluster: gone, user: me}}], current-context: gone}";
    std::fs::write(lab.folder().join("gone.yaml"), config).expect("the kubeconfig is written");
    let plan = PLAN.replace("spec:\n", "spec:\n  state: {kubernetes: {kubeContext: gone, namespace: cutover}}\n");
    std::fs::write(lab.folder().join("shared.yaml"), plan).expect("the plan is written");
    for words in ["run shared.yaml --yes", "status two-terminals --state kubernetes:gone/cutover", "rollback shared.yaml --yes"] {
        let mut command = lab.command(env!("CARGO_BIN_EXE_cutover"));
        let said = crate::support::Said::of(command.env("KUBECONFIG", "gone.yaml").args(words.split(' ')).output().expect("it runs"));
        assert_eq!(said.code, 3, "{words}: {said:?}");
        assert!(said.err.contains("namespace cutover of the cluster of context gone"), "{words}: {said:?}");
        assert!(said.err.contains("cutover rollback --load-balancer"), "{words}: {said:?}");
    }
    assert_eq!(lab.shares(), [0.0; 6]);
    assert_eq!(lab.cutover("status two-terminals").code, 2, "nothing was kept on this machine");
}
