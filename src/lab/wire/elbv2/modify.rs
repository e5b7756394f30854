//! Writes to rules and listeners. Only the given properties change; an empty list counts as not given.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Query, Result, actions, api_error, describe, invalid, required, view};
use crate::lab::model::{Condition, World};

/// Parameters of a rule that the lab interprets. All other parameters are stored unchanged.
const INTERPRETED_PARAMETERS: [&str; 6] = ["RuleArn", "ListenerArn", "Actions", "Conditions", "Priority", "Tags"];

pub(super) fn rule(world: &mut World, query: &Query) -> Result {
    let index = describe::rule(world, required(query, "RuleArn")?)?;
    if world.routes[index].priority.is_none() {
        return Err(api_error("OperationNotPermitted", "Default rule cannot be modified; modify the listener instead"));
    }
    let wanted = query.list("Actions");
    let listener = world.routes[index].listener;
    let checked = if wanted.is_empty() { None } else { Some(actions::check(world, listener, Some(index), wanted)?) };
    if !query.list("Conditions").is_empty() {
        set_conditions(world, index, query.list("Conditions"));
    }
    store_other_fields(world, index, query);
    if let Some(actions) = checked {
        world.write_actions(index, actions);
    }
    Ok(json!({"Rules": [view::rule(world, &world.routes[index])]}))
}

pub(super) fn listener(world: &mut World, query: &Query) -> Result {
    let index = describe::listener(world, required(query, "ListenerArn")?)?;
    let route = world.listeners[index].default;
    let wanted = query.list("DefaultActions");
    let checked = if wanted.is_empty() { None } else { Some(actions::check(world, index, Some(route), wanted)?) };
    if let Some(policy) = query.text("SslPolicy") {
        world.listeners[index].ssl_policy = Some(policy.to_owned());
    }
    let certificates =
        query.list("Certificates").iter().filter_map(|c| c["CertificateArn"].as_str().map(str::to_owned));
    let certificates: Vec<String> = certificates.collect();
    if !certificates.is_empty() {
        world.listeners[index].certificates = certificates;
    }
    if let Some(actions) = checked {
        world.write_actions(route, actions);
    }
    Ok(json!({"Listeners": [view::listener(world, &world.listeners[index])]}))
}

pub(super) fn create_rule(world: &mut World, query: &Query) -> Result {
    let listener = describe::listener(world, required(query, "ListenerArn")?)?;
    let priority = required(query, "Priority")?.parse().ok().filter(|p| (1..=50_000).contains(p));
    let priority: u32 = priority.ok_or_else(|| invalid("Priority must be between 1 and 50000"))?;
    if world.listeners[listener].rules.iter().any(|r| world.routes[*r].priority == Some(priority)) {
        return Err(api_error("PriorityInUse", format!("Priority '{priority}' is currently in use")));
    }
    if query.list("Conditions").is_empty() {
        return Err(invalid("A rule needs at least one condition"));
    }
    let actions = actions::check(world, listener, None, query.list("Actions"))?;
    let index = world.add_rule(listener, priority, tags(query));
    set_conditions(world, index, query.list("Conditions"));
    store_other_fields(world, index, query);
    world.write_actions(index, actions);
    Ok(json!({"Rules": [view::rule(world, &world.routes[index])]}))
}

pub(super) fn delete_rule(world: &mut World, query: &Query) -> Result {
    let index = describe::rule(world, required(query, "RuleArn")?)?;
    if world.routes[index].priority.is_none() {
        return Err(api_error("OperationNotPermitted", "Default rule cannot be deleted"));
    }
    world.delete_route(index);
    Ok(Value::Null)
}

fn set_conditions(world: &mut World, route: usize, wanted: &[Value]) {
    world.routes[route].conditions = wanted.to_vec();
    world.routes[route].matcher = wanted.iter().map(Condition::read).collect();
}

fn store_other_fields(world: &mut World, route: usize, query: &Query) {
    for (name, value) in query.input.as_object().into_iter().flatten() {
        let list = value.as_array().is_none_or(|l| !l.is_empty());
        if !INTERPRETED_PARAMETERS.contains(&name.as_str()) && list && value.as_str() != Some("") {
            let extra = &mut world.routes[route].other_fields;
            extra.retain(|(n, _)| n != name);
            extra.push((name.clone(), value.clone()));
        }
    }
}

fn tags(query: &Query) -> BTreeMap<String, String> {
    let pair = |t: &Value| Some((t["Key"].as_str()?.to_owned(), t["Value"].as_str().unwrap_or_default().to_owned()));
    query.list("Tags").iter().filter_map(pair).collect()
}
