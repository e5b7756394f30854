//! Describes how a command changes the shares of routes, for previews and questions: how many routes, and from which
//! target group and share to which. Every question that moves traffic uses these sentences.

use std::collections::BTreeMap;

use crate::app::names::shares;
use crate::base::number::{count, percent};
use crate::domain::run::event::{GroupStart, RouteStart};
use crate::domain::view::check::{CheckReport, RouteLine};
use crate::plan::model::ClusterName;

/// Maximum number of lines of a preview that names not every route.
const SHOWN_LINES: usize = 8;
/// Maximum number of routes that a line of the preview names; more routes are counted.
const NAMED_ROUTES: usize = 2;
/// Shares that differ by less are equal, in percent.
const SAME: f64 = 0.005;

/// Shares by cluster, in percent.
type ByCluster = BTreeMap<ClusterName, f64>;

/// The shares of a route by target group, in percent, before and after a command.
pub struct RouteMove {
    label: String,
    now: BTreeMap<String, f64>,
    then: BTreeMap<String, f64>,
}

impl RouteMove {
    /// Creates the move of a route from its shares by cluster, in percent. Empty shares mean that the groups get no
    /// traffic.
    pub fn of(
        label: String,
        route: &RouteStart,
        groups: &BTreeMap<String, GroupStart>,
        now: &ByCluster,
        then: &ByCluster,
    ) -> Self {
        let name = |cluster: &String| {
            route.groups.get(cluster).and_then(|arn| groups.get(arn)).map_or(cluster, |g| &g.name).clone()
        };
        let by_name = |all: &ByCluster| all.iter().map(|(cluster, share)| (name(cluster), *share)).collect();
        Self { label, now: by_name(now), then: by_name(then) }
    }

    fn changes(&self) -> bool {
        let names = self.now.keys().chain(self.then.keys());
        names.into_iter().any(|name| (share(&self.now, name) - share(&self.then, name)).abs() > SAME)
    }

    fn change(&self) -> String {
        let text = |all: &BTreeMap<String, f64>| {
            if all.is_empty() { "no traffic to these groups".to_owned() } else { shares(all) }
        };
        if self.changes() {
            format!("{} → {}", text(&self.now), text(&self.then))
        } else {
            format!("{}, no change", text(&self.then))
        }
    }
}

/// The routes that a command concerns, and their load balancers.
pub struct Moves {
    /// The routes.
    pub routes: Vec<RouteMove>,
    /// Names of the load balancers that the routes belong to, such as `shop-edge`.
    pub load_balancers: String,
}

impl Moves {
    /// Returns the number of the first step that moves shares in the report of `check`, and its moves. The shares are
    /// those of all groups of a route.
    pub fn first_of(report: &CheckReport) -> Option<(usize, Self)> {
        let shares_at = |route: &RouteLine, step: usize| -> BTreeMap<String, f64> {
            let weights = route.weights.iter().find(|weights| weights.step == step).map(|weights| &weights.groups);
            let Some(Ok(groups)) = weights else { return BTreeMap::new() };
            let total: f64 = groups.iter().map(|(_, weight)| f64::from(*weight)).sum();
            let share = |weight: u16| if total > 0.0 { f64::from(weight) * 100.0 / total } else { 0.0 };
            groups.iter().map(|(name, weight)| (name.clone(), share(*weight))).collect()
        };
        let mut steps: Vec<_> = report.routes.iter().flat_map(|r| r.weights.iter().map(|w| w.step)).collect();
        steps.sort_unstable();
        steps.dedup();
        let mut load_balancers: Vec<_> = report.routes.iter().map(|route| route.load_balancer.as_str()).collect();
        load_balancers.sort_unstable();
        load_balancers.dedup();
        let moves = |step: usize| Self {
            routes: report
                .routes
                .iter()
                .map(|r| RouteMove { label: r.label.clone(), now: shares_at(r, 0), then: shares_at(r, step) })
                .collect(),
            load_balancers: load_balancers.join(", "),
        };
        let all = steps.into_iter().filter(|step| *step > 0).map(|step| (step, moves(step)));
        all.into_iter().find(|(_, moves)| moves.routes.iter().any(RouteMove::changes))
    }

    /// Returns the lines of a preview: routes with the same change share a line, and the changes come first. With
    /// `all`, each route has its own line.
    pub fn preview(&self, all: bool) -> Vec<String> {
        let mut lines: Vec<(bool, String, Vec<&str>)> = Vec::new();
        for route in &self.routes {
            let change = route.change();
            match lines.iter_mut().find(|(_, known, _)| *known == change && !all) {
                Some((.., labels)) => labels.push(&route.label),
                None => lines.push((!route.changes(), change, vec![&route.label])),
            }
        }
        lines.sort_by_key(|(unchanged, ..)| *unchanged);
        let shown = if all { lines.len() } else { SHOWN_LINES };
        let hidden: usize = lines.iter().skip(shown).map(|(.., labels)| labels.len()).sum();
        let line = |(_, change, labels): &(bool, String, Vec<&str>)| match labels.len() {
            1..=NAMED_ROUTES => format!("{}: {change}", labels.join(", ")),
            n => format!("{n} routes: {change}"),
        };
        let more = (hidden > 0).then(|| format!("and {hidden} more (--verbose lists every route)"));
        lines.iter().take(shown).map(line).chain(more).collect()
    }

    /// Returns the sentence of a rollback, such as `Move 36 routes of shop-edge back to shop-old (50 % → 100 %) and
    /// away from shop-new (50 % → 0 %)`; `None` if no share changes.
    pub fn back(&self) -> Option<String> {
        let (gain, lose) = self.changed();
        let (routes, of) = (self.changing_routes(), &self.load_balancers);
        match (gain.is_empty(), lose.is_empty()) {
            (true, true) => None,
            (false, true) => Some(format!("Move {routes} of {of} back to {gain}")),
            (true, false) => Some(format!("Move {routes} of {of} away from {lose}")),
            (false, false) => Some(format!("Move {routes} of {of} back to {gain} and away from {lose}")),
        }
    }

    /// Returns the sentence of a step, such as `Move 36 routes of shop-edge from shop-old (100 % → 99 %) to shop-new
    /// (0 % → 1 %)`; `None` if no share changes.
    pub fn forward(&self) -> Option<String> {
        let (gain, lose) = self.changed();
        let (routes, of) = (self.changing_routes(), &self.load_balancers);
        match (gain.is_empty(), lose.is_empty()) {
            (true, true) => None,
            (false, true) => Some(format!("Move {routes} of {of} to {gain}")),
            (true, false) => Some(format!("Move {routes} of {of} away from {lose}")),
            (false, false) => Some(format!("Move {routes} of {of} from {lose} to {gain}")),
        }
    }

    /// Returns the number of routes, such as `36 routes`.
    pub fn count(&self) -> String {
        match self.routes.len() {
            1 => "the route".to_owned(),
            n => count(n, "route"),
        }
    }

    /// Returns the number of routes whose shares change, such as `15 of 36 routes`.
    fn changing_routes(&self) -> String {
        match self.routes.iter().filter(|route| route.changes()).count() {
            n if n == self.routes.len() => self.count(),
            n => format!("{n} of {}", count(self.routes.len(), "route")),
        }
    }

    /// Returns the target groups that gain, and those that lose, such as `shop-old (0 % → 100 %)`.
    fn changed(&self) -> (String, String) {
        let mut groups: BTreeMap<&String, Vec<(f64, f64)>> = BTreeMap::new();
        for route in self.routes.iter().filter(|route| route.changes()) {
            let names = route.now.keys().chain(route.then.keys().filter(|name| !route.now.contains_key(*name)));
            for name in names {
                groups.entry(name).or_default().push((share(&route.now, name), share(&route.then, name)));
            }
        }
        let those = |changed: fn(f64, f64) -> bool| {
            let those = groups.iter().filter(|(_, shares)| shares.iter().any(|(now, then)| changed(*now, *then)));
            let text = |(name, shares): (&&String, &Vec<(f64, f64)>)| {
                let (now, then): (Vec<_>, Vec<_>) = shares.iter().copied().unzip();
                format!("{name} ({} → {})", range(&now), range(&then))
            };
            those.map(text).collect::<Vec<_>>().join(", ")
        };
        (those(|now, then| then > now + SAME), those(|now, then| then < now - SAME))
    }
}

fn share(all: &BTreeMap<String, f64>, name: &String) -> f64 {
    all.get(name).copied().unwrap_or(0.0)
}

/// Returns the range of shares, such as `0 %`, or `0 to 50 %` if routes differ.
fn range(values: &[f64]) -> String {
    let (least, most) = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)));
    let [least, most] = [percent(least), percent(most)];
    if least == most { format!("{most} %") } else { format!("{least} to {most} %") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moves(routes: &[(&str, f64, f64)]) -> Moves {
        let all = |b: f64| BTreeMap::from([("shop-a".to_owned(), 100.0 - b), ("shop-b".to_owned(), b)]);
        let route = |(label, now, then): &(&str, f64, f64)| RouteMove {
            label: (*label).to_owned(),
            now: all(*now),
            then: all(*then),
        };
        Moves { routes: routes.iter().map(route).collect(), load_balancers: "shop".to_owned() }
    }

    /// Regression test: of a write that ended half-way, the preview showed only routes that did not change, and the
    /// question counted all routes.
    #[test]
    fn changing_routes_come_first_and_are_counted() {
        let half =
            [("80 default", 0.0, 0.0), ("80 rule 1", 0.0, 0.0), ("80 rule 2", 0.0, 0.0), ("443 rule 1", 1.0, 0.0)];
        let half = moves(&half);
        assert_eq!(
            half.preview(false),
            [
                "443 rule 1: shop-a 99 %, shop-b 1 % → shop-a 100 %, shop-b 0 %",
                "3 routes: shop-a 100 %, shop-b 0 %, no change"
            ]
        );
        assert_eq!(half.preview(true).len(), 4);
        let sentence = "Move 1 of 4 routes of shop back to shop-a (99 % → 100 %) and away from shop-b (1 % → 0 %)";
        assert_eq!(half.back().as_deref(), Some(sentence));
        assert_eq!(moves(&[("80 default", 0.0, 0.0)]).back(), None);
    }

    #[test]
    fn a_step_names_its_direction_and_shares() {
        let step = moves(&[("80 default", 0.0, 5.0), ("80 rule 1", 1.0, 5.0)]);
        let sentence = "Move 2 routes of shop from shop-a (99 to 100 % → 95 %) to shop-b (0 to 1 % → 5 %)";
        assert_eq!(step.forward().as_deref(), Some(sentence));
    }
}
