//! Computes the weights of members that are sets of servers: one unit of weight of such a member is the traffic of its
//! size, and its maximum weight is its own.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::super::{ClusterName, Limits, Shares, Split};
use super::error::{ShareError, gcd, is_tolerable};

/// The number of weights that are tried around the exact weight of a member, if the other members must keep a share.
const NEIGHBOURS: u64 = 4;

/// A managed member with a share.
struct Side<'a> {
    cluster: &'a ClusterName,
    id: &'a str,
    /// The share, in percent of the managed part.
    share: u32,
    size: u64,
    max_weight: u64,
}

/// The managed members with a share, and the limits of the route.
pub(super) struct Sides<'a> {
    sides: Vec<Side<'a>>,
    limits: Limits,
}

/// The weights of the sides for one total.
struct Found {
    weights: Vec<u64>,
    traffic: u64,
    /// The largest error, as hundredths of a unit of traffic: `error / traffic` is in percentage points.
    error: u64,
}

impl<'a> Sides<'a> {
    pub(super) fn new(original: &Split, managed: &'a [(ClusterName, String)], shares: &Shares, limits: Limits) -> Self {
        let side = |(cluster, id): &'a (ClusterName, String)| {
            let share = shares.get(cluster).copied().filter(|share| *share > 0)?;
            let member = original.members.iter().find(|m| m.id == *id);
            let max_weight = member.and_then(|m| m.max_weight).unwrap_or(limits.max_weight);
            let size = member.map_or(1, |m| m.size).max(1);
            Some(Side { cluster, id, share, size: size.into(), max_weight: max_weight.into() })
        };
        Self { sides: managed.iter().filter_map(side).collect(), limits }
    }

    /// Returns the weights of all members that get a weight. `others` are the weights of the members that keep their
    /// share of the whole, and `managed` is the original traffic of the managed members.
    pub(super) fn weights<'b>(
        &self,
        others: &BTreeMap<&'b str, u64>,
        managed: u64,
    ) -> Result<BTreeMap<&'b str, u64>, ShareError>
    where
        'a: 'b,
    {
        let common = others.values().fold(managed, |g, w| gcd(g, *w));
        let fixed = others.values().any(|w| *w > 0);
        let (unit, original) = if fixed { (managed / common, common) } else { (1, managed) };
        let most: u64 = self.sides.iter().map(|s| s.max_weight * s.size).sum();
        let fits =
            |factor: u64| !fixed || others.values().all(|w| w / common * factor <= u64::from(self.limits.max_weight));
        let at = |factor: u64| fits(factor).then(|| self.closest(unit * factor, fixed)).flatten();
        let better = |best: &Found, found: &Found| {
            (found.error * best.traffic).cmp(&(best.error * found.traffic)) == Ordering::Less
        };
        let mut best: Option<(u64, Found)> = at(original).map(|found| (original, found));
        // Of equal errors, the original total is kept, then the smallest total.
        for factor in (1..=most / unit).take_while(|factor| fits(*factor)) {
            if best.as_ref().is_some_and(|(_, best)| best.error == 0) {
                break;
            }
            if let Some(found) = at(factor).filter(|found| best.as_ref().is_none_or(|(_, best)| better(best, found))) {
                best = Some((factor, found));
            }
        }
        let (factor, best) = best.ok_or(ShareError::TooLarge(self.limits.max_weight))?;
        self.check(&best)?;
        let mut weights: BTreeMap<&'b str, u64> =
            others.iter().map(|(id, w)| (*id, if fixed { w / common * factor } else { *w })).collect();
        weights.extend(self.sides.iter().zip(best.weights).map(|(side, weight)| (side.id, weight)));
        Ok(weights)
    }

    /// Returns the weights that are closest to the shares of this traffic. With `exact`, the traffic must be this
    /// traffic, because the other members would lose or gain a share otherwise.
    fn closest(&self, traffic: u64, exact: bool) -> Option<Found> {
        let (last, first) = self.sides.split_last()?;
        let choices = first.iter().map(|side| {
            let ideal = u64::from(side.share) * traffic / (100 * side.size);
            // With two members, each remainder of the last member's size occurs among its neighbours.
            let around = if !exact {
                0
            } else if first.len() == 1 {
                last.size
            } else {
                NEIGHBOURS
            };
            ideal.saturating_sub(around).max(1)..=(ideal + 1 + around).max(1).min(side.max_weight)
        });
        let mut combinations = vec![Vec::new()];
        for range in choices {
            let longer = |c: &Vec<u64>| range.clone().map(|w| [c.as_slice(), &[w]].concat()).collect::<Vec<_>>();
            combinations = combinations.iter().flat_map(longer).collect();
        }
        let mut best: Option<Found> = None;
        for combination in combinations {
            let used: u64 = combination.iter().zip(first).map(|(w, side)| w * side.size).sum();
            let Some(left) = traffic.checked_sub(used) else { continue };
            let floor = left / last.size;
            let last_weights = if exact { floor..=floor } else { floor..=floor + 1 };
            for weight in last_weights.map(|w| if exact { w } else { w.max(1) }) {
                if (exact && left % last.size != 0) || weight == 0 || weight > last.max_weight {
                    continue;
                }
                let found = self.found([combination.as_slice(), &[weight]].concat());
                if best.as_ref().is_none_or(|best| found.error * best.traffic < best.error * found.traffic) {
                    best = Some(found);
                }
            }
        }
        best
    }

    fn found(&self, weights: Vec<u64>) -> Found {
        let traffic: u64 = weights.iter().zip(&self.sides).map(|(w, side)| w * side.size).sum();
        let error = weights.iter().zip(&self.sides).map(|(w, side)| distance(w * side.size, side.share, traffic)).max();
        Found { weights, traffic, error: error.unwrap_or(0) }
    }

    fn check(&self, best: &Found) -> Result<(), ShareError> {
        let mut all: Vec<_> = best.weights.iter().zip(&self.sides).collect();
        // The smallest share is the one that is hardest to express.
        all.sort_by_key(|(_, side)| side.share);
        for (weight, side) in all {
            let traffic = weight * side.size;
            if !is_tolerable(distance(traffic, side.share, best.traffic), side.share, best.traffic) {
                #[allow(clippy::cast_precision_loss)] // weights are small
                let closest = (traffic as f64 * 100_000.0 / best.traffic as f64).round() / 1000.0;
                let smallest = self.smallest_share(side);
                return Err(ShareError::TooCoarse {
                    cluster: side.cluster.clone(),
                    wanted: side.share,
                    got: closest,
                    smallest,
                });
            }
        }
        Ok(())
    }

    /// Returns the smallest whole share that the weights of this side and of the only other side can express.
    fn smallest_share(&self, side: &Side<'_>) -> Option<u32> {
        let [one, two] = self.sides.as_slice() else { return None };
        let other = if std::ptr::eq(one, side) { two } else { one };
        let least = side.size;
        (1..100).find(|share| {
            let tolerable = |k: u64| {
                let total = least + other.size * k;
                is_tolerable(distance(least, *share, total), *share, total)
            };
            (1..=other.max_weight).any(tolerable)
        })
    }
}

/// Returns the distance of traffic from its share of a total; `distance / total` is in percentage points.
fn distance(traffic: u64, share: u32, total: u64) -> u64 {
    (traffic * 100).abs_diff(u64::from(share) * total)
}

#[cfg(test)]
mod tests {
    use super::super::{live_shares, split_for};
    use super::*;
    use crate::domain::traffic::Member;

    fn member(id: &str, weight: u16, size: u32, max: u16) -> Member {
        Member { size, max_weight: Some(max), ..Member::new(id, Some(weight)) }
    }

    fn shares_of(split: &Split, b: u32) -> Result<Split, ShareError> {
        let managed = ["a", "b"].map(|c| (c.to_owned(), c.to_owned()));
        let limits = Limits { max_weight: 256, max_members: 4096, fixed_total: false };
        split_for(split, &managed, &[("a".to_owned(), 100 - b), ("b".to_owned(), b)].into(), limits)
    }

    fn weights(split: &Split) -> Vec<(&str, u16)> {
        split.members.iter().map(|m| (m.id.as_str(), m.weight.unwrap_or(0))).collect()
    }

    #[test]
    fn one_percent_from_twenty_servers_to_one() {
        let split = Split { members: vec![member("a", 100, 20, 256), member("b", 0, 1, 256)] };
        assert_eq!(weights(&shares_of(&split, 1).unwrap()), [("a", 99), ("b", 20)], "1 % of 2,000 is 20");
    }

    #[test]
    fn one_percent_from_one_server_to_twenty_names_the_smallest_share() {
        let split = Split { members: vec![member("a", 100, 1, 256), member("b", 0, 20, 256)] };
        let refused = shares_of(&split, 1).unwrap_err();
        assert!(matches!(&refused, ShareError::TooCoarse { smallest: Some(7), .. }), "{refused:?}");
        assert_eq!(weights(&shares_of(&split, 7).unwrap()), [("a", 256), ("b", 1)], "20 of 276 is 7.2 %");
    }

    /// Every share is either within the limits of the error, or refused; no share becomes 0, and a member outside of
    /// the plan keeps its share of the whole exactly.
    #[test]
    fn all_sizes_and_shares_are_exact_enough_or_refused() {
        let mut expressed = 0;
        for (a, b) in [(1, 1), (1, 2), (2, 1), (3, 5), (20, 1), (1, 20), (7, 20), (40, 33)] {
            for other in [None, Some(5), Some(50)] {
                let mut split = Split { members: vec![member("a", 100, a, 256), member("b", 0, b, 128)] };
                split.members.extend(other.map(|weight| Member::new("x", Some(weight))));
                let whole = |split: &Split| (split.traffic("x"), split.total_traffic());
                let (x, total) = whole(&split);
                for share in 0..=100 {
                    let Ok(set) = shares_of(&split, share) else { continue };
                    expressed += 1;
                    let managed = ["a", "b"].map(|c| (c.to_owned(), c.to_owned()));
                    let live = live_shares(&set, &managed).unwrap()["b"];
                    let off = (live - f64::from(share)).abs();
                    assert!(off <= 0.5 && off * 10.0 <= f64::from(share.max(1)), "{a} {b} {share}: {live}");
                    assert_eq!((share == 0, share == 100), (live <= 0.0, live >= 100.0), "{a} {b} {share}");
                    let (x_now, total_now) = whole(&set);
                    assert_eq!(x * total_now, x_now * total, "{a} {b} {share}: {set:?}");
                    assert!(set.members.iter().all(|m| m.weight <= m.max_weight.or(Some(256))), "{set:?}");
                }
            }
        }
        assert!(expressed > 1500, "only {expressed} shares could be expressed");
    }
}
