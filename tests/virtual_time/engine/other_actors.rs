//! What another actor does to the rules of a run: deletes one, creates it again with another priority, changes its
//! conditions. The run says what happened, an operator decides, and the ending says only what is true.

use cutover::app::exit::Exit;
use cutover::domain::run::event::{DriftPolicy, Event, FreezeReason, RequestKind, ResumeMode, RouteStart};
use cutover::domain::run::state::State;
use cutover::engine::Ending;
use cutover::port::store::Request;

use super::face::Face;
use super::small;
use super::theatre::{Theatre, exit, scenario, word};

const STEPS: &str =
    "[{bind: {}}, {setWeight: 50}, {pause: {duration: 3m}}, {setWeight: 100}, {pause: {duration: 30s}}]";

fn resume(mode: ResumeMode) -> Request {
    Request::Resume { by: "bob@lab".into(), mode }
}

fn rollback() -> Request {
    Request::Rollback { by: "bob@lab".into(), force: false }
}

/// A run of every action of two listeners, with this fault while half of the traffic is on `b`.
async fn with_fault(fault: &str) -> Theatre {
    let spec = format!("{{faults: [{{at: {{share: {{cluster: to, atLeast: 50}}, after: 20s}}, {fault}}}]}}");
    Theatre::begin_with(small::many_routes("", STEPS), &scenario(&spec), |s| s.leave_when_frozen = false).await
}

/// Drives the run to its end. Once it is frozen by drift, an operator sends these requests, one at each turn.
async fn decided(theatre: &mut Theatre, requests: Vec<Request>) -> Ending {
    let mut requests = requests.into_iter();
    let drifted = |state: &State| state.frozen.as_ref().is_some_and(|f| f.reason == FreezeReason::Drift);
    let ending = theatre
        .run_with(&mut |state, _, _, _| if drifted(state) { requests.next().into_iter().collect() } else { vec![] })
        .await;
    assert_eq!(requests.len(), 0, "every request was sent\n{}", theatre.lines());
    ending
}

/// The message of the last freeze.
fn freeze(theatre: &Theatre) -> String {
    let frozen = |event: &Event| if let Event::Frozen { message, .. } = event { Some(message.clone()) } else { None };
    theatre.records().iter().rev().find_map(|r| frozen(&r.event)).unwrap_or_else(|| panic!("{}", theatre.lines()))
}

/// The rule that appeared.
fn appeared(theatre: &Theatre) -> RouteStart {
    let rule =
        |event: &Event| if let Event::RuleCreated { route, .. } = event { Some((**route).clone()) } else { None };
    theatre.records().iter().find_map(|r| rule(&r.event)).unwrap_or_else(|| panic!("{}", theatre.lines()))
}

/// The share of `b` on a rule that appeared.
fn share_on(theatre: &Theatre, rule: &RouteStart) -> f64 {
    let managed: Vec<_> = rule.groups.values().map(String::as_str).collect();
    Face::of(&theatre.world().routes[rule.id.id()]).share(&rule.groups["b"], &managed)
}

fn accepted(ending: &Ending) -> String {
    if let Ending::Finished { accepted, .. } = ending { accepted.join("; ") } else { panic!("{ending:?}") }
}

#[tokio::test(start_paused = true)]
async fn a_deleted_rule_is_never_reasserted() {
    let mut theatre = with_fault("delete-rule: {}").await;
    let ending = decided(&mut theatre, vec![resume(ResumeMode::REASSERT), resume(ResumeMode::KEEP_LIVE)]).await;
    let refusals: Vec<_> = theatre
        .records()
        .into_iter()
        .filter_map(|r| match r.event {
            Event::Notice { message, refused: Some(RequestKind::Resume), .. } => Some(message),
            _ => None,
        })
        .collect();
    let [refusal] = &refusals[..] else { panic!("{}", theatre.lines()) };
    for word in ["was deleted", "--keep-live", "cutover rollback"] {
        assert!(refusal.contains(word), "`{word}` in {refusal}");
    }
    let reasserts =
        theatre.records().iter().any(|r| matches!(r.event, Event::Resumed { mode: ResumeMode::REASSERT, .. }));
    assert!(!reasserts, "{}", theatre.lines());
    assert_eq!((word(&ending), exit(&ending)), ("completed", Exit::Done), "{}", theatre.lines());
}

#[tokio::test(start_paused = true)]
async fn an_accepted_deletion_completes_with_its_name_and_never_says_every_route() {
    let mut theatre = with_fault("delete-rule: {}").await;
    let ending = decided(&mut theatre, vec![resume(ResumeMode::KEEP_LIVE)]).await;
    let gone = theatre.drifted();
    let label = theatre.started().routes.iter().find(|r| r.id.id() == gone[0]).expect("a route").label.clone();
    assert!(accepted(&ending).starts_with(&format!("{label}: the rule was deleted")), "{ending:?}");
    assert_eq!((word(&ending), exit(&ending)), ("completed", Exit::Done));
    theatre.assert_shares(100, &[&gone[0]]);
    let lines = theatre.lines();
    assert!(
        !lines.contains("every route read back\n") && lines.contains("except what an operator accepted"),
        "{lines}"
    );
    let routes = theatre.started().routes.len();
    assert!(lines.contains(&format!("{0} of {0} routes written", routes - 1)), "{lines}");
}

#[tokio::test(start_paused = true)]
async fn a_rollback_after_an_accepted_deletion_is_not_stuck() {
    let mut theatre = with_fault("delete-rule: {}").await;
    let mut requests = vec![rollback(), resume(ResumeMode::KEEP_LIVE)];
    let ending = theatre
        .run_with(&mut |state, _, _, _| {
            let accepted = state.routes.values().any(|route| route.deletion_accepted);
            let due = if requests.len() == 2 { state.frozen.is_some() } else { accepted };
            if due { requests.pop().into_iter().collect() } else { vec![] }
        })
        .await;
    assert_eq!((word(&ending), exit(&ending)), ("aborted", Exit::RolledBack), "{ending:?}\n{}", theatre.lines());
    assert!(accepted(&ending).contains("the rule was deleted"), "{ending:?}");
    theatre.assert_original(&[&theatre.drifted()[0]]);
}

#[tokio::test(start_paused = true)]
async fn a_rule_created_again_is_moved_in_the_place_of_the_deleted_one_and_back() {
    let mut theatre = with_fault("remake-rule: {listener: 443, to: 777}").await;
    let ending = decided(&mut theatre, vec![resume(ResumeMode::KEEP_LIVE_AND_INCLUDE_NEW)]).await;
    let rule = appeared(&theatre);
    let message = freeze(&theatre);
    assert!(message.contains("--keep-live --include-new") && message.contains(&rule.label), "{message}");
    assert_eq!((word(&ending), exit(&ending)), ("completed", Exit::Done), "{}", theatre.lines());
    assert!(accepted(&ending).contains(&rule.label), "{ending:?}");
    assert!((share_on(&theatre, &rule) - 100.0).abs() < 1e-9, "it followed the others");
    let half = theatre.records().iter().any(|r| {
        matches!(&r.event, Event::Intended { writes, .. } if writes.iter().any(|w| w.route == rule.id
            && w.set.weight(&rule.groups["a"]) == w.set.weight(&rule.groups["b"])))
    });
    assert!(half, "first to the shares of the others\n{}", theatre.lines());
    theatre.ask(rollback());
    let back = theatre.run().await;
    assert_eq!((word(&back), exit(&back)), ("aborted", Exit::RolledBack), "{back:?}");
    assert!(share_on(&theatre, &rule).abs() < 1e-9, "and back with them");
}

#[tokio::test(start_paused = true)]
async fn a_replacement_that_a_person_left_alone_is_named_at_the_end() {
    let mut theatre = with_fault("remake-rule: {listener: 443, to: 777}").await;
    let ending = decided(&mut theatre, vec![resume(ResumeMode::KEEP_LIVE)]).await;
    let rule = appeared(&theatre);
    assert!(share_on(&theatre, &rule).abs() < 1e-9, "it was not written");
    assert!(accepted(&ending).contains(&rule.label), "{ending:?}");
    assert_eq!((word(&ending), exit(&ending)), ("completed", Exit::Done));
}

#[tokio::test(start_paused = true)]
async fn a_rollback_restores_a_rule_with_other_conditions() {
    let mut theatre = with_fault("change-conditions: {listener: 443, path: /elsewhere*}").await;
    let ending = decided(&mut theatre, vec![rollback()]).await;
    let message = freeze(&theatre);
    assert!(message.contains("`path /elsewhere*`") && message.contains("its conditions from"), "{message}");
    assert_eq!((word(&ending), exit(&ending)), ("aborted", Exit::RolledBack), "{ending:?}");
    theatre.assert_original(&[]);
    assert!(theatre.drifted().is_empty(), "no drift of its weights\n{}", theatre.lines());
}

#[tokio::test(start_paused = true)]
async fn changed_conditions_freeze_the_raises_until_they_are_accepted() {
    let mut theatre = with_fault("change-conditions: {listener: 443, path: /elsewhere*}").await;
    let plain = ResumeMode { drift: DriftPolicy::Leave, include_new: false };
    let requests = vec![resume(plain), resume(ResumeMode::REASSERT), resume(ResumeMode::KEEP_LIVE)];
    let ending = decided(&mut theatre, requests).await;
    assert_eq!((word(&ending), exit(&ending)), ("completed", Exit::Done), "{}", theatre.lines());
    assert!(accepted(&ending).contains("the conditions are `path /elsewhere*`"), "{ending:?}");
    theatre.assert_shares(100, &[]);
    let refused = |event: &Event| matches!(event, Event::Notice { refused: Some(RequestKind::Resume), .. });
    assert_eq!(theatre.records().iter().filter(|r| refused(&r.event)).count(), 1, "{}", theatre.lines());
}
