//! Late readings, which show what a route had before our last writes.

use super::*;

const ALL: [(&str, u16); 2] = [("webapp-a", 0), ("webapp-b", 100)];

/// At 50 % since second 2.
fn half() -> State {
    run(forward(&ORIGINAL)).unanswered(1, 11).after(2, outcome(WriteResult::Applied, Some(&HALF)))
}

#[test]
fn a_late_read_does_not_answer_for_a_restoring_write() {
    let state = half()
        .rolling_back(5, Trigger::Operator)
        .after(6, intended(true, 16, &ORIGINAL))
        .after(7, outcome(WriteResult::Unknown, None));
    let mut seen = watch(0);
    for second in [8, 20, 31] {
        seen = seen.seen(second, Ok(forward(&ORIGINAL)), [10, 10]);
        let next = next(&state, &seen, second);
        assert!(matches!(&next, Decision::Write(batch) if batch.restore), "at {second} it is written again: {next:?}");
    }
    let seen = seen.seen(33, Ok(forward(&ORIGINAL)), [10, 10]);
    let Decision::Record(events) = next(&state, &seen, 33) else { panic!("no reading is that late") };
    assert!(matches!(events[..], [Event::Outcome { result: WriteResult::Applied, .. }]), "{events:?}");
}

#[test]
fn a_late_read_may_be_of_the_time_before_the_last_two_writes() {
    let state = half().after(10, intended(false, 20, &ALL)).after(12, outcome(WriteResult::Applied, Some(&ALL)));
    let drifts = |second: i64| {
        let seen = watch(0).seen(second, Ok(forward(&ORIGINAL)), [10, 10]);
        matches!(next(&state, &seen, second), Decision::Record(events) if matches!(events[..], [Event::Drifted { .. }]))
    };
    assert!(!drifts(14));
    assert!(drifts(40), "that is drift");
}
