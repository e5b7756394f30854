//! Two operators over one load balancer, their lock a Lease: in virtual time, through the real engine, adapters and
//! clients, with stops, cuts and lost answers from a seed. What is counted is every write that raises traffic while
//! somebody else has the Lease.
//!
//! `CUTOVER_PAIRS=1000 cargo test --profile simulation --test virtual_time pairs -- --nocapture` runs a thousand;
//! `CUTOVER_PAIR=17` one of them, with what happened in it.

mod operator;
mod truth;
mod way;

use std::time::Duration;

use operator::{Pair, Part};
use truth::Account;

use crate::support::asked;

/// How many pairs run without being asked for more.
const PAIRS: u64 = 200;

fn pair(seed: u64) -> Account {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        let pair = Pair::new(seed).await;
        let both = async { futures::join!(pair.play(Part::First), pair.play(Part::Second)) };
        let ends = tokio::time::timeout(Duration::from_hours(3), both)
            .await
            .unwrap_or_else(|_| panic!("pair {seed} never ends"));
        let account = pair.truth.account();
        if asked::<u64>("CUTOVER_PAIR").is_some() {
            eprintln!("{}\n{ends:#?}\n{account:#?}", pair.truth.story());
        }
        account
    })
}

#[test]
fn two_operators_never_raise_at_once_outside_the_window() {
    let one = asked("CUTOVER_PAIR");
    let many = asked("CUTOVER_PAIRS").unwrap_or(PAIRS);
    let seeds = one.map_or(0..many, |seed| seed..seed + 1);
    let mut sum = Account::default();
    for seed in seeds {
        let account = pair(seed);
        assert_eq!(
            account.outside, 0,
            "CUTOVER_PAIR={seed} cargo test --test virtual_time pairs -- --nocapture\n{account:#?}"
        );
        sum.add(&account);
    }
    println!("pairs: {sum}");
    assert!(
        one.is_some() || (sum.raises > many * 2 && sum.handed_over > many / 4),
        "the pairs meet too seldom to prove anything: {sum}"
    );
}
