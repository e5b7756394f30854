//! Metric gates in a rehearsal. The plan's metric sources do not exist there: comparing gates read the lab's own
//! traffic counters, all others pass unless the scenario says otherwise.

use async_trait::async_trait;

use crate::domain::metric::gate::{MeasuredValue, MeasurementRequest, QueriedCluster};
use crate::domain::metric::verdict::RequestCount;
use crate::lab::model::{GroupCounters, World};
use crate::lab::scenario::fault::GateResult;
use crate::lab::shared_model::SharedModel;
use crate::plan::model::metric::GateCondition;
use crate::port::Metrics;

/// The lab's metrics.
pub struct LabMetrics(pub SharedModel);

#[async_trait]
impl Metrics for LabMetrics {
    async fn measure(&self, questions: &[MeasurementRequest]) -> Vec<MeasuredValue> {
        self.0.call(|world, now| {
            world.advance(now);
            questions.iter().map(|question| reading(world, question)).collect()
        })
    }
}

fn reading(world: &World, question: &MeasurementRequest) -> MeasuredValue {
    match world.gate_fault(&question.gate.name) {
        None => {}
        Some(GateResult::NoData) => return MeasuredValue::Nothing { message: "no data, as the scenario says".into() },
        Some(GateResult::Unreadable) => {
            return MeasuredValue::Unreadable { message: "unreadable, as the scenario says".into() };
        }
        Some(GateResult::Fail) => match question.gate.condition {
            GateCondition::Condition { at_most, at_least } => {
                return MeasuredValue::Value {
                    value: at_most.map_or_else(|| at_least.unwrap_or(0.0) - 1.0, |most| most + 1.0),
                };
            }
            GateCondition::State => {
                return MeasuredValue::State { well: false, message: "not satisfied, as the scenario says".into() };
            }
            _ => {}
        },
    }
    let side = |side: &QueriedCluster| {
        let mut all = GroupCounters::default();
        side.groups.iter().for_each(|(group, _)| all.add(&world.group_counters(group, question.from, question.to)));
        all
    };
    let (old, new) = (side(&question.old), side(&question.new));
    let count = |c: &GroupCounters| RequestCount { requests: c.requests, errors: c.errors + c.unanswered };
    match &question.gate.condition {
        GateCondition::ErrorRate(_) | GateCondition::Share { .. } => {
            MeasuredValue::Counts { old: count(&old), new: count(&new) }
        }
        GateCondition::Latency(_) => match (old.quantile(0.99), new.quantile(0.99)) {
            (Some(old), Some(new)) => MeasuredValue::Latencies { old, new },
            _ => MeasuredValue::Nothing { message: "one side has no requests".into() },
        },
        GateCondition::Condition { at_most, at_least } => {
            MeasuredValue::Value { value: at_most.or(*at_least).unwrap_or(0.0) }
        }
        GateCondition::State => MeasuredValue::State { well: true, message: "simulated by the lab".into() },
    }
}
