//! Health, registration and deregistration of targets.

use serde_json::{Value, json};

use super::{Query, Result, api_error, describe, required};
use crate::base::arn;
use crate::lab::model::{Group, LAMBDA, World};

/// A target that a call names.
struct RequestedTarget {
    id: String,
    port: u16,
}

pub(super) fn health(world: &World, query: &Query) -> Result {
    let group = &world.groups[describe::group(world, required(query, "TargetGroupArn")?)?];
    if group.target_type == LAMBDA {
        return Ok(describe::page_response("TargetHealthDescriptions", vec![function(group)], None));
    }
    let wanted = requested_targets(group, query)?;
    let mut found: Vec<Value> = Vec::new();
    for ((id, port), target) in &group.targets {
        if !wanted.is_empty() && !wanted.iter().any(|w| *w.id == **id && w.port == *port) {
            continue;
        }
        let (state, reason, description) = target.state.api_text();
        let zone = (!target.zone.is_empty()).then_some(&target.zone);
        found.push(json!({
            "Target": {"Id": &**id, "Port": port, "AvailabilityZone": zone},
            "HealthCheckPort":
                if group.check.port == "traffic-port" { port.to_string() } else { group.check.port.clone() },
            "TargetHealth": {"State": state, "Reason": reason, "Description": description},
        }));
    }
    let unknown = wanted.iter().filter(|w| !group.targets.contains_key(&(w.id.as_str().into(), w.port)));
    found.extend(unknown.map(|w| {
        let text = "Target is not registered to the target group";
        let health = json!({"State": "unused", "Reason": "Target.NotRegistered", "Description": text});
        json!({"Target": {"Id": w.id, "Port": w.port}, "TargetHealth": health})
    }));
    Ok(describe::page_response("TargetHealthDescriptions", found, None))
}

/// Returns the only target of a group whose target is a function.
fn function(group: &Group) -> Value {
    let prefix = group.arn.split(":elasticloadbalancing:").next().unwrap_or_default();
    let id =
        format!("{prefix}:lambda:{}:{}:function:{}", arn::region(&group.arn), arn::account(&group.arn), group.name);
    let text = "Health checks are not enabled for this target";
    json!({
        "Target": {"Id": id, "AvailabilityZone": "all"},
        "TargetHealth": {"State": "unavailable", "Reason": "Target.HealthCheckDisabled", "Description": text},
    })
}

pub(super) fn register(world: &mut World, query: &Query) -> Result {
    let index = describe::group(world, required(query, "TargetGroupArn")?)?;
    let group = &world.groups[index];
    let wanted = requested_targets(group, query)?;
    for target in &wanted {
        let address = target.id.parse::<std::net::IpAddr>().is_ok();
        if address != (group.target_type == "ip") {
            return Err(api_error(
                "InvalidTarget",
                format!("'{}' is not a target of type {}", target.id, group.target_type),
            ));
        }
    }
    for target in wanted {
        world.register(index, &target.id, target.port, None);
    }
    Ok(Value::Null)
}

pub(super) fn deregister(world: &mut World, query: &Query) -> Result {
    let index = describe::group(world, required(query, "TargetGroupArn")?)?;
    let wanted = requested_targets(&world.groups[index], query)?;
    let known = |t: &&RequestedTarget| world.groups[index].targets.contains_key(&(t.id.as_str().into(), t.port));
    if let Some(unknown) = wanted.iter().find(|t| !known(t)) {
        let message = format!(
            "The following targets are not registered with the target group: '{}:{}'",
            unknown.id, unknown.port
        );
        return Err(api_error("InvalidTarget", message));
    }
    for target in wanted {
        world.deregister(index, &target.id, target.port);
    }
    Ok(Value::Null)
}

fn requested_targets(group: &Group, query: &Query) -> Result<Vec<RequestedTarget>> {
    let read = |target: &Value| {
        let id =
            target["Id"].as_str().filter(|i| !i.is_empty()).ok_or_else(|| super::invalid("A target needs an Id"))?;
        let port = match target["Port"].as_str() {
            None => group.port,
            Some(text) => {
                text.parse().ok().filter(|p| *p > 0).ok_or_else(|| super::invalid(format!("Invalid port '{text}'")))?
            }
        };
        Ok(RequestedTarget { id: id.to_owned(), port })
    };
    query.list("Targets").iter().map(read).collect()
}
