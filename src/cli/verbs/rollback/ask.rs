//! The preview of a rollback and the question to the operator.

use std::collections::BTreeMap;

use super::args::Rollback;
use crate::app::exit::{Exit, Failure};
use crate::app::names::shares;
use crate::base::number::percent;
use crate::cli::term;
use crate::domain::run::event::{GroupStart, RouteStart};
use crate::plan::model::ClusterName;

/// Maximum number of routes that the preview shows.
const SHOWN_ROUTES: usize = 8;

/// Shares by cluster, in percent.
type ByCluster = BTreeMap<ClusterName, f64>;

/// The shares of a route by target group, in percent, before and after the rollback.
pub struct RoutePreview {
    label: String,
    now: BTreeMap<String, f64>,
    then: BTreeMap<String, f64>,
}

impl RoutePreview {
    /// Creates a preview from the shares of a route by cluster, in percent. Empty shares mean that the groups get no
    /// traffic.
    pub fn of(route: &RouteStart, groups: &BTreeMap<String, GroupStart>, now: &ByCluster, then: &ByCluster) -> Self {
        let name = |cluster: &String| {
            route.groups.get(cluster).and_then(|arn| groups.get(arn)).map_or(cluster, |g| &g.name).clone()
        };
        let by_name = |all: &ByCluster| all.iter().map(|(cluster, share)| (name(cluster), *share)).collect();
        Self { label: route.label.clone(), now: by_name(now), then: by_name(then) }
    }

    fn line(&self) -> String {
        let text = |all: &BTreeMap<String, f64>| {
            if all.is_empty() { "no traffic to these groups".to_owned() } else { shares(all) }
        };
        format!("  {}: {} → {}", self.label, text(&self.now), text(&self.then))
    }
}

/// A rollback that the operator must confirm.
pub struct RollbackPreview<'a> {
    /// The source of the shares, such as `shop-edge: the shares before run shop-1, from the tags of the run`.
    pub source: String,
    /// Previews of all routes that the rollback writes.
    pub rows: Vec<RoutePreview>,
    /// Additional lines for the operator.
    pub remarks: Vec<String>,
    /// Names of the load balancers that the routes belong to, such as `shop-edge`.
    pub load_balancers: String,
    /// The marker of another owner, whose process may still run.
    pub other: Option<&'a str>,
}

impl RollbackPreview<'_> {
    fn lines(&self) -> String {
        let mut lines = vec![self.source.clone()];
        lines.extend(self.rows.iter().take(SHOWN_ROUTES).map(RoutePreview::line));
        if self.rows.len() > SHOWN_ROUTES {
            lines.push(format!("  and {} more", self.rows.len() - SHOWN_ROUTES));
        }
        lines.extend(self.remarks.iter().map(|remark| format!("  {remark}")));
        lines.join("\n")
    }

    /// Returns the question. It names the direction, with the shares before and after the rollback.
    fn question(&self) -> String {
        let (gain, lose) =
            (changed_groups(&self.rows, |now, then| then > now), changed_groups(&self.rows, |now, then| then < now));
        let routes = match self.rows.len() {
            1 => "the route".to_owned(),
            n => format!("{n} routes"),
        };
        let what = match (gain.is_empty(), lose.is_empty()) {
            (true, true) => format!("Verify {routes} of {} (no change needed) and end the run", self.load_balancers),
            (false, true) => format!("Move {routes} of {} back to {gain}", self.load_balancers),
            (true, false) => format!("Move {routes} of {} away from {lose}", self.load_balancers),
            (false, false) => format!("Move {routes} of {} back to {gain} and away from {lose}", self.load_balancers),
        };
        match self.other {
            Some(owner) => format!("{what}, and take over from {owner} (this stops the other process)?"),
            None => format!("{what}?"),
        }
    }
}

/// Returns the target groups whose share changes in one direction, such as `shop-old (0 % → 100 %)`.
fn changed_groups(rows: &[RoutePreview], has_changed: impl Fn(f64, f64) -> bool) -> String {
    let mut groups: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
    for row in rows {
        let of = |all: &BTreeMap<String, f64>, name: &String| all.get(name).copied().unwrap_or(0.0);
        for name in row.now.keys().chain(row.then.keys().filter(|name| !row.now.contains_key(*name))) {
            groups.entry(name).or_default().push((of(&row.now, name), of(&row.then, name)));
        }
    }
    let groups = groups.into_iter().filter(|(_, changes)| changes.iter().any(|(now, then)| has_changed(*now, *then)));
    let changes_text = groups.map(|(name, changes)| {
        let (now, then): (Vec<_>, Vec<_>) = changes.into_iter().unzip();
        format!("{name} ({} → {})", range(&now), range(&then))
    });
    changes_text.collect::<Vec<_>>().join(", ")
}

/// Returns the range of shares, such as `0 %`, or `0 to 50 %` if routes differ.
fn range(values: &[f64]) -> String {
    let (least, most) = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)));
    let [least, most] = [percent(least), percent(most)];
    if least == most { format!("{most} %") } else { format!("{least} to {most} %") }
}

/// Shows the preview and asks, unless `--yes` is set. Returns whether to take over from another owner.
///
/// # Errors
/// Returns a failure if nothing may be written: the operator declines, there is no terminal, or `--yes` is set but
/// `--take-over` is not although another owner exists.
pub fn ask(args: &Rollback, proposal: &RollbackPreview<'_>) -> Result<bool, Failure> {
    term::print_error(&proposal.lines());
    let other_owner = proposal.other.filter(|_| !args.take_over);
    let confirmed = if args.yes { Ok(true) } else { term::confirm(&proposal.question()) };
    match (confirmed, other_owner) {
        (Ok(true), Some(owner)) if args.yes => {
            let why = format!("another run owns this load balancer (run, owner, since): {owner}; nothing was written");
            Err(Failure::new(Exit::Locked, why).next(
                "to roll back anyway (this stops the process of the other run): repeat the command with --take-over",
            ))
        }
        (Ok(true), other_owner) => Ok(args.take_over || other_owner.is_some()),
        (Ok(false), _) => Err(Failure::new(Exit::Usage, "nothing was written")),
        (Err(_), other_owner) => {
            let flags = if other_owner.is_some() { "--yes --take-over" } else { "--yes" };
            Err(Failure::new(Exit::Usage, "nothing was written, because there is no terminal for the question")
                .next(format!("to do what is shown above, add {flags}")))
        }
    }
}
