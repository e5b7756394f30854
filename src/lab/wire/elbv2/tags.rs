//! Tags of load balancers, listeners, rules and target groups.

use serde_json::{Value, json};

use super::{Query, Result, api_error, describe, invalid, view};
use crate::base::arn::Arn;
use crate::lab::model::{Pairs, World};

/// Maximum number of resources in one call, and of tags on one resource.
const MAX_RESOURCES_AND_TAGS: (usize, usize) = (20, 50);

pub(super) fn describe(world: &mut World, query: &Query) -> Result {
    let mut found = Vec::new();
    for arn in arns(query)? {
        found.push(json!({"ResourceArn": arn, "Tags": view::pairs(tags(world, &arn)?)}));
    }
    Ok(json!({"TagDescriptions": found}))
}

pub(super) fn add(world: &mut World, query: &Query) -> Result {
    let mut wanted = Pairs::new();
    for tag in query.list("Tags") {
        let (key, value) = (tag["Key"].as_str().unwrap_or_default(), tag["Value"].as_str().unwrap_or_default());
        if key.is_empty() || key.chars().count() > 128 || !key.chars().all(allowed) {
            return Err(invalid(format!("Invalid tag key: '{key}'")));
        }
        if value.chars().count() > 256 || !value.chars().all(allowed) {
            return Err(invalid(format!("Invalid value of tag '{key}'")));
        }
        if wanted.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(api_error("DuplicateTagKeys", format!("Tag key '{key}' is listed twice")));
        }
    }
    for arn in arns(query)? {
        let mut all = tags(world, &arn)?.clone();
        all.extend(wanted.clone());
        if all.len() > MAX_RESOURCES_AND_TAGS.1 {
            return Err(api_error("TooManyTags", "The maximum number of tags has been reached"));
        }
        *tags(world, &arn)? = all;
    }
    Ok(Value::Null)
}

pub(super) fn remove(world: &mut World, query: &Query) -> Result {
    let keys: Vec<&str> = query.texts("TagKeys");
    for arn in arns(query)? {
        tags(world, &arn)?.retain(|k, _| !keys.contains(&k.as_str()));
    }
    Ok(Value::Null)
}

fn arns(query: &Query) -> Result<Vec<String>> {
    let arns = query.texts("ResourceArns");
    if arns.is_empty() || arns.len() > MAX_RESOURCES_AND_TAGS.0 {
        return Err(invalid(format!(
            "A request names between 1 and {} resources, but this one {}",
            MAX_RESOURCES_AND_TAGS.0,
            arns.len()
        )));
    }
    Ok(arns.into_iter().map(str::to_owned).collect())
}

fn tags<'a>(world: &'a mut World, arn: &str) -> Result<&'a mut Pairs> {
    match Arn::parse(arn).map_or("", |arn| arn.kind()) {
        "targetgroup" => describe::group(world, arn).map(|index| &mut world.groups[index].tags),
        "listener-rule" => describe::rule(world, arn).map(|index| &mut world.routes[index].tags),
        "listener" => describe::listener(world, arn).map(|index| &mut world.listeners[index].tags),
        _ => describe::balancer(world, arn).map(|index| &mut world.balancers[index].tags),
    }
}

/// Returns whether a tag may contain a character: letters, digits, space and `+-=._:/@`.
fn allowed(c: char) -> bool {
    c.is_alphanumeric() || " +-=._:/@".contains(c)
}
