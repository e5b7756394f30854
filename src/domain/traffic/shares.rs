//! Computes weights from shares: expresses percentages of the managed part in the weights of a load balancer.
//!
//! Members that are sets of servers have a size and limits of their own; their weights are computed in `sized.rs`.
//!
//! The result depends only on the *original* split and the shares, never on the live weights, so that a step always has
//! the same result. The arithmetic is exact, with integers and with fractions that are compared by
//! cross-multiplication.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

pub use self::error::ShareError;
pub(super) use self::error::gcd;
use self::error::is_tolerable;
use self::sized::Sides;
use super::{ClusterName, Limits, Shares, Split};

mod error;
mod sized;

/// Returns the split that gives each cluster its share, in percent, of the managed part of `original`.
///
/// Other members keep their exact share of the total, and members keep their order. Managed members that are missing
/// are appended in the order of `managed`. Of the total weights for which all weights are within the limits, the total
/// with the smallest maximum error is chosen. Of totals with the same error, the original total is chosen if it is
/// among them, otherwise the smallest total.
///
/// # Errors
/// [`ShareError`], also if a share would differ by more than 0.5 percentage points or by more than 10 % of the share.
pub fn split_for(
    original: &Split,
    managed: &[(ClusterName, String)],
    shares: &Shares,
    limits: Limits,
) -> Result<Split, ShareError> {
    check(original, managed, shares, limits)?;
    let (total, managed_total) = totals(original, managed);
    if managed_total == 0 {
        return Err(ShareError::NothingManaged);
    }
    let third_party_weights = weights_of_third_parties(original, managed);
    if original.members.iter().any(|m| m.size != 1 || m.max_weight.is_some()) {
        let sides = Sides::new(original, managed, shares, limits);
        let weights = sides.weights(&third_party_weights, managed_total)?;
        return Ok(original.with_weights(managed.iter().map(|(_, arn)| arn.as_str()), &weights));
    }
    let common = third_party_weights.values().fold(total, |g, w| gcd(g, *w));
    let unit = if third_party_weights.values().all(|w| *w == 0) {
        Unit { managed_total: 1, original: managed_total }
    } else {
        Unit { managed_total: managed_total / common, original: common }
    };
    let unit = if limits.fixed_total { Unit { managed_total, original: 1 } } else { unit };
    let common = if limits.fixed_total { 1 } else { common };
    let scale_limit = |k: u64| third_party_weights.values().all(|w| w / common * k <= u64::from(limits.max_weight));
    let scale_limit = |k: u64| scale_limit(k) && (k == 1 || !limits.fixed_total);
    let best =
        best_candidate(&unit, shares, limits.max_weight, scale_limit).ok_or(ShareError::TooLarge(limits.max_weight))?;
    best.within_tolerance(shares, limits.max_weight)?;

    let mut weights: BTreeMap<&str, u64> =
        third_party_weights.iter().map(|(arn, w)| (*arn, w / common * best.factor)).collect();
    weights.extend(
        managed.iter().map(|(cluster, arn)| (arn.as_str(), best.weights.get(cluster.as_str()).copied().unwrap_or(0))),
    );
    Ok(original.with_weights(managed.iter().map(|(_, arn)| arn.as_str()), &weights))
}

/// Returns the live shares of the managed part by cluster, in percent; 0 for a cluster whose group is not attached.
/// `None` if the managed part has no weight.
pub fn live_shares(split: &Split, managed: &[(ClusterName, String)]) -> Option<BTreeMap<ClusterName, f64>> {
    let (_, managed_total) = totals(split, managed);
    let weights = split.traffic_by_id();
    #[allow(clippy::cast_precision_loss)] // weights are small
    let share = |arn: &str| weights.get(arn).copied().unwrap_or(0) as f64 * 100.0 / managed_total as f64;
    (managed_total > 0).then(|| managed.iter().map(|(cluster, arn)| (cluster.clone(), share(arn))).collect())
}

/// Returns the live shares of the managed part as (cluster, member, percent); 0 for a member that is not attached. Empty
/// if the managed part has no weight.
pub fn managed_shares<'a>(
    split: &Split,
    managed: &'a BTreeMap<ClusterName, String>,
) -> Vec<(&'a ClusterName, &'a str, f64)> {
    let weight = |id: &str| split.traffic(id);
    let total: u64 = managed.values().map(|id| weight(id)).sum();
    if total == 0 {
        return Vec::new();
    }
    #[allow(clippy::cast_precision_loss)] // weights are small
    let share = |id: &str| weight(id) as f64 * 100.0 / total as f64;
    managed.iter().map(|(cluster, id)| (cluster, id.as_str(), share(id))).collect()
}

/// Whether the live shares of `split` equal `shares` within the tolerance of [`split_for`]. A share of 0 or 100 must be
/// exact.
pub fn matches_shares(split: &Split, managed: &[(ClusterName, String)], shares: &Shares) -> bool {
    let (_, managed_total) = totals(split, managed);
    let weights = split.traffic_by_id();
    managed_total > 0
        && managed.iter().all(|(cluster, arn)| {
            let weight = weights.get(arn.as_str()).copied().unwrap_or(0);
            let share = shares.get(cluster).copied().unwrap_or(0);
            let extremes_are_exact = (share == 0) == (weight == 0) && (share >= 100) == (weight == managed_total);
            extremes_are_exact && is_tolerable(distance(weight, share, managed_total), share, managed_total)
        })
}

fn check(
    original: &Split,
    managed: &[(ClusterName, String)],
    shares: &Shares,
    limits: Limits,
) -> Result<(), ShareError> {
    let clusters: BTreeSet<&str> = managed.iter().map(|(c, _)| c.as_str()).collect();
    let sum: u64 = shares.values().map(|s| u64::from(*s)).sum();
    if sum != 100 || clusters.len() != managed.len() || !shares.keys().map(String::as_str).eq(clusters) {
        return Err(ShareError::InvalidShares);
    }
    let own = first_duplicate(managed.iter().map(|(_, arn)| arn.as_str()));
    let live = first_duplicate(original.ids().map(String::as_str));
    if let Some(arn) = own.or(live) {
        return Err(ShareError::Duplicate(arn.to_owned()));
    }
    let missing = managed.iter().filter(|(_, arn)| original.weight(arn).is_none()).count();
    match original.members.len() + missing {
        n if n > limits.max_members => Err(ShareError::TooManyMembers(n, limits.max_members)),
        _ => Ok(()),
    }
}

fn first_duplicate<'a>(mut arns: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut seen = BTreeSet::new();
    arns.find(|arn| !seen.insert(*arn))
}

/// Returns the traffic of all members, and the traffic of the managed groups.
fn totals(split: &Split, managed: &[(ClusterName, String)]) -> (u64, u64) {
    let weights = split.traffic_by_id();
    (weights.values().sum(), managed.iter().filter_map(|(_, arn)| weights.get(arn.as_str())).sum())
}

fn weights_of_third_parties<'a>(split: &'a Split, managed: &[(ClusterName, String)]) -> BTreeMap<&'a str, u64> {
    split.effective_weights().into_iter().filter(|(arn, _)| managed.iter().all(|(_, own)| own != arn)).collect()
}

/// The smallest total weight of the managed groups for which every other group has an integer weight at its exact
/// share. The totals of all candidates are multiples of this total.
struct Unit {
    /// The smallest total weight of the managed groups.
    managed_total: u64,
    /// The factor from the smallest total to the original total.
    original: u64,
}

/// The weights of the managed groups for one candidate of the total.
struct Candidate<'a> {
    factor: u64,
    total: u64,
    weights: BTreeMap<&'a str, u64>,
    /// The largest error, as hundredths of a weight: `error / total` is in percentage points.
    error: u64,
}

/// Returns the distance of a weight from its share of a total; `distance / total` is in percentage points.
fn distance(weight: u64, share: u32, total: u64) -> u64 {
    (weight * 100).abs_diff(u64::from(share) * total)
}

impl Candidate<'_> {
    fn within_tolerance(&self, shares: &Shares, max: u16) -> Result<(), ShareError> {
        for (cluster, share) in shares {
            let weight = self.weights.get(cluster.as_str()).copied().unwrap_or(0);
            if !is_tolerable(distance(weight, *share, self.total), *share, self.total) {
                #[allow(clippy::cast_precision_loss)] // weights are small
                let got = (weight as f64 * 100_000.0 / self.total as f64).round() / 1000.0;
                return Err(ShareError::TooFar { cluster: cluster.clone(), wanted: *share, got, max });
            }
        }
        Ok(())
    }
}

fn best_candidate<'a>(unit: &Unit, shares: &'a Shares, max: u16, fits: impl Fn(u64) -> bool) -> Option<Candidate<'a>> {
    let at = |factor: u64| candidate(unit, factor, shares, max).filter(|_| fits(factor));
    let original = at(unit.original);
    if original.as_ref().is_some_and(|c| c.error == 0) {
        return original;
    }
    // The smallest total without any error. If its weights are too large, the weights of all other exact totals are
    // too.
    let step = shares.values().fold(100, |g, s| gcd(g, u64::from(*s)));
    let exact = 100 / gcd(100, unit.managed_total * step);
    at(exact).or_else(|| {
        // Of equal errors, `min_by` returns the first candidate: the original total, then the smallest total.
        original
            .into_iter()
            .chain((1..exact).filter_map(at))
            .min_by(|a, b| (a.error * b.total).cmp(&(b.error * a.total)))
    })
}

/// Returns the weights for one total. Each share is rounded down, but to at least 1 if the share is not 0. The
/// remainder is given to the clusters that are farthest below their share.
fn candidate<'a>(unit: &Unit, factor: u64, shares: &'a Shares, max: u16) -> Option<Candidate<'a>> {
    let total = unit.managed_total * factor;
    let mut weights: Vec<(&str, u32, u64)> = shares
        .iter()
        .filter(|(_, share)| **share > 0)
        .map(|(cluster, share)| (cluster.as_str(), *share, (u64::from(*share) * total / 100).max(1)))
        .collect();
    if (weights.len() as u64) > total {
        return None;
    }
    // The distance of a weight above its exact value, in hundredths of a weight; negative: below.
    let above = |w: &(&str, u32, u64)| i128::from(w.2) * 100 - i128::from(w.1) * i128::from(total);
    loop {
        let sum: u64 = weights.iter().map(|w| w.2).sum();
        match sum.cmp(&total) {
            Ordering::Less => weights.iter_mut().min_by_key(|w| above(w))?.2 += 1,
            Ordering::Greater => weights.iter_mut().filter(|w| w.2 > 1).max_by_key(|w| above(w))?.2 -= 1,
            Ordering::Equal => break,
        }
    }
    let error = weights.iter().map(|w| distance(w.2, w.1, total)).max()?;
    let weights: BTreeMap<&str, u64> = weights.into_iter().map(|w| (w.0, w.2)).collect();
    weights.values().all(|w| *w <= u64::from(max)).then_some(Candidate { factor, total, weights, error })
}
