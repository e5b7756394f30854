//! The protocol of lock and marker, model-checked: every order of the steps of two operators and somebody with a
//! console, with stops, a crash and a take-over.
//!
//! What is modelled is a raise: take the Lease, put the marker, look, compare the route with what is expected, renew
//! the Lease, send. Time passes in ticks; a write is under way for one at the most, a Lease lasts three. A stopped
//! operator's clocks go on, and a write that it was about to send leaves when it wakes.

mod model;

use std::collections::{BTreeSet, HashMap, VecDeque};

use model::{Act, BOTH, LATE, MARKED, OVERWRITTEN, Protocol, TAKEN, World};

/// Goes through every state that can be reached, breadth first, so that what leads to a wrong one is short. Of what may
/// be, exactly this is.
fn check(protocol: &Protocol, may: &[&str]) {
    let begin = protocol.begin();
    let mut from: HashMap<World, Option<(World, Act)>> = HashMap::from([(begin.clone(), None)]);
    let (mut next, mut found) = (VecDeque::from([begin]), BTreeSet::new());
    while let Some(world) = next.pop_front() {
        found.extend(Protocol::marks(&world));
        if let Some(wrong) = protocol.wrong(&world) {
            let way = std::iter::successors(from.get(&world).and_then(Option::as_ref), |(before, _)| {
                from.get(before).and_then(Option::as_ref)
            });
            let mut acts: Vec<_> = way.map(|(_, act)| *act).collect();
            acts.reverse();
            panic!("{protocol:?}: {wrong} by {acts:?}: {world:#?}");
        }
        for act in protocol.acts(&world) {
            if let Some(after) = protocol.after(&world, act)
                && !from.contains_key(&after)
            {
                from.insert(after.clone(), Some((world.clone(), act)));
                next.push_back(after);
            }
        }
    }
    println!("protocol: {} states of {protocol:?}", from.len());
    assert_eq!(found, may.iter().copied().collect(), "{protocol:?}");
}

#[test]
fn with_a_lease_nobody_raises_without_the_lock_where_nobody_is_stopped_or_pushed_out() {
    check(&Protocol { lease: true, crashes: 1, foreign: 1, ..Protocol::default() }, &[BOTH, OVERWRITTEN, TAKEN]);
    // A marker may be put late by one who has lost the Lease meanwhile: both stop then, the one who has it after the
    // batch that is under way.
    check(&Protocol { lease: true, marker: true, foreign: 1, ..Protocol::default() }, &[BOTH, MARKED, OVERWRITTEN]);
}

#[test]
fn a_stop_or_a_take_over_lets_one_write_through() {
    check(&Protocol { lease: true, stops: 2, ..Protocol::default() }, &[BOTH, LATE, OVERWRITTEN]);
    check(&Protocol { lease: true, overs: 1, ..Protocol::default() }, &[BOTH, LATE, OVERWRITTEN]);
    check(
        &Protocol { lease: true, marker: true, stops: 1, crashes: 1, overs: 1, foreign: 1 },
        &[BOTH, LATE, MARKED, OVERWRITTEN, TAKEN],
    );
}

#[test]
fn the_marker_alone_lets_one_batch_through() {
    check(&Protocol { marker: true, stops: 1, foreign: 1, ..Protocol::default() }, &[BOTH, MARKED, OVERWRITTEN]);
}
