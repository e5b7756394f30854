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
    let lab = Lab::start_for(TWO_BALANCERS, "{}", &["--speed", "100"]);
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

#[test]
fn the_machine_of_the_run_says_that_another_machine_put_the_traffic_back() {
    let lab = Lab::start();
    let mut run = lab.follow("run plan.yaml --yes");
    run.until_step(3);
    run.until("a wait for the bake", |r| r["event"] == "waiting" && r["waits"][0]["reason"] == "bake");
    let id = run.run.clone();
    look_from_elsewhere(&lab);
    let check = elsewhere(&lab, "check plan.yaml --output json");
    assert!(check.code == 3 && check.out.contains("CUT315"), "{check:?}");
    let back = elsewhere(&lab, "rollback --yes --take-over");
    let said = format!("{}{}", back.out, back.err);
    assert_eq!(back.code, 0, "{back:?}");
    for part in [
        ", by bob@",
        "read back: alpha-webapp-a 100 %, alpha-webapp-b 0 %",
        "rolled back on request: ",
        &format!("run {id} is still unfinished; to end it, on the machine of alice@"),
    ] {
        assert!(said.contains(part), "{part}: {back:?}");
    }
    assert!(!said.contains("away-from") && !said.contains("of plan rollback"), "{back:?}");
    let again = elsewhere(&lab, "rollback --yes");
    assert!(again.code == 2 && again.err.starts_with("error: nothing to roll back: rollback-"), "{again:?}");

    let (code, output) = run.end();
    // The process sees either the marker of the rollback, or its result.
    let said = ["has taken over this load balancer", "someone else put the traffic of this run back"];
    assert!([6, 7].contains(&code) && said.iter().any(|text| output.contains(text)), "{code}: {output}");
    assert_put_back(&lab, &id);
    let end = lab.cutover("rollback plan.yaml --yes");
    assert_eq!(end.code, 0, "{end:?}");
    assert_eq!(lab.cutover("check plan.yaml").code, 0);
}

/// Asserts what the other machine shows before the rollback.
fn look_from_elsewhere(lab: &Lab) {
    let status = elsewhere(lab, "status plan.yaml");
    assert_eq!(status.code, 2, "{status:?}");
    let look = "to show it from here: cutover status --load-balancer alpha-webapp";
    for part in [look, "to roll back from here: cutover rollback plan.yaml"] {
        assert!(status.err.contains(part), "{part}: {status:?}");
    }
    let live = elsewhere(lab, "status --load-balancer alpha-webapp");
    for part in
        ["owned by run two-terminals-", "before run two-terminals-", "to roll back: cutover rollback --load-balancer"]
    {
        assert!(live.out.contains(part) && !live.out.contains("cutover.dev/"), "{part}: {live:?}");
    }
    let unknown = elsewhere(lab, "rollback --load-balancer alpha --yes");
    let names = "load balancers in ap-northeast-2: alpha-webapp";
    assert!(unknown.code == 2 && unknown.err.contains(names), "{unknown:?}");
    let misspelt = elsewhere(lab, "rollback two-terminal --yes");
    for part in ["names a run of two-terminal", "--load-balancer alpha-webapp    # the run two-terminals-"] {
        assert!(misspelt.code == 2 && misspelt.err.contains(part), "{part}: {misspelt:?}");
    }
    let fresh = elsewhere(lab, "status");
    assert!(fresh.code == 2 && fresh.err.contains("cutover status --load-balancer NAME"), "{fresh:?}");
    let without = |variables: &[&str]| {
        let mut command = lab.command(env!("CARGO_BIN_EXE_cutover"));
        command.arg("rollback").env("CUTOVER_STATE_DIR", lab.folder().join("elsewhere"));
        for name in variables {
            command.env_remove(name);
        }
        command.env("AWS_EC2_METADATA_DISABLED", "true");
        VerbOutput::of(command.output().expect("cutover should start"))
    };
    let lost = without(&["AWS_REGION", "AWS_DEFAULT_REGION"]);
    let first = lost.err.lines().next().unwrap_or_default();
    assert!(lost.code == 2 && first.contains("no AWS region is set"), "{lost:?}");
    let lost = without(&["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]);
    assert!(lost.code == 5 && lost.err.contains("credentials"), "{lost:?}");
}

/// Asserts that every command on the machine of the run names the rollback by someone else, and the command that ends
/// the run.
fn assert_put_back(lab: &Lab, id: &str) {
    let end = format!("cutover rollback {id}");
    let says = |text: &str| {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        text.contains("someone else put the traffic of this run back") && text.contains(&end)
    };
    let status = lab.cutover("status");
    assert!(says(&status.out), "{status:?}");
    assert!(lab.cutover("status --output json").json()["putBack"].is_object());
    let check = lab.cutover("check plan.yaml");
    assert!(check.code == 3 && says(&check.out) && check.out.contains("CUT308"), "{check:?}");
    let run = lab.cutover("run plan.yaml --yes");
    assert!(run.code == 3 && says(&run.err) && !run.err.contains("cutover resume"), "{run:?}");
    let promote = lab.cutover("promote plan.yaml --yes");
    assert!(promote.code == 0 && says(&promote.err) && promote.err.contains("a 100 %"), "{promote:?}");
    let dir = lab.environment("CUTOVER_STATE_DIR");
    let pasted = lab.cutover(&format!("status --state-dir {dir}"));
    assert!(pasted.out.contains(&format!("cutover rollback --state-dir {dir} {id}")), "{pasted:?}");
}

#[test]
fn a_rollback_at_a_network_load_balancer_counts_the_open_connections() {
    let plan = include_str!("../../../plans/nlb.yaml").replace("settle: 10m", "settle: 1s");
    let lab = Lab::start_for(&plan, "{}", &["--speed", "100", "--rate", "1"]);
    let run = lab.cutover("run plan.yaml --yes --until first-connections");
    assert_eq!(run.code, 8, "{run:?}");
    for (words, place) in [
        (
            "rollback --load-balancer shop-tcp --back-to broker-blue --away-from broker-green --yes --take-over",
            "shop-tcp",
        ),
        ("rollback plan.yaml --yes", "shop-tcp"),
    ] {
        let back = lab.cutover(words);
        let said = format!("{}{}", back.out, back.err);
        let counted = said.split("CloudWatch counts ").nth(1).unwrap_or_default();
        assert!(back.code == 0 && counted.contains(&format!("at {place}, a few minutes ago")), "{words}: {back:?}");
        assert!(!counted.starts_with("0 "), "{words}: {back:?}");
    }
}
