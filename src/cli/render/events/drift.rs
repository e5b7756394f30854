//! Sums up drift: if another actor changes a hundred routes at once, each kind of change is one line.

use super::line::EventText;
use crate::app::names::Names;
use crate::base::number::count;
use crate::base::text::list;
use crate::cli::render::style::Tone;
use crate::domain::run::event::Record;
use crate::domain::traffic::{RouteContent, RouteId};

/// The change of a route.
#[derive(Debug, Clone, PartialEq)]
enum RouteChange {
    Deleted,
    Changed(String),
    /// The load balancer's process is another one, which has lost the weights.
    Reloaded(String),
    /// The load balancer's process is another one, which has the weights of the process before.
    KeptWeights(String),
    AsBefore,
}

/// Changes that have no line yet, each with its routes, in the order of their first route.
#[derive(Debug, Clone, Default)]
pub(super) struct DriftSummary {
    open: Vec<(RouteChange, Vec<String>)>,
    /// The record of the first change.
    first: Option<Record>,
}

impl DriftSummary {
    /// Adds the drift of a route.
    pub fn add(
        &mut self,
        record: &Record,
        route: &RouteId,
        expected: &RouteContent,
        live: Option<&RouteContent>,
        names: &Names,
    ) {
        let change = change(route, expected, live, names);
        self.first.get_or_insert_with(|| record.clone());
        match self.open.iter_mut().find(|(known, _)| *known == change) {
            Some((_, routes)) => routes.push(names.route(route)),
            None => self.open.push((change, vec![names.route(route)])),
        }
    }

    /// Returns the lines that are due, and the record whose time they show.
    pub fn take(&mut self) -> Option<(Record, Vec<EventText>)> {
        let first = self.first.take()?;
        Some((first, std::mem::take(&mut self.open).iter().map(|(change, routes)| line(change, routes)).collect()))
    }
}

/// Returns the line about the drift of a single route.
pub(super) fn one(route: &RouteId, expected: &RouteContent, live: Option<&RouteContent>, names: &Names) -> EventText {
    line(&change(route, expected, live, names), &[names.route(route)])
}

fn change(route: &RouteId, expected: &RouteContent, live: Option<&RouteContent>, names: &Names) -> RouteChange {
    let Some(live) = live else { return RouteChange::Deleted };
    match names.change(route, expected, live) {
        None => RouteChange::AsBefore,
        Some(text) if expected.kept_as(live) => RouteChange::KeptWeights(text),
        Some(text) if expected.restarted_as(live) => RouteChange::Reloaded(text),
        Some(text) => RouteChange::Changed(text),
    }
}

fn line(change: &RouteChange, routes: &[String]) -> EventText {
    let (who, them, are, rules) = match routes {
        [one] => (one.clone(), "the route", "is", "the rule"),
        many => (format!("{} ({})", count(many.len(), "route"), list(many)), "the routes", "are", "the rules"),
    };
    match change {
        RouteChange::KeptWeights(change) => {
            EventText::new(Tone::Good, "✓", format!("{who}: the load balancer was {change}"))
        }
        RouteChange::Reloaded(change) => {
            EventText::new(Tone::Bad, "✗", format!("{who}: the load balancer was {change}"))
        }
        RouteChange::Deleted => EventText::new(Tone::Bad, "✗", format!("{who}: someone deleted {rules}")),
        RouteChange::Changed(change) => {
            EventText::new(Tone::Bad, "✗", format!("{who}: someone else changed {them}: {change}"))
        }
        RouteChange::AsBefore => {
            EventText::new(Tone::Good, "✓", format!("{who}: {them} {are} as before the change again"))
        }
    }
}
