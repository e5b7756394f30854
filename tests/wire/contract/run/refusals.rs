//! Refusals without any call that writes: a proxy in front of moto records all requests.

use serde_json::json;

use crate::child::run;
use crate::contract::run::fixture::MotoFixture;
use crate::proxy::{Proxy, QueryRequest, Reply};

const STEPS: &str = "{bind: {}}, {setWeight: 100}";

fn action(request: &QueryRequest) -> &str {
    request.get("Action").map_or("", String::as_str)
}

/// Asserts that there were requests, and that none of them writes.
fn assert_only_reads(proxy: &Proxy) {
    let requests = proxy.take_requests();
    assert!(!requests.is_empty());
    let changing: Vec<_> =
        requests.iter().filter(|a| !action(a).starts_with("Describe") && action(a) != "GetCallerIdentity").collect();
    assert!(changing.is_empty(), "{changing:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "tier contract"]
async fn moto_another_account_is_refused_before_any_write() {
    let fixture = MotoFixture::new("account");
    let proxy = Proxy::start(&fixture.url, |_| Reply::Pass).await;
    let plan = fixture.plan_for(STEPS, "111122223333");
    for verb in [vec!["check", plan.as_str()], vec!["run", plan.as_str(), "--yes"]] {
        let refused = run(fixture.cutover_at(&proxy.url, &verb)).assert_exit(3);
        let output = refused.out + &refused.err;
        assert!(
            output.contains("CUT054") && output.contains("111122223333") && output.contains("123456789012"),
            "{output}"
        );
        assert_only_reads(&proxy);
    }
    assert!(!fixture.state().exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "tier contract"]
async fn moto_an_unknown_element_is_refused_by_name() {
    let fixture = MotoFixture::new("unknown");
    let before = fixture.show();
    let proxy = Proxy::start(&fixture.url, |request| match action(request) {
        "DescribeRules" => Reply::Change(|xml| {
            xml.replacen(
                "<DurationSeconds>600<",
                "<QuantumConfig><Spin>up</Spin></QuantumConfig><DurationSeconds>600<",
                1,
            )
        }),
        _ => Reply::Pass,
    });
    let proxy = proxy.await;
    let plan = fixture.plan(STEPS);
    for verb in [vec!["check", plan.as_str()], vec!["run", plan.as_str(), "--yes"]] {
        let refused = run(fixture.cutover_at(&proxy.url, &verb)).assert_exit(3);
        let output = refused.out + &refused.err;
        assert!(output.contains("QuantumConfig"), "{output}");
        assert_only_reads(&proxy);
    }
    assert_eq!(fixture.show(), before);
    assert!(!fixture.state().exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "tier contract"]
async fn moto_the_marker_of_another_run_is_respected() {
    let fixture = MotoFixture::new("marked");
    let mark = "checkout-20261120-101010-abcd bob@desk 2026-11-20T10:10:10Z";
    fixture.boto(&json!([["elbv2", "add_tags", {
        "ResourceArns": [fixture.load_balancer],
        "Tags": [{"Key": "cutover.dev/run", "Value": mark}],
    }]]));
    let proxy = Proxy::start(&fixture.url, |_| Reply::Pass).await;
    let plan = fixture.plan(STEPS);
    let emergency = ["rollback", "--load-balancer", "marked-web", "--back-to", "*-a", "--away-from", "*-b", "--yes"];
    for verb in [&["run", plan.as_str(), "--yes"][..], &emergency] {
        let refused = run(fixture.cutover_at(&proxy.url, verb)).assert_exit(6);
        for named in ["bob@desk", "checkout-20261120-101010-abcd", "2026-11-20T10:10:10Z"] {
            assert!(refused.err.contains(named), "{named}: {}", refused.err);
        }
        assert_eq!(refused.err.contains("--take-over"), verb[0] == "rollback", "{}", refused.err);
        assert_only_reads(&proxy);
        let nothing = run(fixture.cutover(&["status"])).assert_exit(2);
        assert!(nothing.err.contains("no unfinished run"), "a refused run must not exist: {}", nothing.err);
    }
}
