//! Every schedule that ever found a violation, by the name of what was wrong. They are played for ever.

use super::sweep::wrong;

fn holds(schedules: &[&str]) {
    for text in schedules {
        let schedule = text.parse().expect("a schedule");
        let found = wrong(&schedule);
        assert!(found.is_none(), "CUTOVER_SCHEDULE={text}\n  {}", found.unwrap_or_default());
    }
}

/// A rollback seconds after a write read the shares from before that write, which are what it wants, and called it a day.
#[test]
fn a_rollback_does_not_take_a_late_read_for_its_goal() {
    holds(&["small/rollback/DescribeRules#5.journalled.stale"]);
}

/// What was read before a rollback began, and someone changed meanwhile, counted as its read-back.
#[test]
fn a_rollback_reads_every_route_after_it_began() {
    holds(&[
        "small/rollback/DescribeTargetHealth#0.lost.foreign",
        "small/rollback/GET#13.before.foreign",
        "small/rollback/GET#28.lost.foreign",
    ]);
}

/// Where a route could not be read, an older reading that was right stood in for the read-back.
#[test]
fn a_rollback_does_not_end_on_a_reading_that_failed() {
    holds(&["small/rollback/GET#8.journalled.denied", "small/rollback/DescribeTags#4.lost.expired"]);
}

/// One route of a batch was seen to be someone else's, and the other was raised all the same.
#[test]
fn drift_that_is_seen_right_before_a_batch_freezes_all_of_it() {
    holds(&["small/resume/DescribeRules#9.before.foreign"]);
}

/// Readings of a clock that was ahead looked fresh for as long, and nobody looked again.
#[test]
fn a_clock_that_is_set_back_makes_no_old_reading_fresh() {
    holds(&["small/rollback/DescribeTags#2.before.clock", "small/rollback/DescribeTags#4.lost.clock"]);
}

/// A run that was frozen by drift and left without a terminal was left in the middle of the rollback that a person had asked for.
#[test]
fn a_frozen_run_is_not_left_while_it_rolls_back() {
    holds(&["small/rollback/ModifyRule#0.late.foreign", "small/rollback/DescribeRules#5.lost.foreign"]);
}
