//! Weights from shares: the examples of the plan's documentation, and properties of every action.

use std::collections::BTreeMap;

use cutover::domain::elb::LIMITS;
use cutover::domain::traffic::shares::{self, ShareError, live_shares, matches_shares};
use cutover::domain::traffic::{Member, Shares, Split};
use proptest::prelude::*;

fn forward(groups: &[(&str, Option<u16>)]) -> Split {
    let member = |(id, weight): &(&str, Option<u16>)| Member::new((*id).to_owned(), *weight);
    Split { members: groups.iter().map(member).collect() }
}

fn split_for_shares(original: &Split, managed: &[(String, String)], shares: &Shares) -> Result<Split, ShareError> {
    shares::split_for(original, managed, shares, LIMITS)
}

fn attach(split: &Split, ids: &[&str]) -> Split {
    split.attach(ids)
}

fn detach(split: &Split, ids: &[&str]) -> Option<Split> {
    split.detach(ids)
}

fn managed(clusters: &[&str]) -> Vec<(String, String)> {
    clusters.iter().map(|c| ((*c).to_owned(), format!("arn-{c}"))).collect()
}

fn shares(of: &[(&str, u32)]) -> Shares {
    of.iter().map(|(c, s)| ((*c).to_owned(), *s)).collect()
}

fn weights(f: &Split) -> Vec<(&str, u16)> {
    f.members.iter().map(|t| (t.id.as_str(), t.weight.expect("every weight should be explicit"))).collect()
}

#[test]
fn reference_case_keeps_the_total_weight_100() {
    let original = forward(&[("arn-a", Some(100)), ("arn-b", Some(0)), ("arn-default", Some(0))]);
    for (b, want) in [(0, (100, 0)), (1, (99, 1)), (5, (95, 5)), (50, (50, 50)), (100, (0, 100))] {
        let set = split_for_shares(&original, &managed(&["a", "b"]), &shares(&[("a", 100 - b), ("b", b)])).unwrap();
        assert_eq!(weights(&set), [("arn-a", want.0), ("arn-b", want.1), ("arn-default", 0)]);
    }
}

#[test]
fn weights_for_shares() {
    type Row<'a> = (&'a str, &'a [(&'a str, Option<u16>)], &'a [(&'a str, u32)], &'a [u16]);
    let table: &[Row] = &[
        ("a lone group without weight", &[("arn-a", None)], &[("a", 95), ("b", 5)], &[95, 5]),
        ("a lone group at weight 0 carries everything", &[("arn-a", Some(0))], &[("a", 99), ("b", 1)], &[99, 1]),
        ("a lone group of weight 1 needs a larger total", &[("arn-a", Some(1))], &[("a", 95), ("b", 5)], &[19, 1]),
        (
            "a lone group of weight 1 stays at 1 if that is enough",
            &[("arn-a", Some(1))],
            &[("a", 0), ("b", 100)],
            &[0, 1],
        ),
        (
            "the original total is kept if it is as exact as others",
            &[("arn-a", Some(200)), ("arn-b", Some(0))],
            &[("a", 50), ("b", 50)],
            &[100, 100],
        ),
        (
            "another total is used if it is closer",
            &[("arn-a", Some(3)), ("arn-b", Some(0))],
            &[("a", 75), ("b", 25)],
            &[3, 1],
        ),
        (
            "a third-party group keeps 40 of 100",
            &[("arn-a", Some(60)), ("arn-b", Some(0)), ("arn-x", Some(40))],
            &[("a", 50), ("b", 50)],
            &[30, 30, 40],
        ),
        (
            "a third-party group keeps 2 of 5 when one percent of the rest moves",
            &[("arn-a", Some(60)), ("arn-b", Some(0)), ("arn-x", Some(40))],
            &[("a", 99), ("b", 1)],
            &[297, 3, 200],
        ),
        (
            "a total above the limit shrinks",
            &[("arn-a", Some(999)), ("arn-b", Some(999)), ("arn-x", Some(999))],
            &[("a", 100), ("b", 0)],
            &[2, 0, 1],
        ),
    ];
    for (what, original, wanted, expected) in table {
        let set = split_for_shares(&forward(original), &managed(&["a", "b"]), &shares(wanted))
            .unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(weights(&set).iter().map(|(_, w)| *w).collect::<Vec<_>>(), *expected, "{what}");
    }
}

#[test]
fn impossible_shares_are_refused_with_a_reason() {
    let two = managed(&["a", "b"]);
    let one_percent = shares(&[("a", 99), ("b", 1)]);
    // Weights 997 and 1 leave one possible total, 997, and one percent of it is 9.97.
    assert!(split_for_shares(&forward(&[("arn-a", Some(997)), ("arn-x", Some(1))]), &two, &one_percent).is_ok());
    // Weights 7 and 991 also leave one possible total, 7, and one percent of it is not a weight.
    let coarse = forward(&[("arn-a", Some(7)), ("arn-x", Some(991))]);
    let error = split_for_shares(&coarse, &two, &one_percent).unwrap_err();
    assert_eq!(error, ShareError::TooFar { cluster: "a".into(), wanted: 99, got: 85.714, max: 999 });
    let nothing = forward(&[("arn-a", Some(0)), ("arn-x", Some(1))]);
    assert_eq!(split_for_shares(&nothing, &two, &one_percent), Err(ShareError::NothingManaged));
    let full = forward(&[("arn-a", Some(1)), ("x1", Some(1)), ("x2", Some(1)), ("x3", Some(1)), ("x4", Some(1))]);
    assert_eq!(split_for_shares(&full, &two, &one_percent), Err(ShareError::TooManyMembers(6, 5)));
    let large = forward(&[("arn-a", Some(999)), ("arn-b", Some(999)), ("arn-x", Some(997))]);
    assert_eq!(split_for_shares(&large, &two, &shares(&[("a", 100), ("b", 0)])), Err(ShareError::TooLarge(999)));
    assert_eq!(
        split_for_shares(&forward(&[("arn-a", None)]), &two, &shares(&[("a", 100)])),
        Err(ShareError::InvalidShares)
    );
    let same = vec![("a".to_owned(), "arn-a".to_owned()), ("b".to_owned(), "arn-a".to_owned())];
    assert_eq!(
        split_for_shares(&forward(&[("arn-a", None)]), &same, &one_percent),
        Err(ShareError::Duplicate("arn-a".into()))
    );
}

#[test]
fn detaching_never_revives_a_group_at_zero() {
    let live = forward(&[("arn-a", Some(0)), ("arn-b", Some(100))]);
    assert_eq!(detach(&live, &["arn-b"]), None);
    let back = forward(&[("arn-a", Some(100)), ("arn-b", Some(0))]);
    assert_eq!(detach(&back, &["arn-b"]), Some(forward(&[("arn-a", Some(100))])));
}

/// Generates actions with one to three managed groups and up to two others, any weights, in any order; and shares of
/// two or three clusters, of which the last may not be attached yet.
fn cases() -> impl Strategy<Value = (Split, Vec<(String, String)>, Shares)> {
    let weight = prop_oneof![Just(0u16), 1..=10u16, 1..=999u16, Just(100), Just(999)];
    let third = prop::collection::vec(weight.clone(), 0..=2);
    let cut = prop_oneof![Just(0u32), Just(1), Just(100), 0..=100u32];
    (2..=3usize, prop::collection::vec(weight, 3), third, 1..=3usize, cut.clone(), cut, any::<prop::sample::Index>())
        .prop_map(|(clusters, own, third, attached, x, y, turn)| {
            let names = &["a", "b", "c"][..clusters];
            let mut tuples: Vec<Member> = Vec::new();
            for (name, weight) in names.iter().zip(&own).take(attached) {
                tuples.push(Member::new(format!("arn-{name}"), Some(*weight)));
            }
            for (i, weight) in third.iter().enumerate() {
                tuples.push(Member::new(format!("other-{i}"), Some(*weight)));
            }
            let by = turn.index(tuples.len());
            tuples.rotate_left(by);
            let (low, high) = (x.min(y), x.max(y));
            let cuts = if clusters == 2 { vec![low, 100 - low] } else { vec![low, high - low, 100 - high] };
            let shares = names.iter().map(|n| (*n).to_owned()).zip(cuts).collect();
            (Split { members: tuples }, managed(names), shares)
        })
}

fn sum(f: &Split) -> u64 {
    f.members.iter().map(|t| u64::from(f.weight(&t.id).unwrap())).sum()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn computed_weights_are_safe_to_write((original, managed, shares) in cases()) {
        let Ok(set) = split_for_shares(&original, &managed, &shares) else { return Ok(()) };
        prop_assert!(set.members.len() <= LIMITS.max_members);
        prop_assert!(set.members.iter().all(|t| t.weight.is_some_and(|w| w <= 999)));
        prop_assert!(sum(&set) > 0);
        prop_assert!(set.members.iter().zip(&original.members).all(|(s, o)| s.id == o.id));
        let ours: u64 = managed.iter().map(|(_, arn)| u64::from(set.weight(arn).unwrap())).sum();
        for (cluster, arn) in &managed {
            let weight = u64::from(set.weight(arn).unwrap());
            prop_assert_eq!(weight == 0, shares[cluster] == 0, "a share must be 0 exactly if its weight is 0");
            prop_assert_eq!(weight == ours, shares[cluster] == 100, "a share must be 100 exactly if its weight is all of the managed weight");
        }
        for t in original.members.iter().filter(|t| managed.iter().all(|(_, own)| *own != t.id)) {
            let (before, after) = (original.weight(&t.id).unwrap(), set.weight(&t.id).unwrap());
            prop_assert_eq!(u64::from(before) * sum(&set), u64::from(after) * sum(&original), "third-party groups must keep their share of the whole");
        }
    }

    #[test]
    fn computed_weights_read_back_as_the_wanted_shares((original, managed, shares) in cases()) {
        let Ok(set) = split_for_shares(&original, &managed, &shares) else { return Ok(()) };
        let live = live_shares(&set, &managed).expect("the action should have managed groups");
        for (cluster, wanted) in &shares {
            let off = (live[cluster] - f64::from(*wanted)).abs();
            prop_assert!(off <= 0.5 + 1e-9 && off <= f64::from(*wanted) / 10.0 + 1e-9);
        }
        prop_assert!(matches_shares(&set, &managed, &shares));
    }

    #[test]
    fn no_other_total_is_closer((original, managed, shares) in cases()) {
        let Ok(set) = split_for_shares(&original, &managed, &shares) else { return Ok(()) };
        let (a, b) = match shares.values().map(|s| u64::from(*s)).collect::<Vec<_>>()[..] {
            [a, b] if a > 0 && b > 0 => (a, b),
            _ => return Ok(()),
        };
        let whole = sum(&original);
        let ours = |f: &Split| -> u64 { managed.iter().map(|(_, arn)| u64::from(f.weight(arn).unwrap_or(0))).sum() };
        let others: Vec<u64> = original.members.iter().filter(|t| managed.iter().all(|(_, own)| *own != t.id))
            .map(|t| u64::from(original.weight(&t.id).unwrap())).collect();
        let (got, total) = (u64::from(set.weight("arn-a").unwrap()), ours(&set));
        let error = (got * 100).abs_diff(a * total);
        for other in 2..=4 * 999u64 {
            // Try every total at which the weights of the other groups are whole numbers, and both neighbours of the
            // exact weight.
            if others.iter().any(|w| (w * other) % whole != 0 || w * other / whole > 999) || (ours(&original) * other) % whole != 0 {
                continue;
            }
            let part = ours(&original) * other / whole;
            for one in [a * part / 100, a * part / 100 + 1] {
                if one > 0 && one < part && one <= 999 && part - one <= 999 {
                    let off = (one * 100).abs_diff(a * part);
                    prop_assert!(error * part <= off * total, "{one}:{} is closer to {a}:{b} than {got} of {total}", part - one);
                }
            }
        }
    }

    #[test]
    fn computing_again_changes_nothing((original, managed, shares) in cases()) {
        let Ok(set) = split_for_shares(&original, &managed, &shares) else { return Ok(()) };
        prop_assert!(split_for_shares(&set, &managed, &shares).unwrap().equivalent(&set));
    }

    #[test]
    fn the_order_of_groups_does_not_matter((original, managed, shares) in cases(), by in any::<prop::sample::Index>()) {
        let mut turned = original.clone();
        let n = by.index(turned.members.len());
        turned.members.rotate_left(n);
        let mut other = managed.clone();
        other.reverse();
        let table = |f: Result<Split, ShareError>| -> Option<BTreeMap<String, Option<u16>>> {
            f.ok().map(|f| f.members.iter().map(|t| (t.id.clone(), t.weight)).collect())
        };
        prop_assert_eq!(table(split_for_shares(&original, &managed, &shares)), table(split_for_shares(&turned, &other, &shares)));
    }

    #[test]
    fn attaching_equals_the_start_shares((original, managed, _) in cases()) {
        // If the first cluster has the whole managed part, attaching the other groups with weight 0 and computing the
        // weights of 100 % for it give the same split.
        let whole = managed.iter().skip(1).all(|(_, arn)| original.weight(arn).unwrap_or(0) == 0);
        let start: Shares = managed.iter().enumerate().map(|(i, (c, _))| (c.clone(), if i == 0 { 100 } else { 0 })).collect();
        if !whole || original.weight("arn-a").unwrap_or(0) == 0 {
            return Ok(());
        }
        let arns: Vec<&str> = managed.iter().map(|(_, arn)| arn.as_str()).collect();
        let attached = attach(&original, &arns);
        prop_assert_eq!(split_for_shares(&original, &managed, &start).unwrap(), attached.clone());
        prop_assert_eq!(attach(&attached, &arns), attached);
    }
}
