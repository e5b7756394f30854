//! The ELBv2 API in the awsQuery protocol, for SDKs and the `aws` CLI. Each operation is a function from the parameter
//! tree to the result tree.

mod actions;
mod describe;
mod modify;
mod tags;
mod targets;
mod view;

use http::Response;
use hyper::body::Bytes;
use serde_json::{Value, json};

use super::query::Query;
use super::xml;
use crate::lab::model::World;

const XML_NAMESPACE: &str = "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/";

/// An error response, with the error code of the API and a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    code: &'static str,
    message: String,
}

fn api_error(code: &'static str, message: impl Into<String>) -> ApiError {
    ApiError { code, message: message.into() }
}

fn invalid(message: impl Into<String>) -> ApiError {
    api_error("ValidationError", message)
}

/// The result of an operation.
type Result<T = Value> = std::result::Result<T, ApiError>;

/// Returns whether an operation is a write.
pub(crate) fn mutating(operation: &str) -> bool {
    !operation.starts_with("Describe")
}

/// Handles a call. Returns the response, and the outcome for the call log.
pub(crate) fn answer(world: &mut World, query: &Query, id: &str) -> (Response<Bytes>, String) {
    match carry_out(world, query) {
        Ok(result) => {
            (super::text(200, "text/xml", xml::answer(&query.action, XML_NAMESPACE, &result, id), id), "ok".into())
        }
        Err(refused) => (failure(400, refused.code, &refused.message, id), refused.code.into()),
    }
}

/// Builds the response to a failed call.
pub(crate) fn failure(status: u16, code: &str, message: &str, id: &str) -> Response<Bytes> {
    super::text(status, "text/xml", xml::error(code, message, XML_NAMESPACE, id), id)
}

fn carry_out(world: &mut World, query: &Query) -> Result {
    match query.action.as_str() {
        "DescribeLoadBalancers" => describe::load_balancers(world, query),
        "DescribeLoadBalancerAttributes" => describe::load_balancer_attributes(world, query),
        "DescribeListeners" => describe::listeners(world, query),
        "DescribeRules" => describe::rules(world, query),
        "DescribeTargetGroups" => describe::target_groups(world, query),
        "DescribeTargetGroupAttributes" => describe::target_group_attributes(world, query),
        "DescribeTargetHealth" => targets::health(world, query),
        "DescribeTags" => tags::describe(world, query),
        "DescribeAccountLimits" => Ok(limits()),
        "AddTags" => tags::add(world, query),
        "RemoveTags" => tags::remove(world, query),
        "ModifyRule" => modify::rule(world, query),
        "ModifyListener" => modify::listener(world, query),
        "CreateRule" => modify::create_rule(world, query),
        "DeleteRule" => modify::delete_rule(world, query),
        "RegisterTargets" => targets::register(world, query),
        "DeregisterTargets" => targets::deregister(world, query),
        other => {
            Err(api_error("InvalidAction", format!("Could not find operation {other} for version {}", query.version)))
        }
    }
}

/// Returns the default quotas that the preflight reads.
fn limits() -> Value {
    let all = [
        ("application-load-balancers", 50),
        ("listeners-per-application-load-balancer", 50),
        ("rules-per-application-load-balancer", 100),
        ("target-groups", 3000),
        ("target-groups-per-action-on-application-load-balancer", 5),
        ("target-groups-per-action-on-network-load-balancer", 5),
        ("target-groups-per-application-load-balancer", 100),
        ("targets-per-application-load-balancer", 1000),
        ("targets-per-target-group", 1000),
    ];
    json!({"Limits": all.map(|(name, max)| json!({"Name": name, "Max": max.to_string()}))})
}

/// Returns a required string parameter.
fn required<'a>(query: &'a Query, name: &str) -> Result<&'a str> {
    query
        .text(name)
        .filter(|t| !t.is_empty())
        .ok_or_else(|| invalid(format!("The request must contain the parameter {name}")))
}

/// Returns one page of a list, by the parameters `Marker` and `PageSize` (1–400), and the marker of the next page.
fn page<T>(query: &Query, all: Vec<T>, default: usize) -> Result<(Vec<T>, Option<String>)> {
    let size = match query.text("PageSize") {
        None => default,
        Some(text) => text
            .parse()
            .ok()
            .filter(|n| (1..=400).contains(n))
            .ok_or_else(|| invalid("Page size must be between 1 and 400"))?,
    };
    let start: usize = match query.text("Marker") {
        None | Some("") => 0,
        Some(marker) => marker.parse().ok().filter(|n| *n <= all.len()).ok_or_else(|| invalid("Invalid marker"))?,
    };
    let end = (start + size).min(all.len());
    let marker = (end < all.len()).then(|| end.to_string());
    Ok((all.into_iter().skip(start).take(size).collect(), marker))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_to_the_end() {
        let all: Vec<u32> = (0..7).collect();
        let mut query = Query::read("Action=DescribeRules&PageSize=3");
        let mut seen = Vec::new();
        loop {
            let (part, marker) = page(&query, all.clone(), 100).expect("every marker should lead to a page");
            seen.extend(part);
            let Some(marker) = marker else { break };
            query = Query::read(&format!("Action=DescribeRules&PageSize=3&Marker={marker}"));
        }
        assert_eq!(seen, all);
        assert!(page(&Query::read("Action=DescribeRules&PageSize=401"), all, 100).is_err());
    }
}
