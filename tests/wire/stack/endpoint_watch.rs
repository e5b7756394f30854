//! The watch of EndpointSlices on real API servers.

use std::path::Path;

use serde_json::{Value, json};

use crate::child::follow;
use crate::stack::fixture::StackFixture;
use crate::stack::permissions::{self, role, role::Grant};
use crate::stack::watch;

/// Calls per second that a run may use to observe. A round of four calls has two parts, forty seconds apart: first the
/// routes and the marker, then both groups.
const BUDGET: &str = "0.05";

/// Returns the name of the source that shows first that the group with the oldest reading becomes unhealthy.
fn noticed_by(state: &Path) -> Option<String> {
    let mut runs = std::fs::read_dir(state.join("runs")).ok()?.flatten();
    let heartbeat = runs.find_map(|run| std::fs::read(run.path().join("look.json")).ok())?;
    let heartbeat: Value = serde_json::from_slice(&heartbeat).ok()?;
    heartbeat["oldestHealth"]["noticedBy"].as_str().map(str::to_owned)
}

/// The pods of the new cluster end just after both groups were read. The next reading would be that of the routes, so
/// that the run could know this only after two more parts.
#[test]
#[ignore = "tier stack"]
fn stack_dead_pods_are_noticed_before_it_is_the_turn_of_their_group() {
    let fixture = StackFixture::new("noticed");
    let endpoint = &fixture.stack.endpoint;
    for cluster in [&fixture.stack.a, &fixture.stack.b] {
        // The example has these as a comment, because only large runs need them.
        let watch = ["list", "watch"].map(|verb| Grant {
            namespace: Some("noticed".into()),
            group: "discovery.k8s.io".into(),
            resource: "endpointslices".into(),
            verb: verb.into(),
            name: None,
        });
        role::grant(cluster, "noticed", role::example("noticed").iter().chain(&watch));
    }
    let plan = permissions::plan_with(&fixture, "{bind: {}}, {setWeight: 50}, {pause: {duration: 30m}}");
    let calls = || endpoint.requests_of("noticed");
    let reads_group_b = |request: &crate::stack::endpoint::AwsRequest| {
        request.action == "DescribeTargetHealth"
            && request.parameters.values().any(|value| *value == fixture.groups["b"])
    };
    let readings = || calls().iter().filter(|request| reads_group_b(request)).count();
    let args = ["run", &plan, "--yes", "--output", "json", "--api-budget", BUDGET];
    let mut command = permissions::cutover(&fixture, "noticed", &args);
    let mut before = None;
    let ended = follow(&mut command, |line| {
        let record: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        if watch::begins(&record, 3) {
            fixture.assert_share(50);
            fixture.until("the EndpointSlices are watched", || {
                noticed_by(&fixture.folder.path().join("noticed")).as_deref() == Some("endpoints")
            });
            let read = readings();
            fixture.until("the groups are read", || readings() > read);
            let scale = json!({"spec": {"replicas": 0}});
            fixture.stack.b.api.merge("/apis/apps/v1/namespaces/noticed/deployments/web", &scale);
            before = Some(calls().len());
        }
    });
    ended.assert_exit(4);
    fixture.assert_share(0);
    let after: Vec<_> = calls().split_off(before.expect("the run must reach the pause"));
    let first = after.iter().position(reads_group_b).expect("the group must be read again");
    let marker = after.iter().position(|request| request.action == "DescribeTags");
    assert!(marker.is_none_or(|marker| first < marker), "{:?}", after.iter().map(|r| &r.action).collect::<Vec<_>>());
}
