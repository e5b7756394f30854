//! The guard of a run that may read so seldom that a round over all groups takes minutes: the EndpointSlices of the real
//! API server name the group to read next.

use serde_json::json;

use crate::child::{follow, run};
use crate::stack::fixture::StackFixture;
use crate::stack::watch;

/// A twentieth of the calls of a small account: a round takes minutes.
const CALLS_PER_SECOND: &str = "0.02";

#[test]
#[ignore = "tier stack"]
fn stack_endpoints_that_disappear_make_their_group_the_next_one_to_read() {
    let fixture = StackFixture::new("endpoints");
    let plan = fixture.plan("{bind: {}}, {setWeight: 50}, {pause: {duration: 1h}}");
    let readings = || {
        let calls = fixture.stack.endpoint.requests_of("cutover").into_iter();
        let of_this_run = |arn: &String| fixture.groups.values().any(|group| group == arn);
        calls
            .filter(|call| call.action == "DescribeTargetHealth")
            .filter_map(|call| call.parameters.get("TargetGroupArn").cloned().filter(of_this_run))
            .collect::<Vec<_>>()
    };
    let mut before = None;
    run(fixture.cutover(&["run", &plan, "--yes", "--until", "2"])).assert_exit(8);
    fixture.assert_share(50);
    let more = ["--output", "json", "--api-budget", CALLS_PER_SECOND];
    let mut command = fixture.cutover(&[&["resume", &plan, "--yes"], more.as_slice()].concat());
    let ended = follow(&mut command, |line| {
        let record = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        if before.is_none() && watch::begins(&record, 3) {
            before = Some(readings().len());
            let deployment = "/apis/apps/v1/namespaces/endpoints/deployments/web";
            fixture.stack.b.api.merge(deployment, &json!({"spec": {"replicas": 0}}));
        }
    });
    ended.assert_exit(4);
    fixture.assert_share(0);
    let after = readings().split_off(before.expect("the bake should begin"));
    // Without the watch, the next reading would be the one of the old cluster's group, because it was read longest ago.
    assert_eq!(after.first(), Some(&fixture.groups["b"]), "the dead group should be read next: {after:?}");
}
