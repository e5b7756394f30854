//! Describes what delays the next change of a run's shares: a freeze, a pause, the steps before it, the hours of the
//! plan and gates that do not pass. The gates of target health need an observation and are not here.

use jiff::Timestamp;

use crate::base::duration::format_elapsed;
use crate::base::time::signed;
use crate::domain::decide::{drift_text, hours};
use crate::domain::run::state::{Phase, State};
use crate::domain::view::{comparison, gates};
use crate::plan::model::metric::GateScope;
use crate::plan::model::{Plan, Step, StepKind};

/// Returns what the change of shares in `step` waits for, in the order in which the waits end: ` Before that, the run
/// waits for the approval of step 5; for the hours of the plan: not before …`. Empty if it waits for nothing. `state`
/// is the state of the run after the request that the operator is asked about.
pub fn sentence(plan: &Plan, state: &State, step: usize, now: Timestamp) -> String {
    let holds = holds(plan, state, step, now);
    if holds.is_empty() { String::new() } else { format!(" Before that, the run waits for {}.", holds.join("; for ")) }
}

/// Returns why a run stays frozen after drift, with the commands that continue the run; `None` if an operator does not
/// have to decide about any change.
pub fn drift(state: &State) -> Option<String> {
    let why = drift_text::freeze_message(state)?;
    // A message about a deleted rule or changed conditions names its command.
    let commands = if why.contains("cutover resume ") {
        String::new()
    } else {
        let run = &state.run;
        format!("; to accept the change: cutover resume {run} --keep-live; to undo it: cutover resume {run} --reassert")
    };
    Some(format!("{why}{commands}"))
}

fn holds(plan: &Plan, state: &State, step: usize, now: Timestamp) -> Vec<String> {
    let frozen = state.frozen.as_ref().map(|frozen| frozen.message.clone());
    let frozen = drift(state).or(frozen).map(|why| format!("the end of the freeze ({why})"));
    let paused = state
        .paused
        .as_ref()
        .map(|paused| format!("the end of the pause by {} (cutover resume {})", paused.by, state.run));
    let between = plan.strategy.steps.iter().filter(|s| (state.step..step).contains(&s.number));
    let between = between.filter_map(|s| step_before(state, s));
    let hours = hours::wait_unless_ignored(&plan.strategy, state, step, now).filter(|_| !has_begun(state, step));
    let hours = hours.map(|wait| format!("the hours of the plan: {}", wait.message));
    let open = open_gates(plan, state, step, now);
    let gates = match open.as_slice() {
        [] => None,
        [one] => Some(format!("the gate {one}, which does not pass now")),
        many => Some(format!("the gates {}, which do not pass now", many.join(", "))),
    };
    frozen.into_iter().chain(paused).chain(between).chain(hours).chain(gates).collect()
}

/// Whether the step has begun to write, so that neither hours nor metric gates hold it.
fn has_begun(state: &State, step: usize) -> bool {
    is_current(state, step) && state.first_write.is_some()
}

/// Whether the step has started. Values in the state that a finished step left do not belong to the next step.
fn is_current(state: &State, step: usize) -> bool {
    state.step == step && state.phase != Phase::Ready
}

/// Returns what a step before the move waits for; `None` if it does not wait, or if its pause is ended.
fn step_before(state: &State, step: &Step) -> Option<String> {
    let number = step.number;
    let is_ended = state.all_pauses_promoted || (is_current(state, number) && state.pause_ended);
    match &step.kind {
        StepKind::Bake(_) | StepKind::Approval(_) if is_ended => None,
        StepKind::Bake(length) => {
            let observed = if is_current(state, number) { state.baked.observed } else { std::time::Duration::ZERO };
            let left = format_elapsed(signed(length.saturating_sub(observed)));
            Some(format!("the pause of step {number} ({left} left)"))
        }
        StepKind::Approval(_) => Some(format!("the approval of step {number}")),
        StepKind::HandOver(_) => Some(format!("the hand-over of step {number}")),
        StepKind::Exec(_) => Some(format!("the command of step {number}")),
        StepKind::Bind | StepKind::Shares(_) | StepKind::HeaderRoute(_) | StepKind::Unknown => None,
    }
}

/// Returns the gates that a raise by `step` needs and that do not pass now.
fn open_gates(plan: &Plan, state: &State, step: usize, now: Timestamp) -> Vec<String> {
    if has_begun(state, step) {
        return Vec::new();
    }
    let needed = |name: &str| {
        let gate = plan.strategy.metrics.iter().find(|gate| gate.name == name);
        gate.map_or(name == comparison::NAME, |gate| {
            gate.raise && !matches!(gate.scope, GateScope::Step(number) if number != step)
        })
    };
    let open = gates::of_run(plan, state, None, now).into_iter().filter(gates::GateView::is_open);
    open.map(|gate| gate.gate).filter(|name| needed(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixture;
    use crate::domain::run::event::{Event, FreezeReason, StepType};
    use crate::domain::run::state::{Frozen, Paused};

    fn now() -> Timestamp {
        "2026-01-05T10:00:00Z".parse().expect("a time")
    }

    /// Returns the run of the fixture in the bake of step 3. The next steps are 50 %, an approval and 100 %.
    fn baking() -> State {
        let mut state = fixture::state(fixture::started(4));
        (state.step, state.phase) = (3, Phase::Ready);
        let started = Event::StepStarted { step: 3, kind: StepType::Bake, label: "pause 10m".into() };
        state.apply(now(), &started).expect("a legal event");
        state
    }

    /// Regression test: the questions of `promote`, `approve` and `resume` promised a move that an approval, the hours,
    /// a pause or a freeze still held.
    #[test]
    fn a_move_names_everything_that_still_holds_it() {
        let (mut plan, mut state) = (fixture::plan(), baking());
        assert_eq!(
            sentence(&plan, &state, 4, now()),
            " Before that, the run waits for the pause of step 3 (10m left)."
        );
        state.pause_ended = true;
        assert_eq!(sentence(&plan, &state, 4, now()), "", "the promoted pause holds nothing");
        assert_eq!(sentence(&plan, &state, 6, now()), " Before that, the run waits for the approval of step 5.");
        plan.strategy.hours.not_before = Some("2026-01-06T09:00:00Z".parse().expect("a time"));
        state.paused = Some(Paused { by: "bob@pc".into(), why: String::new() });
        state.frozen =
            Some(Frozen { reason: FreezeReason::GuardFailed, message: "no healthy target".into(), since: now() });
        assert_eq!(
            sentence(&plan, &state, 4, now()),
            " Before that, the run waits for the end of the freeze (no healthy target); for the end of the pause by \
             bob@pc (cutover resume alpha-1); for the hours of the plan: not before Tue 2026-01-06 09:00 UTC."
        );
    }

    #[test]
    fn drift_names_the_commands_that_end_the_freeze() {
        let mut state = baking();
        assert_eq!(drift(&state), None);
        let id = state.routes.keys().next().cloned().expect("a route");
        let (expected, live) =
            (state.routes[&id].confirmed.clone(), fixture::forward(&[("webapp-a", 60), ("webapp-b", 40)]));
        let drifted = Event::Drifted { route: id, expected: Box::new(expected), live: Some(Box::new(live)) };
        state.apply(now(), &drifted).expect("a legal event");
        let holds = sentence(&fixture::plan(), &state, 4, now());
        assert!(holds.contains("the end of the freeze (80 rule 15 was changed by someone else"), "{holds}");
        assert!(holds.contains("cutover resume alpha-1 --keep-live; to undo it: cutover resume alpha-1 --reassert"));
    }
}
