//! Two simulated days of a scheduler: a CronJob on two hosts that share only a namespace calls `step` every five
//! minutes, over a change to summer time, a blackout, windows over midnight and an approval; in virtual time, through
//! the real engine, adapters and clients. Then the same with a host killed at one request, before or after the request
//! is sent. A plan with many routes ends the same, too.
//!
//! `CUTOVER_DAYS=200 cargo test --profile simulation --test virtual_time schedule -- --nocapture` kills at two hundred
//! requests; `CUTOVER_DAY=b:1234:sent` runs one of them and prints the events and writes. `CUTOVER_SIMULATION=full` gives the
//! large plan 1,000 routes.

pub mod host;
mod job;

use std::collections::BTreeMap;

use cutover::app::exit::Exit;
use cutover::domain::run::event::{Event, RunOutcome};
use host::Kill;
use jiff::Timestamp;
use job::{Simulation, Story, StoryResult};

use crate::support::parameter;

/// The number of kills without `CUTOVER_DAYS`.
const DEFAULT_KILLS: u64 = 2;

/// Runs a simulation on one thread, with paused time.
pub fn in_paused_time<T>(simulation: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("the Tokio runtime should start");
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, simulation)
}

fn run(story: Story, kill: Option<Kill>) -> StoryResult {
    in_paused_time(async { Simulation::new(story, kill).run().await })
}

/// The windows of the plan, in UTC: nights in Berlin, with a blackout until 00:30 in the night in which the clocks are
/// set forward.
const OPEN_HOURS: [(&str, &str); 2] =
    [("2026-03-28T23:30:00Z", "2026-03-29T02:00:00Z"), ("2026-03-29T20:00:00Z", "2026-03-30T02:00:00Z")];

/// Asserts that the run completed once, whichever host was killed, and wrote each share once on each route.
fn assert_completed_once(result: &StoryResult, kill: Option<Kill>) {
    let transcript =
        || format!("CUTOVER_DAY={}\n{}", kill.map_or_else(String::new, |k| k.to_string()), result.transcript());
    assert!(!result.shares.is_empty() && result.shares.iter().all(|(_, share)| *share == 100), "{}", transcript());
    assert_eq!(result.tags, 0, "no tag may be left, {}", transcript());
    assert_eq!(result.runs.len(), 1, "there must be exactly one run, {}", transcript());
    let finished = |e: &&Event| matches!(e, Event::Finished { outcome: RunOutcome::Completed, .. });
    assert_eq!(result.events.iter().map(|(_, e)| e).filter(finished).count(), 1, "{}", transcript());
    let mut writes: BTreeMap<_, Vec<u32>> = BTreeMap::new();
    for write in &result.writes {
        writes.entry(&write.route).or_default().push(write.share);
    }
    assert_eq!(writes.len(), result.routes.len(), "{}", transcript());
    for (route, written) in writes {
        assert_eq!(written, [20, 60, 100], "{route}, {}", transcript());
    }
    assert!(
        result.exits.iter().all(|e| matches!(e, Exit::Done | Exit::Waiting)),
        "{:?}, {}",
        result.exits,
        transcript()
    );
}

fn assert_two_days(result: &StoryResult, kill: Option<Kill>) {
    let transcript =
        || format!("CUTOVER_DAY={}\n{}", kill.map_or_else(String::new, |k| k.to_string()), result.transcript());
    assert_completed_once(result, kill);
    let at = |text: &str| text.parse::<Timestamp>().expect("the text should be a time");
    for write in result.writes.iter().filter(|w| w.share > 0) {
        let open = OPEN_HOURS.iter().any(|(from, to)| at(from) <= write.at && write.at < at(to));
        assert!(open, "{} % was written at {}, outside the windows, {}", write.share, write.at, transcript());
    }
    let gaps: u64 = result
        .events
        .iter()
        .filter_map(|(_, e)| if let Event::Baked { gap, .. } = e { Some(*gap) } else { None })
        .sum();
    assert_eq!(gaps, 0, "calls every five minutes must leave no gap, {}", transcript());
    let approved = result.events.iter().any(|(_, e)| matches!(e, Event::Approved { by, .. } if by == "carol@phone"));
    assert!(approved, "{}", transcript());
}

#[test]
fn two_days_of_a_cron_job_on_two_hosts_end_the_same_whichever_host_is_killed() {
    if let Some(kill) = parameter::<String>("CUTOVER_DAY") {
        let kill = Kill::parse(&kill);
        let result = run(Story::of_two_days(), kill);
        println!("{}", result.transcript());
        return assert_two_days(&result, kill);
    }
    let without_kill = run(Story::of_two_days(), None);
    assert_two_days(&without_kill, None);
    println!(
        "two days: {} calls of `step`, {} requests, {} records",
        without_kill.exits.len(),
        without_kill.requests.iter().sum::<u64>(),
        without_kill.events.len()
    );
    let many = parameter("CUTOVER_DAYS").unwrap_or(DEFAULT_KILLS);
    kill_hosts(many, &without_kill, Story::of_two_days, assert_two_days);
    println!("schedule: {many} more times, each with a host killed");
}

/// Runs a story this many times, each time with a host killed at a random request.
fn kill_hosts(
    many: u64,
    without_kill: &StoryResult,
    story: fn() -> Story,
    assert_result: impl Fn(&StoryResult, Option<Kill>) + Sync,
) {
    let mut random = fastrand::Rng::with_seed(5);
    let mut kill = || {
        // Half of the kills are near a write, because most of the time is waiting.
        let host = random.usize(..2);
        let call = if random.bool() && !without_kill.busy[host].is_empty() {
            without_kill.busy[host][random.usize(..without_kill.busy[host].len())] + random.u64(..40)
        } else {
            1 + random.u64(..without_kill.requests[host])
        };
        Kill { host, call, sent: random.bool() }
    };
    let kills: Vec<_> = (0..many).map(|_| kill()).collect();
    for some in kills.chunks(std::thread::available_parallelism().map_or(1, usize::from)) {
        std::thread::scope(|threads| {
            for kill in some {
                let assert_result = &assert_result;
                threads.spawn(move || {
                    // The hosts share the requests differently each time, so a host may not reach the request.
                    let mut kill = *kill;
                    loop {
                        let result = run(story(), Some(kill));
                        assert_result(&result, Some(kill));
                        if result.killed {
                            break;
                        }
                        assert!(kill.call > 1, "no host was killed: CUTOVER_DAY={kill}");
                        kill.call /= 2;
                    }
                });
            }
        });
    }
}

/// Returns the plan of [`a_large_plan_in_shared_state_ends_the_same_whichever_host_is_killed`].
fn many_routes() -> Story {
    let full = parameter::<String>("CUTOVER_SIMULATION").is_some_and(|value| value == "full");
    Story::of_many_routes(if full { 1000 } else { 40 })
}

#[test]
fn a_large_plan_in_shared_state_ends_the_same_whichever_host_is_killed() {
    let without_kill = run(many_routes(), None);
    assert_completed_once(&without_kill, None);
    kill_hosts(parameter("CUTOVER_KILLS").unwrap_or(DEFAULT_KILLS), &without_kill, many_routes, assert_completed_once);
}
