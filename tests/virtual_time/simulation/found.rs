//! Every schedule that ever found a violation, under the name of the bug. All of them run in every test run.

use super::runner::run_schedule;
use super::sweep::failure_of;

fn holds(schedules: &[&str]) {
    for text in schedules {
        let schedule = text.parse().expect("the schedule should parse");
        let found = failure_of(&schedule);
        assert!(found.is_none(), "CUTOVER_SCHEDULE={text}\n  {}", found.unwrap_or_default());
    }
}

/// A rollback seconds after a write read the shares from before the write, which are the original shares, and ended.
#[test]
fn a_rollback_does_not_end_on_a_late_read() {
    holds(&["small/rollback/DescribeRules#5.journalled.stale"]);
}

/// A reading from before the rollback counted as the read-back, although someone else had changed the route since.
#[test]
fn a_rollback_reads_every_route_after_it_began() {
    holds(&[
        "small/rollback/DescribeTargetHealth#0.lost.foreign",
        "small/rollback/GET#13.before.foreign",
        "small/rollback/GET#28.lost.foreign",
    ]);
}

/// Where a route could not be read, an older reading with the right shares counted as the read-back.
#[test]
fn a_rollback_does_not_end_on_a_reading_that_failed() {
    holds(&["small/rollback/GET#8.journalled.denied", "small/rollback/DescribeTags#4.lost.expired"]);
}

/// One route of a batch had foreign content, and the other route was raised nevertheless.
#[test]
fn drift_that_is_seen_right_before_a_batch_freezes_all_of_it() {
    holds(&["small/resume/DescribeRules#9.before.foreign"]);
}

/// Readings with the time of a clock that was ahead looked fresh for the same time, and no new reading was made.
#[test]
fn a_clock_that_is_set_back_does_not_make_old_readings_fresh() {
    holds(&["small/rollback/DescribeTags#2.before.clock", "small/rollback/DescribeTags#4.lost.clock"]);
}

/// The restoring write got a 503 response and was not executed, and a late read showed the original shares.
#[test]
fn a_late_read_does_not_confirm_a_restoring_write_without_a_response() {
    holds(&["small/rollback/DescribeTags#7.lost.stale+ModifyRule#2.before.5xx"]);
}

/// A process took over during a bake, and its first observation failed: it journalled the time before as a gap, again
/// and again, without end.
#[test]
fn a_bake_after_a_takeover_waits_for_the_first_observation() {
    holds(&["small/resume/DescribeTargetHealth#12.lost.crash+DescribeTags#9.journalled.expired"]);
}

/// With a full disk, the record of the run's end was not written. The process died, and the process that resumed the
/// run overwrote the changes that someone else had made since.
#[test]
fn a_run_ends_only_after_its_end_is_on_disk() {
    holds(&["small/resume/DescribeTags#11.journalled.disk+DescribeTags#12.answered.foreign+RemoveTags#1.past.crash"]);
}

/// `resume --reassert` stays in force after a crash and a plain `resume`.
#[test]
fn reassert_stays_in_force_after_a_crash() {
    holds(&[
        "small/resume/DescribeTargetHealth#7.answered.foreign+DescribeTags#8.lost.denied+DescribeTargetHealth#14.journalled.stale",
        "small/resume/DescribeRules#2.before.stale+DescribeTargetHealth#15.answered.foreign+DescribeTargetHealth#16.answered.denied",
        "small/resume/DescribeTags#6.journalled.foreign+DescribeTags#8.lost.expired",
        "small/resume/DescribeRules#3.lost.foreign+DescribeTags#7.before.denied",
        "small/resume/DescribeRules#2.answered.foreign+ModifyRule#0.past.foreign+DescribeRules#14.journalled.foreign",
    ]);
}

/// Every reading after someone else's change showed the content before it, so that the program could not know the
/// change.
#[test]
fn a_change_that_no_reading_has_shown_is_not_a_violation() {
    holds(&[
        "small/rollback/DescribeTargetHealth#0.journalled.stale+GET#1.journalled.foreign",
        "small/rollback/GET#3.before.stale+GET#13.answered.foreign+DescribeTargetHealth#15.answered.denied",
        "small/rollback/GET#0.answered.stale+GET#21.answered.foreign+DescribeTargetHealth#3.answered.5xx",
        "small/rollback/GET#13.lost.foreign+GET#17.answered.stale",
        "small/rollback/DescribeTags#3.journalled.stale+GET#18.before.foreign+DescribeTargetHealth#16.before.stale",
    ]);
}

/// A rollback right after someone else's change was read got a late read with the content before the change, and ended.
#[test]
fn a_late_read_does_not_end_a_drift() {
    holds(&["small/resume/GET#6.before.foreign+DescribeTags#5.answered.stale+DescribeTargetHealth#15.lost.disk"]);
}

/// `resume --reassert` wrote although the marker could not be read.
#[test]
fn reassert_does_not_write_without_the_marker() {
    holds(&[
        "small/resume/GET#14.before.disk+DescribeRules#5.answered.foreign+DescribeTags#12.before.expired",
        "small/resume/ModifyRule#1.lost.timeout+DescribeTargetHealth#9.journalled.foreign+DescribeTags#13.before.malformed",
    ]);
}

/// A step had settled, its end was not journalled because the disk was full, and a later repeated write did not settle.
#[test]
fn a_repeated_write_settles_again() {
    holds(&["small/resume/GET#14.lost.reset+DescribeTargetHealth#15.journalled.disk+DescribeTags#10.before.foreign"]);
}

/// An automatic rollback died, and `resume` did not continue it because the disk was full.
#[test]
fn a_rollback_is_continued_with_a_full_disk() {
    holds(&["small/resume/GET#3.before.foreign+DescribeTargetHealth#4.answered.crash+DescribeRules#4.before.disk"]);
}

/// The checker knows which records a full disk kept out, which record is complete except for its newline, and what was
/// read before an observation failed.
#[test]
fn the_checker_knows_what_was_published_read_and_stored() {
    holds(&[
        "small/rollback/ModifyRule#1.late.disk+DescribeTargetHealth#11.journalled.foreign+DescribeRules#14.lost.timeout",
        "small/rollback/DescribeRules#5.lost.stale+DescribeTargetHealth#8.before.timeout+DescribeRules#13.journalled.disk",
        "small/rollback/ModifyRule#2.lost.foreign+DescribeTargetHealth#19.lost.denied",
        "small/resume/GET#6.before.foreign+DescribeRules#5.answered.denied",
        "small/resume/DescribeRules#1.answered.foreign+DescribeTags#4.answered.crash+RemoveTags#2.late.disk",
    ]);
}

/// A run without a terminal that was frozen by drift ended in the middle of the rollback that an operator had
/// requested.
#[test]
fn a_frozen_run_does_not_end_during_a_rollback() {
    holds(&["small/rollback/ModifyRule#0.late.foreign", "small/rollback/DescribeRules#5.lost.foreign"]);
}

/// A rollback read someone's change and sent its write, which got no response; a late read with the content before the
/// change counted as the effect of the write.
#[test]
fn a_late_read_does_not_confirm_an_unanswered_restoring_write_after_a_drift() {
    holds(&["small/rollback/PATCH#0.late.foreign+ModifyRule#0.late.stale"]);
}

/// In a step that had not begun, someone else's change was overwritten. Then the step skipped its hook, metric gates
/// and time window.
#[test]
fn a_repeated_write_does_not_begin_the_step() {
    holds(&["hooks/resume/afterShift#0.late.foreign", "hooks/resume/afterShift#0.past.foreign"]);
}

/// Nothing could be written yet, and the hook that runs at the same time as the writes was started and killed at once.
#[test]
fn a_rollback_that_cannot_write_starts_no_hook() {
    holds(&["hooks/rollback/afterShift#0.lost.denied", "hooks/resume/beforeFinish#0.late.denied"]);
}

/// A process announced its first restoring write and died; the next process started the hook before it sent a write.
#[test]
fn each_process_restores_a_route_before_it_starts_a_hook() {
    holds(&["hooks/rollback/ModifyRule#4.before.crash", "hooks/rollback/ModifyRule#5.before.crash"]);
}

/// With a full disk, a hook that could not be journalled delayed the rollback that a running process had begun.
#[test]
fn a_full_disk_and_a_hook_do_not_delay_a_rollback() {
    holds(&["hooks/rollback/afterShift#0.answered.disk", "hooks/rollback/beforeRollback#0.before.disk"]);
}

/// The marker could not be read, and the old cluster's groups were detached nevertheless.
#[test]
fn finalize_detaches_nothing_without_the_marker() {
    holds(&["small/finalize/DescribeTags#16.answered.reset", "small/finalize/DescribeTags#17.lost.throttle"]);
}

/// An observation took twenty seconds, and the groups were then detached although the marker had been read twenty
/// seconds before.
#[test]
fn finalize_detaches_nothing_on_an_old_reading_of_the_marker() {
    holds(&["small/finalize/DescribeRules#17.lost.timeout"]);
}

/// Someone restored more of a route than the stage of a rollback, and the stage gave traffic back to the new cluster.
#[test]
fn a_rollback_stage_keeps_what_someone_else_restored() {
    holds(&["small/ramp/DescribeTargetHealth#34.lost.foreign", "small/ramp/DescribeTargetHealth#60.lost.foreign"]);
}

/// Someone restored a route right before a stage of a rollback, and the stage was written without reading the route
/// first.
#[test]
fn a_rollback_stage_reads_the_routes_before_it_writes() {
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
    let schedule = "small/ramp/ModifyRule#4.late.denied".parse().expect("the schedule should parse");
    let (outcome, history, _) = run_schedule(&schedule);
    let data = history.data();
    assert!(outcome.is_ok() && data.violations.is_empty(), "{outcome:?} {:#?}", data.violations);
    assert!(!data.transcript().contains("reason: Stuck"), "{}", data.transcript());
}

/// A raise without a response took effect late. A stale read after its deadline showed the original shares, and the
/// rollback ended with exit code 4.
#[test]
fn a_late_read_does_not_show_that_a_write_had_no_effect() {
    holds(&["small/rollback/ModifyRule#0.late.disk+ModifyRule#1.past.stale"]);
}

/// An instance of HAProxy reloaded right before a step, within half a minute after the last write. Its weights were those
/// before that write, so the reading counted as a late one, and the other instance was raised.
#[test]
fn a_reload_right_after_a_write_is_no_late_read() {
    holds(&["haproxy/resume/show-servers#46.before.reload", "haproxy/resume/show-servers#47.before.reload"]);
}

/// A write reached a process that had just started. Its shares, which were as planned, counted as those of a reload that
/// forgot the weights, and the shares of the step before were written.
#[test]
fn a_write_to_a_process_that_has_just_started_is_no_drift() {
    holds(&[
        "map/resume/show-map#8.lost.reload",
        "map/resume/prepare-map#0.before.reload",
        "map/resume/show-map#27.answered.reload",
    ]);
}
