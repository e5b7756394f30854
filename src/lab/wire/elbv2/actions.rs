//! Validates a list of actions as ELBv2 does, and normalizes the list for storage. Elements that the lab does not know
//! are stored unchanged.

use serde_json::{Value, json};

use super::{Result, api_error, describe, invalid};
use crate::lab::model::{TCP, World, number};

/// The message about an action without group stickiness whose groups have target stickiness.
const STICKY_TARGETS: &str =
    "You must enable group stickiness on a rule if you enabled target stickiness on one of its target groups";

const ROUTING_ACTION_TYPES: [&str; 3] = ["forward", "redirect", "fixed-response"];
const AUTHENTICATION_ACTION_TYPES: [&str; 3] = ["authenticate-oidc", "authenticate-cognito", "jwt-validation"];

/// Validates the actions for a route of a listener and returns them in the form in which they are stored and read.
/// `route` is the route whose actions are replaced; `None` for a new rule.
pub(super) fn check(world: &World, listener: usize, route: Option<usize>, wanted: &[Value]) -> Result<Vec<Value>> {
    let mut all = wanted.to_vec();
    if all.len() > 1 && all.iter().any(|a| number(&a["Order"]).is_none()) {
        return Err(invalid("An action order is required if the list has several actions"));
    }
    all.sort_by_key(|a| number(&a["Order"]).unwrap_or(1));
    let last = all.len().saturating_sub(1);
    for (position, action) in all.iter_mut().enumerate() {
        let kind = action["Type"].as_str().unwrap_or_default().to_owned();
        match kind.as_str() {
            kind if ROUTING_ACTION_TYPES.contains(&kind) && position == last => {}
            kind if AUTHENTICATION_ACTION_TYPES.contains(&kind) && position < last => {
                check_authentication(world, listener, route, action)?;
            }
            kind if ROUTING_ACTION_TYPES.contains(&kind) || AUTHENTICATION_ACTION_TYPES.contains(&kind) => {
                return Err(invalid("There must be exactly one routing action, and it must be the last"));
            }
            _ => return Err(invalid(format!("'{kind}' is not an action type"))),
        }
        if kind == "forward" {
            check_forward(world, listener, action)?;
        } else if is_network(world, listener) {
            return Err(api_error(
                "InvalidLoadBalancerAction",
                format!("Actions of type '{kind}' are not supported on network load balancers"),
            ));
        }
        let order = number(&action["Order"]).unwrap_or(1);
        action["Order"] = order.to_string().into();
    }
    if all.is_empty() { Err(invalid("At least one action is required")) } else { Ok(all) }
}

/// Validates an authentication action. The client secret of an OIDC action is never returned by a read.
fn check_authentication(world: &World, listener: usize, route: Option<usize>, action: &mut Value) -> Result<()> {
    if world.listeners[listener].protocol != "HTTPS" {
        return Err(api_error(
            "InvalidLoadBalancerAction",
            "Authentication actions are only allowed on HTTPS listeners",
        ));
    }
    let Some(config) = action.get_mut("AuthenticateOidcConfig").and_then(Value::as_object_mut) else { return Ok(()) };
    let secret = config.remove("ClientSecret").is_some();
    let existing = config.remove("UseExistingClientSecret").is_some_and(|v| v.as_str() == Some("true"));
    let has_one = route.is_some_and(|r| world.routes[r].actions.iter().any(|a| a["Type"] == "authenticate-oidc"));
    if secret || (existing && has_one) { Ok(()) } else { Err(invalid("A client secret is required")) }
}

fn check_forward(world: &World, listener: usize, action: &mut Value) -> Result<()> {
    let single_arn = action.as_object_mut().and_then(|a| a.remove("TargetGroupArn"));
    if action["ForwardConfig"]["TargetGroups"].is_null() {
        let arn = single_arn.clone().ok_or_else(|| invalid("A forward action needs a target group"))?;
        action["ForwardConfig"]["TargetGroups"] = json!([{"TargetGroupArn": arn}]);
    }
    let groups = action["ForwardConfig"]["TargetGroups"]
        .as_array_mut()
        .ok_or_else(|| invalid("Target groups must be a list"))?;
    if let (Some(single_arn), [only_group]) = (&single_arn, groups.as_slice())
        && only_group["TargetGroupArn"] != *single_arn
    {
        return Err(invalid("The target group of the action differs from that of its forward configuration"));
    }
    if single_arn.is_some() && groups.len() > 1 {
        return Err(invalid("A target group ARN cannot be combined with several target groups"));
    }
    if groups.is_empty() || groups.len() > 5 {
        return Err(api_error(
            "TooManyTargetGroups",
            format!("A forward action must have between 1 and 5 target groups, but this one has {}", groups.len()),
        ));
    }
    check_weights(groups)?;
    let network = is_network(world, listener);
    let arns: Vec<String> = groups.iter().filter_map(|g| g["TargetGroupArn"].as_str().map(str::to_owned)).collect();
    let sticky_targets = check_groups(world, listener, &arns)?;
    if network {
        return check_network_stickiness(world, listener, action, sticky_targets && arns.len() > 1);
    }
    check_stickiness(action, sticky_targets && arns.len() > 1)
}

fn is_network(world: &World, listener: usize) -> bool {
    world.balancers[world.listeners[listener].balancer].network
}

/// Checks the stickiness of an action of a Network Load Balancer, which has no duration.
fn check_network_stickiness(world: &World, listener: usize, action: &mut Value, wanted: bool) -> Result<()> {
    let config = &mut action["ForwardConfig"]["TargetGroupStickinessConfig"];
    if config.is_null() {
        *config = json!({"Enabled": "false"});
    }
    let enabled = config["Enabled"].as_str() == Some("true");
    if !config["DurationSeconds"].is_null() {
        return Err(invalid("Group stickiness has no duration on network load balancers"));
    }
    if enabled && world.listeners[listener].protocol == "TLS" {
        return Err(api_error("InvalidConfigurationRequest", "Stickiness is not supported on TLS listeners"));
    }
    if wanted && !enabled {
        return Err(api_error("InvalidConfigurationRequest", STICKY_TARGETS));
    }
    Ok(())
}

fn check_weights(groups: &mut [Value]) -> Result<()> {
    let several = groups.len() > 1;
    for group in groups.iter_mut() {
        let weight = match &group["Weight"] {
            Value::Null if several => {
                return Err(invalid("Every target group needs a weight if the action has several target groups"));
            }
            Value::Null => 1,
            given => number(given)
                .filter(|w| *w <= 999)
                .ok_or_else(|| invalid("Weights must be whole numbers between 0 and 999"))?,
        };
        group["Weight"] = weight.to_string().into();
    }
    if several && groups.iter().all(|g| g["Weight"] == "0") {
        return Err(invalid("At least one target group needs a weight above 0"));
    }
    Ok(())
}

/// Checks that the groups exist, that none is listed twice, and that none belongs to another load balancer. Returns
/// whether one of the groups has target stickiness.
fn check_groups(world: &World, listener: usize, arns: &[String]) -> Result<bool> {
    let balancer = world.listeners[listener].balancer;
    let mut sticky = false;
    for (position, arn) in arns.iter().enumerate() {
        let group = &world.groups[describe::group(world, arn)?];
        if arns[..position].contains(arn) {
            return Err(invalid(format!("Target group '{arn}' is listed twice")));
        }
        if (group.protocol == TCP) != world.balancers[balancer].network {
            let message = format!("Target group '{arn}' has a protocol that the load balancer does not support");
            return Err(api_error("IncompatibleProtocols", message));
        }
        if group.attached.iter().any(|b| *b != balancer) {
            let message =
                format!("The following target groups cannot be associated with more than one load balancer: {arn}");
            return Err(api_error("TargetGroupAssociationLimit", message));
        }
        sticky |= group.attributes.get("stickiness.enabled").is_some_and(|v| v == "true");
    }
    Ok(sticky)
}

fn check_stickiness(action: &mut Value, wanted: bool) -> Result<()> {
    let config = &mut action["ForwardConfig"]["TargetGroupStickinessConfig"];
    if config.is_null() {
        *config = json!({"Enabled": "false"});
    }
    let enabled = config["Enabled"].as_str() == Some("true");
    let duration = number(&config["DurationSeconds"]);
    if enabled && !duration.is_some_and(|d| (1..=604_800).contains(&d)) {
        return Err(invalid("Group stickiness needs a duration between 1 and 604800 seconds"));
    }
    if wanted && !enabled {
        return Err(api_error("InvalidConfigurationRequest", STICKY_TARGETS));
    }
    Ok(())
}
