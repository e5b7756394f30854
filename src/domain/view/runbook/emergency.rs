//! The first section of a runbook: the commands that restore the traffic, with the names of the plan.

use std::collections::BTreeMap;

use super::input::{LiveFacts, RunbookInput, put};
use crate::base::arn;
use crate::base::haproxy::Group;
use crate::base::text::shell_word;
use crate::domain::elb::select::selector_text;
use crate::domain::view::check::RouteLine;
use crate::plan::model::{BalancerKind, ClusterName, MarkerMode, RouteEntry, Selector, StateLocation};

/// A load balancer, with the pairs of target groups of its routes: the group of the old cluster, and another group.
type Pairs = BTreeMap<String, Vec<(String, String)>>;

/// Appends the section.
pub(super) fn write(input: &RunbookInput<'_>, out: &mut String) {
    let plan = input.plan;
    let from = &plan.strategy.from;
    put(out, "## The site is down: type this\n");
    let aws = input.has(BalancerKind::Alb) || input.has(BalancerKind::Nlb);
    put(out, "```sh");
    if aws {
        put(out, &format!("export AWS_PROFILE=… AWS_REGION={}    # account {}", plan.region, plan.account_id));
    }
    let place = match &plan.state {
        StateLocation::Local => "on the machine that started the run",
        StateLocation::Kubernetes { .. } => "on any machine that reaches the shared state",
    };
    put(out, &format!("# {place}:\n{}", input.command("rollback")));
    let (pairs, of_haproxy) = (pairs(input), haproxy_commands(input));
    if aws && plan.marker == MarkerMode::Tag {
        put(out, "# on any other machine, from the tags that the run has put on the load balancers:\ncutover rollback");
        put(out, "# on any other machine, without tags, by the names of the groups:");
    } else if !pairs.is_empty() || !of_haproxy.is_empty() {
        put(out, "# on any other machine, without plan and journal:");
    }
    let mut unnamed = false;
    for (load_balancer, pairs) in &pairs {
        let mut names = |pick: fn(&(String, String)) -> &String| {
            let names = pairs.iter().map(|pair| pick(pair).as_str());
            let names: Vec<_> = names.inspect(|name| unnamed |= name.starts_with("tag:")).collect();
            shell_word(&names.join(","))
        };
        let (back_to, away_from) = (names(|pair| &pair.0), names(|pair| &pair.1));
        put(
            out,
            &format!(
                "cutover rollback --load-balancer {} \\\n  --back-to {back_to} \\\n  --away-from {away_from}",
                shell_word(load_balancer)
            ),
        );
    }
    for command in of_haproxy {
        put(out, &command);
    }
    put(out, "```\n");
    put(
        out,
        &format!(
            "Each command shows what it will write, asks one question, gives the traffic back to `{from}`, and reads \
             every route back. Exit 0: the traffic is back. Exit 5: the message names what is not, and what to type. To \
             skip the question: `--yes`; on another machine than that of the run, also `--take-over` (without it: exit \
             6)."
        ),
    );
    if unnamed {
        put(
            out,
            "\n**Before the start, replace `tag:…` after `--back-to` and `--away-from` by the names of these target \
             groups**: the command matches names, not tags. `cutover runbook` writes the names if it can read AWS.",
        );
    }
    if input.has(BalancerKind::Alb) {
        put(
            out,
            "\nClients with a cookie stay on the dead side: add `--stickiness break` to the command. It detaches the \
             groups of that side.",
        );
    }
    if plan.strategy.start.is_none() {
        put(
            out,
            &format!(
                "\nThe first command restores the shares from before the run. The commands with names give **all** \
                 traffic of these routes to `{from}`."
            ),
        );
        put(out, "\nOne cluster is failing: its share goes to the others at once.\n\n```sh");
        for cluster in &plan.clusters {
            put(out, &format!("cutover evacuate {} {}", cluster.name, input.file));
        }
        put(out, "```");
    }
    put(
        out,
        "\nWithout this program: the script in the section \"Without this program\". More: `cutover help emergency`.",
    );
}

/// Returns the pairs of each load balancer in AWS. Names come from what is live; for a document from the plan alone,
/// from the plan.
fn pairs(input: &RunbookInput<'_>) -> Pairs {
    let from = &input.plan.strategy.from;
    let mut all = Pairs::new();
    for (load_balancer, groups) in routes(input) {
        let Some((_, back)) = groups.iter().find(|(cluster, _)| cluster == from) else { continue };
        let pairs = all.entry(load_balancer).or_default();
        for (_, away) in groups.iter().filter(|(cluster, _)| cluster != from) {
            let pair = (back.clone(), away.clone());
            if !pairs.contains(&pair) {
                pairs.push(pair);
            }
        }
    }
    all
}

/// Returns the commands for HAProxy: one for each backend or map, with all of its instances.
fn haproxy_commands(input: &RunbookInput<'_>) -> Vec<String> {
    let from = &input.plan.strategy.from;
    let mut instances: BTreeMap<[String; 3], Vec<String>> = BTreeMap::new();
    for entry in input.entries() {
        let group = |(cluster, selector): &(ClusterName, Selector)| match selector {
            Selector::Arn(id) => Some((cluster == from, Group::parse(id)?)),
            _ => None,
        };
        let (back, away): (Vec<_>, Vec<_>) =
            entry.target_groups.iter().filter_map(group).partition(|(is_from, _)| *is_from);
        let Some((_, back)) = back.first() else { continue };
        let table = match back.backend.map_file() {
            Some(file) => format!("--map {}", shell_word(&file)),
            None => format!("--backend {}", shell_word(&back.backend.name)),
        };
        let back_to = vec![back.glob.as_str(); away.len()].join(",");
        let away_from = away.iter().map(|(_, group)| group.glob.as_str()).collect::<Vec<_>>().join(",");
        let of_table = instances.entry([table, shell_word(&back_to), shell_word(&away_from)]).or_default();
        of_table.push(shell_word(&back.backend.address));
    }
    let command = |([table, back_to, away_from], addresses): ([String; 3], Vec<String>)| {
        let addresses = addresses.join(" ");
        format!("cutover rollback --haproxy {addresses} \\\n  {table} --back-to {back_to} --away-from {away_from}")
    };
    instances.into_iter().map(command).collect()
}

/// Returns the name of the load balancer and the names of the groups by cluster, of each route that is live in AWS; if
/// none is known, of each entry of the plan.
fn routes(input: &RunbookInput<'_>) -> Vec<(String, Vec<(ClusterName, String)>)> {
    if let LiveFacts::Read { report, .. } = &input.live {
        let groups =
            |route: &RouteLine| route.clusters.iter().map(|(name, cluster)| (cluster.clone(), name.clone())).collect();
        let in_aws = report.routes.iter().filter(|route| arn::begins(&route.id));
        return in_aws.map(|route| (route.load_balancer.clone(), groups(route))).collect();
    }
    let in_aws = input.entries().filter(|entry| entry.kind != BalancerKind::Haproxy);
    let groups = |entry: &RouteEntry| entry.target_groups.iter().map(|(c, group)| (c.clone(), name(group))).collect();
    in_aws.map(|entry| (name(&entry.load_balancer), groups(entry))).collect()
}

/// Returns the name of a resource as the emergency command takes it.
fn name(selector: &Selector) -> String {
    match selector {
        Selector::Arn(arn) => arn::name(arn).to_owned(),
        other => selector_text(other),
    }
}
