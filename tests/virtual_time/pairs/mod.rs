//! Two operators of one load balancer with a Lease as their lock: in virtual time, through the real engine, adapters
//! and clients, with stopped machines, network cuts and lost responses from a seed. The test counts every write that
//! raises traffic while the other operator has the Lease.
//!
//! `CUTOVER_PAIRS=1000 cargo test --profile simulation --test virtual_time pairs -- --nocapture` runs a thousand pairs;
//! `CUTOVER_PAIR=17` runs one of them and prints its history.

mod history;
mod machine;
mod operator;

use std::time::Duration;

use history::Counts;
use operator::{Pair, Part};

use crate::support::parameter;

/// The number of pairs that run without `CUTOVER_PAIRS`.
const DEFAULT_PAIRS: u64 = 200;

fn run_pair(seed: u64) -> Counts {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("the Tokio runtime should start");
    runtime.block_on(async {
        let pair = Pair::new(seed).await;
        let both = async { futures::join!(pair.run_operator(Part::First), pair.run_operator(Part::Second)) };
        let ends = tokio::time::timeout(Duration::from_hours(3), both)
            .await
            .unwrap_or_else(|_| panic!("pair {seed} has not ended after three hours"));
        let counts = pair.history.counts();
        if parameter::<u64>("CUTOVER_PAIR").is_some() {
            eprintln!("{}\n{ends:#?}\n{counts:#?}", pair.history.transcript());
        }
        counts
    })
}

#[test]
fn two_operators_never_raise_at_once_outside_the_window() {
    let one = parameter("CUTOVER_PAIR");
    let many = parameter("CUTOVER_PAIRS").unwrap_or(DEFAULT_PAIRS);
    let seeds = one.map_or(0..many, |seed| seed..seed + 1);
    let mut sum = Counts::default();
    for seed in seeds {
        let counts = run_pair(seed);
        assert_eq!(
            counts.outside, 0,
            "CUTOVER_PAIR={seed} cargo test --test virtual_time pairs -- --nocapture\n{counts:#?}"
        );
        sum.add(&counts);
    }
    println!("pairs: {sum}");
    assert!(
        one.is_some() || (sum.raises > many * 2 && sum.handed_over > many / 4),
        "too few pairs compete for the lock to prove anything: {sum}"
    );
}
