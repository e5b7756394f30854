//! Never all-zero weights, a weight outside 0–999, more than 5 groups in an action, a changed share of a third-party
//! group. A non-zero share never becomes weight 0, nor a partial share the whole.

use super::facts::Facts;
use super::parts::{others, part};
use super::{Found, ensure};
use crate::simulation::face::{self, Face};
use crate::simulation::history::{By, Entry, What};
use cutover::domain::traffic::RouteId;
use cutover::plan::model::Shares;

pub fn holds(facts: &Facts, entry: &Entry) -> Found {
    match &entry.what {
        What::Set { route, content } => {
            let split = content.forward_split().ok_or("a write without a forward action")?;
            let weights: Vec<_> = split.members.iter().map(|m| m.weight.unwrap_or(1)).collect();
            ensure((1..=5).contains(&weights.len()), || format!("{} groups", weights.len()))?;
            ensure(weights.iter().any(|w| *w > 0) && weights.iter().all(|w| *w <= 999), || {
                format!("weights {weights:?}")
            })?;
            spelled(facts, route, &face::typed(content))
        }
        What::Applied { by: By::Us, route, before, after: Some(after) } => {
            let Some(route) = facts.route(route) else { return Ok(()) };
            others(route, before, after).filter(|_| before.rest == after.rest).map_or(Ok(()), Err)
        }
        _ => Ok(()),
    }
}

/// A write that moves on says of each cluster what the step says: nothing, a part, or all. One that a person wants
/// written again may say what an earlier step said.
fn spelled(facts: &Facts, route: &RouteId, face: &Face) -> Found {
    let Some(start) = facts.route(route).filter(|_| facts.rollback.is_none()) else { return Ok(()) };
    let first = if facts.agreed(route) { 0 } else { facts.step };
    let said = (first..=facts.step).filter_map(|step| facts.ruling(step));
    let right = |shares: &Shares| {
        shares.iter().all(|(cluster, share)| match (share, part(start, cluster, face)) {
            (0, is) => is == 0.0,
            (100, is) => (is - 100.0).abs() < 1e-9,
            (share, is) => is > 0.0 && is < 100.0 && (is - f64::from(*share)).abs() < 0.5,
        })
    };
    ensure(said.into_iter().any(right), || {
        format!("{}: {:?} spells no share of the plan up to step {}", start.label, face.weights, facts.step)
    })
}
