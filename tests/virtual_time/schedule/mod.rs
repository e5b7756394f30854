//! Two simulated days of a scheduler: a CronJob on two hosts that share only a namespace calls `step` every five
//! minutes, over a change to summer time, a blackout, windows over midnight and an approval; in virtual time, through
//! the real engine, adapters and clients. Then the same with a host killed at one request, before or after the request
//! is sent.
//!
//! `CUTOVER_DAYS=200 cargo test --profile simulation --test virtual_time schedule -- --nocapture` kills at two hundred
//! requests; `CUTOVER_DAY=b:1234:sent` runs one of them and prints the events and writes.

mod host;
mod job;

use cutover::app::exit::Exit;
use cutover::domain::run::event::{Event, RunOutcome};
use host::Kill;
use jiff::Timestamp;
use job::{DaysResult, SimulatedDays};

use crate::support::parameter;

/// The number of kills without `CUTOVER_DAYS`.
const DEFAULT_KILLS: u64 = 2;

fn run_days(kill: Option<Kill>) -> DaysResult {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("the Tokio runtime should start");
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async { SimulatedDays::new(kill).run().await })
}

/// The windows of the plan, in UTC: nights in Berlin, with a blackout until 00:30 in the night in which the clocks are
/// set forward.
const OPEN_HOURS: [(&str, &str); 2] =
    [("2026-03-28T23:30:00Z", "2026-03-29T02:00:00Z"), ("2026-03-29T20:00:00Z", "2026-03-30T02:00:00Z")];

fn assert_results(result: &DaysResult, kill: Option<Kill>) {
    let transcript =
        || format!("CUTOVER_DAY={}\n{}", kill.map_or_else(String::new, |k| k.to_string()), result.transcript());
    // The final state is the same, for each of the killed hosts.
    assert_eq!(result.shares, [("443 rule 10".to_owned(), 100), ("443 rule 11".to_owned(), 100)], "{}", transcript());
    assert_eq!(result.tags, 0, "no tag may be left, {}", transcript());
    assert_eq!(result.runs.len(), 1, "there must be exactly one run, {}", transcript());
    let finished = |e: &&Event| matches!(e, Event::Finished { outcome: RunOutcome::Completed, .. });
    assert_eq!(result.events.iter().map(|(_, e)| e).filter(finished).count(), 1, "{}", transcript());
    // Each share is written once on each route.
    for route in 0..2 {
        let writes: Vec<_> =
            result.writes.iter().filter(|w| w.route == result.routes[route]).map(|w| w.share).collect();
        assert_eq!(writes, [20, 60, 100], "{}", transcript());
    }
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
    assert!(
        result.exits.iter().all(|e| matches!(e, Exit::Done | Exit::Waiting)),
        "{:?}, {}",
        result.exits,
        transcript()
    );
}

#[test]
fn two_days_of_a_cron_job_on_two_hosts_end_the_same_whichever_host_is_killed() {
    if let Some(kill) = parameter::<String>("CUTOVER_DAY") {
        let kill = Kill::parse(&kill);
        let result = run_days(kill);
        println!("{}", result.transcript());
        return assert_results(&result, kill);
    }
    let without_kill = run_days(None);
    assert_results(&without_kill, None);
    println!(
        "two days: {} calls of `step`, {} requests, {} records",
        without_kill.exits.len(),
        without_kill.requests.iter().sum::<u64>(),
        without_kill.events.len()
    );
    let many = parameter("CUTOVER_DAYS").unwrap_or(DEFAULT_KILLS);
    let mut random = fastrand::Rng::with_seed(5);
    let mut kill = || {
        // Half of the kills are near a write, because most of two days is waiting.
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
                threads.spawn(move || {
                    let result = run_days(Some(*kill));
                    assert!(result.killed, "no host was killed: CUTOVER_DAY={kill}");
                    assert_results(&result, Some(*kill));
                });
            }
        });
    }
    println!("schedule: {many} more times, each with a host killed");
}
