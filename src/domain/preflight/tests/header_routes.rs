//! Tests the checks of a plan with a header route.

use super::*;
use crate::domain::elb::header_route::RULE_QUOTA;
use crate::domain::elb::rule::{Condition, ConditionValue};
use crate::domain::preflight::needed_quotas;
use crate::domain::run::header_rule::TAG_KEY;
use crate::plan::model::{HeaderMatch, Step, StepKind};

/// Returns the plan and the facts of the tests, with a header route before the first share.
fn with_header_route() -> (Plan, Facts) {
    let mut plan = plan();
    let header = HeaderMatch { name: "X-Canary".into(), value: "yes".into() };
    let kind = StepKind::HeaderRoute(vec![header]);
    plan.strategy.steps.insert(1, Step { number: 2, name: None, kind, approval_timeout: None });
    (2..).zip(&mut plan.strategy.steps[2..]).for_each(|(at, step)| step.number = at + 1);
    let mut facts = facts(&plan);
    let path = |priority: u32| Condition {
        field: "path-pattern".into(),
        values: vec![ConditionValue::Plain(format!("/{priority}*"))],
        ..Condition::default()
    };
    for route in facts.live.listeners.values_mut().flatten().flat_map(|all| all.iter_mut().flat_map(|(_, r)| r)) {
        route.rule.conditions = route.priority.map(path).into_iter().collect();
    }
    facts.quotas.insert(RULE_QUOTA, Ok(100));
    (plan, facts)
}

fn codes_after(change: impl FnOnce(&mut Facts)) -> Vec<Code> {
    let (plan, mut facts) = with_header_route();
    change(&mut facts);
    let mut codes: Vec<Code> = check(&plan, &facts, now()).iter().map(|f| f.code).collect();
    codes.retain(|code| (Code::CUT350..=Code::CUT355).contains(code));
    codes.dedup();
    codes
}

fn rules(facts: &mut Facts) -> impl Iterator<Item = &mut crate::domain::elb::balancer::LiveRoute> {
    facts.live.listeners.values_mut().flatten().flat_map(|all| all.iter_mut().flat_map(|(_, routes)| routes))
}

#[test]
fn header_rules_are_counted() {
    let (plan, facts) = with_header_route();
    assert_eq!(needed_quotas(&plan), [RULE_QUOTA]);
    let findings = check(&plan, &facts, now());
    let note = findings.iter().find(|f| f.code == Code::CUT353).expect("the rules should be counted");
    assert_eq!(note.message, "step 2 makes 6 header rules on alpha");
}

#[test]
fn what_does_not_fit_is_named() {
    assert_eq!(codes_after(|_| ()), [Code::CUT353]);
    assert_eq!(codes_after(|f| drop(f.quotas.insert(RULE_QUOTA, Ok(11)))), [Code::CUT351, Code::CUT353]);
    let unreadable = |facts: &mut Facts| {
        let why = Unreadable::Denied("not authorized".to_owned());
        facts.quotas.insert(RULE_QUOTA, Err(why));
    };
    assert_eq!(codes_after(unreadable), [Code::CUT353, Code::CUT355]);
    let in_the_way = |facts: &mut Facts| {
        for route in rules(facts).filter(|route| route.priority == Some(15)) {
            route.priority = Some(1);
        }
    };
    assert_eq!(codes_after(in_the_way), [Code::CUT350]);
    let leftover = |facts: &mut Facts| {
        for route in rules(facts).filter(|route| route.priority == Some(30)) {
            route.tags.insert(TAG_KEY.into(), "alpha-20260301-140200-k3f9 1".into());
        }
    };
    assert_eq!(codes_after(leftover), [Code::CUT354, Code::CUT353]);
    let unknown = |facts: &mut Facts| {
        for route in rules(facts).filter(|route| route.priority == Some(20)) {
            route.rule.unknown = Some("the condition `moon-phase`".into());
        }
    };
    assert_eq!(codes_after(unknown), [Code::CUT352, Code::CUT353]);
}
