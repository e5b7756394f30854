//! The schedules, and running them on all cores.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::fault::{KINDS, Kind, MOMENTS, Moment, Point, Schedule, Then};
use super::play::{play, undisturbed};
use super::wire::{FIRST, Name};
use crate::support::asked;

/// The calls of a plan's undisturbed run, its beginning included.
pub fn calls(plan: &str) -> Vec<Name> {
    calls_then(plan, Then::Resume)
}

/// The calls of a plan's undisturbed run, and of the verb after it.
fn calls_then(plan: &str, then: Then) -> Vec<Name> {
    let (outcome, history, wire) = undisturbed(plan, then);
    let book = history.book();
    assert!(outcome.is_ok() && book.violations.is_empty(), "{outcome:?} {:#?}\n{}", book.violations, book.story());
    wire.names()
}

/// When a fault around a call makes a difference.
fn moments(name: &Name) -> impl Iterator<Item = Moment> {
    let sensible = [
        (Moment::Before, true),
        (Moment::Lost, true),
        (Moment::Answered, name.recorded),
        (Moment::Journalled, name.recorded),
        (Moment::Late, name.mutating),
        (Moment::Past, name.mutating),
    ];
    sensible.into_iter().filter(|(_, sensible)| *sensible).map(|(moment, _)| moment)
}

/// Every fault of these kinds at each of the calls, where it makes a difference.
fn points(names: &[Name], kinds: &[Kind]) -> Vec<Point> {
    let at = |name: &Name, moment, kind: &Kind| Point { call: name.call.clone(), moment, kind: *kind };
    names
        .iter()
        .flat_map(|name| moments(name).flat_map(move |m| kinds.iter().map(move |kind| at(name, m, kind))))
        .collect()
}

/// Two faults, one after the other: of the first kinds at every write, and of the second ones at every later call.
fn pairs(plan: &str, first: &[Kind], second: &[Kind]) -> impl Iterator<Item = Schedule> {
    let calls: Vec<_> = calls(plan).into_iter().filter(|name| !name.call.0.starts_with(FIRST)).collect();
    let mut all = Vec::new();
    for (index, name) in calls.iter().enumerate().filter(|(_, name)| name.mutating) {
        all.push((points(std::slice::from_ref(name), first), points(&calls[index + 1..], second)));
    }
    let plan = plan.to_owned();
    all.into_iter().flat_map(move |(first, second)| {
        let plan = plan.clone();
        first.into_iter().flat_map(move |one| {
            let (plan, second) = (plan.clone(), second.clone());
            second.into_iter().flat_map(move |two| {
                let (plan, points) = (plan.clone(), vec![one.clone(), two]);
                [Then::Resume, Then::Rollback].map(move |then| Schedule {
                    plan: plan.clone(),
                    then,
                    points: points.clone(),
                })
            })
        })
    })
}

/// Every fault of these kinds at every call of a plan.
pub fn exhaustive(plan: &str, kinds: &[Kind]) -> Vec<Schedule> {
    let each = points(&calls(plan), kinds).into_iter();
    each.flat_map(|point| [Then::Resume, Then::Rollback].map(|then| one(plan, then, point.clone()))).collect()
}

fn one(plan: &str, then: Then, point: Point) -> Schedule {
    Schedule { plan: plan.into(), then, points: vec![point] }
}

/// The faults at commands and hooks: failures of their own, and faults of the run during them.
const BESIDE: [Kind; 7] =
    [Kind::Crash, Kind::ServerError, Kind::TimeOut, Kind::Denied, Kind::Foreign, Kind::DiskFull, Kind::Dead];

/// Every fault that makes sense at every command and hook of a run, and of the way back: of a finished run, and of one
/// that has to go back by itself at its second share.
fn hooked() -> Vec<Schedule> {
    let schedule = |then, points| Schedule { plan: "hooks".into(), then, points };
    let all = calls_then("hooks", Then::Rollback);
    let dead = all.iter().rfind(|name| name.call.0 == "afterShift").map(|name| Point {
        call: name.call.clone(),
        moment: Moment::Answered,
        kind: Kind::Dead,
    });
    let mut schedules = Vec::new();
    for name in all.iter().filter(|name| name.outside) {
        let back = name.call.0 == "undo" || name.call.0.ends_with("Rollback");
        for point in points(std::slice::from_ref(name), &BESIDE) {
            schedules.push(schedule(Then::Rollback, vec![point.clone()]));
            let before = dead.clone().filter(|_| back);
            schedules.push(schedule(Then::Resume, before.into_iter().chain([point]).collect()));
        }
    }
    schedules
}

/// Plays one: what is wrong, if anything is.
pub fn wrong(schedule: &Schedule) -> Option<String> {
    let played = catch_unwind(AssertUnwindSafe(|| {
        let (outcome, history, _) = play(schedule);
        let book = history.book();
        let first = book.violations.first().map(|(_, v)| format!("{}: {}", v.invariant, v.message));
        first.or(outcome.err())
    }));
    match played {
        Ok(wrong) => wrong,
        Err(panic) => {
            let text = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            Some(format!("panic: {}", text.unwrap_or_default()))
        }
    }
}

/// Plays all of them on all cores: the wrong ones.
pub fn run(all: &[Schedule]) -> Vec<(Schedule, String)> {
    let (next, wrong_ones) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(schedule) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Some(why) = wrong(schedule) {
                        wrong_ones.lock().unwrap_or_else(PoisonError::into_inner).push((schedule.clone(), why));
                    }
                }
            });
        }
    });
    wrong_ones.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn report(what: &str, all: &[Schedule]) {
    let began = Instant::now();
    let wrong = run(all);
    println!(
        "simulation: {what}: {} schedules, {} violations, {:.1} s",
        all.len(),
        wrong.len(),
        began.elapsed().as_secs_f64()
    );
    let lines: Vec<_> = wrong
        .iter()
        .map(|(s, why)| format!("CUTOVER_SCHEDULE={s}\n  {}\n", why.chars().take(400).collect::<String>()))
        .collect();
    assert!(lines.is_empty(), "{}", lines.concat());
}

/// Every so many of the schedules are played: all with `CUTOVER_SIMULATION=full`, every hundredth with `100`; without
/// it, a few.
fn some(all: Vec<Schedule>) -> Vec<Schedule> {
    let every = match std::env::var("CUTOVER_SIMULATION").as_deref() {
        Ok("full" | "pairs") => 1,
        Ok(number) => number.parse().expect("`full`, `pairs` or a number"),
        Err(_) => 199,
    };
    all.into_iter().step_by(every).collect()
}

/// All of them with `CUTOVER_SIMULATION=pairs`, which takes hours; some with `full`, and without it a few.
#[test]
fn two_faults_one_after_the_other() {
    let every = match std::env::var("CUTOVER_SIMULATION").as_deref() {
        Ok("pairs") => 1,
        Ok("full") => 997,
        _ => 49_999,
    };
    let first = [Kind::Crash, Kind::Reset, Kind::ServerError, Kind::Stale, Kind::Foreign, Kind::DiskFull];
    let second = [Kind::Crash, Kind::Stale, Kind::Foreign, Kind::Denied, Kind::ServerError, Kind::Unmarked];
    report("two faults one after the other", &pairs("small", &first, &second).step_by(every).collect::<Vec<_>>());
}

/// Every fault at every call of what comes after a run of the small plan that completed, and that is so many writes at
/// the least.
fn afterwards(then: Then, writes: usize) -> Vec<Schedule> {
    let run = calls("small").len();
    let way = calls_then("small", then).split_off(run);
    assert!(way.iter().filter(|name| name.mutating).count() >= writes, "{way:?}");
    points(&way, &KINDS.map(|(kind, _)| kind)).into_iter().map(|point| one("small", then, point)).collect()
}

/// A finished run is rolled back in three stages, on two routes.
#[test]
fn every_fault_at_every_call_of_a_way_back_in_parts() {
    // Its calls are much the same time and again: a third of them tells as much.
    let third = afterwards(Then::Ramp, 6).into_iter().step_by(3).collect();
    report("every fault at every call of a way back in parts", &some(third));
}

/// The old cluster is retired: the marker, two routes, and the marker again.
#[test]
fn every_fault_at_every_call_of_letting_go() {
    report("every fault at every call of letting go", &some(afterwards(Then::Finalize, 4)));
}

#[test]
fn every_fault_at_every_call_of_the_small_plan() {
    let kinds = KINDS.map(|(kind, _)| kind);
    report("every fault at every call", &some(exhaustive("small", &kinds)));
}

#[test]
fn every_fault_at_every_command_and_hook() {
    report("every fault at every command and hook", &some(hooked()));
}

/// A sample of the faults at all other calls of a plan with hooks.
#[test]
fn faults_beside_commands_and_hooks() {
    let all = exhaustive("hooks", &KINDS.map(|(kind, _)| kind));
    report("faults beside commands and hooks", &some(all.into_iter().step_by(61).collect()));
}

/// A schedule of one to three faults anywhere in a plan's run, from a seed.
fn random(plan: &str, calls: &[Name], seed: u64) -> Schedule {
    let mut rng = fastrand::Rng::with_seed(seed);
    let faults = rng.usize(1..=3);
    let mut places: Vec<_> = (0..faults).map(|_| rng.usize(..calls.len())).collect();
    places.sort_unstable();
    places.dedup();
    let point = |place: &usize| {
        let call = &calls[*place];
        let moment = MOMENTS[rng.usize(..if call.mutating { 6 } else { 4 })].0;
        Point { call: call.call.clone(), moment, kind: KINDS[rng.usize(..KINDS.len())].0 }
    };
    let points = places.iter().map(point).collect();
    Schedule { plan: plan.into(), then: if rng.bool() { Then::Resume } else { Then::Rollback }, points }
}

/// Ordered pairs and triples: `CUTOVER_SEEDS=1000000` plays a million of them, `CUTOVER_SEEDS=5..9` those seeds.
#[test]
fn random_faults_one_after_the_other() {
    let text = std::env::var("CUTOVER_SEEDS").unwrap_or_else(|_| "8".to_owned());
    let number = |text: &str| text.parse::<u64>().expect("a number of seeds, or FROM..TO");
    let (from, to) = text.split_once("..").map_or_else(|| (0, number(&text)), |(from, to)| (number(from), number(to)));
    let calls: Vec<_> = calls("small").into_iter().filter(|name| !name.call.0.starts_with(FIRST)).collect();
    report(
        "random faults one after the other",
        &(from..to).map(|seed| random("small", &calls, seed)).collect::<Vec<_>>(),
    );
}

#[test]
#[ignore = "tier simulation"]
fn random_faults_in_the_reference_plan() {
    let calls: Vec<_> = calls("reference").into_iter().filter(|name| !name.call.0.starts_with(FIRST)).collect();
    report(
        "random faults in the reference plan",
        &(0..12).map(|seed| random("reference", &calls, seed)).collect::<Vec<_>>(),
    );
}

/// Replays one schedule and prints all that was noted.
#[test]
#[ignore = "plays CUTOVER_SCHEDULE"]
fn replay() {
    let schedule: Schedule =
        asked::<String>("CUTOVER_SCHEDULE").expect("CUTOVER_SCHEDULE").parse().expect("a schedule");
    let (outcome, history, _) = play(&schedule);
    let book = history.book();
    println!("{}\n{outcome:?}\n{:#?}", book.story(), book.violations);
    assert!(outcome.is_ok() && book.violations.is_empty(), "{schedule} is not right");
}
