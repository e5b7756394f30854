//! Describe calls. As in ELBv2, a call fails if one of the resources that it names does not exist.

use serde_json::{Value, json};

use super::{Query, Result, api_error, invalid, page, required, view};
use crate::base::haproxy::is_haproxy;
use crate::lab::model::World;

pub(super) fn load_balancers(world: &World, query: &Query) -> Result {
    let (arns, names) = (query.texts("LoadBalancerArns"), query.texts("Names"));
    if !arns.is_empty() && !names.is_empty() {
        return Err(invalid("Load balancer names and load balancer ARNs cannot be specified at the same time"));
    }
    let known = |wanted: &&str| world.balancers.iter().any(|b| *b.arn == **wanted || b.name == **wanted);
    if let Some(missing) = arns.iter().chain(&names).find(|w| !known(w)) {
        return Err(api_error("LoadBalancerNotFound", format!("Load balancers '[{missing}]' not found")));
    }
    let all = arns.is_empty() && names.is_empty();
    let of_aws = world.balancers.iter().filter(|b| b.haproxy.is_none());
    let found = of_aws.filter(|b| all || arns.contains(&&*b.arn) || names.contains(&b.name.as_str()));
    let (part, marker) = page(query, found.map(view::balancer).collect(), 400)?;
    Ok(page_response("LoadBalancers", part, marker))
}

pub(super) fn load_balancer_attributes(world: &World, query: &Query) -> Result {
    let balancer = &world.balancers[balancer(world, required(query, "LoadBalancerArn")?)?];
    Ok(json!({"Attributes": view::pairs(&balancer.attributes)}))
}

pub(super) fn listeners(world: &World, query: &Query) -> Result {
    let arns = query.texts("ListenerArns");
    let found: Vec<Value> = match query.text("LoadBalancerArn") {
        Some(arn) => {
            let index = balancer(world, arn)?;
            world.listeners.iter().filter(|l| l.balancer == index).map(|l| view::listener(world, l)).collect()
        }
        None if arns.is_empty() => return Err(invalid("You must specify either listener ARNs or a load balancer ARN")),
        None => {
            let one = |arn: &&str| Ok(view::listener(world, &world.listeners[listener(world, arn)?]));
            arns.iter().map(one).collect::<Result<_>>()?
        }
    };
    let (part, marker) = page(query, found, 100)?;
    Ok(page_response("Listeners", part, marker))
}

pub(super) fn rules(world: &World, query: &Query) -> Result {
    let arns = query.texts("RuleArns");
    let found: Vec<Value> = match query.text("ListenerArn") {
        Some(_) if !arns.is_empty() => {
            return Err(invalid("Rule ARNs and a listener ARN cannot be specified at the same time"));
        }
        Some(arn) => {
            let listener = &world.listeners[listener(world, arn)?];
            let all = listener.rules.iter().chain([&listener.default]);
            all.map(|r| view::rule(world, &world.routes[*r])).collect()
        }
        None if arns.is_empty() => {
            return Err(invalid("You must specify either a listener ARN or one or more rule ARNs"));
        }
        None => {
            let one = |arn: &&str| Ok(view::rule(world, &world.routes[rule(world, arn)?]));
            arns.iter().map(one).collect::<Result<_>>()?
        }
    };
    let (part, marker) = page(query, found, 100)?;
    Ok(page_response("Rules", part, marker))
}

pub(super) fn target_groups(world: &World, query: &Query) -> Result {
    let (arns, names) = (query.texts("TargetGroupArns"), query.texts("Names"));
    let of = query.text("LoadBalancerArn").map(|arn| balancer(world, arn)).transpose()?;
    if [of.is_some(), !arns.is_empty(), !names.is_empty()].iter().filter(|b| **b).count() > 1 {
        return Err(invalid("Only one of load balancer ARN, target group ARNs and names may be specified"));
    }
    let known = |wanted: &&str| world.groups.iter().any(|g| *g.arn == **wanted || g.name == **wanted);
    if arns.iter().chain(&names).any(|w| !known(w)) {
        return Err(api_error("TargetGroupNotFound", "One or more target groups not found"));
    }
    let fits = |g: &&crate::lab::model::Group| match of {
        Some(balancer) => g.attached.contains(&balancer),
        None => (arns.is_empty() && names.is_empty()) || arns.contains(&&*g.arn) || names.contains(&g.name.as_str()),
    };
    let of_aws = world.groups.iter().filter(|g| !is_haproxy(&g.arn));
    let found = of_aws.filter(fits).map(|g| view::group(world, g)).collect();
    let (part, marker) = page(query, found, 400)?;
    Ok(page_response("TargetGroups", part, marker))
}

pub(super) fn target_group_attributes(world: &World, query: &Query) -> Result {
    let group = &world.groups[group(world, required(query, "TargetGroupArn")?)?];
    Ok(json!({"Attributes": view::pairs(&group.attributes)}))
}

/// Builds a page of a response. `json!` would copy the items, and these responses are most of the traffic of a
/// rehearsal.
pub(super) fn page_response(name: &str, part: Vec<Value>, marker: Option<String>) -> Value {
    let marker = marker.map_or(Value::Null, Value::String);
    Value::Object([(name.to_owned(), Value::Array(part)), ("NextMarker".to_owned(), marker)].into_iter().collect())
}

pub(super) fn balancer(world: &World, arn: &str) -> Result<usize> {
    let found = world.balancers.iter().position(|b| *b.arn == *arn);
    found.ok_or_else(|| api_error("LoadBalancerNotFound", format!("One or more load balancers not found: '{arn}'")))
}

pub(super) fn listener(world: &World, arn: &str) -> Result<usize> {
    let found = world.listeners.iter().position(|l| *l.arn == *arn);
    found.ok_or_else(|| api_error("ListenerNotFound", format!("One or more listeners not found: '{arn}'")))
}

pub(super) fn rule(world: &World, arn: &str) -> Result<usize> {
    let found = world.rule_index.get(arn).copied().filter(|index| !world.routes[*index].deleted);
    found.ok_or_else(|| api_error("RuleNotFound", format!("One or more rules not found: '{arn}'")))
}

pub(super) fn group(world: &World, arn: &str) -> Result<usize> {
    let found = world.group_index.get(arn).copied();
    found.ok_or_else(|| api_error("TargetGroupNotFound", format!("One or more target groups not found: '{arn}'")))
}
