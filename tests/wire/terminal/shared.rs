//! Runs in shared state: two machines that share only a namespace.

use crate::terminal::support::{Lab, PLAN};

/// Writes the plan of these tests with its state in the old cluster.
fn write_shared_plan(lab: &Lab) {
    let plan = PLAN.replace("spec:\n", "spec:\n  state: {kubernetes: {eks: alpha-kr-a, namespace: webapp}}\n");
    std::fs::write(lab.folder().join("shared.yaml"), plan).expect("the plan should be written");
}

#[test]
fn a_run_in_shared_state_is_steered_and_rolled_back_from_another_machine() {
    let lab = Lab::start();
    write_shared_plan(&lab);
    let mut run = lab.follow("run shared.yaml --yes");
    run.until_step(3);
    // Another machine has neither the plan nor this machine's state, only the place of the shared state.
    let elsewhere = |words: &str| lab.cutover(&format!("{words} --state-dir elsewhere --state eks:alpha-kr-a/webapp"));
    assert_eq!(lab.cutover("status two-terminals --state-dir elsewhere").code, 2, "no state is local");
    let status = elsewhere("status two-terminals --output json").json();
    assert_eq!((&status["phase"], &status["guard"]["state"]), (&"baking".into(), &"watched".into()));
    assert_eq!(lab.cutover("run shared.yaml --yes --state-dir elsewhere").code, 6);
    assert_eq!(elsewhere("promote two-terminals").code, 0);
    run.until_step(4);
    let approve = elsewhere("approve two-terminals");
    assert_eq!((approve.code, approve.out.contains("arn:aws:sts::123456789012:")), (0, true), "{approve:?}");
    let approved = run.until_event("approved");
    assert!(
        approved["by"].as_str().is_some_and(|by| by.starts_with("arn:aws:") && by.contains("(alice@")),
        "{approved}"
    );
    run.until_event("finished");
    let (code, output) = run.end();
    assert_eq!(code, 0, "{output}");
    assert!(output.contains("kubectl -n webapp get configmap cutover-two-terminals-"), "{output}");
    let back = elsewhere("rollback two-terminals --yes");
    assert_eq!(back.code, 0, "{back:?}");
    assert_eq!(lab.shares(), [0.0; 6]);
    let other = lab.cutover("status shared.yaml --state eks:alpha-kr-b/webapp");
    assert_eq!((other.code, other.err.contains("eks:alpha-kr-a/webapp")), (2, true), "{other:?}");
}

/// Reads a Job of the lab's old cluster.
fn job(lab: &Lab, name: &str) -> serde_json::Value {
    let config = lab.environment("KUBECONFIG");
    let config = kube::config::Kubeconfig::read_from(config).expect("the kubeconfig should be readable");
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("the runtime should be created");
    runtime.block_on(async {
        let options = kube::config::KubeConfigOptions { context: Some("alpha-kr-a".into()), ..Default::default() };
        let config = kube::Config::from_custom_kubeconfig(config, &options)
            .await
            .expect("the kubeconfig should have the context");
        let client = kube::Client::try_from(config).expect("the client should be created");
        let jobs: kube::Api<k8s_openapi::api::batch::v1::Job> = kube::Api::namespaced(client, "webapp");
        serde_json::to_value(jobs.get(name).await.expect("the job should exist"))
            .expect("the object should become JSON")
    })
}

#[test]
fn a_run_that_is_handed_to_a_job_continues_with_the_jobs_command() {
    let lab = Lab::start();
    write_shared_plan(&lab);
    let no_context = |plan: &str| plan.replace("eks: alpha-kr-b", "kubeContext: b");
    let text = std::fs::read_to_string(lab.folder().join("shared.yaml")).expect("the plan should be readable");
    std::fs::write(lab.folder().join("context.yaml"), no_context(&text)).expect("the plan should be written");
    for (words, why) in [
        ("run plan.yaml --yes --detach --image i", "spec.state"),
        ("run context.yaml --yes --detach --image i", "kubeconfig context b"),
        ("run shared.yaml --yes --detach", "--image"),
    ] {
        let result = lab.cutover(words);
        assert_eq!((result.code, result.err.contains(why)), (2, true), "{words}: {result:?}");
    }
    let result = lab.cutover("run shared.yaml --yes --detach --image registry.example.com/cutover:0.1.0 --output json");
    assert_eq!(result.code, 8, "{result:?}");
    let handed = result.json();
    let run = handed["run"].as_str().expect("the run should be a string");
    assert_eq!(lab.shares(), [0.0; 6], "the detaching process must move no traffic");
    let status = lab.cutover(&format!("status {run} --state eks:alpha-kr-a/webapp --output json"));
    assert_eq!(status.json()["phase"], "ready", "{status:?}");
    let job = job(&lab, handed["job"].as_str().expect("the job should be a string"));
    let pod = &job["spec"]["template"]["spec"];
    assert_eq!(pod["serviceAccountName"], "cutover");
    let arguments = pod["containers"][0]["args"].as_array().expect("the arguments should be a list");
    let arguments: Vec<_> = arguments.iter().filter_map(|a| a.as_str()).collect();
    // Runs the command as the Job's pod would, on another machine. The successor of an evicted pod runs the same
    // command.
    let words = arguments.join(" ");
    let mut pod = lab.follow(&format!("{} --state-dir pod", words.replace("--output json", "")));
    pod.until_step(3);
    let again = lab.cutover("run shared.yaml --yes --detach --image i");
    assert_eq!(again.code, 6, "{again:?}");
    assert_eq!(lab.cutover("promote shared.yaml --state-dir elsewhere").code, 0);
    pod.until_step(4);
    assert_eq!(lab.cutover("approve shared.yaml --state-dir elsewhere").code, 0);
    pod.until_event("finished");
    assert_eq!(pod.end().0, 0);
    let over = lab.cutover(&words);
    assert_eq!((over.code, over.err.contains("is finished")), (0, true), "{over:?}");
}

#[test]
fn an_unreachable_state_is_refused_and_no_local_state_is_used() {
    let lab = Lab::start();
    let config =
        "{apiVersion: v1, kind: Config, clusters: [{name: gone, cluster: {server: \"http://127.0.0.1:9\"}}], users: [{name: me, user: {}}],
        contexts: [{name: gone, context: {cluster: gone, user: me}}], current-context: gone}";
    std::fs::write(lab.folder().join("gone.yaml"), config).expect("the kubeconfig should be written");
    let plan = PLAN.replace("spec:\n", "spec:\n  state: {kubernetes: {kubeContext: gone, namespace: cutover}}\n");
    std::fs::write(lab.folder().join("shared.yaml"), plan).expect("the plan should be written");
    for words in
        ["run shared.yaml --yes", "status two-terminals --state kubernetes:gone/cutover", "rollback shared.yaml --yes"]
    {
        let mut command = lab.command(env!("CARGO_BIN_EXE_cutover"));
        let result = crate::terminal::support::VerbOutput::of(
            command.env("KUBECONFIG", "gone.yaml").args(words.split(' ')).output().expect("the command should start"),
        );
        assert_eq!(result.code, 3, "{words}: {result:?}");
        assert!(result.err.contains("namespace cutover of the cluster of context gone"), "{words}: {result:?}");
        assert!(result.err.contains("cutover rollback --load-balancer"), "{words}: {result:?}");
    }
    assert_eq!(lab.shares(), [0.0; 6]);
    assert_eq!(lab.cutover("status two-terminals").code, 2, "no state is local");
}
