//! The IAM API: GetRole. Every role of the account exists, and trusts the OIDC issuers of the lab's clusters.

use http::Response;
use hyper::body::Bytes;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::query::Query;
use super::xml;

/// Version of the IAM API.
pub(crate) const API_VERSION: &str = "2010-05-08";
const XML_NAMESPACE: &str = "https://iam.amazonaws.com/doc/2010-05-08/";

/// Handles a call. `issuers` are the OIDC issuers that the roles trust. Returns the response, and the outcome for the
/// call log.
pub(crate) fn answer(
    issuers: &[String],
    account: &str,
    partition: &str,
    query: &Query,
    id: &str,
) -> (Response<Bytes>, String) {
    let (action, Some(name)) = (query.action.as_str(), query.text("RoleName")) else {
        return (failure(400, "ValidationError", "RoleName is missing", id), "ValidationError".into());
    };
    if action != "GetRole" {
        return (failure(400, "InvalidAction", "the lab does not support this operation", id), "InvalidAction".into());
    }
    let policy = utf8_percent_encode(&policy(issuers, account, partition).to_string(), NON_ALPHANUMERIC).to_string();
    let arn = format!("arn:{partition}:iam::{account}:role/{name}");
    let role = json!({"Path": "/", "RoleName": name, "Arn": arn, "AssumeRolePolicyDocument": policy});
    let body = xml::answer("GetRole", XML_NAMESPACE, &json!({"Role": role}), id);
    (super::text(200, "text/xml", body, id), "ok".into())
}

fn policy(issuers: &[String], account: &str, partition: &str) -> Value {
    let statement = |issuer: &String| {
        json!({
            "Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity",
            "Principal": {"Federated": format!("arn:{partition}:iam::{account}:oidc-provider/{issuer}")},
            "Condition": {"StringEquals": {format!("{issuer}:aud"): "sts.amazonaws.com"}},
        })
    };
    json!({"Version": "2012-10-17", "Statement": issuers.iter().map(statement).collect::<Vec<_>>()})
}

/// Builds the response to a failed call.
pub(crate) fn failure(status: u16, code: &str, message: &str, id: &str) -> Response<Bytes> {
    super::text(status, "text/xml", xml::error(code, message, XML_NAMESPACE, id), id)
}
