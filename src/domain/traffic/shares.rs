//! Computes weights from shares: expresses percentages of the managed part in a balancer's weights.
//!
//! The result depends only on the *original* split and the shares, never on the live weights, so that a step has the
//! same result whatever came before it. The arithmetic is exact: integers, and fractions compared by
//! cross-multiplication.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::{ClusterName, Limits, Shares, Split};

/// Why shares cannot be expressed in the weights of a route.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ShareError {
    /// The closest weights are too far from the share.
    #[error(
        "{cluster} would get {got} % instead of {wanted} %: no weights up to {max} come closer without changing the \
         share of the target groups that are not in the plan"
    )]
    TooFar {
        /// The cluster whose share is off.
        cluster: ClusterName,
        /// The requested share, percent of the managed part.
        wanted: u32,
        /// The share that the closest weights give, percent, rounded to three decimal places.
        got: f64,
        /// The maximum weight.
        max: u16,
    },
    /// Every exact split needs a weight above the maximum.
    #[error("no weights up to {0} keep the share of the target groups that are not in the plan")]
    TooLarge(u16),
    /// The route would have more members than the balancer allows.
    #[error("the action would have {0} target groups; the maximum is {1}")]
    TooManyMembers(usize, usize),
    /// The plan's members carry no weight in the original split, so there is nothing to divide.
    #[error("the plan's target groups carry no weight in this action")]
    NothingManaged,
    /// A member occurs twice, in the route or for two clusters.
    #[error("target group {0} is named twice")]
    Duplicate(String),
    /// The shares do not name exactly the managed clusters, or their sum is not 100.
    #[error("the shares do not name every cluster once, or their sum is not 100")]
    InvalidShares,
}

/// Returns the split that gives each cluster its share, in percent, of the managed part of `original`.
///
/// Other members keep their exact share of the total, and members keep their order. Managed members that are missing
/// are appended in the order of `managed`. Among the totals whose weights are all within the limits, the one with the
/// smallest maximum error is chosen; among equals the original total, else the smallest total.
///
/// # Errors
/// [`ShareError`]; also if a share would be off by more than 0.5 percentage points or by more than a tenth of itself.
pub fn split_for(
    original: &Split,
    managed: &[(ClusterName, String)],
    shares: &Shares,
    limits: Limits,
) -> Result<Split, ShareError> {
    check(original, managed, shares, limits)?;
    let (whole, ours) = totals(original, managed);
    if ours == 0 {
        return Err(ShareError::NothingManaged);
    }
    let third = third_parties(original, managed);
    let common = third.values().fold(whole, |g, w| gcd(g, *w));
    let unit = if third.values().all(|w| *w == 0) {
        Unit { ours: 1, original: ours }
    } else {
        Unit { ours: ours / common, original: common }
    };
    let scale_limit = |k: u64| third.values().all(|w| w / common * k <= u64::from(limits.max_weight));
    let best = search(&unit, shares, limits.max_weight, scale_limit).ok_or(ShareError::TooLarge(limits.max_weight))?;
    best.within_tolerance(shares, limits.max_weight)?;

    let mut weights: BTreeMap<&str, u64> = third.iter().map(|(arn, w)| (*arn, w / common * best.factor)).collect();
    weights.extend(
        managed.iter().map(|(cluster, arn)| (arn.as_str(), best.weights.get(cluster.as_str()).copied().unwrap_or(0))),
    );
    Ok(original.with_weights(managed.iter().map(|(_, arn)| arn.as_str()), &weights))
}

/// Returns the live shares of the managed part by cluster, in percent; 0 for a cluster whose group is not attached.
/// `None` if the managed part carries no weight.
pub fn live_shares(split: &Split, managed: &[(ClusterName, String)]) -> Option<BTreeMap<ClusterName, f64>> {
    let (_, ours) = totals(split, managed);
    let weights = split.effective_weights();
    #[allow(clippy::cast_precision_loss)] // weights are small
    let share = |arn: &str| weights.get(arn).copied().unwrap_or(0) as f64 * 100.0 / ours as f64;
    (ours > 0).then(|| managed.iter().map(|(cluster, arn)| (cluster.clone(), share(arn))).collect())
}

/// Whether the live shares of `split` equal `shares` within the tolerance of [`split_for`]. A share of 0 or 100 must be
/// exact.
pub fn matches_shares(split: &Split, managed: &[(ClusterName, String)], shares: &Shares) -> bool {
    let (_, ours) = totals(split, managed);
    let weights = split.effective_weights();
    ours > 0
        && managed.iter().all(|(cluster, arn)| {
            let weight = weights.get(arn.as_str()).copied().unwrap_or(0);
            let share = shares.get(cluster).copied().unwrap_or(0);
            let whole = (share == 0) == (weight == 0) && (share >= 100) == (weight == ours);
            whole && tolerable(distance(weight, share, ours), share, ours)
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

/// Returns the sum of all weights, and the sum of the managed groups' weights.
fn totals(split: &Split, managed: &[(ClusterName, String)]) -> (u64, u64) {
    let weights = split.effective_weights();
    (weights.values().sum(), managed.iter().filter_map(|(_, arn)| weights.get(arn.as_str())).sum())
}

fn third_parties<'a>(split: &'a Split, managed: &[(ClusterName, String)]) -> BTreeMap<&'a str, u64> {
    split.effective_weights().into_iter().filter(|(arn, _)| managed.iter().all(|(_, own)| own != arn)).collect()
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The smallest managed total with which every other group gets an integer weight at its share of the total. All
/// candidates are multiples of it.
struct Unit {
    /// That total.
    ours: u64,
    /// The factor that gives the original total.
    original: u64,
}

/// Weights of the managed groups for one candidate total.
struct Candidate<'a> {
    factor: u64,
    total: u64,
    weights: BTreeMap<&'a str, u64>,
    /// The largest error, as hundredths of a weight: `error / total` is in percentage points.
    error: u64,
}

/// Returns how far a weight is from its share of a total, so that `distance / total` is in percentage points.
fn distance(weight: u64, share: u32, total: u64) -> u64 {
    (weight * 100).abs_diff(u64::from(share) * total)
}

/// At most half a percentage point and at most a tenth of the share.
fn tolerable(distance: u64, share: u32, total: u64) -> bool {
    distance * 2 <= total && distance * 10 <= u64::from(share) * total
}

impl Candidate<'_> {
    fn within_tolerance(&self, shares: &Shares, max: u16) -> Result<(), ShareError> {
        for (cluster, share) in shares {
            let weight = self.weights.get(cluster.as_str()).copied().unwrap_or(0);
            if !tolerable(distance(weight, *share, self.total), *share, self.total) {
                #[allow(clippy::cast_precision_loss)] // weights are small
                let got = (weight as f64 * 100_000.0 / self.total as f64).round() / 1000.0;
                return Err(ShareError::TooFar { cluster: cluster.clone(), wanted: *share, got, max });
            }
        }
        Ok(())
    }
}

fn search<'a>(unit: &Unit, shares: &'a Shares, max: u16, fits: impl Fn(u64) -> bool) -> Option<Candidate<'a>> {
    let at = |factor: u64| candidate(unit, factor, shares, max).filter(|_| fits(factor));
    let original = at(unit.original);
    if original.as_ref().is_some_and(|c| c.error == 0) {
        return original;
    }
    // The smallest total without any error; where its weights are too large, so are those of all other exact ones.
    let step = shares.values().fold(100, |g, s| gcd(g, u64::from(*s)));
    let exact = 100 / gcd(100, unit.ours * step);
    at(exact).or_else(|| {
        // `min_by` keeps the first of equals: the original total, then the smallest.
        original
            .into_iter()
            .chain((1..exact).filter_map(at))
            .min_by(|a, b| (a.error * b.total).cmp(&(b.error * a.total)))
    })
}

/// Returns the weights for one total: each share rounded down, at least 1 if the share is not 0; the remainder goes to
/// the clusters that lack most.
fn candidate<'a>(unit: &Unit, factor: u64, shares: &'a Shares, max: u16) -> Option<Candidate<'a>> {
    let total = unit.ours * factor;
    let mut weights: Vec<(&str, u32, u64)> = shares
        .iter()
        .filter(|(_, share)| **share > 0)
        .map(|(cluster, share)| (cluster.as_str(), *share, (u64::from(*share) * total / 100).max(1)))
        .collect();
    if (weights.len() as u64) > total {
        return None;
    }
    // Hundredths of a weight by which a group is above its exact value; negative: below.
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
