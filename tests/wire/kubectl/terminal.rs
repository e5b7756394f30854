//! `kubectl` against a lab's clusters, with the `KUBECONFIG` that the lab prints.

use serde_json::json;

use super::program;
use crate::terminal::support::{Lab, VerbOutput};

fn run(lab: &Lab, kubectl: &str, words: &str) -> VerbOutput {
    VerbOutput::of(lab.command(kubectl).args(words.split_whitespace()).output().expect("kubectl should start"))
}

#[test]
#[ignore = "tier kubectl"]
fn kubectl_gets_applies_and_deletes_the_kinds_that_cutover_uses() {
    let kubectl = program();
    let lab = Lab::start();
    let ok = |words: &str| {
        let result = run(&lab, &kubectl, words);
        assert_eq!(result.code, 0, "{words}: {result:?}");
        result
    };
    let contexts = ok("config get-contexts -o name").out;
    assert!(contexts.lines().any(|c| c == "alpha-kr-a") && contexts.lines().any(|c| c == "alpha-kr-b"), "{contexts}");
    let arn = "arn:aws:eks:ap-northeast-2:123456789012:cluster/alpha-kr-b";
    assert!(
        ok(&format!("--context {arn} get services -A")).out.contains("webapp"),
        "the kubeconfig must have the context names that printed commands use"
    );

    assert!(ok("--context alpha-kr-b -n webapp get service webapp").out.contains("webapp"));
    let deployments = ok("--context alpha-kr-b -n webapp get deployments -o json").json();
    let deployment =
        deployments["items"][0]["metadata"]["name"].as_str().expect("the deployment should be a string").to_owned();
    ok(&format!("--context alpha-kr-b -n webapp get deployment {deployment}"));

    let group = ok("--context alpha-kr-a -n webapp get targetgroupbindings -o json").json();
    let binding = &group["items"][0];
    let copy = json!({
        "apiVersion": binding["apiVersion"], "kind": binding["kind"],
        "metadata": {"name": "by-hand", "namespace": "webapp"}, "spec": binding["spec"],
    });
    for (name, value) in [
        ("binding", copy),
        (
            "service",
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "by-hand", "namespace": "webapp"},
            "spec": {"selector": {"app": "by-hand"}, "ports": [{"name": "http", "port": 80}]}}),
        ),
        (
            "deployment",
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "by-hand", "namespace": "webapp"},
            "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "by-hand"}},
                "template": {"metadata": {"labels": {"app": "by-hand"}},
                "spec": {"containers": [{"name": "x", "image": "x:1"}]}}}}),
        ),
    ] {
        std::fs::write(lab.folder().join(name), value.to_string()).expect("the manifest should be written");
        ok(&format!("--context alpha-kr-b apply --dry-run=server -f {name}"));
        assert!(ok(&format!("--context alpha-kr-b apply -f {name}")).out.contains("created"));
        assert!(
            ok(&format!("--context alpha-kr-b apply -f {name}")).out.contains("unchanged"),
            "a second apply must change nothing"
        );
        ok(&format!("--context alpha-kr-b get -f {name}"));
        ok(&format!("--context alpha-kr-b delete --wait=false -f {name}"));
    }
}
