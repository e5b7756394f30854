//! Tests the compare gate over time.

use super::*;
use crate::domain::decide::comparison;
use crate::domain::run::comparison::{Compared, Comparison};
use crate::plan::model::CompareGate;

const EVERY: i64 = 600;

/// Returns a run with the compare gate, at the step that raises `b` to half, with enough healthy targets.
fn gated() -> Sim {
    let mut sim = Sim::at_step(4, 40);
    sim.plan.strategy.compare =
        Some(CompareGate { every: Duration::from_secs(EVERY.unsigned_abs()), ignore: Vec::new() });
    sim
}

fn compare(sim: &mut Sim, held: &[&str]) {
    let errors = held.iter().filter(|reason| reason.starts_with("CUT120")).count();
    let held = held.iter().map(|reason| (*reason).to_owned()).collect();
    sim.watch.compared =
        Some(Compared { at: sim.now, comparison: Comparison { held, errors, ..Comparison::default() } });
}

fn is_due(sim: &Sim) -> bool {
    comparison::due(&sim.plan, &sim.state, &sim.watch, sim.now)
}

fn ready(sim: &mut Sim, seconds: i64) -> Decision {
    sim.observe_for(seconds, &ok(40), &ok(20))
}

#[test]
fn a_raise_waits_for_a_comparison_and_for_its_errors_without_a_time_out() {
    let mut sim = gated();
    assert!(is_due(&sim));
    assert_eq!(messages(&ready(&mut sim, 60)), "gate compare: reading a and b");

    compare(&mut sim, &["CUT120 a runs sha256:1, b runs sha256:2", "CUT120 another"]);
    // Longer than the time-out of the gates.
    let timeout = i64::try_from(sim.plan.strategy.gates.timeout.as_secs()).expect("a time-out in seconds");
    let waiting = ready(&mut sim, 2 * timeout);
    let held = "gate compare holds: CUT120 a runs sha256:1, b runs sha256:2; and one more reason; \
                compared again every 10m, next at ";
    let message = messages(&waiting);
    assert!(message.starts_with(held) && message.ends_with(" UTC; all findings: cutover compare PLAN"), "{message}");
    let Decision::Wait(waits) = &waiting else { panic!("a wait was expected") };
    assert_eq!((waits[0].reason, waits[0].until), (WaitReason::Compare, None));
    assert!(sim.froze().is_empty() && !sim.rolls_back(), "{:?}", sim.events);
    assert!(is_due(&sim), "the facts are old");

    compare(&mut sim, &[]);
    assert!(!is_due(&sim));
    assert!(matches!(ready(&mut sim, POLL), Decision::Write(_)));
    let verdicts: Vec<_> = sim.events.iter().filter(|event| matches!(event, Event::Compared(_))).collect();
    assert_eq!(verdicts.len(), 2, "a verdict is journalled when it changes: {verdicts:?}");
}

/// Other gates that do not pass are shown too, and their time-out begins when the comparison allows the raise.
#[test]
fn the_time_outs_of_other_gates_do_not_run_while_the_comparison_holds() {
    let mut sim = gated();
    compare(&mut sim, &["CUT120 x"]);
    let few = |sim: &mut Sim, seconds| sim.observe_for(seconds, &ok(40), &ok(4));
    let timeout = i64::try_from(sim.plan.strategy.gates.timeout.as_secs()).expect("a time-out in seconds");
    let waiting = messages(&few(&mut sim, timeout + 60));
    assert!(
        waiting.contains("CUT120 x; compared again every 10m, next at ")
            && waiting.contains("cutover compare PLAN; webapp-b has 4 of the 20 healthy targets"),
        "{waiting}"
    );
    compare(&mut sim, &[]);
    few(&mut sim, 60);
    compare(&mut sim, &[]);
    assert!(sim.froze().is_empty(), "{:?}", sim.events);
    for _ in 0..=timeout / 60 {
        compare(&mut sim, &[]);
        few(&mut sim, 60);
    }
    assert_eq!(sim.froze(), [FreezeReason::GateTimeout]);
}

#[test]
fn old_facts_are_read_again_before_a_raise() {
    let mut sim = gated();
    compare(&mut sim, &[]);
    sim.now += SignedDuration::from_secs(EVERY + 1);
    assert!(is_due(&sim));
    assert_eq!(messages(&ready(&mut sim, 60)), "gate compare: reading a and b");
    // A cluster that cannot be read is read again after a minute.
    compare(&mut sim, &["CUT190 b: list pods cannot be read"]);
    assert!(!is_due(&sim));
    sim.now += SignedDuration::from_secs(61);
    assert!(is_due(&sim));
}

#[test]
fn only_raises_of_the_new_cluster_are_compared() {
    let mut sim = gated();
    compare(&mut sim, &["CUT120 x"]);
    let down = Sim::at_step(4, 40).plan.strategy.steps[3].kind.clone();
    let StepKind::Shares(mut shares) = down else { panic!("a share step was expected") };
    shares.extend([("a".to_owned(), 100), ("b".to_owned(), 0)]);
    for step in &mut sim.plan.strategy.steps[3..] {
        step.kind = StepKind::Shares(shares.clone());
    }
    assert!(!is_due(&sim), "no step raises the new cluster any more");
    assert!(matches!(ready(&mut sim, 60), Decision::Write(_)));
}

/// A call of `cutover step` stays until both clusters have been read, and leaves a raise that is held.
#[test]
fn a_call_of_step_leaves_a_raise_that_is_held() {
    let mut sim = gated();
    sim.orders.exit_after = Some(sim.now);
    assert!(matches!(ready(&mut sim, 60), Decision::Wait(_)), "the process must wait for the comparison");
    compare(&mut sim, &["CUT120 x"]);
    let Decision::Exit(StopReason::Waiting, message) = ready(&mut sim, POLL) else { panic!("an exit was expected") };
    assert!(message.contains("gate compare holds: CUT120 x"), "{message}");
}
