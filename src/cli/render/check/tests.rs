use std::collections::BTreeMap;

use insta::assert_snapshot;

use super::super::fixture::{assert_fits, rich_plan, screen};
use super::super::style::Style;
use super::*;
use crate::base::finding::{Code, Finding};
use crate::domain::elb::select::select;
use crate::domain::fixture::{live_resources, plan};
use crate::domain::metric::gate::MeasuredValue;
use crate::domain::metric::verdict::RequestCount;
use crate::domain::preflight::facts::{Facts, ItemFacts, MachineFacts, UnusableCommand};
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
        quotas: BTreeMap::new(),
        gate_answers: BTreeMap::new(),
        items: ItemFacts::default(),
        machine: MachineFacts::default(),
        reading_ended: None,
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
    assert_snapshot!(text(&report(), false, &Style::plain()));
}

#[test]
fn the_summary_before_the_question_counts_routes_and_notes() {
    let mut report = report();
    report.findings.push(Finding::new(Code::CUT078, "note", "a note that only the whole report has"));
    let text = summary(&report, "cutover run plan.yaml --verbose", &Style::plain());
    assert!(report.routes.iter().all(|route| !text.contains(&route.label)), "{text}");
    assert_snapshot!(text);
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
    assert_snapshot!(text(&CheckReport::offline(&plan(), Vec::new()), false, &Style::plain()));
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
    let text = text(&report, false, &Style::plain());
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
    assert!(report.is_refused() && text(&report, false, &Style::plain()).contains("1 error"));
}

/// Returns a report with everything that a person needs for a decision.
fn rich() -> CheckReport {
    let (plan, live) = (rich_plan(), live_resources());
    let selection = select(&plan, &live);
    let count = |requests, errors| RequestCount { requests, errors };
    let seen = MeasuredValue::Counts { old: count(5400, 12), new: count(0, 0) };
    let problem = "the environment variable SLACK_WEBHOOK is not set".to_owned();
    let unusable = UnusableCommand {
        place: "hook scale-up (before shift)".to_owned(),
        program: "./scale-up.sh".to_owned(),
        problem: "/srv/plans/scale-up.sh does not exist".to_owned(),
        required: true,
    };
    let facts = Facts {
        caller: Err(crate::domain::traffic::Unreadable::Throttled),
        selection,
        live,
        attached: BTreeMap::new(),
        health: BTreeMap::new(),
        clusters: BTreeMap::new(),
        quotas: BTreeMap::new(),
        gate_answers: [(plan.strategy.metrics[0].name.clone(), seen)].into(),
        items: ItemFacts::default(),
        machine: MachineFacts { unusable_commands: vec![unusable], notifications: [(0, problem)].into() },
        reading_ended: None,
    };
    let now = "2026-11-20T12:00:00Z".parse().unwrap_or_default();
    let findings = crate::domain::preflight::machine::machine_findings(&plan, &facts.machine);
    CheckReport::new(&plan, &facts, findings, now)
}

#[test]
fn the_screen_fits_80_and_150_columns_and_shows_what_decides() {
    let report = rich();
    for columns in [80, 150] {
        let text = text(&report, false, &screen(columns));
        assert_fits(&text, columns);
        assert_snapshot!(format!("screen_{columns}"), text);
    }
}

/// Regression test: the summary before the question scrolled away, and hooks and notifications were not in it.
#[test]
fn the_summary_and_the_question_fit_on_a_screen() {
    let mut report = rich();
    let all = text(&report, false, &Style::plain());
    report.findings.clear();
    for columns in [80, 150] {
        let text = summary(&report, "cutover run plans/alpha.yaml --verbose", &screen(columns));
        assert!(text.lines().count() <= 24 - 6, "{text}");
        assert_fits(&text, columns);
        for part in ["bind → b 1 % → pause 10m", "scale-up (before shift)", "errors, ", "slack", "window Mon"] {
            assert!(text.contains(part), "{part}\n{text}\n{all}");
        }
        assert_snapshot!(format!("summary_{columns}"), text);
    }
}

/// Names of target groups may have 32 characters, so that three of them do not fit next to each other.
#[test]
fn weights_of_groups_with_long_names_are_text_on_a_narrow_screen() {
    let mut report = rich();
    for route in &mut report.routes {
        for groups in route.weights.iter_mut().filter_map(|weights| weights.groups.as_mut().ok()) {
            for (name, _) in groups {
                *name = format!("{name:-<32}");
            }
        }
    }
    let narrow = text(&report, false, &screen(80));
    assert_fits(&narrow, 80);
    assert!(narrow.contains("  weights after\n"), "{narrow}");
    assert!(text(&report, false, &screen(150)).contains("  weights after  "));
}

#[test]
fn a_gate_that_was_never_asked_says_so_everywhere() {
    let report = CheckReport::offline(&rich_plan(), Vec::new());
    assert!(text(&report, false, &Style::plain()).contains("Its verdict: not asked yet"));
    assert!(markdown(&report).contains("not asked yet"));
    let json = json(&report);
    assert!(json.contains(r#""event":"gate""#) && !json.contains(r#""answer""#), "{json}");
    assert!(json.contains(r#""event":"notification""#) && json.contains(r#""event":"hours""#), "{json}");
}

/// Regression test: on a small screen, the errors scrolled away above the routes. The same advice was printed many
/// times.
#[test]
fn errors_are_last_and_the_same_advice_is_said_once() {
    let mut report = rich();
    let hook = report.findings[0].clone();
    report.findings.push(Finding { message: "hook archive (after finish): sh does not exist".into(), ..hook });
    report.findings.push(Finding::new(Code::CUT303, "settle", "`settle: 0s`"));
    let text = text(&report, false, &screen(80));
    let place = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part}\n{text}"));
    assert!(place("weights after") < place("note CUT303") && place("note CUT303") < place("error CUT305"), "{text}");
    assert_eq!(text.matches("Create the program").count(), 1, "{text}");
    let end: Vec<_> = text.lines().rev().take(22).collect();
    assert!(end.iter().filter(|line| line.contains("error CUT305")).count() == 2, "{text}");
}

/// Returns a report of many workloads, each with a finding.
fn large(workloads: usize) -> CheckReport {
    let mut report = report();
    let line = report.routes[0].clone();
    let named = |number: usize| {
        let rename = |group: &String| format!("w{number}-{group}");
        let mut line = line.clone();
        line.workload = format!("w{number}");
        line.load_balancer = format!("lb-{}", number / 25);
        line.clusters = line.clusters.iter().map(|(group, cluster)| (rename(group), cluster.clone())).collect();
        for (name, _) in line.weights.iter_mut().filter_map(|w| w.groups.as_mut().ok()).flatten() {
            *name = rename(name);
        }
        line
    };
    report.routes = (0..workloads).map(named).collect();
    report.skipped.clear();
    let finding = |n| Finding::new(Code::CUT083, "a", format!("w{n} may shrink")).help("hold it until the end");
    report.findings = (0..workloads).map(finding).collect();
    report
}

#[test]
fn routes_with_equal_shares_and_findings_of_one_kind_are_grouped() {
    let report = large(1000);
    let short = text(&report, false, &Style::plain());
    assert!(short.contains("1000 routes on 40 load balancers, 1000 workloads"), "{short}");
    assert!(short.contains("w0 may shrink") && short.contains("and 999 more CUT083"), "{short}");
    assert!(short.lines().count() < 60, "{short}");
    let all = text(&report, true, &Style::plain());
    assert!(all.contains("w999 may shrink") && all.contains("1 route on lb-39, workload w999"));
    let mut uneven = large(10);
    uneven.routes[3].weights[0].groups = Ok(Vec::new());
    assert!(text(&uneven, false, &Style::plain()).contains("9 routes on lb-0, 9 workloads"));
}

#[test]
fn the_summary_of_a_thousand_routes_and_the_question_fit_on_a_screen() {
    let mut report = large(1000);
    for code in [Code::CUT042, Code::CUT052, Code::CUT300] {
        report.findings.extend((0..20).map(|n| Finding::new(code, "a", format!("{n}")).help("one\ntwo\nthree")));
    }
    let step = report.steps[0].clone();
    report.steps.extend((0..30).map(|_| step.clone()));
    let text = summary(&report, "cutover run plan.yaml --verbose", &Style::plain());
    assert!(text.lines().count() <= 24 - 2, "{}\n{text}", text.lines().count());
    assert!(text.contains("1000 routes on 40 load balancers") && text.contains("all of them: --verbose"), "{text}");
}

/// Regression test: the summary before the question cut a warning in the middle, and had no answers of gates.
#[test]
fn the_summary_has_whole_findings_and_the_answers_of_gates() {
    let mut report = rich();
    let warning = |code, text: &str| Finding::new(code, "x", text.repeat(3)).help("do this: ".repeat(30));
    report.findings = vec![
        warning(Code::CUT042, "6 of 6 routes have group stickiness. "),
        warning(Code::CUT083, "an HPA may go below the number of targets at the start. "),
        warning(Code::CUT084, "the last pause is shorter than the cookies. "),
    ];
    let short = summary(&report, "cutover run plans/alpha.yaml --verbose", &screen(80));
    assert_fits(&short, 80);
    let first = report.findings[0].message.split(". ").next().unwrap_or_default();
    assert!(short.contains(first) && short.contains("CUT084") && short.contains("--verbose"), "{short}");
    assert!(!short.contains("more lines with"), "{short}");
    report.findings.clear();
    report.gates.truncate(3);
    let short = summary(&report, "cutover run plans/alpha.yaml --verbose", &screen(80));
    for gate in &report.gates {
        let answer = gate.answer.as_deref().unwrap_or("not asked yet");
        let begin = answer.split_whitespace().next().unwrap_or_default();
        assert!(short.contains(&format!("{}: {begin}", gate.gate)), "{gate:?}\n{short}");
    }
}

/// Regression test: the summary and `--dry-run` of `run --from-step` had the steps and the duration of the whole plan.
#[test]
fn a_run_that_begins_with_a_later_step_has_its_own_steps_and_duration() {
    let (plan, whole) = (plan(), report());
    let later = whole.clone().beginning_with(&plan, 4);
    assert_eq!(whole.clone().beginning_with(&plan, 1), whole);
    assert_eq!(later.steps.iter().map(|step| step.number).collect::<Vec<_>>(), [4, 5, 6, 7]);
    assert_eq!(
        (later.steps[0].begins, later.estimate),
        (std::time::Duration::ZERO, whole.estimate.saturating_sub(whole.steps[3].begins))
    );
    assert_eq!(later.steps[0].earliest, later.at);
    assert!(later.ends < whole.ends);
    let weights = later.routes[0].weights.iter().map(|weights| weights.step).collect::<Vec<_>>();
    assert_eq!(weights, [0, 4, 6], "the weights of earlier steps are not those of this run");
    let text = summary(&later, "cutover run plan.yaml --verbose", &Style::plain());
    assert!(text.contains("begins with step 4 a 50 %, b 50 %; takes at least") && !text.contains("bind"), "{text}");
}
