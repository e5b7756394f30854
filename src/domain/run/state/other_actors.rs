//! Queries the state for changes of a run's routes by other actors, and for decisions of an operator about these
//! changes. Messages belong in `decide`.

use super::model::{Route, State};
use crate::domain::run::event::RouteStart;
use crate::domain::traffic::{FoundRoute, RouteId, RouteKind, same_conditions};

impl Route {
    /// Whether another actor deleted the route's rule and no operator has accepted the deletion.
    pub fn is_missing(&self) -> bool {
        self.is_deleted() && !self.deletion_accepted
    }

    /// Whether an operator must decide about a change of this route by another actor, before the run raises any share.
    pub fn needs_operator(&self) -> bool {
        let drifted = self.drifted_content().is_some() && !self.reassert;
        drifted || self.is_missing() || self.changed_conditions.is_some()
    }

    /// Whether another rule has the same conditions on the same listener as this route. Terraform, for example, deletes
    /// a rule and creates it again with another priority.
    pub fn has_conditions_of<'a>(&self, rule: impl Into<RuleConditions<'a>>) -> bool {
        let (start, rule) = (&self.start, rule.into());
        start.id != *rule.id
            && start.id.kind() == RouteKind::Rule
            && start.load_balancer == rule.load_balancer
            && start.listener == rule.listener
            && !self.conditions.is_empty()
            && same_conditions(&self.conditions, rule.conditions)
    }
}

/// The parts of a rule that determine which requests the rule handles.
#[derive(Debug, Clone, Copy)]
pub struct RuleConditions<'a> {
    id: &'a RouteId,
    load_balancer: &'a str,
    listener: &'a str,
    conditions: &'a str,
}

impl<'a> From<&'a RouteStart> for RuleConditions<'a> {
    fn from(rule: &'a RouteStart) -> Self {
        let RouteStart { id, load_balancer, listener, conditions, .. } = rule;
        Self { id, load_balancer, listener, conditions }
    }
}

impl<'a> From<&'a FoundRoute> for RuleConditions<'a> {
    fn from(rule: &'a FoundRoute) -> Self {
        let FoundRoute { id, load_balancer, listener, conditions, .. } = rule;
        Self { id, load_balancer, listener, conditions }
    }
}

impl State {
    /// Returns the routes that need a decision of an operator.
    pub fn undecided(&self) -> impl Iterator<Item = &Route> {
        self.routes.values().filter(|route| route.needs_operator())
    }

    /// Returns the deleted route that a rule of another actor replaces.
    pub fn replaced_route(&self, rule: &RouteStart) -> Option<&Route> {
        self.routes.values().find(|route| route.is_deleted() && route.has_conditions_of(rule))
    }

    /// Returns the rules of other actors that replace a deleted route, including rules that belong to the run now.
    pub fn replacements<'a>(&'a self, deleted: &'a Route) -> impl Iterator<Item = &'a RouteStart> {
        let joined = self.routes.values().filter(|route| !route.is_deleted()).map(|route| &route.start);
        let rules = joined.chain(self.newcomers.values()).filter(|rule| deleted.has_conditions_of(*rule));
        rules.filter(|_| deleted.is_deleted())
    }

    /// Whether a rule replaces a deleted route, does not belong to the run, and was not accepted by an operator.
    pub fn is_undecided(&self, rule: &RouteStart) -> bool {
        self.newcomers.contains_key(&rule.id)
            && !self.accepted_newcomers.contains(&rule.id)
            && self.replaced_route(rule).is_some()
    }

    /// Returns the rules for which [`State::is_undecided`] is true, each with the route that the rule replaces.
    pub fn undecided_replacements(&self) -> impl Iterator<Item = (&RouteStart, &Route)> {
        let undecided = self.newcomers.values().filter(|rule| self.is_undecided(rule));
        undecided.filter_map(|rule| Some((rule, self.replaced_route(rule)?)))
    }
}
