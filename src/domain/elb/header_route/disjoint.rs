//! Decides whether two rules certainly match no common request. In doubt, they may match one.

use crate::domain::elb::rule::Condition;

/// Whether no request meets both lists of conditions.
pub(super) fn are_disjoint(one: &[Condition], other: &[Condition]) -> bool {
    let contradict = |a: &Condition, b: &Condition| match (a.field.as_str(), a.texts(), b.texts()) {
        _ if a.field != b.field => false,
        ("host-header", Some(a), Some(b)) => all_differ(&a, &b, str::to_ascii_lowercase),
        ("path-pattern", Some(a), Some(b)) => all_differ(&a, &b, str::to_owned),
        ("http-request-method", Some(a), Some(b)) => !a.iter().any(|method| b.contains(method)),
        _ => false,
    };
    one.iter().any(|a| other.iter().any(|b| contradict(a, b)))
}

fn all_differ(one: &[&str], other: &[&str], normal: fn(&str) -> String) -> bool {
    one.iter().all(|a| other.iter().all(|b| differ(&normal(a), &normal(b))))
}

/// Whether no text matches both patterns, as far as their parts before the first wildcard tell.
fn differ(one: &str, other: &str) -> bool {
    let fixed = |pattern: &str| pattern.split(['*', '?']).next().unwrap_or_default().len();
    let (a, b) = (&one[..fixed(one)], &other[..fixed(other)]);
    match (a.len() == one.len(), b.len() == other.len()) {
        (true, true) => a != b,
        // The text without wildcards must begin with the fixed part of the pattern.
        (true, false) => !a.starts_with(b),
        (false, true) => !b.starts_with(a),
        (false, false) => !a.starts_with(b) && !b.starts_with(a),
    }
}
