//! Metric gates in a rehearsal. The plan's metric sources do not exist there: comparing gates read the lab's own
//! traffic
//! counters, all others pass unless the scenario says otherwise.

use async_trait::async_trait;

use crate::domain::metric::gate::{Question, Seen, Side};
use crate::domain::metric::verdict::Count;
use crate::lab::model::{Counted, World};
use crate::lab::scenario::fault::Says;
use crate::lab::shell::Shell;
use crate::plan::model::metric::Judge;
use crate::port::Metrics;

/// The lab's metrics.
pub struct Meters(pub Shell);

#[async_trait]
impl Metrics for Meters {
    async fn ask(&self, questions: &[Question]) -> Vec<Seen> {
        self.0.call(|world, now| {
            world.advance(now);
            questions.iter().map(|question| seen(world, question)).collect()
        })
    }
}

fn seen(world: &World, question: &Question) -> Seen {
    match world.gate_trouble(&question.gate.name) {
        None => {}
        Some(Says::NoData) => return Seen::Nothing { message: "no data, as the scenario says".into() },
        Some(Says::Unreadable) => return Seen::Unreadable { message: "unreadable, as the scenario says".into() },
        Some(Says::Fail) => match question.gate.judge {
            Judge::Condition { at_most, at_least } => {
                return Seen::Value { value: at_most.map_or_else(|| at_least.unwrap_or(0.0) - 1.0, |most| most + 1.0) };
            }
            Judge::State => return Seen::State { well: false, message: "not satisfied, as the scenario says".into() },
            _ => {}
        },
    }
    let side = |side: &Side| {
        let mut all = Counted::default();
        side.groups.iter().for_each(|(group, _)| all.add(&world.counted(group, question.from, question.to)));
        all
    };
    let (old, new) = (side(&question.old), side(&question.new));
    let count = |c: &Counted| Count { requests: c.requests, errors: c.errors + c.broken };
    match &question.gate.judge {
        Judge::ErrorRate(_) | Judge::Share { .. } => Seen::Counts { old: count(&old), new: count(&new) },
        Judge::Latency(_) => match (old.quantile(0.99), new.quantile(0.99)) {
            (Some(old), Some(new)) => Seen::Latencies { old, new },
            _ => Seen::Nothing { message: "one side has no requests".into() },
        },
        Judge::Condition { at_most, at_least } => Seen::Value { value: at_most.or(*at_least).unwrap_or(0.0) },
        Judge::State => Seen::State { well: true, message: "simulated by the lab".into() },
    }
}
