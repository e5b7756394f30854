//! Metric gates in a rehearsal. The metric sources of the plan do not exist in the lab: gates that compare clusters use
//! the traffic counters of the lab; all other gates pass unless the scenario sets another result.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use crate::domain::health::HostCounts;
use crate::domain::metric::gate::{MeasuredValue, MeasurementRequest, QueriedCluster};
use crate::domain::metric::verdict::RequestCount;
use crate::lab::model::{GroupCounters, World};
use crate::lab::scenario::fault::GateResult;
use crate::lab::shared_model::SharedModel;
use crate::plan::model::metric::GateCondition;
use crate::port::Metrics;

/// The maximum age of the counts of targets that are read from CloudWatch.
const CLOUDWATCH_DELAY: SignedDuration = SignedDuration::from_mins(3);

/// Metrics computed from the lab's traffic counters and the scenario.
pub struct LabMetrics(pub SharedModel);

#[async_trait]
impl Metrics for LabMetrics {
    async fn measure(&self, requests: &[MeasurementRequest]) -> Vec<MeasuredValue> {
        self.0.call(|world, now| {
            world.advance(now);
            requests.iter().map(|request| measure_gate(world, request)).collect()
        })
    }

    async fn host_counts(
        &self,
        groups: &[(String, String)],
        now: Timestamp,
    ) -> Result<BTreeMap<String, HostCounts>, String> {
        let from = now.checked_sub(CLOUDWATCH_DELAY).unwrap_or(now);
        self.0.call(|world, at| {
            world.advance(at);
            world.sample_hosts();
            let counts = groups.iter().filter_map(|(arn, _)| Some((arn.clone(), world.host_counts(arn, from, now)?)));
            Ok(counts.collect())
        })
    }

    async fn open_connections(
        &self,
        groups: &[(String, String)],
        now: Timestamp,
    ) -> Result<BTreeMap<String, u64>, String> {
        let from = now.checked_sub(CLOUDWATCH_DELAY).unwrap_or(now);
        self.0.call(|world, at| {
            world.advance(at);
            let count = |balancer: &String| Some((balancer.clone(), world.open_connections(balancer, from, now)?));
            Ok(groups.iter().filter_map(|(_, balancer)| count(balancer)).collect())
        })
    }
}

fn measure_gate(world: &mut World, request: &MeasurementRequest) -> MeasuredValue {
    match world.ask_gate(&request.gate.name) {
        None => {}
        Some(GateResult::NoData) => {
            return MeasuredValue::Nothing { message: "the scenario sets it so".into() };
        }
        Some(GateResult::Unreadable) => {
            return MeasuredValue::Unreadable { message: "the scenario sets it so".into() };
        }
        Some(GateResult::Fail) => return failing_value(),
    }
    let side = |side: &QueriedCluster| {
        let mut all = GroupCounters::default();
        side.groups.iter().for_each(|(group, _)| all.add(&world.group_counters(group, request.from, request.to)));
        all
    };
    let (old, new) = (side(&request.old), side(&request.new));
    match &request.gate.condition {
        GateCondition::ErrorRate(_) | GateCondition::Share { .. } => MeasuredValue::Counts {
            old: counts(world, request, &request.old),
            new: counts(world, request, &request.new),
        },
        GateCondition::Latency(_) => match (old.quantile(0.99), new.quantile(0.99)) {
            (Some(old), Some(new)) => MeasuredValue::Latencies { old, new },
            _ => MeasuredValue::Nothing { message: "one of the clusters has no requests".into() },
        },
        GateCondition::Condition { at_most, at_least } => {
            MeasuredValue::Value { value: at_most.or(*at_least).unwrap_or(0.0) }
        }
        GateCondition::State => MeasuredValue::State { well: true, message: "simulated by the lab".into() },
    }
}

/// Returns the requests to the groups of a cluster; for groups of a Network Load Balancer, the new connections.
fn counts(world: &World, request: &MeasurementRequest, side: &QueriedCluster) -> RequestCount {
    let count = |group: &String| {
        let counted = world.group_counters(group, request.from, request.to);
        if world.is_network_group(group) {
            RequestCount { requests: counted.connections, errors: counted.unanswered.min(counted.connections) }
        } else {
            RequestCount { requests: counted.requests, errors: counted.errors + counted.unanswered }
        }
    };
    side.groups.iter().fold(RequestCount::default(), |sum, (group, _)| sum.plus(count(group)))
}

/// Returns a measurement with which every gate fails. It has no numbers, because the lab has not measured any.
fn failing_value() -> MeasuredValue {
    MeasuredValue::State { well: false, message: "the scenario says `fail`, without a measurement".into() }
}
