//! Orders the commands that set the weights of a backend. HAProxy applies one command after the other, so the order
//! decides which shares the sets of servers have in between.

use std::collections::BTreeMap;

/// Returns the weights to set, in this order, one command each. On the way, the share of each set (of all sets) stays
/// between its share before and its share after. Where whole weights do not allow that, the sets that gain traffic keep
/// too little for a moment, never too much: the weights of the sets that lose traffic rise first and fall last.
///
/// A server can occur twice. `sets` are the names of the servers of each set of the plan.
pub fn commands(
    live: &BTreeMap<String, u32>,
    wanted: &BTreeMap<String, u32>,
    sets: &[Vec<String>],
) -> Vec<(String, u32)> {
    let mut path = Path::new(live, wanted, sets);
    while let Some((server, weight)) = path.next_move() {
        path.set(&server, weight);
    }
    for (server, weight) in path.rest() {
        path.set(&server, weight);
    }
    path.commands
}

struct Path<'a> {
    now: BTreeMap<String, u32>,
    wanted: &'a BTreeMap<String, u32>,
    sets: &'a [Vec<String>],
    before: Vec<u64>,
    after: Vec<u64>,
    commands: Vec<(String, u32)>,
}

impl<'a> Path<'a> {
    fn new(live: &BTreeMap<String, u32>, wanted: &'a BTreeMap<String, u32>, sets: &'a [Vec<String>]) -> Self {
        let now: BTreeMap<_, _> =
            wanted.keys().map(|name| (name.clone(), live.get(name).copied().unwrap_or(0))).collect();
        let (before, after) = (traffic(&now, sets), traffic(wanted, sets));
        Self { now, wanted, sets, before, after, commands: Vec::new() }
    }

    fn set(&mut self, server: &str, weight: u32) {
        self.now.insert(server.to_owned(), weight);
        self.commands.push((server.to_owned(), weight));
    }

    /// Returns the servers of sets that do not have their weight yet, each with its set.
    fn open(&self) -> impl Iterator<Item = (usize, &String)> {
        let all = self.sets.iter().enumerate().flat_map(|(set, servers)| servers.iter().map(move |name| (set, name)));
        all.filter(|(_, name)| self.wanted.get(*name).is_some_and(|wanted| self.now.get(*name) != Some(wanted)))
    }

    /// Returns the next change of one server with which all shares stay between before and after. A change to the final
    /// weight is preferred.
    fn next_move(&self) -> Option<(String, u32)> {
        let moves = self.open().filter_map(|(_, name)| Some((name, self.furthest(name)?)));
        let mut partly = None;
        for (name, weight) in moves {
            if self.wanted.get(name) == Some(&weight) {
                return Some((name.clone(), weight));
            }
            partly = partly.or_else(|| Some((name.clone(), weight)));
        }
        partly
    }

    /// Returns the weight that is closest to the final weight of a server and keeps all shares between before and after.
    fn furthest(&self, name: &str) -> Option<u32> {
        let (now, wanted) = (*self.now.get(name)?, *self.wanted.get(name)?);
        let steps = now.abs_diff(wanted);
        let toward = |n: u32| if wanted > now { now + n } else { now - n };
        let mut tried = self.now.clone();
        (1..=steps).rev().map(toward).find(|weight| {
            tried.insert(name.to_owned(), *weight);
            self.is_between(&traffic(&tried, self.sets))
        })
    }

    fn is_between(&self, now: &[u64]) -> bool {
        let [total_before, total_now, total_after] =
            [&self.before[..], now, &self.after[..]].map(|t| t.iter().sum::<u64>());
        if total_before == 0 || total_now == 0 || total_after == 0 {
            return false;
        }
        let sides = now.iter().zip(&self.before).zip(&self.after);
        sides.into_iter().all(|((now, before), after)| {
            let from_before = (now * total_before).cmp(&(before * total_now));
            let from_after = (now * total_after).cmp(&(after * total_now));
            from_before != from_after || from_before.is_eq()
        })
    }

    /// Returns the remaining changes: rising weights of the sets that lose traffic, falling and rising weights of the
    /// sets that gain traffic, falling weights of the sets that lose traffic, then the servers of no set.
    fn rest(&self) -> Vec<(String, u32)> {
        let (total_before, total_after) = (self.before.iter().sum::<u64>(), self.after.iter().sum::<u64>());
        let gains = |set: usize| self.after[set] * total_before > self.before[set] * total_after;
        let mut rest: Vec<_> = self
            .open()
            .map(|(set, name)| {
                let rises = self.wanted[name] > self.now[name];
                let place = match (gains(set), rises) {
                    (false, true) => 0,
                    (true, false) => 1,
                    (true, true) => 2,
                    (false, false) => 3,
                };
                (place, name.clone(), self.wanted[name])
            })
            .collect();
        let in_set = |name: &String| self.sets.iter().any(|set| set.contains(name));
        let others = self.wanted.iter().filter(|(name, weight)| !in_set(name) && self.now.get(*name) != Some(*weight));
        rest.extend(others.map(|(name, weight)| (4, name.clone(), *weight)));
        rest.sort_by_key(|(place, ..)| *place);
        rest.into_iter().map(|(_, name, weight)| (name, weight)).collect()
    }
}

/// Returns the sum of the weights of each set.
fn traffic(weights: &BTreeMap<String, u32>, sets: &[Vec<String>]) -> Vec<u64> {
    let of = |name: &String| u64::from(weights.get(name).copied().unwrap_or(0));
    sets.iter().map(|set| set.iter().map(of).sum()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(prefix: &str, count: u32) -> Vec<String> {
        (1..=count).map(|n| format!("{prefix}-{n}")).collect()
    }

    fn weights(sets: &[Vec<String>], of: [u32; 2]) -> BTreeMap<String, u32> {
        sets.iter().zip(of).flat_map(|(set, weight)| set.iter().map(move |name| (name.clone(), weight))).collect()
    }

    /// Applies the commands one by one. Returns the shares of the second set after each command, in percent, and the
    /// number of states without any traffic.
    fn shares(live: &BTreeMap<String, u32>, commands: &[(String, u32)], sets: &[Vec<String>]) -> Vec<f64> {
        let mut now = live.clone();
        let share = |now: &BTreeMap<String, u32>| {
            let sums = traffic(now, sets);
            assert!(sums.iter().sum::<u64>() > 0, "all weights are 0 after some command of {commands:?}");
            f64::from(u32::try_from(sums[1]).unwrap()) * 100.0
                / f64::from(u32::try_from(sums.iter().sum::<u64>()).unwrap())
        };
        commands
            .iter()
            .map(|(name, weight)| {
                now.insert(name.clone(), *weight);
                share(&now)
            })
            .collect()
    }

    /// Every intermediate state of every change between these weights, counted.
    #[test]
    fn share_stays_between_before_and_after_on_the_way() {
        let (mut states, mut below) = (0, 0);
        for (a, b) in [(1, 1), (2, 2), (20, 1), (1, 20), (3, 5)] {
            let sets = [names("a", a), names("b", b)];
            let values =
                [[100, 0], [99, 1], [256, 20], [1, 1], [60, 7], [10, 30], [1, 256], [0, 100], [30, 10], [33, 34]];
            for before in values {
                for after in values {
                    let (live, wanted) = (weights(&sets, before), weights(&sets, after));
                    let list = commands(&live, &wanted, &sets);
                    let mut now = live.clone();
                    now.extend(list.iter().cloned());
                    assert_eq!(now, wanted, "the last command of each server sets its final weight");
                    let of = |w: [u32; 2]| f64::from(w[1] * b) * 100.0 / f64::from(w[0] * a + w[1] * b);
                    let (least, most) = (of(before).min(of(after)), of(before).max(of(after)));
                    let gains = of(after) > of(before);
                    for share in shares(&live, &list, &sets) {
                        states += 1;
                        let (under, over) = (share < least - 1e-9, share > most + 1e-9);
                        below += u32::from(under || over);
                        assert!(
                            if gains { !over } else { !under },
                            "{a} and {b} servers, {before:?} to {after:?}: {share} of {least}..{most} by {list:?}"
                        );
                    }
                }
            }
        }
        assert!(states > 4_000, "{states} states");
        assert!(f64::from(below) < f64::from(states) * 0.05, "{below} of {states} states are outside of the interval");
    }

    #[test]
    fn whole_steps_need_one_command_for_each_server() {
        let sets = [names("a", 2), names("b", 2)];
        for (before, after) in [([100, 0], [99, 1]), ([99, 1], [75, 25]), ([75, 25], [0, 100]), ([50, 50], [100, 0])] {
            let list = commands(&weights(&sets, before), &weights(&sets, after), &sets);
            assert_eq!(list.len(), 4, "{before:?} to {after:?}: {list:?}");
        }
    }

    #[test]
    fn servers_of_no_set_get_their_weight_last() {
        let sets = [names("a", 1), names("b", 1)];
        let (mut live, mut wanted) = (weights(&sets, [100, 0]), weights(&sets, [50, 50]));
        live.insert("x".to_owned(), 10);
        wanted.insert("x".to_owned(), 20);
        assert_eq!(commands(&live, &wanted, &sets).last(), Some(&("x".to_owned(), 20)));
        assert_eq!(commands(&wanted, &wanted, &sets), []);
    }
}
