//! The STS API: GetCallerIdentity.

use http::Response;
use hyper::body::Bytes;
use serde_json::json;

use super::query::Query;
use super::xml;

/// Version of the STS API.
pub(crate) const API_VERSION: &str = "2011-06-15";
const XML_NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// Handles a call. Returns the response, and the outcome for the call log.
pub(crate) fn answer(account: &str, query: &Query, id: &str) -> (Response<Bytes>, String) {
    if query.action != "GetCallerIdentity" {
        let message = format!("Could not find operation {} for version {}", query.action, query.version);
        return (failure(400, "InvalidAction", &message, id), "InvalidAction".into());
    }
    let arn = format!("arn:aws:sts::{account}:assumed-role/lab/operator");
    let result = json!({"Arn": arn, "UserId": "AROALABLABLABLABLABLA:operator", "Account": account});
    (super::text(200, "text/xml", xml::answer("GetCallerIdentity", XML_NAMESPACE, &result, id), id), "ok".into())
}

/// Builds the response to a failed call.
pub(crate) fn failure(status: u16, code: &str, message: &str, id: &str) -> Response<Bytes> {
    super::text(status, "text/xml", xml::error(code, message, XML_NAMESPACE, id), id)
}
