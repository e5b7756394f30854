//! Model checks the protocol of lock and marker: every order of the steps of two operators and of someone who writes
//! routes in the AWS console, with stopped processes, a crash and a take-over.
//!
//! The model of a raise: acquire the Lease, write the marker, observe, compare the route with the expected content,
//! renew the Lease, send the write. Time passes in ticks: a write is in progress for at most one tick, a Lease lasts
//! three. The clocks of a stopped operator go on, and a write that it was about to send is sent when it continues.

mod model;

use std::collections::{BTreeSet, HashMap, VecDeque};

use model::{Act, BOTH, LATE, MARKED, OVERWRITTEN, Protocol, ProtocolState, TAKEN};

/// Visits every reachable state, breadth first, so that the path to a violation is short. Asserts that exactly the
/// events in `may` can happen.
fn check(protocol: &Protocol, may: &[&str]) {
    let begin = protocol.begin();
    let mut from: HashMap<ProtocolState, Option<(ProtocolState, Act)>> = HashMap::from([(begin.clone(), None)]);
    let (mut next, mut found) = (VecDeque::from([begin]), BTreeSet::new());
    while let Some(state) = next.pop_front() {
        found.extend(Protocol::marks(&state));
        if let Some(wrong) = protocol.wrong(&state) {
            let path = std::iter::successors(from.get(&state).and_then(Option::as_ref), |(before, _)| {
                from.get(before).and_then(Option::as_ref)
            });
            let mut acts: Vec<_> = path.map(|(_, act)| *act).collect();
            acts.reverse();
            panic!("{protocol:?}: {wrong} after {acts:?}: {state:#?}");
        }
        for act in protocol.acts(&state) {
            if let Some(after) = protocol.after(&state, act)
                && !from.contains_key(&after)
            {
                from.insert(after.clone(), Some((state.clone(), act)));
                next.push_back(after);
            }
        }
    }
    println!("protocol: {} states of {protocol:?}", from.len());
    assert_eq!(found, may.iter().copied().collect(), "{protocol:?}");
}

#[test]
fn with_a_lease_no_operator_raises_without_the_lock_unless_stopped_or_taken_over() {
    check(&Protocol { lease: true, crashes: 1, foreign: 1, ..Protocol::default() }, &[BOTH, OVERWRITTEN, TAKEN]);
    // An operator that has lost the Lease may write its marker late. Then both operators stop; the operator that has
    // the Lease stops after the batch in progress.
    check(&Protocol { lease: true, marker: true, foreign: 1, ..Protocol::default() }, &[BOTH, MARKED, OVERWRITTEN]);
}

#[test]
fn a_stop_or_a_takeover_allows_one_write_without_the_lock() {
    check(&Protocol { lease: true, stops: 2, ..Protocol::default() }, &[BOTH, LATE, OVERWRITTEN]);
    check(&Protocol { lease: true, overs: 1, ..Protocol::default() }, &[BOTH, LATE, OVERWRITTEN]);
    check(
        &Protocol { lease: true, marker: true, stops: 1, crashes: 1, overs: 1, foreign: 1 },
        &[BOTH, LATE, MARKED, OVERWRITTEN, TAKEN],
    );
}

#[test]
fn the_marker_alone_allows_one_batch_after_another_marker() {
    check(&Protocol { marker: true, stops: 1, foreign: 1, ..Protocol::default() }, &[BOTH, MARKED, OVERWRITTEN]);
}
