//! Spreads the values of a rule's conditions over several rules, because a rule has room for five values. The values of
//! one condition are alternatives, so rules with a part of the values each match the same requests together.

use crate::domain::elb::rule::Condition;

/// The maximum number of values in all conditions of a rule. AWS does not raise this quota
/// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html>).
pub const MAX_VALUES: usize = 5;

/// Returns the conditions of each rule, so that each has room for this many headers; as few rules as possible. `None` if
/// one value of each condition and the headers are already too many. Without conditions, the result is one rule.
pub(super) fn spread(conditions: &[Condition], headers: usize) -> Option<Vec<Vec<Condition>>> {
    let room = MAX_VALUES.checked_sub(headers)?;
    let sizes: Vec<usize> = conditions.iter().map(|c| c.values.len().max(1)).collect();
    if sizes.len() > room {
        return None;
    }
    let mut parts = sizes.clone();
    while parts.iter().sum::<usize>() > room {
        let smaller = |at: usize| {
            let mut parts = parts.clone();
            parts[at] -= 1;
            parts
        };
        let candidates = (0..parts.len()).filter(|at| parts[*at] > 1).map(smaller);
        parts = candidates.min_by_key(|parts| count(&sizes, parts))?;
    }
    let mut rules = vec![Vec::new()];
    for (condition, size) in conditions.iter().zip(parts) {
        let values: Vec<_> = if condition.values.is_empty() {
            vec![condition.clone()]
        } else {
            condition.values.chunks(size).map(|values| condition.with_values(values)).collect()
        };
        let with = |rule: &Vec<Condition>| {
            values.iter().map(|part| [rule.clone(), vec![part.clone()]].concat()).collect::<Vec<_>>()
        };
        rules = rules.iter().flat_map(with).collect();
    }
    Some(rules)
}

/// Returns the number of rules if each has at most this many values of each condition.
fn count(sizes: &[usize], parts: &[usize]) -> usize {
    sizes.iter().zip(parts).map(|(all, part)| all.div_ceil(*part)).product()
}
