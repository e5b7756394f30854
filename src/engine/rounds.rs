//! Divides an observation of many resources into parts, and chooses what the next part reads. A round reads every
//! resource once. Groups that may have become unhealthy are read in every part. This module only chooses: it reads and
//! judges nothing. The caller supplies the time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::observation::{Part, WatchList};
use crate::domain::run::observation::Observation;
use crate::domain::traffic::{Reading, RouteId, Unreadable};

/// The time between two parts of a round.
pub const PART_INTERVAL: Duration = Duration::from_secs(2);

/// The number of routes that one call reads.
const ROUTES_PER_CALL: usize = 20;

/// The time after which a suspicion ends, even if target health never agrees with it. Target health of instance targets
/// shows nodes, so it may never change.
const MAX_SUSPICION: SignedDuration = SignedDuration::from_mins(5);

/// The number of times that a throttled call is repeated in one round.
const MAX_REPEATS: usize = 3;

/// A source that can show earlier than a round that a group may be unhealthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hint {
    /// The Service of the group has fewer ready endpoints.
    Endpoints,
    /// CloudWatch counts fewer healthy targets.
    CloudWatch,
}

/// A suspicion that a group is unhealthy. The group is read in every part until the suspicion ends.
#[derive(Debug, Clone)]
struct Suspicion {
    since: Timestamp,
    /// The number of ready endpoints or healthy targets that the source reports.
    count: u32,
    /// The number at which the suspicion ends, because the group has recovered.
    before: u32,
}

/// One call of a round.
#[derive(Debug, Clone, PartialEq)]
enum Call {
    Routes(Vec<RouteId>),
    Marker,
    Health(String),
}

/// The round in progress, and the groups that are read before it continues.
#[derive(Debug, Default)]
pub struct Rounds {
    left: VecDeque<Call>,
    /// The calls of this round that were throttled and are in `left` again.
    repeated: Vec<Call>,
    began: Option<Timestamp>,
    suspicions: BTreeMap<(String, Hint), Suspicion>,
    failing: BTreeSet<String>,
    /// The groups of the last part.
    last_part: BTreeSet<String>,
    /// The last count that a source reported, by group and source.
    counts: BTreeMap<(String, Hint), u32>,
    /// The time of the last reading of each group.
    read: BTreeMap<String, Timestamp>,
}

impl Rounds {
    /// Returns the next part, of at most `calls` calls (at least 2). A new round begins with the routes, the marker and
    /// the groups with traffic (`carries`). Groups that may be unhealthy take at most three quarters of a part, so that
    /// each round ends.
    pub fn next(
        &mut self,
        watch_list: &WatchList,
        carries: impl Fn(&str) -> bool,
        calls: usize,
        now: Timestamp,
    ) -> Part {
        if self.left.is_empty() {
            self.began = Some(now);
            self.repeated.clear();
            self.left = self.round(watch_list, carries);
        }
        self.suspicions.retain(|_, suspicion| now.duration_since(suspicion.since) <= MAX_SUSPICION);
        let mut part = Part::default();
        let suspects = self.suspects();
        let most = calls - calls.div_ceil(4);
        part.groups.extend(suspects.into_iter().filter(|arn| watch_list.has_group(arn)).take(most));
        for _ in part.groups.len()..calls {
            match self.left.pop_front() {
                Some(Call::Routes(ids)) => part.routes.extend(ids),
                Some(Call::Marker) => part.marker = true,
                Some(Call::Health(arn)) if part.groups.contains(&arn) => {}
                Some(Call::Health(arn)) => part.groups.push(arn),
                None => break,
            }
        }
        if self.left.is_empty() {
            part.completes = self.began;
        }
        self.last_part = part.groups.iter().cloned().collect();
        part
    }

    /// Adds the throttled readings of a part to the next part, so that no decision waits a whole round for them. A call
    /// is repeated at most three times in each round, so that the round ends. Returns whether a call was added, so that
    /// the round is not complete.
    pub fn repeat_throttled(&mut self, part: &Part, seen: &Observation) -> bool {
        let routes = part.routes.iter().filter(|id| seen.routes.get(*id).is_some_and(is_throttled));
        let routes: Vec<_> = routes.cloned().collect();
        let routes = routes.chunks(ROUTES_PER_CALL).map(|ids| Call::Routes(ids.to_vec()));
        let groups = part.groups.iter().filter(|arn| seen.health.get(*arn).is_some_and(is_throttled));
        let marker = seen.marker.as_ref().is_some_and(is_throttled).then_some(Call::Marker);
        let all = marker.into_iter().chain(routes).chain(groups.cloned().map(Call::Health));
        let new: Vec<_> =
            all.filter(|call| self.repeated.iter().filter(|c| *c == call).count() < MAX_REPEATS).collect();
        for call in new.iter().rev() {
            self.left.push_front(call.clone());
        }
        self.repeated.extend_from_slice(&new);
        !new.is_empty()
    }

    /// Returns the calls of a round. The groups with traffic are ordered by the time of their last reading, oldest
    /// first. In another order, a group at the start of one round and at the end of the next would not be read for two
    /// rounds.
    fn round(&self, watch_list: &WatchList, carries: impl Fn(&str) -> bool) -> VecDeque<Call> {
        let routes = watch_list.routes().chunks(ROUTES_PER_CALL).map(|ids| Call::Routes(ids.to_vec()));
        let mut groups: Vec<_> = watch_list.groups().iter().collect();
        groups.sort_by_key(|arn| (!carries(arn), self.read.get(*arn)));
        routes.chain([Call::Marker]).chain(groups.into_iter().cloned().map(Call::Health)).collect()
    }

    /// Returns the groups that may be unhealthy. A failing guard needs one more reading, so these groups come first;
    /// then the groups with the fewest ready endpoints.
    fn suspects(&self) -> Vec<String> {
        let mut by_count: Vec<_> = self.suspicions.iter().map(|((arn, _), s)| (s.count, arn)).collect();
        by_count.sort_unstable();
        let mut seen = BTreeSet::new();
        self.failing
            .iter()
            .chain(by_count.into_iter().map(|(_, arn)| arn))
            .filter(|arn| seen.insert(*arn))
            .cloned()
            .collect()
    }

    /// Whether the group was in the last part, or its guard failed before that part.
    pub fn is_recent(&self, arn: &str) -> bool {
        self.last_part.contains(arn) || self.failing.contains(arn)
    }

    /// Sets the groups whose guard fails, but not for long enough.
    pub fn set_failing(&mut self, failing: BTreeSet<String>) {
        self.failing = failing;
    }

    /// Records a count that a source reports for a group: the number of ready endpoints or healthy targets. A smaller
    /// number than before makes the group a suspect. Returns whether the group is a new suspect.
    pub fn record_hint(&mut self, arn: &str, hint: Hint, count: u32, now: Timestamp) -> bool {
        let key = (arn.to_owned(), hint);
        let before = self.counts.insert(key.clone(), count);
        if let Some(suspicion) = self.suspicions.get_mut(&key) {
            suspicion.count = count;
            if count >= suspicion.before {
                self.suspicions.remove(&key);
            }
            return false;
        }
        let Some(before) = before.filter(|before| count < *before) else { return false };
        self.suspicions.insert(key, Suspicion { since: now, count, before });
        true
    }

    /// Records a reading of a group that began at `at`. The suspicion ends when the reading agrees with the source. The
    /// data of CloudWatch are minutes old, so any reading ends a suspicion that comes from CloudWatch.
    pub fn record_reading(&mut self, arn: &str, healthy: u32, at: Timestamp) {
        self.read.insert(arn.to_owned(), at);
        self.suspicions.retain(|(suspect, hint), suspicion| {
            let answered = at >= suspicion.since && (*hint == Hint::CloudWatch || healthy <= suspicion.count);
            suspect != arn || !answered
        });
    }
}

fn is_throttled<T>(reading: &Reading<T>) -> bool {
    matches!(reading.value, Err(Unreadable::Throttled))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixture;
    use crate::domain::run::event::{GroupStart, RouteStart};

    const START: Timestamp = Timestamp::UNIX_EPOCH;

    fn at(seconds: i64) -> Timestamp {
        START + SignedDuration::from_secs(seconds)
    }

    /// Returns a watch list of 45 routes and of many groups, of which `group 7` has traffic.
    fn watch_list() -> WatchList {
        let mut started = fixture::started(4);
        let route = started.routes[0].clone();
        let split = fixture::forward(&[("webapp-a", 100)]);
        let id = |n: u32| fixture::route(80, Some(n), split.clone()).id;
        started.routes = (1..=45).map(|n| RouteStart { id: id(n), ..route.clone() }).collect();
        let template = started.groups.values().next().expect("a group must exist").clone();
        started.groups = (0..30).map(|n| (format!("group {n}"), GroupStart { ..template.clone() })).collect();
        WatchList::of(&fixture::plan(), &fixture::state(started))
    }

    fn next(rounds: &mut Rounds, calls: usize, now: i64) -> Part {
        rounds.next(&watch_list(), |arn| arn == "group 7", calls, at(now))
    }

    #[test]
    fn a_round_reads_everything_once_and_groups_with_traffic_first() {
        let mut rounds = Rounds::default();
        let (mut routes, mut groups, mut markers, mut last) = (0, Vec::new(), 0, None);
        for part in 0..20 {
            let part = next(&mut rounds, 2, part);
            routes += part.routes.len();
            markers += usize::from(part.marker);
            groups.extend(part.groups);
            last = part.completes;
            if last.is_some() {
                break;
            }
        }
        assert_eq!((routes, groups.len(), markers, last), (45, 30, 1, Some(at(0))));
        assert_eq!(groups[0], "group 7");
        groups.sort_unstable();
        groups.dedup();
        assert_eq!(groups.len(), 30, "no group may be read twice in a round");
        assert_eq!(next(&mut rounds, 2, 20).routes.len(), 40, "the next round must begin");
    }

    /// Regression test: the marker was throttled once, and a run over a thousand routes was frozen until the next round.
    #[test]
    fn a_throttled_reading_is_repeated_in_the_next_part() {
        let mut rounds = Rounds::default();
        let list = watch_list();
        let part = rounds.next(&list, |_| false, 5, at(0));
        assert!(part.marker && part.completes.is_none(), "the marker must be in the first part");
        let throttled = |at| Reading { at, value: Err(Unreadable::Throttled) };
        let marker = Observation { marker: Some(throttled(at(0))), ..Observation::default() };
        let mut again = part;
        for second in 1..=3 {
            assert!(rounds.repeat_throttled(&again, &marker));
            again = rounds.next(&list, |_| false, 5, at(second));
            assert!(again.marker, "the marker must be read again");
        }
        assert!(!rounds.repeat_throttled(&again, &marker), "a call must not be repeated for ever");
        let last = rounds.next(&list, |_| false, 100, at(4));
        assert!(last.completes.is_some(), "the round must end");
        let health = [(last.groups[0].clone(), Reading { at: at(4), value: Err(Unreadable::Throttled) })];
        let health = Observation { health: health.into(), ..Observation::default() };
        assert!(rounds.repeat_throttled(&last, &health));
        let after = rounds.next(&list, |_| false, 100, at(6));
        assert_eq!((after.groups, after.completes), (vec![last.groups[0].clone()], Some(at(0))));
    }

    /// Regression test: the order of a round changed when the new groups got traffic, so that some groups were not read
    /// for one and a quarter rounds.
    #[test]
    fn no_group_waits_longer_than_a_round_when_others_get_traffic() {
        let (mut rounds, list) = (Rounds::default(), watch_list());
        let (mut read, mut longest) = (BTreeMap::new(), 0);
        for part in 0..60 {
            // Every group gets traffic while the first round is read.
            let carries = |arn: &str| part >= 15 || arn.ends_with(['1', '3', '5', '7']);
            for arn in rounds.next(&list, carries, 2, at(part)).groups {
                rounds.record_reading(&arn, 4, at(part));
                longest = longest.max(part - read.insert(arn, part).unwrap_or(part));
            }
        }
        // 30 groups, 3 calls for the routes, and the marker: 17 parts of two calls.
        assert_eq!(longest, 17);
    }

    #[test]
    fn a_group_with_fewer_ready_endpoints_is_read_in_each_part_until_its_health_agrees() {
        let mut rounds = Rounds::default();
        assert!(!rounds.record_hint("group 9", Hint::Endpoints, 4, at(0)), "the first count is no change");
        assert!(rounds.record_hint("group 9", Hint::Endpoints, 3, at(1)));
        for second in 2..6 {
            assert_eq!(next(&mut rounds, 4, second).groups[0], "group 9");
            rounds.record_reading("group 9", 4, at(second));
        }
        rounds.record_reading("group 9", 3, at(6));
        assert_ne!(next(&mut rounds, 4, 7).groups.first().map(String::as_str), Some("group 9"));
    }

    #[test]
    fn a_suspicion_ends_when_the_endpoints_recover_and_after_five_minutes() {
        let suspected = |ready: u32, second: i64| {
            let mut rounds = Rounds::default();
            rounds.record_hint("group 9", Hint::Endpoints, 4, at(0));
            rounds.record_hint("group 9", Hint::Endpoints, 2, at(1));
            rounds.record_hint("group 9", Hint::Endpoints, ready, at(2));
            next(&mut rounds, 2, second).groups == ["group 9"]
        };
        assert_eq!([suspected(3, 3), suspected(4, 3), suspected(3, 302)], [true, false, false]);
    }

    /// The data of CloudWatch are minutes old, so any later reading ends a suspicion that comes from CloudWatch.
    #[test]
    fn any_reading_answers_cloudwatch() {
        let mut rounds = Rounds::default();
        rounds.record_hint("group 9", Hint::CloudWatch, 4, at(0));
        assert!(rounds.record_hint("group 9", Hint::CloudWatch, 0, at(60)));
        rounds.record_reading("group 9", 4, at(59));
        assert_eq!(next(&mut rounds, 2, 61).groups, ["group 9"]);
        rounds.record_reading("group 9", 4, at(61));
        assert!(next(&mut rounds, 2, 62).groups.is_empty());
    }

    #[test]
    fn suspects_leave_a_quarter_of_each_part_to_the_round() {
        let mut rounds = Rounds::default();
        rounds.set_failing((0..30).map(|n| format!("group {n}")).collect());
        let part = next(&mut rounds, 8, 0);
        assert_eq!((part.groups.len(), part.routes.len()), (6, 40));
        let small = next(&mut rounds, 2, 2);
        assert_eq!(small.groups.len() + small.routes.len(), 1 + 5, "a small part must leave a call to the round");
    }
}
