//! The compare gate of a run with two real API servers.

use serde_json::{Value, json};

use crate::child::follow;
use crate::stack::cluster::Cluster;
use crate::stack::compare::{DEPLOYMENT, container_object, create_platform, grants};
use crate::stack::fixture::{REPLICAS, StackFixture, until};
use crate::stack::permissions::{self, role};

const STEPS: &str = "{bind: {}}, {setWeight: 20}, {pause: {duration: 75s}}, {setWeight: 100}";

fn image(digit: char) -> String {
    format!("registry.example/web@sha256:{}", digit.to_string().repeat(64))
}

/// Rolls out an image, and waits until only its pods are left.
fn deploy(fixture: &StackFixture, cluster: &Cluster, digit: char) {
    let mut container = container_object();
    container["image"] = image(digit).into();
    let template = json!({"spec": {"template": {"spec": {"containers": [container]}}}});
    cluster.api.merge(&DEPLOYMENT.replace("NS", &fixture.name), &template);
    let pods = format!("/api/v1/namespaces/{}/pods?labelSelector=app%3Dweb", fixture.name);
    until("only pods of the new image are left", || {
        let list = cluster.api.get(&pods);
        let all = list["items"].as_array().cloned().unwrap_or_default();
        let new = |pod: &Value| pod["status"]["containerStatuses"][0]["imageID"] == image(digit);
        all.len() == REPLICAS && all.iter().all(new)
    });
}

/// A Deployment is updated in only one cluster during the pause: the next raise is held with both digests, and goes on
/// after the other cluster follows.
#[test]
#[ignore = "tier stack"]
fn stack_a_deploy_in_one_cluster_holds_the_next_raise() {
    let fixture = StackFixture::with_own_stack("held");
    let clusters = [&fixture.stack.a, &fixture.stack.b];
    for cluster in clusters {
        create_platform(cluster, "held");
        role::grant(cluster, "held", role::example("held").iter().chain(&grants(cluster, "held")));
        deploy(&fixture, cluster, '1');
    }
    let plan = permissions::plan_with(&fixture, STEPS);
    let text = std::fs::read_to_string(&plan).expect("the plan should be readable");
    let gated = text.replace("gates: {", "gates: {compare: {every: 1m}, ");
    std::fs::write(&plan, gated).expect("the plan should be written");

    let mut command = permissions::cutover(&fixture, "held", &["run", &plan, "--yes", "--output", "json"]);
    let (mut held, mut mended) = (None, false);
    let ended = follow(&mut command, |line| {
        let record: Value = serde_json::from_str(line).unwrap_or_default();
        let event = record["event"].as_str().unwrap_or_default().to_owned();
        if event == "stepStarted" && record["kind"] == "bake" {
            deploy(&fixture, clusters[0], '2');
        }
        if event == "compared" && record["held"].as_array().is_some_and(|held| !held.is_empty()) && held.is_none() {
            held = record["held"][0].as_str().map(str::to_owned);
            fixture.assert_share(20);
            deploy(&fixture, clusters[1], '2');
        }
        mended |= event == "compared" && held.is_some() && record.get("held").is_none();
    })
    .assert_exit(0);
    let held = held.unwrap_or_else(|| panic!("the raise was not held\n{}", ended.out));
    for part in ["CUT120 Deployment held/web", &"1".repeat(64), &"2".repeat(64), "a runs", "b runs"] {
        assert!(held.contains(part), "{part}: {held}");
    }
    assert!(mended, "{}", ended.out);
    fixture.assert_share(100);
}
