//! Reads the facts that show whether the old cluster can be retired, for `finalize`. Do not change or judge anything
//! here.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Ports;
use crate::domain::decide::finalize::{FinalizeFacts, groups_with_weight, request_measurements};
use crate::domain::health::gate::Sample;
use crate::domain::run::state::State;
use crate::plan::model::Plan;

/// Reads the input of [`crate::domain::decide::finalize::judge`]: the live routes, and the requests to the old groups
/// in the last `quiet`.
pub async fn read_facts(plan: &Plan, state: &State, ports: &Ports, quiet: Duration) -> FinalizeFacts {
    ports.reads.read(0, read_at_pace(plan, state, ports, quiet)).await
}

async fn read_at_pace(plan: &Plan, state: &State, ports: &Ports, quiet: Duration) -> FinalizeFacts {
    let balancer = &ports.balancer;
    let ids: Vec<_> = state.routes.keys().chain(state.left_out.keys()).cloned().collect();
    let carrying: BTreeSet<String> = state.routes.values().flat_map(groups_with_weight).map(str::to_owned).collect();
    let carrying: Vec<_> = carrying.into_iter().collect();
    let (workloads, requests): (Vec<_>, Vec<_>) =
        request_measurements(plan, state, quiet, ports.clock.now()).into_iter().unzip();
    let (routes, health, values) = tokio::join!(
        balancer.traffic.routes(&ids),
        balancer.traffic.health(&carrying),
        ports.metrics.measure(&requests)
    );
    let mut census = std::collections::BTreeMap::new();
    for load_balancer in &state.started.load_balancers {
        census.insert(load_balancer.clone(), balancer.traffic.census(load_balancer).await);
    }
    let now = ports.clock.now();
    let healthy =
        health.into_iter().map(|(arn, targets)| (arn, targets.map(|targets| Sample::of(now, &targets).counts.healthy)));
    FinalizeFacts { routes, census, healthy: healthy.collect(), requests: workloads.into_iter().zip(values).collect() }
}
