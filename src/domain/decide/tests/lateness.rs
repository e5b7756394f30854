//! Tests late readings, which show the content of a route before the last writes.

use super::*;

const ALL: [(&str, u16); 2] = [("webapp-a", 0), ("webapp-b", 100)];

/// Returns a run that is at 50 % since second 2.
fn run_at_half() -> State {
    run(forward(&ORIGINAL)).with_open_write(1, 11).after(2, outcome(WriteResult::Applied, Some(&HALF)))
}

#[test]
fn late_reading_does_not_confirm_a_rollback_write() {
    let state = run_at_half()
        .rolling_back(5, Trigger::Operator)
        .after(6, intended(true, 16, &ORIGINAL))
        .after(7, outcome(WriteResult::Unknown, None));
    let mut seen = watch(0);
    for second in [8, 20, 31] {
        seen = seen.seen(second, Ok(forward(&ORIGINAL)), [10, 10]);
        let next = next(&state, &seen, second);
        assert!(
            matches!(&next, Decision::Write(batch) if batch.restore),
            "the route must be written again at second {second}: {next:?}"
        );
    }
    let seen = seen.seen(33, Ok(forward(&ORIGINAL)), [10, 10]);
    let Decision::Record(events) = next(&state, &seen, 33) else {
        panic!("a reading after second 31 must close the write")
    };
    assert!(matches!(events[..], [Event::Outcome { result: WriteResult::Applied, .. }]), "{events:?}");
}

#[test]
fn late_reading_may_show_the_content_before_the_last_two_writes() {
    let state = run_at_half().after(10, intended(false, 20, &ALL)).after(12, outcome(WriteResult::Applied, Some(&ALL)));
    let drifts = |second: i64| {
        let seen = watch(0).seen(second, Ok(forward(&ORIGINAL)), [10, 10]);
        matches!(next(&state, &seen, second), Decision::Record(events) if matches!(events[..], [Event::Drifted { .. }]))
    };
    assert!(!drifts(14));
    assert!(drifts(40), "a reading that is not late must be reported as drift");
}
