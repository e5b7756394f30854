//! Describes the rules that replace a deleted route: their live shares, and the command that restores these shares. A
//! run writes such a rule only if an operator included the rule. Do not add decisions about other routes.

use super::after_deletion::requests_go_to;
use super::context::Context;
use super::decision::Decision;
use super::desired_split::shares_text;
use crate::base::arn;
use crate::domain::run::state::{Rollback, Route, State};
use crate::domain::traffic::{FoundRoute, RouteKind, Split};

/// A rule with the conditions of a deleted route.
pub struct Replacement<'a> {
    /// The label of the rule.
    pub label: &'a str,
    /// The split of the rule when it was last read; `None` if the rule belongs to the run.
    pub split: Option<&'a Split>,
}

impl<'a> Replacement<'a> {
    /// Returns the rules that replace a deleted route. `live` is the last list of all rules; if it is empty, the rules
    /// in the journal are used.
    pub fn all(state: &'a State, deleted: &'a Route, live: &'a [FoundRoute]) -> Vec<Self> {
        let joined = |label| Self { label, split: None };
        let rules = state.replacements(deleted).filter(|rule| state.routes.contains_key(&rule.id));
        let mut all: Vec<_> = rules.map(|rule| joined(rule.label.as_str())).collect();
        let outside = |label: &'a String, split| Self { label, split: Some(split) };
        if live.is_empty() {
            let rules = state.replacements(deleted).filter(|rule| !state.routes.contains_key(&rule.id));
            all.extend(rules.map(|rule| outside(&rule.label, &rule.content.split)));
        } else {
            let is_outside = |rule: &&FoundRoute| !state.routes.contains_key(&rule.id);
            let rules = live.iter().filter(is_outside).filter(|rule| deleted.has_conditions_of(*rule));
            all.extend(rules.map(|rule| outside(&rule.label, &rule.content.split)));
        }
        all
    }

    /// Whether an operator need not restore this rule: the rule forwards only to groups that the deleted route used at
    /// the start, or it belongs to the run, which restores it.
    fn needs_nothing(&self, deleted: &Route) -> bool {
        let restored = |split: &Split| {
            deleted.start.groups.values().all(|group| deleted.original().carries(group) || !split.carries(group))
        };
        self.split.is_none_or(restored)
    }

    /// Returns the words about this rule for a sentence about the deleted route.
    pub fn text(&self, deleted: &Route) -> String {
        let label = self.label;
        match self.split {
            None => format!("{label}, which belongs to the run now, has the same conditions as the deleted rule"),
            Some(split) => format!(
                "{label}, which does not belong to the run, has the same conditions as the deleted rule and sends {}",
                shares_text(&deleted.start, split)
            ),
        }
    }
}

/// Describes a deleted route, and the rules that replace the route with their shares. If nothing replaces a rule, says
/// where its requests go now. `live` is the last list of all rules; if it is empty, the rules in the journal are
/// described.
pub fn describe_deletion(state: &State, route: &Route, live: &[FoundRoute]) -> String {
    let deleted = format!("the {} was deleted", deleted_object(route));
    let replacements = Replacement::all(state, route, live);
    if replacements.is_empty() && route.start.id.kind() == RouteKind::Rule {
        return format!("{deleted}; {}", requests_go_to(state, route, live));
    }
    std::iter::once(deleted).chain(replacements.iter().map(|rule| rule.text(route))).collect::<Vec<_>>().join("; ")
}

/// Returns the kind of object that was deleted. A default action can only be deleted together with its listener.
pub fn deleted_object(route: &Route) -> &'static str {
    if route.start.id.kind() == RouteKind::Rule { "rule" } else { "listener" }
}

/// Returns the decision to list all rules. This is needed before the end of a rollback in which a route is deleted.
pub fn list_rules(c: &Context<'_>, rollback: &Rollback) -> Option<Decision> {
    let is_missing = c.state.routes.values().any(Route::is_missing);
    // If the rules cannot be listed, the rollback uses the rules in the journal.
    let unknown = c.observed.census_error.is_none() && !c.observed.has_census_since(rollback.since);
    (is_missing && unknown).then_some(Decision::ReadRoutes)
}

/// Whether other rules replace a deleted route, and the last list of all rules shows that a rollback has nothing to
/// restore there.
pub fn is_restored(c: &Context<'_>, deleted: &Route, rollback: &Rollback) -> bool {
    let all = Replacement::all(c.state, deleted, &c.observed.census);
    c.observed.has_census_since(rollback.since) && !all.is_empty() && all.iter().all(|rule| rule.needs_nothing(deleted))
}

/// Returns the notes about deleted routes that a rollback need not restore.
pub fn notes(c: &Context<'_>, rollback: &Rollback) -> Vec<String> {
    let missing = c.state.routes.values().filter(|route| route.is_missing() && is_restored(c, route, rollback));
    let note = |route: &Route| {
        let (label, to) = (&route.start.label, &c.state.started.to);
        let deletion = describe_deletion(c.state, route, &c.observed.census);
        format!("{label}: {deletion}; nothing is sent to {to}, so nothing has to be restored")
    };
    missing.map(note).collect()
}

/// Describes a deleted route that a rollback cannot restore, with the command that restores the rule in its place.
pub fn unrestored(c: &Context<'_>, deleted: &Route) -> String {
    let text = describe_deletion(c.state, deleted, &c.observed.census);
    let replaced = Replacement::all(c.state, deleted, &c.observed.census);
    let command = replaced.iter().find(|rule| !rule.needs_nothing(deleted)).and_then(|rule| {
        let name = |cluster| Some(&c.state.started.groups.get(deleted.start.groups.get(cluster)?)?.name);
        let (from, to) = (name(&c.state.started.from)?, name(&c.state.started.to)?);
        let load_balancer = arn::name(&deleted.start.load_balancer);
        Some(format!(
            "; to restore {}: cutover rollback --load-balancer {load_balancer} --back-to {from} --away-from {to}",
            rule.label
        ))
    });
    text + &command.unwrap_or_else(|| create_again(c.state, deleted))
}

/// Returns what an operator does about a deleted route that nothing replaces. The requests of a deleted rule go to the
/// rules after it, which the run restores.
fn create_again(state: &State, deleted: &Route) -> String {
    let names = deleted.start.groups.values().filter(|arn| deleted.original().carries(arn));
    let names: Vec<_> = names.filter_map(|arn| state.started.groups.get(arn)).map(|g| g.name.as_str()).collect();
    let object = deleted_object(deleted);
    format!("; to have it back, create the {object} again with a forward action to {}", names.join(", "))
}
