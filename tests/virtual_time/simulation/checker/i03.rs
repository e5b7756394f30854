//! Only the weights of the plan's groups change. Other actions, their order, conditions, transforms, stickiness and
//! listener settings stay, and no client secret is sent. In the clusters, only the run's bindings are created, and a
//! rollback changes none of them.

use cutover::domain::elb;
use cutover::domain::emergency::route_tag;
use cutover::domain::haproxy::Backend;
use cutover::domain::run::header_rule::TAG_KEY;
use cutover::domain::run::script_use;
use cutover::domain::traffic::RouteId;
use cutover::engine::marker;
use cutover::plan::model::StepKind;

use super::compare::other_difference;
use super::facts::Facts;
use super::{Found, ensure};
use crate::simulation::haproxy;
use crate::simulation::history::{By, Entry, EntryContent, Verb};
use crate::simulation::route_actions::{self, RouteActions};

pub fn holds(facts: &Facts, entry: &Entry) -> Found {
    match &entry.what {
        EntryContent::Sent { service, operation, body, .. } if service == "elasticloadbalancing" => {
            check_sent(facts, operation, body)
        }
        EntryContent::Sent { service, body, .. } if service.starts_with(haproxy::SERVICE) => {
            check_line(facts, service.trim_start_matches(haproxy::SERVICE), body)
        }
        EntryContent::Sent { service, operation, .. }
            if service.starts_with("kubernetes/") && !operation.starts_with("GET ") =>
        {
            ensure(operation.starts_with("PATCH ") && operation.contains("/targetgroupbindings/"), || {
                format!("{operation} is sent")
            })?;
            ensure(!operation.contains("force=true"), || format!("{operation} takes fields from other managers"))
        }
        EntryContent::Bind { cluster, binding, dry_run } if facts.verb != Verb::Check => {
            let known = facts.started().is_some_and(|s| {
                s.bindings.iter().any(|b| b.cluster == *cluster && b.create && b.binding.full_name() == *binding)
            });
            ensure(known && !dry_run, || format!("{binding} in {cluster} is not a binding of the run"))?;
            ensure(facts.rollback.is_none(), || format!("a rollback creates {binding} in {cluster}"))
        }
        EntryContent::Set { route, content } if facts.detaching => {
            check_detaching(facts, route, &route_actions::from_content(content))
        }
        // A header rule, whose place and content the run has chosen.
        EntryContent::Applied { by: By::Us, route, .. } if plans_header_rules(facts) && !facts.existed(route) => Ok(()),
        EntryContent::Applied { by: By::Us, route, before, after } => {
            let start = facts.route(route).ok_or_else(|| format!("{route} is not a route of the run"))?;
            let after = after.as_ref().ok_or_else(|| format!("{route} was deleted"))?;
            check_removed_groups(facts, route, before, after)?;
            other_difference(start, before, after).map_or(Ok(()), Err)
        }
        _ => Ok(()),
    }
}

/// Checks that a write that detaches the old cluster's group changes nothing else, and follows a reading with weight 0.
fn check_detaching(facts: &Facts, route: &RouteId, next: &RouteActions) -> Found {
    let (Some(start), Some(Some(live))) = (facts.route(route), facts.world.get(route)) else { return Ok(()) };
    if facts.has_unseen_change(route) {
        return Ok(());
    }
    let known = facts.seen.get(route).is_some_and(|reading| reading.live.is_some());
    ensure(known, || format!("{}: a group is detached, and its weight was not read", start.label))?;
    let old = start.groups.get(&facts.plan.strategy.from);
    let carries = old.and_then(|old| live.weights.get(old)).is_some_and(|weight| *weight > 0);
    ensure(!carries && !facts.attached(start, Some(next)), || {
        format!("{}: {:?} becomes {:?}", start.label, live.weights, next.weights)
    })
}

/// Checks that a group leaves an action only in a rollback, or in `finalize --detach` with weight 0 and without a
/// change of other weights.
fn check_removed_groups(facts: &Facts, route: &RouteId, before: &RouteActions, after: &RouteActions) -> Found {
    // A write that was sent before someone else's change is judged as it was sent.
    if facts.detaching && facts.foreign.contains(route) {
        return Ok(());
    }
    let gone: Vec<_> = before.weights.keys().filter(|group| !after.weights.contains_key(*group)).collect();
    ensure(gone.is_empty() || facts.rollback.is_some() || facts.detaching, || {
        format!("{gone:?} is removed from {route}")
    })?;
    let idle = gone.iter().all(|group| before.weights[*group] == 0);
    let same = after.weights.len() == 1
        || after.weights.iter().all(|(group, weight)| before.weights.get(group) == Some(weight));
    ensure(!facts.detaching || (idle && same), || format!("{route}: {:?} becomes {:?}", before.weights, after.weights))
}

/// Checks that a line of commands changes only weights of servers of the run's backends, or the run's maps.
fn check_line(facts: &Facts, address: &str, line: &str) -> Found {
    let of_run = |name: &str, file: bool| {
        let own = facts.routes().iter().filter_map(|route| Backend::parse(route.id.id()));
        let mut own = own.filter(|backend| backend.address == address);
        own.any(|backend| if file { backend.map_file().as_deref() == Some(name) } else { backend.name == name })
    };
    for command in line.split(';') {
        let words: Vec<&str> = command.split_whitespace().collect();
        let allowed = match words[..] {
            ["show", ..] => true,
            ["set", "server", server, "weight", _] => {
                server.split_once('/').is_some_and(|(name, _)| of_run(name, false))
            }
            ["prepare", "map", file] | ["add", "map", _, file, _, _] | ["clear" | "commit", "map", _, file] => {
                of_run(file, true)
            }
            _ => false,
        };
        ensure(allowed, || format!("`{command}` is sent to {address}"))?;
    }
    Ok(())
}

fn check_sent(facts: &Facts, operation: &str, body: &str) -> Found {
    if operation.starts_with("Describe") {
        return Ok(());
    }
    let fields = || body.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    ensure(!fields().any(|(k, _)| k.ends_with(".ClientSecret")), || "a client secret is sent".to_owned())?;
    let (subject, rest): (&str, &[&str]) = match operation {
        "ModifyRule" => ("RuleArn", &["Actions."]),
        "ModifyListener" => ("ListenerArn", &["DefaultActions."]),
        "AddTags" | "RemoveTags" => ("ResourceArns.", &["Tags.", "TagKeys."]),
        "CreateRule" | "DeleteRule" => return check_header_rule(facts, operation, body),
        other => return Err(format!("{other} is sent")),
    };
    let known =
        |k: &str| ["Action", "Version"].contains(&k) || k.starts_with(subject) || rest.iter().any(|r| k.starts_with(r));
    if let Some((key, _)) = fields().find(|(k, _)| !known(k)) {
        return Err(format!("{operation} is sent with {key}"));
    }
    let value = |v: &str| v.replace("%3A", ":").replace("%2F", "/");
    let tags = operation.ends_with("Tags");
    if let Some((key, text)) = fields().find(|(k, v)| {
        k.contains("Key") && tags && ![marker::KEY, route_tag::KEY, script_use::KEY].contains(&value(v).as_str())
    }) {
        return Err(format!("{operation} is sent with {key}={text}"));
    }
    let foreign = fields().filter(|(k, _)| k.starts_with(subject)).map(|(_, v)| value(v)).find(|arn| {
        facts.route(&elb::route(arn)).is_none()
            && !facts.started().is_some_and(|s| tags && s.load_balancers.contains(arn))
    });
    foreign
        .filter(|_| facts.started().is_some())
        .map_or(Ok(()), |arn| Err(format!("{operation} of {arn}, which is not a resource of the run")))
}

/// Checks that only the rules of a header route are made, with their tag, and that only new rules are deleted.
fn check_header_rule(facts: &Facts, operation: &str, body: &str) -> Found {
    let fields = || body.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let value = |v: &str| v.replace("%3A", ":").replace("%2F", "/");
    let is_tagged = || fields().any(|(k, v)| k.starts_with("Tags.") && k.ends_with(".Key") && value(v) == TAG_KEY);
    let is_new = || fields().any(|(k, v)| k == "RuleArn" && !facts.existed(&elb::route(&value(v))));
    let allowed = if operation == "CreateRule" { is_tagged() } else { is_new() };
    ensure(plans_header_rules(facts) && allowed, || format!("{operation} is sent"))
}

/// Whether the plan has a step that makes header rules.
fn plans_header_rules(facts: &Facts) -> bool {
    facts.plan.strategy.steps.iter().any(|step| matches!(step.kind, StepKind::HeaderRoute(_)))
}
