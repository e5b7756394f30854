//! Computes `status.lastScheduleTime` so that a CronJob that is resumed starts no missed schedule.
//!
//! The CronJob controller counts missed schedules from `status.lastScheduleTime`, else from the creation, and starts the
//! latest one as soon as the CronJob is not suspended
//! (<https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#job-creation>).

use jiff::Timestamp;

use super::reading::Timetable;
use crate::base::cron::Schedule;

/// Returns the schedule that a CronJob would start at once if it were resumed now.
pub fn missed(times: &Timetable, now: Timestamp) -> Option<Timestamp> {
    let base = times.last.unwrap_or(times.created);
    match Schedule::parse(&times.schedule, times.zone.as_deref()) {
        Some(schedule) => schedule.latest(base, now),
        // The times of a schedule that cannot be computed are unknown, so that each time may have been missed.
        None => (base < now).then_some(now),
    }
}

/// Returns the `lastScheduleTime` with which a CronJob starts nothing when it is resumed now: the time at which either
/// side last started a Job; or the latest schedule since then, which ran on neither side and is not made up for.
pub fn without_missed(own: &Timetable, other: Option<&Timetable>, now: Timestamp) -> Timestamp {
    let last = own.last.max(other.and_then(|other| other.last));
    let since = last.unwrap_or(own.created);
    let latest = match Schedule::parse(&own.schedule, own.zone.as_deref()) {
        Some(schedule) => schedule.latest(since, now),
        None => Some(now),
    };
    latest.or(last).unwrap_or(now)
}
