//! Commands that write nothing: `init`, `check`, `status`, and `run` without a confirmation.

use serde_json::Value;

use crate::child::run;
use crate::contract::run::fixture::{MotoFixture, SECRET};

#[test]
#[ignore = "tier contract"]
fn moto_init_writes_a_plan_that_check_accepts_and_changes_nothing() {
    let fixture = MotoFixture::new("looking");
    let (before, surroundings) = (fixture.show(), fixture.surroundings());
    let lb = "looking-web";

    let written =
        run(fixture.cutover(&["init", "--load-balancer", lb, "--from", "*-a", "--to", "*-b"])).assert_exit(0).out;
    let parsed = cutover::plan::lint("-", written.as_bytes()).expect("the plan should be valid");
    assert_eq!((parsed.account_id.as_str(), parsed.region.as_str()), ("123456789012", "us-east-1"));
    assert_eq!(parsed.workloads[0].routes[0].expect, Some(21));
    let plan = fixture.file("init.yaml", &written);

    let text = run(fixture.cutover(&["check", &plan, "--verbose"])).assert_exit(0).out;
    assert!(text.contains("ready:") && text.contains("443 rule 120") && !text.contains("error"), "{text}");
    let markdown = run(fixture.cutover(&["check", &plan, "--output", "markdown"])).assert_exit(0).out;
    assert!(markdown.starts_with('#') && markdown.contains('|') && markdown.contains("looking-c"), "{markdown}");
    let found = run(fixture.cutover(&["check", &plan, "--output", "json"])).assert_exit(0).records();
    assert!(found.iter().all(Value::is_object) && found.iter().all(|r| r["severity"] != "error"), "{found:?}");

    let status = run(fixture.cutover(&["status", "--load-balancer", lb])).assert_exit(0).out;
    assert!(status.contains("looking-a 80 %, looking-b 0 %, looking-c 20 %") && status.contains("OIDC"), "{status}");
    let live = run(fixture.cutover(&["status", "--load-balancer", lb, "--output", "json"])).assert_exit(0).records();
    let count = |event: &str| live.iter().filter(|r| r["event"] == event).count();
    assert_eq!((count("loadBalancer"), count("liveRoute")), (1, 24));

    let result = run(fixture.cutover(&["run", &plan])).assert_exit(2);
    assert!(result.err.contains("--yes") && result.out.is_empty(), "{}", result.err);
    assert_eq!((fixture.show(), fixture.surroundings()), (before, surroundings));
    assert!(!fixture.state().exists(), "a command that only reads must create no state");
    for text in [written, text, markdown, status, result.err] {
        assert!(!text.contains(SECRET), "{text}");
    }
}
