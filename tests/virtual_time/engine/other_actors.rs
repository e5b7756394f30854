//! Changes of a run's rules by someone else: deleting a rule, creating it again with another priority, changing its
//! conditions. The run reports the change, an operator decides, and the result names only what is true.

use std::time::Duration;

use cutover::app::exit::Exit;
use cutover::domain::run::event::{DriftPolicy, Event, FreezeReason, RequestKind, ResumeMode, RouteStart};
use cutover::domain::run::state::State;
use cutover::engine::Ending;
use cutover::port::store::Request;

use super::route_actions::RouteActions;
use super::small;
use super::test_run::{TestRun, ending_name, exit, scenario};

const STEPS_YAML: &str =
    "[{bind: {}}, {setWeight: 50}, {pause: {duration: 3m}}, {setWeight: 100}, {pause: {duration: 30s}}]";

/// Steps that end before the rules are counted for the second time.
const SHORT_STEPS_YAML: &str = "[{bind: {}}, {setWeight: 50}, {pause: {duration: 12s}}, {setWeight: 100}]";

fn resume(mode: ResumeMode) -> Request {
    Request::Resume { by: "bob@lab".into(), mode, ignore_hours: None }
}

fn rollback() -> Request {
    Request::Rollback { by: "bob@lab".into(), force: false, break_stickiness: None }
}

/// Starts a run of every action of two listeners, with this fault while half of the traffic is on `b`.
async fn with_fault(fault: &str) -> TestRun {
    let spec = format!("{{faults: [{{at: {{share: {{cluster: to, atLeast: 50}}, after: 20s}}, {fault}}}]}}");
    TestRun::begin_with(small::many_routes("", STEPS_YAML), &scenario(&spec), |s| s.exit_when_frozen = false).await
}

/// Drives the run to its end. Once drift has frozen the run, an operator sends these requests, one in each loop
/// iteration.
async fn run_with_requests(test_run: &mut TestRun, requests: Vec<Request>) -> Ending {
    let mut requests = requests.into_iter();
    let drifted = |state: &State| state.frozen.as_ref().is_some_and(|f| f.reason == FreezeReason::Drift);
    let ending = test_run
        .run_with(&mut |state, _, _, _| if drifted(state) { requests.next().into_iter().collect() } else { vec![] })
        .await;
    assert_eq!(requests.len(), 0, "every request must be sent\n{}", test_run.output());
    ending
}

/// Returns the message of the last freeze.
fn freeze_message(test_run: &TestRun) -> String {
    let frozen = |event: &Event| if let Event::Frozen { message, .. } = event { Some(message.clone()) } else { None };
    test_run.records().iter().rev().find_map(|r| frozen(&r.event)).unwrap_or_else(|| panic!("{}", test_run.output()))
}

/// Returns the rule that someone created during the run.
fn created_rule(test_run: &TestRun) -> RouteStart {
    let rule =
        |event: &Event| if let Event::RuleCreated { route, .. } = event { Some((**route).clone()) } else { None };
    test_run.records().iter().find_map(|r| rule(&r.event)).unwrap_or_else(|| panic!("{}", test_run.output()))
}

/// Returns the share of `b` on a rule that someone created during the run, in percent.
fn share_of_b(test_run: &TestRun, rule: &RouteStart) -> f64 {
    let managed: Vec<_> = rule.groups.values().map(String::as_str).collect();
    RouteActions::of(&test_run.snapshot().routes[rule.id.id()]).share(&rule.groups["b"], &managed)
}

fn accepted_changes(ending: &Ending) -> String {
    if let Ending::Finished { accepted, .. } = ending { accepted.join("; ") } else { panic!("{ending:?}") }
}

#[tokio::test(start_paused = true)]
async fn a_deleted_rule_is_never_reasserted() {
    let mut test_run = with_fault("delete-rule: {}").await;
    let ending =
        run_with_requests(&mut test_run, vec![resume(ResumeMode::REASSERT), resume(ResumeMode::KEEP_LIVE)]).await;
    let refusals: Vec<_> = test_run
        .records()
        .into_iter()
        .filter_map(|r| match r.event {
            Event::Notice { message, refused: Some(RequestKind::Resume), .. } => Some(message),
            _ => None,
        })
        .collect();
    let [refusal] = &refusals[..] else { panic!("{}", test_run.output()) };
    for word in ["was deleted", "--keep-live", "cutover rollback"] {
        assert!(refusal.contains(word), "`{word}` in {refusal}");
    }
    let reasserts =
        test_run.records().iter().any(|r| matches!(r.event, Event::Resumed { mode: ResumeMode::REASSERT, .. }));
    assert!(!reasserts, "{}", test_run.output());
    assert_eq!((ending_name(&ending), exit(&ending)), ("completed", Exit::Done), "{}", test_run.output());
}

#[tokio::test(start_paused = true)]
async fn an_accepted_deletion_completes_and_the_result_names_it() {
    let mut test_run = with_fault("delete-rule: {}").await;
    let ending = run_with_requests(&mut test_run, vec![resume(ResumeMode::KEEP_LIVE)]).await;
    let gone = test_run.drifted_routes();
    let label = test_run
        .started()
        .routes
        .iter()
        .find(|r| r.id.id() == gone[0])
        .expect("the deleted rule should belong to the run")
        .label
        .clone();
    assert!(accepted_changes(&ending).starts_with(&format!("{label}: the rule was deleted")), "{ending:?}");
    assert_eq!((ending_name(&ending), exit(&ending)), ("completed", Exit::Done));
    test_run.assert_shares(100, &[&gone[0]]);
    let lines = test_run.output();
    assert!(
        !lines.contains("every route read back\n") && lines.contains("except what an operator accepted"),
        "{lines}"
    );
    let routes = test_run.started().routes.len();
    assert!(lines.contains(&format!("{0} of {0} routes written", routes - 1)), "{lines}");
}

#[tokio::test(start_paused = true)]
async fn a_rollback_after_an_accepted_deletion_is_not_stuck() {
    let mut test_run = with_fault("delete-rule: {}").await;
    let mut requests = vec![rollback(), resume(ResumeMode::KEEP_LIVE)];
    let ending = test_run
        .run_with(&mut |state, _, _, _| {
            let accepted = state.routes.values().any(|route| route.deletion_accepted);
            let due = if requests.len() == 2 { state.frozen.is_some() } else { accepted };
            if due { requests.pop().into_iter().collect() } else { vec![] }
        })
        .await;
    assert_eq!(
        (ending_name(&ending), exit(&ending)),
        ("aborted", Exit::RolledBack),
        "{ending:?}\n{}",
        test_run.output()
    );
    assert!(accepted_changes(&ending).contains("the rule was deleted"), "{ending:?}");
    test_run.assert_original(&[&test_run.drifted_routes()[0]]);
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_is_created_again_can_be_included_and_rolled_back() {
    let mut test_run = with_fault("remake-rule: {listener: 443, to: 777}").await;
    let ending = run_with_requests(&mut test_run, vec![resume(ResumeMode::KEEP_LIVE_AND_INCLUDE_NEW)]).await;
    let rule = created_rule(&test_run);
    let message = freeze_message(&test_run);
    assert!(message.contains("--keep-live --include-new") && message.contains(&rule.label), "{message}");
    assert_eq!((ending_name(&ending), exit(&ending)), ("completed", Exit::Done), "{}", test_run.output());
    assert!(accepted_changes(&ending).contains(&rule.label), "{ending:?}");
    assert!(
        (share_of_b(&test_run, &rule) - 100.0).abs() < 1e-9,
        "the created rule must have the shares of the other routes"
    );
    let half = test_run.records().iter().any(|r| {
        matches!(&r.event, Event::Intended { writes, .. } if writes.iter().any(|w| w.route == rule.id
            && w.set.weight(&rule.groups["a"]) == w.set.weight(&rule.groups["b"])))
    });
    assert!(half, "the created rule must first get the shares of the other routes\n{}", test_run.output());
    test_run.send_request(rollback());
    let back = test_run.run().await;
    assert_eq!((ending_name(&back), exit(&back)), ("aborted", Exit::RolledBack), "{back:?}");
    assert!(share_of_b(&test_run, &rule).abs() < 1e-9, "the rollback must also restore the created rule");
}

#[tokio::test(start_paused = true)]
async fn a_replacement_rule_that_the_operator_excludes_is_named_at_the_end() {
    let mut test_run = with_fault("remake-rule: {listener: 443, to: 777}").await;
    let ending = run_with_requests(&mut test_run, vec![resume(ResumeMode::KEEP_LIVE)]).await;
    let rule = created_rule(&test_run);
    assert!(share_of_b(&test_run, &rule).abs() < 1e-9, "the created rule must not be written");
    assert!(accepted_changes(&ending).contains(&rule.label), "{ending:?}");
    assert_eq!((ending_name(&ending), exit(&ending)), ("completed", Exit::Done));
}

#[tokio::test(start_paused = true)]
async fn a_rollback_restores_a_rule_with_other_conditions() {
    let mut test_run = with_fault("change-conditions: {listener: 443, path: /elsewhere*}").await;
    let ending = run_with_requests(&mut test_run, vec![rollback()]).await;
    let message = freeze_message(&test_run);
    assert!(message.contains("`path /elsewhere*`") && message.contains("its conditions from"), "{message}");
    assert_eq!((ending_name(&ending), exit(&ending)), ("aborted", Exit::RolledBack), "{ending:?}");
    test_run.assert_original(&[]);
    assert!(
        test_run.drifted_routes().is_empty(),
        "changed conditions must not count as drift of the weights\n{}",
        test_run.output()
    );
}

#[tokio::test(start_paused = true)]
async fn changed_conditions_freeze_the_raises_until_they_are_accepted() {
    let mut test_run = with_fault("change-conditions: {listener: 443, path: /elsewhere*}").await;
    let plain = ResumeMode { drift: DriftPolicy::Leave, include_new: false };
    let requests = vec![resume(plain), resume(ResumeMode::REASSERT), resume(ResumeMode::KEEP_LIVE)];
    let ending = run_with_requests(&mut test_run, requests).await;
    assert_eq!((ending_name(&ending), exit(&ending)), ("completed", Exit::Done), "{}", test_run.output());
    assert!(accepted_changes(&ending).contains("the conditions are `path /elsewhere*`"), "{ending:?}");
    test_run.assert_shares(100, &[]);
    let refused = |event: &Event| matches!(event, Event::Notice { refused: Some(RequestKind::Resume), .. });
    assert_eq!(test_run.records().iter().filter(|r| refused(&r.event)).count(), 1, "{}", test_run.output());
}

/// Starts a run of short steps, with changed conditions of a rule once `b` has this share. Returns the freeze.
async fn freeze_of_short_steps(share: u32) -> (TestRun, Ending) {
    let spec = format!(
        "{{faults: [{{at: {{share: {{cluster: to, atLeast: {share}}}, after: 1s}}, \
         change-conditions: {{listener: 443, path: /elsewhere*}}}}]}}"
    );
    let mut test_run = TestRun::begin(small::many_routes("", SHORT_STEPS_YAML), &scenario(&spec)).await;
    let ending = test_run.run().await;
    (test_run, ending)
}

#[tokio::test(start_paused = true)]
async fn a_raise_lists_the_rules_after_the_last_pause() {
    let (test_run, ending) = freeze_of_short_steps(50).await;
    assert_eq!((ending_name(&ending), exit(&ending)), ("drift", Exit::Drift), "{}", test_run.output());
    assert!(freeze_message(&test_run).contains("`path /elsewhere*`"));
    test_run.assert_shares(50, &[]);
}

#[tokio::test(start_paused = true)]
async fn a_run_lists_the_rules_before_it_completes() {
    let (test_run, ending) = freeze_of_short_steps(100).await;
    assert_eq!((ending_name(&ending), exit(&ending)), ("drift", Exit::Drift), "{}", test_run.output());
    assert!(freeze_message(&test_run).contains("`path /elsewhere*`"));
}

/// Another actor gives a route back to the old cluster right after the last write was read back.
#[tokio::test(start_paused = true)]
async fn a_run_reads_every_route_after_the_last_settle() {
    let spec = "{faults: [{at: {share: {cluster: to, atLeast: 100}, after: 200ms}, \
                foreign-write: {listener: 443, weights: {from: 100, to: 0}}}]}";
    let mut plan = small::many_routes("", SHORT_STEPS_YAML);
    plan.strategy.settle = Duration::from_secs(1);
    let mut test_run = TestRun::begin(plan, &scenario(spec)).await;
    let ending = test_run.run().await;
    assert_eq!((ending_name(&ending), exit(&ending)), ("drift", Exit::Drift), "{}", test_run.output());
}
