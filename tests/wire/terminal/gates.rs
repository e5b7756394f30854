//! The gates of `plans/metrics.yaml`, unchanged, in a lab that is served to another terminal.

use super::support::Lab;

const PLAN: &str = include_str!("../../../plans/metrics.yaml");

#[test]
fn every_gate_of_the_metrics_plan_is_answered_by_the_lab_as_it_stands() {
    let lab = Lab::start_for(PLAN, "{}", &["--rate", "100"]);
    let check = lab.cutover("check plan.yaml --output json");
    assert_eq!(check.code, 0, "{check:?}");
    let of = |event: &str| check.records().into_iter().filter(|r| r["event"] == event).collect::<Vec<_>>();
    let gates = of("gate");
    assert_eq!(gates.len(), 6, "{check:?}");
    for gate in gates {
        let answer = gate["answer"].as_str().unwrap_or_default().to_owned();
        // Before the first raise, no request goes to the new cluster. The first requests may be later than `check`.
        let expected = ["success: ", "no data: the query returned no data for "];
        assert!(expected.iter().any(|start| answer.starts_with(start)), "{}: {answer}", gate["gate"]);
    }
    let findings = of("finding");
    assert!(findings.iter().all(|finding| finding["code"] != "CUT094"), "{findings:?}");
    assert_eq!(lab.stop(), Some(0));
}
