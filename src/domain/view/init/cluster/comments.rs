//! Writes the comments at the top of the plan: what was found how, and what is left out.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::super::model::routes_by_group;
use super::collect::Collected;
use super::counterpart::Rule;
use super::hand_over::Proposal;
use super::model::ClusterInitFacts;
use super::names::ClusterNames;
use crate::domain::elb::select::short_name;
use crate::domain::kubernetes::binding::Binding;

/// Returns the comments. `proposal` has the hand-overs of the plan.
pub fn comments(
    facts: &ClusterInitFacts,
    names: &ClusterNames,
    collected: &Collected<'_>,
    proposal: &Proposal,
) -> String {
    let mut out = String::new();
    let mut say = |line: &str| {
        for line in line.lines() {
            // Writing to a string cannot fail.
            let _ = writeln!(out, "# {line}");
        }
    };
    let (old, new) = (&names.from, &names.to);
    say(&format!("Written by `cutover init` for the move from the cluster {} to the cluster {}.", old.full, new.full));
    say("Review this plan. Next: `cutover check` (shows what would happen, and problems), `cutover compare`, \
         `cutover rehearse`, `cutover run`.");
    say("`expect` is the number of routes that the workload has now; with any other number, the run does not start.");
    for found in &collected.moves {
        let (workload, pair) = (&found.pair.workload, &found.pair);
        match found.rule {
            Rule::Binding => {}
            Rule::Tags => say(&format!(
                "{workload}: paired by tags: {} and {} have the same tags, except for those of the cluster.",
                pair.from.name, pair.to.name
            )),
            Rule::Name => {
                say(&format!("{workload}: paired by name: {} and {}.", pair.from.name, pair.to.name));
            }
        }
    }
    for why in &collected.left_out {
        say(&format!("Not in this plan, not changed: {why}."));
    }
    let paired: BTreeSet<&str> =
        collected.moves.iter().flat_map(|m| [m.pair.from.arn.as_str(), m.pair.to.arn.as_str()]).collect();
    let is_bound = |arn: &str| {
        facts.groups.iter().any(|group| group.arn == arn && facts.from_bindings.iter().any(|b| b.binds(group)))
    };
    for balancer in &facts.balancers {
        let name = &balancer.load_balancer.name;
        let others = routes_by_group(balancer).into_keys().filter(|arn| !paired.contains(arn) && !is_bound(arn));
        let others: Vec<_> = others.map(short_name).collect();
        if !others.is_empty() {
            let (others, cluster) = (others.join(", "), &old.planned);
            say(&format!("Not in this plan, not changed: {name}: groups without a binding in {cluster}: {others}."));
        }
        for route in balancer.unread() {
            say(&format!("Not in this plan, not changed: {name}: {}: {}.", route.label, route.why));
        }
    }
    let used = |b: &&Binding| {
        let is_left_out = facts.from_bindings.iter().any(|a| a.full_name() == b.full_name());
        is_left_out || collected.moves.iter().any(|found| b.binds(&found.pair.to))
    };
    let mut alone: Vec<_> = facts.to_bindings.iter().filter(|b| !used(b)).map(Binding::full_name).collect();
    alone.sort();
    if !alone.is_empty() {
        say(&format!("Bindings of {} without a counterpart in {}: {}.", new.planned, old.planned, alone.join(", ")));
    }
    for why in &proposal.left_out {
        say(&format!("Not in a `handOver` step: {why}."));
    }
    out
}
