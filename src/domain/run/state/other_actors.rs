//! What other actors did to a run's routes, and whether an operator has decided about it: queries on the state. Messages
//! belong in `decide`.

use super::model::{Route, State};
use crate::domain::run::event::RouteStart;
use crate::domain::traffic::{FoundRoute, RouteId, RouteKind, same_conditions};

impl Route {
    /// Whether another actor deleted its rule and no operator accepted that.
    pub fn is_missing(&self) -> bool {
        self.is_deleted() && !self.deletion_accepted
    }

    /// Whether an operator has to decide about what another actor did to it: the run raises nothing before.
    pub fn needs_operator(&self) -> bool {
        let drifted = self.drifted_content().is_some() && !self.reassert;
        drifted || self.is_missing() || self.changed_conditions.is_some()
    }

    /// Whether a rule handles the requests that this route handled, beside it: Terraform deletes a rule and creates it
    /// again, for example with another priority.
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

/// What decides which requests a rule handles.
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
    /// Routes about which an operator has to decide.
    pub fn undecided(&self) -> impl Iterator<Item = &Route> {
        self.routes.values().filter(|route| route.needs_operator())
    }

    /// Returns the deleted route that a rule of another actor replaces.
    pub fn replaced_route(&self, rule: &RouteStart) -> Option<&Route> {
        self.routes.values().find(|route| route.is_deleted() && route.has_conditions_of(rule))
    }

    /// Returns the rules of other actors that replace a deleted route, those that joined the run included.
    pub fn replacements<'a>(&'a self, deleted: &'a Route) -> impl Iterator<Item = &'a RouteStart> {
        let joined = self.routes.values().filter(|route| !route.is_deleted()).map(|route| &route.start);
        let rules = joined.chain(self.newcomers.values()).filter(|rule| deleted.has_conditions_of(*rule));
        rules.filter(|_| deleted.is_deleted())
    }

    /// Whether a rule replaces a deleted route, does not belong to the run, and no operator has accepted that.
    pub fn is_undecided(&self, rule: &RouteStart) -> bool {
        self.newcomers.contains_key(&rule.id)
            && !self.accepted_newcomers.contains(&rule.id)
            && self.replaced_route(rule).is_some()
    }

    /// Such rules, each with the route that it replaces.
    pub fn undecided_replacements(&self) -> impl Iterator<Item = (&RouteStart, &Route)> {
        let undecided = self.newcomers.values().filter(|rule| self.is_undecided(rule));
        undecided.filter_map(|rule| Some((rule, self.replaced_route(rule)?)))
    }
}
