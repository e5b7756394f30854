//! Faults in a migration: twelve workloads in four waves over two Application Load Balancers, a Network Load Balancer and
//! HAProxy, with a fault at every call inside waves, between them, and of the rollback of all waves.
//!
//! A part of the schedules runs in every test run. `CUTOVER_SIMULATION=full` runs a fault at every call, and as many
//! random schedules as `CUTOVER_SEEDS` says; `CUTOVER_WAVE_FAULTS=run/1234:dies-after,1300:lost` replays one schedule.

mod bugs;
mod checker;
mod line;
mod migration;
mod plan;
mod store;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

use cutover::app::exit::Exit;

use self::bugs::Bug;
use self::line::{Fault, KINDS, Kind};
use self::migration::{Migration, MigrationEnd};
use crate::schedule::in_paused_time;
use crate::support::parameter;

/// The number of random schedules without `CUTOVER_SEEDS`.
const DEFAULT_SEEDS: u64 = 3;

/// Faults in one migration.
#[derive(Debug, Clone, PartialEq)]
struct Schedule {
    /// Whether each process does only what is due, as `step` does; otherwise it drives a wave to its end, as `run` does.
    steps: bool,
    faults: Vec<Fault>,
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults: Vec<_> = self.faults.iter().map(ToString::to_string).collect();
        write!(f, "{}/{}", if self.steps { "step" } else { "run" }, faults.join(","))
    }
}

impl FromStr for Schedule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (verb, faults) = text.split_once('/').ok_or("a schedule is VERB/FAULTS")?;
        let faults = faults.split(',').filter(|fault| !fault.is_empty()).map(str::parse).collect::<Result<_, _>>()?;
        Ok(Self { steps: verb == "step", faults })
    }
}

fn migrate(schedule: &Schedule, bug: Option<Bug>) -> MigrationEnd {
    let plan = match bug {
        Some(Bug::NoPauseBetween) => plan::edited(&[("    waves: {between: {duration: 1m}}\n", "")]),
        Some(Bug::OtherOrder) => plan::edited(&[
            ("{name: inside,", "{name: inside, after: [public],"),
            ("- name: public\n", "- name: public\n      after: []\n"),
        ]),
        _ => plan::plan(),
    };
    in_paused_time(async { Migration::new(schedule.faults.clone(), schedule.steps, bug, plan).run().await })
}

/// Returns the names of the calls of a migration without faults.
fn calls() -> &'static [String] {
    static NAMES: OnceLock<Vec<String>> = OnceLock::new();
    NAMES.get_or_init(|| migrate(&Schedule { steps: false, faults: vec![] }, None).names)
}

/// Returns what is wrong with a schedule, if anything is.
fn failure_of(schedule: &Schedule) -> Option<String> {
    let result = match catch_unwind(AssertUnwindSafe(|| migrate(schedule, None))) {
        Ok(result) => result,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            return Some(text.unwrap_or_else(|| "a panic".to_owned()));
        }
    };
    let kills = schedule.faults.iter().any(|fault| matches!(fault.kind, Kind::Kills(_)));
    if !result.violations.is_empty() {
        return Some(format!("{:#?}\n{}", result.violations, result.log.join("\n")));
    }
    // A run that rolls back by itself ends at its start, which the checker has compared.
    let ended = matches!(result.exit, Some(Exit::Done | Exit::RolledBack)) || kills && result.exit != Some(Exit::Stuck);
    (!ended).then(|| format!("the migration ended with {:?}\n{}", result.exit, result.log.join("\n")))
}

/// Runs schedules on all processors, and prints a summary; fails if one of them has a violation.
fn report(what: &str, schedules: &[Schedule]) {
    let began = Instant::now();
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(schedule) = schedules.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Some(why) = failure_of(schedule) {
                        println!("waves: CUTOVER_WAVE_FAULTS={schedule} failed");
                        failures.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{schedule}: {why}"));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    let count = schedules.len();
    println!("simulation: waves: {what}: {count} schedules, {} with violations, {:?}", failures.len(), began.elapsed());
    let shown = failures.iter().take(5).cloned().collect::<Vec<_>>().join("\n\n");
    assert!(failures.is_empty(), "{} of {count} schedules failed:\n{shown}", failures.len());
}

fn is_full() -> bool {
    parameter::<String>("CUTOVER_SIMULATION").is_some_and(|value| value == "full")
}

#[test]
fn migration_without_faults_moves_every_wave_and_back() {
    for steps in [false, true] {
        let result = migrate(&Schedule { steps, faults: vec![] }, None);
        assert_eq!(result.violations, Vec::<String>::new(), "{}", result.log.join("\n"));
        assert_eq!(result.exit, Some(Exit::Done), "{}", result.log.join("\n"));
        assert_eq!(result.back, [3, 2, 1, 0], "the last wave goes back first");
        // Two workloads are at two instances of HAProxy each. Three rules with five values need two header rules each.
        assert_eq!((result.routes, result.header_rules), (14, 6));
        println!(
            "waves: {} calls, {} of them forward, {} processes",
            result.names.len(),
            result.forward,
            result.processes
        );
    }
}

/// Returns a schedule of one fault at each `stride`-th call. The kinds take turns; `CUTOVER_SEED` shifts them.
fn one_fault(names: &[String], first: usize, stride: usize) -> Vec<Schedule> {
    let shift = parameter::<usize>("CUTOVER_SEED").unwrap_or(0);
    let at = |(number, call): (usize, usize)| {
        let kind = KINDS[(number + shift) % KINDS.len()].0;
        Schedule { steps: false, faults: vec![Fault { call: call as u64 + 1, kind }] }
    };
    (first..names.len()).step_by(stride).enumerate().map(at).collect()
}

#[test]
fn fault_at_a_call_ends_at_the_goal_and_goes_back() {
    if let Some(text) = parameter::<String>("CUTOVER_WAVE_FAULTS") {
        let schedule: Schedule = text.parse().unwrap_or_else(|e| panic!("{e}"));
        let result = migrate(&schedule, None);
        println!("{}\n{:?}\n{:#?}", result.log.join("\n"), result.exit, result.violations);
        assert!(failure_of(&schedule).is_none(), "{schedule} failed");
        return;
    }
    let names = calls();
    if is_full() {
        report("a fault at every call", &one_fault(names, 0, 1));
    } else {
        report("a fault at some calls", &one_fault(names, names.len() / 7, names.len() / 5));
    }
}

/// Up to three faults at random calls, and often the targets of a workload die.
fn random(seed: u64, calls: u64) -> Schedule {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut faults: Vec<_> = (0..=random.u64(..3))
        .map(|_| Fault { call: 1 + random.u64(..calls), kind: KINDS[random.usize(..KINDS.len())].0 })
        .collect();
    if random.u8(..4) == 0 {
        let kind = Kind::Kills(plan::MORTAL[random.usize(..plan::MORTAL.len())]);
        faults.push(Fault { call: 1 + random.u64(..calls), kind });
    }
    Schedule { steps: seed % 4 == 3, faults }
}

#[test]
fn random_faults_end_at_the_goal_or_the_start_and_go_back() {
    let calls = calls().len() as u64;
    let from = parameter::<u64>("CUTOVER_SEED").unwrap_or(0);
    let seeds = parameter::<u64>("CUTOVER_SEEDS").unwrap_or(DEFAULT_SEEDS);
    report("random faults", &(from..from + seeds).map(|seed| random(seed, calls)).collect::<Vec<_>>());
}

/// The bugs, and what the checker must say about each.
const BUGS: [(Bug, &str); 11] = [
    (Bug::RolledBackIsDone, "is not done"),
    (Bug::UnfinishedIsDone, "begins, but the wave"),
    (Bug::NoPauseBetween, "but the one before rose at"),
    (Bug::OtherOrder, "is not done"),
    (Bug::FinishedWavesUnguarded, "nobody rolled it back"),
    (Bug::RollbackForgetsFirstWave, "of the wave inside has 1 at the end"),
    (Bug::RollbackFirstWaveFirst, "the last wave goes back first"),
    (Bug::KeepsHeaderRules, "its header rules stay"),
    (Bug::HeaderRuleWithoutLogin, "has not the other actions of its route"),
    (Bug::SeesNothingRun, "both clusters"),
    (Bug::ForgetsSchedule, "schedule"),
];

#[test]
fn every_seeded_bug_of_waves_is_found() {
    let names = calls();
    // The calls at which the waves begin.
    let begins: Vec<_> =
        (1..).zip(names).filter(|(_, name)| name.as_str() == "store append started").map(|(call, _)| call).collect();
    let mut missed = Vec::new();
    for (bug, finding) in BUGS {
        let fault = |call: u64, kind| Schedule { steps: false, faults: vec![Fault { call, kind }] };
        let schedule = match bug {
            // The targets of the second wave die while it moves: it is rolled back.
            Bug::RolledBackIsDone => fault(begins[2] - 300, Kind::Kills("checkout")),
            Bug::UnfinishedIsDone => fault(begins[1] + 60, Kind::DiesAfter),
            // The targets of the first wave die while the third moves.
            Bug::FinishedWavesUnguarded => fault(begins[2] + 5, Kind::Kills("reports")),
            _ => Schedule { steps: false, faults: vec![] },
        };
        let mut result = migrate(&schedule, Some(bug));
        if result.back.windows(2).any(|pair| pair[0] < pair[1]) {
            result.violations.push("the last wave goes back first".to_owned());
        }
        let found = result.violations.iter().find(|violation| violation.contains(finding));
        println!("{bug:<26?} {}", found.map_or("NOT FOUND", String::as_str));
        if found.is_none() {
            missed.push(format!("{bug:?}: {:#?}\n{}", result.violations, result.log.join("\n")));
        }
    }
    println!("simulation: waves: seeded bugs: {} of {} found", BUGS.len() - missed.len(), BUGS.len());
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}
