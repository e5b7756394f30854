//! The preview of a rollback and its only question.

use std::collections::BTreeMap;

use super::args::Rollback;
use crate::app::exit::{Exit, Failure};
use crate::app::names::shares;
use crate::base::number::percent;
use crate::cli::term;
use crate::domain::run::event::{GroupStart, RouteStart};
use crate::plan::model::ClusterName;

/// The most routes that the preview shows.
const SHOWN: usize = 8;

/// Shares by cluster, in percent.
type ByCluster = BTreeMap<ClusterName, f64>;

/// A route's shares by target group, in percent, before and after the rollback.
pub struct RoutePreview {
    label: String,
    now: BTreeMap<String, f64>,
    then: BTreeMap<String, f64>,
}

impl RoutePreview {
    /// A row from a route's shares by cluster, in percent; empty shares if its groups get no traffic.
    pub fn of(route: &RouteStart, groups: &BTreeMap<String, GroupStart>, now: &ByCluster, then: &ByCluster) -> Self {
        let name = |cluster: &String| {
            route.groups.get(cluster).and_then(|arn| groups.get(arn)).map_or(cluster, |g| &g.name).clone()
        };
        let named = |all: &ByCluster| all.iter().map(|(cluster, share)| (name(cluster), *share)).collect();
        Self { label: route.label.clone(), now: named(now), then: named(then) }
    }

    fn line(&self) -> String {
        let words = |all: &BTreeMap<String, f64>| {
            if all.is_empty() { "no traffic to these groups".to_owned() } else { shares(all) }
        };
        format!("  {}: {} → {}", self.label, words(&self.now), words(&self.then))
    }
}

/// A rollback that is proposed to the operator.
pub struct RollbackPreview<'a> {
    /// Its source, such as `shop-edge: the shares before run shop-1, from its tags`.
    pub source: String,
    /// Every route.
    pub rows: Vec<RoutePreview>,
    /// More lines for the operator.
    pub remarks: Vec<String>,
    /// The load balancers of the routes, such as `shop-edge`.
    pub place: String,
    /// The marker of another owner whose process may still run.
    pub other: Option<&'a str>,
}

impl RollbackPreview<'_> {
    fn lines(&self) -> String {
        let mut lines = vec![self.source.clone()];
        lines.extend(self.rows.iter().take(SHOWN).map(RoutePreview::line));
        if self.rows.len() > SHOWN {
            lines.push(format!("  and {} more", self.rows.len() - SHOWN));
        }
        lines.extend(self.remarks.iter().map(|remark| format!("  {remark}")));
        lines.join("\n")
    }

    /// The question: it names the direction, with the shares before and after.
    fn question(&self) -> String {
        let (gain, lose) =
            (changed_groups(&self.rows, |now, then| then > now), changed_groups(&self.rows, |now, then| then < now));
        let routes = match self.rows.len() {
            1 => "the route".to_owned(),
            n => format!("{n} routes"),
        };
        let what = match (gain.is_empty(), lose.is_empty()) {
            (true, true) => format!("Verify {routes} of {} (no change needed) and end the run", self.place),
            (false, true) => format!("Move {routes} of {} back to {gain}", self.place),
            (true, false) => format!("Move {routes} of {} away from {lose}", self.place),
            (false, false) => format!("Move {routes} of {} back to {gain} and away from {lose}", self.place),
        };
        match self.other {
            Some(owner) => format!("{what}, and take over from {owner} (that process stops)?"),
            None => format!("{what}?"),
        }
    }
}

/// The groups whose share changes in one direction: `shop-old (0 % → 100 %)`.
fn changed_groups(rows: &[RoutePreview], which: impl Fn(f64, f64) -> bool) -> String {
    let mut groups: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
    for row in rows {
        let of = |all: &BTreeMap<String, f64>, name: &String| all.get(name).copied().unwrap_or(0.0);
        for name in row.now.keys().chain(row.then.keys().filter(|name| !row.now.contains_key(*name))) {
            groups.entry(name).or_default().push((of(&row.now, name), of(&row.then, name)));
        }
    }
    let groups = groups.into_iter().filter(|(_, changes)| changes.iter().any(|(now, then)| which(*now, *then)));
    let words = groups.map(|(name, changes)| {
        let (now, then): (Vec<_>, Vec<_>) = changes.into_iter().unzip();
        format!("{name} ({} → {})", range(&now), range(&then))
    });
    words.collect::<Vec<_>>().join(", ")
}

/// The range of shares: `0 %`, or `0 to 50 %` if routes differ.
fn range(values: &[f64]) -> String {
    let (least, most) = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)));
    let [least, most] = [percent(least), percent(most)];
    if least == most { format!("{most} %") } else { format!("{least} to {most} %") }
}

/// Shows the proposal and asks, unless `--yes`. Returns whether to take over from another owner.
///
/// # Errors
/// Nothing may be written: the operator declines, there is no terminal, or `--yes` does not cover another owner.
pub fn ask(args: &Rollback, proposal: &RollbackPreview<'_>) -> Result<bool, Failure> {
    term::print_error(&proposal.lines());
    let over = proposal.other.filter(|_| !args.take_over);
    let said = if args.yes { Ok(true) } else { term::confirm(&proposal.question()) };
    match (said, over) {
        (Ok(true), Some(owner)) if args.yes => {
            let why = format!("another run owns this load balancer (run, owner, since): {owner}; nothing was written");
            Err(Failure::new(Exit::Locked, why)
                .next("to roll back anyway (their process stops): repeat the command with --take-over"))
        }
        (Ok(true), over) => Ok(args.take_over || over.is_some()),
        (Ok(false), _) => Err(Failure::new(Exit::Usage, "nothing was written")),
        (Err(_), over) => {
            let flags = if over.is_some() { "--yes --take-over" } else { "--yes" };
            Err(Failure::new(Exit::Usage, "nothing was written: there is no terminal for the question")
                .next(format!("to do what is shown above, add {flags}")))
        }
    }
}
