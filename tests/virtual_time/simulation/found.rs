//! Every schedule that ever found a violation, by the name of what was wrong. They are played for ever.

use super::play::play;
use super::sweep::wrong;

fn holds(schedules: &[&str]) {
    for text in schedules {
        let schedule = text.parse().expect("a schedule");
        let found = wrong(&schedule);
        assert!(found.is_none(), "CUTOVER_SCHEDULE={text}\n  {}", found.unwrap_or_default());
    }
}

/// A rollback seconds after a write read the shares from before that write, which are what it wants, and called it a
/// day.
#[test]
fn a_rollback_does_not_take_a_late_read_for_its_goal() {
    holds(&["small/rollback/DescribeRules#5.journalled.stale"]);
}

/// A reading from before the rollback counted as its read-back, although another actor had changed the route since.
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

/// The restoring write was answered with 503 and never carried out, and a late read showed what it was to restore.
#[test]
fn a_rollback_does_not_take_a_late_read_for_the_effect_of_a_write_without_an_answer() {
    holds(&["small/rollback/DescribeTags#7.lost.stale+ModifyRule#2.before.5xx"]);
}

/// A process that took over a bake, and whose first look saw nothing, journalled the time before it as a gap, again and
/// again, without end.
#[test]
fn a_bake_that_is_taken_over_blind_waits_for_its_first_look() {
    holds(&["small/resume/DescribeTargetHealth#12.lost.crash+DescribeTags#9.journalled.expired"]);
}

/// A full disk kept out that the run was over; it died, and whoever resumed it wrote again over what someone else had
/// changed since.
#[test]
fn a_run_is_not_over_before_that_is_on_disk() {
    holds(&["small/resume/DescribeTags#11.journalled.disk+DescribeTags#12.answered.foreign+RemoveTags#1.past.crash"]);
}

/// `resume --reassert` stays in force after a crash and a plain `resume`.
#[test]
fn what_a_person_gave_up_stays_given_up() {
    holds(&[
        "small/resume/DescribeTargetHealth#7.answered.foreign+DescribeTags#8.lost.denied+DescribeTargetHealth#14.journalled.stale",
        "small/resume/DescribeRules#2.before.stale+DescribeTargetHealth#15.answered.foreign+DescribeTargetHealth#16.answered.denied",
        "small/resume/DescribeTags#6.journalled.foreign+DescribeTags#8.lost.expired",
        "small/resume/DescribeRules#3.lost.foreign+DescribeTags#7.before.denied",
        "small/resume/DescribeRules#2.answered.foreign+ModifyRule#0.past.foreign+DescribeRules#14.journalled.foreign",
    ]);
}

/// Every reading after someone else's change was of the time before it: nobody could know.
#[test]
fn a_change_that_no_reading_has_shown_is_nobodys_fault() {
    holds(&[
        "small/rollback/DescribeTargetHealth#0.journalled.stale+GET#1.journalled.foreign",
        "small/rollback/GET#3.before.stale+GET#13.answered.foreign+DescribeTargetHealth#15.answered.denied",
        "small/rollback/GET#0.answered.stale+GET#21.answered.foreign+DescribeTargetHealth#3.answered.5xx",
        "small/rollback/GET#13.lost.foreign+GET#17.answered.stale",
        "small/rollback/DescribeTags#3.journalled.stale+GET#18.before.foreign+DescribeTargetHealth#16.before.stale",
    ]);
}

/// A rollback right after someone's change was seen read the time before it, and called it a day.
#[test]
fn a_rollback_does_not_take_a_late_read_for_the_end_of_a_drift() {
    holds(&["small/resume/GET#6.before.foreign+DescribeTags#5.answered.stale+DescribeTargetHealth#15.lost.disk"]);
}

/// `resume --reassert` wrote although the marker could not be read.
#[test]
fn nothing_is_written_again_without_the_marker() {
    holds(&[
        "small/resume/GET#14.before.disk+DescribeRules#5.answered.foreign+DescribeTags#12.before.expired",
        "small/resume/ModifyRule#1.lost.timeout+DescribeTargetHealth#9.journalled.foreign+DescribeTags#13.before.malformed",
    ]);
}

/// A step had settled, the end of it was kept out by a full disk, and what was then written again did not have to
/// settle.
#[test]
fn what_is_written_again_settles_again() {
    holds(&["small/resume/GET#14.lost.reset+DescribeTargetHealth#15.journalled.disk+DescribeTags#10.before.foreign"]);
}

/// A rollback by itself died, and `resume` left the traffic where it was because the disk was full.
#[test]
fn a_rollback_is_taken_up_again_whatever_the_disk() {
    holds(&["small/resume/GET#3.before.foreign+DescribeTargetHealth#4.answered.crash+DescribeRules#4.before.disk"]);
}

/// What the disk kept out, and what it got whole but for the last newline, is known to the checker; so is what was read
/// before a look failed.
#[test]
fn what_was_told_read_and_kept_is_what_counts() {
    holds(&[
        "small/rollback/ModifyRule#1.late.disk+DescribeTargetHealth#11.journalled.foreign+DescribeRules#14.lost.timeout",
        "small/rollback/DescribeRules#5.lost.stale+DescribeTargetHealth#8.before.timeout+DescribeRules#13.journalled.disk",
        "small/rollback/ModifyRule#2.lost.foreign+DescribeTargetHealth#19.lost.denied",
        "small/resume/GET#6.before.foreign+DescribeRules#5.answered.denied",
        "small/resume/DescribeRules#1.answered.foreign+DescribeTags#4.answered.crash+RemoveTags#2.late.disk",
    ]);
}

/// A run that was frozen by drift and left without a terminal was left in the middle of the rollback that a person had
/// asked for.
#[test]
fn a_frozen_run_is_not_left_while_it_rolls_back() {
    holds(&["small/rollback/ModifyRule#0.late.foreign", "small/rollback/DescribeRules#5.lost.foreign"]);
}

/// A rollback saw someone's change and sent its write, which was not answered; a late read, of the time before the
/// change, stood in for its effect.
#[test]
fn a_rollback_over_someones_change_does_not_take_a_late_read_for_the_effect_of_a_write_without_an_answer() {
    holds(&["small/rollback/PATCH#0.late.foreign+ModifyRule#0.late.stale"]);
}

/// In a step that had not begun, what someone else did was written over: then the step did without its hook, its metric
/// gates and its hours.
#[test]
fn what_is_written_again_does_not_begin_the_step() {
    holds(&["hooks/resume/afterShift#0.late.foreign", "hooks/resume/afterShift#0.past.foreign"]);
}

/// Nothing could be written yet, and the hook that comes beside the writes was begun, and killed at once.
#[test]
fn a_rollback_that_cannot_write_begins_no_hook() {
    holds(&["hooks/rollback/afterShift#0.lost.denied", "hooks/resume/beforeFinish#0.late.denied"]);
}

/// A process announced its first restoring write and died; the next one began the hook before it sent any.
#[test]
fn the_first_restoring_write_of_each_process_goes_before_its_hooks() {
    holds(&["hooks/rollback/ModifyRule#4.before.crash", "hooks/rollback/ModifyRule#5.before.crash"]);
}

/// With a full disk, a hook that could not be journalled held up the rollback that a running process had begun.
#[test]
fn a_full_disk_and_a_hook_do_not_hold_up_a_rollback() {
    holds(&["hooks/rollback/afterShift#0.answered.disk", "hooks/rollback/beforeRollback#0.before.disk"]);
}

/// Nobody could read whose marker was there, and the old cluster's groups were taken out all the same.
#[test]
fn nothing_is_let_go_without_the_marker() {
    holds(&["small/finalize/DescribeTags#16.answered.reset", "small/finalize/DescribeTags#17.lost.throttle"]);
}

/// A look took twenty seconds, and what was taken out after it went by a reading of the marker that was as old.
#[test]
fn nothing_is_let_go_by_an_old_reading_of_the_marker() {
    holds(&["small/finalize/DescribeRules#17.lost.timeout"]);
}

/// Someone restored more of a route than the stage of a rollback did, and the stage gave the new cluster its traffic
/// back.
#[test]
fn a_stage_of_a_rollback_takes_nothing_back_that_someone_else_restored() {
    holds(&["small/ramp/DescribeTargetHealth#34.lost.foreign", "small/ramp/DescribeTargetHealth#60.lost.foreign"]);
}

/// Someone restored a route right before a stage of a rollback, which was written without reading the route first.
#[test]
fn a_stage_of_a_rollback_reads_what_it_writes() {
    holds(&[
        "small/ramp/DescribeTargetHealth#20.before.foreign",
        "small/ramp/DescribeTags#27.before.foreign",
        "small/ramp/ModifyRule#4.late.foreign",
        "small/ramp/ModifyRule#5.lost.foreign",
        "small/ramp/ModifyRule#7.late.foreign",
        "small/ramp/DescribeRules#17.before.foreign",
    ]);
}

/// A write that AWS rejected for a second was not tried again by any later stage, and the rollback ended with exit code
/// 5.
#[test]
fn a_route_whose_write_was_rejected_is_written_again_at_the_next_stage() {
    let schedule = "small/ramp/ModifyRule#4.late.denied".parse().expect("a schedule");
    let (outcome, history, _) = play(&schedule);
    let book = history.book();
    assert!(outcome.is_ok() && book.violations.is_empty(), "{outcome:?} {:#?}", book.violations);
    assert!(!book.story().contains("reason: Stuck"), "{}", book.story());
}
