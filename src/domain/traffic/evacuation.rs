//! Computes the split of a route that a cluster leaves: its traffic goes to the other managed members in proportion to
//! what they have, or equally where they have nothing. Other members keep their share of the whole exactly.

use std::collections::BTreeMap;

use super::shares::{self, gcd};
use super::{ClusterName, Limits, Shares, Split};

/// Why a route cannot be evacuated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvacuationError {
    /// No other managed member can take the traffic.
    #[error("no other target group of the plan can take its traffic")]
    NoReceiver,
    /// The route would have more members than the load balancer allows.
    #[error("the action would have {0} target groups; the maximum is {1}")]
    TooManyMembers(usize, usize),
    /// The weights of the load balancer cannot express the shares.
    #[error("the weights cannot express the shares of the others: {0}")]
    Weights(String),
}

/// Returns the split in which `leaving` has weight 0 and the other managed members have its traffic; `None` if it has no
/// traffic. `managed` are the managed members by cluster. Missing members are attached.
///
/// # Errors
/// [`EvacuationError`].
pub fn without(
    now: &Split,
    managed: &[(ClusterName, String)],
    leaving: &[&str],
    limits: Limits,
) -> Result<Option<Split>, EvacuationError> {
    let leaves = |id: &str| leaving.contains(&id);
    let lost: u64 = leaving.iter().map(|id| now.traffic(id)).sum();
    if lost == 0 {
        return Ok(None);
    }
    let receivers: Vec<_> = managed.iter().filter(|(_, id)| !leaves(id)).collect();
    let had: u64 = receivers.iter().map(|(_, id)| now.traffic(id)).sum();
    let number = u64::try_from(receivers.len()).unwrap_or(u64::MAX);
    if number == 0 {
        return Err(EvacuationError::NoReceiver);
    }
    // The traffic of a receiver grows by the factor `whole / part`, so that the weights of the others grow by `part`.
    let (whole, part) = if had > 0 { (had + lost, had) } else { (lost, number) };
    let is_managed = |id: &str| managed.iter().any(|(_, own)| own == id);
    let others = now.ids().filter(|id| !is_managed(id) && !leaves(id));
    let others: BTreeMap<&str, u64> = others.map(|id| (id.as_str(), now.traffic(id))).collect();
    let has_others = others.values().any(|weight| *weight > 0);
    let scale = |weight: u64| if had > 0 { weight } else { 1 };
    let mut weights: BTreeMap<&str, u64> = if has_others {
        let received = receivers.iter().map(|(_, id)| (id.as_str(), scale(now.traffic(id)) * whole));
        received.chain(others.iter().map(|(id, weight)| (*id, weight * part))).collect()
    } else if had > 0 {
        receivers.iter().map(|(_, id)| (id.as_str(), now.traffic(id))).collect()
    } else {
        receivers.iter().map(|(_, id)| (id.as_str(), lost)).collect()
    };
    if has_others {
        let common = weights.values().fold(0, |all, weight| gcd(all, *weight)).max(1);
        for weight in weights.values_mut() {
            *weight /= common;
        }
    }
    let most = weights.values().copied().max().unwrap_or(0);
    if most > u64::from(limits.max_weight) {
        return rounded(now, managed, &receivers, leaving, limits).map(Some);
    }
    let ids = managed.iter().map(|(_, id)| id.as_str()).filter(|id| !leaves(id) || now.weight(id).is_some());
    let then = now.with_weights(ids, &weights);
    match then.members.len() {
        many if many > limits.max_members => Err(EvacuationError::TooManyMembers(many, limits.max_members)),
        _ => Ok(Some(then)),
    }
}

/// Returns the split with shares in whole percents, for weights that cannot express the exact shares.
fn rounded(
    now: &Split,
    managed: &[(ClusterName, String)],
    receivers: &[&(ClusterName, String)],
    leaving: &[&str],
    limits: Limits,
) -> Result<Split, EvacuationError> {
    let had: u64 = receivers.iter().map(|(_, id)| now.traffic(id)).sum();
    let mut left = 100_u64;
    let mut wanted = Shares::new();
    for (at, (cluster, id)) in receivers.iter().enumerate() {
        let others = u64::try_from(receivers.len() - at).unwrap_or(1);
        let share = match (others, had) {
            (1, _) => left,
            (_, 0) => left / others,
            (_, had) => (now.traffic(id) * 100 / had).min(left),
        };
        left -= share;
        wanted.insert(cluster.clone(), u32::try_from(share).unwrap_or(0));
    }
    for (cluster, _) in managed.iter().filter(|(_, id)| leaving.contains(&id.as_str())) {
        wanted.insert(cluster.clone(), 0);
    }
    shares::split_for(now, managed, &wanted, limits).map_err(|why| EvacuationError::Weights(why.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { max_weight: 999, max_members: 5, fixed_total: false };

    fn evacuated(
        weights: &[(&str, u16)],
        managed: &[&str],
        leaving: &str,
    ) -> Result<Option<Vec<u16>>, EvacuationError> {
        let now = Split::of(weights.iter().map(|(id, weight)| (*id, *weight)));
        let managed: Vec<_> = managed.iter().map(|id| ((*id).to_owned(), (*id).to_owned())).collect();
        let then = without(&now, &managed, &[leaving], LIMITS)?;
        Ok(then.map(|split| split.ids().map(|id| split.weight(id).unwrap_or(0)).collect()))
    }

    #[test]
    fn traffic_goes_to_the_others_in_proportion_to_what_they_have() {
        assert_eq!(evacuated(&[("a", 34), ("b", 44), ("c", 22)], &["a", "b", "c"], "a"), Ok(Some(vec![0, 44, 22])));
        assert_eq!(evacuated(&[("a", 100), ("b", 0), ("c", 0)], &["a", "b", "c"], "a"), Ok(Some(vec![0, 100, 100])));
        assert_eq!(evacuated(&[("a", 0), ("b", 50)], &["a", "b"], "a"), Ok(None));
    }

    #[test]
    fn a_third_party_keeps_its_share_of_the_whole() {
        // 60 of 100 are managed; b and c have 1:2 of it.
        let weights = [("a", 30), ("b", 10), ("c", 20), ("other", 40)];
        assert_eq!(evacuated(&weights, &["a", "b", "c"], "a"), Ok(Some(vec![0, 1, 2, 2])));
        let nothing = [("a", 60), ("b", 0), ("c", 0), ("other", 40)];
        assert_eq!(evacuated(&nothing, &["a", "b", "c"], "a"), Ok(Some(vec![0, 3, 3, 4])));
    }

    #[test]
    fn weights_beyond_the_limit_are_rounded() {
        let weights = [("a", 334), ("b", 331), ("c", 335), ("other", 997)];
        let rounded = evacuated(&weights, &["a", "b", "c"], "a").unwrap().unwrap();
        let total: u16 = rounded.iter().sum();
        let share = |at: usize| f64::from(rounded[at]) * 100.0 / f64::from(total);
        assert!(rounded[0] == 0 && (share(3) - 49.92).abs() < 0.5 && (share(1) - 24.9).abs() < 0.5, "{rounded:?}");
    }

    #[test]
    fn a_lone_group_leaves_only_if_another_can_take_its_traffic() {
        assert_eq!(evacuated(&[("a", 1)], &["a"], "a"), Err(EvacuationError::NoReceiver));
        let attached = evacuated(&[("a", 1)], &["a", "b"], "a").unwrap().unwrap();
        assert!(attached[0] == 0 && attached[1] > 0, "{attached:?}");
    }
}
