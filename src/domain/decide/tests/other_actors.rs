//! Tests deleted rules, rules that replace deleted rules, and changed conditions.

use super::*;
use crate::domain::decide::drift_text;
use crate::domain::run::event::{NotMoved, RunOutcome};
use crate::domain::run::state::ReplacedSplit;
use crate::domain::traffic::FoundRoute;

/// The priorities of the run's two rules.
const RULES: [u32; 2] = [10, 20];

fn rule(priority: u32) -> RouteId {
    route(80, Some(priority), forward(&[])).id
}

/// Returns a run of the fixture's plan with two rules, at second 0.
fn run_of_rules() -> State {
    let mut started = started(10);
    let first = started.routes.swap_remove(0);
    let start = |priority| {
        let live = route(80, Some(priority), forward(&ORIGINAL));
        let label = live.label();
        let (id, listener, conditions, content) = (live.id, live.listener, live.conditions, live.content);
        RouteStart { id, listener, label, conditions, content, ..first.clone() }
    };
    started.routes = RULES.map(start).into();
    started.other_routes = Some([].into());
    let record =
        Record { seq: 1, time: at(0), run: "alpha-1".into(), event: Event::Started(Box::new(started)), newer: None };
    State::fold(&[record]).unwrap().unwrap()
}

/// Returns a rule as a list of all rules shows it, with the conditions of the rule with priority `like`.
fn found(priority: u32, like: u32, content: RouteContent) -> FoundRoute {
    let live = route(80, Some(priority), content);
    FoundRoute {
        load_balancer: run_of_rules().started.routes[0].load_balancer.clone(),
        label: live.label(),
        conditions: route(80, Some(like), forward(&[])).conditions,
        id: live.id,
        listener: live.listener,
        content: live.content,
        owners: Vec::new(),
    }
}

/// Returns an observation of both rules (`None` for a deleted rule) and of all rules.
fn observed(second: i64, first: Option<RouteContent>, census: Vec<FoundRoute>) -> Observed {
    let value = first.ok_or_else(|| Unreadable::NotFound("RuleNotFound".into()));
    let routes = [
        (rule(10), Reading { at: at(second), value }),
        (rule(20), Reading { at: at(second), value: Ok(forward(&ORIGINAL)) }),
    ];
    let mut watch = watch(0);
    let census = Some(Reading { at: at(second), value: Ok(census) });
    watch.add(at(second), Observation { routes: routes.into(), census, ..Observation::default() }, true);
    watch
}

fn recorded(decision: Decision) -> Vec<Event> {
    if let Decision::Record(events) = decision { events } else { panic!("{decision:?}") }
}

fn deleted() -> State {
    let gone = Event::Drifted { route: rule(10), expected: Box::new(forward(&ORIGINAL)), live: None };
    run_of_rules().after(1, gone)
}

fn resumed(mode: ResumeMode) -> Event {
    Event::Resumed { by: String::new(), mode, ignore_hours: None, request: None }
}

#[test]
fn new_rule_with_the_conditions_of_a_deleted_rule_replaces_it() {
    let seen = observed(2, None, vec![found(20, 20, forward(&ORIGINAL)), found(777, 10, forward(&ORIGINAL))]);
    let events = recorded(next(&run_of_rules(), &seen, 2));
    let [Event::Drifted { live: None, .. }, Event::RuleCreated { route: start, replaces }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((start.id.clone(), replaces.clone()), (rule(777), Some(rule(10))));
    let state = events.into_iter().fold(run_of_rules(), |state, event| state.after(2, event));
    let [Event::Frozen { message, .. }] = &recorded(next(&state, &seen, 2))[..] else { panic!("the run must freeze") };
    assert!(message.contains("cutover resume alpha-1 --keep-live --include-new"), "{message}");
}

#[test]
fn new_rule_with_other_conditions_does_not_replace_a_deleted_rule() {
    let seen = observed(2, None, vec![found(777, 778, forward(&ORIGINAL))]);
    let events = recorded(next(&run_of_rules(), &seen, 2));
    assert!(matches!(&events[..], [Event::Drifted { .. }, Event::RuleCreated { replaces: None, .. }]), "{events:?}");
}

#[test]
fn rollback_of_a_replacement_restores_the_original_shares() {
    let green = [("webapp-a", 0), ("webapp-b", 100)];
    let seen = observed(2, None, vec![found(777, 10, forward(&green))]);
    let state = recorded(next(&deleted(), &seen, 2)).into_iter().fold(deleted(), |state, event| state.after(2, event));
    let state = state.after(3, resumed(ResumeMode::KEEP_LIVE_AND_INCLUDE_NEW));
    let joined = &state.routes[&rule(777)];
    assert!(joined.split().equivalent(&set(&green)) && joined.original().equivalent(&set(&ORIGINAL)), "{joined:?}");
}

#[test]
fn reassert_has_no_effect_on_a_deleted_rule() {
    let state = deleted().after(2, resumed(ResumeMode::REASSERT));
    assert!(!state.routes[&rule(10)].reassert && state.routes[&rule(10)].is_missing());
    assert!(drift_text::freeze_message(&state).is_some() && drift_text::not_reassertable(&state).is_some());
    let accepted = state.after(3, resumed(ResumeMode::KEEP_LIVE));
    assert_eq!((drift_text::freeze_message(&accepted), drift_text::not_reassertable(&accepted)), (None, None));
}

#[test]
fn replacement_found_after_an_accepted_deletion_freezes_again() {
    let state = deleted().after(2, resumed(ResumeMode::KEEP_LIVE));
    let seen = observed(3, None, vec![found(777, 10, forward(&ORIGINAL))]);
    let state = recorded(next(&state, &seen, 3)).into_iter().fold(state, |state, event| state.after(3, event));
    assert!(matches!(recorded(next(&state, &seen, 3))[..], [Event::Frozen { reason: FreezeReason::Drift, .. }]));
}

#[test]
fn completed_run_lists_routes_that_do_not_have_the_final_shares() {
    let final_lists = |mut state: State| {
        let split = set(&[("webapp-a", 0), ("webapp-b", 100)]);
        state.step = plan().strategy.steps.len() + 1;
        for route in state.routes.values_mut().filter(|route| !route.is_deleted()) {
            route.confirmed = route.confirmed.with_split(&split);
        }
        let plan = plan();
        drift_text::not_as_planned(&Context { plan: &plan, state: &state, observed: &watch(0), now: at(9) })
    };
    assert_eq!(final_lists(run_of_rules()), (vec![], vec![]));
    let (left, accepted) = final_lists(deleted());
    assert!(left[0].contains("80 rule 10: the rule was deleted") && accepted.is_empty(), "{left:?} {accepted:?}");
    let (left, accepted) = final_lists(deleted().after(2, resumed(ResumeMode::KEEP_LIVE)));
    assert!(left.is_empty() && accepted[0].contains("80 rule 10"), "{left:?} {accepted:?}");
    let created = recorded(next(&deleted(), &observed(2, None, vec![found(777, 10, forward(&ORIGINAL))]), 2));
    let state = deleted().after(2, resumed(ResumeMode::KEEP_LIVE)).after(3, created[0].clone());
    let (left, _) = final_lists(state);
    assert!(left.iter().any(|line| line.contains("80 rule 777")), "{left:?}");
    let created = deleted().after(2, created[0].clone()).after(3, resumed(ResumeMode::KEEP_LIVE));
    let (left, accepted) = final_lists(created);
    assert!(left.is_empty() && accepted[0].contains("sends a 100 %"), "{left:?} {accepted:?}");
}

#[test]
fn changed_conditions_freeze_but_do_not_count_as_changed_weights() {
    let seen = observed(2, Some(forward(&ORIGINAL)), vec![found(10, 11, forward(&ORIGINAL))]);
    let events = recorded(next(&run_of_rules(), &seen, 2));
    assert!(
        matches!(&events[..], [Event::ConditionsChanged { before, after, .. }]
        if before == "path /10*" && after == "path /11*"),
        "{events:?}"
    );
    let state = run_of_rules().after(2, events[0].clone());
    assert!(matches!(recorded(next(&state, &seen, 2))[..], [Event::Frozen { reason: FreezeReason::Drift, .. }]));
    let restored = state.clone().rolling_back(3, Trigger::Gate);
    let seen = observed(4, Some(forward(&ORIGINAL)), vec![]);
    let events = recorded(next(&restored, &seen, 4));
    assert!(
        matches!(&events[..], [Event::Finished { outcome: RunOutcome::RolledBack, unresolved: left, accepted, .. }]
        if left.is_empty() && accepted.is_empty()),
        "{events:?}"
    );
    let accepted = state.after(3, resumed(ResumeMode::KEEP_LIVE));
    assert_eq!(accepted.routes[&rule(10)].conditions, "path /11*");
    assert_eq!(drift_text::freeze_message(&accepted), None);
}

#[test]
fn restored_conditions_end_the_freeze() {
    let changed = Event::ConditionsChanged { route: rule(10), before: "path /10*".into(), after: "path /11*".into() };
    let state = run_of_rules().after(1, changed);
    let seen = observed(2, Some(forward(&ORIGINAL)), vec![found(10, 10, forward(&ORIGINAL))]);
    let events = recorded(next(&state, &seen, 2));
    let state = state.after(2, events[0].clone());
    assert_eq!(drift_text::freeze_message(&state), None, "{events:?}");
}

#[test]
fn rollback_ends_if_an_operator_accepted_the_deletion() {
    let state = deleted().after(2, resumed(ResumeMode::KEEP_LIVE)).rolling_back(3, Trigger::Operator);
    let events = recorded(next(&state, &observed(4, None, vec![]), 4));
    assert!(
        matches!(&events[..], [Event::Finished { unresolved: left, accepted, .. }]
        if left.is_empty() && accepted[0].contains("80 rule 10")),
        "{events:?}"
    );
}

/// Returns the decision of a rollback after a rule was deleted and created again with these weights.
fn end_of_rollback(weights: &[(&str, u16)]) -> Vec<Event> {
    let state = deleted().rolling_back(3, Trigger::Operator);
    let seen = observed(4, None, vec![found(777, 10, forward(weights))]);
    let mut unlisted = watch(0);
    unlisted.routes = seen.routes.clone();
    assert_eq!(next(&state, &unlisted, 4), Decision::ReadRoutes);
    recorded(next(&state, &seen, 4))
}

#[test]
fn rollback_names_the_shares_of_a_replacement_and_the_command_that_restores_it() {
    let events = end_of_rollback(&HALF);
    let [Event::Finished { unresolved, notes, .. }] = &events[..] else { panic!("{events:?}") };
    let [text] = &unresolved[..] else { panic!("{unresolved:?}") };
    assert!(text.contains("80 rule 777") && text.contains("sends a 50 %, b 50 %"), "{text}");
    assert!(text.contains("cutover rollback --load-balancer ") && notes.is_empty(), "{text}");
    assert!(text.ends_with(" --back-to webapp-a --away-from webapp-b"), "{text}");
}

#[test]
fn rollback_needs_no_operator_if_a_replacement_sends_nothing_to_the_new_cluster() {
    let events = end_of_rollback(&ORIGINAL);
    let [Event::Finished { unresolved, notes, .. }] = &events[..] else { panic!("{events:?}") };
    assert!(unresolved.is_empty() && notes[0].contains("nothing is sent to b"), "{unresolved:?} {notes:?}");
}

#[test]
fn deleted_listener_is_called_a_listener() {
    let gone = Event::Drifted { route: id(), expected: Box::new(forward(&ORIGINAL)), live: None };
    let state = run(forward(&ORIGINAL)).after(1, gone);
    assert_eq!(drift_text::describe_deletion(&state, &state.routes[&id()], &[]), "the listener was deleted");
}

/// Returns a run of rules whose last step ended at this second, with all of the traffic on `b`.
fn after_the_last_step(second: i64) -> State {
    let mut state = run_of_rules();
    (state.step, state.last_step_done) = (plan().strategy.steps.len() + 1, at(second));
    for route in state.routes.values_mut() {
        route.confirmed = forward(&MOVED);
        route.last_event_at = at(second);
    }
    state
}

const MOVED: [(&str, u16); 2] = [("webapp-a", 0), ("webapp-b", 100)];

/// Returns an observation of both rules with these weights, and of all rules.
fn observed_weights(second: i64, weights: &[(&str, u16)]) -> Observed {
    let routes = RULES.map(|priority| (rule(priority), Reading { at: at(second), value: Ok(forward(weights)) }));
    let mut watch = watch(0);
    let census = Some(Reading { at: at(second), value: Ok(Vec::new()) });
    watch.add(at(second), Observation { routes: routes.into(), census, ..Observation::default() }, true);
    watch
}

#[test]
fn run_completes_only_after_its_routes_were_read_after_the_last_step() {
    let state = after_the_last_step(100);
    assert_eq!(next(&state, &observed_weights(99, &MOVED), 100), Decision::ReadRoutes);
    let finished = next(&state, &observed_weights(101, &MOVED), 101);
    assert!(is_finished(&finished), "{finished:?}");
    let restored = recorded(next(&state, &observed_weights(101, &ORIGINAL), 101));
    assert!(restored.iter().all(|event| matches!(event, Event::Drifted { .. })), "{restored:?}");
}

#[test]
fn completed_run_names_the_routes_that_this_build_could_not_move() {
    let mut state = after_the_last_step(100);
    state.started.not_moved = vec![NotMoved { label: "80 rule 30".into(), reason: "Quantum".into() }];
    let events = recorded(next(&state, &observed_weights(101, &MOVED), 101));
    let [Event::Finished { remarks, unresolved, .. }] = &events[..] else { panic!("{events:?}") };
    assert!(unresolved.is_empty() && remarks[0].starts_with("80 rule 30 was not moved (Quantum"), "{remarks:?}");
}

#[test]
fn run_does_not_complete_while_a_route_is_read_with_earlier_shares() {
    let mut state = after_the_last_step(100);
    let earlier = ReplacedSplit { split: set(&ORIGINAL), replaced: at(99) };
    state.routes.values_mut().for_each(|route| route.replaced_splits.push(earlier.clone()));
    let waiting = next(&state, &observed_weights(101, &ORIGINAL), 101);
    assert!(matches!(&waiting, Decision::Wait(waits) if waits[0].message.contains("earlier shares")), "{waiting:?}");
    let late = recorded(next(&state, &observed_weights(130, &ORIGINAL), 130));
    assert!(late.iter().all(|event| matches!(event, Event::Drifted { .. })), "{late:?}");
}

#[test]
fn failed_list_of_all_rules_stops_the_end_of_the_run() {
    let mut seen = observed_weights(101, &MOVED);
    let census = Some(Reading { at: at(102), value: Err(Unreadable::Throttled) });
    seen.add(at(102), Observation { census, ..Observation::default() }, false);
    let waiting = next(&after_the_last_step(100), &seen, 102);
    assert!(
        matches!(&waiting, Decision::Wait(waits) if waits[0].message == "the list of all rules: throttled"),
        "{waiting:?}"
    );
}
