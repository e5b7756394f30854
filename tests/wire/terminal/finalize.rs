//! `finalize --detach` from the command line.

use serde_json::Value;

use crate::terminal::support::Lab;

/// A scenario in which connections to the old targets end at once.
const NO_DELAY_SPEC: &str =
    r#"{targetGroups: [{cluster: from, attributes: {deregistration_delay.timeout_seconds: "0"}}]}"#;

fn item_states(answer: &Value) -> Vec<(&str, &str)> {
    let items = answer["items"].as_array().expect("the items should be a list");
    items.iter().map(|i| (i["what"].as_str().unwrap_or_default(), i["stands"].as_str().unwrap_or_default())).collect()
}

#[test]
fn finalize_succeeds_without_blockers_and_prevents_rollback() {
    let lab = Lab::start_in(NO_DELAY_SPEC);
    let mut run = lab.follow("run plan.yaml --yes");
    run.until_step(3);
    let early = lab.cutover("finalize two-terminals --output json");
    assert_eq!((early.code, item_states(&early.json())), (8, vec![("run", "wait")]), "{early:?}");
    assert_eq!(lab.cutover("promote two-terminals --full --yes").code, 0);
    run.until_event("finished");
    assert_eq!(run.end().0, 0);

    // The lab's clients send no requests, so that the traffic to the old targets is unknown.
    let unconfirmed = lab.cutover("finalize plan.yaml --output json");
    let (answer, wanted) = (
        unconfirmed.json(),
        [
            ("run", "yes"),
            ("shares", "yes"),
            ("time", "yes"),
            ("requests", "unknown"),
            ("rules", "yes"),
            ("health", "yes"),
        ],
    );
    assert_eq!(
        (unconfirmed.code, item_states(&answer), &answer["canRetire"]),
        (3, wanted.to_vec(), &false.into()),
        "{unconfirmed:?}"
    );
    let refused = lab.cutover("finalize two-terminals --detach --yes");
    assert!(refused.code == 3 && refused.err.contains("--force") && refused.err.contains("unknown"), "{refused:?}");
    let unasked = lab.cutover("finalize two-terminals --detach --force");
    assert!(unasked.code == 2 && unasked.err.contains("--yes"), "{unasked:?}");
    assert_eq!(lab.shares(), [100.0; 6]);

    let gone = lab.cutover("finalize two-terminals --detach --bindings --force --yes");
    assert_eq!(gone.code, 0, "{gone:?}");
    assert!(gone.out.contains("not deleted") && !gone.err.contains("cutover rollback"), "{gone:?}");
    let live = lab.cutover("status --load-balancer alpha-webapp --output json").out;
    let routes = live.lines().filter(|line| line.contains("liveRoute"));
    assert!(routes.clone().count() == 6 && routes.clone().all(|line| !line.contains("alpha-webapp-a")), "{live}");
    assert_eq!(lab.shares(), [100.0; 6]);

    for back in
        ["rollback two-terminals --yes", "rollback plan.yaml --yes --force", "rollback plan.yaml --ramp 50,100 --yes"]
    {
        let back = lab.cutover(back);
        assert!(
            back.code == 3 && back.err.contains("finalize") && back.err.contains("nothing was changed"),
            "{back:?}"
        );
    }
    assert_eq!(lab.cutover("abort two-terminals --yes").code, 2);
    let history = lab.cutover("history two-terminals").out;
    assert!(history.contains("completed"), "{history}");
    assert_eq!(lab.stop(), Some(0));
}
