//! Every edge of the diagram in CONTRIBUTING.md is a transition of the state.

use cutover::domain::run::event::{Event, Record, RunOutcome};
use cutover::domain::run::state::{Phase, State};
use serde_json::json;

use super::{blocks, page};

const SHARES_REMARK: &str = "setWeight";

fn started_state(phase: Phase) -> State {
    let started = json!({"event": "started", "plan": "p", "text": "", "hash": "", "owner": "o", "fromStep": 1, "from": "a", "to": "b", "loadBalancers": [], "routes": [],
        "groups": {}, "clusters": {}, "bindings": []});
    let event = serde_json::from_value(started).expect("the JSON should be a `started` event");
    let record = Record::new(1, jiff::Timestamp::UNIX_EPOCH, "p-1", event);
    let mut state = State::fold(&[record]).expect("the record should be valid").expect("the run should have a state");
    state.phase = phase;
    state.finished = (phase == Phase::Finished).then_some(RunOutcome::Completed);
    state
}

fn phase(name: &str) -> Option<Phase> {
    use Phase::{
        AwaitingApproval, Baking, Finished, HandingOver, Ready, Retiring, RollingBack, RoutingHeaders, RunningCommand,
        Shifting,
    };
    [
        Ready,
        Shifting,
        Baking,
        AwaitingApproval,
        RunningCommand,
        RoutingHeaders,
        HandingOver,
        RollingBack,
        Retiring,
        Finished,
    ]
    .into_iter()
    .find(|p| format!("{p:?}") == name)
}

fn event(name: &str, remark: &str) -> Event {
    let kind = if remark.contains(SHARES_REMARK) {
        "shares"
    } else if remark.contains("exec") {
        "exec"
    } else if remark.contains("setHeaderRoute") {
        "headerRoute"
    } else if remark.contains("handOver") {
        "handOver"
    } else if remark.contains("person") {
        "approval"
    } else {
        "bake"
    };
    let value = match name {
        "stepStarted" => json!({"event": name, "step": 1, "kind": kind, "label": ""}),
        "stepDone" => json!({"event": name, "step": 1}),
        "finished" => json!({"event": name, "outcome": "completed"}),
        "rollbackStarted" => json!({"event": name, "cause": "", "by": "o", "trigger": "operator"}),
        "retireStarted" => json!({"event": name, "by": "o", "bindings": false}),
        "paused" => json!({"event": name, "by": "o", "reason": ""}),
        "resumed" => json!({"event": name, "by": "o", "mode": "plain"}),
        "frozen" => json!({"event": name, "reason": "unreadable", "message": ""}),
        _ => json!({"event": name}),
    };
    serde_json::from_value(value).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// Returns the edges of the diagram, such as `A --> B: event (remark)`.
fn edges(diagram: &str) -> Vec<(&str, &str, &str, &str)> {
    diagram
        .lines()
        .filter_map(|line| {
            let (from, rest) = line.trim().split_once(" --> ")?;
            let (to, label) = rest.split_once(": ")?;
            let (name, remark) = label.split_once(' ').unwrap_or((label, ""));
            Some((from, to, name, remark))
        })
        .collect()
}

#[test]
fn every_edge_of_the_state_diagram_is_a_valid_transition() {
    let text = page("CONTRIBUTING.md");
    let diagram = blocks(&text, "mermaid")[0];
    let edges = edges(diagram);
    assert_eq!(edges.len(), 30, "{edges:#?}");
    for (from, to, name, remark) in edges {
        let now = jiff::Timestamp::UNIX_EPOCH;
        let hold = |s: &State| {
            if s.paused.is_some() {
                "Paused"
            } else if s.frozen.is_some() {
                "Frozen"
            } else {
                "Free"
            }
        };
        let mut state = started_state(phase(from).unwrap_or(Phase::Ready));
        match from {
            "[*]" => continue,
            "Paused" => state.apply(now, &event("paused", "")).expect("the state should accept `paused`"),
            "Frozen" => state.apply(now, &event("frozen", "")).expect("the state should accept `frozen`"),
            _ => {}
        }
        state.apply(now, &event(name, remark)).unwrap_or_else(|e| panic!("{from} --> {to}: {e}"));
        let reached = phase(to).map_or(hold(&state) == to, |wanted| state.phase == wanted);
        assert!(reached, "{from} --> {to}: {name} leads to {:?}, {}", state.phase, hold(&state));
    }
}
