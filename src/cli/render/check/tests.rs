use std::collections::BTreeMap;

use insta::assert_snapshot;

use super::super::style::Style;
use super::*;
use crate::base::finding::{Code, Finding};
use crate::domain::elb::select::select;
use crate::domain::fixture::{live_resources, plan};
use crate::domain::preflight::facts::Facts;
use crate::domain::view::check::HookLine;

fn report() -> CheckReport {
    let (plan, live) = (plan(), live_resources());
    let selection = select(&plan, &live);
    let facts = Facts {
        caller: Err(crate::domain::traffic::Unreadable::Throttled),
        selection,
        live,
        attached: BTreeMap::new(),
        health: BTreeMap::new(),
        clusters: BTreeMap::new(),
        unreadable_gates: BTreeMap::new(),
    };
    let mut sticky =
        Finding::new(Code::CUT042, "stickiness", "6 of 6 routes have group stickiness").help("turn it off");
    sticky.accepted = Some("ten minutes are fine here".to_owned());
    let scale_in =
        Finding::new(Code::CUT083, "a", "webapp of cluster a carries the traffic, and HPA webapp may go down to 2")
            .help("hold it until the end:\nkubectl patch hpa webapp");
    CheckReport::new(&plan, &facts, vec![sticky, scale_in], "2026-11-20T12:00:00Z".parse().unwrap_or_default())
}

#[test]
fn text_has_findings_steps_weights_and_skipped_routes() {
    assert_snapshot!(text(&report(), &Style::plain()));
}

#[test]
fn markdown_report_for_a_pull_request() {
    assert_snapshot!(markdown(&report()));
}

#[test]
fn json_has_one_object_per_line() {
    let text = json(&report());
    for line in text.lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
        assert!(value["event"].is_string(), "{line}");
    }
    assert_snapshot!(text);
}

#[test]
fn offline_report_has_only_the_plan() {
    assert_snapshot!(text(&CheckReport::offline(&plan(), Vec::new()), &Style::plain()));
}

#[test]
fn hooks_are_listed_with_the_effect_of_a_failure_and_without_secrets() {
    let hook = |when: &str, action: &str, required: bool| HookLine {
        when: when.into(),
        name: (!required).then(|| "notes".into()),
        action: action.into(),
        required,
    };
    let hooks = vec![
        hook("before shift", "./scale-up.sh 10", true),
        hook("after rollback", "POST https://example.com/…", false),
    ];
    let report = CheckReport { hooks, ..CheckReport::offline(&plan(), Vec::new()) };
    let text = text(&report, &Style::plain());
    assert!(text.contains("hooks\n  before shift    ./scale-up.sh 10  (a failure fails the run)\n"), "{text}");
    assert!(text.contains("  after rollback  notes: POST https://example.com/…\n"), "{text}");
    assert!(markdown(&report).contains("| after rollback | notes | POST https://example.com/… | is ignored |"));
    assert!(
        json(&report).contains(
            r#"{"event":"hook","when":"before shift","name":null,"action":"./scale-up.sh 10","required":true}"#
        )
    );
}

#[test]
fn error_refuses_the_run_unless_accepted() {
    let mut report = report();
    assert!(!report.is_refused());
    report.findings.push(Finding::new(Code::CUT054, "aws", "x"));
    assert!(report.is_refused() && text(&report, &Style::plain()).contains("1 error"));
}
