//! Only the plan's group tuples change. Other actions, their order, conditions, transforms, stickiness and listener
//! settings stay; no client secret is sent. In the clusters, only the run's bindings are made, and a rollback touches
//! none.

use cutover::domain::elb;
use cutover::domain::emergency::route_tag;
use cutover::domain::traffic::RouteId;
use cutover::engine::marker;

use super::facts::Facts;
use super::parts::others;
use super::{Found, ensure};
use crate::simulation::face::{self, Face};
use crate::simulation::history::{By, Entry, Verb, What};

pub fn holds(facts: &Facts, entry: &Entry) -> Found {
    match &entry.what {
        What::Sent { service, operation, body, .. } if service == "elasticloadbalancing" => {
            sent(facts, operation, body)
        }
        What::Sent { service, operation, .. }
            if service.starts_with("kubernetes/") && !operation.starts_with("GET ") =>
        {
            ensure(operation.starts_with("PATCH ") && operation.contains("/targetgroupbindings/"), || {
                format!("{operation} is sent")
            })?;
            ensure(!operation.contains("force=true"), || format!("{operation} takes fields from their owners"))
        }
        What::Bind { cluster, binding, dry_run } if facts.verb != Verb::Check => {
            let known = facts.started().is_some_and(|s| {
                s.bindings.iter().any(|b| b.cluster == *cluster && b.create && b.binding.full_name() == *binding)
            });
            ensure(known && !dry_run, || format!("{binding} in {cluster} is not the run's"))?;
            ensure(facts.rollback.is_none(), || format!("a rollback makes {binding} in {cluster}"))
        }
        What::Set { route, content } if facts.detaching => let_go(facts, route, &face::typed(content)),
        What::Applied { by: By::Us, route, before, after } => {
            let start = facts.route(route).ok_or_else(|| format!("{route} is none of the run's routes"))?;
            let after = after.as_ref().ok_or_else(|| format!("{route} was deleted"))?;
            taken_out(facts, route, before, after)?;
            others(start, before, after).map_or(Ok(()), Err)
        }
        _ => Ok(()),
    }
}

/// A write that detaches the old cluster's group changes nothing else, and follows a reading that shows weight 0.
fn let_go(facts: &Facts, route: &RouteId, next: &Face) -> Found {
    let (Some(start), Some(Some(live))) = (facts.route(route), facts.world.get(route)) else { return Ok(()) };
    if facts.unseen(route) {
        return Ok(());
    }
    let known = facts.seen.get(route).is_some_and(|sight| sight.live.is_some());
    ensure(known, || format!("{}: a group is taken out, and nobody knows what it carries", start.label))?;
    let old = start.groups.get(&facts.plan.strategy.from);
    let carries = old.and_then(|old| live.weights.get(old)).is_some_and(|weight| *weight > 0);
    ensure(!carries && !facts.attached(start, Some(next)), || {
        format!("{}: {:?} becomes {:?}", start.label, live.weights, next.weights)
    })
}

/// A group leaves an action in a rollback, or where the old cluster is let go and it carries nothing; no weight changes
/// then.
fn taken_out(facts: &Facts, route: &RouteId, before: &Face, after: &Face) -> Found {
    // What was sent before someone else wrote is judged as it was sent.
    if facts.detaching && facts.foreign.contains(route) {
        return Ok(());
    }
    let gone: Vec<_> = before.weights.keys().filter(|group| !after.weights.contains_key(*group)).collect();
    ensure(gone.is_empty() || facts.rollback.is_some() || facts.detaching, || {
        format!("{gone:?} is taken out of {route}")
    })?;
    let idle = gone.iter().all(|group| before.weights[*group] == 0);
    let same = after.weights.len() == 1
        || after.weights.iter().all(|(group, weight)| before.weights.get(group) == Some(weight));
    ensure(!facts.detaching || (idle && same), || format!("{route}: {:?} becomes {:?}", before.weights, after.weights))
}

fn sent(facts: &Facts, operation: &str, body: &str) -> Found {
    if operation.starts_with("Describe") {
        return Ok(());
    }
    let fields = || body.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    ensure(!fields().any(|(k, _)| k.ends_with(".ClientSecret")), || "a client secret is sent".to_owned())?;
    let (subject, rest): (&str, &[&str]) = match operation {
        "ModifyRule" => ("RuleArn", &["Actions."]),
        "ModifyListener" => ("ListenerArn", &["DefaultActions."]),
        "AddTags" | "RemoveTags" => ("ResourceArns.", &["Tags.", "TagKeys."]),
        other => return Err(format!("{other} is sent")),
    };
    let known =
        |k: &str| ["Action", "Version"].contains(&k) || k.starts_with(subject) || rest.iter().any(|r| k.starts_with(r));
    if let Some((key, _)) = fields().find(|(k, _)| !known(k)) {
        return Err(format!("{operation} is sent with {key}"));
    }
    let value = |v: &str| v.replace("%3A", ":").replace("%2F", "/");
    let tags = operation.ends_with("Tags");
    if let Some((key, text)) =
        fields().find(|(k, v)| k.contains("Key") && tags && ![marker::KEY, route_tag::KEY].contains(&value(v).as_str()))
    {
        return Err(format!("{operation} is sent with {key}={text}"));
    }
    let foreign = fields().filter(|(k, _)| k.starts_with(subject)).map(|(_, v)| value(v)).find(|arn| {
        facts.route(&elb::route(arn)).is_none()
            && !facts.started().is_some_and(|s| tags && s.load_balancers.contains(arn))
    });
    foreign
        .filter(|_| facts.started().is_some())
        .map_or(Ok(()), |arn| Err(format!("{operation} of {arn}, which is not the run's")))
}
