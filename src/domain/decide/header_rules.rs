//! Decides when header rules are planned, made, searched and removed. Which rules a route needs is decided for each kind
//! of load balancer (`elb::header_route`).

use jiff::{SignedDuration, Timestamp};

use super::context::Context;
use super::decision::{Decision, HeaderTask, wait};
use super::{failure, gates};
use crate::base::time::later;
use crate::base::{arn, duration};
use crate::domain::run::event::{Event, FreezeReason, Wait, WaitReason};
use crate::domain::run::header_rule::{HeaderRuleProgress, HeaderRuleState};
use crate::domain::run::state::State;
use crate::plan::model::{HeaderMatch, StepKind};

/// The maximum delay between a change and the first reading that shows it. AWS documents no limit.
const MAX_DELAY: SignedDuration = SignedDuration::from_secs(10);

/// Returns the next decision for a `setHeaderRoute` step.
pub fn step(c: &Context<'_>) -> Decision {
    let Some(StepKind::HeaderRoute(headers)) = c.step_kind() else { return Decision::Wait(Vec::new()) };
    let all = &c.state.header_rules;
    if let Some(why) = &all.refused {
        return failure::write_failed(c, why.clone());
    }
    let current = all.planned_for == Some(c.state.step);
    if let Some(decision) = removal(c.state, |rule| rule.step != c.state.step || !current) {
        return waiting(c).unwrap_or(decision);
    }
    if let Some(decision) = not_removed(c) {
        return decision;
    }
    if let Some(decision) = make(c, headers, current).filter(|_| !headers.is_empty()) {
        return decision;
    }
    if let Some(until) = settles_at(c) {
        return wait(WaitReason::Settle, "the header rules are changed and read back; settling", Some(until));
    }
    let step = c.state.step;
    Decision::Record(vec![Event::Settled { step }, Event::StepDone { step }])
}

/// Returns the next decision until the rules of the step are made; `None` if all are made.
fn make(c: &Context<'_>, headers: &[HeaderMatch], current: bool) -> Option<Decision> {
    let all = &c.state.header_rules;
    let pending = all.numbers(|rule| rule.progress == HeaderRuleProgress::Planned);
    let unknown = all.rules.values().any(|rule| matches!(rule.progress, HeaderRuleProgress::Sent(_)));
    if headers.is_empty() || (current && pending.is_empty() && !unknown) {
        return None;
    }
    let since = all.changed_at.map_or(c.state.gate_timeout_since, |at| at.max(c.state.gate_timeout_since));
    let timeout = c.plan.strategy.gates.timeout;
    if current && later(since, timeout) <= c.now {
        let left = all.rules.values().find(|rule| !matches!(rule.progress, HeaderRuleProgress::Made(..)))?;
        let message = format!("{} could not be made within {}", left.rule.label, duration::format_exact(timeout));
        return Some(failure::write_failed(c, message));
    }
    if unknown {
        return Some(waiting(c).unwrap_or(Decision::HeaderRules(HeaderTask::Find)));
    }
    // A header rule sends requests to the new cluster, so the raise gate of these groups must pass.
    gates::require_raise_gates(c, &groups(c), c.state.step)
        .or_else(|| waiting(c))
        .or(Some(Decision::HeaderRules(if current { HeaderTask::Create(pending) } else { HeaderTask::Plan })))
}

/// Returns the target groups of the new cluster.
fn groups(c: &Context<'_>) -> Vec<String> {
    let to = &c.plan.strategy.to;
    let mut groups: Vec<String> =
        c.state.routes.values().filter_map(|route| route.start.groups.get(to).cloned()).collect();
    groups.sort_unstable();
    groups.dedup();
    groups
}

/// Returns the wait after a failed attempt, with its reason.
fn waiting(c: &Context<'_>) -> Option<Decision> {
    let waits = &c.observed.header_waits;
    (!waits.is_empty()).then(|| Decision::Wait(waits.clone()))
}

/// Returns the time until which the change of the header rules settles; `None` if it has settled.
fn settles_at(c: &Context<'_>) -> Option<Timestamp> {
    let changed = c.state.header_rules.changed_at.filter(|at| *at >= c.state.step_since)?;
    let until = later(changed, c.plan.strategy.settle);
    (until > c.now).then_some(until)
}

/// Returns the next decision until no header rule is left at the end of a run.
pub fn at_end(c: &Context<'_>) -> Option<Decision> {
    removal(c.state, |_| true).map(|decision| waiting(c).unwrap_or(decision)).or_else(|| not_removed(c))
}

/// Returns the freeze of a run whose rules the load balancer refused to remove. The traffic stays where it is: a rule
/// that is left is no reason to roll back.
fn not_removed(c: &Context<'_>) -> Option<Decision> {
    let kept = kept(c.state);
    (!kept.is_empty()).then(|| failure::freeze(FreezeReason::WriteFailed, kept.join("; ")))
}

/// Returns the next decision until no header rule is left in a rollback, except those that the load balancer refused to
/// remove.
pub fn in_rollback(state: &State) -> Option<Decision> {
    removal(state, |_| true)
}

fn removal(state: &State, which: impl Fn(&HeaderRuleState) -> bool) -> Option<Decision> {
    let all = &state.header_rules;
    let made = all.numbers(|rule| matches!(rule.progress, HeaderRuleProgress::Made(..)) && which(rule));
    if !made.is_empty() {
        return Some(Decision::HeaderRules(HeaderTask::Remove(made)));
    }
    let unknown = all.rules.values().any(|rule| matches!(rule.progress, HeaderRuleProgress::Sent(_)) && which(rule));
    unknown.then_some(Decision::HeaderRules(HeaderTask::Find))
}

/// Whether a search at this time proves that a rule that was sent does not exist: the call cannot take effect any more,
/// and every reading shows what took effect.
pub fn is_certain(deadline: Timestamp, read_at: Timestamp) -> bool {
    read_at.duration_since(deadline) > MAX_DELAY
}

/// Returns the rules that the load balancer refused to remove, each with the reason and the command that removes it.
pub fn kept(state: &State) -> Vec<String> {
    let text = |rule: &HeaderRuleState| match &rule.progress {
        HeaderRuleProgress::Kept(id, why) => Some(format!(
            "{}: not removed, so requests with its headers still go to {}: {why}; to remove it: {}",
            rule.rule.label,
            state.started.to,
            arn::delete_rule(id)
        )),
        _ => None,
    };
    state.header_rules.rules.values().filter_map(text).collect()
}

/// Returns the wait for calls about header rules.
pub fn rate_wait(until: Option<Timestamp>) -> Wait {
    Wait { reason: WaitReason::Rate, message: "header rules: limited to the rate of AWS".to_owned(), until }
}
