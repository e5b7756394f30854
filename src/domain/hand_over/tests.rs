//! Tests of the rules for items: the order of the moves, and what stops them.

use std::time::Duration;

use jiff::Timestamp;

use super::*;
use crate::domain::traffic::{ClusterName, Reading, Unreadable};

const START: Timestamp = Timestamp::UNIX_EPOCH;
const DRAIN: Duration = Duration::from_mins(3);

/// Two clusters with one item, which carry out what the rules say.
struct World {
    from: ClusterName,
    to: ClusterName,
    items: Vec<ItemId>,
    progress: Items,
    readings: Readings,
    /// What the clusters want and run: (a, b).
    wanted: (u32, u32),
    running: (u32, u32),
    /// Whether cluster b cannot be reached.
    lost: bool,
    overlap: bool,
    verify: bool,
    since: Timestamp,
    now: Timestamp,
}

impl World {
    fn new(wanted: (u32, u32)) -> Self {
        Self {
            from: "a".into(),
            to: "b".into(),
            items: vec!["Deployment/shop/queue".parse().expect("the item must be valid")],
            progress: Items::default(),
            readings: Readings::new(),
            wanted,
            running: wanted,
            lost: false,
            overlap: false,
            verify: false,
            since: START,
            now: START,
        }
    }

    fn next(&self, back: bool) -> Next {
        let input = HandOver {
            from: &self.from,
            to: &self.to,
            step: 1,
            drain: DRAIN,
            overlap: self.overlap,
            verify: self.verify,
            items: &self.items,
            progress: &self.progress,
            readings: &self.readings,
            since: self.since,
            now: self.now,
        };
        if back { super::back(&input) } else { forward(&input) }
    }

    fn read(&mut self, (cluster, item): ItemPlace) {
        let (wanted, running) =
            if cluster == "a" { (self.wanted.0, self.running.0) } else { (self.wanted.1, self.running.1) };
        let reading = ItemReading { wanted, running, version: "1".into(), claim: None, timetable: None, owner: None };
        let value =
            if self.lost && cluster == "b" { Err(Unreadable::Unavailable("no route".into())) } else { Ok(reading) };
        self.readings.insert((cluster, item), Reading { at: self.now, value });
    }

    fn write(&mut self, intent: &ItemIntent) -> String {
        self.progress.intend(intent, self.now);
        self.readings.remove(&(intent.cluster.clone(), intent.item.clone()));
        let lost = self.lost && intent.cluster == "b";
        let (wanted, running) = if intent.cluster == "a" {
            (&mut self.wanted.0, &mut self.running.0)
        } else {
            (&mut self.wanted.1, &mut self.running.1)
        };
        if !lost {
            (*wanted, *running) = (intent.set, if intent.set == 0 { *running } else { intent.set });
        }
        let outcome = ItemOutcome {
            step: 1,
            item: intent.item.clone(),
            cluster: intent.cluster.clone(),
            result: if lost { ItemResult::Unknown } else { ItemResult::Applied },
            value: intent.set,
            last_schedule: None,
            detail: lost.then(|| "no route".to_owned()),
        };
        self.progress.finish(&outcome, self.now);
        format!("{} {}", intent.cluster, intent.set)
    }

    /// Makes decisions until the rules are done, fail, or wait for something that the test does not do. With `ends`, a
    /// stopped item ends after 20 s.
    fn run(&mut self, back: bool, ends: bool) -> (Vec<String>, Next) {
        let mut log = Vec::new();
        for _ in 0..500 {
            match self.next(back) {
                Next::Read(places) => places.into_iter().for_each(|place| self.read(place)),
                Next::Write(intent) => log.push(self.write(&intent)),
                Next::Drained(drained) => {
                    log.push(format!("{} drained", drained.cluster));
                    self.progress.drain(&drained, self.now);
                }
                Next::Outcome(outcome) => {
                    log.push(format!("{:?}", outcome.result));
                    self.progress.finish(&outcome, self.now);
                }
                Next::Wait(waits) => {
                    let until = waits.iter().filter_map(|(_, until)| *until).min().expect("a wait must have an end");
                    assert!(until > self.now, "{waits:?}");
                    self.now = until;
                    if ends && self.now.duration_since(START).as_secs() >= 20 {
                        self.running.0 = self.running.0.min(self.wanted.0);
                        self.running.1 = self.running.1.min(self.wanted.1);
                    }
                }
                end @ (Next::Failed(_) | Next::Done(_)) => return (log, end),
            }
            let both = self.wanted.0.min(self.running.0) > 0 && self.wanted.1.min(self.running.1) > 0;
            assert!(!both || self.overlap, "the item runs on both sides");
        }
        panic!("the rules never end: {log:?}");
    }
}

fn done() -> Next {
    Next::Done(Vec::new())
}

#[test]
fn item_stops_in_from_before_it_starts_in_to_with_the_same_count() {
    let mut world = World::new((3, 0));
    let (log, end) = world.run(false, true);
    assert_eq!((log, end), (["a 0", "a drained", "b 3"].map(str::to_owned).into(), done()));
    let (log, end) = world.run(true, true);
    assert_eq!((log, end), (["b 0", "b drained", "a 3"].map(str::to_owned).into(), done()));
    assert_eq!(world.run(true, true), (Vec::new(), done()), "an item goes back once");
}

#[test]
fn overlap_turns_the_order() {
    let mut world = World { overlap: true, ..World::new((2, 0)) };
    assert_eq!(world.run(false, true).0, ["b 2", "a 0", "a drained"]);
    assert_eq!(world.run(true, true).0, ["a 2", "b 0", "b drained"]);
}

#[test]
fn item_that_was_not_started_in_to_is_started_in_from_at_once() {
    let mut world = World::new((2, 0));
    let (log, end) = world.run(false, false);
    assert_eq!(log, ["a 0"]);
    let Next::Failed(why) = end else { panic!("{end:?}") };
    assert!(why.contains("2 pods of Deployment/shop/queue still run in a after the 3m of `drain`"), "{why}");
    world.lost = true;
    let before = world.now;
    assert_eq!(world.run(true, false), (vec!["a 2".to_owned()], done()));
    assert_eq!(world.now, before, "the item must not wait for the other cluster");
}

#[test]
fn item_stays_stopped_if_the_new_cluster_is_lost_until_a_person_says_that_it_is_stopped() {
    let mut world = World::new((2, 0));
    world.run(false, true);
    world.lost = true;
    world.since = world.now;
    let (log, end) = world.run(true, true);
    let Next::Done(left) = end else { panic!("{end:?}") };
    assert!(log.iter().all(|entry| entry == "b 0") && log.len() > 10, "{log:?}");
    assert_eq!(left, ["Deployment/shop/queue: not stopped in b: no route"]);
    assert!(world.now.duration_since(world.since).unsigned_abs() >= DRAIN);
    // The person has stopped it, or knows that its nodes no longer run.
    (world.wanted.1, world.running.1) = (0, 0);
    let assumed_by = Some("alice".to_owned());
    let drained = ItemDrained { step: 1, item: world.items[0].clone(), cluster: "b".into(), assumed_by };
    world.progress.drain(&drained, world.now);
    assert_eq!(world.run(true, true), (vec!["a 2".to_owned()], done()));
}

#[test]
fn item_that_runs_on_both_sides_is_not_touched() {
    let mut world = World::new((2, 1));
    world.running.1 = 0;
    let Next::Failed(why) = world.run(false, true).1 else { panic!("the step must fail") };
    assert_eq!(why, "Deployment/shop/queue is active in a and in b; stop it in b first");
}

#[test]
fn item_that_someone_starts_again_is_not_started_in_to() {
    let mut world = World::new((2, 0));
    while !matches!(world.next(false), Next::Wait(_)) {
        match world.next(false) {
            Next::Read(places) => places.into_iter().for_each(|place| world.read(place)),
            Next::Write(intent) => drop(world.write(&intent)),
            other => panic!("{other:?}"),
        }
    }
    world.wanted.0 = 2;
    world.now = world.now.checked_add(RETRY).expect("the time must be valid");
    let Next::Failed(why) = world.run(false, true).1 else { panic!("the step must fail") };
    assert_eq!(why, "Deployment/shop/queue was stopped in a, and someone else started it there again");
}

#[test]
fn item_that_needs_no_move_is_left_alone() {
    for (wanted, detail) in [((0, 0), "Already"), ((0, 2), "Already")] {
        let mut world = World::new(wanted);
        assert_eq!(world.run(false, true), (vec![detail.to_owned()], done()));
        assert_eq!(world.run(true, true), (Vec::new(), done()), "{wanted:?}");
    }
}

#[test]
fn item_of_another_tool_is_only_waited_for() {
    let mut world = World { verify: true, ..World::new((0, 2)) };
    assert_eq!(world.run(false, true), (vec!["Verified".to_owned()], done()));
    world.since = world.now;
    let (log, end) = world.run(true, true);
    let left = "Deployment/shop/queue: its owner must stop it in b and start it in a".to_owned();
    assert_eq!((log, end), (Vec::new(), Next::Done(vec![left])));
    (world.wanted, world.since) = ((2, 0), world.now);
    assert_eq!(world.run(true, true), (Vec::new(), done()));
}

fn times(last: Option<&str>, created: &str) -> Timetable {
    let at = |text: &str| text.parse().expect("the time must be valid");
    Timetable { schedule: "0 2 * * *".into(), zone: None, last: last.map(at), created: at(created) }
}

#[test]
fn resumed_cron_job_has_missed_nothing() {
    let now: Timestamp = "2026-12-01T03:00:00Z".parse().expect("the time must be valid");
    let (old, ran) = ("2026-11-20T10:00:00Z", "2026-12-01T02:00:00Z");
    let made_a_week_ago = times(None, "2026-11-24T10:00:00Z");
    assert!(missed(&made_a_week_ago, now).is_some());
    // The time of the other side may be before the creation. The controller counts from it all the same.
    assert!(missed(&times(Some("2026-11-29T02:00:00Z"), "2026-12-01T02:30:00Z"), now).is_some());
    let from = times(Some(ran), old);
    let set = |own: &Timetable, other: Option<&Timetable>, now| {
        let last = Some(without_missed(own, other, now));
        assert_eq!(missed(&Timetable { last, ..own.clone() }, now), None);
        last.map(|last| last.to_string())
    };
    assert_eq!(set(&made_a_week_ago, Some(&from), now).as_deref(), Some(ran), "it is that of the other side");
    assert_eq!(set(&made_a_week_ago, None, now).as_deref(), Some(ran));
    // The schedule of 02:00 fell into the hand-over. It is not made up for.
    let before = times(Some("2026-11-30T02:00:00Z"), old);
    assert_eq!(set(&made_a_week_ago, Some(&before), now).as_deref(), Some(ran));
    let unknown = Timetable { schedule: "@every 1h".into(), ..made_a_week_ago };
    assert_eq!(set(&unknown, None, now), None.or(Some(now.to_string())));
}

#[test]
fn text_of_an_item_can_be_pasted() {
    let item: ItemId = "cronjob/shop/nightly.report".parse().expect("the kind may have any case");
    assert_eq!(item.to_string(), "CronJob/shop/nightly.report");
    for text in ["", "CronJob/shop", "Pod/shop/x", "CronJob//x", "CronJob/shop/x/y"] {
        assert!(text.parse::<ItemId>().is_err(), "{text}");
    }
}
