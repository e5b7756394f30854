//! Kills the program at every request that it makes: `resume` must then reach exactly the planned shares, `rollback`
//! must reach exactly the original shares, and nothing may be written twice.

use std::collections::BTreeMap;

use futures::future::join_all;

use crate::crash::connection::Moment;
use crate::crash::journal;
use crate::crash::lab::Lab;
use crate::crash::lane::{Case, Ending, KilledState, Lane};

const MOMENTS: [Moment; 3] = [Moment::Sent, Moment::Applied, Moment::Answered];

/// Returns a case for each request and each moment, with the two endings in turn; takes every `every`-th case.
fn cases(requests: usize, every: usize) -> Vec<Case> {
    let points = (0..requests).flat_map(|n| MOMENTS.map(|moment| (n, moment))).step_by(every);
    let endings = [Ending::Resume, Ending::Rollback].into_iter().cycle();
    points.zip(endings).map(|(kill_at, ending)| Case { kill_at: Some(kill_at), ending }).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_run_can_be_resumed_and_rolled_back() {
    // The lab answers all lanes, and the program gives up on an answer after seconds. There are few enough lanes that a
    // machine with other work for its processors still answers in time.
    let lanes = if crate::crash::all_cases() { 16 } else { 8 };
    let lab = Lab::start(lanes);
    let mut all = join_all((0..lanes).map(|number| Lane::open(&lab, number))).await;
    let (unhurt, _) = all[0].try_case(Case { kill_at: None, ending: Ending::Resume }).await;
    assert_eq!(unhurt, KilledState::NotKilled);
    let (requests, recorded) = (all[0].requests(), all[0].journal().await);
    let mut cases = cases(requests.len(), if crate::crash::all_cases() { 1 } else { 29 });
    let (count, all_lanes) = (cases.len(), lanes);
    let mut queues: Vec<Vec<Case>> = vec![Vec::new(); lanes];
    // Every lane gets cases from each part of the run.
    for (i, case) in cases.drain(..).enumerate() {
        queues[i % lanes].push(case);
    }
    // Roll back what the last kill of a lane left, so that it cannot block the next run.
    for queue in &mut queues {
        queue.push(Case { kill_at: None, ending: Ending::Rollback });
    }
    let lanes = all.iter_mut().zip(queues).map(async |(lane, queue)| {
        let mut found = Vec::new();
        for case in queue {
            found.push((lane.try_case(case).await, case.ending));
        }
        found
    });
    let found: Vec<_> = join_all(lanes).await.into_iter().flatten().collect();
    let mut sums: BTreeMap<KilledState, [usize; 2]> = BTreeMap::new();
    for ((what, _), ending) in &found {
        sums.entry(*what).or_default()[usize::from(*ending == Ending::Rollback)] += 1;
    }
    let killed = found.iter().filter(|((_, killed_at), _)| killed_at.is_some()).count();
    println!("crash: {killed} kills at {} requests of a run, then resume or rollback: {sums:?}", requests.len());
    assert_eq!(found.len(), count + all_lanes);
    assert!(!crate::crash::all_cases() || killed >= 200, "expected at least 200 kills, got {killed}");
    assert!(sums[&KilledState::Unfinished].iter().all(|n| *n > 0));
    let tried = journal::damage(&recorded, crate::crash::all_cases());
    journal::samples(&recorded, "cutover rollback --load-balancer shop0 --back-to shop0-a --away-from shop0-b").await;
    println!("crash: the journal of a run: {} cuts, {} flipped bits", tried.cuts, tried.flips);
}
