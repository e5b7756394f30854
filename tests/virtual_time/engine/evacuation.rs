//! Evacuations: the share of a cluster goes to the others at once, and comes back.

use cutover::domain::emergency::evacuation::{self, Leaving};
use cutover::lab::model::{self, ApiCall};

use super::emergency::{half_moved, read_load_balancer, roll_back_elsewhere};
use super::test_run::ending_name;

/// A cluster with half of the traffic of an unfinished run leaves in one round of writes, without a gate. Afterwards it
/// gets back exactly what it had.
#[tokio::test(start_paused = true)]
async fn a_cluster_leaves_in_one_round_and_gets_its_share_back() {
    let test_run = half_moved("{}").await;
    let selector = test_run.plan.workloads[0].routes[0].load_balancer.clone();
    let seen = vec![(selector, read_load_balancer(&test_run).await)];
    let way = evacuation::started(&seen, Leaving::Cluster(&test_run.plan, "b")).expect("the cluster has traffic");
    let mut started = way.started;
    started.keeps_weights = true;
    assert_eq!((started.from.as_str(), started.to.as_str()), ("a", "b"));
    let before = test_run.lab.model().call(|world, _| world.calls().len());
    let ending = roll_back_elsewhere(&test_run, &way.plan, started.clone()).await;
    assert_eq!(ending_name(&ending), "aborted", "{ending:?}");
    test_run.assert_shares(0, &[]);
    let calls = test_run.lab.model().call(|world, _| world.calls()[before..].to_vec());
    let write = |call: &&ApiCall| call.operation.starts_with("Modify") && call.caller == model::Caller::Client;
    let writes: Vec<_> = calls.iter().filter(write).map(|call| call.time).collect();
    assert_eq!(writes.len(), started.routes.len(), "each route is written once");
    assert!(writes.iter().all(|time| *time == writes[0]), "in one round: {writes:?}");

    let back = evacuation::given_back(&[read_load_balancer(&test_run).await], &started);
    assert_eq!(back.unclear, Vec::<String>::new());
    let ending = roll_back_elsewhere(&test_run, &back.plan, back.started).await;
    assert_eq!(ending_name(&ending), "aborted", "{ending:?}");
    test_run.assert_shares(50, &[]);
}
