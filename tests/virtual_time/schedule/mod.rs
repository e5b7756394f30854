//! Two simulated days of a scheduler: a CronJob on two hosts that share nothing but a namespace calls `step` every five
//! minutes, over a change to summer time, a blackout, windows over midnight and an approval; in virtual time, through
//! the real engine, adapters and clients. Then the same with a host killed at some call to the outside, its request
//! sent or not.
//!
//! `CUTOVER_DAYS=200 cargo test --profile simulation --test virtual_time schedule -- --nocapture` kills at two hundred
//! calls; `CUTOVER_DAY=b:1234:sent` plays one, with what was written.

mod host;
mod job;

use cutover::app::exit::Exit;
use cutover::domain::run::event::{Event, RunOutcome};
use host::Kill;
use jiff::Timestamp;
use job::{Days, Played};

use crate::support::asked;

/// How many kills are played without being asked for more.
const KILLS: u64 = 2;

fn play(kill: Option<Kill>) -> Played {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime");
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async { Days::new(kill).play().await })
}

/// The hours of the plan, in UTC: nights in Berlin, and a blackout until half past midnight of the night in which the
/// clocks are put forward.
const NIGHTS: [(&str, &str); 2] =
    [("2026-03-28T23:30:00Z", "2026-03-29T02:00:00Z"), ("2026-03-29T20:00:00Z", "2026-03-30T02:00:00Z")];

fn asserted(played: &Played, kill: Option<Kill>) {
    let story = || format!("CUTOVER_DAY={}\n{}", kill.map_or_else(String::new, |k| k.to_string()), played.story());
    // The same final state, whoever was killed.
    assert_eq!(played.shares, [("443 rule 10".to_owned(), 100), ("443 rule 11".to_owned(), 100)], "{}", story());
    assert_eq!(played.tags, 0, "no marker is left, {}", story());
    assert_eq!(played.runs.len(), 1, "one run, {}", story());
    let finished = |e: &&Event| matches!(e, Event::Finished { outcome: RunOutcome::Completed, .. });
    assert_eq!(played.events.iter().map(|(_, e)| e).filter(finished).count(), 1, "{}", story());
    // No double write: each share, once on each route.
    for route in 0..2 {
        let writes: Vec<_> =
            played.writes.iter().filter(|w| w.route == played.routes[route]).map(|w| w.share).collect();
        assert_eq!(writes, [20, 60, 100], "{}", story());
    }
    let at = |text: &str| text.parse::<Timestamp>().expect("a time");
    for write in played.writes.iter().filter(|w| w.share > 0) {
        let open = NIGHTS.iter().any(|(from, to)| at(from) <= write.at && write.at < at(to));
        assert!(open, "{} % at {}, {}", write.share, write.at, story());
    }
    let gaps: u64 = played
        .events
        .iter()
        .filter_map(|(_, e)| if let Event::Baked { gap, .. } = e { Some(*gap) } else { None })
        .sum();
    assert_eq!(gaps, 0, "calls every five minutes leave none, {}", story());
    let approved = played.events.iter().any(|(_, e)| matches!(e, Event::Approved { by, .. } if by == "carol@phone"));
    assert!(approved, "{}", story());
    assert!(played.exits.iter().all(|e| matches!(e, Exit::Done | Exit::Waiting)), "{:?}, {}", played.exits, story());
}

#[test]
fn two_days_of_a_cron_job_on_two_hosts_end_alike_whoever_is_killed_when() {
    if let Some(kill) = asked::<String>("CUTOVER_DAY") {
        let kill = Kill::read(&kill);
        let played = play(kill);
        println!("{}", played.story());
        return asserted(&played, kill);
    }
    let calm = play(None);
    asserted(&calm, None);
    println!(
        "two days: {} calls of `step`, {} requests, {} records",
        calm.exits.len(),
        calm.requests.iter().sum::<u64>(),
        calm.events.len()
    );
    let many = asked("CUTOVER_DAYS").unwrap_or(KILLS);
    let mut random = fastrand::Rng::with_seed(5);
    let mut kill = || {
        // Half of them where something is written: most of two days is waiting.
        let host = random.usize(..2);
        let call = if random.bool() && !calm.busy[host].is_empty() {
            calm.busy[host][random.usize(..calm.busy[host].len())] + random.u64(..40)
        } else {
            1 + random.u64(..calm.requests[host])
        };
        Kill { host, call, sent: random.bool() }
    };
    let kills: Vec<_> = (0..many).map(|_| kill()).collect();
    for some in kills.chunks(std::thread::available_parallelism().map_or(1, usize::from)) {
        std::thread::scope(|threads| {
            for kill in some {
                threads.spawn(move || {
                    let played = play(Some(*kill));
                    assert!(played.killed, "CUTOVER_DAY={kill}");
                    asserted(&played, Some(*kill));
                });
            }
        });
    }
    println!("schedule: and {many} times with a host killed");
}
