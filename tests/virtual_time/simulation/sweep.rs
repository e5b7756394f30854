//! Builds the schedules, and runs them on all processors.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::fault::{FaultKind, FaultPoint, FollowUp, HAPROXY_KINDS, KINDS, MOMENTS, Moment, Schedule};
use super::runner::{run_schedule, run_without_faults};
use super::wire::{CallName, FIRST};
use crate::support::parameter;

/// Returns the calls of a plan's run without faults, from its first call on.
pub fn calls(plan: &str) -> Vec<CallName> {
    calls_with(plan, FollowUp::Resume)
}

/// Returns the calls of a plan's run without faults, and of the verb after it.
fn calls_with(plan: &str, then: FollowUp) -> Vec<CallName> {
    let (outcome, history, wire) = run_without_faults(plan, then);
    let data = history.data();
    assert!(outcome.is_ok() && data.violations.is_empty(), "{outcome:?} {:#?}\n{}", data.violations, data.transcript());
    wire.call_names()
}

/// Returns the moments at which a fault of a call makes a difference.
fn moments(name: &CallName) -> impl Iterator<Item = Moment> {
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

/// Returns every fault of these kinds at each of the calls and moments where it makes a difference.
fn points(names: &[CallName], kinds: &[FaultKind]) -> Vec<FaultPoint> {
    let at = |name: &CallName, moment, kind: &FaultKind| FaultPoint { call: name.call.clone(), moment, kind: *kind };
    names
        .iter()
        .flat_map(|name| moments(name).flat_map(move |m| kinds.iter().map(move |kind| at(name, m, kind))))
        .collect()
}

/// Returns schedules of two faults: one of the first kinds at each write, and one of the second kinds at each later
/// call.
fn pairs(plan: &str, first: &[FaultKind], second: &[FaultKind]) -> impl Iterator<Item = Schedule> {
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
                [FollowUp::Resume, FollowUp::Rollback].map(move |then| Schedule {
                    plan: plan.clone(),
                    then,
                    points: points.clone(),
                })
            })
        })
    })
}

/// Returns one schedule for each call of a plan, each fault of these kinds and both verbs after it.
pub fn exhaustive(plan: &str, kinds: &[FaultKind]) -> Vec<Schedule> {
    let each = points(&calls(plan), kinds).into_iter();
    each.flat_map(|point| [FollowUp::Resume, FollowUp::Rollback].map(|then| single_fault(plan, then, point.clone())))
        .collect()
}

fn single_fault(plan: &str, then: FollowUp, point: FaultPoint) -> Schedule {
    Schedule { plan: plan.into(), then, points: vec![point] }
}

/// The kinds of faults at commands and hooks: their own failures, and faults of the run while they run.
const HOOK_FAULTS: [FaultKind; 7] = [
    FaultKind::Crash,
    FaultKind::ServerError,
    FaultKind::TimeOut,
    FaultKind::Denied,
    FaultKind::Foreign,
    FaultKind::DiskFull,
    FaultKind::Dead,
];

/// Returns the schedules with each sensible fault at each command and hook: of a run, of a rollback of a finished run,
/// and of an automatic rollback at the second share step.
fn exhaustive_hooks() -> Vec<Schedule> {
    let schedule = |then, points| Schedule { plan: "hooks".into(), then, points };
    let all = calls_with("hooks", FollowUp::Rollback);
    let dead = all.iter().rfind(|name| name.call.0 == "afterShift").map(|name| FaultPoint {
        call: name.call.clone(),
        moment: Moment::Answered,
        kind: FaultKind::Dead,
    });
    let mut schedules = Vec::new();
    for name in all.iter().filter(|name| name.outside) {
        let back = name.call.0 == "undo" || name.call.0.ends_with("Rollback");
        for point in points(std::slice::from_ref(name), &HOOK_FAULTS) {
            schedules.push(schedule(FollowUp::Rollback, vec![point.clone()]));
            let before = dead.clone().filter(|_| back);
            schedules.push(schedule(FollowUp::Resume, before.into_iter().chain([point]).collect()));
        }
    }
    schedules
}

/// Runs a schedule; returns what is wrong, if anything is.
pub fn failure_of(schedule: &Schedule) -> Option<String> {
    let played = catch_unwind(AssertUnwindSafe(|| {
        let (outcome, history, _) = run_schedule(schedule);
        let data = history.data();
        let first = data.violations.first().map(|(_, v)| format!("{}: {}", v.invariant, v.message));
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

/// Runs schedules on all processors. Returns the failed schedules.
pub fn failures(all: &[Schedule]) -> Vec<(Schedule, String)> {
    let (next, wrong_ones) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(schedule) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Some(why) = failure_of(schedule) {
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
    let wrong = failures(all);
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

/// Selects every n-th schedule: all with `CUTOVER_SIMULATION=full`, every hundredth with `100`; without it, a few.
fn sample(all: Vec<Schedule>) -> Vec<Schedule> {
    let every = match std::env::var("CUTOVER_SIMULATION").as_deref() {
        Ok("full" | "pairs") => 1,
        Ok(number) => number.parse().expect("CUTOVER_SIMULATION should be `full`, `pairs` or a number"),
        Err(_) => 199,
    };
    all.into_iter().step_by(every).collect()
}

/// Runs all pairs with `CUTOVER_SIMULATION=pairs`, which takes hours; some with `full`, and otherwise a few.
#[test]
fn two_faults_one_after_the_other() {
    let every = match std::env::var("CUTOVER_SIMULATION").as_deref() {
        Ok("pairs") => 1,
        Ok("full") => 997,
        _ => 49_999,
    };
    let first = [
        FaultKind::Crash,
        FaultKind::Reset,
        FaultKind::ServerError,
        FaultKind::Stale,
        FaultKind::Foreign,
        FaultKind::DiskFull,
    ];
    let second = [
        FaultKind::Crash,
        FaultKind::Stale,
        FaultKind::Foreign,
        FaultKind::Denied,
        FaultKind::ServerError,
        FaultKind::Unmarked,
    ];
    report("two faults one after the other", &pairs("small", &first, &second).step_by(every).collect::<Vec<_>>());
}

/// Returns one schedule per fault and call of the verb that follows a completed run of the small plan. The verb must
/// make at least `writes` writes.
fn exhaustive_after(then: FollowUp, writes: usize) -> Vec<Schedule> {
    let run = calls("small").len();
    let way = calls_with("small", then).split_off(run);
    assert!(way.iter().filter(|name| name.mutating).count() >= writes, "{way:?}");
    points(&way, &KINDS.map(|(kind, _)| kind)).into_iter().map(|point| single_fault("small", then, point)).collect()
}

/// A finished run is rolled back in three stages, on two routes.
#[test]
fn every_fault_at_every_call_of_a_rollback_in_stages() {
    // Most calls of a stage are the same as in the other stages: a third of the schedules is enough.
    let third = exhaustive_after(FollowUp::Ramp, 6).into_iter().step_by(3).collect();
    report("every fault at every call of a rollback in stages", &sample(third));
}

/// The old groups are detached: the marker, two routes, and the marker again.
#[test]
fn every_fault_at_every_call_of_finalize() {
    report("every fault at every call of finalize", &sample(exhaustive_after(FollowUp::Finalize, 4)));
}

#[test]
fn every_fault_at_every_call_of_the_small_plan() {
    let kinds = KINDS.map(|(kind, _)| kind);
    report("every fault at every call", &sample(exhaustive("small", &kinds)));
}

/// A run that makes header rules and removes them: every twelfth of the schedules.
#[test]
fn every_fault_at_every_call_of_a_header_route() {
    let kinds = KINDS.map(|(kind, _)| kind);
    let some = exhaustive("header", &kinds).into_iter().step_by(12).collect();
    report("every fault at every call of a header route", &sample(some));
}

/// Every third of the schedules: most calls are those of the small plan.
#[test]
fn every_fault_at_every_call_at_a_network_load_balancer() {
    let all = exhaustive("network", &KINDS.map(|(kind, _)| kind)).into_iter().step_by(3).collect();
    report("every fault at every call at a Network Load Balancer", &sample(all));
}

/// Every 36th of the schedules: the calls at both instances are the same, and a run has many.
#[test]
fn every_fault_at_every_call_at_haproxy() {
    let kinds = HAPROXY_KINDS.map(|(kind, _)| kind);
    let some = |plan| exhaustive(plan, &kinds).into_iter().step_by(36).collect();
    report("every fault at every call at servers of HAProxy", &sample(some("haproxy")));
    report("every fault at every call at maps of HAProxy", &sample(some("map")));
}

#[test]
fn every_fault_at_every_command_and_hook() {
    report("every fault at every command and hook", &sample(exhaustive_hooks()));
}

/// A sample of the faults at all other calls of a plan with hooks.
#[test]
fn faults_beside_commands_and_hooks() {
    let all = exhaustive("hooks", &KINDS.map(|(kind, _)| kind));
    report("faults during commands and hooks", &sample(all.into_iter().step_by(61).collect()));
}

/// Returns a schedule of one to three faults of these kinds anywhere in a plan's run, from a seed.
fn random(plan: &str, kinds: &[(FaultKind, &str)], calls: &[CallName], seed: u64) -> Schedule {
    let mut rng = fastrand::Rng::with_seed(seed);
    let faults = rng.usize(1..=3);
    let mut places: Vec<_> = (0..faults).map(|_| rng.usize(..calls.len())).collect();
    places.sort_unstable();
    places.dedup();
    let point = |place: &usize| {
        let call = &calls[*place];
        let moment = MOMENTS[rng.usize(..if call.mutating { 6 } else { 4 })].0;
        FaultPoint { call: call.call.clone(), moment, kind: kinds[rng.usize(..kinds.len())].0 }
    };
    let points = places.iter().map(point).collect();
    Schedule { plan: plan.into(), then: if rng.bool() { FollowUp::Resume } else { FollowUp::Rollback }, points }
}

/// Runs pairs and triples of faults: `CUTOVER_SEEDS=1000000` runs a million of them, `CUTOVER_SEEDS=5..9` those seeds.
#[test]
fn random_faults_one_after_the_other() {
    let text = std::env::var("CUTOVER_SEEDS").unwrap_or_else(|_| "8".to_owned());
    let number = |text: &str| text.parse::<u64>().expect("CUTOVER_SEEDS should be a number, or FROM..TO");
    let (from, to) = text.split_once("..").map_or_else(|| (0, number(&text)), |(from, to)| (number(from), number(to)));
    let later =
        |plan| -> Vec<CallName> { calls(plan).into_iter().filter(|name| !name.call.0.starts_with(FIRST)).collect() };
    let (small, network, servers, map) = (later("small"), later("network"), later("haproxy"), later("map"));
    // Every third schedule is at a Network Load Balancer or at HAProxy.
    let schedule = |seed: u64| match seed % 12 {
        2 | 8 => random("network", &KINDS, &network, seed),
        5 => random("haproxy", &HAPROXY_KINDS, &servers, seed),
        11 => random("map", &HAPROXY_KINDS, &map, seed),
        _ => random("small", &KINDS, &small, seed),
    };
    report("random faults one after the other", &(from..to).map(schedule).collect::<Vec<_>>());
}

#[test]
#[ignore = "tier simulation"]
fn random_faults_in_the_reference_plan() {
    let calls: Vec<_> = calls("reference").into_iter().filter(|name| !name.call.0.starts_with(FIRST)).collect();
    report(
        "random faults in the reference plan",
        &(0..12).map(|seed| random("reference", &KINDS, &calls, seed)).collect::<Vec<_>>(),
    );
}

/// Replays one schedule and prints its history.
#[test]
#[ignore = "replays CUTOVER_SCHEDULE"]
fn replay() {
    let schedule: Schedule = parameter::<String>("CUTOVER_SCHEDULE")
        .expect("CUTOVER_SCHEDULE should be set")
        .parse()
        .expect("the schedule should parse");
    let (outcome, history, _) = run_schedule(&schedule);
    let data = history.data();
    println!("{}\n{outcome:?}\n{:#?}", data.transcript(), data.violations);
    assert!(outcome.is_ok() && data.violations.is_empty(), "{schedule} failed");
}
