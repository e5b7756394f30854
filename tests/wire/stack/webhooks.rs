//! Bindings with the controller's real webhooks.

use serde_json::{Value, json};

use crate::child::run;
use crate::stack::fixture::{StackFixture, until};
use crate::stack::watch;

#[test]
#[ignore = "tier stack"]
fn stack_check_calls_the_webhooks_and_changes_nothing() {
    let fixture = StackFixture::new("asked");
    let before = fixture.weights();
    let plan = fixture.plan("{bind: {}}, {setWeight: 100}");
    run(fixture.cutover(&["check", &plan])).assert_exit(0);
    let path = format!("{}/asked-b", fixture.bindings());
    assert!(fixture.stack.b.api.find(&path).is_none());
    assert_eq!(fixture.weights(), before);
    let written = |e: &Value| !["get", "list", "watch"].contains(&e["verb"].as_str().unwrap_or_default());
    let own = |e: &Value| e["objectRef"]["namespace"] == "asked" && written(e);
    let patched: Vec<_> = fixture.stack.b.audit("cutover").into_iter().filter(own).collect();
    assert!(!patched.is_empty(), "the webhooks must be called");
    for event in patched {
        assert!(event["requestURI"].as_str().is_some_and(|uri| uri.contains("dryRun=All")), "{event}");
    }
}

#[test]
#[ignore = "tier stack"]
fn stack_a_binding_that_the_webhooks_refuse_is_a_finding() {
    let fixture = StackFixture::new("refused");
    let plan = fixture.plan("{bind: {}}, {setWeight: 100}");
    let text = std::fs::read_to_string(&plan)
        .expect("the plan should be readable")
        .replace("targetType: ip}", "targetType: ip, ipAddressType: ipv6}");
    std::fs::write(&plan, text).expect("the plan should be written");
    let ended = run(fixture.cutover(&["run", &plan, "--yes"])).assert_exit(3);
    let output = ended.out + &ended.err;
    assert!(output.contains("CUT075") && output.contains("invalid IP address type"), "{output}");
    fixture.assert_share(0);
    assert!(fixture.stack.b.api.find(&format!("{}/refused-b", fixture.bindings())).is_none());
}

/// Checks that a run uses a binding that `manager` created with this metadata, and changes nothing in it.
fn assert_binding_is_not_changed(name: &str, manager: &str, metadata: Value) {
    let fixture = StackFixture::new(name);
    let api = &fixture.stack.b.api;
    let mut binding = fixture.binding("b");
    binding["metadata"]
        .as_object_mut()
        .expect("the metadata should be an object")
        .extend(metadata.as_object().expect("the metadata should be an object").clone());
    api.create(&format!("{}?fieldManager={manager}", fixture.bindings()), &binding);
    let path = format!("{}/{name}-b", fixture.bindings());
    until("the controller has registered the pods", || fixture.targets("b") == fixture.pods(&fixture.stack.b));
    let plan = fixture.plan("{bind: {}}, {setWeight: 100}");
    watch::run(&fixture, &plan, |_| {}).assert_exit(0);
    fixture.assert_share(100);
    let after = api.get(&path);
    let managers = after["metadata"]["managedFields"].to_string();
    assert!(!managers.contains("\"cutover\"") && managers.contains(manager), "{managers}");
    for (kind, keys) in metadata.as_object().expect("the metadata should be an object") {
        for (key, value) in keys.as_object().expect("the keys should be an object") {
            assert_eq!(&after["metadata"][kind][key], value, "{key}");
        }
    }
}

#[test]
#[ignore = "tier stack"]
fn stack_a_binding_created_by_someone_else_is_not_changed() {
    let tracking = json!({"argocd.argoproj.io/tracking-id": "shop:elbv2.k8s.aws/TargetGroupBinding:theirs/theirs-b"});
    assert_binding_is_not_changed("theirs", "argocd-controller", json!({"annotations": tracking}));
}

/// A binding as `helm install` leaves it: the object of the chart with Helm's ownership metadata. Helm itself does not
/// run.
#[test]
#[ignore = "tier stack"]
fn stack_a_binding_created_by_helm_is_not_changed() {
    let release = json!({"meta.helm.sh/release-name": "shop", "meta.helm.sh/release-namespace": "helmed"});
    assert_binding_is_not_changed(
        "helmed",
        "helm",
        json!({"annotations": release, "labels": {"app.kubernetes.io/managed-by": "Helm"}}),
    );
}
