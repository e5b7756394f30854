//! A plan in waves, over two Application Load Balancers and a Network Load Balancer, in virtual time: a scheduler calls
//! `step` every five minutes until every wave is done, then all waves are rolled back; through the real engine, adapters
//! and clients. Then the same with the process killed at one request, before or after the request is sent.
//!
//! `CUTOVER_WAVES=200 cargo test --profile simulation --test virtual_time waves -- --nocapture` kills at two hundred
//! requests; `CUTOVER_WAVE=a:1234:sent` kills at one of them and prints the writes. `story.rs` is a migration of three days
//! with people.

mod faults;
mod migration;
mod story;

use cutover::app::exit::Exit;
use cutover::domain::run::event::RunOutcome;
use jiff::Timestamp;
use migration::{MigrationResult, WaveMigration, plan};

use crate::schedule::host::Kill;
use crate::schedule::in_paused_time;
use crate::support::parameter;

/// The number of kills without `CUTOVER_WAVES`.
const DEFAULT_KILLS: u64 = 4;

fn migrate(kill: Option<Kill>, poison: Option<&'static str>) -> MigrationResult {
    in_paused_time(async { WaveMigration::new(kill, poison).run().await })
}

/// Returns the time at which the last run of each earlier wave completed; `None` if one of them did not.
fn earlier_waves_done(result: &MigrationResult, wave: &str) -> Option<Timestamp> {
    let waves = plan().waves;
    let earlier = waves.iter().take_while(|w| w.name != wave);
    let done = earlier.map(|earlier| {
        let completed = result
            .finished
            .iter()
            .filter(|(name, outcome, _)| *name == earlier.name && *outcome == RunOutcome::Completed);
        completed.map(|(.., at)| *at).min()
    });
    done.collect::<Option<Vec<_>>>().map(|all| all.into_iter().max().unwrap_or(Timestamp::UNIX_EPOCH))
}

fn assert_order(result: &MigrationResult, kill: Option<Kill>) {
    let name = || kill.map_or_else(|| "no kill".to_owned(), |kill| format!("CUTOVER_WAVE={kill}"));
    for write in result.writes.iter().filter(|write| write.share > 0) {
        let wave = &result.wave_of[&write.route];
        let done = earlier_waves_done(result, wave);
        assert!(
            done.is_some_and(|done| done <= write.at),
            "{}: {} of the wave {wave} got {} % at {} before the earlier waves were done ({done:?})",
            name(),
            write.route,
            write.share,
            write.at
        );
    }
}

fn assert_results(result: &MigrationResult, kill: Option<Kill>) {
    let name = || kill.map_or_else(|| "no kill".to_owned(), |kill| format!("CUTOVER_WAVE={kill}"));
    assert_order(result, kill);
    assert_eq!(result.exits.last(), Some(&Exit::Done), "{}: {:?}", name(), result.exits);
    assert!(
        result.exits.iter().all(|exit| matches!(exit, Exit::Done | Exit::Waiting)),
        "{}: {:?}",
        name(),
        result.exits
    );
    assert_eq!(result.runs, plan().waves.len(), "{}: one run for each wave", name());
    assert!(result.moved.values().all(|share| *share == 100), "{}: {:?}", name(), result.moved);
    assert!(result.restored.values().all(|share| *share == 0), "{}: {:?}", name(), result.restored);
    assert_eq!(result.restored.len(), plan().workloads.len(), "{}: every route goes back", name());
    assert_eq!(result.tags, 0, "{}: no tag is left", name());
    let back: Vec<_> = result.rolled_back.iter().map(String::as_str).collect();
    assert_eq!(back, ["last", "second", "first"], "{}: the last wave goes back first", name());
}

#[test]
fn waves_end_the_same_wherever_the_process_is_killed() {
    if let Some(kill) = parameter::<String>("CUTOVER_WAVE") {
        let kill = Kill::parse(&kill);
        let result = migrate(kill, None);
        println!("{:#?}", result.writes);
        return assert_results(&result, kill);
    }
    let without_kill = migrate(None, None);
    assert_results(&without_kill, None);
    println!("waves: {} calls of `step`, {} requests", without_kill.exits.len(), without_kill.requests);
    let mut random = fastrand::Rng::with_seed(18);
    let mut kills = Vec::new();
    for number in 0..parameter("CUTOVER_WAVES").unwrap_or(DEFAULT_KILLS) {
        // Half of the kills are near a write or the start of a wave, because most of the time is waiting.
        let near = &without_kill.busy;
        let call = if number % 2 == 0 {
            near[random.usize(..near.len())] + random.u64(..12)
        } else {
            1 + random.u64(..without_kill.requests)
        };
        kills.push(Kill { host: 0, call, sent: random.bool() });
    }
    for kill in kills {
        let result = migrate(Some(kill), None);
        assert!(result.killed, "the process was not killed: CUTOVER_WAVE={kill}");
        assert_results(&result, Some(kill));
    }
}

/// A wave that fails is rolled back alone. `step` does not repeat it, and begins no later wave.
#[test]
fn failed_wave_stops_the_waves_after_it() {
    let result = migrate(None, Some("checkout"));
    assert_order(&result, None);
    assert_eq!(result.exits.last(), Some(&Exit::RolledBack), "{:?}", result.exits);
    let outcomes: Vec<_> = result.finished.iter().map(|(wave, outcome, _)| (wave.as_str(), *outcome)).collect();
    assert_eq!(outcomes[..2], [("first", RunOutcome::Completed), ("second", RunOutcome::RolledBack)], "{outcomes:?}");
    assert_eq!(result.runs, 2, "the last wave does not begin");
    let on_new: Vec<_> = result.moved.iter().filter(|(_, share)| **share > 0).map(|(route, _)| route).collect();
    assert!(!on_new.is_empty() && on_new.iter().all(|route| result.wave_of[*route] == "first"), "{on_new:?}");
    assert_eq!(result.rolled_back, ["first"], "only the first wave is on the new cluster");
    assert!(result.restored.values().all(|share| *share == 0), "{:?}", result.restored);
}

/// While the second wave is driven, the first is guarded, and its failure rolls back the first wave only.
#[test]
fn finished_wave_is_guarded_while_a_later_wave_runs() {
    let result = migrate(None, Some("reports"));
    let ends: Vec<_> = result.finished.iter().map(|(wave, outcome, _)| (wave.as_str(), *outcome)).collect();
    let expected =
        [("first", RunOutcome::Completed), ("first", RunOutcome::RolledBack), ("second", RunOutcome::Completed)];
    assert_eq!(ends, expected, "the second wave goes on");
    assert_eq!(result.exits.last(), Some(&Exit::RolledBack), "{:?}", result.exits);
    assert_eq!(result.runs, 2, "the last wave does not begin");
    for (route, share) in &result.moved {
        let expected = if result.wave_of[route] == "first" { 0 } else { 100 };
        assert_eq!(*share, expected, "{route} of the wave {}", result.wave_of[route]);
    }
    assert_eq!(result.rolled_back, ["second"]);
    assert!(result.restored.values().all(|share| *share == 0), "{:?}", result.restored);
    assert_eq!(result.tags, 0, "no tag is left");
}
