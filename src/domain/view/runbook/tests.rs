use jiff::Timestamp;

use super::{LiveFacts, RunbookInput, markdown};
use crate::base::finding::{Code, Finding};
use crate::domain::fixture;
use crate::domain::view::check::{CheckReport, RouteLine, Weights};

fn route(label: &str) -> RouteLine {
    let weights = vec![("live-a".to_owned(), 100), ("live-b".to_owned(), 0)];
    RouteLine {
        load_balancer: "live-edge".to_owned(),
        workload: "webapp".to_owned(),
        id: fixture::LB.replace("loadbalancer", "listener"),
        label: label.to_owned(),
        conditions: String::new(),
        weights: vec![Weights { step: 0, groups: Ok(weights) }],
        clusters: [("live-a".to_owned(), "a".to_owned()), ("live-b".to_owned(), "b".to_owned())].into(),
    }
}

#[test]
fn live_names_weights_errors_and_the_script_are_in_the_document() {
    let plan = fixture::plan();
    let error = Finding::new(Code::CUT308, "run", "the run alpha-1 is unfinished".to_owned());
    let report = CheckReport {
        routes: vec![route("443 default"), route("443 rule 15")],
        ..CheckReport::offline(&plan, vec![error])
    };
    let live = LiveFacts::Read {
        at: Timestamp::UNIX_EPOCH,
        report: Box::new(report),
        script: Ok("#!/bin/sh\necho restored\n".to_owned()),
    };
    let text = markdown(&RunbookInput { plan: &plan, file: "plan.yaml".to_owned(), start: None, live });
    let emergency = "cutover rollback --load-balancer live-edge \\\n  --back-to live-a \\\n  --away-from live-b\n";
    for part in [
        emergency,
        "| live-edge | webapp | 2 routes: 443 default, 443 rule 15 | live-a 100, live-b 0 |",
        "**A run would be refused now:**",
        "**CUT308** the run alpha-1 is unfinished",
        "#!/bin/sh\necho restored\n```",
        "With what was live at 1970-01-01 00:00 UTC.",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}
