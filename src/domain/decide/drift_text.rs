//! Describes changes of a run's routes by other actors, and the commands for an operator. Do not add decisions here.

use super::context::Context;
use super::desired_split::{self, shares_text};
use super::drift_cause;
use super::left_out;
use super::replacement::deleted_object;
pub use super::replacement::describe_deletion;
use crate::domain::run::state::{Route, State};

/// Returns why changes by other actors freeze the run, and the command that continues the run if only one command does.
/// `None` if no change needs a decision of an operator.
pub fn freeze_message(state: &State) -> Option<String> {
    let run = &state.run;
    let mut replaced = state.undecided_replacements();
    if let Some((rule, route)) = replaced.next() {
        let others = state.undecided().filter(|other| other.start.id != route.start.id).count();
        return Some(format!(
            "{} was deleted, and {} was created with the same conditions ({}){}; \
             to continue with the new rule: cutover resume {run} --keep-live --include-new",
            route.start.label,
            rule.label,
            rule.conditions,
            and_more(others)
        ));
    }
    let mut undecided = state.undecided();
    let first = undecided.next()?;
    let and_more = and_more(undecided.count());
    let (label, cause) = (&first.start.label, drift_cause::likely_cause(first));
    Some(match &first.changed_conditions {
        _ if first.is_missing() => {
            let deletion = describe_deletion(state, first, &[]);
            format!("{label}: {deletion}{and_more}; {cause}; to accept the deletion: cutover resume {run} --keep-live")
        }
        Some(after) => format!(
            "{label} handles other requests: someone else changed its conditions from `{}` to `{after}`{and_more}; \
             to accept the new conditions: cutover resume {run} --keep-live",
            first.conditions
        ),
        None if drift_cause::has_restarted(first) => format!(
            "{label} was reloaded{and_more}: {cause}; to write the shares again: cutover resume {run} --reassert"
        ),
        None => format!("{label} was changed by someone else{and_more}; {cause}"),
    })
}

fn and_more(others: usize) -> String {
    if others > 0 { format!(", and {others} more") } else { String::new() }
}

/// Returns why the shares of this run cannot be written again (`resume --reassert`); `None` if they can.
pub fn not_reassertable(state: &State) -> Option<String> {
    let run = &state.run;
    let back = format!("to roll back: cutover rollback {run}");
    if let Some(route) = state.routes.values().find(|route| route.is_missing()) {
        let replaced = state.replacements(route).any(|rule| state.is_undecided(rule));
        let options = if replaced { "--keep-live --include-new" } else { "--keep-live" };
        return Some(format!(
            "{}: {}; a deleted {} cannot be written again; to continue with what is live: \
             cutover resume {run} {options}; {back}",
            route.start.label,
            describe_deletion(state, route, &[]),
            deleted_object(route)
        ));
    }
    let route = state.routes.values().find(|route| route.changed_conditions.is_some())?;
    Some(format!(
        "{}: {}, and cutover does not write conditions; to accept the new conditions: cutover resume {run} --keep-live; {back}",
        route.start.label,
        describe_conditions(route)?
    ))
}

/// Describes how the conditions of a route changed; `None` if the conditions did not change.
pub fn describe_conditions(route: &Route) -> Option<String> {
    let after = route.changed_conditions.as_ref()?;
    Some(format!("the conditions changed from `{}` to `{after}`", route.conditions))
}

/// Describes the changes by other actors that an operator accepted, one text per route.
pub fn accepted(c: &Context<'_>) -> Vec<String> {
    let state = c.state;
    let deleted = state.routes.values().filter(|route| route.deletion_accepted);
    let deleted = deleted.map(|route| {
        let deletion = describe_deletion(state, route, &c.observed.census);
        format!("{}: {deletion}, accepted with `resume --keep-live`", route.start.label)
    });
    let changed = state.routes.values().filter(|route| route.conditions != route.start.conditions);
    let changed = changed.map(|route| {
        let (label, before, now) = (&route.start.label, &route.start.conditions, &route.conditions);
        format!("{label}: the conditions are `{now}`, no longer `{before}`, accepted with `resume --keep-live`")
    });
    deleted.chain(changed).chain(left_out::texts(state)).collect()
}

/// Returns the routes that do not have the shares of the plan's last step, after this step, each with the reason. The
/// first list has the routes that no operator accepted, the second list has the accepted routes.
pub fn not_as_planned(c: &Context<'_>) -> (Vec<String>, Vec<String>) {
    let (mut left, mut accepted) = (Vec::new(), accepted(c));
    for route in c.state.routes.values() {
        let label = &route.start.label;
        if route.is_missing() {
            left.push(format!("{label}: {}", describe_deletion(c.state, route, &c.observed.census)));
        }
        let last = c.plan.strategy.steps.len();
        let desired = desired_split::after_step(c.plan, &c.state.started, route, last);
        if route.is_deleted() || desired.is_ok_and(|desired| desired.equivalent(route.split())) {
            continue;
        }
        let shares = shares_text(&route.start, route.split());
        if route.live_accepted {
            accepted.push(format!("{label}: {shares}, accepted with `resume --keep-live`"));
        } else {
            left.push(format!("{label}: {shares}, which are not the shares of the last step"));
        }
    }
    left.extend(c.state.undecided_replacements().map(|(rule, route)| {
        let (label, old) = (&rule.label, &route.start.label);
        format!(
            "{label}, created with the conditions of {old}, was not moved: {}",
            shares_text(rule, &rule.content.split)
        )
    }));
    (left, accepted)
}
